"""What is understood, measured (`make evaluate`): the pipeline that Rasa suggests for French, and ours.

Both learn from the same data and hear the same messages, those of `tests/nlu/controle/`, which neither has learnt. The
table goes to `docs/evaluation.md`, from the template beside this file. The suggested pipeline takes hours to train at
its hundred rounds; `--tours N` gives it fewer, and the page says so. It is kept in `var/evaluation/` until the data
change. `--sans-usuel` measures ours alone and only prints.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader

from actions.diagnostic import SLOTS
from scripts import bench_suggested, train
from scripts.bench_suggested import ROUNDS
from scripts.texts import say

CASES = train.ROOT / "tests" / "nlu"
TEMPLATES = Path(__file__).parent
PAGE = train.ROOT / "docs" / "evaluation.md"
READ_ON = date(2026, 11, 23)
"""The day on which the dates of the test messages are meant."""

SHOWN_CONFUSIONS = 15


@dataclass(frozen=True)
class Understood:
    """What a pipeline made of one message: an intent, a topic, and the answers to store (or supposed)."""

    intent: str
    target: str | None = None
    answers: dict[str, str] = field(default_factory=dict)


Hearer = Callable[[str, "str | None"], Understood]
"""(message, open question) → what was understood."""


def cases(name: str, folder: str = "controle") -> list[dict[str, Any]]:
    """The test messages of one kind, as written in `tests/nlu/README.md`.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    lines = (CASES / folder / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


@dataclass
class Figures:
    """Everything measured of one pipeline. Rates are in percent."""

    rates: dict[str, float] = field(default_factory=dict)
    by_slot: dict[str, dict[str, float]] = field(default_factory=dict)
    by_voice: dict[str, dict[str, float]] = field(default_factory=dict)
    confusions: list[tuple[str, str, str, int]] = field(default_factory=list)
    """(slot, meant, heard, how often); « heard » is empty where nothing was."""
    milliseconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Milliseconds for one message, half take less."""
        return statistics.median(self.milliseconds) if self.milliseconds else 0.0

    @property
    def slow(self) -> float:
        """Milliseconds for one message, 95 % take less."""
        ordered = sorted(self.milliseconds)
        return ordered[int(len(ordered) * 0.95)] if ordered else 0.0


def percent(results: list[bool]) -> float:
    """The share of what holds, in percent, 0 for none."""
    return 100 * sum(results) / len(results) if results else 0.0


def measure(hear: Hearer, folder: str = "controle") -> Figures:
    """Every figure of one pipeline on the messages of `folder`."""
    figures = Figures()

    def heard(text: str, slot: str | None) -> Understood:
        start = time.perf_counter()
        understood = hear(text, slot)
        figures.milliseconds.append(1000 * (time.perf_counter() - start))
        return understood

    answers = [(case, heard(case["text"], case["slot"]).answers.get(case["slot"])) for case in cases("answers", folder)]
    figures.rates |= _answer_rates([(case["value"], got) for case, got in answers])
    for name, table in (("slot", figures.by_slot), ("voix", figures.by_voice)):
        groups = defaultdict(list)
        for case, got in answers:
            groups[case[name]].append((case["value"], got))
        table.update({group: _answer_rates(pairs) for group, pairs in groups.items()})
    missed = Counter((c["slot"], c["value"], got or "") for c, got in answers if got != c["value"])
    figures.confusions = [(*which, count) for which, count in missed.most_common(SHOWN_CONFUSIONS)]

    several = [(case["slots"], heard(case["text"], SLOTS[0]).answers) for case in cases("multi", folder)]
    hits = sum(got.get(slot) == value for meant, got in several for slot, value in meant.items())
    figures.rates["plusieurs"] = percent([meant == got for meant, got in several])
    figures.rates["precision"] = 100 * hits / max(1, sum(len(got) for _, got in several))
    figures.rates["rappel"] = 100 * hits / max(1, sum(len(meant) for meant, _ in several))
    figures.rates["corrections"] = percent(
        [heard(case["text"], None).answers == case["slots"] for case in cases("corrections", folder)]
    )
    supposed = [(case["slots"], heard(case["text"], None)) for case in cases("et_si", folder)]
    figures.rates["et_si"] = percent([got.intent == "et_si" and got.answers == meant for meant, got in supposed])
    figures.rates["questions"] = percent(
        [
            got.intent in ("faq", "section") and got.target in case["accept"]
            for case in cases("digressions", folder)
            for got in [heard(case["text"], "ambition")]
        ]
    )
    outside = [heard(case["text"], "financement_actuel") for case in cases("oos", folder)]
    figures.rates["hors_sujet"] = percent([got.intent in ("hors_sujet", "nlu_fallback") for got in outside])
    figures.rates["inchange"] = percent([got.intent != "repondre" for got in outside])
    figures.rates["conduite"] = percent(
        [heard(case["text"], "ambition").intent == case["intent"] for case in cases("commands", folder)]
    )
    return figures


def _answer_rates(pairs: list[tuple[str, str | None]]) -> dict[str, float]:
    """Right, wrong and asked again, of (meant, heard)."""
    right = percent([meant == got for meant, got in pairs])
    again = percent([got is None for _, got in pairs])
    return {
        "juste": right,
        "faux": percent([got not in (None, meant) for meant, got in pairs]),
        "redemande": again,
        "nombre": len(pairs),
    }


# ── the two pipelines ──


def ours() -> Hearer:
    """The ear of the model that stands in `models/`.

    Raises:
        OSError, ValueError: there is no such model.
    """
    from nlu.component import restored_ear

    ear = restored_ear(train.MODEL)

    def hear(text: str, slot: str | None) -> Understood:
        found = ear.hear(text, READ_ON, slot)
        return Understood(found.intent, found.target, {a.slot: a.value for a in found.answers})

    return hear


def flat_examples() -> Iterator[tuple[str, str]]:
    """(intent, text) as the suggested pipeline can learn them: one intent for each value of each question."""
    for file in sorted((train.ROOT / "data" / "nlu").rglob("*.yml")):
        for block in yaml.safe_load(file.read_text("utf-8"))["nlu"]:
            intent, about, examples = block["intent"], block.get("metadata") or {}, block["examples"]
            if isinstance(examples, list):
                for example in examples:
                    if intent == "et_si":
                        yield intent, example["text"]
                        continue
                    for passage in example["metadata"]["passages"]:
                        for slot, value in passage["reponses"].items():
                            yield f"repondre-{slot}-{value}", passage["texte"]
                continue
            if intent == "repondre":
                intent = f"repondre-{about['slot']}-{about['valeur']}"
            elif "cible" in about:
                intent = f"{intent}-{about['cible']}"
            for line in examples.splitlines():
                if line.startswith("- "):
                    yield intent, line[2:]


def suggested(rounds: int) -> Hearer:
    """The pipeline that Rasa suggests for French with spaCy, at its settings, trained if the data have changed.

    `rounds`: how often it goes over the examples, `ROUNDS` by its settings.

    Raises:
        RuntimeError: the training failed.
    """
    from rasa.core.agent import Agent

    model = bench_suggested.ready(flat_examples(), rounds)
    agent = Agent.load(str(model))
    loop = asyncio.new_event_loop()

    def hear(text: str, slot: str | None) -> Understood:
        name = str(loop.run_until_complete(agent.parse_message(text))["intent"]["name"])
        kind, _, rest = name.partition("-")
        if kind == "repondre":
            answered, _, value = rest.partition("-")
            return Understood(kind, None, {answered: value})
        return Understood(kind, rest or None)

    return hear


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sans-usuel", action="store_true")
    parser.add_argument("--tours", type=int, default=ROUNDS)
    options = parser.parse_args()
    pipelines: dict[str, Callable[[], Hearer]] = {"usuel": lambda: suggested(options.tours), "bon_moment": ours}
    if options.sans_usuel:
        del pipelines["usuel"]
    found = {}
    for name, make in pipelines.items():
        say("evaluation_mesure", chaine=name)
        found[name] = measure(make())
    # The page is Markdown, made of our own figures: there is nothing to escape.
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
    page = environment.get_template("evaluation.md.j2").render(
        found=found,
        slots=SLOTS,
        messages=sum(
            len(cases(n)) for n in ("answers", "multi", "corrections", "et_si", "digressions", "oos", "commands")
        ),
        examples=sum(1 for _ in flat_examples()),
        rounds=options.tours,
        usual_rounds=ROUNDS,
    )
    print(page)
    if "usuel" in found:
        PAGE.write_text(page, "utf-8")
        say("evaluation_page", page=str(PAGE.relative_to(train.ROOT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

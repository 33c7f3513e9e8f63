"""`make bench`: ours beside the assistant that Rasa's suggested pipeline and policies make of the same data.

Both run side by side on this machine and are asked in turns, for a machine is not as fast at every moment. The figures
go to the terminal and to `docs/performance.md`, from the template beside this file; the parts of a turn to
`docs/images/temps-d-un-tour.svg`. Figures only: nothing fails for being slow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psutil
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts import bench_suggested, evaluate, train
from scripts.bench_stacks import Started, ours, running, suggested
from scripts.bench_suggested import ROUNDS
from scripts.bench_turns import (
    MESSAGES,
    Load,
    Times,
    at_rasa,
    by_events,
    by_length,
    recorded,
    through_door,
    times,
    under_load,
)
from scripts.texts import say
from scripts.topology import postgres_programs, postgresql

HERE = Path(__file__).parent
FOLDER = train.ROOT / "var" / "banc"
PAGE = train.ROOT / "docs" / "performance.md"
PICTURE = train.ROOT / "docs" / "images" / "temps-d-un-tour.svg"
AT_ONCE = (1, 8, 64)
"""Conversations that go on together."""
PARTS = ("porte", "http", "base", "mots", "traits", "ecoute", "regles", "reseau", "actions", "rasa")
"""Those of a turn, in the order in which they are shown."""


@dataclass(frozen=True)
class Pace:
    """How thoroughly it is measured: turns of each kind, seconds of each load, starts, and how far things grow."""

    rounds: int = 60
    seconds: float = 30
    starts: int = 3
    lengths: tuple[int, ...] = (10, 100, 1_000)
    suggested_lengths: tuple[int, ...] = (10, 100)
    events: tuple[int, ...] = (100, 10_000, 1_000_000)


QUICK = Pace(rounds=10, seconds=6, starts=1, lengths=(10, 100), suggested_lengths=(10,), events=(100, 10_000))


@dataclass
class Measured:
    """What one assistant needs. `starts`: seconds; `memory`: (RSS, PSS) of each process in megabytes; `training`:
    seconds, None where it is not known; `lengths` and `events`: milliseconds of a turn.
    """

    starts: list[float] = field(default_factory=list)
    turns: dict[str, Times] = field(default_factory=dict)
    loads: dict[int, Load] = field(default_factory=dict)
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    lengths: dict[int, float] = field(default_factory=dict)
    events: dict[int, float] = field(default_factory=dict)
    training: float | None = None
    heard: evaluate.Figures = field(default_factory=evaluate.Figures)

    @property
    def start(self) -> float:
        """Seconds from the start to the first answer, the median."""
        return statistics.median(self.starts)

    @property
    def held(self) -> float:
        """Megabytes of all processes, what they share counted once."""
        return sum(share for _, share in self.memory.values())


@dataclass(frozen=True)
class Goal:
    """A figure of ours against that of the suggested assistant. `ratio`: ours divided by its; kept up to `most`, or
    from `least` on.
    """

    name: str
    ratio: float
    most: float = float("inf")
    least: float = 0.0

    @property
    def is_kept(self) -> bool:
        return self.least <= self.ratio <= self.most


def goals(found: Mapping[str, Measured]) -> list[Goal]:
    """What was asked of ours, in ratios of one run."""
    usual, own = found["usuel"], found["bon_moment"]
    return [
        *(Goal(kind, own.turns[kind].p50 / usual.turns[kind].p50, most=1 / 4) for kind in MESSAGES),
        *(
            Goal(f"debit_{count}", own.loads[count].rate / max(usual.loads[count].rate, 0.01), least=4)
            for count in AT_ONCE
        ),
        Goal("memoire", own.held / usual.held, most=1 / 2),
        Goal("demarrage", own.start / usual.start, most=1 / 2),
        # Above, not as good as.
        Goal("juste", own.heard.rates["juste"] / max(usual.heard.rates["juste"], 0.1), least=1.000001),
    ]


def measure(pair: Sequence[Started], pace: Pace) -> tuple[dict[str, Measured], int]:
    """Times, turns a second, then memory of assistants that run side by side and are asked in turns, the first of which
    is ours; and by how many conversations.
    """
    found = {started.stack.name: Measured(starts=[started.seconds]) for started in pair}
    say("banc_tours")
    for name, turns in at_rasa([started.stack for started in pair], pace.rounds).items():
        found[name].turns = turns
    conversations = recorded(pair[0].stack)
    for count in AT_ONCE:
        say("banc_debit", nombre=str(count))
        for started in pair:
            load = asyncio.run(under_load(started.stack, conversations, count, pace.seconds))
            found[started.stack.name].loads[count] = load
    for started in pair:
        found[started.stack.name].memory = started.memory()
    return found, len(conversations)


def failed(logs: str) -> None:
    say("banc_echec", journal=logs)


def parts_of(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean milliseconds of each part over the turns that were neither quick nor slow: the middle half."""
    ordered = sorted(turns, key=lambda turn: turn["total"])
    middle = ordered[len(ordered) // 4 : max(1, len(ordered) - len(ordered) // 4)]
    return {part: statistics.mean(turn.get(part, 0.0) for turn in middle) for part in ("total", *PARTS)}


def trained_in(log: Path) -> float | None:
    """Seconds between the first and the last moment that the log of a training names; None without such a log."""
    if not log.exists():
        return None
    said = re.findall(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ", log.read_text("utf-8", "replace"), re.MULTILINE)
    moments = [datetime.fromisoformat(moment) for moment in said]
    return (moments[-1] - moments[0]).total_seconds() if len(moments) > 1 else None


def machine() -> dict[str, Any]:
    """What it was measured on: processor, cores, memory in gigabytes, how busy it was before (mean load)."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return {
        "processeur": named[1] if named else platform.processor(),
        "coeurs": os.cpu_count(),
        "memoire": psutil.virtual_memory().total / 2**30,
        "charge": psutil.getloadavg()[0],
    }


def render(template: str, **values: Any) -> str:
    """A page or a picture from its template, both of our own figures: there is nothing to escape."""
    loader = FileSystemLoader(HERE)
    environment = Environment(  # noqa: S701
        loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"nombre": number, "duree": duration}
    return environment.get_template(template).render(**values)


def number(value: float, digits: int = 0) -> str:
    """A number as French writes it."""
    return f"{value:,.{digits}f}".replace(",", "\u202f").replace(".", ",")


def duration(seconds: float | None) -> str:
    """Seconds, or minutes beyond two."""
    if seconds is None:
        return "?"
    return f"{number(seconds)}\u00a0s" if seconds < 120 else f"{number(seconds / 60)}\u00a0min"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tours", type=int, default=ROUNDS, help="rounds of training of the suggested pipeline")
    parser.add_argument("--rapide", action="store_true", help="fewer turns, shorter loads")
    parser.add_argument("--entrainer", action="store_true", help="train both again, to time it")
    options = parser.parse_args()
    pace = QUICK if options.rapide else Pace()
    where = machine()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    if options.entrainer:
        (bench_suggested.KEPT / "empreinte").unlink(missing_ok=True)
        shutil.rmtree(bench_suggested.KEPT / "cache", ignore_errors=True)
        shutil.rmtree(train.ROOT / ".rasa", ignore_errors=True)
        if not train.train():  # A former model, were it of the same data, is not put back.
            return 1
    elif train.main() != 0:
        return 1
    bench_suggested.ready(evaluate.flat_examples(), options.tours)

    own, usual = ours(FOLDER), suggested(FOLDER)
    say("banc_assistants")
    with running(own, FOLDER, failed) as first, running(usual, FOLDER, failed) as second:
        found, conversations = measure([first, second], pace)
        say("banc_porte")
        door = asyncio.run(through_door(own, pace.rounds))
        say("banc_grandir")
        found["usuel"].lengths = by_length(usual, pace.suggested_lengths)
        found["bon_moment"].lengths = by_length(own, pace.lengths)
        found["bon_moment"].events = by_events(own, pace.events)
    in_postgresql: dict[int, float] = {}
    if postgres_programs():
        say("banc_postgresql")
        with postgresql() as server:
            stack = ours(FOLDER, database=f"{server}/postgres")
            with running(stack, FOLDER, failed):
                in_postgresql = by_events(stack, pace.events)
    say("banc_parts")
    watched = FOLDER / "temps.jsonl"
    stack = ours(FOLDER, database=f"sqlite:///{FOLDER / 'parts.db'}", watched=watched)
    with running(stack, FOLDER, failed):
        each = asyncio.run(through_door(stack, pace.rounds, watched))
    parts = {kind: parts_of(turns) for kind, turns in each.items()}

    say("banc_demarrages")
    for _ in range(pace.starts - 1):
        for make in (ours, suggested):
            with running(make(FOLDER), FOLDER, failed) as started:
                found[started.stack.name].starts.append(started.seconds)

    found["usuel"].training = trained_in(bench_suggested.LOG)
    found["bon_moment"].training = trained_in(train.LOG)
    for name, hearer in (("bon_moment", evaluate.ours), ("usuel", lambda: evaluate.suggested(options.tours))):
        say("evaluation_mesure", chaine=name)
        found[name].heard = evaluate.measure(hearer())

    values = {
        "found": found,
        "door": {kind: times([turn["total"] for turn in turns]) for kind, turns in door.items()},
        "parts": parts,
        "in_postgresql": in_postgresql,
        "goals": goals(found),
        "kinds": tuple(MESSAGES),
        "at_once": AT_ONCE,
        "pace": pace,
        "quick": options.rapide,
        "rounds": options.tours,
        "usual_rounds": ROUNDS,
        "conversations": conversations,
        "machine": where,
        "day": date.today(),
    }
    page = render("performance.md.j2", **values)
    print(page)
    PAGE.write_text(page, "utf-8")
    PICTURE.write_text(render("temps-d-un-tour.svg.j2", parts=parts, order=PARTS), "utf-8")
    say("banc_page", page=str(PAGE.relative_to(train.ROOT)), image=str(PICTURE.relative_to(train.ROOT)))
    shutil.rmtree(FOLDER, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

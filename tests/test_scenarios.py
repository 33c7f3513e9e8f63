"""Whole conversations with the started guide and its real actions, from `tests/scenarios/*.yml`.

A step `dit` (types) or `choisit` (presses a button, by the option's value or the button's title), then says what the
person sees: `texte`/`sans_texte` (pieces of the words), `types` (the kinds of data, in order), `question` (the slot
asked), `etape` ("3/9"), `reponses` (answers stored, among others), `exactement` (all answers stored), `inchange`
(nothing stored), `verdict`, `et_si`, `boutons` (titles).
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from actions.texts import DOMAIN
from tests.conftest import HERE, Conversation

pytestmark = pytest.mark.bot


def load() -> list[Any]:
    found = []
    for file in sorted((HERE / "scenarios").glob("*.yml")):
        for scenario in yaml.safe_load(file.read_text("utf-8")):
            found.append(pytest.param(scenario, id=f"{file.stem}: {scenario['titre']}"))
    return found


@pytest.mark.parametrize("scenario", load())
def test_scenario(scenario: dict[str, Any], conversation: Conversation) -> None:
    stored: dict[str, Any] = {}
    for step in scenario["etapes"]:
        said = step.get("dit", step.get("choisit"))
        conversation.choose(step["choisit"]) if "choisit" in step else conversation.say(step["dit"])
        where = f"after {said!r}, heard:\n{conversation.text()}"
        assert conversation.messages, f"silence {where}"
        for piece in as_list(step.get("texte")):
            assert piece in conversation.text(), f"{piece!r} missing {where}"
        for piece in as_list(step.get("sans_texte")):
            assert piece not in conversation.text(), f"{piece!r} said {where}"
        if "types" in step:
            assert conversation.kinds() == step["types"], where
        if "question" in step:
            question = conversation.custom("question")
            assert (question or {}).get("slot") == step["question"], where
        if "etape" in step:
            question = conversation.custom("question")
            assert question and f"{question['index']}/{question['total']}" == step["etape"], where
        if "boutons" in step:
            titles = [b["title"].replace("’", "'") for b in conversation.buttons]
            assert set(step["boutons"]) <= set(titles), f"{titles} {where}"
        if "verdict" in step:
            verdict = conversation.custom("verdict")
            assert (verdict["verdict"] if verdict else None) == step["verdict"], where
        if "et_si" in step:
            hypothesis = conversation.custom("et_si")
            assert hypothesis and hypothesis["hypothese"] == step["et_si"], where
        now = conversation.slots()
        if step.get("inchange"):
            assert now == stored, where
        if "exactement" in step:
            assert now == step["exactement"], where
        if "reponses" in step:
            assert {slot: now.get(slot) for slot in step["reponses"]} == step["reponses"], where
        stored = now


INTENTS = [i if isinstance(i, str) else next(iter(i)) for i in yaml.safe_load(DOMAIN.read_text("utf-8"))["intents"]]


@pytest.mark.parametrize("where", ["before", "within", "after"])
@pytest.mark.parametrize("intent", INTENTS)
def test_whatever_is_asked_is_answered_once(conversation: Conversation, intent: str, where: str) -> None:
    """Before the questionnaire, within it, after the verdict: no silence, and nothing said over and over."""
    if where != "before":
        conversation.say("/demarrer")
        conversation.choose("certifie")
    while where == "after" and conversation.custom("question"):
        conversation.choose("inconnu")
    conversation.say(f"/{intent}")
    said = [message["text"] for message in conversation.messages if "text" in message]
    assert said
    assert len(set(said)) == len(said), said


def as_list(said: str | list[str] | None) -> list[str]:
    return [] if said is None else [said] if isinstance(said, str) else said

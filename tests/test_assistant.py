"""The linter of the assistant finds what is broken, and finds nothing in ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from scripts import check_assistant


@pytest.fixture
def domain() -> dict[str, Any]:
    return yaml.safe_load((check_assistant.ROOT / "domain.yml").read_text("utf-8"))


def test_our_assistant_has_no_fault(domain: dict[str, Any]) -> None:
    assert list(check_assistant.faults(domain)) == []


def broken(domain: dict[str, Any], change: str) -> dict[str, Any]:
    made = copy.deepcopy(domain)
    responses = made["responses"]
    if change == "a question without its reason":
        del responses["utter_pourquoi_ambition"]
    elif change == "a text that nobody says":
        responses["utter_oublie"] = [{"text": "Oublié."}]
    elif change == "an unknown mark":
        responses["utter_note"][0]["text"] = "C’est noté\u00a0: {inconnu}."
    elif change == "a button to nowhere":
        responses["utter_bienvenue"][0]["buttons"][0]["payload"] = "/partir"
    elif change == "a button with no such value":
        responses["utter_ask_ambition"][0]["buttons"][0]["payload"] = '/repondre{"ambition":"enorme"}'
    else:
        responses["utter_de_rien"][0]["text"] = "De rien !"
    return made


@pytest.mark.parametrize(
    "change",
    [
        "a question without its reason",
        "a text that nobody says",
        "an unknown mark",
        "a button to nowhere",
        "a button with no such value",
        "a plain space before a mark",
    ],
)
def test_a_fault_is_found(domain: dict[str, Any], change: str) -> None:
    assert list(check_assistant.faults(broken(domain, change)))

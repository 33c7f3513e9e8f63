"""The linter of the assistant finds what is broken, and finds nothing in ours."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from actions import texts
from scripts import check_assistant


@pytest.fixture
def domain() -> dict[str, Any]:
    return yaml.safe_load((check_assistant.ROOT / "domain.yml").read_text("utf-8"))


def test_our_assistant_has_no_fault(domain: dict[str, Any]) -> None:
    assert list(check_assistant.faults(domain)) == []


def test_the_words_of_the_console_have_no_fault() -> None:
    web = check_assistant.ROOT / "web"
    files = {name: yaml.safe_load((web / f"{name}.yml").read_text("utf-8")) for name in check_assistant.WORDS}
    assert list(check_assistant.words_faults(files)) == []
    del files["console"]["note_ambition"], files["console"]["pas_prise"], files["atelier"]["ligne_5b"]
    files["console"] |= {"hier": "hier : {heure}", "panne": "Panne."}
    assert list(check_assistant.words_faults(files)) == [
        "missing in web/*.yml: ligne_5b",
        "missing in web/*.yml: note_ambition",
        "missing in web/*.yml: pas_prise",
        "twice in web/*.yml: panne",
        "hier: typography near 'hier : {heu'",
    ]


def test_what_is_said_on_the_phone_is_its_own_text_where_there_is_one() -> None:
    assert texts.spoken("utter_section_maturite") != texts.text("utter_section_maturite")
    assert "Question" not in texts.spoken("utter_ask_ambition")
    assert "Question 4 sur 9" in texts.text("utter_ask_ambition", index="4", total="9")
    assert texts.spoken("utter_note", compris="vous voulez grandir") == texts.text(
        "utter_note", compris="vous voulez grandir"
    )


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
    elif change == "nothing to read aloud":
        del responses["utter_section_maturite"][1]
    elif change == "the variation read aloud comes first":
        responses["utter_section_maturite"].reverse()
    elif change == "a channel that nobody has":
        responses["utter_de_rien"].append({"channel": "telephonne", "text": "Avec plaisir."})
    elif change == "a number read aloud with the question":
        responses["utter_ask_ambition"][1]["text"] = "Question {index}. Que voulez-vous\u00a0?"
    elif change == "buttons read aloud":
        responses["utter_ask_ambition"][1]["buttons"] = responses["utter_ask_ambition"][0]["buttons"]
    elif change == "a parenthesis read aloud":
        responses["utter_section_maturite"][1]["text"] = "Un miroir (ou presque)."
    elif change == "a plain space read aloud":
        responses["utter_section_maturite"][1]["text"] = "Un miroir !"
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
        "nothing to read aloud",
        "the variation read aloud comes first",
        "a channel that nobody has",
        "a number read aloud with the question",
        "buttons read aloud",
        "a parenthesis read aloud",
        "a plain space read aloud",
        "a plain space before a mark",
    ],
)
def test_a_fault_is_found(domain: dict[str, Any], change: str) -> None:
    assert list(check_assistant.faults(broken(domain, change)))

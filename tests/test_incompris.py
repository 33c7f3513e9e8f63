"""The messages that were not understood: the table that staff read, the examples made of what they say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scripts import exemples, incompris
from web.followup import FollowUp


@pytest.fixture
def followup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FollowUp:
    url = f"sqlite:///{tmp_path / 'base.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    made = FollowUp(url)
    made.add_not_understood("a", "ambition", "bof\nbof", "repondre", 0.41)
    made.add_not_understood("b", None, "=1+1", None, None)
    return made


def test_each_message_not_understood_stands_with_its_question(
    followup: FollowUp, capsys: pytest.CaptureFixture[str]
) -> None:
    followup.set_meaning(1, "reponse:ambition:stable", 1)
    assert incompris.main() == 0
    shown = capsys.readouterr().out
    assert shown.startswith("jour,question,message,pris_pour,certitude,sens")
    assert ',ambition,"bof\nbof",repondre,0.41,reponse:ambition:stable' in shown.replace("\r", "")
    # No question was open; a formula would run in a spreadsheet.
    assert ",,'=1+1,,," in shown


def test_what_the_staff_say_becomes_examples_to_review(followup: FollowUp, capsys: pytest.CaptureFixture[str]) -> None:
    followup.add_not_understood("c", "ambition", "${HOME} [x](y) grandir", None, None)
    followup.add_not_understood("c", "maturite", "c combien", None, None)
    followup.add_not_understood("c", None, "tarif du pain", None, None)
    followup.add_not_understood("c", None, "je ne sais trop", None, None)
    meanings = ("reponse:ambition:stable", None, "reponse:ambition:croissance", "faq:cout", "autre:hors_sujet")
    for number, meaning in enumerate((*meanings, "autre:ambigu"), 1):
        followup.set_meaning(number, meaning, 1)
    assert exemples.main() == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# À relire")
    blocks = yaml.safe_load(shown)["nlu"]
    assert [(b["intent"], b.get("metadata"), b["examples"]) for b in blocks] == [
        ("repondre", {"slot": "ambition", "valeur": "stable", "en_contexte": True}, "- bof bof\n"),
        # What Rasa would take for a variable or an entity is words only.
        ("repondre", {"slot": "ambition", "valeur": "croissance", "en_contexte": True}, "- HOME   x (y) grandir\n"),
        ("faq", {"cible": "cout"}, "- c combien\n"),
        ("hors_sujet", None, "- tarif du pain\n"),
    ]


def test_nothing_to_show_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'vide.db'}")
    assert incompris.main() == 0
    assert exemples.main() == 0
    shown = capsys.readouterr().out
    assert "Aucun message non compris" in shown
    assert "Aucun message dont" in shown

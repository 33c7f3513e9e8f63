"""The table of the messages that were not understood: what staff will read in it, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from scripts import incompris


def said(text: str, intent: str, ranking: list[dict[str, object]] | None = None) -> dict[str, object]:
    parse = {"intent": {"name": intent}, "intent_ranking": ranking or []}
    return {"event": "user", "text": text, "timestamp": 1_795_000_000.0, "parse_data": parse}


def asked(slot: str | None) -> dict[str, object]:
    return {"event": "slot", "name": "requested_slot", "value": slot}


EVENTS = {
    "a": [asked("ambition"), said("bof\nbof", "nlu_fallback", [{"name": "repondre", "confidence": 0.41}])],
    "b": [said("bonjour", "saluer"), asked(None), said("=1+1", "hors_sujet")],
}


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'base.db'}"
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("create table events (id integer primary key, sender_id text, data text)")
        for sender, events in EVENTS.items():
            for event in events:
                connection.exec_driver_sql(
                    "insert into events (sender_id, data) values (?, ?)", (sender, json.dumps(event))
                )
    return url


def test_each_message_not_understood_stands_with_its_question(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    assert incompris.main() == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "jour,question,message,pris_pour,certitude"
    assert any(line.endswith(",ambition,bof bof,repondre,0.41") for line in shown)
    # No question was open; a formula would run in a spreadsheet.
    assert any(line.endswith(",,'=1+1,,0.00") for line in shown)
    assert not any("bonjour" in line for line in shown)


def test_nothing_to_show_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'vide.db'}")
    assert incompris.main() == 0
    assert "Aucun message non compris" in capsys.readouterr().out

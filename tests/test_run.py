"""The commands: secrets made once, a busy port said, a model trained only when what it is made of changes."""

from __future__ import annotations

import socket
from pathlib import Path

import jsonschema
import pytest
from rasa.core.actions.action import RemoteAction

from scripts import run, train
from server import turn


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "SECRETS", tmp_path / "secrets.env")
    return tmp_path


def test_secrets_are_made_once_and_kept_private(home: Path) -> None:
    first, second = run.configuration({}), run.configuration({})
    assert first["RASA_TOKEN"] == second["RASA_TOKEN"] and len(first["BON_MOMENT_SECRET"]) >= 24
    assert (home / "secrets.env").stat().st_mode & 0o077 == 0


def test_the_environment_wins_over_defaults_and_kept_secrets(home: Path) -> None:
    run.configuration({})
    env = run.configuration({"RASA_TOKEN": "le-mien", "RASA_PORT": "5999"})
    assert env["RASA_TOKEN"] == "le-mien" and env["RASA_URL"].endswith(":5999")


def test_only_the_door_can_listen_beyond_the_machine(home: Path) -> None:
    env = run.configuration({"BON_MOMENT_HOTE": "0.0.0.0"})
    commands = {service.name: service.command for service in run.services(env)}
    assert env["SANIC_HOST"] == "127.0.0.1"
    assert commands["rasa"][commands["rasa"].index("--interface") + 1] == "127.0.0.1"
    assert commands["porte"][commands["porte"].index("--host") + 1] == "0.0.0.0"


def test_a_busy_port_is_named_with_the_variable_that_changes_it(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = run.configuration({"RASA_PORT": port, "ACTIONS_PORT": "0", "BON_MOMENT_PORT": "0"})
        assert run.busy_port(env, with_door=True) == ("RASA_PORT", port)


def test_the_model_is_stale_when_a_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, stamp, source = (tmp_path / name for name in ("modele.tar.gz", "empreinte", "domain.yml"))
    source.write_text("a")
    monkeypatch.setattr(train, "ROOT", tmp_path)
    monkeypatch.setattr(train, "MODEL", model)
    monkeypatch.setattr(train, "STAMP", stamp)
    monkeypatch.setattr(train, "sources", lambda: [source])
    assert not train.is_fresh()
    model.write_text("modèle")
    stamp.write_text(train.fingerprint())
    assert train.is_fresh()
    source.write_text("b")
    assert not train.is_fresh()


def test_a_workshop_is_open_to_the_room_in_a_database_of_its_own(home: Path) -> None:
    env = run.configuration(run.WORKSHOP)
    assert (env["BON_MOMENT_HOTE"], env["BON_MOMENT_ATELIER"]) == ("0.0.0.0", "ouvert")
    assert env["DATABASE_URL"] != run.configuration({})["DATABASE_URL"]
    assert run.configuration({**run.WORKSHOP, "DATABASE_URL": "sqlite:///autre.db"})["DATABASE_URL"].endswith(
        "autre.db"
    )


@pytest.mark.parametrize(
    ("addresses", "host", "said"),
    [
        (["192.168.1.20", "10.0.0.5"], "0.0.0.0", ["http://192.168.1.20:8090/salle", "http://10.0.0.5:8090/salle"]),
        ([], "0.0.0.0", ["Aucun réseau"]),
        (["192.168.1.20"], "127.0.0.1", ["Aucun réseau"]),
    ],
)
def test_the_addresses_by_which_the_room_joins_are_printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    addresses: list[str],
    host: str,
    said: list[str],
) -> None:
    monkeypatch.setattr(run, "local_addresses", lambda: addresses)
    run.say_how_to_join("http://localhost:8090/", {"BON_MOMENT_HOTE": host, "BON_MOMENT_PORT": "8090"})
    printed = capsys.readouterr().out
    assert "http://localhost:8090/atelier" in printed
    assert all(words in printed for words in said)
    assert printed.count("/salle") == len(said) * (host != "127.0.0.1" and bool(addresses))


def test_rasa_still_refuses_what_is_no_answer_of_an_action(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, _ in turn.REPLACED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    turn.install()
    action = RemoteAction("action_essai", None)
    good = {"events": [{"event": "slot", "name": "ambition", "value": "stable"}], "responses": []}
    assert action._validate_action_result(good)
    for wrong in ({"events": [{"name": "ambition"}], "responses": []}, {"events": 3}, []):
        with pytest.raises(jsonschema.ValidationError):
            action._validate_action_result(wrong)

"""The commands: secrets made once, what is wrong said in one line before anything starts, a model trained only when
need be, and services that die started again.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fastjsonschema
import pytest
from rasa.core.actions.action import RemoteAction

from scripts import faults, run, train
from scripts.run import ROOT, Service, Supervisor
from server import turn
from tests.conftest import Postgres, free_port
from tests.staff import until

PATIENCE = 60
"""Seconds after which something that should come is said not to come."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run, "SECRETS", tmp_path / "secrets.env")
    return tmp_path


def test_secrets_are_made_once_and_kept_private(home: Path) -> None:
    first, second = run.configuration({}), run.configuration({})
    assert first["RASA_TOKEN"] == second["RASA_TOKEN"] and len(first["BON_MOMENT_SECRET"]) >= 24
    assert (home / "secrets.env").stat().st_mode & 0o077 == 0


def test_what_is_kept_is_closed_to_the_other_accounts_of_the_machine(home: Path) -> None:
    home.chmod(0o755)
    run.configuration({})
    assert home.stat().st_mode & 0o777 == 0o700


def test_secrets_that_are_given_need_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SECRETS", home / "nulle-part" / "var" / "secrets.env")
    env = run.configuration({"RASA_TOKEN": "un", "BON_MOMENT_SECRET": "deux"})
    assert (env["RASA_TOKEN"], env["BON_MOMENT_SECRET"]) == ("un", "deux") and list(home.iterdir()) == []
    with pytest.raises(faults.Fault, match="ne peut pas être écrit"):
        run.configuration({"RASA_TOKEN": "un"})


def test_root_is_sent_to_the_account_of_the_guide(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(home, 65_534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(faults.Fault, match="sous ce compte"):
        run.configuration({})
    assert list(home.iterdir()) == []


def test_no_secret_is_on_a_command_line(home: Path) -> None:
    env = run.configuration({})
    for service in run.services(env):
        assert env["RASA_TOKEN"] not in service.command and env["BON_MOMENT_SECRET"] not in service.command


def test_the_environment_wins_over_defaults_and_kept_secrets(home: Path) -> None:
    run.configuration({})
    env = run.configuration({"RASA_TOKEN": "le-mien", "RASA_PORT": "5999"})
    assert env["RASA_TOKEN"] == "le-mien" and env["RASA_URL"].endswith(":5999")


def test_only_the_door_can_listen_beyond_the_machine(home: Path) -> None:
    env = run.configuration({"BON_MOMENT_HOTE": "0.0.0.0"})
    commands = {service.name: service.command for service in run.services(env)}
    assert env["SANIC_HOST"] == "127.0.0.1"
    assert commands["rasa"][commands["rasa"].index("--interface") + 1] == "127.0.0.1"


# ── what is wrong is said before anything starts ──


@pytest.fixture
def tree(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the configuration, to be spoilt."""
    monkeypatch.setattr(faults, "ROOT", home)
    for file in (*ROOT.glob("*.yml"), *(ROOT / "web").glob("*.yml")):
        copy = home / file.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    return home


def said(**changes: str) -> str:
    """The sentence that refuses to start with these variables; empty where nothing is wrong."""
    ports = {name: free_port() for name in faults.PORTS}
    base = {"DATABASE_URL": f"sqlite:///{run.SECRETS.parent / 'base.db'}"}
    try:
        faults.check(run.configuration({**ports, **base, **changes}))
    except SystemExit as fault:
        sentence = str(fault)
        assert sentence and "\n" not in sentence and "{" not in sentence
        return sentence
    return ""


def test_nothing_is_wrong_with_what_is_here(tree: Path) -> None:
    assert said() == ""
    assert said(BON_MOMENT_HOTE="0.0.0.0", BON_MOMENT_DATE="2026-11-23", BON_MOMENT_CONSERVATION_JOURS="7") == ""


@pytest.mark.parametrize(
    "name", ["config.yml", "domain.yml", "endpoints.yml", "credentials.yml", "web/messages.yml", "web/console.yml"]
)
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.unlink(), "manque"),
        (lambda file: file.write_text(""), "vide"),
        (lambda file: file.write_text("- a\n"), "forme"),
        (lambda file: file.write_bytes(b"a: \xff\xfe"), "UTF-8"),
        (lambda file: file.write_text('a: 1\nb: "x\n'), "ligne"),
        (lambda file: file.write_text("a: 1\n\tb: 2\n"), "ligne 2"),
        (lambda file: file.write_text("a: b: c\n"), "ligne 1"),
    ],
    ids=["missing", "empty", "a list", "not text", "open quote", "tab", "two colons"],
)
def test_a_file_that_cannot_be_read_is_named(tree: Path, name: str, spoil: Callable[[Path], None], words: str) -> None:
    spoil(tree / name)
    sentence = said()
    assert name in sentence and words in sentence


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in faults.NEEDED.items() for part in parts])
def test_a_file_that_lost_a_part_is_named_with_the_part(tree: Path, name: str, part: str) -> None:
    file = tree / name
    file.write_text(file.read_text("utf-8").replace(f"\n{part}:", f"\nautre_{part}:"), "utf-8")
    sentence = said()
    assert name in sentence and f"«\u00a0{part}\u00a0»" in sentence


@pytest.mark.parametrize("kept", ["RASA_TOKEN", "=x", "RASA_TOKEN=", "RASA_TOKEN=a\nn'importe quoi", "\0\x01"])
def test_spoilt_secrets_are_said_and_never_replaced(tree: Path, kept: str) -> None:
    run.SECRETS.write_text(kept)
    assert "secrets.env" in said()
    assert run.SECRETS.read_text() == kept


def test_secrets_may_have_comments_and_blank_lines(tree: Path) -> None:
    run.SECRETS.write_text("# à garder\n\nRASA_TOKEN=a=b\n")
    assert run.configuration({})["RASA_TOKEN"] == "a=b"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *((port, value) for port in faults.PORTS for value in ("abc", "0", "65536", "-1", "80 80", "", "²")),
        *(
            (variable, value)
            for variable in ("BON_MOMENT_CONSERVATION_JOURS", "BON_MOMENT_ABSENCE_SECONDES")
            for value in ("trente", "0", "-5", "nan", "inf", "")
        ),
        ("BON_MOMENT_OUVERTURES_PAR_MINUTE", "beaucoup"),
        ("BON_MOMENT_DATE", "demain"),
        ("BON_MOMENT_DATE", "2026-02-30"),
        ("BON_MOMENT_FUSEAU", "Europe/Lutèce"),
        ("BON_MOMENT_FUSEAU", "../etc/passwd"),
        ("BON_MOMENT_HOTE", "pas une adresse"),
        ("BON_MOMENT_HOTE", "203.0.113.7"),
        ("BON_MOMENT_ORIGINES", "cabinet"),
        ("DATABASE_URL", "n'importe quoi"),
        ("DATABASE_URL", "oracle9://a@b/c"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "postgresql://moi:tres-secret@127.0.0.1:port/base"),
        ("REDIS_URL", "n'importe quoi"),
    ],
)
def test_a_variable_without_a_possible_value_is_named(tree: Path, variable: str, value: str) -> None:
    sentence = said(**{variable: value})
    assert variable in sentence and "tres-secret" not in sentence


def test_two_services_on_one_port_are_named(tree: Path) -> None:
    port = free_port()
    sentence = said(RASA_PORT=port, BON_MOMENT_PORT=port)
    assert "RASA_PORT" in sentence and "BON_MOMENT_PORT" in sentence and port in sentence


def test_a_busy_port_is_named_with_the_variable_that_changes_it(tree: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        sentence = said(RASA_PORT=port)
        assert "RASA_PORT=" in sentence and port in sentence


def test_a_database_that_cannot_be_had_is_said(tree: Path) -> None:
    assert str(tree / "absent") in said(DATABASE_URL=f"sqlite:///{tree}/absent/base.db")
    spoilt = tree / "abimee.db"
    spoilt.write_bytes(b"rien de tel" * 999)
    assert str(spoilt) in said(DATABASE_URL=f"sqlite:///{spoilt}")
    sentence = said(DATABASE_URL=f"postgresql://moi:tres-secret@127.0.0.1:{free_port()}/base")
    assert "DATABASE_URL" in sentence and "tres-secret" not in sentence
    assert "REDIS_URL" in said(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")


def test_a_database_that_answers_is_no_fault(tree: Path, postgres: Postgres) -> None:
    with postgres.database() as url:
        assert said(DATABASE_URL=url) == ""


def test_the_command_says_it_in_one_line_and_starts_nothing(tree: Path) -> None:
    port = free_port()
    env = {**os.environ, "RASA_PORT": "abc", "BON_MOMENT_PORT": port, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.run"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert "RASA_PORT" in ended.stderr and len(ended.stderr.splitlines()) == 1 and ended.stdout == ""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", int(port)))


# ── the model ──


DOMAIN = "intents: [a]\nslots: {b: 1}\nresponses: {c: 1}\n"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that is up to date, made of one source; what else is made stays beside it."""
    names = {"MODEL": "modele.tar.gz", "STAMP": "empreinte", "KEPT": "precedents", "LOG": "var/journal"}
    monkeypatch.setattr(train, "ROOT", tmp_path)
    for constant, name in names.items():
        monkeypatch.setattr(train, constant, tmp_path / name)
    (tmp_path / "domain.yml").write_text(DOMAIN)
    (tmp_path / "actions").mkdir()
    (tmp_path / "actions" / "diagnostic.py").touch()
    monkeypatch.setattr(train, "sources", lambda: [tmp_path / "domain.yml"])
    train.MODEL.write_bytes(gzip.compress(os.urandom(5_000)))
    train.STAMP.write_text(train.fingerprint() + "\n")
    return train.MODEL


def spoilings(model: Path) -> Iterator[bytes | None]:
    """What may have become of a file; None where it is gone."""
    whole = model.read_bytes()
    yield from (None, b"", b"x", whole[:-1], whole[:2_000], whole[:2_000] + b"x" + whole[2_001:], b"x" * len(whole))


def test_the_model_is_stale_when_a_source_changes(model: Path) -> None:
    assert train.is_fresh()
    (train.ROOT / "domain.yml").write_text(DOMAIN + "d: 1")
    assert not train.is_fresh()
    train.STAMP.unlink()
    assert not train.is_fresh()


def test_a_spoilt_model_is_made_again(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rasa's training is left out: it takes half an hour."""
    whole = model.read_bytes()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: FakeTraining(model, whole))
    for spoilt in spoilings(model):
        shutil.rmtree(train.KEPT, ignore_errors=True)
        model.unlink(missing_ok=True)
        if spoilt is not None:
            model.write_bytes(spoilt)
        assert not train.is_fresh()
        assert train.main() == 0 and train.is_fresh()
        assert "abîmé" in capsys.readouterr().out


def test_a_spoilt_model_that_was_kept_is_put_back_without_training(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.read_bytes()
    train.keep()
    monkeypatch.setattr(train, "train", lambda: pytest.fail("it trains"))
    for spoilt in spoilings(model):
        model.write_bytes(spoilt or b"")
        assert train.main() == 0
        assert model.read_bytes() == whole


class FakeTraining:
    """Stands for Rasa's own training: writes the model, or fails."""

    def __init__(self, model: Path, made: bytes, code: int = 0) -> None:
        self.stdout = iter(["oreille : 10\n"])
        self.code = code
        model.write_bytes(made)

    def wait(self) -> int:
        return self.code


def test_a_broken_source_is_named_before_training(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "ROOT", train.ROOT)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it trains"))
    (train.ROOT / "domain.yml").write_text("a: 1\nb: c: d\n")
    with pytest.raises(SystemExit, match=r"domain\.yml .*ligne 2"):
        train.main()


def test_a_training_that_fails_is_said_and_leaves_the_model_stale(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (train.ROOT / "domain.yml").write_text(DOMAIN + "d: 1")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: FakeTraining(model, b"", code=1))
    assert train.main() == 1 and not train.is_fresh()
    assert "var/journal" in capsys.readouterr().out.splitlines()[-1]


# ── services that die ──

SERVER = """
import http.server, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class Watched:
    """A supervisor of two small servers, `un` and `deux`, that watches in the background until it gives up."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.failure: str | None = None
        assert supervisor.start() is None
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        self.failure = self.supervisor.watch()

    def pid(self, name: str) -> int:
        return self.supervisor.running[name].process.pid

    def back(self, name: str, other_than: int) -> int:
        """Wait until a service answers from another process than that one; its process."""
        one = self.supervisor.running[name]
        until(lambda: one.process.pid != other_than and one.ready is not None, f"{name} does not come back", PATIENCE)
        assert run.answers(one.service.ready)
        return one.process.pid


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, logs: Path) -> Iterator[Watched]:
    ports = {"un": free_port(), "deux": free_port()}
    services = [
        Service(name, [sys.executable, "-c", SERVER, port], f"http://127.0.0.1:{port}/") for name, port in ports.items()
    ]
    monkeypatch.setattr(run, "services", lambda *_: services)
    for constant, value in {"LOGS": logs, "LOOK": 0.02, "HEAR": 0.02, "PAUSES": (0.0, 0.1, 0.1)}.items():
        monkeypatch.setattr(run, constant, value)
    supervisor = Supervisor({"PATH": os.environ["PATH"]})
    try:
        yield Watched(supervisor)
    finally:
        supervisor.stop()


def test_a_service_that_is_killed_is_started_again_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(monkeypatch, tmp_path) as guide:
        before, other = guide.pid("un"), guide.pid("deux")
        (tmp_path / "un.log").write_text("ce qui s'est passé\n")
        os.kill(before, signal.SIGKILL)
        after = guide.back("un", before)
        assert guide.pid("deux") == other
        assert "ce qui s'est passé" in (tmp_path / "un.log").read_text()
        printed = capsys.readouterr().out
        assert printed.count("«\u00a0un\u00a0» s’est arrêté (signal 9)") == 1
        assert "var/journaux/un.log" in printed and "deux" not in printed.split("arrêté", 1)[1]
        guide.supervisor.stop()
        guide.thread.join(PATIENCE)
        assert guide.failure is None
    with pytest.raises(ProcessLookupError):
        os.kill(after, 0)


def test_a_service_that_keeps_dying_is_given_up_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with watched(monkeypatch, tmp_path) as guide:
        guide.supervisor.running["un"].service.command[:] = [sys.executable, "-c", "1/0"]
        os.kill(guide.pid("un"), signal.SIGKILL)
        guide.thread.join(PATIENCE)
        assert guide.failure and "un" in guide.failure and "4 fois" in guide.failure.replace("\u00a0", " ")
        assert "\n" not in guide.failure and "var/journaux/un.log" in guide.failure
        assert (tmp_path / "un.log").read_text().count("ZeroDivisionError") == 3


def test_deaths_far_apart_never_give_a_service_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "STEADY", 0.0)
    with watched(monkeypatch, tmp_path) as guide:
        pid = guide.pid("un")
        for _ in range(5):
            os.kill(pid, signal.SIGKILL)
            pid = guide.back("un", pid)
        assert guide.thread.is_alive()


def test_a_service_that_runs_but_answers_no_more_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "MUTE", 3.0)
    monkeypatch.setattr(run, "ASK", 1.0)
    with watched(monkeypatch, tmp_path) as guide:
        before = guide.pid("un")
        os.kill(before, signal.SIGSTOP)
        guide.back("un", before)
        assert "ne répondait plus" in capsys.readouterr().out


def test_a_service_that_dies_while_starting_is_said_and_all_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = Service("bon", [sys.executable, "-c", SERVER, (port := free_port())], f"http://127.0.0.1:{port}/")
    bad = Service("mauvais", [sys.executable, "-c", "1/0"], f"http://127.0.0.1:{free_port()}/")
    monkeypatch.setattr(run, "services", lambda *_: [bad, good])
    monkeypatch.setattr(run, "LOGS", tmp_path)
    supervisor = Supervisor({})
    failure = supervisor.start()
    supervisor.stop()
    assert failure and "mauvais" in failure and "var/journaux/mauvais.log" in failure
    assert supervisor.running["bon"].process.poll() is not None
    # Who starts it again, as systemd does, can still read why it stopped.
    supervisor = Supervisor({})
    supervisor.start()
    supervisor.stop()
    assert (tmp_path / "mauvais.precedent.log").read_text().count("ZeroDivisionError") == 1
    assert (tmp_path / "mauvais.log").read_text().count("ZeroDivisionError") == 1


# ── the rest ──


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
    for wrong in (
        {"events": [{"name": "ambition"}], "responses": []},
        {"events": [{"event": "slot", "name": 3, "value": "stable"}]},
        {"events": [{"event": "slot", "value": "stable"}]},
        {"events": [{"event": "inventé"}]},
        {"events": ["slot"]},
        {"events": [], "responses": ["bonjour"]},
        {"events": 3},
        [],
    ):
        with pytest.raises(fastjsonschema.JsonSchemaValueException):
            action._validate_action_result(wrong)

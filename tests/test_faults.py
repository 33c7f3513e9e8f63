"""Conversations under way while something breaks: a process is killed, the disk is full, the clock jumps, messages come
twice, together or late. Nothing that was answered is lost, nothing is doubled, and the verdict is right in the end.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeSerializer
from playwright.sync_api import Browser, expect
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from actions.diagnostic import SLOTS, diagnostiquer
from scripts import run, train
from scripts.run import ROOT, Supervisor, configuration
from tests import staff
from tests.conftest import free_port
from tests.test_widget import arrive
from web.views import SAID

pytestmark = pytest.mark.bot
PATIENCE = 120
"""Seconds after which something that should come is said not to come."""
CLOCK = """
import os, time
_time, _time_ns = time.time, time.time_ns
def shift():
    try:
        with open(os.environ["ESSAI_HORLOGE"]) as file:
            return float(file.read() or 0)
    except OSError:
        return 0.0
time.time = lambda: _time() + shift()
time.time_ns = lambda: _time_ns() + int(shift() * 1e9)
"""
"""What each process of the guide runs first (`sitecustomize`): its clock is late or early by the seconds of a file."""


until = partial(staff.until, seconds=PATIENCE)


@dataclass
class Machine:
    """The whole guide as `make run` keeps it running: started again where it dies, on a clock that can be moved."""

    supervisor: Supervisor
    env: dict[str, str]
    clock: Path
    disk: Path | None
    """The small disk of its database and logs, where the tests could mount one."""

    @property
    def door(self) -> str:
        return f"http://127.0.0.1:{self.env['BON_MOMENT_PORT']}"

    def pid(self, service: str) -> int:
        return self.supervisor.running[service].process.pid

    def kill(self, service: str) -> Callable[[], object]:
        """Kill a service outright; what is returned waits until it is back."""
        one, before = self.supervisor.running[service], self.pid(service)
        os.kill(before, signal.SIGKILL)
        return lambda: until(
            lambda: one.process.pid != before and run.answers(one.service.ready), f"{service} does not come back"
        )

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not a byte is left on the disk; without a disk of its own, no process can make a file any larger."""
        if self.disk:
            with closing(sqlite3.connect(self.env["DATABASE_URL"].removeprefix("sqlite:///"))) as base:
                # SQLite writes over what its journal no longer needs, which takes no room: let it begin anew.
                emptied = partial(base.execute, "PRAGMA wal_checkpoint(TRUNCATE)")
                until(lambda: emptied().fetchone()[0] == 0, "the journal of SQLite is held")
            filler = self.disk / "plein"
            try:
                with filler.open("wb", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(bytes(4096))
                yield
            finally:
                filler.unlink()
            return

        def limit(size: int) -> None:
            for name in self.supervisor.running:
                resource.prlimit(self.pid(name), resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        limit(0)
        try:
            yield
        finally:
            limit(resource.RLIM_INFINITY)

    @contextmanager
    def at(self, hours: float) -> Iterator[None]:
        """The clock is that many hours early, late where they are negative."""
        self.clock.write_text(str(3_600 * hours))
        try:
            yield
        finally:
            self.clock.write_text("0")

    def events(self, conversation: str) -> list[dict[str, Any]]:
        """What is kept of a conversation, in the order in which it was written."""
        base = create_engine(self.env["DATABASE_URL"], poolclass=NullPool, future=True)
        query = text("SELECT data FROM events WHERE sender_id = :conversation ORDER BY id")
        with base.connect() as connection:
            return [json.loads(row.data) for row in connection.execute(query, {"conversation": conversation})]

    def tracker(self, conversation: str) -> dict[str, Any]:
        url = f"{self.env['RASA_URL']}/conversations/{conversation}/tracker"
        return httpx.get(url, params={"token": self.env["RASA_TOKEN"], "include_events": "ALL"}, timeout=60).json()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    assert train.is_fresh() or train.train(), "no model could be trained"
    home = tmp_path_factory.mktemp("pannes")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(home)]
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    (home / "sitecustomize.py").write_text(CLOCK)
    ports = {name: free_port() for name in ("BON_MOMENT_PORT", "RASA_PORT", "ACTIONS_PORT")}
    changes = {"DATABASE_URL": f"sqlite:///{home}/essai.db", "BON_MOMENT_DATE": "2026-11-23"}
    for limit in ("OUVERTURES", "REQUETES", "MESSAGES"):
        changes[f"BON_MOMENT_{limit}_PAR_MINUTE"] = "100000"
    env = configuration({**os.environ, **ports, **changes})
    env |= {"PYTHONPATH": f"{home}:{ROOT}", "ESSAI_HORLOGE": str(home / "horloge")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "LOGS", home / "journaux" if mounted else run.LOGS / "pannes")
        patch.setattr(run, "STEADY", 0.0)  # They are killed on purpose: none is to be given up.
        supervisor = Supervisor(env)
        watch = threading.Thread(target=supervisor.watch, daemon=True)
        try:
            failure = supervisor.start()
            assert failure is None, failure
            watch.start()
            yield Machine(supervisor, env, home / "horloge", home if mounted else None)
            assert watch.is_alive(), "the supervisor has given up"
        finally:
            supervisor.stop()
            if mounted:
                subprocess.run(["umount", "--lazy", str(home)], check=True)


class Visitor:
    """A page of the guide: it listens in the background, and listens again where the line is cut."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.client = httpx.Client(base_url=machine.door, timeout=PATIENCE)
        token = self.client.post("/api/conversation", json={}).raise_for_status().json()["jeton"]
        self.client.headers["authorization"] = f"Bearer {token}"
        signer = URLSafeSerializer(machine.env["BON_MOMENT_SECRET"], salt="conversation")
        self.conversation = str(signer.loads(token))
        self.sent: list[str] = []
        self.shown: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.lines = 0
        self.closed = False
        threading.Thread(target=self._listen, daemon=True).start()
        self.ended("ouverture")

    def _listen(self) -> None:
        while not self.closed:
            with suppress(httpx.HTTPError):
                self._hear()
            time.sleep(0.2)

    def _hear(self) -> None:
        kind = ""
        with self.client.stream("GET", "/api/evenements") as page:
            for line in page.iter_lines():
                if self.closed:
                    return
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    if kind == "historique":
                        self.shown = list(data["messages"])
                        self.lines += 1
                    elif kind == "message":
                        known = [m["id"] for m in self.shown]
                        at = known.index(data["id"]) if data["id"] in known else len(known)
                        self.shown[at : at + 1] = [data]
                    self.told.append((kind, data))

    def post(self, body: dict[str, Any]) -> None:
        """Send a message as the widget does: again, under its key, until the door has taken it."""

        def taken() -> bool:
            try:
                answer = self.client.post("/api/messages", json=body)
            except httpx.TransportError:
                return False
            assert answer.status_code in (202, 503), answer.text
            return answer.status_code == 202

        until(taken, "the door does not take the message")

    def outcome(self, key: str) -> dict[str, Any] | None:
        """What came of a message: the last answer, or that it was lost; None while nothing is known."""
        answered = [m for m in self.shown if m["id"].startswith(f"{key}:") and m["de"] == "guide"]
        last = next((m for m in answered if m.get("boutons") or "carte" in m), None)
        lost = [data for kind, data in self.told if kind == "panne" and data.get("cle") == key]
        return last or (lost[-1] if lost else None)

    def ended(self, key: str) -> dict[str, Any]:
        """The end of a turn: the question asked next, the verdict, or what is said of the loss."""
        return until(lambda: self.outcome(key), f"nothing comes of {key}")

    def say(self, said: str | None = None, meanwhile: Callable[[], object] = lambda: None) -> int:
        """Type a message, or press the first button of the last question, until it is answered: again under its key
        where it was lost. `meanwhile` happens once the door has it. How often it was said to be lost.
        """
        key, lost = secrets.token_hex(8), 0
        body = {"cle": key, **({"texte": said} if said else {"choix": self.question()["boutons"][0]["choix"]})}
        self.sent.append(key)
        while True:
            lines = self.lines
            self.post(body)
            meanwhile()
            meanwhile = lambda: None  # noqa: E731 - once.
            found = until(lambda: self.outcome(key) or self.lines > lines, f"nothing comes of {key}")  # noqa: B023
            if found is True:  # The line was cut, and the conversation read again does not have it: it goes again.
                continue
            if "renvoyer" not in found:
                return lost
            assert found["texte"] == SAID["indisponible"] and found["renvoyer"] == (said or "")
            lost += 1
            self.told = [(kind, data) for kind, data in self.told if data.get("cle") != key]

    def send(self, body: dict[str, Any]) -> str:
        """Send a message and wait for nothing. Its key."""
        key = body.setdefault("cle", secrets.token_hex(8))
        if key not in self.sent:
            self.sent.append(key)
        self.post(body)
        return str(key)

    def question(self) -> dict[str, Any]:
        """The last message that has buttons."""
        return next(m for m in reversed(self.shown) if m.get("boutons"))

    def open_slot(self) -> str:
        return str(self.question()["donnees"]["slot"])

    def to_the_verdict(self) -> None:
        """Press the first button of each question, then look at all that is kept."""
        while not any("carte" in m for m in self.shown):
            assert len(self.sent) < 40, "there is no end to it"
            self.say()
        self.check()
        card = next(m["carte"] for m in reversed(self.shown) if "carte" in m)
        assert card["verdict"] == diagnostiquer(self.slots()).verdict

    def slots(self) -> dict[str, str | None]:
        kept = self.machine.tracker(self.conversation)["slots"]
        return {slot: kept[slot] for slot in SLOTS if kept.get(slot) is not None}

    def check(self) -> None:
        """Each message that was sent is kept once, in order, and answered; a page opened now shows the same."""
        events = self.machine.events(self.conversation)
        said = [event["metadata"]["cle"] for event in events if event["event"] == "user"]
        assert said == ["ouverture", *self.sent]
        turns = "".join({"user": "U", "bot": "b"}.get(event["event"], "") for event in events)
        assert all(turns.split("U")[1:]), "a message was kept without its answer"
        read = self.machine.tracker(self.conversation)["events"]
        assert [event["event"] for event in read] == [event["event"] for event in events], "Rasa reads another order"
        assert max(Counter(m["id"] for m in self.shown).values()) == 1
        assert [(m["id"], m["texte"]) for m in self.history()] == [(m["id"], m["texte"]) for m in self.shown]

    def history(self) -> list[dict[str, Any]]:
        """What a page that is opened now shows."""
        kind = ""
        with self.client.stream("GET", "/api/evenements") as page:
            for line in page.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind == "historique":
                    return json.loads(line.removeprefix("data: "))["messages"]
        raise AssertionError("the page was closed")


@pytest.fixture
def visitor(machine: Machine) -> Iterator[Visitor]:
    found = Visitor(machine)
    yield found
    found.closed = True
    found.client.close()


# ── a process dies ──


@pytest.mark.parametrize("service", ["actions", "rasa", "porte"])
def test_a_conversation_goes_on_whichever_process_is_killed(machine: Machine, visitor: Visitor, service: str) -> None:
    visitor.say("Nous ne sommes pas certifiés")
    back = machine.kill(service)
    visitor.say("La moitié du chiffre d’affaires vient des OPCO")  # While it is away, or just back.
    back()
    visitor.say()
    backs: list[Callable[[], object]] = []
    visitor.say(meanwhile=lambda: backs.append(machine.kill(service)))  # In the middle of a turn.
    backs[0]()
    visitor.to_the_verdict()


def test_a_message_that_nobody_can_answer_is_given_back_in_french_and_answered_once_sent_again(
    machine: Machine, visitor: Visitor
) -> None:
    before = machine.pid("rasa")
    os.kill(before, signal.SIGSTOP)  # It neither answers nor is started again, until it is killed.
    typed = "Nous ne sommes pas certifiés"
    key = visitor.send({"texte": typed})
    os.kill(before, signal.SIGKILL)
    while "renvoyer" in (found := visitor.ended(key)):
        assert (found["texte"], found["renvoyer"]) == (SAID["indisponible"], typed)
        visitor.told.clear()
        visitor.send({"texte": typed, "cle": key})
    assert visitor.open_slot() == "financement_actuel"
    visitor.check()


def test_a_message_that_comes_again_after_the_door_has_died_is_not_answered_twice(
    machine: Machine, visitor: Visitor
) -> None:
    visitor.say("Nous ne sommes pas certifiés")
    visitor.say()
    early, lines = visitor.sent[0], visitor.lines
    machine.kill("porte")()
    until(lambda: visitor.lines > lines, "the page does not come back")
    visitor.send({"texte": "Nous ne sommes pas certifiés", "cle": early})
    until(lambda: ("fin", {"cle": early}) in visitor.told[-1:], "the message is not dealt with")
    visitor.check()


def test_an_open_page_goes_on_by_itself_when_the_door_is_back(machine: Machine, browser: Browser) -> None:
    page = browser.new_page(locale="fr-FR")
    arrive(page, machine)
    back = machine.kill("porte")
    page.get_by_role("textbox").fill("Nous ne sommes pas certifiés")
    page.get_by_role("textbox").press("Enter")
    back()
    expect(page.get_by_role("log")).to_contain_text("fonds publics", timeout=PATIENCE * 1000)
    page.close()


# ── messages twice, together, late ──


def test_a_second_message_before_the_first_is_answered_waits_its_turn(visitor: Visitor) -> None:
    keys = [
        visitor.send({"texte": said})
        for said in ("Nous ne sommes pas certifiés", "60 % du CA vient des OPCO", "nous voulons grandir")
    ]
    for key in keys:
        visitor.ended(key)
    given = {"statut_qualiopi": "non_certifie", "financement_actuel": "significatif", "ambition": "croissance"}
    assert visitor.slots() == given
    visitor.to_the_verdict()


def test_a_button_pressed_twice_answers_one_question(visitor: Visitor) -> None:
    choice = visitor.question()["boutons"][0]["choix"]
    keys = [visitor.send({"choix": choice, "cle": key}) for key in ("une-seule", "une-seule", "une-autre", "une-seule")]
    for key in keys:
        visitor.ended(key)
    assert list(visitor.slots()) == ["statut_qualiopi"] and visitor.open_slot() == "financement_actuel"
    visitor.to_the_verdict()


def test_a_message_that_comes_late_changes_what_it_says_and_nothing_else(visitor: Visitor) -> None:
    first = visitor.question()["boutons"]
    visitor.say("Nous ne sommes pas certifiés")
    early = visitor.sent[-1]
    visitor.say()
    asked = visitor.open_slot()
    visitor.send({"texte": "Nous ne sommes pas certifiés", "cle": early})  # Once more, long after.
    late = visitor.send({"choix": first[1]["choix"]})  # A button that scrolled away.
    visitor.ended(late)
    assert visitor.slots()["statut_qualiopi"] == "en_demarche" and visitor.open_slot() == asked
    visitor.to_the_verdict()


# ── the machine fails ──


def test_the_clock_may_jump_by_hours_either_way(machine: Machine, visitor: Visitor) -> None:
    visitor.say("Nous ne sommes pas certifiés")
    for hours in (-6, 12, -48):
        with machine.at(hours):
            visitor.say()
            visitor.check()
    visitor.to_the_verdict()


def test_a_full_disk_is_said_and_once_there_is_room_the_conversation_goes_on(
    machine: Machine, visitor: Visitor
) -> None:
    visitor.say("Nous ne sommes pas certifiés")
    typed = "La moitié du chiffre d’affaires vient des OPCO"
    key = secrets.token_hex(8)
    with machine.full_disk():
        for path in ("messages", "conversation"):
            answer = visitor.client.post(f"/api/{path}", json={"texte": typed, "cle": key})
            if answer.status_code == 202:  # Taken, then given back.
                found = visitor.ended(key)
                assert (found["texte"], found["renvoyer"]) == (SAID["indisponible"], typed)
            else:
                assert answer.status_code == 503 and answer.json()["texte"] in SAID.values()
    visitor.told.clear()
    visitor.send({"texte": typed, "cle": key})
    assert "renvoyer" not in visitor.ended(key)
    visitor.to_the_verdict()

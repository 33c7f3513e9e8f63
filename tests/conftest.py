"""The guide, started once for all the tests that talk with it, on ports and a database of its own."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from actions.diagnostic import SLOTS
from scripts import train
from scripts.run import Supervisor, configuration


@dataclass
class Guide:
    """A running guide: its addresses, the token of its API, a site that may hold the widget, its database."""

    rasa: str
    door: str
    token: str
    site: str
    database: str


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    assert train.is_fresh() or train.train(), "no model could be trained"
    base = tmp_path_factory.mktemp("base") / "test.db"
    ports = {name: free_port() for name in ("BON_MOMENT_PORT", "RASA_PORT", "ACTIONS_PORT")}
    site = f"http://127.0.0.1:{free_port()}"
    changes = {"DATABASE_URL": f"sqlite:///{base}", "BON_MOMENT_DATE": "2026-11-23", "BON_MOMENT_ORIGINES": site}
    changes["BON_MOMENT_OUVERTURES_PAR_MINUTE"] = "1000"  # All the tests come from one address.
    env = configuration({**os.environ, **ports, **changes})
    supervisor = Supervisor(env)
    try:
        failure = supervisor.start()
        assert failure is None, failure
        door = f"http://127.0.0.1:{ports['BON_MOMENT_PORT']}"
        yield Guide(env["RASA_URL"], door, env["RASA_TOKEN"], site, env["DATABASE_URL"])
    finally:
        supervisor.stop()


@dataclass
class Conversation:
    """One conversation through Rasa's REST channel, as programs hold it."""

    guide: Guide
    sender: str = field(default_factory=lambda: "test-" + secrets.token_hex(8))
    messages: list[dict[str, Any]] = field(default_factory=list)
    options: list[dict[str, str]] = field(default_factory=list)
    buttons: list[dict[str, str]] = field(default_factory=list)

    def say(self, text: str) -> list[dict[str, Any]]:
        body = {"sender": self.sender, "message": text}
        answer = httpx.post(f"{self.guide.rasa}/webhooks/rest/webhook", json=body, timeout=60)
        self.messages = answer.raise_for_status().json()
        if question := self.custom("question"):
            self.options = question["options"]
        self.buttons = [b for m in self.messages for b in m.get("buttons", [])] or self.buttons
        return self.messages

    def choose(self, value: str) -> list[dict[str, Any]]:
        """Press the option of that value, or the button of that title."""
        payload = next((o["payload"] for o in self.options if o["value"] == value), None)
        titles = {b["title"].replace("\u00a0", " ").replace("’", "'"): b["payload"] for b in self.buttons}
        payload = payload or titles.get(value)
        assert payload, f"no button {value!r} among {[b['title'] for b in self.buttons]}"
        return self.say(payload)

    def slots(self) -> dict[str, Any]:
        url = f"{self.guide.rasa}/conversations/{self.sender}/tracker"
        found = httpx.get(url, params={"token": self.guide.token, "include_events": "NONE"}, timeout=30).json()["slots"]
        return {slot: found[slot] for slot in SLOTS if found.get(slot) is not None}

    def custom(self, kind: str) -> dict[str, Any] | None:
        found = [m["custom"] for m in self.messages if m.get("custom", {}).get("type") == kind]
        return found[-1] if found else None

    def kinds(self) -> list[str]:
        return [m["custom"]["type"] for m in self.messages if "custom" in m]

    def text(self) -> str:
        return "\n".join(m["text"] for m in self.messages if "text" in m).replace("\u00a0", " ").replace("’", "'")


@pytest.fixture
def conversation(guide: Guide) -> Conversation:
    return Conversation(guide)


HERE = Path(__file__).parent

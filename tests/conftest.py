"""What tests share, each started only for those that ask for it: the guide, on ports and a database of its own, a
browser, and a PostgreSQL.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from actions.diagnostic import SLOTS
from scripts import run, train
from scripts.run import Supervisor, configuration
from scripts.topology import free_port, postgres_programs, postgresql

NAME = "portable.test"
"""What the browser takes for this machine too, as telephones do that reach it over the network."""


@dataclass
class Guide:
    """A running guide: its addresses, the token of its API, a site that may hold the widget, its database."""

    rasa: str
    door: str
    token: str
    site: str
    database: str


@contextmanager
def running(database: str, logs: Path = run.LOGS) -> Iterator[Guide]:
    """The whole guide with `database`, its output in `logs`."""
    assert train.is_fresh() or train.train(), "no model could be trained"
    ports = {name: free_port() for name in ("BON_MOMENT_PORT", "RASA_PORT", "ACTIONS_PORT")}
    site = f"http://127.0.0.1:{free_port()}"
    changes = {"DATABASE_URL": database, "BON_MOMENT_DATE": "2026-11-23", "BON_MOMENT_ORIGINES": site}
    for limit in ("OUVERTURES", "REQUETES", "MESSAGES"):  # All the tests come from one address.
        changes[f"BON_MOMENT_{limit}_PAR_MINUTE"] = "100000"
    env = configuration({**os.environ, **ports, **changes})
    supervisor = Supervisor(env)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "LOGS", logs)
            failure = supervisor.start()
        assert failure is None, f"{failure} ({logs})"
        door = f"http://127.0.0.1:{ports['BON_MOMENT_PORT']}"
        yield Guide(env["RASA_URL"], door, env["RASA_TOKEN"], site, env["DATABASE_URL"])
    finally:
        supervisor.stop()


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    with running(f"sqlite:///{tmp_path_factory.mktemp('base') / 'test.db'}") as started:
        yield started


# ── a browser ──


@pytest.fixture(scope="module")  # No longer: Playwright's loop would be in the way of asynchronous tests.
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
            options.append(f"--host-resolver-rules=MAP {NAME} 127.0.0.1")
            started = playwright.chromium.launch(executable_path=chromium, args=options)
        except Error:
            pytest.skip("AUCUN NAVIGATEUR : les essais dans la page n'ont pas eu lieu")
        yield started
        started.close()


# ── PostgreSQL ──


class Postgres:
    """A running PostgreSQL; `server` is its URL, without any database."""

    def __init__(self, server: str) -> None:
        self.server = server

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, which is dropped afterwards whoever still uses it."""
        name = f"essai_{secrets.token_hex(8)}"
        self._order(f"CREATE DATABASE {name}")
        try:
            yield f"{self.server}/{name}"
        finally:
            self._order(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        """As while the server is restarted: every connection to that database is cut, and none is taken."""
        name = url.rpartition("/")[2]
        self._order(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            self._order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            yield
        finally:
            self._order(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def _order(self, order: str) -> None:
        url = f"{self.server}/postgres"
        with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(order))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if postgres_programs() is None:
        pytest.skip("AUCUN POSTGRESQL : les essais sur PostgreSQL n'ont pas eu lieu")
    # A time zone that is not that of the moments that we write; and tests need not outlive a power cut.
    with postgresql(timezone="Europe/Paris", fsync="off") as server:
        yield Postgres(server)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database: the test runs on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/essai.db"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture(scope="module")
def guide_postgres(postgres: Postgres) -> Iterator[Guide]:
    """The whole guide again, on PostgreSQL."""
    with postgres.database() as url, running(url, run.LOGS / "postgresql") as started:
        yield started


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

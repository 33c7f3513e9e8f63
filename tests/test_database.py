"""The database, on SQLite and on a real PostgreSQL: how it comes to its tables, what is kept in them, that nothing is
left of what is erased; and the whole guide on PostgreSQL.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    func,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from actions import texts
from actions.diagnostic import diagnostiquer
from actions.references import METADATA, REFERENCES, reference_of
from migrations import LOCK, migrate
from scripts.run import ROOT
from tests.conftest import Guide, Postgres
from web.followup import FollowUp, call_back_words
from web.records import Records
from web.tables import AUDIT, CALL_BACKS, CONVERSATIONS, moment, now
from web.views import SAID

VERSION_TABLE = "bon_moment_schema"
OURS, ANOTHER = "web-0123456789abcdef0123456789abcdef", "web-fedcba9876543210fedcba9876543210"
CALL_BACK = {"nom": "Léa", "joindre": "06 12 34 56 78", "message": "Plutôt le matin 👩‍🏫", "accord": True}
PATIENCE = 60
"""Seconds after which something that should come is said not to come."""

RASA = MetaData()
EVENTS = Table(
    "events",
    RASA,
    Column("id", Integer, primary_key=True),
    Column("sender_id", String(255), nullable=False, index=True),
    Column("type_name", String(255), nullable=False),
    Column("timestamp", Float),
    Column("data", Text),
)
"""Rasa's own table, as far as it matters here."""

EARLIER = MetaData()
"""The tables as versions before the console made them, which kept no version."""


def earlier(name: str, *columns: Column[Any] | str) -> Table:
    """One of them; a column that is only named is a moment."""
    made = (Column(c, DateTime(timezone=True), nullable=False) if isinstance(c, str) else c for c in columns)
    return Table(name, EARLIER, *made)


EARLIER_REFERENCES = earlier(
    "bon_moment_references",
    Column("reference", String(9), primary_key=True),
    Column("conversation", String(255), unique=True, nullable=False),
    "creee_le",
)
EARLIER_CONVERSATIONS = earlier(
    "bon_moment_conversations",
    Column("conversation", String(255), primary_key=True),
    "ouverte_le",
)
EARLIER_CALL_BACKS = earlier(
    "bon_moment_rappels",
    Column("id", Integer, primary_key=True),
    Column("conversation", String(255), nullable=False, index=True),
    Column("nom", String(120), nullable=False),
    Column("joindre", String(160), nullable=False),
    Column("message", Text, nullable=False),
    "consentement_le",
    Column("etat", String(20), nullable=False),
)
EARLIER_OPINIONS = earlier(
    "bon_moment_avis",
    Column("conversation", String(255), primary_key=True),
    Column("verdict", String(60), nullable=False),
    Column("utile", Boolean, nullable=False),
    "donne_le",
)
EARLIER_CODES = earlier(
    "bon_moment_reprises",
    Column("conversation", String(255), primary_key=True),
    Column("empreinte", String(64), nullable=False, unique=True),
    "expire_le",
)


@pytest.fixture
def base(database: str) -> Engine:
    """An engine of the test's own, for a database where nothing was done yet."""
    return create_engine(database, poolclass=NullPool, future=True)


@pytest.fixture
def records(database: str) -> Records:
    return Records(database)


# ── walking all tables ──


def differences(base: Engine) -> list[Any]:
    """What the database has otherwise than `METADATA`, Rasa's table left out."""

    def ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return not (kind == "table" and name == EVENTS.name)

    options: dict[str, Any] = {"version_table": VERSION_TABLE, "include_object": ours}
    options["compare_server_default"] = base.dialect.name != "sqlite"  # There, Alembic misreads an empty one.
    with base.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)


def everything(base: Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables that the database has, whoever made them."""
    found = MetaData()
    found.reflect(base)
    with base.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in found.tables.values()
        }


def mentions(base: Engine, *words: str) -> set[str]:
    """The tables that have one of `words`, in whatever column."""
    return {
        name
        for name, rows in everything(base).items()
        if any(word in str(value) for row in rows for value in row.values() for word in words)
    }


def kept_by_conversation() -> list[Table]:
    return [table for table in METADATA.sorted_tables if "conversation" in table.c]


def fill(base: Engine, conversation: str, at: datetime) -> None:
    """One row in each table, of `conversation` where the table knows of conversations, every moment in it `at`."""

    def value(column: Column[Any]) -> Any:
        if column.name == "conversation":
            return conversation
        if column.foreign_keys:
            return made[next(iter(column.foreign_keys)).column]
        if column.name == "expire_le":
            return at + timedelta(hours=1)
        if isinstance(column.type, DateTime):
            return at
        if isinstance(column.type, String):
            return secrets.token_hex(32)[: column.type.length]
        return {bool: True, int: 1, float: 0.5}[column.type.python_type]

    made: dict[Column[Any], Any] = {}
    with base.begin() as connection:
        for table in METADATA.sorted_tables:
            numbered = {c for c in table.primary_key.columns if isinstance(c.type, Integer) and not c.foreign_keys}
            row = {c: value(c) for c in table.columns if c not in numbered}
            identity = connection.execute(table.insert().values(row)).inserted_primary_key
            made.update(zip(table.primary_key.columns, identity, strict=True))
        add_event(connection, conversation, at)


def add_event(connection: Connection, conversation: str, at: datetime) -> None:
    """What Rasa keeps of a message."""
    RASA.create_all(connection)
    row = {"sender_id": conversation, "type_name": "user", "timestamp": at.timestamp(), "data": "{}"}
    connection.execute(EVENTS.insert().values(**row))


def rows(base: Engine, conversation: str | None) -> dict[str, int]:
    """How many rows of the conversation, each table that has some; of no conversation any more, for None."""
    counted = {table.name: (table, table.c.conversation) for table in kept_by_conversation()}
    counted[EVENTS.name] = (EVENTS, EVENTS.c.sender_id)
    with base.connect() as connection:
        found = {
            name: connection.execute(select(func.count()).select_from(table).where(column == conversation)).scalar_one()
            for name, (table, column) in counted.items()
        }
    return {name: number for name, number in found.items() if number}


T = TypeVar("T")


def at_once(number: int, action: Callable[[], T]) -> list[T]:
    """What `action` gives to each of `number` threads that begin it together."""
    ready = Barrier(number)

    def wait_then_act(_: int) -> T:
        ready.wait(PATIENCE)
        return action()

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(wait_then_act, range(number)))


# ── coming to the present tables ──


def test_from_nothing_a_database_comes_to_exactly_the_tables_of_the_code(base: Engine) -> None:
    migrate(base)
    assert set(inspect(base).get_table_names()) == {*METADATA.tables, VERSION_TABLE}
    assert differences(base) == []


def test_the_comparison_sees_a_difference(base: Engine) -> None:
    migrate(base)
    with base.begin() as connection:
        connection.execute(text(f"ALTER TABLE {CALL_BACKS.name} ADD COLUMN humeur VARCHAR(9)"))
    assert [change[0] for change in differences(base)] == ["remove_column"]


def test_migrating_again_changes_nothing(base: Engine) -> None:
    migrate(base)
    fill(base, OURS, now())
    before = everything(base)
    migrate(base)
    assert everything(base) == before and all(before.values())
    assert differences(base) == []


KEPT: dict[Table, list[dict[str, Any]]] = {
    EARLIER_REFERENCES: [{"reference": "HA7R-3W4J", "conversation": OURS, "creee_le": now()}],
    EARLIER_CONVERSATIONS: [{"conversation": who, "ouverte_le": now()} for who in (OURS, ANOTHER)],
    EARLIER_CALL_BACKS: [
        {"conversation": who, "message": "Plutôt le matin 👩‍🏫\n" * 40, "consentement_le": now(), "etat": "a_rappeler"}
        | {"nom": "Léa Martin", "joindre": reach}
        for who, reach in ((OURS, "lea@exemple.fr"), (ANOTHER, "06 12 34 56 78"))
    ],
    EARLIER_OPINIONS: [{"conversation": OURS, "verdict": "a_anticiper", "utile": True, "donne_le": now()}],
    EARLIER_CODES: [{"conversation": OURS, "empreinte": "0" * 64, "expire_le": now()}],
}
"""What an earlier version wrote."""


@pytest.mark.parametrize("present", [list(KEPT), [EARLIER_REFERENCES]], ids=["five tables", "references only"])
def test_a_database_of_an_earlier_version_keeps_its_rows(base: Engine, present: list[Table]) -> None:
    EARLIER.create_all(base, tables=present)
    with base.begin() as connection:
        for table in present:
            connection.execute(table.insert(), KEPT[table])
        add_event(connection, OURS, now())
    before = everything(base)
    assert {name: len(kept) for name, kept in before.items()} == {t.name: len(KEPT[t]) for t in present} | {
        EVENTS.name: 1
    }

    migrate(base)

    after = everything(base)
    for name, kept in before.items():
        assert [{column: row[column] for column in kept[0]} for row in after[name]] == kept
    assert differences(base) == []


def test_what_an_earlier_version_kept_is_used_and_erased_as_the_rest(base: Engine, database: str) -> None:
    EARLIER.create_all(base)
    with base.begin() as connection:
        for table, kept in KEPT.items():
            connection.execute(table.insert(), kept)
    records = Records(database)
    assert records.is_open(OURS) and records.opinion(OURS) is True
    assert reference_of(OURS, database) == "HA7R-3W4J"
    records.add_call_back(OURS, "Léa", "01 02 03 04 05", "encore")
    assert [found["joindre"] for found in records.call_backs(OURS)] == ["lea@exemple.fr", "01 02 03 04 05"]
    records.erase(OURS)
    assert mentions(base, OURS, "HA7R-3W4J", "lea@exemple.fr", "01 02 03 04 05") == set()
    assert records.is_open(ANOTHER) and len(records.call_backs(ANOTHER)) == 1


def test_several_processes_that_start_together_all_find_their_tables(postgres: Postgres) -> None:
    """All are held at the door until each has come to it, so that none is late by luck."""
    program = "import sys; from actions.references import engine; engine(sys.argv[1])"
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with postgres.database() as url:
        base = create_engine(url, poolclass=NullPool, future=True)
        with base.begin() as holding:
            holding.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            started = [
                subprocess.Popen([sys.executable, "-c", program, url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
                for _ in range(3)
            ]
            limit = time.monotonic() + PATIENCE
            while holding.execute(waiting).scalar_one() < len(started):
                assert time.monotonic() < limit, "they do not come"
                assert all(process.poll() is None for process in started), "one did not wait"
                time.sleep(0.05)
            assert inspect(base).get_table_names() == []
        faults = [process.communicate(timeout=PATIENCE)[1] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0], faults
        assert differences(base) == []


# ── what is kept ──


def test_a_conversation_is_open_from_its_beginning_until_it_is_erased(records: Records) -> None:
    assert not records.is_open(OURS)
    records.open(OURS)
    assert records.is_open(OURS) and not records.is_open(ANOTHER)
    records.erase(OURS)
    assert not records.is_open(OURS)


def test_call_backs_are_kept_as_they_were_written_the_oldest_first(records: Records) -> None:
    written = [
        ("Léa Martin", "06 12 34 56 78", "Plutôt le matin"),
        ("D’Œuvre & fils " + "é" * 105, "a" * 148 + "@exemple.fr", "👩‍🏫" * 333),
        ("'); DROP TABLE bon_moment_rappels; --", "lea@exemple.fr", "100 % d’accord :nom {x} \\ \u00a0"),
    ]
    before = now()
    for name, reach, message in written:
        records.add_call_back(OURS, name, reach, message)
    records.add_call_back(ANOTHER, "Une autre", "01 02 03 04 05", "")
    found = records.call_backs(OURS)
    assert [(row["nom"], row["joindre"], row["message"]) for row in found] == written
    for row in found:
        consented = row["consentement_le"]
        assert isinstance(consented, datetime)
        assert before <= (moment(consented) or before) <= now()
        assert row["etat"] == "a_rappeler"


def test_the_last_opinion_counts(records: Records) -> None:
    assert records.opinion(OURS) is None
    for useful in (True, False, False, True):
        records.set_opinion(OURS, "a_anticiper", useful)
        assert records.opinion(OURS) is useful
    assert records.opinion(ANOTHER) is None


def test_an_opinion_can_be_kept_of_every_verdict(records: Records) -> None:
    names = [name.removeprefix("utter_titre_") for name in texts.responses() if name.startswith("utter_titre_")]
    assert names
    for name in names:
        records.set_opinion(OURS, name, True)
    assert records.opinion(OURS) is True


def test_a_code_opens_its_conversation_once(records: Records) -> None:
    records.add_code(OURS, "HA7R3W4J9XYF", 3600)
    records.add_code(ANOTHER, "AAAAFFFFHHHH", 3600)
    assert records.use_code("JJJJRRRRWWWW") is None
    assert records.use_code("HA7R3W4J9XYF") == OURS
    assert records.use_code("HA7R3W4J9XYF") is None
    assert records.use_code("AAAAFFFFHHHH") == ANOTHER


def test_a_code_is_void_after_its_time_or_once_another_is_given(records: Records) -> None:
    records.add_code(OURS, "HA7R3W4J9XYF", -1)
    assert records.use_code("HA7R3W4J9XYF") is None
    records.add_code(OURS, "AAAAFFFFHHHH", 3600)
    records.add_code(OURS, "JJJJRRRRWWWW", 3600)
    assert records.use_code("AAAAFFFFHHHH") is None
    assert records.use_code("JJJJRRRRWWWW") == OURS


def test_a_code_tried_by_several_at_once_opens_to_one_only(records: Records) -> None:
    for turn in range(20):
        code = f"HA7R3W4J{turn:04}"
        records.add_code(OURS, code, 3600)
        opened = at_once(4, lambda code=code: records.use_code(code))
        assert sorted(map(str, opened)) == ["None", "None", "None", OURS]


def test_a_reference_asked_by_several_at_once_is_the_same_for_all(database: str, records: Records) -> None:
    for turn in range(5):
        said = at_once(4, lambda turn=turn: reference_of(f"{OURS}-{turn}", database))
        assert len(set(said)) == 1 and reference_of(f"{OURS}-{turn}", database) == said[0]


# ── erasing ──


def test_erasing_leaves_nothing_of_the_conversation_in_any_table(base: Engine, records: Records) -> None:
    for conversation in (OURS, ANOTHER):
        fill(base, conversation, now())
    every = dict.fromkeys([*(table.name for table in kept_by_conversation()), EVENTS.name], 1)
    assert rows(base, OURS) == rows(base, ANOTHER) == every and rows(base, None) == {}

    records.erase(OURS)

    assert mentions(base, OURS) == set()
    assert rows(base, None) == {AUDIT.name: 1}, "that something was done stays known, and nothing else"
    assert rows(base, ANOTHER) == every
    records.erase(OURS)
    assert rows(base, ANOTHER) == every


def test_erasing_works_before_rasa_has_made_its_table(base: Engine, records: Records) -> None:
    records.open(OURS)
    records.add_call_back(OURS, "Léa", "06 12 34 56 78", "")
    assert not inspect(base).has_table(EVENTS.name)
    records.erase(OURS)
    assert mentions(base, OURS) == set()
    assert records.purge(30) == 0


def test_what_is_silent_for_too_long_goes_from_every_table_but_who_is_to_be_called_back(
    base: Engine, records: Records
) -> None:
    fill(base, OURS, now() - timedelta(days=31))
    fill(base, ANOTHER, now() - timedelta(days=29))
    before = rows(base, ANOTHER)
    assert before == rows(base, OURS)

    assert records.purge(30) == 1

    assert mentions(base, OURS) == {CALL_BACKS.name}
    del before["bon_moment_reprises"]  # A code that has had its time.
    assert rows(base, ANOTHER) == before
    assert records.purge(30) == 0


def test_a_conversation_that_goes_on_is_not_old(base: Engine, records: Records) -> None:
    fill(base, OURS, now() - timedelta(days=31))
    with base.begin() as connection:
        add_event(connection, OURS, now() - timedelta(days=1))
    assert records.purge(30) == 0
    assert records.is_open(OURS) and len(records.call_backs(OURS)) == 1


def test_who_is_to_be_called_back_is_kept_for_three_years_and_no_longer(base: Engine, records: Records) -> None:
    for conversation, years in ((OURS, 3.1), (ANOTHER, 2.9)):
        fill(base, conversation, now() - timedelta(days=365 * years))
    records.purge(30)
    assert mentions(base, OURS) == set()
    assert mentions(base, ANOTHER) == {CALL_BACKS.name}


def test_who_was_to_be_called_back_is_not_found_by_name_any_more(base: Engine, records: Records, database: str) -> None:
    followup = FollowUp(database)
    for conversation, name in ((OURS, "Zoé Quidam"), (ANOTHER, "Ali Autre")):
        records.open(conversation)
        records.add_call_back(conversation, name, "06 12 34 56 78", "le matin")
        for words in call_back_words(name, "06 12 34 56 78", "le matin"):
            followup.found_by(conversation, words)
    with base.begin() as connection:
        old = CALL_BACKS.c.conversation == OURS
        connection.execute(update(CALL_BACKS).where(old).values(consentement_le=now() - timedelta(days=8)))
    assert records.purge(30, contact_days=7) == 0
    assert records.call_backs(OURS) == [] and len(records.call_backs(ANOTHER)) == 1
    with base.begin() as connection:
        kept = {row.conversation: row.recherche for row in connection.execute(select(CONVERSATIONS))}
    assert "quidam" not in kept[OURS] and "0612345678" not in kept[OURS]
    assert "autre" in kept[ANOTHER] and "0612345678" in kept[ANOTHER]


# ── the whole guide ──


class Visitor:
    """A browser of the door, as far as a conversation needs one."""

    def __init__(self, door: str) -> None:
        self.client = httpx.Client(base_url=door, timeout=PATIENCE)

    def __enter__(self) -> Visitor:
        answer = self.client.post("/api/conversation", json={})
        assert answer.status_code == 201
        self.client.headers["authorization"] = f"Bearer {answer.json()['jeton']}"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a page that is opened now gets, event by event, until it is closed."""
        kind = ""
        with self.client.stream("GET", "/api/evenements") as page:
            limit = time.monotonic() + PATIENCE
            for line in page.iter_lines():
                assert time.monotonic() < limit, "the page waits for ever"
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))
                    limit = time.monotonic() + PATIENCE

    def send(self, body: dict[str, Any]) -> None:
        assert self.client.post("/api/messages", json=body).status_code == 202


def messages(events: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The messages that a page shows, in order."""
    for kind, data in events:
        yield from data["messages"] if kind == "historique" else [data] if kind == "message" else []


@pytest.mark.bot
def test_a_conversation_on_postgresql_from_the_first_question_to_its_erasing(guide_postgres: Guide) -> None:
    base = create_engine(guide_postgres.database, poolclass=NullPool, future=True)
    typed = "Pas certifiés 👩‍🏫 du tout"
    with Visitor(guide_postgres.door) as visitor:
        page = visitor.events()
        shown = messages(page)
        seen: list[dict[str, Any]] = []

        def last(turn: str) -> dict[str, Any]:
            """What the guide says last in a turn: its question, or the verdict."""
            for message in shown:
                seen.append(message)
                if message["id"].startswith(f"{turn}:") and (message.get("boutons") or "carte" in message):
                    return message
            raise AssertionError("the page was closed")

        # The first answer is typed; then the first choice is always taken.
        assert last("ouverture")["donnees"]["slot"] == "statut_qualiopi"
        given: dict[str, str | None] = {"statut_qualiopi": "non_certifie"}
        visitor.send({"texte": typed, "cle": "essai-00"})
        said = last("essai-00")
        while "carte" not in said:
            slot, turn = said["donnees"]["slot"], f"essai-{len(given):02}"
            given[slot] = texts.value_of(texts.options(slot)[0])
            visitor.send({"choix": said["boutons"][0]["choix"], "cle": turn})
            said = last(turn)
        assert said["carte"]["verdict"] == diagnostiquer(given).verdict and len(given) > 7

        # Whoever opens the page again reads the same.
        kind, past = next(visitor.events())
        assert kind == "historique"
        assert [(m["id"], m["texte"]) for m in past["messages"]] == [(m["id"], m["texte"]) for m in seen]
        assert past["messages"][-1] == said
        assert typed in [m["texte"] for m in seen]

        assert visitor.client.post("/api/rappel", json=CALL_BACK).status_code == 201
        assert visitor.client.post("/api/avis", json={"utile": True}).status_code == 201
        assert differences(base) == []
        (kept,) = everything(base)[REFERENCES.name]
        assert kept["reference"] == said["carte"]["reference"]
        traces = (kept["conversation"], kept["reference"], str(CALL_BACK["joindre"]), "du tout")
        assert mentions(base, *traces) >= {table.name for table in KEPT if table is not EARLIER_CODES} | {EVENTS.name}

        assert visitor.client.delete("/api/conversation").status_code == 200
        assert [kind for kind, _ in page][-1] == "effacee"
        assert mentions(base, *traces) == set()
        assert visitor.client.get("/api/conversation").status_code == 404


@pytest.mark.bot
def test_a_message_sent_while_the_database_restarts_is_refused_in_french_then_answered_once(
    guide_postgres: Guide, postgres: Postgres
) -> None:
    typed, key = {"texte": "Pas certifiés du tout"}, "pendant-la-panne"
    with Visitor(guide_postgres.door) as visitor:
        page = visitor.events()
        shown = messages(page)
        assert next(shown)["id"].startswith("ouverture:")
        with postgres.away(guide_postgres.database):
            refused = visitor.client.post("/api/messages", json={**typed, "cle": key})
            assert refused.status_code == 503 and refused.json()["texte"] in SAID.values()
            health = visitor.client.get("/health/ready")
            assert (health.status_code, health.json()["database"]) == (503, False)
        assert visitor.client.get("/health/ready").status_code == 200
        for _ in range(2):
            visitor.send({**typed, "cle": key})
        answer = next(m for m in shown if m["id"].startswith(f"{key}:") and m.get("boutons"))
        assert answer["donnees"]["slot"] == "financement_actuel"
        base = create_engine(guide_postgres.database, poolclass=NullPool, future=True)
        kept = [row for row in everything(base)[EVENTS.name] if key in row["data"] and row["type_name"] == "user"]
        assert len(kept) == 1


def test_a_file_that_was_replaced_is_not_written_to_any_more(tmp_path: Path) -> None:
    """Else what people say would go on into a file that no longer has a name, and be lost."""
    url, file = f"sqlite:///{tmp_path}/essai.db", tmp_path / "essai.db"
    records = Records(url)
    records.open("web-avant")
    copy = tmp_path / "copie.db"
    with sqlite3.connect(file) as there, sqlite3.connect(copy) as here:
        there.backup(here)
    for beside in tmp_path.glob("essai.db-*"):
        beside.unlink()
    copy.replace(file)
    records.open("web-apres")
    with sqlite3.connect(file) as there:
        kept = {name for (name,) in there.execute("SELECT conversation FROM bon_moment_conversations")}
    assert kept == {"web-avant", "web-apres"}

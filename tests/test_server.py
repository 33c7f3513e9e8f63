"""What is added inside Rasa: conversations kept so that a turn costs the same in a long one, one message at a time,
messages known again, logs without a word of what people say; and what several processes share.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from rasa.core.lock_store import LockError
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    BotUttered,
    ConversationPaused,
    SessionStarted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from actions.references import engine
from scripts.train import ROOT
from server import turn
from server.locks import ConversationLocks
from server.store import LONG, ConversationStore, WrittenMeanwhile
from tests.conftest import Conversation, Guide, free_port
from tests.staff import until
from web import logs
from web.bus import Bus, Locks, Unavailable, connect

SENDER = "web-essai"


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.load(str(ROOT / "domain.yml"))


async def turn_of(store: ConversationStore, text: str = "oui", *more: Any, key: str = "") -> DialogueStateTracker:
    """One turn as Rasa makes it: read, add, keep."""
    tracker = await store.get_or_create_tracker(SENDER)
    if not tracker.events:
        tracker.update(ActionExecuted("action_session_start"))
        tracker.update(SessionStarted())
        tracker.update(ActionExecuted("action_listen"))
    said = UserUttered(text, {"name": "repondre"}, parse_data={"intent": {"name": "repondre"}}, metadata={"cle": key})
    for event in (said, *more, ActionExecuted("action_listen")):
        tracker.update(event, store.domain)
    await store.save(tracker)
    return tracker


async def test_a_long_conversation_is_read_from_its_last_session_and_nothing_of_it_is_lost(
    database: str, domain: Domain
) -> None:
    store = ConversationStore(domain, database)
    loop = (ActiveLoop("diagnostic_form"), SlotSet("requested_slot", "capacite"), SlotSet("ambition", "stable"))
    await turn_of(store, "bonjour", *loop)
    for number in range(LONG):
        await turn_of(store, f"message {number}", SlotSet("maturite", "solide" if number % 2 else "informelle"))
    read = await store.retrieve(SENDER)
    assert read is not None and len(read.events) <= LONG + 20
    assert read.active_loop_name == "diagnostic_form" and not read.is_paused()
    known = {"ambition": "stable", "maturite": "solide", "requested_slot": "capacite"}
    assert {slot: read.get_slot(slot) for slot in known} == known
    whole = await store.retrieve_full_tracker(SENDER)
    assert whole is not None
    said = [event.text for event in whole.events if isinstance(event, UserUttered)]
    assert said == ["bonjour", *(f"message {number}" for number in range(LONG))]


async def test_a_conversation_that_a_person_holds_stays_held_in_its_next_session(database: str, domain: Domain) -> None:
    store = ConversationStore(domain, database)
    await turn_of(store, "bonjour", ConversationPaused())
    for _ in range(LONG // 2):
        await turn_of(store)
    read = await store.retrieve(SENDER)
    assert read is not None and len(read.events) < LONG and read.is_paused()


async def test_the_clock_may_be_moved_in_mid_conversation(
    database: str, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = ConversationStore(domain, database), time.time
    await turn_of(store, "avant", SlotSet("ambition", "stable"))
    for hours in (-5, 30, -48):
        monkeypatch.setattr(time, "time", lambda hours=hours: now() + 3_600 * hours)
        await turn_of(store, f"{hours} h")
    read = await store.retrieve(SENDER)
    assert read is not None and read.get_slot("ambition") == "stable"
    assert [e.text for e in read.events if isinstance(e, UserUttered)] == ["avant", "-5 h", "30 h", "-48 h"]


async def test_what_was_made_of_a_conversation_that_has_changed_meanwhile_is_not_kept(
    database: str, domain: Domain
) -> None:
    store = ConversationStore(domain, database)
    await turn_of(store)
    late = await store.retrieve(SENDER)
    assert late is not None
    await turn_of(store, "entre-temps")
    late.update(SlotSet("ambition", "stable"))
    with pytest.raises(WrittenMeanwhile):
        await store.save(late)
    read = await store.retrieve(SENDER)
    assert read is not None and read.get_slot("ambition") is None


async def test_a_message_that_comes_again_is_known_with_what_was_answered(database: str, domain: Domain) -> None:
    store = ConversationStore(domain, database)
    asked = BotUttered("Question 1", {"buttons": [{"title": "Oui"}], "custom": {"type": "question"}})
    await turn_of(store, "bonjour", BotUttered("Bienvenue"), asked, key="cle-0001")
    await turn_of(store, "ensuite", BotUttered("Autre chose"), key="cle-0002")
    known = await store.turn_of(SENDER, "cle-0001")
    assert known is not None and known["entendu"]["intent"]["name"] == "repondre"
    assert known["messages"] == [
        {"text": "Bienvenue"},
        {"text": "Question 1", "buttons": [{"title": "Oui"}], "custom": {"type": "question"}},
    ]
    assert await store.turn_of(SENDER, "cle-0003") is None
    assert await store.turn_of("web-autre", "cle-0001") is None


async def test_a_database_that_fails_is_no_empty_conversation(database: str, domain: Domain) -> None:
    store = ConversationStore(domain, database)
    await turn_of(store)
    with engine(database).begin() as connection:
        connection.execute(text("DROP TABLE events"))
    with pytest.raises(SQLAlchemyError):
        await store.retrieve(SENDER)


async def test_events_are_counted_beyond_what_an_ordinary_integer_holds(database: str, domain: Domain) -> None:
    store = ConversationStore(domain, database)
    with engine(database).begin() as connection:
        row = {"i": 2**31 + 7, "s": SENDER, "t": "session_started", "d": '{"event": "session_started"}'}
        connection.execute(text("INSERT INTO events (id, sender_id, type_name, data) VALUES (:i, :s, :t, :d)"), row)
        if database.startswith("postgresql"):
            connection.execute(text("SELECT setval('events_id_seq', 2147483660)"))
    await turn_of(store, "bonjour")
    read = await store.retrieve(SENDER)
    assert read is not None and read.latest_message is not None and read.latest_message.text == "bonjour"


async def test_reading_a_turn_uses_an_index_whatever_is_stored(database: str, domain: Domain) -> None:
    """Neither the other conversations nor the former sessions of this one are gone through."""
    store = ConversationStore(domain, database)
    for _ in range(3):
        await turn_of(store)
    rows = [{"s": f"web-{n}", "t": "user", "d": "{}"} for n in range(3_000)]
    with engine(database).begin() as connection:
        connection.execute(text("INSERT INTO events (sender_id, type_name, data) VALUES (:s, :t, :d)"), rows)
    explain = "EXPLAIN QUERY PLAN " if database.startswith("sqlite") else "EXPLAIN "
    if not database.startswith("sqlite"):
        with create_engine(database, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("ANALYZE events"))
    for query in (
        "SELECT max(id) FROM events WHERE sender_id = 'web-7' AND type_name = 'session_started'",
        "SELECT max(id) FROM events WHERE sender_id = 'web-7'",
        "SELECT id, data FROM events WHERE sender_id = 'web-7' AND id >= 12 ORDER BY id",
    ):
        with engine(database).connect() as connection:
            plan = " ".join(str(row) for row in connection.execute(text(explain + query)))
        assert "ix_events_sender_id" in plan and "Seq Scan" not in plan, plan


# ── the whole guide ──


@pytest.mark.bot
def test_a_very_long_conversation_ends_in_its_verdict(conversation: Conversation) -> None:
    conversation.say("/demarrer")
    for value in ("aucun", "minoritaire", "significatif") * 14:
        conversation.say(f'/repondre{{"financement_actuel":"{value}"}}')
        assert (conversation.custom("question") or {}).get("slot") == "statut_qualiopi"
    while question := conversation.custom("question"):
        conversation.choose(question["options"][0]["value"])
    assert conversation.custom("verdict")
    assert conversation.slots()["financement_actuel"] == "significatif"


@pytest.mark.bot
def test_the_serving_rasa_holds_no_tensorflow(guide: Guide) -> None:
    port = int(guide.rasa.rsplit(":", 1)[1])
    pid = next(c.pid for c in psutil.net_connections() if c.status == "LISTEN" and c.laddr.port == port)
    assert not [found.path for found in psutil.Process(pid).memory_maps() if "tensorflow" in found.path]


@pytest.mark.bot
def test_the_channel_of_the_door_answers_to_the_door_alone_and_once(guide: Guide) -> None:
    url = f"{guide.rasa}/webhooks/porte/webhook"
    body = {"sender": "web-" + secrets.token_hex(8), "message": "/demarrer", "metadata": {"cle": "cle-0001"}}
    for headers in ({}, {"Authorization": "Bearer autre"}, {"Authorization": "Bearer é".encode()}):
        assert httpx.post(url, json=body, headers=headers, timeout=30).status_code == 401
    mine = {"Authorization": f"Bearer {guide.token}"}
    first, again = (httpx.post(url, json=body, headers=mine, timeout=30).json() for _ in range(2))
    assert first == again and first["messages"][0]["custom"]["type"] == "question"
    for wrong in ({}, [], {**body, "metadata": None}, "rien"):
        assert httpx.post(url, json=wrong, headers=mine, timeout=30).status_code == 400
    kept = httpx.get(f"{guide.rasa}/conversations/{body['sender']}/tracker", params={"token": guide.token}).json()
    assert [e["text"] for e in kept["events"] if e["event"] == "user"] == ["/demarrer"]


@pytest.mark.bot
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["model", "model/train", "model/test/stories", "model/test/intents", "model/parse"])
def test_nobody_loads_or_trains_a_model_through_the_api(guide: Guide, method: str, path: str) -> None:
    url = f"{guide.rasa}/{path}"
    assert httpx.request(method, url, params={"token": guide.token}, timeout=30).status_code == 404


def test_ours_stand_where_rasa_has_its_own() -> None:
    for owner, name, _ in turn.REPLACED:
        assert callable(getattr(owner, name)), f"{owner}.{name}: another release of Rasa has moved it"


# ── what several processes share ──


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running Redis."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("AUCUN NGINX, REDIS OU POSTGRESQL : les essais à plusieurs n’ont pas eu lieu")
    port, home = free_port(), tmp_path_factory.mktemp("redis")
    command = [program, "--port", port, "--bind", "127.0.0.1", "--dir", str(home), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            probe = lambda: subprocess.run(["redis-cli", "-p", port, "ping"], capture_output=True).stdout  # noqa: E731
            until(lambda: b"PONG" in probe(), "Redis answers")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


@pytest.mark.parametrize("shared", [False, True])
async def test_one_at_a_time_holds_a_conversation(request: pytest.FixtureRequest, shared: bool) -> None:
    url = request.getfixturevalue("redis") if shared else ""
    one = Locks(connect(url), "essai")
    stores = [one, Locks(connect(url), "essai")] if shared else [one]
    inside, most, done = 0, 0, 0

    async def hold(store: Locks) -> None:
        nonlocal inside, most, done
        async with store.held("web-1"):
            inside += 1
            most = max(most, inside)
            for _ in range(5):
                await asyncio.sleep(0)
            inside -= 1
            done += 1

    await asyncio.gather(*[hold(store) for store in stores * 10])
    assert (most, done) == (1, 10 * len(stores))


async def test_the_lock_of_a_process_that_has_died_becomes_free(redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.bus.HELD", 0.5)
    client = connect(redis)
    assert client is not None
    await client.set("essai:web-2", "un-mort", px=500)
    async with Locks(client, "essai").held("web-2"):
        assert await client.get("essai:web-2") != b"un-mort"
    assert await client.get("essai:web-2") is None


async def test_without_what_is_shared_nothing_is_done_by_halves() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(Unavailable):
        async with Locks(connect(url), "essai").held("web-3"):
            raise AssertionError("held")
    store = ConversationLocks(EndpointConfig(url=url))
    with pytest.raises(LockError):
        async with store.lock("web-3"):
            raise AssertionError("held")


async def test_a_door_hears_what_another_tells_and_knows_when_it_has_missed_something(redis: str) -> None:
    here, there = Bus(connect(redis)), Bus(connect(redis))
    heard: list[tuple[Any, ...]] = []
    missed: list[bool] = []
    hear = lambda *said: heard.append(said)  # noqa: E731
    tasks = [asyncio.create_task(job) for job in (here.speak(), there.listen(hear, lambda: missed.append(True)))]
    try:
        async with _patience():
            while not heard:
                here.tell("pages", "web-1", "message", {"texte": "été"})
                await asyncio.sleep(0.05)
        assert heard[0] == ("pages", "web-1", "message", {"texte": "été"})
        client = connect(redis)
        assert client is not None
        await client.execute_command("CLIENT KILL TYPE pubsub")
        async with _patience():
            while not missed:
                await asyncio.sleep(0.05)
    finally:
        for task in tasks:
            task.cancel()


async def test_what_could_not_be_told_is_known_to_be_missing(redis: str) -> None:
    here, there = Bus(connect(redis)), Bus(connect(redis))
    heard: list[Any] = []
    missed: list[bool] = []
    listens = there.listen(lambda *said: heard.append(said[0]), lambda: missed.append(True))
    tasks = [asyncio.create_task(job) for job in (here.speak(), listens)]
    client = here._redis
    assert client is not None
    publish = client.publish

    async def fails(*_: Any) -> None:
        client.publish = publish
        raise OSError

    try:
        async with _patience():
            while not heard:
                here.tell("avant")
                await asyncio.sleep(0.05)
            assert missed == []
            client.publish = fails  # The line is cut, while the other door goes on listening.
            here.tell("perdu")
            here.tell("ensuite")
            while "ensuite" not in heard:
                await asyncio.sleep(0.05)
        assert "perdu" not in heard and missed == [True]
    finally:
        for task in tasks:
            task.cancel()


class _patience:
    """A generous limit for what is waited for."""

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._alarm = asyncio.get_running_loop().call_later(30, self._task.cancel)

    async def __aexit__(self, *_: object) -> None:
        self._alarm.cancel()


# ── the logs ──


def written(record: logging.LogRecord) -> dict[str, Any]:
    return json.loads(logs.Formatter().format(record))


def test_what_a_library_says_is_not_written_but_where_it_comes_from() -> None:
    try:
        raise ValueError("Mme Durand, 06 12 34 56 78")
    except ValueError:
        record = logging.LogRecord("rasa.core", logging.ERROR, "f.py", 12, "Mme %s", ("Durand",), sys.exc_info())
    assert logs.is_worth(record)
    line = written(record)
    assert "Durand" not in json.dumps(line) and "06 12" not in json.dumps(line)
    assert line["message"] == "f:12" and line["error"] == "builtins.ValueError" and "test_server.py" in line["trace"][0]


def test_ours_are_written_under_the_pseudonym_of_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BON_MOMENT_SECRET", "un-secret")
    with logs.about("web-0123456789abcdef"):
        line = written(logging.makeLogRecord({"name": "bon_moment.door", "msg": "turn", "values": {"messages": 2}}))
    assert line["message"] == "turn" and line["values"] == {"messages": 2}
    assert line["conversation"] == logs.pseudonym("web-0123456789abcdef", "un-secret")
    assert "0123456789abcdef" not in json.dumps(line)
    assert "conversation" not in written(logging.makeLogRecord({"name": "bon_moment.door", "msg": "x"}))
    assert logs.pseudonym("web-1", "un-secret") != logs.pseudonym("web-1", "un-autre")

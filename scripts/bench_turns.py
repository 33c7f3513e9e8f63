"""What `make bench` asks of a running assistant: times of a turn, turns a second, and what makes a turn cost more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import yaml

from scripts import train
from scripts.bench_stacks import REST, Stack

MESSAGES = {
    "bouton": '/repondre{"financement_actuel":"minoritaire"}',
    "courte": "environ 15 %",
    "longue": (
        "Pour tout vous dire, une petite partie de nos recettes, disons une quinzaine de pour cent, vient d'un OPCO "
        "quand un confrère nous sous-traite un groupe, et le reste est réglé directement par nos clients."
    ),
}
BEFORE = '/repondre{"statut_qualiopi":"non_certifie"}'
"""What makes `MESSAGES` answer the open question."""
WARMING = 5
"""Turns before the first that is measured."""
AFTER = 10
"""Turns over which the cost is averaged, once a conversation is long or the table large."""
SCENARIOS = train.ROOT / "tests" / "scenarios"


@dataclass(frozen=True)
class Times:
    """How long turns took, in milliseconds: half take less than `p50`, 95 % less than `p95`."""

    p50: float
    p95: float


def times(milliseconds: Sequence[float]) -> Times:
    """The figures of several turns, of at least one."""
    ordered = sorted(milliseconds)
    return Times(statistics.median(ordered), ordered[int(len(ordered) * 0.95)])


def stranger() -> str:
    """The identifier of a new conversation."""
    return f"banc-{secrets.token_hex(8)}"


class Silence(Exception):
    """A turn got no answer."""


def say(client: httpx.Client, sender: str, message: str) -> list[dict[str, Any]]:
    """One turn at Rasa's port.

    Raises:
        Silence: no answer. httpx.HTTPError: Rasa cannot be reached.
    """
    answer = client.post(REST, json={"sender": sender, "message": message}).raise_for_status().json()
    if not answer:
        raise Silence(message)
    return list(answer)


def timed(client: httpx.Client, sender: str, message: str) -> float:
    """The milliseconds of one turn. Raises as `say` does."""
    begun = time.perf_counter()
    say(client, sender, message)
    return 1000 * (time.perf_counter() - begun)


def at_rasa(stacks: Sequence[Stack], rounds: int) -> dict[str, dict[str, Times]]:
    """Times of a turn at Rasa's port, by stack and kind of message. They take turns: a machine that is slower for a
    while is so for all.
    """
    found: dict[str, dict[str, list[float]]] = {stack.name: {kind: [] for kind in MESSAGES} for stack in stacks}
    with contextlib.ExitStack() as open_clients:
        clients = [open_clients.enter_context(httpx.Client(base_url=stack.rasa, timeout=120)) for stack in stacks]
        for number in range(-WARMING, rounds):
            for kind, message in MESSAGES.items():
                for stack, client in zip(stacks, clients, strict=True):
                    sender = stranger()
                    say(client, sender, BEFORE)
                    lasted = timed(client, sender, message)
                    if number >= 0:
                        found[stack.name][kind].append(lasted)
    return {name: {kind: times(lasted) for kind, lasted in kinds.items()} for name, kinds in found.items()}


# ── through the door ──


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream: (kind, data)."""
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            kind = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield kind, json.loads(line.removeprefix("data:"))


async def until(stream: AsyncIterator[tuple[str, dict[str, Any]]], *kinds: str) -> list[dict[str, Any]]:
    """What comes until an event of one of `kinds`: the guide's messages."""
    said: list[dict[str, Any]] = []
    async for kind, data in stream:
        said += [data] if kind == "message" else data.get("messages", [])
        if kind in kinds:
            return said
    raise Silence


async def through_door(stack: Stack, rounds: int, watched: Path | None = None) -> dict[str, list[dict[str, float]]]:
    """Times of a turn by kind, from the message posted to the door until its stream says that the turn is over.

    Each turn is its milliseconds (`total`) and, where `watched` is written to, those of its parts.

    Raises:
        Silence: a turn got no answer. httpx.HTTPError: the door cannot be reached.
    """
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in MESSAGES}
    assert stack.door is not None
    async with httpx.AsyncClient(base_url=stack.door, timeout=120) as client:
        for number in range(-WARMING, rounds):
            for kind, text in MESSAGES.items():
                opened = (await client.post("/api/conversation", json={})).raise_for_status().json()
                bearer = {"authorization": f"Bearer {opened['jeton']}"}
                async with client.stream("GET", "/api/evenements", headers=bearer) as response:
                    stream = events(response)
                    said = await until(stream, "historique")
                    if not said:
                        said = await until(stream, "fin")
                    for wanted in ("non_certifie", kind):
                        body = {"texte": text} if wanted in MESSAGES and kind != "bouton" else {"choix": choice(said)}
                        place = watched.stat().st_size if watched and watched.exists() else 0
                        begun = time.perf_counter()
                        (await client.post("/api/messages", json=body, headers=bearer)).raise_for_status()
                        said = await until(stream, "fin")
                        total = 1000 * (time.perf_counter() - begun)
                if number >= 0:
                    found[kind].append({"total": total, **(parts(watched, place, total) if watched else {})})
    return found


def choice(said: Sequence[dict[str, Any]]) -> str:
    """The first button of the last question.

    Raises:
        Silence: there is none.
    """
    for message in reversed(said):
        if message.get("boutons"):
            return str(message["boutons"][0]["choix"])
    raise Silence


def parts(watched: Path, place: int, total: float) -> dict[str, float]:
    """The milliseconds of the parts of the turn that was written after `place`; together they make `total`."""
    found: dict[str, float] = {}
    with watched.open() as file:
        file.seek(place)
        for line in file:
            for part, lasted in json.loads(line).items():
                found[part] = found.get(part, 0.0) + lasted
    asked = found.pop("demande")
    # What the processes say of themselves lies within what those who ask them wait for.
    within = sum(lasted for part, lasted in found.items() if part != "actions")
    found["http"] = asked - within
    found["reseau"] -= found.get("actions", 0.0)
    found["porte"] = total - asked
    return found


# ── many at once ──


def recorded(stack: Stack) -> list[list[str]]:
    """The conversations of `tests/scenarios/`, as the messages that are sent, buttons included."""
    found = []
    with httpx.Client(base_url=stack.rasa, timeout=120) as client:
        for file in sorted(SCENARIOS.glob("*.yml")):
            for scenario in yaml.safe_load(file.read_text("utf-8")):
                sender, payloads, sent = stranger(), dict[str, str](), list[str]()
                for step in scenario["etapes"]:
                    message = step["dit"] if "dit" in step else payloads.get(step["choisit"].replace("’", "'"))
                    if message is None:
                        break
                    sent.append(message)
                    for answer in say(client, sender, message):
                        for option in (answer.get("custom") or {}).get("options", []):
                            payloads[option["value"]] = option["payload"]
                        for button in answer.get("buttons", []):
                            payloads[button["title"].replace("\u00a0", " ").replace("’", "'")] = button["payload"]
                found.append(sent)
    return found


@dataclass(frozen=True)
class Load:
    """What many conversations at once get: turns answered in a second, and how many got no answer (`lost`)."""

    rate: float
    lost: int = 0


async def under_load(stack: Stack, conversations: list[list[str]], at_once: int, seconds: float) -> Load:
    """Let `at_once` conversations go on, each sending as soon as it is answered, or has got no answer.

    They go on for `seconds`, and until the last turn that has begun by then is over.
    """
    answered, lost, begun = 0, 0, time.monotonic()

    async def talk(client: httpx.AsyncClient, number: int) -> None:
        nonlocal answered, lost
        while True:
            sender = stranger()
            for message in conversations[number % len(conversations)]:
                try:
                    response = await client.post(REST, json={"sender": sender, "message": message})
                    said = response.raise_for_status().json()
                except (httpx.HTTPError, ValueError):
                    said = []
                answered, lost = answered + bool(said), lost + (not said)
                if time.monotonic() > begun + seconds:
                    return
            number += at_once

    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(base_url=stack.rasa, timeout=600, limits=limits) as client:
        await asyncio.gather(*(talk(client, number) for number in range(at_once)))
    return Load(answered / (time.monotonic() - begun), lost)


# ── what makes a turn cost more ──


def by_length(stack: Stack, lengths: Sequence[int]) -> dict[int, float]:
    """The median milliseconds of a turn once a conversation is so many turns long."""
    found = {}
    with httpx.Client(base_url=stack.rasa, timeout=300) as client:
        sender = stranger()
        say(client, sender, BEFORE)
        said = 1
        for length in sorted(lengths):
            for number in range(said, length):
                say(client, sender, turn_of_long(number))
            said = length + AFTER
            found[length] = statistics.median(
                timed(client, sender, turn_of_long(number)) for number in range(length, said)
            )
    return found


def turn_of_long(number: int) -> str:
    """A message of a conversation that never ends: buttons and words."""
    said = (
        MESSAGES["bouton"],
        MESSAGES["courte"],
        '/repondre{"financement_actuel":"aucun"}',
        "combien coûte l'audit ?",
    )
    return said[number % len(said)]


def by_events(stack: Stack, counts: Sequence[int]) -> dict[int, float]:
    """The median milliseconds of a turn once the table holds so many events of other conversations."""
    engine = sa.create_engine(stack.database, future=True)
    table = sa.Table("events", sa.MetaData(), autoload_with=engine)
    columns = [column for column in table.c if column.name not in ("id", "sender_id")]
    held = sa.select(sa.func.count()).select_from(table)
    found = {}
    with httpx.Client(base_url=stack.rasa, timeout=120) as client:
        for message in (BEFORE, *MESSAGES.values()):
            say(client, "modele", message)
        for count in sorted(counts):
            with engine.begin() as connection:
                # PostgreSQL counts up by a sequence that only Rasa's own table names.
                following = [sa.func.nextval("events_id_seq")] if engine.dialect.name == "postgresql" else []
                names = ["id"] * len(following) + ["sender_id", *(column.name for column in columns)]
                while missing := count - int(connection.execute(held).scalar() or 0):
                    if missing < 0:
                        break
                    other = sa.literal(f"{secrets.token_hex(4)}-") + sa.func.substr(table.c.sender_id, 1, 40)
                    rows = sa.select(*following, other, *columns).limit(missing)
                    connection.execute(table.insert().from_select(names, rows))
            with contextlib.suppress(sa.exc.SQLAlchemyError), engine.connect() as connection:
                connection.execute(sa.text("ANALYZE"))
                connection.commit()
            lasted = []
            for _ in range(AFTER):
                sender = stranger()
                say(client, sender, BEFORE)
                lasted.append(timed(client, sender, MESSAGES["bouton"]))
            found[count] = statistics.median(lasted)
    engine.dispose()
    return found

"""What is kept of one person: found by what they say of themselves, gathered whole, written to be handed over.

Reads the database alone: Rasa need not run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from sqlalchemy import func, select

from actions import texts
from actions.diagnostic import SLOTS
from actions.references import LENGTH, REFERENCES, engine
from web import dossier
from web.followup import digits, findable, matches
from web.records import Records
from web.spelling import heard
from web.tables import CALL_BACKS, CONVERSATIONS, EVENTS, ZONE, folded, moment
from web.views import SAID, known

SHORTEST_NUMBER = 6
"""Digits below which nobody is looked for by telephone number."""
_PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


@dataclass(frozen=True)
class Found:
    """A conversation, and by whom it may be known; each but the first may be empty."""

    conversation: str
    reference: str
    names: tuple[str, ...]
    opened: datetime | None


def find(database_url: str, words: str) -> list[Found]:
    """The conversations of whoever gives this reference, name, telephone number or address, the oldest first; those of
    which only a request for a call back is left too. `words` may also be the name of a conversation itself.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    wanted, number, code = folded(words).split(), digits(words), heard(words)
    if not wanted:
        return []
    with engine(database_url).connect() as connection:
        asked: dict[str, list[Any]] = {}
        for row in connection.execute(select(CALL_BACKS).order_by(CALL_BACKS.c.id)):
            asked.setdefault(row.conversation, []).append(row)
        query = select(REFERENCES.c.conversation).where(func.replace(REFERENCES.c.reference, "-", "") == code)
        found = set(connection.execute(query).scalars()) if len(code) == LENGTH else set()
        if not found:
            for conversation, rows in asked.items():
                left = " ".join(findable(f"{row.nom} {row.joindre} {row.message}") for row in rows)
                same = len(number) >= SHORTEST_NUMBER and number in left
                if same or all(word in left for word in wanted):
                    found.add(conversation)
            found.update(connection.execute(select(CONVERSATIONS.c.conversation).where(matches(words))).scalars())
            found.update({words} if Records(database_url).everything(words) else ())
        lines = (
            select(CONVERSATIONS.c.conversation, CONVERSATIONS.c.ouverte_le, REFERENCES.c.reference)
            .outerjoin(REFERENCES, REFERENCES.c.conversation == CONVERSATIONS.c.conversation)
            .where(CONVERSATIONS.c.conversation.in_(found))
        )
        kept = {row.conversation: row for row in connection.execute(lines)}
    people = [_found(name, kept.get(name), asked.get(name, [])) for name in found]
    return sorted(people, key=lambda one: (one.opened is not None, one.opened, one.conversation))


def _found(conversation: str, line: Any, asked: list[Any]) -> Found:
    names = dict.fromkeys(f"{row.nom}, {row.joindre}" for row in asked)
    opened = line.ouverte_le if line else min((row.consentement_le for row in asked), default=None)
    return Found(conversation, (line.reference or "") if line else "", tuple(names), moment(opened))


def everything(records: Records, conversation: str) -> dict[str, Any]:
    """All that is kept of a conversation: in clear words first, then row by row as each table has it (`tables`).

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    tables = records.everything(conversation)
    events = tables.get(EVENTS.name, [])
    given = answers(events)
    verdict = dossier.verdict(given)
    reference = next((row["reference"] for row in tables.get(REFERENCES.name, [])), None)
    return {
        "conversation": conversation,
        "reference": reference,
        "messages": [
            {name: line[name] for name in ("iso", "de", "nom", "texte", "boutons")}
            for line in dossier.transcript(events)
        ],
        "reponses": [line for line in dossier.answers(given, events) if line["valeur"]],
        "verdict": verdict and {"titre": verdict["titre"], "phrase": verdict["phrase"], "complet": verdict["complet"]},
        "tables": tables,
    }


def answers(events: list[dict[str, Any]]) -> dict[str, str | None]:
    """The answers as they stand after `events`."""
    slots: dict[str, Any] = {}
    for event in events:
        if event.get("event") in ("restart", "reset_slots"):
            slots.clear()
        elif event.get("event") == "slot" and event.get("name") in SLOTS:
            slots[event["name"]] = event.get("value")
    return known(slots)


def as_json(kept: dict[str, Any]) -> str:
    """What `everything` has gathered, for programs."""
    return json.dumps(kept, ensure_ascii=False, indent=1, default=lambda value: value.isoformat())


def as_page(kept: dict[str, Any]) -> str:
    """What `everything` has gathered, as a page to read and to print that needs no other file."""
    page = _PAGES.get_template("export.html")
    return page.render(
        kept,
        SAID=SAID,
        date=lambda value: f"{_moment(value).astimezone(ZONE):%d/%m/%Y %H:%M}" if value else "",
        titre=lambda name: texts.text(f"utter_titre_{name}"),
        question=lambda slot: texts.text(f"utter_nom_{slot}") if slot else "",
    )


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def file_name(kept: dict[str, Any], ending: str) -> str:
    """Under what name it is handed over."""
    return f"bon-moment-{kept['reference'] or 'conversation'}.{ending}"

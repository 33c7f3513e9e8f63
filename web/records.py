"""What the door keeps about people, beside Rasa's own events, and the erasing of all of it.

Purpose, retention and way out of each kind are in `docs/donnees-personnelles.md`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Table, delete, func, inspect, or_, select, text, update
from sqlalchemy.engine import Connection, Engine

from actions.references import METADATA, engine
from migrations import alone
from web.followup import forget_call_backs
from web.tables import (
    AUDIT,
    CALL_BACKS,
    CODES,
    CONVERSATIONS,
    EVENTS,
    OPINIONS,
    PARTICIPANTS,
    is_workshop,
    moment,
    now,
)

BATCH = 20
"""Conversations erased at once by the purge, which then lets others write."""
PAUSE = 0.15
"""Seconds that it leaves them: on SQLite, who waits looks every tenth of a second whether it is their turn."""
LOCK = 2_026_111
"""The name of the purge's lock, on PostgreSQL."""
AGE = "ix_events_timestamp_sender_id"
"""The index by which old events are found."""
NEWEST = 200
"""Events of a conversation, among which a message that comes again is looked for."""
LATE = timedelta(hours=1)
"""After so long, what is in a conversation that is not kept was written by a guide that was late."""


def digest(code: str) -> str:
    """What is kept of a code."""
    return hashlib.sha256(code.encode()).hexdigest()


def by_conversation() -> list[Table]:
    """Every table that keeps something of a conversation, those first that refer to others."""
    return [table for table in reversed(METADATA.sorted_tables) if "conversation" in table.c]


def written_late() -> Any:
    """The door's conversations that were erased, and to which a guide that was late has added since, as a query."""
    ours = or_(*[EVENTS.c.sender_id.like(f"{kind}-%") for kind in ("web", "tel")])
    kept = select(CONVERSATIONS.c.conversation).where(CONVERSATIONS.c.conversation == EVENTS.c.sender_id).exists()
    recent = EVENTS.c.timestamp.between((now() - timedelta(days=2)).timestamp(), (now() - LATE).timestamp())
    return select(EVENTS.c.sender_id).distinct().where(ours, recent, ~kept)


class Records:
    """The database of the conversations, as the door uses it. Every method is blocking.

    Each raises `sqlalchemy.exc.SQLAlchemyError` where the database does not answer.
    """

    def __init__(self, database_url: str) -> None:
        self._engine: Engine = engine(database_url)

    # ── conversations ──

    def open(self, conversation: str, origin: str = "web") -> None:
        """A conversation begins, on the `web` or by `telephone`."""
        row = {"conversation": conversation, "ouverte_le": now(), "origine": origin}
        with self._engine.begin() as connection:
            connection.execute(CONVERSATIONS.insert().values(**row))

    def is_open(self, conversation: str) -> bool:
        """Whether the conversation was begun and not erased since."""
        kept = PARTICIPANTS if is_workshop(conversation) else CONVERSATIONS
        query = select(kept.c.conversation).where(kept.c.conversation == conversation)
        with self._engine.begin() as connection:
            return connection.execute(query).first() is not None

    def erase(self, conversation: str) -> None:
        """Remove all that was kept of a conversation: messages, answers, reference, opinion, contact details, code."""
        with self._engine.begin() as connection:
            self._erase(connection, [conversation])
            connection.execute(delete(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation))

    def _erase(self, connection: Connection, conversations: Sequence[str]) -> None:
        """Remove what every table keeps of them, but requests for a call back."""
        if inspect(connection).has_table(EVENTS.name):
            connection.execute(delete(EVENTS).where(EVENTS.c.sender_id.in_(conversations)))
        for kept in by_conversation():
            mine = kept.c.conversation.in_(conversations)
            if kept is AUDIT:  # That something was done stays known; on which conversation does not.
                connection.execute(update(AUDIT).where(mine).values(conversation=None))
            elif kept is not CALL_BACKS:
                connection.execute(delete(kept).where(mine))

    def everything(self, conversation: str) -> dict[str, list[dict[str, Any]]]:
        """All rows that are kept of a conversation, by the name of their table; Rasa's events, the oldest first."""
        with self._engine.begin() as connection:
            found = {
                kept.name: [
                    {name: moment(value) if isinstance(value, datetime) else value for name, value in row.items()}
                    for row in connection.execute(select(kept).where(kept.c.conversation == conversation)).mappings()
                ]
                for kept in by_conversation()
            }
            found[EVENTS.name] = []
            if inspect(connection).has_table(EVENTS.name):
                query = select(EVENTS.c.data).where(EVENTS.c.sender_id == conversation).order_by(EVENTS.c.id)
                found[EVENTS.name] = [json.loads(data) for data in connection.execute(query).scalars()]
        return {name: rows for name, rows in found.items() if rows}

    def knows(self, conversation: str, key: str) -> bool:
        """Whether a message of this `cle` is among the newest events of a conversation."""
        newest = select(EVENTS.c.data).where(EVENTS.c.sender_id == conversation).order_by(EVENTS.c.id.desc())
        with self._engine.begin() as connection:
            if not inspect(connection).has_table(EVENTS.name):
                return False
            events = map(json.loads, connection.execute(newest.limit(NEWEST)).scalars())
            return any((event.get("metadata") or {}).get("cle") == key for event in events)

    # ── retention ──

    def purge(self, days: int, contact_days: int = 3 * 365) -> int:
        """Erase conversations silent for more than `days`; contacts are kept `contact_days`. Returns how many.

        Several doors may do so at once, while people talk: a few conversations at a time, each by one door only.
        """
        limit = now() - timedelta(days=days)
        begun = select(CONVERSATIONS.c.conversation).where(CONVERSATIONS.c.ouverte_le < limit)
        with self._engine.begin() as connection:
            spoken = inspect(connection).has_table(EVENTS.name)
            if spoken:
                self._index_events(connection)
        with self._engine.begin() as connection:
            found = set(connection.execute(begun).scalars())
            if spoken:
                old = select(EVENTS.c.sender_id).distinct().where(EVENTS.c.timestamp < limit.timestamp())
                found.update(connection.execute(old).scalars())
        names, erased = sorted(found), 0
        for at in range(0, len(names), BATCH):
            time.sleep(PAUSE if at else 0)
            with self._engine.begin() as connection:
                alone(connection, LOCK)
                silent = self._silent(connection, names[at : at + BATCH], limit, spoken)
                self._erase(connection, silent)
                erased += len(silent)
        with self._engine.begin() as connection:
            alone(connection, LOCK)
            forget_call_backs(connection, CALL_BACKS.c.consentement_le < now() - timedelta(contact_days))
            connection.execute(delete(CODES).where(CODES.c.expire_le < now()))
            if spoken:
                self._erase(connection, list(connection.execute(written_late()).scalars()))
        return erased

    def _silent(self, connection: Connection, names: Sequence[str], limit: datetime, spoken: bool) -> list[str]:
        """Those of `names` that are still kept, and of which nothing is more recent than `limit`."""
        begun = CONVERSATIONS.c.ouverte_le
        kept = select(CONVERSATIONS.c.conversation, begun).where(CONVERSATIONS.c.conversation.in_(names))
        last = {name: moment(opened) for name, opened in connection.execute(kept)}
        if spoken:
            query = select(EVENTS.c.sender_id, func.max(EVENTS.c.timestamp)).where(EVENTS.c.sender_id.in_(names))
            for name, at in connection.execute(query.group_by(EVENTS.c.sender_id)):
                last[name] = datetime.fromtimestamp(at or 0, timezone.utc)
        return [name for name, at in last.items() if at is not None and at < limit]

    def _index_events(self, connection: Connection) -> None:
        """Let the old among Rasa's events be found without reading all."""
        if AGE not in {index["name"] for index in inspect(connection).get_indexes(EVENTS.name)}:
            alone(connection, LOCK)
            connection.execute(text(f"CREATE INDEX IF NOT EXISTS {AGE} ON {EVENTS.name} (timestamp, sender_id)"))

    # ── what people leave ──

    def add_call_back(self, conversation: str, name: str, reach: str, message: str) -> None:
        """Keep a request for a call back; the person has consented."""
        row = {
            "conversation": conversation,
            "nom": name,
            "joindre": reach,
            "message": message,
            "consentement_le": now(),
            "etat": "a_rappeler",
        }
        with self._engine.begin() as connection:
            connection.execute(CALL_BACKS.insert().values(**row))

    def call_backs(self, conversation: str) -> list[dict[str, object]]:
        """The requests made in a conversation, the oldest first."""
        query = select(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation).order_by(CALL_BACKS.c.id)
        with self._engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def set_opinion(self, conversation: str, verdict: str, useful: bool) -> None:
        """Keep what the person thinks of the verdict; the last word counts."""
        with self._engine.begin() as connection:
            connection.execute(delete(OPINIONS).where(OPINIONS.c.conversation == conversation))
            row = {"conversation": conversation, "verdict": verdict, "utile": useful, "donne_le": now()}
            connection.execute(OPINIONS.insert().values(**row))

    def opinion(self, conversation: str) -> bool | None:
        """Whether the person found the verdict useful; None if they did not say."""
        query = select(OPINIONS.c.utile).where(OPINIONS.c.conversation == conversation)
        with self._engine.begin() as connection:
            return connection.execute(query).scalar_one_or_none()

    # ── another device ──

    def add_code(self, conversation: str, code: str, seconds: int) -> None:
        """Let `code` open the conversation once, for `seconds`; a former code is void."""
        with self._engine.begin() as connection:
            connection.execute(delete(CODES).where(CODES.c.conversation == conversation))
            row = {"conversation": conversation, "empreinte": digest(code), "expire_le": now() + timedelta(0, seconds)}
            connection.execute(CODES.insert().values(**row))

    def use_code(self, code: str) -> str | None:
        """The conversation that `code` opens, once; None if it opens none."""
        with self._engine.begin() as connection:
            valid = (CODES.c.empreinte == digest(code)) & (CODES.c.expire_le > now())
            found = connection.execute(select(CODES.c.conversation).where(valid)).scalar_one_or_none()
            used = connection.execute(delete(CODES).where(CODES.c.empreinte == digest(code))).rowcount
            return found if used else None

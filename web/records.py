"""What the door keeps about people, beside Rasa's own events, and the erasing of all of it.

Purpose, retention and way out of each kind are in `docs/donnees-personnelles.md`.
"""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta

from sqlalchemy import delete, func, inspect, select, update
from sqlalchemy.engine import Connection, Engine

from actions.references import REFERENCES, engine
from web.tables import (
    AUDIT,
    CALL_BACKS,
    CODES,
    CONVERSATIONS,
    EVENTS,
    NOT_UNDERSTOOD,
    NOTES,
    OPINIONS,
    PARTICIPANTS,
    is_workshop,
    now,
)


def digest(code: str) -> str:
    """What is kept of a code."""
    return hashlib.sha256(code.encode()).hexdigest()


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
            self._erase(connection, conversation)
            connection.execute(delete(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation))

    def _erase(self, connection: Connection, conversation: str) -> None:
        if inspect(connection).has_table(EVENTS.name):
            connection.execute(delete(EVENTS).where(EVENTS.c.sender_id == conversation))
        for kept in (REFERENCES, OPINIONS, CODES, NOTES, NOT_UNDERSTOOD, CONVERSATIONS, PARTICIPANTS):
            connection.execute(delete(kept).where(kept.c.conversation == conversation))
        # That something was done stays known; on which conversation does not.
        connection.execute(update(AUDIT).where(AUDIT.c.conversation == conversation).values(conversation=None))

    def purge(self, days: int, contact_days: int = 3 * 365) -> int:
        """Erase conversations silent for more than `days`; contacts are kept `contact_days`. Returns how many."""
        limit = time.time() - days * 86_400
        with self._engine.begin() as connection:
            old: list[str] = []
            spoken = set()
            if inspect(connection).has_table(EVENTS.name):
                silent = select(EVENTS.c.sender_id).group_by(EVENTS.c.sender_id)
                old = list(connection.execute(silent.having(func.max(EVENTS.c.timestamp) < limit)).scalars())
                spoken = set(connection.execute(silent).scalars())
            begun = select(CONVERSATIONS.c.conversation).where(
                CONVERSATIONS.c.ouverte_le < now() - timedelta(days=days)
            )
            old += [found for found in connection.execute(begun).scalars() if found not in spoken]
            for conversation in old:
                self._erase(connection, conversation)
            connection.execute(delete(CALL_BACKS).where(CALL_BACKS.c.consentement_le < now() - timedelta(contact_days)))
            connection.execute(delete(CODES).where(CODES.c.expire_le < now()))
        return len(old)

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

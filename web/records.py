"""What is kept about people: requests for a call back, and the erasing of a conversation everywhere it left a trace.

Purpose, retention and way out of each kind are in `docs/donnees-personnelles.md`.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from sqlalchemy import Column, DateTime, Integer, String, Table, Text, column, delete, func, inspect, select, table
from sqlalchemy.engine import Engine

from actions.references import METADATA, REFERENCES, engine

CALL_BACKS = Table(
    "bon_moment_rappels",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("conversation", String(255), nullable=False, index=True),
    Column("nom", String(120), nullable=False),
    Column("joindre", String(160), nullable=False),
    Column("message", Text, nullable=False),
    Column("consentement_le", DateTime(timezone=True), nullable=False),
    Column("etat", String(20), nullable=False),
)
# Rasa's own table, as far as the door knows it.
EVENTS = table("events", column("sender_id"), column("timestamp"))


class Records:
    """The database of the conversations, as the door uses it. Every method is blocking."""

    def __init__(self, database_url: str) -> None:
        self._engine: Engine = engine(database_url)

    def add_call_back(self, conversation: str, name: str, reach: str, message: str) -> None:
        """Keep a request for a call back; the person has consented."""
        row = {
            "conversation": conversation,
            "nom": name,
            "joindre": reach,
            "message": message,
            "consentement_le": datetime.now(timezone.utc),
            "etat": "a_rappeler",
        }
        with self._engine.begin() as connection:
            connection.execute(CALL_BACKS.insert().values(**row))

    def call_backs(self, conversation: str) -> list[dict[str, object]]:
        """The requests made in a conversation, the oldest first."""
        query = select(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation).order_by(CALL_BACKS.c.id)
        with self._engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def erase(self, conversation: str) -> None:
        """Remove all that was kept of a conversation: messages, answers, reference, requests for a call back."""
        with self._engine.begin() as connection:
            if inspect(connection).has_table(EVENTS.name):
                connection.execute(delete(EVENTS).where(EVENTS.c.sender_id == conversation))
            connection.execute(delete(REFERENCES).where(REFERENCES.c.conversation == conversation))
            connection.execute(delete(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation))

    def purge(self, days: int, contact_days: int = 3 * 365) -> int:
        """Erase conversations silent for more than `days`; contacts are kept `contact_days`. Returns how many."""
        limit = time.time() - days * 86_400
        with self._engine.begin() as connection:
            old: list[str] = []
            if inspect(connection).has_table(EVENTS.name):
                silent = select(EVENTS.c.sender_id).group_by(EVENTS.c.sender_id)
                old = list(connection.execute(silent.having(func.max(EVENTS.c.timestamp) < limit)).scalars())
                for conversation in old:
                    connection.execute(delete(EVENTS).where(EVENTS.c.sender_id == conversation))
                    connection.execute(delete(REFERENCES).where(REFERENCES.c.conversation == conversation))
            oldest = datetime.now(timezone.utc) - timedelta(days=contact_days)
            connection.execute(delete(CALL_BACKS).where(CALL_BACKS.c.consentement_le < oldest))
        return len(old)

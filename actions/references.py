"""The code a person says on the phone to be found again: short, unique, hard to mishear.

Kept in the database that also holds the conversations (`DATABASE_URL`), so that no two conversations share one.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, DateTime, MetaData, String, Table, create_engine, select
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.pool import QueuePool

from migrations import migrate

# Neither 0/O/Q, 1/I/L, 2/Z, 5/S, 8/B, U/V, nor letters that rhyme when spelled in French (B C D E G P T V, M N, K A).
ALPHABET = "AFHJRWXY234679"
LENGTH = 8

METADATA = MetaData()
REFERENCES = Table(
    "bon_moment_references",
    METADATA,
    Column("reference", String(LENGTH + 1), primary_key=True),
    Column("conversation", String(255), unique=True, nullable=False),
    Column("creee_le", DateTime(timezone=True), nullable=False),
)


@lru_cache(maxsize=4)
def engine(url: str) -> Engine:
    """The engine for `url`, its tables brought up to date."""
    # A connection that the database has closed is opened anew; what goes wrong is told without the values at stake.
    pool: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        # Kept open too: to open a file and close it costs more than a turn, and needs room on a full disk.
        pool = {"poolclass": QueuePool, "connect_args": {"check_same_thread": False}}
    made = create_engine(url, future=True, hide_parameters=True, **pool)
    if url.startswith("sqlite"):
        listen(made, "connect", write_ahead)
        listen(made, "checkout", same_file)
    migrate(made)
    return made


def write_ahead(connection: Any, _: object) -> None:
    """Let a file of SQLite be read while it is written, and a turn not wait for the disk.

    What was written outlives the death of any process; a power cut may take the last turns, never the file.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA secure_delete=ON")  # What is erased is gone from the file too.


def same_file(connection: Any, record: Any, _: object) -> None:
    """Let a connection be used only while its file is the one that stands there: what is written to a file that was
    removed or replaced is lost.

    Raises:
        sqlalchemy.exc.DisconnectionError: it is another; the pool then opens that one.
    """
    if "file" not in record.info:
        record.info["file"] = connection.execute("PRAGMA database_list").fetchone()[2]
    if path := record.info["file"]:
        there = os.stat(path).st_ino if os.path.exists(path) else None
        if record.info.setdefault("inode", there) != there:
            raise DisconnectionError


def new_code() -> str:
    """A code such as `HA7R-3W4J`: 14⁸, about 1.5 × 10⁹ possibilities."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{drawn[:4]}-{drawn[4:]}"


def reference_of(conversation: str, url: str | None = None) -> str:
    """The code of a conversation, drawn the first time it is asked for.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    base = engine(url or os.environ.get("DATABASE_URL", "sqlite:///var/bon_moment.db"))
    known = select(REFERENCES.c.reference).where(REFERENCES.c.conversation == conversation)
    while True:
        with base.begin() as connection:
            found = connection.execute(known).scalar_one_or_none()
            if found:
                return str(found)
        try:
            with base.begin() as connection:
                code = new_code()
                row = {"reference": code, "conversation": conversation, "creee_le": datetime.now(timezone.utc)}
                connection.execute(REFERENCES.insert().values(**row))
            return code
        except IntegrityError:
            continue  # The code was taken, or another process was quicker: look again.

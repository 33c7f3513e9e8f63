"""Brings a database to the present tables of Bon Moment, by Alembic: one file in `versions/` for each step.

Rasa makes its own table (`events`) and is not concerned.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

HERE = Path(__file__).parent
LOCK = 2_026_110
"""The name of the lock, on PostgreSQL."""


def alone(connection: Connection, lock: int) -> None:
    """Let one process at a time go on, until its transaction ends. `lock` names what they compete for, on PostgreSQL;
    SQLite has one writer for everything.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    elif connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))


def migrate(engine: Engine) -> None:
    """Bring the database of `engine` to the last step; nothing to do if it is there already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer or refuses.
    """
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    with engine.begin() as connection:
        alone(connection, LOCK)  # And a step that fails leaves nothing of itself.
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

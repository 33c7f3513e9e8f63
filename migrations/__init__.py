"""Brings a database to the present tables of Bon Moment, by Alembic: one file in `versions/` for each step.

Rasa makes its own table (`events`) and is not concerned.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Engine

HERE = Path(__file__).parent
LOCK = 2_026_110
"""The name of the lock, on PostgreSQL."""


def migrate(engine: Engine) -> None:
    """Bring the database of `engine` to the last step; nothing to do if it is there already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer or refuses.
    """
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    with engine.begin() as connection:
        # One process at a time, and a step that fails leaves nothing of itself.
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        elif engine.dialect.name == "sqlite":
            connection.execute(text("BEGIN IMMEDIATE"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

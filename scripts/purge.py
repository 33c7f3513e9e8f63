"""Erase the conversations older than the retention (`make purge`); the door does the same every day."""

from __future__ import annotations

from scripts.run import configuration
from scripts.texts import say
from web.accounts import Accounts
from web.records import Records
from web.settings import Settings


def main() -> None:
    settings = Settings.from_environment(configuration())
    erased = Records(settings.database_url).purge(settings.retention_days)
    Accounts(settings.database_url).purge()
    say("purge_fin", nombre=str(erased), jours=str(settings.retention_days))


if __name__ == "__main__":
    main()

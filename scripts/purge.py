"""Erase the conversations older than the retention (`make purge`); the door does the same every day."""

from __future__ import annotations

from scripts.run import configuration
from scripts.texts import say
from web.records import Records


def main() -> None:
    env = configuration()
    days = int(env.get("BON_MOMENT_CONSERVATION_JOURS", "30"))
    say("purge_fin", nombre=str(Records(env["DATABASE_URL"]).purge(days)), jours=str(days))


if __name__ == "__main__":
    main()

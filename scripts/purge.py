"""Erase what is older than the retention, and what a workshop has left behind (`make purge`); the door does the same
every hour.
"""

from __future__ import annotations

from scripts.run import configuration
from scripts.texts import say
from web.accounts import Accounts
from web.records import Records
from web.rooms import Rooms
from web.settings import Settings


def end_rooms(rooms: Rooms, records: Records) -> None:
    """End the rooms that nobody has ended, and erase what the workshops have left behind."""
    codes, left = rooms.left_behind()
    for code in codes:
        room = rooms.room(code)
        if room and not room.ended:
            rooms.end(code, keep=False)
        for conversation in rooms.conversations(code):
            records.erase(conversation)
        rooms.forget(code)
    for conversation in left:
        records.erase(conversation)
    rooms.purge()


def main() -> None:
    settings = Settings.from_environment(configuration())
    records = Records(settings.database_url)
    erased = records.purge(settings.retention_days, settings.contact_days)
    end_rooms(Rooms(settings.database_url), records)
    Accounts(settings.database_url).purge()
    say("purge_fin", nombre=str(erased), jours=str(settings.retention_days))


if __name__ == "__main__":
    main()

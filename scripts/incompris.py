"""The messages that the guide did not understand (`make incompris`), as a table to read and to learn from.

One line for each: the day, the question then open, what was typed, what it was taken for, how surely, and what the
staff say it meant. The table is CSV on standard output, made for a spreadsheet; conversations are not named in it.
How to use it: `docs/messages-non-compris.md`.
"""

from __future__ import annotations

import csv
import sys

from scripts.run import configuration
from scripts.texts import say
from web.followup import FollowUp
from web.tables import ZONE

HEADER = ("jour", "question", "message", "pris_pour", "certitude", "sens")


def lines(followup: FollowUp) -> list[tuple[str, ...]]:
    """One line for each message kept, the oldest first."""
    found = []
    for row in reversed(followup.not_understood()):
        sure = f"{row['certitude']:.2f}" if row["certitude"] is not None else ""
        day = row["le"].astimezone(ZONE).date().isoformat()
        cells = (day, row["question"], row["texte"], row["pris_pour"], sure, row["sens"])
        # A cell that begins like a formula is shown, not computed, by spreadsheets.
        found.append(
            tuple(f"'{cell}" if (cell or "").startswith(("=", "+", "-", "@")) else cell or "" for cell in cells)
        )
    return found


def main() -> int:
    found = lines(FollowUp(configuration()["DATABASE_URL"]))
    if not found:
        say("incompris_aucun")
        return 0
    csv.writer(sys.stdout).writerows([HEADER, *found])
    return 0


if __name__ == "__main__":
    sys.exit(main())

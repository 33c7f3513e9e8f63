"""The messages that were not understood (`make incompris`), as a table to read and to learn from.

One line for each: the day, the question then open, what was typed, what it was taken for, how surely. The table is
CSV on standard output, made for a spreadsheet; conversations are not named in it. How to use it:
`docs/messages-non-compris.md`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import column, inspect, select, table
from sqlalchemy.engine import Engine

from actions.diagnostic import SLOTS
from actions.references import engine
from scripts.run import configuration
from scripts.texts import say

EVENTS = table("events", column("id"), column("sender_id"), column("data"))
HEADER = ("jour", "question", "message", "pris_pour", "certitude")
NOT_UNDERSTOOD = ("nlu_fallback", "hors_sujet")


def not_understood(events: Iterator[dict[str, Any]]) -> Iterator[tuple[str, str, str, str, str]]:
    """The lines of one conversation, from its events in order."""
    question = ""
    for event in events:
        if event.get("event") == "slot" and event.get("name") == "requested_slot":
            question = event.get("value") or ""
        said = event.get("parse_data") or {}
        if event.get("event") != "user" or (said.get("intent") or {}).get("name") not in NOT_UNDERSTOOD:
            continue
        ranking = [r for r in said.get("intent_ranking") or [{}] if r.get("name") not in NOT_UNDERSTOOD] or [{}]
        sure = f"{ranking[0].get('confidence', 0):.2f}"
        day = date.fromtimestamp(event["timestamp"]).isoformat()
        shown = question if question in SLOTS else ""
        yield day, shown, " ".join((event.get("text") or "").split()), ranking[0].get("name", ""), sure


def lines(database: Engine) -> Iterator[tuple[str, str, str, str, str]]:
    """The lines of every conversation kept."""
    with database.connect() as connection:
        if not inspect(connection).has_table(EVENTS.name):
            return
        query = select(EVENTS.c.sender_id, EVENTS.c.data).order_by(EVENTS.c.sender_id, EVENTS.c.id)
        current: str | None = None
        events: list[dict[str, Any]] = []
        for sender, data in connection.execute(query):
            if sender != current:
                yield from not_understood(iter(events))
                current, events = sender, []
            events.append(json.loads(data))
        yield from not_understood(iter(events))


def main() -> int:
    found = sorted(lines(engine(configuration()["DATABASE_URL"])))
    if not found:
        say("incompris_aucun")
        return 0
    # A cell that begins like a formula is shown, not computed, by spreadsheets.
    safe = [[f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in line] for line in found]
    csv.writer(sys.stdout).writerows([HEADER, *safe])
    return 0


if __name__ == "__main__":
    sys.exit(main())

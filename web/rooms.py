"""The rooms of the workshops and the conversations held in them: who is in, what each has answered, in no one's name.

Nothing here is in the console's list, search or figures. Every method is blocking, and raises
`sqlalchemy.exc.SQLAlchemyError` where the database does not answer.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, inspect, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from actions.diagnostic import SLOTS, VERDICTS, diagnostiquer, manquantes, parcours
from actions.references import ALPHABET, engine
from web.tables import EVENTS, PARTICIPANTS, ROOMS, WORKSHOP, moment, now

CODE_LENGTH = 5
"""Of the code of a room: 14⁵, half a million possibilities."""
MOST_PARTICIPANTS = 200
FEWEST = 3
"""Below so many answers nothing of them is shown nor kept: who gave them would be recognised."""
LONGEST = timedelta(hours=12)
"""After so long, a room that was forgotten is ended, and a demonstration erased."""
KEPT_DAYS = 30

Answers = dict[str, "str | None"]


@dataclass(frozen=True)
class Room:
    """A room. `question` is the slot of what is asked to all; `kept` the answers kept once it has ended, if any."""

    code: str
    account: int
    opened: datetime
    shown: bool
    question: str | None
    ended: datetime | None
    kept: tuple[Answers, ...] | None


class Rooms:
    """The workshops' part of the database."""

    def __init__(self, database_url: str) -> None:
        self._engine = engine(database_url)

    # ── rooms ──

    def open(self, account: int) -> str:
        """Open a room: its code."""
        while True:
            code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
            row = {"code": code, "compte": account, "ouverte_le": now(), "montre": False}
            try:
                with self._engine.begin() as connection:
                    connection.execute(ROOMS.insert().values(**row))
                return code
            except IntegrityError:
                continue  # The code is another room's.

    def room(self, code: str) -> Room | None:
        """The room of this code, open or kept."""
        with self._engine.begin() as connection:
            found = connection.execute(select(ROOMS).where(ROOMS.c.code == code)).first()
        return _room(found) if found else None

    def rooms_of(self, account: int) -> list[Room]:
        """The account's rooms, the newest first."""
        query = select(ROOMS).where(ROOMS.c.compte == account).order_by(ROOMS.c.ouverte_le.desc())
        with self._engine.begin() as connection:
            return [_room(row) for row in connection.execute(query)]

    def show(self, code: str, shown: bool) -> None:
        """Let the screen show the spread of the answers, or not."""
        self._set(code, montre=shown)

    def ask(self, code: str, slot: str | None) -> None:
        """Ask one question to the whole room; None: each goes on alone. What is then on the screen begins hidden."""
        self._set(code, question=slot, montre=False)

    def _set(self, code: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(ROOMS).where(ROOMS.c.code == code).values(**values))

    def end(self, code: str, keep: bool) -> None:
        """End a room: nobody joins it any more. `keep` what was answered, in no order and in no one's name."""
        with self._engine.begin() as connection:
            ended: dict[str, Any] = {"terminee_le": now(), "gardees": None, "question": None}
            if keep:
                given = [json.loads(row) for row in connection.execute(_answers_in(code)).scalars()]
                ended |= {"gardees": json.dumps(shuffled(given))}
            connection.execute(update(ROOMS).where(ROOMS.c.code == code).values(**ended))

    def forget(self, code: str) -> None:
        """Forget a room that has ended, unless answers of it are kept or a conversation is still to be erased."""
        left = select(PARTICIPANTS.c.conversation).where(PARTICIPANTS.c.salle == code).exists()
        over = ROOMS.c.terminee_le.isnot(None) & ROOMS.c.gardees.is_(None)
        with self._engine.begin() as connection:
            connection.execute(delete(ROOMS).where((ROOMS.c.code == code) & over & ~left))

    # ── conversations ──

    def show_on_screen(self, conversation: str) -> None:
        """A conversation begins on the trainer's screen."""
        row = {"conversation": conversation, "ouverte_le": now(), "reponses": "{}"}
        with self._engine.begin() as connection:
            connection.execute(PARTICIPANTS.insert().values(**row))

    def join(self, conversation: str, code: str) -> bool:
        """A conversation begins in the room of this code; nothing where it has ended. Returns whether it did."""
        opened = literal(now(), PARTICIPANTS.c.ouverte_le.type)
        row = select(literal(conversation), ROOMS.c.code, opened, literal("{}"))
        row = row.where(ROOMS.c.code == code, ROOMS.c.terminee_le.is_(None))
        columns = ("conversation", "salle", "ouverte_le", "reponses")
        with self._engine.begin() as connection:
            return bool(connection.execute(PARTICIPANTS.insert().from_select(columns, row)).rowcount)

    def keep(self, conversation: str, given: Mapping[str, str | None]) -> None:
        """What was answered in a conversation so far."""
        written = json.dumps({slot: value for slot, value in given.items() if value})
        mine = PARTICIPANTS.c.conversation == conversation
        with self._engine.begin() as connection:
            connection.execute(update(PARTICIPANTS).where(mine).values(reponses=written))

    def is_demonstration(self, conversation: str) -> bool:
        """Whether it is one held on the trainer's screen."""
        mine = (PARTICIPANTS.c.conversation == conversation) & PARTICIPANTS.c.salle.is_(None)
        with self._engine.begin() as connection:
            return connection.execute(select(PARTICIPANTS.c.conversation).where(mine)).first() is not None

    def code_of(self, conversation: str) -> str | None:
        """The room in which the conversation is held."""
        query = select(PARTICIPANTS.c.salle).where(PARTICIPANTS.c.conversation == conversation)
        with self._engine.begin() as connection:
            return connection.execute(query).scalar_one_or_none()

    def conversations(self, code: str) -> list[str]:
        """The conversations of a room, in the order in which they began."""
        query = select(PARTICIPANTS.c.conversation).where(PARTICIPANTS.c.salle == code)
        with self._engine.begin() as connection:
            return list(connection.execute(query.order_by(PARTICIPANTS.c.ouverte_le)).scalars())

    def answers(self, code: str) -> list[Answers]:
        """What each in the room has answered, in the order in which they came."""
        query = _answers_in(code).order_by(PARTICIPANTS.c.ouverte_le, PARTICIPANTS.c.conversation)
        with self._engine.begin() as connection:
            return [_all_slots(json.loads(row)) for row in connection.execute(query).scalars()]

    def count(self, code: str) -> int:
        """How many are in the room."""
        query = select(func.count()).where(PARTICIPANTS.c.salle == code)
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    # ── forgetting ──

    def left_behind(self) -> tuple[list[str], list[str]]:
        """Rooms to end, those that nobody has ended or not wholly; and conversations to erase: demonstrations, and what
        a guide that was late has written of one erased before."""
        limit = now() - LONGEST
        kept = PARTICIPANTS.c
        old = ROOMS.c.terminee_le.is_(None) & (ROOMS.c.ouverte_le < limit)
        begun = ROOMS.c.terminee_le.isnot(None) & or_(
            ROOMS.c.gardees.is_(None), select(kept.conversation).where(kept.salle == ROOMS.c.code).exists()
        )
        shown = select(kept.conversation).where(kept.salle.is_(None), kept.ouverte_le < limit)
        late = select(EVENTS.c.sender_id).distinct().where(EVENTS.c.sender_id.like(f"{WORKSHOP}%"))
        late = late.where(~select(kept.conversation).where(kept.conversation == EVENTS.c.sender_id).exists())
        with self._engine.begin() as connection:
            rooms = list(connection.execute(select(ROOMS.c.code).where(or_(old, begun))).scalars())
            conversations = list(connection.execute(shown).scalars())
            if inspect(connection).has_table(EVENTS.name):
                conversations += connection.execute(late).scalars()
        return rooms, conversations

    def purge(self) -> None:
        """Forget what was kept for longer than `KEPT_DAYS`."""
        with self._engine.begin() as connection:
            connection.execute(delete(ROOMS).where(ROOMS.c.terminee_le < now() - timedelta(days=KEPT_DAYS)))


def _asked(given: Answers) -> Answers:
    """The answers to the questions that one's conversation asks."""
    return {slot: given.get(slot) for slot in parcours(given)}


def _answers_in(code: str) -> Any:
    return select(PARTICIPANTS.c.reponses).where(PARTICIPANTS.c.salle == code)


def _all_slots(given: Mapping[str, str]) -> Answers:
    return {slot: given.get(slot) for slot in SLOTS}


def _room(row: Any) -> Room:
    opened = moment(row.ouverte_le)
    assert opened is not None
    kept = tuple(_all_slots(given) for given in json.loads(row.gardees)) if row.gardees else None
    return Room(row.code, row.compte, opened, row.montre, row.question, moment(row.terminee_le), kept)


def shuffled(given: Sequence[Answers]) -> list[Answers]:
    """Those who have answered something, in no order, to the questions that their conversations ask."""
    rows = [_asked(one) for one in given if any(one.values())]
    random.SystemRandom().shuffle(rows)
    return rows


# ── figures, from the answers alone ──


def spread(given: Sequence[Answers], slot: str, to_all: bool = False) -> dict[str, int]:
    """How many gave each answer to a question: those whose conversation asks it, or all where it is asked `to_all`."""
    found: dict[str, int] = {}
    for one in given:
        value = one.get(slot)
        if value and (to_all or slot in parcours(one)):
            found[value] = found.get(value, 0) + 1
    return found


def verdicts(given: Sequence[Answers]) -> dict[str, int]:
    """How many came to each verdict, those who have answered everything only."""
    found = dict.fromkeys(VERDICTS, 0)
    for one in given:
        if not manquantes(one):
            found[diagnostiquer(one).verdict] += 1
    return {verdict: number for verdict, number in found.items() if number}


def progress(one: Answers) -> tuple[int, int]:
    """How many questions one has answered, out of how many."""
    path = parcours(one)
    return len(path) - len(manquantes(one)), len(path)

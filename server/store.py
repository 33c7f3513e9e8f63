"""Where Rasa keeps conversations: its own SQL table, read so that a turn costs the same in a long conversation.

Three things differ from Rasa's own store, whose table and events stay what they are:

- A conversation that grows long begins a new session by itself, with all its answers and the open question: Rasa only
  reads the last session, and replays it several times a turn.
- Events are read in the order in which they were written, whatever the clock then said.
- A fault of the database is raised: nothing is answered from memory and lost later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import SQLTrackerStore, TrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME, ACTION_SESSION_START_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    ConversationPaused,
    Event,
    LoopInterrupted,
    SessionStarted,
    SlotSet,
)
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy.engine import Connection

from actions.references import engine
from migrations import LOCK, alone

LONG = 100
"""Events of one session after which the next begins: about eight turns."""
RECENT = 60
"""Events, the newest of a conversation, among which a message that comes again is looked for: some four turns."""

EVENTS = SQLTrackerStore.SQLEvent.__table__
# A million conversations a month would count beyond what an ordinary integer holds within two years.
EVENTS.c.id.type = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXES = (
    sa.Index("ix_events_sender_id_id", EVENTS.c.sender_id, EVENTS.c.id),
    sa.Index("ix_events_sender_id_type_name_id", EVENTS.c.sender_id, EVENTS.c.type_name, EVENTS.c.id),
)


class WrittenMeanwhile(Exception):
    """Another process has added to the conversation since it was read: what was made of it is not kept."""


class ConversationStore(SQLTrackerStore):
    """The tracker store of `endpoints.yml`. Every method raises `sqlalchemy.exc.SQLAlchemyError` where the database
    does not answer.
    """

    def __init__(
        self, domain: Domain | None = None, host: str = "", event_broker: EventBroker | None = None, **_: Any
    ) -> None:
        self.engine = engine(host)
        with self.engine.begin() as connection:
            alone(connection, LOCK)  # Another server of Rasa may start at the same time.
            for made in (EVENTS, *INDEXES):
                made.create(connection, checkfirst=True)
        self.sessionmaker = sa.orm.sessionmaker(bind=self.engine)
        TrackerStore.__init__(self, domain, event_broker)

    async def _retrieve(self, sender_id: str, fetch_events_from_all_sessions: bool) -> DialogueStateTracker | None:
        """The conversation, from its last session or whole; None where nothing of it is kept."""
        with self.engine.connect() as connection:
            began = EVENTS.c.type_name == SessionStarted.type_name
            since = 0 if fetch_events_from_all_sessions else _newest(connection, sender_id, began) or 0
            query = sa.select(EVENTS.c.id, EVENTS.c.data).where(EVENTS.c.sender_id == sender_id, EVENTS.c.id >= since)
            rows = connection.execute(query.order_by(EVENTS.c.id)).all()
        if not rows or self.domain is None:
            return None
        events = [json.loads(row.data) for row in rows]
        tracker = DialogueStateTracker.from_dict(sender_id, events, self.domain.slots)
        tracker.kept = (len(tracker.events), rows[-1].id)
        return tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Add what is new of the conversation, all or nothing.

        Raises:
            WrittenMeanwhile: another process has added to it since `tracker` was read.
        """
        count, last = getattr(tracker, "kept", (0, None))
        new = list(tracker.events)[count:]
        if len(tracker.events) > LONG and new and _is_over(tracker):
            new += _new_session(tracker)
        if not new:
            return
        with self.engine.begin() as connection:
            if _newest(connection, tracker.sender_id) != last:
                raise WrittenMeanwhile
            connection.execute(EVENTS.insert(), [_row(tracker.sender_id, event) for event in new])
            last = _newest(connection, tracker.sender_id)
        tracker.kept = (len(tracker.events), last)
        if self.event_broker is not None:
            await self._stream_new_events(self.event_broker, new, tracker.sender_id)

    async def turn_of(self, sender_id: str, key: str) -> dict[str, Any] | None:
        """The turn of the message whose metadata have this `cle`; None where it never came.

        `messages`: what the guide said, as its channel sends it; `entendu`: what was heard in the message.
        """
        query = sa.select(EVENTS.c.type_name, EVENTS.c.data).where(EVENTS.c.sender_id == sender_id)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(EVENTS.c.id.desc()).limit(RECENT)).all()
        mark, said = f'"cle": {json.dumps(key)}', list[str]()
        for kind, kept in rows:
            if kind == "bot":
                said.append(kept)
            elif kind == "user":
                if mark in kept and ((event := json.loads(kept)).get("metadata") or {}).get("cle") == key:
                    messages = [message_of(json.loads(one)) for one in reversed(said)]
                    return {"messages": messages, "entendu": event.get("parse_data") or {}}
                said = []
        return None


def _newest(connection: Connection, sender_id: str, *which: Any) -> int | None:
    """The id of the newest event of a conversation, among those `which` hold; None where there is none."""
    query = sa.select(sa.func.max(EVENTS.c.id)).where(EVENTS.c.sender_id == sender_id, *which)
    return connection.execute(query).scalar()


def _is_over(tracker: DialogueStateTracker) -> bool:
    """Whether the guide waits for the next message: a session may end here."""
    return tracker.followup_action is None and tracker.latest_action_name == ACTION_LISTEN_NAME


def _new_session(tracker: DialogueStateTracker) -> Sequence[Event]:
    """The events by which a session begins where this one stands."""
    loop = tracker.active_loop
    began: list[Event] = [ActionExecuted(ACTION_SESSION_START_NAME), SessionStarted()]
    began += [SlotSet(slot.name, slot.value) for slot in tracker.slots.values() if slot.value != slot.initial_value]
    began += [ActiveLoop(loop.name)] if loop else []
    began += [LoopInterrupted(True)] if loop and loop.is_interrupted else []
    began += [ConversationPaused()] if tracker.is_paused() else []
    return [*began, ActionExecuted(ACTION_LISTEN_NAME)]


def _row(sender_id: str, event: Event) -> dict[str, Any]:
    """An event as Rasa's own store writes it."""
    data = event.as_dict()
    return {
        "sender_id": sender_id,
        "type_name": event.type_name,
        "timestamp": data.get("timestamp"),
        "intent_name": ((data.get("parse_data") or {}).get("intent") or {}).get("name"),
        "action_name": data.get("name"),
        "data": json.dumps(data),
    }


def message_of(event: dict[str, Any]) -> dict[str, Any]:
    """What the guide said, as its channel sends it: `text`, `buttons`, `custom`, those that there are."""
    data = event.get("data") or {}
    found = {"text": event.get("text"), "buttons": data.get("buttons"), "custom": data.get("custom")}
    return {name: value for name, value in found.items() if value}

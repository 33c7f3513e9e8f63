"""The door's memory of who talks: carries messages between browsers and Rasa, one at a time for each conversation, and
tells every open page. It holds no dialogue logic and knows no HTTP request.

A conversation belongs to whoever holds its signed token. Buttons travel as signed tokens too, so that no one can type
or forge what a click sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import time
import unicodedata
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from actions.references import ALPHABET
from web import logs, metrics, views
from web.bus import Bus, Locks, Unavailable, connect
from web.followup import FollowUp, call_back_words
from web.records import Records
from web.rooms import Rooms
from web.settings import Settings
from web.tables import WORKSHOP, is_workshop
from web.views import COMMANDS, SAID

OPENING = "/demarrer"
"""What a new conversation begins with: the first question. Who the guide is and what it keeps was said before."""
RETRY = 3.0
"""Seconds between two tries to read a conversation again while the guide does not answer."""
LATE = 4
"""How many times, `RETRY` seconds apart, events that Rasa took too long to acknowledge are looked for."""
AGAIN = (0.3, 1.0)
"""Seconds before a message is brought again to a Rasa that has not answered: it takes the same message for one."""
QUEUED = 200
"""Events that may wait for a page; one that reads no faster is told everything anew."""
HERE = 10.0
"""Seconds between two times that a door tells the others whose pages it has; after three of them it is not believed."""
CLEAR = 60.0
"""Seconds after which a limit forgets those whom it does not limit any more."""
CODE_LENGTH = 12
"""Of the code that opens a conversation on another device: 14¹², about 5 × 10¹³ possibilities."""
logger = logging.getLogger("bon_moment.door")

REREAD = "relire"
"""What a page is told that has to be told everything anew."""
_KEY = re.compile(r"^[\w-]{8,64}$", re.ASCII)


class Refused(Exception):
    """A request that is answered by a sentence, of `messages.yml` or `console.yml`, and an HTTP status.

    `values` fill the marks of the sentence.
    """

    def __init__(self, status: int, said: str, **values: object) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.values = values


@dataclass(frozen=True)
class Turn:
    """What the guide answers (`text`, `buttons`, `custom` of each message), and the message as it was heard."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, Any] = field(default_factory=dict)

    def kinds(self) -> list[Any]:
        """The types of what is shown: `question`, `verdict`…"""
        return [m["custom"].get("type") for m in self.messages if isinstance(m.get("custom"), dict)]


class Rate:
    """At most `limit` events at once for each key, and as many again in `seconds`, a minute by default, evenly."""

    def __init__(self, limit: int, seconds: float = 60) -> None:
        self.limit = limit
        self.seconds = seconds
        self._due: dict[str, float] = {}
        """By key, when none of its events counts any more."""
        self._most = 10_000
        self._cleared = time.monotonic()

    def wait(self, key: str) -> float:
        """Seconds until one more event is allowed."""
        spare = self.seconds * (1 - 1 / self.limit)
        return max(0.0, self._due.get(key, 0.0) - time.monotonic() - spare)

    def is_full(self, key: str) -> bool:
        """Whether no more events are allowed now."""
        return self.wait(key) > 1e-6  # What rounding leaves.

    def allows(self, key: str) -> bool:
        """Whether one more event is allowed now; if so, it is counted."""
        if self.is_full(key):
            return False
        now = time.monotonic()
        self._due[key] = max(now, self._due.get(key, now)) + self.seconds / self.limit
        if len(self._due) > self._most or now - self._cleared > CLEAR:  # An address is not held when it serves no more.
            self._due = {one: due for one, due in self._due.items() if due > now}
            self._most, self._cleared = max(10_000, 2 * len(self._due)), now
        return True

    def give_back(self, key: str) -> None:
        """The last event counted for `key` was none."""
        if key in self._due:
            self._due[key] -= self.seconds / self.limit


class Door:
    """Carries messages to Rasa and back, one at a time for each conversation, and tells every open page."""

    def __init__(
        self, settings: Settings, rasa: httpx.AsyncClient, records: Records, followup: FollowUp, rooms: Rooms
    ) -> None:
        self.settings = settings
        self.rasa = rasa
        self.records = records
        self.followup = followup
        self.rooms = rooms
        self.messages = Rate(settings.messages_per_minute)
        self.messages_of_day = Rate(settings.messages_per_day, 86_400)
        self.messages_of_address = Rate(settings.messages_per_address)
        self.readings_of_address = Rate(settings.messages_per_address)
        self.new_codes = Rate(settings.codes_per_minute)
        self.openings = Rate(settings.conversations_per_minute)
        self.codes = Rate(settings.codes_per_minute)
        self.typings = Rate(settings.messages_per_minute)
        self.room_codes = Rate(3 * settings.codes_per_minute)
        self.seats = Rate(settings.seats_per_minute)
        self._pass = {"Authorization": f"Bearer {settings.rasa_token}"}
        self._tokens = URLSafeSerializer(settings.secret, salt="conversation")
        redis = connect(settings.redis_url)
        self.locks = Locks(redis, "porte")
        self.bus = Bus(redis)
        self._elsewhere: dict[str, tuple[float, set[str]]] = {}
        """By door, when it told whose pages it has, and whose."""
        self._name = secrets.token_hex(8)
        self._pages: defaultdict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)
        self.desks: set[asyncio.Queue[dict[str, Any]]] = set()
        """The open pages of the console."""
        self.screens: set[asyncio.Event] = set()
        """Those of the workshops' rooms, each waiting for something new."""
        self._seen: deque[tuple[str, str]] = deque(maxlen=5_000)
        self._tasks: set[asyncio.Task[None]] = set()

    # ── who ──

    async def conversation_of(self, token: str) -> str:
        """The conversation that `token` opens.

        Raises:
            Refused: the door did not sign it, or the conversation was erased.
        """
        try:
            conversation = str(self._tokens.loads(token))
        except BadSignature:
            raise Refused(404, "conversation_inconnue") from None
        if not await run_in_threadpool(self.records.is_open, conversation):
            raise Refused(404, "conversation_inconnue")
        return conversation

    def token_of(self, conversation: str) -> str:
        """What proves that a visitor may read and continue the conversation."""
        return str(self._tokens.dumps(conversation))

    async def begin(self) -> str:
        """Open a conversation, whose identifier nobody can guess; the first question is asked in the background."""
        conversation = "web-" + secrets.token_hex(16)
        await run_in_threadpool(self.records.open, conversation)
        metrics.OPENED.labels("web").inc()
        self.send(conversation, OPENING, key="ouverture")
        return conversation

    async def join(self, code: str) -> str:
        """Open a conversation in the room of this code, as `begin` does.

        Raises:
            Refused: the room has ended.
        """
        conversation = WORKSHOP + secrets.token_hex(16)
        if not await run_in_threadpool(self.rooms.join, conversation, code):
            raise Refused(409, "salle_terminee")
        metrics.OPENED.labels("atelier").inc()
        self.send(conversation, OPENING, key="ouverture")
        return conversation

    async def new_code(self, conversation: str) -> str:
        """A code such as `HA7R-3W4J-9XYF` that opens the conversation on another device, once."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        await self.keep(conversation, self.records.add_code, code, self.settings.code_lifetime)
        return "-".join(code[at : at + 4] for at in range(0, CODE_LENGTH, 4))

    async def use_code(self, code: str) -> str:
        """The conversation that a code opens, however it was typed.

        Raises:
            Refused: it opens none.
        """
        typed = "".join(c for c in code.upper() if c in ALPHABET)
        found = await run_in_threadpool(self.records.use_code, typed)
        if found is None:
            raise Refused(404, "code_inconnu")
        return found

    def lock(self, conversation: str) -> AbstractAsyncContextManager[None]:
        """Held by whoever speaks in the conversation, reads it or erases it.

        Raises, when entered:
            Unavailable: what the doors share does not answer.
        """
        return self.locks.held(conversation)

    async def keep(self, conversation: str, record: Callable[..., None], *values: Any) -> None:
        """Let `record` write `values` of a conversation, which nobody erases meanwhile.

        Raises:
            Refused: it was erased, or is one of a workshop, in which nothing is left behind.
        """
        if is_workshop(conversation):
            raise Refused(409, "pas_en_atelier")
        async with self.lock(conversation):
            if not await run_in_threadpool(self.records.is_open, conversation):
                raise Refused(404, "conversation_inconnue")
            await run_in_threadpool(record, conversation, *values)
        self.changed(conversation)

    async def add_call_back(self, conversation: str, name: str, reach: str, message: str) -> None:
        """Keep a request for a call back, by which the conversation is then found.

        Raises:
            Refused: the conversation was erased.
        """
        await self.keep(conversation, self.records.add_call_back, name, reach, message)
        for words in call_back_words(name, reach, message):
            await run_in_threadpool(self.followup.found_by, conversation, words)

    # ── buttons ──

    def _choices(self, conversation: str) -> URLSafeSerializer:
        return URLSafeSerializer(self.settings.secret, salt="choix:" + conversation)

    def seal(self, conversation: str) -> views.Seal:
        """Makes buttons that only this conversation can use."""
        choices = self._choices(conversation)
        return lambda payload, title: str(choices.dumps([payload, title]))

    def opened(self, conversation: str, choice: str) -> tuple[str, str]:
        """Payload and title of a sealed button.

        Raises:
            Refused: the bot did not offer it in this conversation.
        """
        try:
            payload, title = self._choices(conversation).loads(choice)
        except (BadSignature, ValueError, TypeError):
            raise Refused(400, "choix_inconnu") from None
        return str(payload), str(title)

    # ── pages ──

    def listeners(self, conversation: str) -> int:
        """How many pages of this door listen to the conversation."""
        return len(self._pages.get(conversation, ()))

    def is_watched(self, conversation: str) -> bool:
        """Whether a page of any door listens to the conversation."""
        believed = time.monotonic() - 3 * HERE
        return bool(self.listeners(conversation)) or any(
            conversation in pages for told, pages in self._elsewhere.values() if told > believed
        )

    async def publish(self, conversation: str, kind: str, data: Any) -> None:
        """Tell every page open on this conversation."""
        self._tell_pages(conversation, kind, data)
        self.bus.tell("pages", conversation, kind, data)

    def _tell_pages(self, conversation: str, kind: str, data: Any) -> None:
        for page in list(self._pages.get(conversation, ())):
            tell(page, kind, data)

    def tell_staff(self, kind: str, data: dict[str, Any]) -> None:
        """Tell every open page of the console."""
        self._tell_desks(kind, data)
        self.bus.tell("console", kind, data)

    def _tell_desks(self, kind: str, data: dict[str, Any]) -> None:
        for desk in list(self.desks):
            tell(desk, kind, data)

    def tell_screens(self) -> None:
        """Something of a workshop is new."""
        self._tell_rooms()
        self.bus.tell("salles")

    def _tell_rooms(self) -> None:
        for screen in self.screens:
            screen.set()

    def _tell_whose(self) -> None:
        """Let the other doors know whose pages this one has."""
        self.bus.tell("presents", self._name, list(self._pages))

    # ── the other doors ──

    def _hear(self, what: str, *said: Any) -> None:
        """Another door tells something."""
        if what == "presents":
            door, pages = said
            self._elsewhere[door] = (time.monotonic(), set(pages))
            return
        told: dict[str, Callable[..., None]] = {
            "pages": self._tell_pages,
            "console": self._tell_desks,
            "salles": self._tell_rooms,
        }
        told[what](*said)

    def _missed(self) -> None:
        """Something of the others may not have been heard: every page reads again."""
        for conversation in list(self._pages):
            self._tell_pages(conversation, REREAD, None)
        self._tell_desks("change", {"conversation": None})
        self._tell_rooms()

    async def _tell_whose_often(self) -> None:
        while True:
            await asyncio.sleep(HERE)
            self._tell_whose()
            silent = [door for door, (told, _) in self._elsewhere.items() if time.monotonic() - told > 3 * HERE]
            for door in silent:
                del self._elsewhere[door]
            if silent:
                self._missed()  # It has died, perhaps in the middle of a turn that our pages wait for.

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What has to run for as long as the door is open."""
        return [self.bus.speak(), self.bus.listen(self._hear, self._missed), self._tell_whose_often()]

    def changed(self, conversation: str) -> None:
        """Something of the conversation is new: the console, or the screen of its room, reads it again."""
        if is_workshop(conversation):
            self.tell_screens()
        else:
            self.tell_staff("change", {"conversation": conversation})

    async def stream(self, conversation: str) -> AsyncIterator[dict[str, str]]:
        """The conversation so far, then each message as it comes, as server-sent events."""
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUED)
        self._pages[conversation].add(page)
        self._came_or_went(conversation)
        try:
            while True:
                past = None
                while past is None:
                    with contextlib.suppress(Unavailable):
                        async with self.lock(conversation):
                            while not page.empty():
                                page.get_nowait()  # The history has it already.
                            past = await self.history(conversation)
                            holder = await run_in_threadpool(self.followup.holder, conversation)
                    if past is None:
                        yield event_of("panne", {"texte": SAID["attente"]})
                        await asyncio.sleep(RETRY)
                if not await run_in_threadpool(self.records.is_open, conversation):
                    yield event_of("effacee", {"texte": SAID["effacee"]})
                    return
                if not past:
                    self.send(conversation, OPENING, key="ouverture")  # It was lost while the guide was away.
                yield event_of("historique", {"messages": past, "conseiller": holder[1] if holder else None})
                while (event := await page.get())["type"] != REREAD:
                    yield event_of(event["type"], event["data"])
                    if event["type"] == "effacee":
                        return
        finally:
            self._pages[conversation].discard(page)
            if not self._pages[conversation]:
                del self._pages[conversation]
            self._came_or_went(conversation)

    def _came_or_went(self, conversation: str) -> None:
        self._tell_whose()
        self.changed(conversation)

    # ── Rasa ──

    async def tracker(self, conversation: str, events: str = "NONE") -> dict[str, Any] | None:
        """The conversation as Rasa keeps it; None while Rasa does not answer."""
        try:
            answer = await self.rasa.get(
                f"/conversations/{conversation}/tracker",
                params={"token": self.settings.rasa_token, "include_events": events},
            )
            found = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            metrics.RASA_FAILURES.inc()
            return None
        return found if isinstance(found, dict) else None

    async def answers(self, conversation: str) -> tuple[dict[str, str | None], str]:
        """The answers of a conversation, and its reference where a verdict was given.

        Raises:
            Refused: Rasa does not answer.
        """
        found = await self.tracker(conversation)
        if found is None:
            raise Refused(503, "attente")
        slots = found.get("slots") or {}
        return views.known(slots), str(slots.get("reference") or "") if slots.get("verdict") else ""

    async def history(self, conversation: str) -> list[dict[str, Any]] | None:
        """Every message of the conversation, the oldest first; None while Rasa does not answer."""
        found = await self.tracker(conversation, "ALL")
        if found is None:
            return None
        seal = self.seal(conversation)
        shown: list[dict[str, Any]] = []
        key, said, answered = "", None, list[dict[str, Any]]()

        def close() -> None:
            # A message that nobody answered was given back to who typed it: it is not shown.
            if answered:
                shown.extend([said] if said else [])
                shown.extend(views.turn(key, self._fitting(conversation, answered), seal))

        for number, event in enumerate(found.get("events") or []):
            metadata = event.get("metadata") or {}
            if event.get("event") == "bot" and metadata.get("conseiller"):
                close()
                said, answered = None, []
                shown.append(views.from_staff(metadata, str(event.get("text") or "")))
            elif event.get("event") == "user" and metadata.get("a_une_personne"):
                close()
                said, answered = None, []
                key = str(metadata.get("cle") or f"e{number}")
                shown.append(spoken(key, str(event.get("text") or ""), metadata.get("titre")) or {})
            elif event.get("event") == "user":
                close()
                key, answered = str(metadata.get("cle") or f"e{number}"), []
                said = spoken(key, str(event.get("text") or ""), metadata.get("titre"))
            elif event.get("event") == "bot":
                data = event.get("data") or {}
                message = {"text": event.get("text"), "buttons": data.get("buttons"), "custom": data.get("custom")}
                answered.append(message)
        close()
        return shown

    def send(self, conversation: str, text: str, title: str | None = None, key: str = "") -> None:
        """Hand a message to Rasa in the background; the pages are told of it, then of the answers.

        `key` identifies the message: the same key a second time is the same message, and is not sent again.
        """
        key = key_of(key)
        if not self.is_new(conversation, key):
            return
        task = asyncio.create_task(self._exchange(conversation, text, title, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fitting(self, conversation: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The guide's messages, none of which promises what a workshop does not keep."""
        return views.in_workshop(messages) if is_workshop(conversation) else messages

    def is_new(self, conversation: str, key: str) -> bool:
        """Whether a message of this key was not seen before; from now on it was."""
        if (conversation, key) in self._seen:
            return False
        self._seen.append((conversation, key))
        return True

    def forget(self, conversation: str, key: str) -> None:
        """A message was lost: it may come again under the same key."""
        with contextlib.suppress(ValueError):
            self._seen.remove((conversation, key))

    async def _exchange(self, conversation: str, text: str, title: str | None, key: str) -> None:
        with logs.about(conversation):
            try:
                async with self.lock(conversation):
                    await self._exchange_alone(conversation, text, title, key)
            except Unavailable:
                await self._lost(conversation, text, title, key)
                await self.publish(conversation, "fin", {"cle": key})

    async def _exchange_alone(self, conversation: str, text: str, title: str | None, key: str) -> None:
        if not await self._is_open(conversation):
            return
        message = spoken(key, text, title)
        if message:
            await self.publish(conversation, "message", message)
        said = message["texte"] if message else None
        turn = Turn()
        if await self._is_held(conversation):
            if said is None or await self._leave(conversation, text, title, key):
                await self.publish(conversation, "fin", {"cle": key})
                return
        else:
            await self.publish(conversation, "attente", {})
            turn = await self.ask(conversation, text, title, key)
        raw = self._fitting(conversation, turn.messages)
        for answer in views.turn(key, raw, self.seal(conversation)):
            await self.publish(conversation, "message", answer)
        if not raw:
            await self._lost(conversation, text, title, key)
        await self.publish(conversation, "fin", {"cle": key})
        if raw:
            await self._follow(conversation, said, typed=not title, turn=turn)

    async def _lost(self, conversation: str, text: str, title: str | None, key: str) -> None:
        """Tell the pages that a message got no answer; what was typed goes back into the field."""
        metrics.LOST.inc()
        self.forget(conversation, key)
        typed = text if spoken(key, text, title) and not title else ""
        await self.publish(conversation, "panne", {"texte": SAID["indisponible"], "cle": key, "renvoyer": typed})

    async def _is_open(self, conversation: str) -> bool:
        """Whether it was not erased; where the database does not say, it is taken to be open."""
        try:
            return await run_in_threadpool(self.records.is_open, conversation)
        except SQLAlchemyError:
            logger.exception("the database does not say whether a conversation is open")
            return True

    async def _is_held(self, conversation: str) -> bool:
        """Whether one of the staff holds it; where the database does not say, the guide answers."""
        try:
            return await run_in_threadpool(self.followup.holder, conversation) is not None
        except SQLAlchemyError:
            logger.exception("the database does not say who holds a conversation")
            return False

    async def _leave(self, conversation: str, text: str, title: str | None, key: str) -> bool:
        """Leave a message to the person who has taken the conversation over: the guide does not answer it.

        An answer that was chosen is stored all the same.
        """
        metadata = {"cle": key, "a_une_personne": True, **({"titre": title} if title else {})}
        unheard = {"intent": {}, "entities": [], "text": text}
        events: list[dict[str, Any]] = [{"event": "user", "text": text, "parse_data": unheard, "metadata": metadata}]
        chosen = views.chosen(text) if title else {}
        events += [{"event": "slot", "name": slot, "value": value} for slot, value in chosen.items()]
        if not await self.append(conversation, events):
            return False
        try:
            await run_in_threadpool(self.followup.said, conversation, "visiteur", title or text)
            if chosen:
                given, _ = await self.answers(conversation)
                await run_in_threadpool(self.followup.answered, conversation, given)
        except (SQLAlchemyError, Refused):
            logger.exception("a message could not be followed")
        self.changed(conversation)
        return True

    async def _follow(self, conversation: str, said: str | None, typed: bool, turn: Turn) -> None:
        """Let the console, or the room, follow a turn: what the visitor `said`, what the guide answered."""
        if is_workshop(conversation):
            await self._follow_in_room(conversation)
            return
        try:
            question = await run_in_threadpool(self.followup.turn, conversation, said, turn.messages)
            if said is not None and typed and "hors_sujet" in turn.kinds():
                thought = views.first_thought(turn.heard)
                await run_in_threadpool(self.followup.add_not_understood, conversation, question, said, *thought)
        except SQLAlchemyError:
            logger.exception("a turn could not be followed")
        self.changed(conversation)

    async def _follow_in_room(self, conversation: str) -> None:
        """Let the room count a turn; tried twice, for the last one of a conversation has no other after it."""
        for last in (False, True):
            try:
                given, _ = await self.answers(conversation)
                await run_in_threadpool(self.rooms.keep, conversation, given)
                break
            except (SQLAlchemyError, Refused):
                logger.exception("a turn could not be counted in its room")
                if not last:
                    await asyncio.sleep(RETRY)
        self.changed(conversation)

    async def append(self, conversation: str, events: list[dict[str, Any]]) -> bool:
        """Add events to the conversation, to which the guide does not react. Whether Rasa has them.

        Those that Rasa takes too long to acknowledge are looked for by the `cle` in their metadata.
        """
        try:
            answer = await self.rasa.post(
                f"/conversations/{conversation}/tracker/events",
                params={"token": self.settings.rasa_token, "include_events": "NONE"},
                json=events,
            )
            return answer.is_success
        except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError):
            metrics.RASA_FAILURES.inc()
            keys = {event["metadata"]["cle"] for event in events if "metadata" in event}
            for _ in range(LATE if keys else 0):
                kept = ((await self.tracker(conversation, "ALL")) or {}).get("events") or []
                if keys & {(event.get("metadata") or {}).get("cle") for event in kept}:
                    return True
                await asyncio.sleep(RETRY)
            return False
        except httpx.HTTPError:
            metrics.RASA_FAILURES.inc()
            return False

    async def ask(self, conversation: str, text: str, title: str | None, key: str) -> Turn:
        """What the guide answers; nothing where it cannot be reached, even when asked again."""
        metadata = {"cle": key, **({"titre": title} if title else {})}
        body = {"sender": conversation, "message": text, "metadata": metadata}
        begun = time.monotonic()
        for pause in (*AGAIN, None):
            try:
                answer = await self.rasa.post("/webhooks/porte/webhook", json=body, headers=self._pass)
                found = answer.raise_for_status().json()
                turn = Turn(list(found["messages"]), dict(found["entendu"]))
                kind, seconds = "bouton" if title else "texte", time.monotonic() - begun
                metrics.TURNS.labels(kind).observe(seconds)
                metrics.VERDICTS.inc(turn.kinds().count("verdict"))
                values = {"genre": kind, "secondes": round(seconds, 3), "messages": len(turn.messages)}
                logger.info("turn", extra={"values": values})
                return turn
            except (httpx.HTTPError, LookupError, TypeError, ValueError) as error:
                metrics.RASA_FAILURES.inc()
                logger.warning("rasa did not answer: %s", type(error).__name__)
                if pause is None:
                    break
                await asyncio.sleep(pause)
        return Turn()

    async def erase(self, conversation: str, said: str = "effacee") -> None:
        """Erase the conversation everywhere, once what is under way is done; its pages are told why, by `said`."""
        async with self.lock(conversation):
            await run_in_threadpool(self.records.erase, conversation)
            self._seen = deque((one for one in self._seen if one[0] != conversation), self._seen.maxlen)
        await self.publish(conversation, "effacee", {"texte": SAID[said]})
        if is_workshop(conversation):
            self.tell_screens()
        else:
            self.tell_staff("effacee", {"conversation": conversation})


def tell(page: asyncio.Queue[dict[str, Any]], kind: str, data: Any) -> None:
    """Let a page have an event; one that has too many waiting is told everything anew."""
    if page.full():
        while not page.empty():
            page.get_nowait()
        kind, data = REREAD, None
    page.put_nowait({"type": kind, "data": data})


def event_of(kind: str, data: Any) -> dict[str, str]:
    return {"event": kind, "data": json.dumps(data, ensure_ascii=False)}


def key_of(sent: str) -> str:
    """The key that was sent with a message, or one drawn where none was."""
    return sent if _KEY.match(sent) else secrets.token_hex(8)


def spoken(key: str, text: str, title: str | None) -> dict[str, Any] | None:
    """The person's message as the page gets it; None for what nobody typed nor chose."""
    if not title and (not text or text.startswith("/")):
        return None
    return {"id": f"{key}:0", "de": "vous", "texte": title or text}


def command(name: object) -> tuple[str, str]:
    """Payload and title of a button of the widget itself.

    Raises:
        Refused: no such button.
    """
    if not isinstance(name, str) or name not in COMMANDS:
        raise Refused(400, "choix_inconnu")
    return COMMANDS[name], SAID[f"commande_{name}"]


def clean(text: str) -> str:
    """Text without control characters nor a leading slash: what is typed is never a command."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" or c in "\u200d\ufe0f" else " " for c in text)
    return re.sub(r"\s+", " ", kept).strip().lstrip("/ ")

"""What the staff do in conversations: take one over, speak in it, note a caller's answers, hand it back.

Who holds a conversation alone speaks in it: Rasa's tracker is paused, the door brings it nothing, and the visitor's
messages wait for the person. A call is a conversation held from its beginning. Knows no HTTP request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from actions import texts
from actions.diagnostic import est_valeur, parcours
from actions.references import reference_of
from web import views
from web.accounts import Account, Accounts
from web.door import OPENING, QUEUED, REREAD, Door, Rate, Refused, event_of, key_of
from web.followup import FollowUp
from web.views import SAID

TRY_MINUTES = 5
TRIES = 5
"""Wrong passwords allowed in `TRY_MINUTES` for one login from one address; six times more for an address in all."""
CHECKS = 2
"""Passwords checked at once: each takes 64 MiB and a processor for a moment."""
MOST_CHECKS = 20
"""Passwords that wait for it."""
OPENED = 3_600.0
"""Seconds during which a conversation read again by the same account is not written in the log again."""
REMEMBERED = 600.0
"""Seconds during which a form that comes again is known."""
ROUND = 5.0
"""Seconds between two looks at who is still there."""
logger = logging.getLogger("bon_moment.desk")
T = TypeVar("T")


class Desk:
    """The staff's side of the door."""

    def __init__(self, door: Door, accounts: Accounts) -> None:
        self.door = door
        self.accounts = accounts
        self.followup: FollowUp = door.followup
        self.tries = Rate(TRIES, TRY_MINUTES * 60)
        self.tries_in_all = Rate(6 * TRIES, TRY_MINUTES * 60)
        self.checks = asyncio.Semaphore(CHECKS)
        self.checking = 0
        self._present: Counter[int] = Counter()
        self._opened: dict[tuple[int, str], float] = {}
        self._results: OrderedDict[tuple[int, str, str], tuple[float, asyncio.Future[Any]]] = OrderedDict()
        """When it was asked, and what came of it."""

    async def _append(self, conversation: str, *events: dict[str, Any]) -> None:
        """Add events to the conversation.

        Raises:
            Refused: Rasa does not answer.
        """
        if not await self.door.append(conversation, list(events)):
            raise Refused(503, "guide_absent")

    async def _say(self, conversation: str, metadata: dict[str, Any], text: str, *before: dict[str, Any]) -> None:
        """Add a message of one of the staff to the conversation, after the events `before`, and tell its pages."""
        await self._append(conversation, *before, {"event": "bot", "text": text, "metadata": metadata})
        try:
            if metadata["genre"] == "annonce":
                await run_in_threadpool(self.followup.announced, conversation, text)
            else:
                await run_in_threadpool(self.followup.said, conversation, "conseiller", text)
        except SQLAlchemyError:
            logger.exception("a message could not be followed")
        await self.door.publish(conversation, "message", views.from_staff(metadata, text))
        self.door.changed(conversation)

    async def _must_exist(self, conversation: str) -> None:
        if not await run_in_threadpool(self.door.records.is_open, conversation):
            raise Refused(404, "conversation_absente")

    async def _must_hold(self, conversation: str, account: Account) -> None:
        await self._must_exist(conversation)
        holder = await run_in_threadpool(self.followup.holder, conversation)
        if holder is None:
            raise Refused(409, "pas_prise")
        if holder[0] != account.id:
            raise Refused(409, "deja_prise", nom=holder[1])

    # ── take over, hand back ──

    async def take(self, conversation: str, account: Account) -> None:
        """Take the conversation over: the guide falls silent, the visitor reads who has come.

        Raises:
            Refused: no such conversation, a colleague holds it, or Rasa does not answer.
        """
        async with self.door.lock(conversation):
            await self._must_exist(conversation)
            holder = await run_in_threadpool(self.followup.holder, conversation)
            if holder and holder[0] == account.id:
                return
            if not await run_in_threadpool(self.followup.take, conversation, account.id):
                raise Refused(409, "deja_prise", nom=holder[1] if holder else "")
            try:
                arrival = SAID["visiteur_arrivee"].format(nom=account.nom)
                await self._say(conversation, _signed(account, "annonce"), arrival, {"event": "pause"})
            except Refused:
                # Rasa may have heard all the same. Where it cannot be told to go on, the account keeps the conversation
                # and can hand it back.
                if await self.door.append(conversation, [{"event": "resume"}]):
                    await run_in_threadpool(self.followup.release, conversation, None)
                raise
            await run_in_threadpool(self.accounts.note, account, "pris", conversation)
            await self.door.publish(conversation, "presence", {"conseiller": account.nom})

    async def hand_back(self, conversation: str, account: Account) -> None:
        """Let the guide go on: it says that it is back and asks the open question again.

        Raises:
            Refused: the account does not hold it, or Rasa does not answer.
        """
        async with self.door.lock(conversation):
            await self._must_hold(conversation, account)
            await self._release(conversation, account.id, account.nom)

    async def _release(
        self, conversation: str, account: int, name: str, gone: bool = False, closed: bool = False
    ) -> None:
        """Let the guide go on. Unless the conversation is `closed`, who was left without an answer waits again."""
        said, action = ("visiteur_absence", "rendu_absence") if gone else ("visiteur_depart", "rendu")
        metadata = {"cle": secrets.token_hex(8), "conseiller": name, "genre": "annonce"}
        waiting = not closed and await run_in_threadpool(self.followup.waits, conversation)
        await self._say(conversation, metadata, SAID[said].format(nom=name), {"event": "resume"})
        await run_in_threadpool(self.followup.release, conversation, waiting)
        await run_in_threadpool(self.accounts.note, account, action, conversation)
        await self.door.publish(conversation, "presence", {"conseiller": None})
        self.door.send(conversation, OPENING)
        self.door.changed(conversation)

    async def leave(self, account: Account) -> None:
        """The account goes: what it holds is handed back."""
        for conversation in await run_in_threadpool(self.followup.held_by, account.id):
            with contextlib.suppress(Refused):
                await self.hand_back(conversation, account)

    # ── in the conversation ──

    async def speak(self, conversation: str, account: Account, text: str, key: str) -> None:
        """Say something to the visitor; the same `key` a second time is the same message.

        Raises:
            Refused: the account does not hold the conversation, or Rasa does not answer.
        """
        async with self.door.lock(conversation):
            await self._must_hold(conversation, account)
            key = key_of(key)
            if not self.door.is_new(conversation, key):
                return
            if await run_in_threadpool(self.door.records.knows, conversation, key):
                return  # It came by another door.
            try:
                await self._say(conversation, _signed(account, "message", key), text)
            except Refused:
                self.door.forget(conversation, key)
                raise

    async def answer(self, conversation: str, account: Account, slot: str, value: str) -> None:
        """Note the answer that a caller gives to a question.

        Raises:
            Refused: the account does not hold the conversation, the question is not asked in it or has no such answer,
                or Rasa does not answer.
        """
        async with self.door.lock(conversation):
            await self._must_hold(conversation, account)
            given, _ = await self.door.answers(conversation)
            if slot not in parcours(given) or not est_valeur(slot, value):
                raise Refused(400, "reponse_inconnue")
            if given[slot] == value:
                return
            title = texts.titles(slot)[value]
            name = texts.text(f"utter_nom_{slot}")
            metadata = _signed(account, "reponse")
            stored = {"event": "slot", "name": slot, "value": value, "metadata": metadata}
            said = SAID["visiteur_note"].format(nom=account.nom, nom_question=name, reponse=title)
            await self._say(conversation, metadata, said, stored)
            await run_in_threadpool(self.followup.answered, conversation, {**given, slot: value})
            self.door.changed(conversation)

    async def typing(self, conversation: str, account: Account) -> None:
        """Show the visitor that the person writes."""
        holder = await run_in_threadpool(self.followup.holder, conversation)
        if holder and holder[0] == account.id:
            await self.door.publish(conversation, "frappe", {"nom": account.nom})

    # ── a call ──

    async def begin_call(self, account: Account) -> str:
        """Begin the conversation of a call, held by the account, with its reference.

        Raises:
            Refused: Rasa does not answer.
        """
        conversation = "tel-" + secrets.token_hex(16)
        await run_in_threadpool(self.door.records.open, conversation, "telephone")
        await run_in_threadpool(self.followup.take, conversation, account.id)
        reference = await run_in_threadpool(reference_of, conversation, self.door.settings.database_url)
        try:
            slot = {"event": "slot", "name": "reference", "value": reference}
            await self._append(conversation, {"event": "pause"}, slot)
        except Refused:
            await run_in_threadpool(self.door.records.erase, conversation)
            raise
        await run_in_threadpool(self.followup.answered, conversation, {})
        await run_in_threadpool(self.followup.found_by, conversation, reference)
        await run_in_threadpool(self.accounts.note, account, "appel", conversation)
        self.door.changed(conversation)
        return conversation

    async def close(self, conversation: str, account: Account, issue: str) -> None:
        """Keep what came of a conversation; if the account holds it, it is handed back.

        Raises:
            Refused: no such conversation, a colleague holds it, or Rasa does not answer.
        """
        async with self.door.lock(conversation):
            await self._must_exist(conversation)
            holder = await run_in_threadpool(self.followup.holder, conversation)
            if holder and holder[0] != account.id:
                raise Refused(409, "deja_prise", nom=holder[1])
            await run_in_threadpool(self.followup.close, conversation, issue)
            if holder:
                await self._release(conversation, account.id, account.nom, closed=True)
            await run_in_threadpool(self.accounts.note, account, "issue", conversation)
            self.door.changed(conversation)

    # ── once each ──

    async def once(self, account: Account, path: str, key: str, act: Callable[[], Awaitable[T]]) -> T:
        """What `act` gives; the same `key` a second time gives what the first gave, without doing it again."""
        mark, now = (account.id, path, key), time.monotonic()
        while self._results and next(iter(self._results.values()))[0] < now - REMEMBERED:
            self._results.popitem(last=False)
        _, known = self._results.get(mark, (now, None))
        if known is None:
            known = asyncio.ensure_future(act())
            self._results[mark] = (now, known)
        try:
            return await asyncio.shield(known)
        except Exception:
            if self._results.get(mark, (now, None))[1] is known:
                del self._results[mark]  # It was not done: it may be tried again.
            raise

    async def opened(self, account: Account, conversation: str) -> None:
        """Write in the log that the account has read the conversation, unless it was written lately."""
        now, mark = time.monotonic(), (account.id, conversation)
        if now - self._opened.get(mark, -OPENED) >= OPENED:
            self._opened = {one: at for one, at in self._opened.items() if now - at < OPENED} | {mark: now}
            try:
                await run_in_threadpool(self.accounts.note, account, "ouvert", conversation)
            except SQLAlchemyError:
                self._opened.pop(mark, None)  # Nobody reads what is not written down: it is tried again.
                raise

    # ── who is there ──

    async def stream(self, account: Account, still: Callable[[], Awaitable[bool]]) -> AsyncIterator[dict[str, str]]:
        """What the console's pages are told, as server-sent events, for as long as `still` holds.

        An open page is a sign that the account is there.
        """
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUED)
        self.door.desks.add(page)
        self._present[account.id] += 1
        try:
            await run_in_threadpool(self.accounts.seen, [account.id])
            yield event_of("debut", {})
            while await still():
                until = time.monotonic() + ROUND
                with contextlib.suppress(asyncio.TimeoutError):
                    while (left := until - time.monotonic()) > 0:
                        event = await asyncio.wait_for(page.get(), left)
                        if event["type"] == REREAD:
                            event = {"type": "change", "data": {"conversation": None}}
                        yield event_of(event["type"], event["data"])
            yield event_of("fin_session", {})
        finally:
            self.door.desks.discard(page)
            self._present[account.id] -= 1
            if self._present[account.id] <= 0:
                del self._present[account.id]

    async def watch(self) -> None:
        """For ever: note who is there, and hand back what those hold who have gone."""
        while True:
            await asyncio.sleep(ROUND)
            try:
                if self._present:
                    await run_in_threadpool(self.accounts.seen, list(self._present))
                absence = self.door.settings.absence
                for conversation, account in await run_in_threadpool(self.followup.abandoned, absence):
                    await self._hand_back_for(conversation, account)
            except Exception:
                logger.exception("who is there could not be looked at; it will be again")

    async def _hand_back_for(self, conversation: str, account: int) -> None:
        with contextlib.suppress(Refused):  # Rasa does not answer: at the next round.
            async with self.door.lock(conversation):
                holder = await run_in_threadpool(self.followup.holder, conversation)
                if holder and holder[0] == account and account not in self._present:
                    await self._release(conversation, account, holder[1], gone=True)


def _signed(account: Account, kind: str, key: str = "") -> dict[str, Any]:
    """What goes with a message of one of the staff: whose it is, of what kind, under which key."""
    return {"cle": key or secrets.token_hex(8), "conseiller": account.nom, "genre": kind}

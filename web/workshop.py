"""The workshop: the trainer's pages, and those by which a room takes part. Each trainer's address needs a `formateur`.

What a room answered is shown as totals only; its conversations are never among those of prospects.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import segno
from markdown_it import MarkdownIt
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from actions import texts
from actions.diagnostic import SLOTS, VERDICTS, ReponsesInvalides, diagnostiquer, manquantes
from actions.references import ALPHABET
from web import dossier
from web.accounts import Account
from web.bus import Locks
from web.console import spreadsheet
from web.door import Door, Refused, clean, event_of
from web.guard import Stream
from web.hood import hood
from web.network import is_loopback, local_addresses
from web.rooms import FEWEST, KEPT_DAYS, MOST_PARTICIPANTS, Answers, Room, Rooms, progress, shuffled, spread, verdicts
from web.session import WORKSHOP, Endpoint, accounts_of, csrf_of, done, door_of, form_of, token_of
from web.stage import Stage, personas
from web.tables import ZONE, is_workshop, now
from web.views import SAID

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "atelier.md"
BREATH = 0.4
"""Seconds between two states of a room: fifty telephones make one."""
ROUND = 5.0
"""Seconds after which the screen of a room looks again, and whether its session still holds."""
MOST_SCREENS = 40
logger = logging.getLogger("bon_moment.workshop")


# ── a room, as its screen shows it ──


def shares(counted: dict[str, int], titles: dict[str, str]) -> list[dict[str, Any]]:
    """Counts as bars: `valeur`, `titre`, `nombre`, `part` (0 to 1) of all."""
    whole = sum(counted.values())
    return [
        {"valeur": v, "titre": words, "nombre": counted.get(v, 0), "part": counted.get(v, 0) / whole if whole else 0}
        for v, words in titles.items()
    ]


def question_view(given: list[Answers], slot: str, shown: bool, enough: bool, asked: bool) -> dict[str, Any]:
    """What the room answered to one question; hidden, only how many did, unless that alone would tell who.

    `asked`: it is the one asked to all, even those whose conversation would not.
    """
    counted = spread(given, slot, to_all=asked)
    number = sum(counted.values())
    return {
        "slot": slot,
        "nom": texts.text(f"utter_nom_{slot}"),
        "texte": wording(slot),
        "nombre": number if enough or asked else None,
        "valeurs": shares(counted, texts.titles(slot)) if shown and number >= FEWEST else None,
    }


def wording(slot: str) -> str:
    """A question without the sentence that gives its number."""
    asked = texts.text(f"utter_ask_{slot}", index="\0", total="\0")
    return re.sub("^[^.]*\0[^.]*\\.\\s*", "", asked)


def room_view(room: Room, given: list[Answers]) -> dict[str, Any]:
    """The state of a room: totals only."""
    judged = verdicts(given)
    names = {v: SAID[f"verdict_court_{v}"] for v in VERDICTS}
    overview = room.shown and room.question is None
    enough = sum(any(one.values()) for one in given) >= FEWEST
    return {
        "code": room.code,
        "participants": len(given),
        "verdicts_rendus": sum(judged.values()),
        "avancement": [
            # To a tenth: how many questions one is asked would tell some of the answers.
            {"part": 1 if answered == total else int(10 * answered / total) / 10, "fini": answered == total}
            for answered, total in map(progress, given)
        ],
        "montre": room.shown,
        "assez": enough,
        "minimum": FEWEST,
        "question": room.question,
        "questions": [
            question_view(given, slot, room.shown and room.question in (None, slot), enough, room.question == slot)
            for slot in SLOTS
        ],
        "verdicts": shares(judged, names) if overview and sum(judged.values()) >= FEWEST else None,
        "ouverte_le": dossier.when(room.opened)["heure"],
    }


class Workshop:
    """The rooms at work: what their screens show, what is asked of them, their end."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.rooms: Rooms = door.rooms
        self.stage = Stage(door)
        self.tries = Locks(None, "salle")
        """Codes from one address are tried one after the other, lest many be before the first wrong one is counted."""

    async def open_room(self, code: str) -> Room:
        """The open room of this code.

        Raises:
            Refused: there is none (404), or it has ended (409).
        """
        room = await run_in_threadpool(self.rooms.room, code)
        if room is None:
            raise Refused(404, "salle_inconnue")
        if room.ended:
            raise Refused(409, "salle_terminee")
        return room

    async def state(self, code: str) -> dict[str, Any] | None:
        """What the screen of a room shows; None once it has ended."""
        room = await run_in_threadpool(self.rooms.room, code)
        if room is None or room.ended:
            return None
        return room_view(room, await run_in_threadpool(self.rooms.answers, code))

    async def stream(
        self, code: str, links: dict[str, Any], still: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[dict[str, str]]:
        """The states of a room as server-sent events, each with `links`, for as long as `still` holds."""
        screen = asyncio.Event()
        self.door.screens.add(screen)
        last = None
        try:
            while await still():
                screen.clear()
                state = await self.state(code)
                if state is None:
                    yield event_of("fin", {})
                    return
                if state != last:
                    yield event_of("salle", {**state, **links})
                    last = state
                await asyncio.sleep(BREATH)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(screen.wait(), ROUND)
            yield event_of("fin_session", {})
        finally:
            self.door.screens.discard(screen)

    async def tell_room(self, code: str) -> None:
        """Something of the room has changed: the telephones and the screens read it again."""
        for conversation in await run_in_threadpool(self.rooms.conversations, code):
            await self.door.publish(conversation, "salle", {})
        self.door.tell_screens()

    async def end(self, code: str, keep: bool) -> None:
        """End a room: its conversations are erased, the answers kept in no one's name only if `keep`.

        Raises:
            Refused: too few have answered for anything to be kept.
        """
        if keep and len(shuffled(await run_in_threadpool(self.rooms.answers, code))) < FEWEST:
            raise Refused(409, "trop_peu", nombre=FEWEST)
        await run_in_threadpool(self.rooms.end, code, keep)
        await self._erase_all(code)
        self.door.tell_screens()

    async def _erase_all(self, code: str) -> None:
        """Erase the conversations of a room that has ended; what cannot be now will be by `forget`."""
        for conversation in await run_in_threadpool(self.rooms.conversations, code):
            await self._erase(conversation, "salle_effacee")
        await run_in_threadpool(self.rooms.forget, code)

    async def _erase(self, conversation: str, said: str) -> None:
        try:
            await self.door.erase(conversation, said)
        except SQLAlchemyError:
            logger.exception("a conversation of a workshop could not be erased; it will be tried again")

    async def forget(self) -> None:
        """End the rooms that nobody has ended, and erase what a workshop has left behind."""
        rooms, conversations = await run_in_threadpool(self.rooms.left_behind)
        for code in rooms:
            room = await run_in_threadpool(self.rooms.room, code)
            if room and not room.ended:
                await run_in_threadpool(self.rooms.end, code, False)
            await self._erase_all(code)
        for conversation in conversations:
            await self._erase(conversation, "effacee")
        await run_in_threadpool(self.rooms.purge)


def workshop_of(request: Request) -> Workshop:
    """The workshop of this application."""
    return request.app.state.workshop


def addresses(request: Request) -> list[str]:
    """The addresses by which telephones reach this door, the likeliest first."""
    base = request.base_url
    if not is_loopback(base.hostname or ""):
        return [str(base).rstrip("/")]
    if is_loopback(door_of(request).settings.host):
        return []
    port = f":{base.port}" if base.port else ""
    return [f"{base.scheme}://{address}{port}" for address in local_addresses()]


def joining(request: Request, code: str) -> dict[str, Any]:
    """Links by which telephones join a room, each with its QR code as the address of a picture.

    `fermee`: there are none, for the door listens to this machine alone.
    """
    links = [f"{base}/salle/{code}" for base in addresses(request)]
    pictures = [segno.make_qr(link, error="m").svg_data_uri(border=2) for link in links]
    return {"adresses": links, "qr": pictures, "fermee": not links and is_loopback(door_of(request).settings.host)}


# ── the trainer's pages ──


async def page(
    request: Request, account: Account, name: str, mine: list[Room] | None = None, **context: Any
) -> Response:
    """A page of the trainer's; the menu leads to the last room that is open. `mine`: the rooms, if read already."""
    if mine is None:
        mine = await run_in_threadpool(workshop_of(request).rooms.rooms_of, account.id)
    code = next((room.code for room in mine if not room.ended), None)
    csrf = csrf_of(request, token_of(request))
    return WORKSHOP.page(request, name, moi=account, csrf=csrf, salle_ouverte=code, **context)


async def home(request: Request, account: Account) -> Response:
    """Three ways in: the guide alone, the personas, a room."""
    rooms = workshop_of(request).rooms
    mine = await run_in_threadpool(rooms.rooms_of, account.id)
    opened = [
        {
            "code": room.code,
            "ouverte_le": dossier.when(room.opened)["heure"],
            "participants": await run_in_threadpool(rooms.count, room.code),
        }
        for room in mine
        if not room.ended
    ]
    kept = [
        {
            "code": room.code,
            "jour": room.ended.astimezone(ZONE).strftime("%d/%m"),
            "participants": len(room.kept),
            "jours_restants": max(0, KEPT_DAYS - (now() - room.ended).days),
        }
        for room in mine
        if room.ended and room.kept is not None
    ]
    found, faults = await run_in_threadpool(personas)
    return await page(request, account, "accueil", mine, personas=found, fautes=faults, salles=opened, gardees=kept)


async def projector(request: Request, account: Account) -> Response:
    """The trainer's screen: a free conversation, a persona, or two side by side."""
    found, _ = await run_in_threadpool(personas)
    known = {persona["slug"]: persona for persona in found}
    asked = [request.query_params.get(name) for name in ("persona", "contre")]
    if any(slug and slug not in known for slug in asked):
        raise Refused(404, "persona_absente")
    one, other = (known.get(slug or "") for slug in asked)
    return await page(request, account, "projecteur", personas=found, persona=one, contre=other if one else None)


async def guide(request: Request, account: Account) -> Response:
    """The trainer's guide, to read or to print."""
    written = await run_in_threadpool(GUIDE.read_text, "utf-8")
    made = MarkdownIt("commonmark", {"html": False}).enable("table").render(written)
    return await page(request, account, "guide", contenu=made)


async def room_page(request: Request, account: Account) -> Response:
    """The screen of a room."""
    code = (await my_room(request, account)).code
    state = {**(await workshop_of(request).state(code) or {}), **joining(request, code)}
    return await page(request, account, "salle", salle=state)


async def my_room(request: Request, account: Account, ended: bool = False) -> Room:
    """The account's room that the address names, open, or `ended` too.

    Raises:
        Refused: it is no room of the account's, or has ended.
    """
    room = await run_in_threadpool(workshop_of(request).rooms.room, request.path_params["code"])
    if room is None or room.account != account.id:
        raise Refused(404, "salle_absente")
    if room.ended and not ended:
        raise Refused(409, "salle_terminee")
    return room


async def room_events(request: Request, account: Account) -> Response:
    """The states of a room as they come."""
    room = await my_room(request, account)
    if len(door_of(request).screens) >= MOST_SCREENS:
        raise Refused(429, "trop_d_ecrans")
    token, links = token_of(request), joining(request, room.code)

    async def still() -> bool:
        return await run_in_threadpool(accounts_of(request).account_of, token) is not None

    return Stream(request, workshop_of(request).stream(room.code, links, still), staff=True)


async def open_room(request: Request, account: Account) -> Response:
    """Open a room."""
    await form_of(request)
    code = await run_in_threadpool(workshop_of(request).rooms.open, account.id)
    return done(request, f"/atelier/salles/{code}", aller=f"/atelier/salles/{code}")


async def show(request: Request, account: Account) -> Response:
    """Reveal the spread of the answers, or hide it."""
    form = await form_of(request)
    code = (await my_room(request, account)).code
    await run_in_threadpool(workshop_of(request).rooms.show, code, form.get("montre") == "oui")
    door_of(request).tell_screens()
    return done(request, f"/atelier/salles/{code}")


async def ask(request: Request, account: Account) -> Response:
    """Ask the room one question, or no longer."""
    slot = (await form_of(request)).get("slot", "")
    if slot and slot not in SLOTS:
        raise Refused(400, "question_inconnue")
    code = (await my_room(request, account)).code
    await run_in_threadpool(workshop_of(request).rooms.ask, code, slot or None)
    await workshop_of(request).tell_room(code)
    return done(request, f"/atelier/salles/{code}")


async def end_room(request: Request, account: Account) -> Response:
    """End a room; its answers are kept only on purpose."""
    form = await form_of(request)
    await workshop_of(request).end((await my_room(request, account)).code, form.get("garder") == "oui")
    return done(request, "/atelier", aller="/atelier")


async def forget_room(request: Request, account: Account) -> Response:
    """Erase what was kept of a room."""
    await form_of(request)
    room = await my_room(request, account, ended=True)
    await workshop_of(request).end(room.code, keep=False)
    return done(request, "/atelier", aller="/atelier")


async def room_csv(request: Request, account: Account) -> Response:
    """The answers of a room for a spreadsheet, a line each, in no order and in no one's name."""
    room = await my_room(request, account, ended=True)
    given = room.kept
    if given is None:
        given = tuple(shuffled(await run_in_threadpool(workshop_of(request).rooms.answers, room.code)))
    if len(given) < FEWEST:
        raise Refused(409, "trop_peu", nombre=FEWEST)
    rows = [[*(texts.text(f"utter_nom_{slot}") for slot in SLOTS), SAID["colonne_verdict"]]]
    for one in given:
        verdict = "" if manquantes(one) else SAID[f"verdict_court_{diagnostiquer(one).verdict}"]
        rows.append([*(texts.titles(slot).get(one.get(slot) or "", "") for slot in SLOTS), verdict])
    return spreadsheet(rows, f"bon-moment-salle-{room.code}.csv")


# ── the trainer's screen, turn by turn ──


async def begin(request: Request, account: Account) -> Response:
    """A new demonstration; from `depuis`, one that stands where that one stood after `tours` turns."""
    form = await form_of(request)
    stage = workshop_of(request).stage
    if old := form.get("retirer"):
        await stage.must_exist(old)
    source = form.get("depuis")
    if source:
        await stage.must_exist(source)
        turns = form.get("tours", "")
        if not re.fullmatch(r"[1-9]\d{0,2}", turns, re.ASCII):
            raise Refused(400, "tours_illisibles")
        found: dict[str, Any] = {"demonstration": await stage.fork(source, int(turns))}
    else:
        conversation, turn = await stage.begin()
        found = {"demonstration": conversation, "tour": turn}
    if old:
        await door_of(request).erase(old)
    return JSONResponse(found, status_code=201)


async def say(request: Request, account: Account) -> Response:
    """One turn of a demonstration: typed (`texte`), a button (`choix`), or a choice of the open question (`valeur`)."""
    form = await form_of(request)
    door, stage = door_of(request), workshop_of(request).stage
    conversation = request.path_params["conversation"]
    await stage.must_exist(conversation)  # Nothing else of the door is done for what is none.
    if not door.messages.allows(conversation):
        raise Refused(429, "trop_vite")
    if form.get("valeur"):
        return JSONResponse(await stage.press(conversation, form["valeur"]))
    if form.get("choix"):
        return JSONResponse(await stage.say(conversation, *door.opened(conversation, form["choix"])))
    if len(form.get("texte", "")) > door.settings.longest_message:
        raise Refused(413, "trop_long")
    text = clean(form.get("texte", ""))
    if not text:
        raise Refused(400, "vide")
    return JSONResponse(await stage.say(conversation, text))


async def suppose(request: Request, account: Account) -> Response:
    """Under the hood of other answers (`reponses`, JSON); nothing is stored."""
    try:
        return JSONResponse(hood(json.loads((await form_of(request)).get("reponses", ""))))
    except (ReponsesInvalides, ValueError, RecursionError):
        raise Refused(400, "reponses_illisibles") from None


# ── the telephones ──


async def phone_page(request: Request) -> Response:
    """A participant's page."""
    code = request.path_params.get("code", "").upper()
    context = {"code": code if re.fullmatch(f"[{ALPHABET}]+", code) else ""}
    return request.app.state.templates.TemplateResponse(request, "salle.html", context)


async def join(request: Request, body: dict[str, Any], address: str) -> Response:
    """Let a telephone join the room of the `code` that it sends."""
    door = door_of(request)
    typed = "".join(c for c in str(body.get("code") or "").upper()[:40] if c.isalnum())
    workshop = workshop_of(request)
    async with workshop.tries.held(address):
        if door.room_codes.is_full(address):
            raise Refused(429, "trop_de_codes")
        try:
            room = await workshop.open_room(typed)
        except Refused:
            door.room_codes.allows(address)  # Only wrong codes count: a whole room may come from one address.
            raise
    if await run_in_threadpool(door.rooms.count, room.code) >= MOST_PARTICIPANTS:
        raise Refused(429, "salle_pleine")
    if not is_loopback(address) and not door.seats.allows(address):
        raise Refused(429, "trop_d_entrees")
    token = door.token_of(await door.join(room.code))
    door.tell_screens()
    return JSONResponse({"jeton": token, "code": room.code}, status_code=201)


async def my_place(request: Request, conversation: str) -> Response:
    """What the room is asked, for a telephone that has joined it."""
    door = door_of(request)
    code = await run_in_threadpool(door.rooms.code_of, conversation) if is_workshop(conversation) else None
    if code is None:
        raise Refused(404, "conversation_inconnue")
    room = await run_in_threadpool(door.rooms.room, code)
    question = None
    if room and room.question:
        slot = room.question
        given, _ = await door.answers(conversation)
        name, seal = texts.text(f"utter_nom_{slot}"), door.seal(conversation)
        question = {
            "slot": slot,
            "nom": name,
            "texte": wording(slot),
            "reponse": given[slot],
            "choix": [
                {
                    "titre": option["title"],
                    "valeur": texts.value_of(option),
                    "choix": seal(option["payload"], SAID["modifie"].format(nom=name, reponse=option["title"])),
                }
                for option in texts.options(slot)
            ],
        }
    return JSONResponse({"code": code, "terminee": room is None or room.ended is not None, "question": question})


def workshop_routes() -> list[Route]:
    """The trainer's addresses, and the page of the telephones. `state.workshop` is set once the door is open."""
    of = "/atelier/salles/{code}"
    posts: dict[str, Endpoint] = {
        "/atelier/deconnexion": WORKSHOP.sign_out,
        "/atelier/demonstrations": begin,
        "/atelier/demonstrations/{conversation}/messages": say,
        "/atelier/capot": suppose,
        "/atelier/salles": open_room,
        f"{of}/montrer": show,
        f"{of}/question": ask,
        f"{of}/terminer": end_room,
        f"{of}/effacer": forget_room,
    }
    gets: dict[str, Endpoint] = {
        "/atelier": home,
        "/atelier/projecteur": projector,
        "/atelier/guide": guide,
        of: room_page,
        f"{of}/evenements": room_events,
        f"{of}/reponses.csv": room_csv,
    }
    return [
        Route("/atelier/connexion", WORKSHOP.sign_in, methods=["GET", "POST"]),
        *(Route(path, WORKSHOP.guarded(endpoint), methods=["POST"]) for path, endpoint in posts.items()),
        *(Route(path, WORKSHOP.guarded(endpoint), methods=["GET"]) for path, endpoint in gets.items()),
        Route("/salle", phone_page),
        Route("/salle/{code}", phone_page),
    ]

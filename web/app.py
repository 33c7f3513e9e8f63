"""The door's endpoints: the only public process. Pages, the widget's files, and what the widget asks for.

Each endpoint reads a request, asks the `Door`, and answers; every refusal is a French sentence of `messages.yml`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import segno
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from web import console, views, workshop
from web.accounts import Accounts
from web.bus import Unavailable
from web.desk import Desk
from web.door import Door, Refused, clean, command
from web.followup import FollowUp
from web.guard import (
    Faults,
    Guard,
    Limits,
    SitesOfOurs,
    Stream,
    Streams,
    failure,
    gone,
    http_error,
    limit,
    refused,
    unavailable,
)
from web.health import health_routes
from web.records import Records
from web.rooms import Rooms
from web.session import client_of, door_of
from web.settings import Settings
from web.views import SAID

HERE = Path(__file__).parent
LONGEST_ADDRESS = 500
"""Characters of a page's address in the link that goes on elsewhere."""
MOST_STREAMS = 12
"""Pages that may listen to one conversation at once."""
logger = logging.getLogger("bon_moment.door")


def is_ours(origin: str, request: Request) -> bool:
    """Whether `origin` is the door itself or a site that may hold the widget."""
    try:
        scheme, host = urlsplit(origin)[:2]
    except ValueError:
        return False
    own = scheme in ("http", "https") and host == request.headers.get("host")
    return own or f"{scheme}://{host}".lower() in door_of(request).settings.origins


def refuse_strangers(request: Request) -> None:
    """Let only pages of ours ask.

    Raises:
        Refused: the request comes from another site.
    """
    origin = request.headers.get("origin")
    if origin and not is_ours(origin, request):
        raise Refused(403, "autre_origine")


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object sent by a page of ours.

    Raises:
        Refused: another origin, too large, or no JSON object.
    """
    refuse_strangers(request)
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Refused(400, "pas_json") from None
    if not isinstance(found, dict):
        raise Refused(400, "pas_json")
    return found


async def conversation_of(request: Request) -> str:
    """The conversation whose token the request carries.

    Raises:
        Refused: another origin, no token, or one that opens nothing.
    """
    refuse_strangers(request)
    return await door_of(request).conversation_of(request.headers.get("authorization", "").removeprefix("Bearer "))


def spend(request: Request, conversation: str) -> None:
    """Count something that costs as much as a message, of a conversation and from an address.

    Raises:
        Refused: there are too many.
    """
    door = door_of(request)
    limit(door.messages, conversation)
    limit(door.messages_of_address, client_of(request))


def read_again(request: Request) -> None:
    """Count a reading of a conversation, which costs the more the longer it is.

    Raises:
        Refused: there are too many from this address.
    """
    limit(door_of(request).readings_of_address, client_of(request))


# ── pages ──


async def article(request: Request) -> Response:
    """A page as a consultancy would publish it, with the widget."""
    context = {"sections": views.article(), "telephone": views.PHONE, "telephone_lien": views.PHONE_LINK}
    return request.app.state.templates.TemplateResponse(request, "article.html", context)


async def full_page(request: Request) -> Response:
    """The guide alone, in a whole page; a site of ours may show it in a frame."""
    context = {"telephone": views.PHONE, "telephone_lien": views.PHONE_LINK}
    return request.app.state.templates.TemplateResponse(request, "conversation.html", context)


async def widget(request: Request) -> Response:
    """The module that a site loads."""
    return FileResponse(HERE / "widget" / "widget.js", media_type="text/javascript")


async def widget_template(request: Request) -> Response:
    """The window's structure and words, loaded when it is opened."""
    days = door_of(request).settings.retention_days
    context = {"telephone": views.PHONE, "telephone_lien": views.PHONE_LINK, "jours": days}
    return request.app.state.templates.TemplateResponse(request, "widget.html", context)


# ── the conversation ──


async def open_conversation(request: Request) -> Response:
    """Begin a conversation, or take one up by its `code`: answers the token that opens it."""
    door = door_of(request)
    code = (await body_of(request)).get("code")
    if code is not None:
        limit(door.codes, client_of(request))
        return JSONResponse({"jeton": door.token_of(await door.use_code(str(code)[:100]))})
    limit(door.openings, client_of(request))
    return JSONResponse({"jeton": door.token_of(await door.begin())}, status_code=201)


async def summary(request: Request) -> Response:
    """How far the conversation went."""
    conversation = await conversation_of(request)
    read_again(request)
    given, _ = await door_of(request).answers(conversation)
    return JSONResponse(views.summary(given))


async def post_message(request: Request) -> Response:
    """Take a message: typed (`texte`), chosen (`choix`), or a button of the widget (`commande`).

    `cle` makes a retry harmless. The answers come as events.
    """
    door = door_of(request)
    conversation = await conversation_of(request)
    body = await body_of(request)
    spend(request, conversation)
    limit(door.messages_of_day, conversation)
    title: str | None = None
    if body.get("choix"):
        text, title = door.opened(conversation, str(body["choix"]))
    elif body.get("commande"):
        text, title = command(body["commande"])
    else:
        typed = body.get("texte")
        if not isinstance(typed, str):
            raise Refused(400, "vide")
        if len(typed) > door.settings.longest_message:
            raise Refused(413, "trop_long")
        text = clean(typed)
        if not text:
            raise Refused(400, "vide")
    door.send(conversation, text, title, str(body.get("cle") or ""))
    return JSONResponse({"recu": True}, status_code=202)


async def events(request: Request) -> Response:
    """The conversation as server-sent events."""
    conversation = await conversation_of(request)
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")
    read_again(request)
    if door_of(request).listeners(conversation) >= MOST_STREAMS:
        raise Refused(429, "trop_de_pages")
    return Stream(request, door_of(request).stream(conversation))


async def typing(request: Request) -> Response:
    """The visitor writes: whoever of the staff is there sees it."""
    door = door_of(request)
    conversation = await conversation_of(request)
    if door.typings.allows(conversation):
        door.tell_staff("frappe", {"conversation": conversation, "de": "visiteur"})
    return Response(status_code=204)


async def answers(request: Request) -> Response:
    """Every answer, with what each other answer would change."""
    conversation = await conversation_of(request)
    read_again(request)
    door = door_of(request)
    given, _ = await door.answers(conversation)
    return JSONResponse(views.answers(given, door.seal(conversation)))


async def erase(request: Request) -> Response:
    """Erase the conversation everywhere."""
    await door_of(request).erase(await conversation_of(request))
    return JSONResponse({"texte": SAID["effacee"]})


async def resume_code(request: Request) -> Response:
    """A code, a link to `adresse` and its QR code (rows of 0 and 1) that open the conversation on another device."""
    door = door_of(request)
    conversation = await conversation_of(request)
    page = str((await body_of(request)).get("adresse") or "")
    if len(page) > LONGEST_ADDRESS or not page.isascii() or not is_ours(page, request):
        raise Refused(400, "adresse_inconnue")
    limit(door.new_codes, conversation)
    spend(request, conversation)
    code = await door.new_code(conversation)
    link = f"{page.partition('#')[0]}#bon-moment={code}"
    square = await run_in_threadpool(segno.make_qr, link, error="m")  # Some fifty milliseconds for the longest.
    rows = ["".join(map(str, row)) for row in square.matrix]
    found = {"code": code, "lien": link, "qr": rows, "minutes": door.settings.code_lifetime // 60}
    return JSONResponse(found, status_code=201)


# ── after the verdict ──


async def verdict_of(request: Request) -> tuple[str, dict[str, str | None], str]:
    """Conversation, answers and reference, once a verdict was given.

    Raises:
        Refused: none was given yet, or the conversation is unknown.
    """
    conversation = await conversation_of(request)
    spend(request, conversation)
    given, reference = await door_of(request).answers(conversation)
    if views.summary(given)["verdict"] is None or not reference:
        raise Refused(409, "pas_de_verdict")
    return conversation, given, reference


async def document(request: Request) -> Response:
    """The verdict to keep, as a PDF."""
    _, given, reference = await verdict_of(request)
    return await console.bilan_to_keep(given, reference)


async def call_back(request: Request) -> Response:
    """Keep a request for a call back, only with consent and after the verdict; every fault is said, by its field."""
    door = door_of(request)
    await conversation_of(request)
    body = await body_of(request)
    name, reach, message = (clean(str(body.get(key) or "")) for key in ("nom", "joindre", "message"))
    faults = views.call_back_faults(name, reach, message, agreed=body.get("accord") is True)
    if faults:
        said = {field: SAID[fault] for field, fault in faults.items()}
        first = next(iter(faults.values()))
        return JSONResponse({"erreur": first, "texte": SAID[first], "fautes": said}, status_code=400)
    conversation, *_ = await verdict_of(request)
    await door.add_call_back(conversation, name, reach, message)
    return JSONResponse({"texte": SAID["rappel_note"]}, status_code=201)


async def opinion(request: Request) -> Response:
    """Keep whether the verdict was useful (`utile`); the last word counts."""
    door = door_of(request)
    useful = (await body_of(request)).get("utile")
    conversation, given, _ = await verdict_of(request)
    if not isinstance(useful, bool):
        raise Refused(400, "avis_illisible")
    await door.keep(conversation, door.records.set_opinion, views.verdict_key(given), useful)
    return JSONResponse({"texte": SAID["avis_note"]}, status_code=201)


# ── a room of a workshop ──


async def join_room(request: Request) -> Response:
    """A telephone joins the room of its `code`: answers the token of its conversation."""
    return await workshop.join(request, await body_of(request), client_of(request))


async def room_asks(request: Request) -> Response:
    """What the room is asked now."""
    return await workshop.my_place(request, await conversation_of(request))


def create_app(settings: Settings | None = None, rasa: httpx.AsyncClient | None = None) -> Starlette:
    """The application. `rasa` replaces the client towards Rasa, for tests."""
    chosen = settings or Settings.from_environment()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        client = rasa or httpx.AsyncClient(base_url=chosen.rasa_url, timeout=chosen.answer_timeout)
        records = await run_in_threadpool(Records, chosen.database_url)
        app.state.door = Door(chosen, client, records, FollowUp(chosen.database_url), Rooms(chosen.database_url))
        app.state.desk = Desk(app.state.door, Accounts(chosen.database_url))
        app.state.workshop = workshop.Workshop(app.state.door)

        async def purge_hourly() -> None:
            while True:
                for purge in (
                    app.state.workshop.forget,
                    lambda: run_in_threadpool(records.purge, chosen.retention_days, chosen.contact_days),
                    lambda: run_in_threadpool(app.state.desk.accounts.purge),
                ):
                    try:
                        await purge()
                    except Exception:
                        logger.exception("a purge failed; it will be tried again in an hour")
                await asyncio.sleep(3_600)

        chores = [purge_hourly(), app.state.desk.watch(), *app.state.door.work()]
        tasks = [asyncio.create_task(chore) for chore in chores]
        yield
        for task in tasks:
            task.cancel()
        await client.aclose()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", article),
            Route("/conversation", full_page),
            Route("/widget.js", widget),
            Route("/widget/fenetre.html", widget_template),
            Mount("/widget", StaticFiles(directory=HERE / "widget")),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            Route("/api/conversation", open_conversation, methods=["POST"]),
            Route("/api/conversation", summary, methods=["GET"]),
            Route("/api/conversation", erase, methods=["DELETE"]),
            Route("/api/messages", post_message, methods=["POST"]),
            Route("/api/evenements", events),
            Route("/api/frappe", typing, methods=["POST"]),
            Route("/api/reponses", answers),
            Route("/api/reprise", resume_code, methods=["POST"]),
            Route("/api/bilan.pdf", document),
            Route("/api/rappel", call_back, methods=["POST"]),
            Route("/api/avis", opinion, methods=["POST"]),
            *health_routes(),
            Route("/api/salle", join_room, methods=["POST"]),
            Route("/api/salle", room_asks, methods=["GET"]),
            *console.console_routes(),
            *workshop.workshop_routes(),
        ],
        middleware=[
            Middleware(GZipMiddleware),
            Middleware(Guard, origins=chosen.origins),
            Middleware(
                SitesOfOurs,
                allow_origins=chosen.origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=["Content-Disposition"],
            ),
            Middleware(Faults),
            Middleware(Limits, settings=chosen),
        ],
        exception_handlers={
            Refused: refused,
            HTTPException: http_error,
            SQLAlchemyError: unavailable,
            Unavailable: unavailable,
            ClientDisconnect: gone,
            Exception: failure,
        },
    )
    app.state.streams = Streams(chosen)
    app.state.templates = Jinja2Templates(directory=HERE / "templates")
    return app

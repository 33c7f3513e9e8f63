"""The door: the only public process. It carries messages between a browser and Rasa, filters them, and says in French
when the guide does not answer. It holds no dialogue logic.

A conversation belongs to whoever holds its signed cookie. Buttons travel as signed tokens, so that no one can type or
forge what a click sends.
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
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from itsdangerous import BadSignature, URLSafeSerializer
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.records import Records
from web.settings import Settings

HERE = Path(__file__).parent
COOKIE = "bon_moment"
SAID: dict[str, str] = yaml.safe_load((HERE / "messages.yml").read_text("utf-8"))
OPENING = "/saluer"
RETRY = 3.0
"""Seconds between two tries to read a conversation again while the guide does not answer."""
logger = logging.getLogger("bon_moment.door")

_PHONE = re.compile(r"^\+?[\d .()-]{9,20}$")
_MAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]{2,}$")


class Refused(Exception):
    """A request that is answered by a sentence of `messages.yml` and an HTTP status."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


class Rate:
    """At most `limit` events a minute for each key."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times: dict[str, deque[float]] = defaultdict(deque)

    def allows(self, key: str) -> bool:
        """Whether one more event is allowed now; if so, it is counted."""
        now = time.monotonic()
        times = self._times[key]
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        if len(self._times) > 10_000:
            self._times = defaultdict(deque, {k: t for k, t in self._times.items() if t and now - t[-1] <= 60})
        return True


class Door:
    """Carries messages to Rasa and back, one at a time for each conversation, and tells every open page."""

    def __init__(self, settings: Settings, rasa: httpx.AsyncClient, records: Records) -> None:
        self.settings = settings
        self.rasa = rasa
        self.records = records
        self.messages = Rate(settings.messages_per_minute)
        self.openings = Rate(settings.conversations_per_minute)
        self._cookies = URLSafeSerializer(settings.secret, salt="conversation")
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pages: defaultdict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)
        self._seen: deque[tuple[str, str]] = deque(maxlen=5_000)
        self._tasks: set[asyncio.Task[None]] = set()

    # ── who ──

    def conversation_of(self, request: Request) -> str:
        """The conversation whose cookie the request carries.

        Raises:
            Refused: no cookie, or one that the door did not sign.
        """
        try:
            return str(self._cookies.loads(request.cookies.get(COOKIE, "")))
        except BadSignature:
            raise Refused(404, "conversation_inconnue") from None

    def new_conversation(self) -> tuple[str, str]:
        """A conversation's identifier, which nobody can guess, and its cookie."""
        conversation = "web-" + secrets.token_hex(16)
        return conversation, str(self._cookies.dumps(conversation))

    # ── buttons ──

    def _choices(self, conversation: str) -> URLSafeSerializer:
        return URLSafeSerializer(self.settings.secret, salt="choix:" + conversation)

    def sealed(self, conversation: str, event: dict[str, Any]) -> dict[str, Any]:
        """A bot message as the page gets it: each button's payload sealed for this conversation."""
        choices = self._choices(conversation)
        custom = event.get("custom")
        buttons = [
            {"titre": button["title"], "choix": choices.dumps([button["payload"], button["title"]])}
            for button in event.get("buttons") or []
        ]
        if isinstance(custom, dict) and "options" in custom:
            custom = {k: v for k, v in custom.items() if k != "options"}
        return {"de": "guide", "texte": event.get("text") or "", "boutons": buttons, "donnees": custom}

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

    async def publish(self, conversation: str, event: dict[str, Any]) -> None:
        """Tell every page open on this conversation."""
        for page in list(self._pages.get(conversation, ())):
            page.put_nowait(event)

    async def stream(self, conversation: str) -> AsyncIterator[dict[str, str]]:
        """The conversation so far, then each message as it comes, as server-sent events."""
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._pages[conversation].add(page)
        try:
            past = None
            while past is None:
                async with self._locks[conversation]:
                    while not page.empty():
                        page.get_nowait()  # The history has it already.
                    past = await self.history(conversation)
                if past is None:
                    yield {"event": "panne", "data": json.dumps({"texte": SAID["attente"]}, ensure_ascii=False)}
                    await asyncio.sleep(RETRY)
            yield {"event": "historique", "data": json.dumps(past, ensure_ascii=False)}
            while True:
                event = await page.get()
                yield {"event": event["type"], "data": json.dumps(event["data"], ensure_ascii=False)}
        finally:
            self._pages[conversation].discard(page)
            if not self._pages[conversation]:
                del self._pages[conversation]

    # ── Rasa ──

    async def history(self, conversation: str) -> list[dict[str, Any]] | None:
        """Every message of the conversation, the oldest first; None while Rasa does not answer."""
        try:
            answer = await self.rasa.get(
                f"/conversations/{conversation}/tracker",
                params={"token": self.settings.rasa_token, "include_events": "ALL"},
            )
            events = answer.raise_for_status().json().get("events") or []
        except (httpx.HTTPError, ValueError):
            return None
        return [shown for event in events for shown in self._shown(conversation, event)]

    def _shown(self, conversation: str, event: dict[str, Any]) -> list[dict[str, Any]]:
        if event.get("event") == "bot":
            data = event.get("data") or {}
            message = {"text": event.get("text"), "buttons": data.get("buttons"), "custom": data.get("custom")}
            return [self.sealed(conversation, message)]
        if event.get("event") == "user" and event.get("text"):
            title = (event.get("metadata") or {}).get("titre")
            if title or not event["text"].startswith("/"):
                return [{"de": "vous", "texte": title or event["text"]}]
        return []

    def send(self, conversation: str, text: str, title: str | None = None) -> None:
        """Hand a message to Rasa in the background; the pages are told of it, then of the answers."""
        task = asyncio.create_task(self._exchange(conversation, text, title))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self, conversation: str, text: str, title: str | None) -> None:
        async with self._locks[conversation]:
            if text != OPENING:
                await self.publish(conversation, {"type": "message", "data": {"de": "vous", "texte": title or text}})
            await self.publish(conversation, {"type": "attente", "data": {}})
            answers = await self._ask(conversation, text, title)
            for answer in joined(answers):
                await self.publish(conversation, {"type": "message", "data": self.sealed(conversation, answer)})
            if not answers:
                lost = "" if title else text  # What was typed goes back into the field.
                await self.publish(
                    conversation, {"type": "panne", "data": {"texte": SAID["indisponible"], "renvoyer": lost}}
                )
            await self.publish(conversation, {"type": "fin", "data": {}})

    async def _ask(self, conversation: str, text: str, title: str | None) -> list[dict[str, Any]]:
        body = {"sender": conversation, "message": text, "metadata": {"titre": title} if title else {}}
        try:
            answer = await self.rasa.post("/webhooks/rest/webhook", json=body)
            found = answer.raise_for_status().json()
            return found if isinstance(found, list) else []
        except (httpx.HTTPError, ValueError) as error:
            logger.warning("rasa did not answer: %s", type(error).__name__)
            return []

    async def erase(self, conversation: str) -> None:
        """Erase the conversation everywhere, once what is under way is done; its pages are told."""
        async with self._locks[conversation]:
            await run_in_threadpool(self.records.erase, conversation)
        await self.publish(conversation, {"type": "effacee", "data": {"texte": SAID["effacee"]}})

    def is_repeat(self, conversation: str, key: str) -> bool:
        """Whether a page sends again what it sent already (a retry after a lost answer)."""
        if not key:
            return False
        if (conversation, key) in self._seen:
            return True
        self._seen.append((conversation, key))
        return False


def joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """REST gives a text and its data apart: put them together again."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if "text" not in message and "custom" in message and out and "custom" not in out[-1]:
            out[-1] = {**out[-1], "custom": message["custom"]}
        else:
            out.append(dict(message))
    return out


def clean(text: str) -> str:
    """Text without control characters nor a leading slash: what is typed is never a command."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" or c in "\u200d\ufe0f" else " " for c in text)
    return re.sub(r"\s+", " ", kept).strip().lstrip("/ ")


# ── endpoints ──


def door_of(request: Request) -> Door:
    """The door of this application."""
    return request.app.state.door


def client_of(request: Request) -> str:
    """The address that asks."""
    return request.client.host if request.client else "?"


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object sent by the door's own page.

    Raises:
        Refused: another origin, too large, or no JSON object.
    """
    origin = request.headers.get("origin")
    if origin and origin.split("://")[-1] != request.headers.get("host"):
        raise Refused(403, "autre_origine")
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Refused(400, "pas_json") from None
    if not isinstance(found, dict):
        raise Refused(400, "pas_json")
    return found


async def page(request: Request) -> Response:
    """The chat page."""
    return request.app.state.templates.TemplateResponse(request, "chat.html", {})


async def open_conversation(request: Request) -> Response:
    """Take up the visitor's conversation, or begin one; the cookie holds it."""
    door = door_of(request)
    await body_of(request)
    try:
        door.conversation_of(request)
        return JSONResponse({"nouvelle": False})
    except Refused:
        if not door.openings.allows(client_of(request)):
            raise Refused(429, "trop_vite") from None
    conversation, cookie = door.new_conversation()
    response = JSONResponse({"nouvelle": True}, status_code=201)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=door.settings.retention_days * 86_400,
        httponly=True,
        samesite="strict",
        secure=door.settings.secure_cookie,
    )
    door.send(conversation, OPENING)
    return response


async def post_message(request: Request) -> Response:
    """Take a message, typed (`texte`) or chosen (`choix`); `cle` makes a retry harmless. The answers come as events."""
    door = door_of(request)
    conversation = door.conversation_of(request)
    body = await body_of(request)
    if not door.messages.allows(conversation):
        raise Refused(429, "trop_vite")
    title: str | None = None
    if body.get("choix"):
        text, title = door.opened(conversation, str(body["choix"]))
    else:
        typed = body.get("texte")
        if not isinstance(typed, str):
            raise Refused(400, "vide")
        if len(typed) > door.settings.longest_message:
            raise Refused(413, "trop_long")
        text = clean(typed)
        if not text:
            raise Refused(400, "vide")
    if not door.is_repeat(conversation, str(body.get("cle") or "")):
        door.send(conversation, text, title)
    return JSONResponse({"recu": True}, status_code=202)


async def events(request: Request) -> Response:
    """The conversation as server-sent events."""
    door = door_of(request)
    return EventSourceResponse(door.stream(door.conversation_of(request)), ping=15)


async def erase(request: Request) -> Response:
    """Erase the conversation everywhere."""
    door = door_of(request)
    conversation = door.conversation_of(request)
    await body_of(request)
    await door.erase(conversation)
    response = JSONResponse({"texte": SAID["effacee"]})
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


async def call_back(request: Request) -> Response:
    """Keep a request for a call back, only with consent."""
    door = door_of(request)
    conversation = door.conversation_of(request)
    body = await body_of(request)
    name, reach, message = (clean(str(body.get(key) or "")) for key in ("nom", "joindre", "message"))
    if body.get("accord") is not True:
        raise Refused(400, "rappel_sans_accord")
    if not name:
        raise Refused(400, "rappel_sans_nom")
    if not (_PHONE.match(reach) or (_MAIL.match(reach) and len(reach) <= 160)):
        raise Refused(400, "rappel_joindre")
    if len(name) > 120 or len(message) > 1_000:
        raise Refused(400, "rappel_trop_long")
    if not door.messages.allows(conversation):
        raise Refused(429, "trop_vite")
    await run_in_threadpool(door.records.add_call_back, conversation, name, reach, message)
    return JSONResponse({"texte": SAID["rappel_note"]}, status_code=201)


async def health(request: Request) -> Response:
    """Whether the door is live and the guide behind it ready."""
    try:
        ready = (await door_of(request).rasa.get("/", timeout=5)).is_success
    except httpx.HTTPError:
        ready = False
    return JSONResponse({"porte": True, "guide": ready}, status_code=200 if ready else 503)


# ── around every request ──


class Guard:
    """Headers on every answer, and a limit on the size of what is sent."""

    HEADERS = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }

    def __init__(self, app: ASGIApp, largest_body: int) -> None:
        self.app = app
        self.largest_body = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.largest_body:
                raise Refused(413, "trop_gros")
            return message

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(k.lower().encode(), v.encode()) for k, v in self.HEADERS.items()]
                if not scope["path"].startswith("/static/"):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self.app(scope, limited, dressed)


async def refused(request: Request, error: Exception) -> Response:
    """A refusal, in French."""
    assert isinstance(error, Refused)
    return JSONResponse({"erreur": error.said, "texte": SAID[error.said]}, status_code=error.status)


async def http_error(request: Request, error: Exception) -> Response:
    """An unknown page or method, in French."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"erreur": "page_inconnue", "texte": SAID["page_inconnue"]}, status_code=status)


async def failure(request: Request, error: Exception) -> Response:
    """A fault of ours: logged without the message's text, said in French."""
    logger.exception("unexpected failure on %s", request.url.path)
    return JSONResponse({"erreur": "panne", "texte": SAID["panne"]}, status_code=500)


def create_app(settings: Settings | None = None, rasa: httpx.AsyncClient | None = None) -> Starlette:
    """The application. `rasa` replaces the client towards Rasa, for tests."""
    chosen = settings or Settings.from_environment()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        client = rasa or httpx.AsyncClient(base_url=chosen.rasa_url, timeout=chosen.answer_timeout)
        records = await run_in_threadpool(Records, chosen.database_url)
        app.state.door = Door(chosen, client, records)

        async def purge_daily() -> None:
            while True:
                try:
                    await run_in_threadpool(records.purge, chosen.retention_days)
                except Exception:
                    logger.exception("the purge failed; it will be tried again tomorrow")
                await asyncio.sleep(86_400)

        purge = asyncio.create_task(purge_daily())
        yield
        purge.cancel()
        await client.aclose()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", page),
            Route("/api/conversation", open_conversation, methods=["POST"]),
            Route("/api/conversation", erase, methods=["DELETE"]),
            Route("/api/messages", post_message, methods=["POST"]),
            Route("/api/evenements", events),
            Route("/api/rappel", call_back, methods=["POST"]),
            Route("/sante", health),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(Guard, largest_body=chosen.largest_body)],
        exception_handlers={Refused: refused, HTTPException: http_error, Exception: failure},
    )
    app.state.templates = Jinja2Templates(directory=HERE / "templates")
    return app

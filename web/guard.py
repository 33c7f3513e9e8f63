"""What stands around every request: headers, limits, and refusals, which are French sentences of `messages.yml`.

The limits by address take it from the connection, or from a proxy that `FORWARDED_ALLOW_IPS` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import logs, metrics
from web.door import Rate, Refused
from web.session import SPACES, client_of
from web.settings import Settings
from web.views import SAID

SLOW = 30.0
"""Seconds that a page may take to read what is sent to it before its stream is closed."""
PING = 15
"""Seconds between two signs of life in a stream."""
LONGEST_PATH = 1_000
"""Characters: far more than any address of ours has."""
WAIT = {429: 60, 503: 5}
"""Seconds after which who was refused may try again, where nothing better is known."""
_HOST = re.compile(r"^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?$", re.ASCII)
logger = logging.getLogger("bon_moment.door")


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors "
)
WIDGET = ("/static/", "/widget/", "/widget.js")
"""What may be kept by browsers, and used by the pages of other sites."""
ONLY_TLS = "max-age=31536000"


def headers(path: str, scheme: str, origins: tuple[str, ...] = ()) -> list[tuple[bytes, bytes]]:
    """Those of every answer to a request for `path`. Only the whole page may be put in a frame, by `origins`."""
    framed, lent = path == "/conversation", path.startswith(WIDGET)
    found = dict(HEADERS)
    found["Content-Security-Policy"] = POLICY + (" ".join(("'self'", *origins)) if framed else "'none'")
    found["Cross-Origin-Resource-Policy"] = "cross-origin" if framed or lent else "same-origin"
    found["Cache-Control"] = "no-cache" if lent else "no-store"
    if not framed:
        found["X-Frame-Options"] = "DENY"
    if scheme == "https":
        found["Strict-Transport-Security"] = ONLY_TLS
    return [(name.lower().encode(), value.encode()) for name, value in found.items()]


class Guard:
    """Headers on every answer; refusals are counted."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    metrics.REFUSALS.labels(str(message["status"])).inc()
                ours = headers(scope["path"], scope["scheme"], self.origins)
                message["headers"] = [*message.get("headers", []), *ours]
            await send(message)

        await self.app(scope, receive, dressed)


class SitesOfOurs(CORSMiddleware):
    """Lets the pages of the sites that hold the widget read the answers; says in French which it does not."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        said = {"erreur": "autre_origine", "texte": SAID["autre_origine"]}
        return JSONResponse(said, status_code=answer.status_code, headers=kept)


class Limits:
    """How many requests an address may send in a minute, how large they are and how long they take to come."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.largest_body = settings.largest_body
        self.patience = settings.body_timeout
        self.requests = Rate(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Our files are small: each is sent whole, whatever part of it is asked for.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        request = Request(scope)
        try:
            self._check(request)
        except Refused as error:
            answer = await refused(request, error)
            if has_body(request):
                answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        limit = asyncio.get_running_loop().time() + self.patience
        received, complete, begun = 0, False, False

        async def limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), limit - asyncio.get_running_loop().time())
                received += len(message.get("body", b""))
                if received > self.largest_body:
                    raise Refused(413, "trop_gros")
            except (asyncio.TimeoutError, Refused) as error:
                complete = True
                if begun:  # It is answered already: whoever listens for the end has it.
                    return {"type": "http.disconnect"}
                raise error if isinstance(error, Refused) else Refused(408, "trop_lent") from None
            complete = not message.get("more_body", False)
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and not complete and has_body(request):
                # It is answered already, and the rest of what it sends is not waited for.
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            begun = True
            await send(message)

        await self.app(scope, limited, watched)

    def _check(self, request: Request) -> None:
        """Let the request pass.

        Raises:
            Refused: too many from this address, announced too large, or an address that cannot be.
        """
        limit(self.requests, client_of(request))
        if not is_readable(request):
            raise Refused(400, "requete_illisible")
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:12]) > self.largest_body:
            raise Refused(413, "trop_gros")
        if "\0" in request.scope["path"] or len(request.scope["path"]) > LONGEST_PATH:
            raise Refused(404, "page_inconnue")


class Faults:
    """A fault of ours, answered in French inside the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            await (await failure(Request(scope), error))(scope, receive, send)


# ── limits ──


def is_readable(request: Request) -> bool:
    """Whether the address that is asked for is one: its host too, which becomes part of links."""
    host = _HOST.match(request.headers.get("host", "porte"))
    return host is not None and int(host[1] or 0) < 65_536 and bytes(request.scope["query_string"]).isascii()


def has_body(request: Request) -> bool:
    """Whether something follows the headers of a request."""
    return request.headers.get("content-length", "0").strip("0") != "" or "transfer-encoding" in request.headers


def limit(rate: Rate, key: str, said: str = "trop_vite") -> None:
    """Count one more event.

    Raises:
        Refused: there are too many.
    """
    if not rate.allows(key):
        raise Refused(429, said, attente=math.ceil(rate.wait(key)))


STAFF = ""
"""Stands for the address of every page of the staff, among those that listen."""


class Streams:
    """The pages that listen, counted by address and in all; those of the staff apart."""

    def __init__(self, settings: Settings) -> None:
        self.most = settings.streams
        self.most_of_one = settings.streams_per_address
        self._open: Counter[str] = Counter()

    def check(self, address: str) -> None:
        """Let one more listen.

        Raises:
            Refused: too many do, from this address or in all.
        """
        if self._open[address] >= self.most_of_one:
            raise Refused(429, "trop_de_pages")
        if sum(self._open.values()) - self._open[STAFF] >= self.most:
            raise Refused(503, "complet", attente=WAIT[429])

    @contextlib.contextmanager
    def held(self, address: str) -> Iterator[None]:
        """One more listens meanwhile."""
        self._open[address] += 1
        metrics.STREAMS.inc()
        try:
            yield
        finally:
            metrics.STREAMS.dec()
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


class Stream(EventSourceResponse):
    """Server-sent events for one page. One that does not read them is closed: it comes back by itself.

    Raises:
        Refused: too many pages listen already.
    """

    def __init__(self, request: Request, events: AsyncIterator[dict[str, str]], staff: bool = False) -> None:
        """`staff`: a page behind a session, which visitors cannot shut out."""
        self._streams: Streams = request.app.state.streams
        self._address = STAFF if staff else client_of(request)
        if not staff:
            self._streams.check(self._address)
        super().__init__(events, ping=PING, send_timeout=SLOW)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.held(self._address):
            try:
                await super().__call__(scope, receive, send)
            except SendTimeoutError:
                logger.info("a page that does not read was closed")


# ── refusals ──


async def refused(request: Request, error: Exception) -> Response:
    """A refusal, in French. What is still to come of a body that is refused is not waited for."""
    assert isinstance(error, Refused)
    answer = _said(request, error)
    if error.status in WAIT:
        answer.headers["Retry-After"] = str(error.values.get("attente", WAIT[error.status]))
    if error.status in (408, 413):
        answer.headers["Connection"] = "close"
    return answer


def _said(request: Request, error: Refused) -> Response:
    for space in SPACES:
        if space.has(request):
            return space.refused(request, error)
    return JSONResponse({"erreur": error.said, "texte": SAID[error.said]}, status_code=error.status)


async def http_error(request: Request, error: Exception) -> Response:
    """An unknown page or method, or a form that cannot be read, in French."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    answer = await refused(request, Refused(status, "pas_json" if status == 400 else "page_inconnue"))
    answer.headers.update(getattr(error, "headers", None) or {})
    return answer


async def unavailable(request: Request, error: Exception) -> Response:
    """The database, or what the doors share, does not answer: said in French; nothing was kept of the request."""
    logger.error("not available: %s", logs.chain(error))
    return await refused(request, Refused(503, "attente"))


async def gone(request: Request, error: Exception) -> Response:
    """Whoever asked has hung up."""
    return Response(status_code=400)


async def failure(request: Request, error: Exception) -> Response:
    """A fault of ours: logged without the message's text, said in French."""
    path = str(request.scope["path"])
    for named in request.path_params.values():  # The name of a conversation is no matter for the log.
        path = path.replace(str(named), "…")
    logger.exception("unexpected failure on %s", path)
    return await refused(request, Refused(500, "panne"))

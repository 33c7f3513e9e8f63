"""Who may open a page that needs an account: sessions, their forms' mark, signing in and out, refusals.

Two spaces, each with its pages, its role and its templates: the console (`conseiller`) and the workshop (`formateur`).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from itsdangerous import URLSafeSerializer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.templating import Jinja2Templates

from web.accounts import Account, Accounts
from web.desk import MOST_CHECKS, TRY_MINUTES, Desk
from web.door import Door, Refused
from web.records import digest
from web.views import SAID

COOKIE = "bon_moment_session"
LARGEST_NUMBER = 2**31 - 1
"""Of a row: what the databases' integers hold."""
TRAINER = "atelier.sur-place"
"""The account of whoever sits at the machine, where the workshop is open without signing in."""
Endpoint = Callable[[Request, Account], Awaitable[Response]]


def desk_of(request: Request) -> Desk:
    """The desk of this application."""
    return request.app.state.desk


def door_of(request: Request) -> Door:
    """The door of this application."""
    return request.app.state.door


def accounts_of(request: Request) -> Accounts:
    """The staff's accounts."""
    return desk_of(request).accounts


def wants_json(request: Request) -> bool:
    """Whether the page's script asks, rather than a browser that shows the answer."""
    return "application/json" in request.headers.get("accept", "")


def done(request: Request, back: str, **more: Any) -> Response:
    """What was asked is done: said to the page's script, or shown by going `back`."""
    return JSONResponse({"ok": True, **more}) if wants_json(request) else RedirectResponse(back, status_code=303)


def sentence(error: Refused) -> str:
    """What a refusal says."""
    return SAID[error.said].format(**error.values)


def address_of(request: Request) -> str:
    """The address that was asked for, within this door."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def token_of(request: Request) -> str:
    """The session's token, empty without one."""
    return request.cookies.get(COOKIE, "")


def csrf_of(request: Request, token: str) -> str:
    """What a form of this session carries, so that no other site can send one."""
    secret = door_of(request).settings.secret
    return str(URLSafeSerializer(secret, salt="console").dumps(digest(token)))


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that was sent from a page of this session.

    Raises:
        Refused: the session's mark is missing or another's.
    """
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    mark = request.headers.get("x-csrf-token") or form.get("csrf", "")
    if not hmac.compare_digest(mark.encode(), csrf_of(request, token_of(request)).encode()):
        raise Refused(403, "formulaire_perime")
    return form


def from_here(request: Request) -> bool:
    """Whether a page of this door sends the form, as far as the browser tells.

    A page that says no referrer, as ours do, has « null » for its origin: the browser then tells otherwise.
    """
    origin = request.headers.get("origin")
    if origin in (None, "null"):
        return request.headers.get("sec-fetch-site", "cross-site" if origin else "none") in ("same-origin", "none")
    return urlsplit(origin).netloc == request.headers.get("host")


def is_local(request: Request) -> bool:
    """Whether a browser of this very machine asks, by this machine's own name: no site elsewhere can make it so.

    What comes through a proxy does not: it tells for whom it asks.
    """
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip")):
        return False
    try:
        loopback = request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    return loopback and request.url.hostname in ("localhost", "127.0.0.1", "::1")


def neighbourhood(address: str) -> str:
    """The address for the limits: of an IPv6 one, the network that one subscriber has."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False).network_address)


def client_of(request: Request) -> str:
    """Who asks, for the limits by address: a proxy that we trust has told it."""
    return neighbourhood(request.client.host if request.client else "?")


def set_cookie(request: Request, answer: Response, token: str, site: Literal["lax", "strict"] = "strict") -> None:
    """Let the browser keep the session until it is closed."""
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, max_age=None, httponly=True, samesite=site, secure=secure, path="/")


@dataclass(frozen=True)
class Space:
    """The pages of one role: `name` is their first folder, in addresses and in templates."""

    name: str
    role: str

    @property
    def home(self) -> str:
        """Its first page."""
        return f"/{self.name}"

    def has(self, request: Request) -> bool:
        """Whether the address is one of its own."""
        path: str = request.scope["path"]
        return path == self.home or path.startswith(f"{self.home}/")

    def safe(self, path: str | None) -> str:
        """A page of the space to go to: never another site."""
        ours = path and re.fullmatch(rf"/{self.name}(/[\w-]+(\.\w+)?)*(\?[\w=&%.+-]*)?", path, re.ASCII)
        return path if path and ours else self.home

    def page(self, request: Request, name: str, **context: Any) -> Response:
        """A page of its own, made from its template."""
        return self._made(request, f"{self.name}/{name}.html", **context)

    def _made(self, request: Request, template: str, **context: Any) -> Response:
        templates: Jinja2Templates = request.app.state.templates
        return templates.TemplateResponse(request, template, {"espace": self.name, **context})

    def refused(self, request: Request, error: Refused) -> Response:
        """A refusal: said to the page's script, or as a page; without a session, the page to sign in."""
        if wants_json(request) or request.scope["path"].endswith("/evenements"):
            return JSONResponse({"erreur": error.said, "texte": sentence(error)}, status_code=error.status)
        if error.status == 401:
            target = self.safe(address_of(request)) if request.method == "GET" else self.home
            return RedirectResponse(f"{self.home}/connexion?{urlencode({'suite': target})}", status_code=303)
        answer = self._made(
            request, "refus.html", texte=sentence(error), retour=self.home if error.status != 403 else None
        )
        answer.status_code = error.status
        return answer

    # ── who ──

    async def account_of(self, request: Request) -> Account:
        """Whose session it is.

        Raises:
            Refused: no session (401), or not of the role (403).
        """
        self.refuse_the_room(request)
        account = await run_in_threadpool(accounts_of(request).account_of, token_of(request))
        if account is None:
            raise Refused(401, "session_expiree")
        if account.role != self.role:
            raise Refused(403, "role_refuse")
        return account

    def refuse_the_room(self, request: Request) -> None:
        """During a workshop the whole room reaches the door: the conversations of prospects are not for it.

        Raises:
            Refused: another machine asks for the console.
        """
        if self is CONSOLE and door_of(request).settings.workshop_open and not is_local(request):
            raise Refused(403, "console_ici")

    def is_open(self, request: Request) -> bool:
        """Whether whoever sits at this machine needs no account."""
        return self is WORKSHOP and door_of(request).settings.workshop_open and is_local(request)

    def guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that only the role reaches."""

        async def checked(request: Request) -> Response:
            try:
                account = await self.account_of(request)
            except Refused:
                if not self.is_open(request) or request.method != "GET":
                    raise
                return await self.let_in(request, address_of(request))
            if request.path_params.get("numero", 0) > LARGEST_NUMBER:
                raise Refused(404, "page_inconnue")
            key = request.headers.get("idempotency-key", "")
            if request.method == "POST" and re.fullmatch(r"[\w-]{8,64}", key, re.ASCII):
                return await desk_of(request).once(account, request.url.path, key, lambda: endpoint(request, account))
            return await endpoint(request, account)

        return checked

    async def let_in(self, request: Request, path: str | None) -> Response:
        """Open a session for whoever sits at this machine, then the page at `path`."""
        account = await run_in_threadpool(accounts_of(request).built_in, TRAINER, SAID["formateur"], self.role)
        token = await run_in_threadpool(accounts_of(request).open_session, account)
        answer = RedirectResponse(self.safe(path), status_code=303)
        # « strict » would not be sent to where a link of another site leads, which would then lead here for ever.
        set_cookie(request, answer, token, "lax")
        return answer

    async def sign_in(self, request: Request) -> Response:
        """The page to sign in, and what it sends."""
        self.refuse_the_room(request)
        if request.method != "POST":
            after = self.safe(request.query_params.get("suite"))
            if self.is_open(request):
                return await self.let_in(request, after)
            return self._made(request, "connexion.html", erreur=None, identifiant="", suite=after)
        if not from_here(request):
            raise Refused(403, "formulaire_perime")
        form = await request.form()
        login, password = str(form.get("identifiant") or "").strip().lower()[:60], str(form.get("mot_de_passe") or "")
        after = self.safe(str(form.get("suite") or ""))
        account, error = await self._check(request, login, password)
        if error or account is None:
            assert error is not None
            if wants_json(request):
                # Not 401: that would say that the session is over, which is being mended here.
                raise Refused(400 if error.status == 401 else error.status, error.said, **error.values)
            answer = self._made(request, "connexion.html", erreur=sentence(error), identifiant=login, suite=after)
            answer.status_code = error.status
            return answer
        token = await run_in_threadpool(accounts_of(request).open_session, account)
        await run_in_threadpool(accounts_of(request).note, account, "connexion")
        signed: Response = (
            JSONResponse({"ok": True, "csrf": csrf_of(request, token), "aller": after})
            if wants_json(request)
            else RedirectResponse(after, status_code=303)
        )
        set_cookie(request, signed, token)
        return signed

    async def _check(self, request: Request, login: str, password: str) -> tuple[Account | None, Refused | None]:
        """Whose login and password these are, or what to refuse. Every try counts until it has succeeded."""
        desk = desk_of(request)
        address = client_of(request)
        here = f"{login}@{address}"
        late = Refused(429, "trop_essais", minutes=TRY_MINUTES)
        if desk.checking >= MOST_CHECKS or not desk.tries.allows(here):
            return None, late
        if not desk.tries_in_all.allows(address):
            desk.tries.give_back(here)
            return None, late
        desk.checking += 1
        try:
            async with desk.checks:
                account = await run_in_threadpool(desk.accounts.check, login, password)
        finally:
            desk.checking -= 1
        if account is None:
            return None, Refused(401, "identifiants_faux")
        desk.tries.give_back(here)
        desk.tries_in_all.give_back(address)
        if account.role != self.role:
            return None, Refused(403, "role_refuse")
        return account, None

    async def sign_out(self, request: Request, account: Account) -> Response:
        """End the session; what the account holds is handed back."""
        await form_of(request)
        await desk_of(request).leave(account)
        await run_in_threadpool(accounts_of(request).close_session, token_of(request))
        await run_in_threadpool(accounts_of(request).note, account, "deconnexion")
        answer = done(request, f"{self.home}/connexion", aller=f"{self.home}/connexion")
        answer.delete_cookie(COOKIE, path="/")
        return answer


CONSOLE = Space("console", "conseiller")
WORKSHOP = Space("atelier", "formateur")
SPACES = (CONSOLE, WORKSHOP)

"""Whatever is sent to any address of the door, by whoever: never a fault of ours, always the headers, always French."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.routing import Mount, Route

from actions.diagnostic import VALEURS
from tests.staff import COMPLETE, PASSWORD
from tests.test_door import SITE, Visitor, visiting
from web.accounts import ROLES, Account
from web.app import create_app
from web.followup import CALL_BACK_STATES, ISSUES
from web.session import COOKIE, csrf_of
from web.settings import Settings
from web.views import COMMANDS, SAID

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXAMPLES = 12
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X-Y"]
WHO = ["nobody", "visitor", "conseiller", "formateur"]
PATIENCE = 60.0
"""Seconds that the door may take on a busy machine; streams end as soon as whoever asked leaves."""


def addresses() -> list[tuple[str, str]]:
    """Method and path of each route."""
    app = create_app(Settings("http://rasa", "jeton", "secret", "sqlite://"))
    found = [(method, route.path) for route in app.routes if isinstance(route, Route) for method in route.methods or ()]
    found += [("GET", f"{route.path}/{{path}}") for route in app.routes if isinstance(route, Mount)]
    return sorted(found)


class House:
    """The door with someone of each kind inside, and what they have made."""

    def __init__(self, visitor: Visitor) -> None:
        self.app, self.door, self.visitor = visitor.app, visitor.door, visitor
        self.accounts: dict[str, Account] = {}
        self.known: dict[str, str] = {}

    async def settle(self) -> None:
        """Make again what a former request has ended or erased."""
        accounts, rooms = self.app.state.desk.accounts, self.door.rooms
        for role in ROLES:
            if not accounts.account_of(self.known.get(role, "")):
                self.known[role] = accounts.open_session(self.accounts[role])
        if not self.door.records.is_open(self.known.get("conversation", "")):
            conversation = self.known["conversation"] = await self.door.begin()
            await self.visitor.settled()
            self.known["jeton"] = self.door.token_of(conversation)
            self.known["choix"] = self.door.seal(conversation)('/repondre{"ambition":"croissance"}', "Grandir")
        room = rooms.room(self.known.get("code", ""))
        if room is None or room.ended:
            self.known["code"] = rooms.open(self.accounts["formateur"].id)

    def passes(self, who: str) -> list[tuple[bytes, bytes]]:
        """The headers by which the door knows someone."""
        if who == "nobody":
            return []
        if who == "visitor":
            return [(b"authorization", f"Bearer {self.known['jeton']}".encode())]
        request: Any = type("Request", (), {"app": self.app})
        mark = csrf_of(request, self.known[who])
        return [(b"cookie", f"{COOKIE}={self.known[who]}".encode()), (b"x-csrf-token", mark.encode())]

    async def ask(
        self, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """What is answered; whoever asks leaves once the answer begins."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.decode("utf-8", "replace"),
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": headers if b"host" in dict(headers) else [(b"host", b"porte"), *headers],
            "client": ("203.0.113.7", 1),
            "server": ("porte", 80),
        }
        coming = [{"type": "http.request", "body": body, "more_body": False}]
        said, answered = list[Any](), asyncio.Event()

        async def receive() -> Any:
            if coming:
                return coming.pop()
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)
            answered.set()

        await asyncio.wait_for(self.app(scope, receive, send), PATIENCE)
        found = {name.decode().lower(): value.decode("latin-1") for name, value in said[0]["headers"]}
        whole = b"".join(message.get("body", b"") for message in said[1:])
        if found.get("content-encoding") == "gzip" and method != "HEAD":
            whole = gzip.decompress(whole)
        return said[0]["status"], found, whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    limits = ("messages_per_minute", "conversations_per_minute", "codes_per_minute", "requests_per_minute")
    lifted = dict.fromkeys((*limits, "messages_per_address", "seats_per_minute"), 1_000_000)
    async with visiting(tmp_path_factory.mktemp("fuzz"), **lifted) as visitor:
        made = House(visitor)
        accounts = visitor.app.state.desk.accounts
        for role in ROLES:
            accounts.create(role, "Léa Martin", role, PASSWORD)
            made.accounts[role] = accounts.check(role, PASSWORD)
        visitor.rasa.slots = {**COMPLETE, "verdict": "strategique_maintenant", "reference": "HA7R-3W4J"}
        yield made
        await visitor.settled()


_anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
_words = """texte choix commande cle code adresse nom joindre message accord utile identifiant mot_de_passe suite csrf
slot valeur etat issue jours page q filtre persona tours dits contre garder montre retirer depuis"""
_names = st.sampled_from(_words.split())
_values = (
    _anything
    | st.sampled_from(
        [*COMMANDS, *VALEURS, *ISSUES, *CALL_BACK_STATES, "oui", "non", "0", "-1", "99999999999999999999"]
    )
    | st.sampled_from(
        ["{choix}", "{code}", "{conversation}", "/console", "//ailleurs.example", f"{SITE}/page", "é@x.fr"]
    )
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | _anything, inner, max_size=5),
    max_leaves=8,
)
_pairs = st.lists(st.tuples(_names | _anything, _values), max_size=6)
_line = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
_header_names = """accept origin authorization cookie content-type content-length idempotency-key x-csrf-token range
referer if-none-match if-modified-since sec-fetch-site x-forwarded-for forwarded last-event-id expect accept-encoding
access-control-request-method access-control-request-headers transfer-encoding host"""
_header_values = ["application/json", "text/html", SITE, "null", "http://porte", "multipart/form-data; boundary=x"]
_header_values += ["application/x-www-form-urlencoded", "bytes=0-5,-3", "bytes=9-1", "cle-0001", "same-origin", "gzip"]
_header_values += ["POST", "authorization", "99999999999", "-1", "*/*", f"{COOKIE}=x; {COOKIE}=é", "[::1", "x:99999"]
_headers = st.lists(
    st.tuples(st.sampled_from(_header_names.split()), _line | st.sampled_from(_header_values)), max_size=4
)


def encoded(pairs: list[tuple[str, str]]) -> bytes:
    """A form, or a query."""
    return urlencode([tuple(word.encode("utf-8", "surrogatepass") for word in pair) for pair in pairs]).encode()


@st.composite
def requests(draw: st.DrawFn, path: str) -> dict[str, Any]:
    """A request for this path, whose parameters are those of something that exists, or anything."""
    filled = re.sub(r"\{(\w+)(:int)?\}", lambda found: draw(st.just(found[0]) | parameter(found[1], found[2])), path)
    kind = draw(st.sampled_from(["json", "form", "raw", "none"]))
    headers, body = draw(_headers), b""
    if kind == "json":
        body = json.dumps(draw(st.dictionaries(_names, _json, max_size=5) | _json)).encode()
        headers.append(("content-type", "application/json"))
    elif kind == "form":
        body = encoded(draw(_pairs))
        headers.append(("content-type", "application/x-www-form-urlencoded"))
    elif kind == "raw":
        body = draw(st.binary(max_size=80))
    query = encoded(draw(_pairs)) if draw(st.booleans()) else draw(st.binary(max_size=30))
    return {"path": filled, "query": query, "headers": headers, "body": body}


def parameter(name: str, number: str | None) -> st.SearchStrategy[str]:
    if number:
        return st.integers(min_value=0).map(str) | st.sampled_from(["1", "2147483648", "-1", "١", "1" * 5000])
    return _anything | st.sampled_from(["..", "%00", "a" * 5000, "web-0", "widget.js", "widget.css", "ABCDE"])


SENTENCES = {
    re.sub(r"\{\w+\}", ".*", re.escape(said).replace(r"\{", "{").replace(r"\}", "}")) for said in SAID.values()
}


def is_in_french(headers: dict[str, str], body: bytes) -> bool:
    """Whether an error is said by one of our sentences."""
    if headers["content-type"].startswith("application/json"):
        said = json.loads(body)["texte"]
        return any(re.fullmatch(sentence, said) for sentence in SENTENCES)
    return headers["content-type"].startswith("text/html") and b'<html lang="fr"' in body


@pytest.mark.parametrize(("method", "path"), addresses())
@given(data=st.data())
@hypothesis_settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_nothing_that_is_sent_makes_the_door_fail(
    house: House, method: str, path: str, data: st.DataObject
) -> None:
    sent = data.draw(requests(path))
    asked = method if data.draw(st.integers(0, 3)) else data.draw(st.sampled_from(METHODS))
    who = data.draw(st.sampled_from(WHO))
    await house.settle()

    def known(text: str) -> str:
        return re.sub(r"\{(\w+)(:int)?\}", lambda found: house.known.get(found[1], "1"), text)

    own = house.passes(who)
    names = {name for name, _ in own}
    more = [(n.encode(), v.encode("latin-1", "replace")) for n, v in sent["headers"] if n.encode() not in names]
    body = re.sub(
        rb"(?:\{|%7B)(\w+?)(?:\}|%7D)", lambda found: known("{" + found[1].decode() + "}").encode(), sent["body"]
    )
    address = known(sent["path"]).encode("utf-8", "surrogatepass")
    status, headers, answer = await house.ask(asked, address, sent["query"], [*own, *more], body)
    await house.visitor.settled()

    assert status != 500, (asked, address, sent, who)
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in headers["content-security-policy"] and headers["cross-origin-opener-policy"] == "same-origin"
    if status >= 400 and asked != "HEAD":
        assert is_in_french(headers, answer), (asked, address, sent, who, status, headers, answer[:300])
    if who in ("nobody", "visitor") and address.startswith((b"/console", b"/atelier")):
        assert status != 200 or b"connexion" in address, (asked, address)

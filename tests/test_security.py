"""What a stranger, a flood or a slow client can do to the door and to those behind it: nothing that others notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tests import staff
from tests.conftest import Guide, free_port
from tests.test_door import SITE, FakeRasa, Visitor, refusal, visiting
from web import connection, guard, metrics, views
from web.app import create_app
from web.connection import Connection
from web.door import QUEUED, Door, Refused, clean
from web.session import neighbourhood
from web.settings import Settings
from web.views import SAID

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
PATIENCE = 30.0
"""Seconds that the door may take to answer on a busy machine."""


def dressed(answer: httpx.Response, framed: bool = False) -> bool:
    """Whether an answer has the headers that all have."""
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "base-uri 'none'" in policy
    assert all(answer.headers[name] == value for name, value in HEADERS.items())
    assert ("x-frame-options" in answer.headers) is not framed
    assert "camera=()" in answer.headers["permissions-policy"]
    assert answer.headers["cross-origin-resource-policy"] in ("same-origin", "cross-origin")
    return True


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with visiting(tmp_path) as found:
        await found.arrive()
        yield found


# ── headers ──


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/conversation",
        "/widget.js",
        "/widget/fenetre.html",
        "/static/site.css",
        "/api/conversation",
        "/api/bilan.pdf",
        "/api/nulle-part",
        "/nulle-part",
        "/nulle%00part",
        "/console",
        "/console/connexion",
        "/console/nulle-part",
        "/atelier",
        "/atelier/connexion",
        "/salle",
        "/salle/ABCDE",
        "/health",
        "/health/live",
        "/metrics",
    ],
)
async def test_every_kind_of_answer_has_its_headers(visitor: Visitor, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE", "TRACE"):
        assert dressed(await visitor.client.request(method, path), framed=path == "/conversation")


async def test_a_fault_and_a_failing_database_have_them_too(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, status in ((RuntimeError("secret"), 500), (OSError("secret"), 500)):
        monkeypatch.setattr(visitor.door.records, "is_open", lambda _, error=error: (_ for _ in ()).throw(error))
        answer = await visitor.client.get("/api/conversation")
        assert dressed(answer) and answer.status_code == status and "secret" not in answer.text


async def test_only_an_answer_over_tls_asks_for_tls_from_now_on(visitor: Visitor) -> None:
    for path in ("/", "/api/nulle-part", "/widget.js"):
        assert "strict-transport-security" not in (await visitor.client.get(path)).headers
        over = await visitor.client.get(f"https://porte{path}")
        assert over.headers["strict-transport-security"].startswith("max-age=")


async def test_only_the_files_of_the_widget_serve_the_pages_of_other_sites(visitor: Visitor) -> None:
    for path in ("/widget.js", "/widget/widget.css", "/widget/fenetre.html", "/conversation"):
        assert (await visitor.client.get(path)).headers["cross-origin-resource-policy"] == "cross-origin"
    for path in ("/", "/api/conversation", "/api/bilan.pdf", "/console/connexion"):
        assert (await visitor.client.get(path)).headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_site_that_is_not_ours_is_told_so_in_french_when_it_asks_first(visitor: Visitor) -> None:
    asks = {"origin": "https://ailleurs.example", "access-control-request-method": "POST"}
    answer = await visitor.client.options("/api/messages", headers=asks)
    assert dressed(answer) and refusal(answer) == (400, "autre_origine")
    assert "access-control-allow-origin" not in answer.headers


# ── by address ──


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", True),
        ("2001:db8:1::a", "2001:db8:1:0:5::a", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("::1", "::2", True),
        ("nulle part", "ailleurs", False),
    ],
)
def test_who_has_many_addresses_of_one_network_is_one_for_the_limits(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same


async def test_too_many_requests_from_an_address_are_refused_to_it_only(tmp_path: Path) -> None:
    async with visiting(tmp_path, requests_per_minute=10) as visitor:
        for path in ("/", "/api/conversation", "/console/connexion", "/static/site.css", "/nulle-part"):
            await visitor.client.get(path)
            await visitor.client.get(path)
        answer = await visitor.client.get("/api/conversation", headers={"origin": SITE})
        assert refusal(answer) == (429, "trop_vite")
        assert 0 < int(answer.headers["retry-after"]) <= 6 and answer.headers["access-control-allow-origin"] == SITE
        page = await visitor.client.get("/console/connexion")
        assert page.status_code == 429 and SAID["trop_vite"] in page.text and dressed(page)
        assert (await visitor.another("203.0.113.9").client.get("/")).status_code == 200


async def test_one_address_cannot_write_without_end_in_many_conversations(tmp_path: Path) -> None:
    async with visiting(tmp_path, messages_per_address=6) as visitor:
        said = []
        for _ in range(4):
            other = visitor.another()
            await other.arrive()
            said += [(await other.send({"texte": "bonjour"})).status_code for _ in range(2)]
        assert said == [202] * 6 + [429] * 2
        neighbour = visitor.another("203.0.113.9")
        await neighbour.arrive()
        assert (await neighbour.send({"texte": "bonjour"})).status_code == 202


async def test_each_refusal_for_haste_says_how_long_to_wait(tmp_path: Path) -> None:
    limits = {"messages_per_minute": 1, "conversations_per_minute": 1, "codes_per_minute": 1}
    async with visiting(tmp_path, **limits) as visitor:
        await visitor.arrive()
        await visitor.send({"texte": "bonjour"})
        code = {"code": "AAAA-BBBB-CCCC"}
        await visitor.client.post("/api/conversation", json=code)
        for answer in (
            await visitor.send({"texte": "bonjour"}),
            await visitor.client.post("/api/conversation", json={}),
            await visitor.client.post("/api/conversation", json=code),
        ):
            assert refusal(answer) == (429, "trop_vite") and 0 < int(answer.headers["retry-after"]) <= 60


async def test_a_conversation_can_neither_be_read_nor_lengthened_without_end(tmp_path: Path) -> None:
    async with visiting(tmp_path, messages_per_address=2) as visitor:
        await visitor.arrive()
        for path in ("/api/conversation", "/api/reponses"):
            assert (await visitor.client.get(path)).status_code == 200
        for path in ("/api/conversation", "/api/reponses", "/api/evenements"):
            assert refusal(await visitor.client.get(path)) == (429, "trop_vite"), path
        assert (await visitor.another("203.0.113.9").client.get("/api/conversation")).status_code == 404
    async with visiting(tmp_path, messages_per_day=3) as visitor:
        await visitor.arrive()
        said = [(await visitor.send({"texte": "bonjour"})).status_code for _ in range(4)]
        assert said == [202] * 3 + [429]


@pytest.mark.parametrize("path", ["reprise", "avis", "bilan.pdf", "rappel"])
async def test_what_costs_as_much_as_a_message_counts_as_one_for_its_address(tmp_path: Path, path: str) -> None:
    async with visiting(tmp_path, messages_per_address=1) as visitor:
        await visitor.arrive()
        assert (await visitor.send({"texte": "bonjour"})).status_code == 202
        body = {"utile": True, "nom": "Zoé", "joindre": "zoe@exemple.fr", "accord": True, "adresse": "http://porte/"}
        ask = ("GET", None) if path == "bilan.pdf" else ("POST", body)
        assert refusal(await visitor.client.request(ask[0], f"/api/{path}", json=ask[1])) == (429, "trop_vite")


def test_a_long_address_is_refused_before_it_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short:
        def match(self, text: str) -> bool:
            assert len(text) <= 160
            return True

    monkeypatch.setattr(views, "_MAIL", Short())
    monkeypatch.setattr(views, "_PHONE", Short())
    assert views.call_back_faults("Zoé", "a@" + "." * 16_000 + "@", "", agreed=True) == {"joindre": "rappel_joindre"}
    assert views.call_back_faults("Zoé", "zoe@exemple.fr", "", agreed=True) == {}


def test_a_limit_forgets_whom_it_does_not_limit_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rate, begun = guard.Rate(10), time.monotonic()
    rate.allows("203.0.113.9")
    monkeypatch.setattr("web.door.time.monotonic", lambda: begun + 130)
    rate.allows("203.0.113.1")
    assert list(rate._due) == ["203.0.113.1"]


async def test_time_gives_back_what_haste_has_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with visiting(tmp_path, conversations_per_minute=2) as visitor:
        begun = time.monotonic()
        await visitor.arrive()
        await visitor.arrive()
        refused = await visitor.client.post("/api/conversation", json={})
        monkeypatch.setattr("web.door.time.monotonic", lambda: begun + 60 + int(refused.headers["retry-after"]))
        await visitor.arrive()


def test_a_crowd_of_addresses_costs_neither_much_memory_nor_much_time() -> None:
    rate = guard.Rate(3_000, seconds=0.05)
    for number in range(100_000):
        assert rate.allows(f"2001:db8:{number:x}::")
    assert len(rate._due) < 100_000


# ── streams ──


@contextlib.asynccontextmanager
async def listening(visitor: Visitor, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """A page that listens to the visitor's conversation: the status of what it is answered first."""
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    leaves = asyncio.Event()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/api/evenements",
        "raw_path": b"/api/evenements",
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(b"host", b"porte"), (b"authorization", visitor.client.headers["authorization"].encode())],
        "client": (address, 1),
        "server": ("porte", 80),
    }
    first = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if (message := next(first, None)) is None:
            await leaves.wait()
            return {"type": "http.disconnect"}
        return message

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.set_result(message["status"])

    page = asyncio.create_task(visitor.app(scope, receive, send))
    try:
        yield await asyncio.wait_for(status, PATIENCE)
    finally:
        leaves.set()
        await asyncio.wait_for(page, PATIENCE)


async def test_pages_that_listen_are_counted_by_address_and_in_all(tmp_path: Path) -> None:
    async with visiting(tmp_path, streams_per_address=2, streams=3) as visitor:
        await visitor.arrive()
        before = metrics.STREAMS._value.get()
        async with listening(visitor) as one, listening(visitor) as two, listening(visitor) as three:
            assert (one, two, three) == (200, 200, 429)
            async with listening(visitor, "203.0.113.1") as elsewhere, listening(visitor, "203.0.113.2") as last:
                assert (elsewhere, last) == (200, 503)
                assert metrics.STREAMS._value.get() == before + 3
        assert metrics.STREAMS._value.get() == before
        async with listening(visitor) as again:
            assert again == 200


async def test_visitors_cannot_shut_out_the_staff(tmp_path: Path) -> None:
    async with visiting(tmp_path, streams_per_address=1, streams=1) as visitor:
        await visitor.arrive()
        request = Request({"type": "http", "app": visitor.app, "headers": [], "client": ("127.0.0.1", 1)})
        async with listening(visitor) as page:
            assert page == 200
            with pytest.raises(Refused):
                guard.Stream(request, visitor.door.stream("web-1"))
            guard.Stream(request, visitor.door.stream("web-1"), staff=True)
        with visitor.app.state.streams.held(guard.STAFF):
            async with listening(visitor) as page:
                assert page == 200, "nor do they shut visitors out"


async def test_a_page_that_reads_nothing_is_let_go(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SLOW", 0.1)
    token = visitor.client.headers["authorization"].encode()
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/api/evenements",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"porte"), (b"authorization", token)],
        "client": ("127.0.0.1", 1),
        "server": ("porte", 80),
    }
    await asyncio.wait_for(visitor.app(scope, receive, send), PATIENCE)
    assert visitor.door.listeners(visitor.conversation()) == 0


async def test_a_page_too_slow_for_what_comes_keeps_little_and_is_told_everything_anew(visitor: Visitor) -> None:
    conversation = visitor.conversation()
    stream = visitor.door.stream(conversation)
    assert (await anext(stream))["event"] == "historique"
    for number in range(5 * QUEUED):
        await visitor.door.publish(conversation, "message", {"id": str(number)})
    assert all(page.qsize() <= QUEUED for page in visitor.door._pages[conversation])
    assert (await asyncio.wait_for(anext(stream), PATIENCE))["event"] == "historique"
    await stream.aclose()


# ── one's own conversation, and nobody else's ──


async def test_nothing_tells_apart_a_conversation_that_is_anothers_one_that_was_erased_and_one_that_never_was(
    visitor: Visitor,
) -> None:
    other = visitor.another()
    await other.arrive()
    token = other.client.headers["authorization"].removeprefix("Bearer ")
    payload, _, signature = token.rpartition(".")
    await other.client.delete("/api/conversation")
    mine = visitor.client.headers["authorization"].removeprefix("Bearer ")
    forged = [
        token,
        f"{mine.rpartition('.')[0]}.{signature}",
        f"{payload}.{signature[::-1]}",
        mine[:-1] + ("A" if mine[-1] != "A" else "B"),
        visitor.door._choices(visitor.conversation()).dumps(visitor.conversation()),
        visitor.door.token_of("web-" + "0" * 32),
        visitor.door.token_of("tel-" + "0" * 32),
        visitor.door.token_of("atelier-" + "0" * 32),
        visitor.conversation(),
        "",
    ]
    answers = [await visitor.client.get("/api/conversation", headers={"authorization": f"Bearer {t}"}) for t in forged]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert len({tuple(sorted(set(answer.headers) - {"content-length"})) for answer in answers}) == 1


async def test_codes_cannot_be_tried_without_end_from_many_addresses_of_one_network(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visitor:
        tried = []
        for number in range(30):
            thief = visitor.another(f"2001:db8:1:2::{number:x}")
            tried.append((await thief.client.post("/api/conversation", json={"code": f"AAAA{number:04}"})).status_code)
        assert tried == [404] * 10 + [429] * 20


@given(
    st.lists(
        st.sampled_from(
            ["/", "\u200b", "\u200d", "\ufeff", "\u2060", "\u00ad", "\u202e", "\u0000", "\ufe0f", " ", "\n"]
        )
        | st.sampled_from(["\u00a0", "\u3000", "\u2028", "\u0338", "\u034f", "\u180e", "\U000e0001", "\\", "／", "⁄"])
        | st.characters(codec=None, exclude_categories=()),
        max_size=12,
    ).map("".join),
    st.sampled_from(["/restart", '/repondre{"ambition":"croissance"}', "/session_start", "/"]),
)
def test_nothing_that_is_typed_is_ever_a_command(before: str, payload: str) -> None:
    for typed in (before + payload, payload + before, before):
        assert not clean(typed).strip().startswith("/")
        assert clean(clean(typed)) == clean(typed)


@pytest.mark.bot
def test_rasa_takes_no_typed_trick_for_a_command(guide: Guide) -> None:
    """What the door lets through is read by Rasa as words."""
    visitor = staff.Visitor(guide).arrive()
    visitor.sees("")
    for trick in ("／restart", "\u200d/session_start", "⁄restart", "\ufe0f/restart", "\u0338/restart", "@/restart"):
        visitor.say(trick)
    url = f"{guide.rasa}/conversations/{visitor.conversation}/tracker"
    found = httpx.get(url, params={"token": guide.token, "include_events": "ALL"}, timeout=30).json()
    typed = [event for event in found["events"] if event["event"] == "user"][1:]
    assert len(typed) == 6
    assert not {"restart", "session_start"} & {event["parse_data"]["intent"]["name"] for event in typed}
    assert [event["name"] for event in found["events"] if event["event"] == "action"].count("action_restart") == 0


# ── figures and health ──


async def test_the_figures_are_for_this_machine_or_for_who_has_their_token(tmp_path: Path) -> None:
    async with visiting(tmp_path, metrics_token="le-bon") as visitor:
        here = httpx.URL("http://127.0.0.1:8080/metrics")
        outside = visitor.another("203.0.113.9").client
        assert (await visitor.client.get(here)).status_code == 200
        assert refusal(await outside.get(here)) == (403, "metriques_fermees")
        assert refusal(await outside.get(here, headers={"authorization": "Bearer faux é".encode()}))[0] == 403
        assert (await outside.get(here, headers={"authorization": "Bearer le-bon"})).status_code == 200
        through = {"x-forwarded-for": "203.0.113.9"}
        assert (await visitor.client.get(here, headers=through)).status_code == 403
    async with visiting(tmp_path) as visitor:
        nothing = {"authorization": "Bearer "}
        assert (await visitor.another("203.0.113.9").client.get(here, headers=nothing)).status_code == 403


def figure(text: str, name: str) -> float:
    """The value of a line of the figures."""
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)


async def test_the_figures_tell_what_happened_and_of_nobody(visitor: Visitor) -> None:
    async def read() -> str:
        return (await visitor.client.get("http://127.0.0.1/metrics")).text

    before = await read()
    await visitor.arrive()
    choice = (await visitor.history())[0]["boutons"][0]["choix"]
    await visitor.send({"texte": "je suis Zoé Quidam"})
    await visitor.send({"choix": choice})
    visitor.rasa.says = [{"text": "Oui", "custom": {"type": "verdict", "verdict": "x"}}]
    visitor.rasa.down = True
    await visitor.send({"texte": "perdu"})
    await visitor.client.get("/nulle-part")
    after = await read()
    told = {
        'bon_moment_turn_seconds_count{kind="texte"}': 2,  # The opening has no title either.
        'bon_moment_turn_seconds_count{kind="bouton"}': 1,
        'bon_moment_conversations_opened_total{origin="web"}': 1,
        'bon_moment_refusals_total{status="404"}': 1,
        "bon_moment_messages_lost_total": 1,
    }
    assert {name: figure(after, name) - figure(before, name) for name in told} == told
    assert figure(after, "bon_moment_rasa_failures_total") > figure(before, "bon_moment_rasa_failures_total")
    assert "process_resident_memory_bytes" in after
    for private in ("Zoé", "Quidam", visitor.conversation(), visitor.client.headers["authorization"], "127.0.0.1"):
        assert private not in after


async def test_a_verdict_is_counted(visitor: Visitor) -> None:
    before = metrics.VERDICTS._value.get()
    visitor.rasa.says = [{"text": "Oui", "custom": {"type": "verdict"}}, {"text": "Voilà", "custom": None}]
    await visitor.door.ask(visitor.conversation(), "bonjour", None, "cle-0001")
    assert metrics.VERDICTS._value.get() == before + 1


async def test_health_names_the_part_that_does_not_answer(tmp_path: Path) -> None:
    async with visiting(tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0") as visitor:
        answer = await visitor.client.get("/health/ready")
        found = {"live": True, "ready": False, "rasa": True, "database": True, "redis": False}
        assert (answer.status_code, answer.json()) == (503, found)
    async with visiting(tmp_path) as visitor:
        (tmp_path / "door.db").unlink()
        answer = await visitor.client.get("/health/ready")
        assert (answer.status_code, answer.json()["database"]) == (503, False)
        assert (await visitor.client.get("/health/live")).status_code == 200


# ── over real connections ──


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int, FakeRasa, list[Door]]]:
    """The door behind its own server, with a made-up Rasa and short patience: address and port."""
    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    rasa, port = FakeRasa(), int(free_port())
    rasa.says = [{"text": "Bien."}]
    settings = Settings(
        "http://rasa",
        "jeton",
        "secret",
        f"sqlite:///{tmp_path}/door.db",
        requests_per_minute=100,
        messages_per_address=100,
        body_timeout=0.5,
    )
    app = create_app(settings, httpx.AsyncClient(transport=httpx.MockTransport(rasa), base_url="http://rasa"))
    options: dict[str, Any] = {"http": Connection, "ws": "none", "log_level": "error", "timeout_graceful_shutdown": 1}
    options["timeout_keep_alive"] = 1
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    staff.until(lambda: server.started, "the door opens")
    yield "127.0.0.1", port, rasa, [app.state.door]
    server.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()


def from_address(port: int, address: str) -> httpx.Client:
    """A client that has this address of the machine."""
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=PATIENCE)


def exchange(host: str, port: int, sent: bytes) -> bytes:
    """What is answered to these bytes, until the door hangs up."""
    with socket.create_connection((host, port), timeout=PATIENCE) as link:
        link.sendall(sent)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while more := link.recv(65_536):
                found += more
        return found


POST = b"POST /api/conversation HTTP/1.1\r\nHost: porte\r\n"


def read(raw: bytes) -> httpx.Response:
    """A raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(first.split()[1]), headers=pairs, content=body)  # type: ignore[arg-type]


def test_a_body_announced_too_large_is_refused_before_it_comes(served: tuple[str, int, FakeRasa, list[Door]]) -> None:
    host, port, *_ = served
    answer = read(exchange(host, port, POST + b"Content-Length: 100000000\r\n\r\n"))
    assert refusal(answer) == (413, "trop_gros") and dressed(answer)


def test_a_body_without_a_length_is_refused_once_it_is_too_large(
    served: tuple[str, int, FakeRasa, list[Door]],
) -> None:
    host, port, *_ = served
    piece = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    answer = read(exchange(host, port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * piece))
    assert refusal(answer) == (413, "trop_gros")


def test_a_body_that_dribbles_is_not_waited_for(served: tuple[str, int, FakeRasa, list[Door]]) -> None:
    host, port, *_ = served
    answer = read(exchange(host, port, POST + b"Content-Length: 10\r\n\r\n{"))
    assert refusal(answer) == (408, "trop_lent") and dressed(answer)


@pytest.mark.parametrize("path", [b"/api/messages", b"/api/nulle-part"])
def test_what_follows_a_refusal_is_not_waited_for(served: tuple[str, int, FakeRasa, list[Door]], path: bytes) -> None:
    host, port, *_ = served
    head = b"POST " + path + b" HTTP/1.1\r\nHost: porte\r\nContent-Length: 9000\r\n\r\n{"
    answer = read(exchange(host, port, head))  # Until the door hangs up.
    assert answer.status_code == 404 and answer.headers["connection"] == "close"


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: porte\r\nX-Long: "])
def test_headers_that_dribble_are_not_waited_for(served: tuple[str, int, FakeRasa, list[Door]], begun: bytes) -> None:
    host, port, *_ = served
    assert exchange(host, port, begun) == b""
    with socket.create_connection((host, port), timeout=PATIENCE) as link:
        link.sendall(b"GET /health/live HTTP/1.1\r\nHost: porte\r\n\r\n")
        assert link.recv(65_536).startswith(b"HTTP/1.1 200")
        link.sendall(begun)  # A second request on the same connection.
        while more := link.recv(65_536):
            assert not more.startswith(b"HTTP/1.1")


def test_a_page_that_listens_is_not_hurried(served: tuple[str, int, FakeRasa, list[Door]]) -> None:
    _, port, *_ = served
    with from_address(port, "127.0.0.1") as client:
        token = client.post("/api/conversation", json={}).json()["jeton"]
        bearer = {"authorization": f"Bearer {token}"}
        with client.stream("GET", "/api/evenements", headers=bearer) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: historique"
            for number in range(3):
                limit = time.monotonic() + 0.4  # Together longer than either patience.
                while time.monotonic() < limit:
                    client.get("/health/live")
                    time.sleep(0.05)
                client.post("/api/messages", json={"texte": f"message {number}"}, headers=bearer)
            found = ""
            while "message 2" not in found:
                found = next(lines)


@pytest.mark.parametrize(
    "sent",
    [
        b"bonjour\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: porte\r\nX: " + b"a" * 20_000,
        POST + b"Content-Length: x\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: porte\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    ],
    ids=["words", "no host", "long", "no length", "two lengths", "no chunk", "no address", "TLS"],
)
def test_what_is_no_request_is_refused_in_french(served: tuple[str, int, FakeRasa, list[Door]], sent: bytes) -> None:
    host, port, *_ = served
    answer = read(exchange(host, port, sent))
    assert refusal(answer) == (400, "requete_illisible") and dressed(answer)


@pytest.mark.bot
def test_the_guide_as_it_is_started_refuses_so_too(guide: Guide) -> None:
    url = httpx.URL(guide.door)
    assert refusal(read(exchange(url.host, url.port or 80, b"bonjour\r\n\r\n"))) == (400, "requete_illisible")


def test_only_a_proxy_of_ours_is_believed_about_who_asks(served: tuple[str, int, FakeRasa, list[Door]]) -> None:
    _, port, *_ = served

    def statuses(peer: str, forwarded: str) -> Counter[int]:
        with from_address(port, peer) as client:
            told = [{"x-forwarded-for": forwarded.format(n), "x-forwarded-proto": "https"} for n in range(130)]
            return Counter(client.get("/health/live", headers=one).status_code for one in told)

    # A stranger who claims another address each time is one all the same; who claims to be behind another, too.
    assert statuses("127.0.0.2", "203.0.113.{}")[429] > 0
    assert statuses("127.0.0.1", "198.51.100.{}, 203.0.113.7")[429] > 0
    assert statuses("127.0.0.1", "198.51.100.{}")[429] == 0
    with from_address(port, "127.0.0.1") as proxy, from_address(port, "127.0.0.3") as stranger:
        tls = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
        assert "strict-transport-security" in proxy.get("/health/live", headers=tls).headers
        assert "strict-transport-security" not in stranger.get("/health/live", headers=tls).headers


def test_a_flood_from_one_address_does_not_keep_another_from_talking(
    served: tuple[str, int, FakeRasa, list[Door]],
) -> None:
    _, port, rasa, _ = served
    stop, refusals = threading.Event(), Counter[int]()
    mine = threading.Lock()

    def flood() -> None:
        with from_address(port, "127.0.0.2") as client:
            while not stop.is_set():
                answer = client.post("/api/conversation", json={})
                token = answer.json().get("jeton", "aucun")
                bearer = {"authorization": f"Bearer {token}"}
                more = [client.post("/api/messages", json={"texte": "x" * 900}, headers=bearer) for _ in range(3)]
                with mine:
                    refusals.update(one.status_code for one in (answer, *more))

    floods = [threading.Thread(target=flood) for _ in range(6)]
    for one in floods:
        one.start()
    try:
        staff.until(lambda: refusals[429] > 50, "the flood is refused")
        with from_address(port, "127.0.0.1") as client:
            token = client.post("/api/conversation", json={}).json()["jeton"]
            client.headers["authorization"] = f"Bearer {token}"
            for number in range(8):
                answer = client.post("/api/messages", json={"texte": f"réponse {number}", "cle": f"cle-{number:04}"})
                assert answer.status_code == 202
                staff.until(lambda n=number: f"réponse {n}" in {m["message"] for m in rasa.sent}, "the turn is taken")
            with client.stream("GET", "/api/evenements") as stream:
                history = next(line for line in stream.iter_lines() if line.startswith("data:"))
            shown = json.loads(history.removeprefix("data:"))["messages"]
            assert [m["texte"] for m in shown if m["de"] == "vous"] == [f"réponse {number}" for number in range(8)]
            assert sum(m["texte"] == "Bien." for m in shown) == 9  # The opening too.
    finally:
        stop.set()
        for one in floods:
            one.join(PATIENCE)
    assert refusals[500] == refusals[503] == 0


# ── behind the door ──


@pytest.mark.bot
def test_the_guide_listens_on_this_machine_alone(guide: Guide) -> None:
    family = psutil.Process().children(recursive=True)
    listening = [c.laddr for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    ports = {httpx.URL(address).port for address in (guide.rasa, guide.door)}
    assert ports <= {port for _, port in listening} and len(listening) >= 3
    assert {address for address, _ in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.bot
@pytest.mark.parametrize("token", [None, "faux"])
def test_without_its_token_rasa_gives_nothing_of_a_conversation(guide: Guide, token: str | None) -> None:
    params = {"token": token} if token else {}
    for method, path in (
        ("GET", "/conversations/x/tracker"),
        ("POST", "/conversations/x/tracker/events"),
        ("PUT", "/conversations/x/tracker/events"),
        ("POST", "/conversations/x/messages"),
        ("POST", "/conversations/x/predict"),
        ("POST", "/conversations/x/execute"),
        ("GET", "/conversations/x/story"),
        ("GET", "/domain"),
        ("GET", "/status"),
    ):
        answer = httpx.request(method, guide.rasa + path, params=params, json={} if method != "GET" else None)
        assert answer.status_code == 401, (method, path, answer.status_code)


@pytest.mark.bot
def test_no_token_makes_rasa_load_or_train_a_model(guide: Guide) -> None:
    for method, path in (
        ("PUT", "/model"),
        ("DELETE", "/model"),
        ("POST", "/model/train"),
        ("POST", "/model/test/stories"),
        ("POST", "/model/test/intents"),
    ):
        answer = httpx.request(method, guide.rasa + path, params={"token": guide.token}, content=b"{}", timeout=60)
        assert answer.status_code == 404, (method, path, answer.status_code)
    assert httpx.get(f"{guide.rasa}/status", params={"token": guide.token}, timeout=60).status_code == 200


@pytest.mark.bot
@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer faux", "Bearer é"])
def test_the_doors_way_into_rasa_is_for_the_door_alone(guide: Guide, token: str | None) -> None:
    headers = {} if token is None else {"authorization": token.encode()}
    body = {"sender": "web-x", "message": "bonjour", "metadata": {"cle": "cle-0001"}}
    answer = httpx.post(f"{guide.rasa}/webhooks/porte/webhook", json=body, headers=headers, timeout=60)
    assert answer.status_code == 401

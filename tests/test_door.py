"""The door alone, with a made-up Rasa behind it: what it lets in, what it refuses and how it says so."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from starlette.applications import Starlette
from starlette.routing import Route

from actions.diagnostic import INCONNU, VALEURS, diagnostiquer, manquantes, parcours
from actions.references import METADATA, reference_of
from actions.restitution import key, title
from tests.staff import COMPLETE
from web import views
from web.app import HERE, create_app
from web.desk import TRIES
from web.door import Door
from web.records import Records
from web.settings import Settings, origins
from web.tables import CALL_BACKS, CODES, CONVERSATIONS, now
from web.views import COMMANDS, SAID

SITE = "https://www.cabinet.fr"
ELSEWHERE = "https://ailleurs.example"
REFERENCE = "HA7R-3W4J"
BUTTON = {"title": "Grandir", "payload": '/repondre{"ambition":"croissance"}'}
ASKED = {"type": "question", "slot": "ambition", "index": 4, "total": 9}
QUESTION = {"text": "Question ?", "buttons": [BUTTON], "custom": ASKED}
CALL_BACK = {"nom": "Léa", "joindre": "06 12 34 56 78", "message": "Le matin", "accord": True}
WIDGET = [
    "/widget.js",
    "/widget/fenetre.html",
    *(f"/widget/{path.name}" for path in sorted((HERE / "widget").iterdir())),
]
VERDICT = [
    {"text": "C’est noté."},
    {"text": "Stratégique", "custom": {**diagnostiquer(COMPLETE).payload(), "reference": REFERENCE}},
    {"text": "Les raisons"},
    {"text": "Et ensuite ?", "buttons": [BUTTON]},
]


class FakeRasa:
    """Answers as the door's channel in Rasa and the tracker do; keeps what it was sent, and the events."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.slots: dict[str, str | None] = {}
        self.says: list[dict[str, Any]] = [QUESTION]
        self.heard: dict[str, Any] = {}
        self.down = False
        self.late = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        if request.url.path.endswith("/tracker"):
            return self.tracker(request.url.path.split("/")[2], request.url.params)
        if request.url.path.endswith("/tracker/events"):
            self.events[request.url.path.split("/")[2]] += json.loads(request.content)
            return httpx.Response(200 if request.url.params["token"] == "jeton" else 401, json={})
        if request.method == "GET":
            return httpx.Response(200, text="Hello from Rasa")
        body = json.loads(request.content)
        if request.headers["authorization"] != "Bearer jeton":
            return httpx.Response(401)
        self.sent.append(body)
        if self.has_answered(body):
            return self.turn()
        said = [
            {"event": "bot", "text": m.get("text"), "data": {"buttons": None, "custom": None, **m}} for m in self.says
        ]
        asked = {"event": "user", "text": body["message"], "metadata": body["metadata"]}
        self.events[body["sender"]] += [asked, {"event": "action", "name": "action_listen"}, *said]
        if self.late:
            raise httpx.ReadTimeout("late")
        return self.turn()

    def has_answered(self, body: dict[str, Any]) -> bool:
        """Whether the message is one that was answered before."""
        events = self.events[body["sender"]]
        keys = [(event.get("metadata") or {}).get("cle") for event in events]
        key = body["metadata"]["cle"]
        return key in keys and any(event["event"] == "bot" for event in events[keys.index(key) :])

    def turn(self) -> httpx.Response:
        """What the door's channel answers."""
        return httpx.Response(200, json={"messages": self.says, "entendu": self.heard})

    def tracker(self, conversation: str, params: httpx.QueryParams) -> httpx.Response:
        if params["token"] != "jeton":
            return httpx.Response(401)
        events = self.events[conversation] if params["include_events"] == "ALL" else []
        return httpx.Response(200, json={"sender_id": conversation, "slots": self.slots, "events": events})

    def gives_the_verdict(self) -> None:
        self.slots = {**COMPLETE, "verdict": "strategique_maintenant", "reference": REFERENCE}


class Visitor:
    """A browser of the door: its client, the Rasa behind, the door itself."""

    def __init__(self, app: Starlette, client: httpx.AsyncClient, rasa: FakeRasa) -> None:
        self.app, self.client, self.rasa = app, client, rasa
        self.door: Door = app.state.door

    async def arrive(self) -> None:
        answer = await self.client.post("/api/conversation", json={})
        assert answer.status_code == 201
        self.carry(answer.json()["jeton"])
        await self.settled()

    def carry(self, token: str) -> None:
        self.client.headers["authorization"] = f"Bearer {token}"

    async def settled(self) -> None:
        while self.door._tasks:
            await asyncio.gather(*self.door._tasks)

    async def send(self, body: Any) -> httpx.Response:
        answer = await self.client.post("/api/messages", content=json.dumps(body))
        await self.settled()
        return answer

    def conversation(self) -> str:
        return str(self.door._tokens.loads(self.client.headers["authorization"].removeprefix("Bearer ")))

    async def watch(self, action: Awaitable[Any]) -> list[dict[str, Any]]:
        """The events that an open page gets while `action` runs."""
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.door._pages[self.conversation()].add(page)
        await action
        await self.settled()
        return [page.get_nowait() for _ in range(page.qsize())]

    async def shown(self, body: Any) -> list[dict[str, Any]]:
        """The messages that an open page gets when `body` is sent."""
        return [event["data"] for event in await self.watch(self.send(body)) if event["type"] == "message"]

    async def history(self) -> list[dict[str, Any]]:
        """What a page that is opened now shows."""
        stream = self.door.stream(self.conversation())
        event = await anext(stream)
        await stream.aclose()
        assert event["event"] == "historique"
        return json.loads(event["data"])["messages"]

    def another(self, address: str = "127.0.0.1") -> Visitor:
        """Another browser of the same door, with no conversation."""
        return Visitor(self.app, browser(self.app, address), self.rasa)


def browser(app: Starlette, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://porte")


@asynccontextmanager
async def visiting(tmp_path: Path, **changes: Any) -> AsyncIterator[Visitor]:
    rasa = FakeRasa()
    changes = {"origins": (SITE,), **changes}
    settings = Settings("http://rasa", "jeton", "secret", f"sqlite:///{tmp_path}/door.db", **changes)
    behind = httpx.AsyncClient(transport=httpx.MockTransport(rasa), base_url="http://rasa")
    app = create_app(settings, behind)
    async with app.router.lifespan_context(app), browser(app) as client:
        yield Visitor(app, client, rasa)


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with visiting(tmp_path) as found:
        await found.arrive()
        yield found


@pytest.fixture
async def finished(visitor: Visitor) -> Visitor:
    """A visitor who has the verdict."""
    visitor.rasa.gives_the_verdict()
    return visitor


@pytest.fixture
async def tireless(tmp_path: Path) -> AsyncIterator[Visitor]:
    """A visitor for whom nothing is too fast."""
    without = dict.fromkeys(("messages_per_minute", "conversations_per_minute", "codes_per_minute"), 1_000_000)
    async with visiting(tmp_path, **without) as found:
        await found.arrive()
        yield found


def private_endpoints(app: Starlette) -> list[tuple[str, str]]:
    """Method and path of all that needs a conversation."""
    routes = [route for route in app.routes if isinstance(route, Route) and route.path.startswith("/api/")]
    found = [(method, route.path) for route in routes for method in sorted(route.methods or ()) if method != "HEAD"]
    return [endpoint for endpoint in found if endpoint not in (("POST", "/api/conversation"), ("POST", "/api/salle"))]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and name of a refusal, once sure that its sentence is the French one."""
    said = answer.json()
    assert said["texte"] == SAID[said["erreur"]]
    return answer.status_code, said["erreur"]


# ── arriving and talking ──


async def test_arriving_opens_a_conversation_that_asks_the_first_question(visitor: Visitor) -> None:
    assert [m["message"] for m in visitor.rasa.sent] == ["/demarrer"]
    assert [(m["id"], m["de"], m["texte"]) for m in await visitor.history()] == [("ouverture:1", "guide", "Question ?")]


async def test_each_who_arrives_has_a_conversation_of_their_own(visitor: Visitor) -> None:
    other = visitor.another()
    await other.arrive()
    await visitor.send({"texte": "entre nous"})
    assert other.conversation() != visitor.conversation()
    assert "entre nous" not in [m["texte"] for m in await other.history()]


async def test_no_cookie_is_ever_set(visitor: Visitor) -> None:
    for answer in (await visitor.client.post("/api/conversation", json={}), await visitor.client.get("/")):
        assert "set-cookie" not in answer.headers


async def test_a_typed_message_goes_through_and_its_answer_comes_as_an_event(visitor: Visitor) -> None:
    events = await visitor.watch(visitor.send({"texte": "Nous voulons grandir", "cle": "cle-0001"}))
    assert [e["type"] for e in events] == ["message", "attente", "message", "fin"]
    assert events[0]["data"] == {"id": "cle-0001:0", "de": "vous", "texte": "Nous voulons grandir"}
    assert events[2]["data"]["id"] == "cle-0001:1" and events[2]["data"]["texte"] == "Question ?"
    assert events[2]["data"]["donnees"] == ASKED


async def test_a_button_offered_by_the_bot_is_obeyed(visitor: Visitor) -> None:
    choice = (await visitor.history())[0]["boutons"][0]["choix"]
    said, _ = await visitor.shown({"choix": choice, "cle": "cle-0001"})
    assert said["texte"] == "Grandir"
    assert visitor.rasa.sent[-1]["message"] == BUTTON["payload"]
    assert visitor.rasa.sent[-1]["metadata"] == {"cle": "cle-0001", "titre": "Grandir"}


@pytest.mark.parametrize("choice", ["/restart", "x", '["/restart","x"]', "a.b", "." * 500, "é", "\ud800", ["x"], 12])
async def test_a_forged_button_is_refused(visitor: Visitor, choice: Any) -> None:
    before = len(visitor.rasa.sent)
    assert refusal(await visitor.send({"choix": choice})) == (400, "choix_inconnu")
    assert len(visitor.rasa.sent) == before


async def test_a_button_of_another_conversation_is_refused(visitor: Visitor) -> None:
    choice = visitor.door.seal("web-une-autre")(BUTTON["payload"], BUTTON["title"])
    assert refusal(await visitor.send({"choix": choice})) == (400, "choix_inconnu")


async def test_the_token_of_a_conversation_is_no_button(visitor: Visitor) -> None:
    token = visitor.door.token_of(visitor.conversation())
    assert refusal(await visitor.send({"choix": token})) == (400, "choix_inconnu")


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_button_of_the_widget_is_obeyed_and_shown_in_french(visitor: Visitor, name: str) -> None:
    said, _ = await visitor.shown({"commande": name})
    assert said["texte"] == SAID[f"commande_{name}"]
    assert visitor.rasa.sent[-1]["message"] == COMMANDS[name]


@pytest.mark.parametrize("name", ["/restart", "restart", "demarrer", "POURQUOI", ["pourquoi"], {"a": 1}, 1, True])
async def test_there_is_no_other_command(visitor: Visitor, name: Any) -> None:
    before = len(visitor.rasa.sent)
    assert refusal(await visitor.send({"commande": name})) == (400, "choix_inconnu")
    assert len(visitor.rasa.sent) == before


@pytest.mark.parametrize(
    "typed",
    ["/restart", "  /restart", '/repondre{"ambition":"croissance"}', "//session_start", "\u200b/restart", "/ /restart"],
)
async def test_a_typed_slash_is_never_a_payload(visitor: Visitor, typed: str) -> None:
    await visitor.send({"texte": typed})
    assert len(visitor.rasa.sent) == 2
    assert not visitor.rasa.sent[-1]["message"].strip().startswith("/")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"texte": ""}, 400, "vide"),
        ({"texte": "   \n\t "}, 400, "vide"),
        ({"texte": "\x00\x07"}, 400, "vide"),
        ({"texte": "\ud800"}, 400, "vide"),
        ({"texte": "/"}, 400, "vide"),
        ({"texte": 12}, 400, "vide"),
        ({}, 400, "vide"),
        ({"texte": "a" * 1001}, 413, "trop_long"),
        ({"texte": "a" * 100_000}, 413, "trop_gros"),
        (["texte"], 400, "pas_json"),
        ("texte", 400, "pas_json"),
        (None, 400, "pas_json"),
    ],
)
async def test_bad_input_is_answered_in_french_and_goes_nowhere(
    visitor: Visitor, body: Any, status: int, said: str
) -> None:
    before = len(visitor.rasa.sent)
    assert refusal(await visitor.send(body)) == (status, said)
    assert len(visitor.rasa.sent) == before


async def test_the_longest_message_allowed_goes_through(visitor: Visitor) -> None:
    assert (await visitor.send({"texte": "a" * 1000})).status_code == 202
    assert visitor.rasa.sent[-1]["message"] == "a" * 1000


@pytest.mark.parametrize("path", ["messages", "conversation", "reprise", "rappel", "avis"])
@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"", b"[" * 5000, b"1" * 5000])
async def test_a_body_that_is_no_json(visitor: Visitor, path: str, raw: bytes) -> None:
    assert refusal(await visitor.client.post(f"/api/{path}", content=raw)) == (400, "pas_json")


async def test_emoji_html_and_controls_reach_the_guide_as_plain_text(visitor: Visitor) -> None:
    await visitor.send({"texte": "👩‍🏫 <b>oui</b>\x00\x1b[31m"})
    assert visitor.rasa.sent[-1]["message"] == "👩‍🏫 <b>oui</b> [31m"


async def test_a_retry_is_not_sent_twice(visitor: Visitor) -> None:
    before = len(visitor.rasa.sent)
    for _ in range(3):
        assert (await visitor.send({"texte": "une seule fois", "cle": "cle-0001"})).status_code == 202
    assert len(visitor.rasa.sent) == before + 1


@pytest.mark.parametrize("key", ["", "court", "a" * 65, "clé-accentuée", ["cle-0001"], None])
async def test_a_key_that_is_none_does_not_lose_messages(visitor: Visitor, key: Any) -> None:
    for said in ("un", "deux"):
        await visitor.send({"texte": said, "cle": key})
    assert [m["message"] for m in visitor.rasa.sent[-2:]] == ["un", "deux"]


async def test_too_fast_is_said_to_who_is_too_fast_only(tmp_path: Path) -> None:
    async with visiting(tmp_path, messages_per_minute=3) as visitor:
        await visitor.arrive()
        answers = [(await visitor.send({"texte": f"message {i}"})) for i in range(5)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
        assert refusal(answers[-1]) == (429, "trop_vite")
        other = visitor.another()
        await other.arrive()
        assert (await other.send({"texte": "posément"})).status_code == 202


async def test_too_many_conversations_from_an_address_are_refused(tmp_path: Path) -> None:
    async with visiting(tmp_path, conversations_per_minute=2) as visitor:
        for _ in range(2):
            await visitor.arrive()
        assert refusal(await visitor.client.post("/api/conversation", json={})) == (429, "trop_vite")
        await visitor.another("10.0.0.2").arrive()


@pytest.mark.parametrize("fault", ["down", "empty"])
async def test_when_the_guide_does_not_answer_the_person_is_told_and_loses_nothing(
    visitor: Visitor, fault: str
) -> None:
    visitor.rasa.down, visitor.rasa.says = fault == "down", []
    message = {"texte": "mes longues explications", "cle": "cle-0001"}
    events = await visitor.watch(visitor.send(message))
    assert [e["type"] for e in events] == ["message", "attente", "panne", "fin"]
    lost = {"texte": SAID["indisponible"], "cle": "cle-0001", "renvoyer": "mes longues explications"}
    assert events[2]["data"] == lost
    visitor.rasa.down, visitor.rasa.says = False, [QUESTION]
    assert [m["id"] for m in await visitor.history()] == ["ouverture:1"]
    assert [m["id"] for m in await visitor.shown(message)] == ["cle-0001:0", "cle-0001:1"]
    assert [m["id"] for m in await visitor.history()] == ["ouverture:1", "cle-0001:0", "cle-0001:1"]


async def test_a_button_that_got_no_answer_is_not_put_in_the_field(visitor: Visitor) -> None:
    visitor.rasa.says = []
    events = await visitor.watch(visitor.send({"commande": "pourquoi"}))
    assert next(e["data"]["renvoyer"] for e in events if e["type"] == "panne") == ""


async def test_an_opening_that_got_no_answer_is_not_put_in_the_field(visitor: Visitor) -> None:
    async def begin() -> None:
        visitor.door.send(visitor.conversation(), "/demarrer")

    visitor.rasa.down = True
    events = await visitor.watch(begin())
    assert next(e["data"]["renvoyer"] for e in events if e["type"] == "panne") == ""


async def test_the_first_question_is_asked_once_the_guide_is_back(tmp_path: Path) -> None:
    async with visiting(tmp_path) as visitor:
        visitor.rasa.down = True
        await visitor.arrive()
        visitor.rasa.down = False
        assert await visitor.history() == []
        await visitor.settled()
        assert [m["id"] for m in await visitor.history()] == ["ouverture:1"]


# ── whose conversation ──


async def test_a_conversation_that_is_not_ones_own_is_unknown(visitor: Visitor) -> None:
    token = visitor.door.token_of(visitor.conversation())
    stranger = visitor.another()
    for forged in (None, "", "Bearer ", "Bearer web-0123", 'Bearer "web-0123".signature', f"Bearer {token}x", "é"):
        headers = {} if forged is None else {"authorization": forged.encode()}
        for method, path in private_endpoints(visitor.app):
            answer = await stranger.client.request(
                method, path, headers=headers, json={"texte": "bonjour", "utile": True}
            )
            assert refusal(answer) == (404, "conversation_inconnue"), (forged, method, path)
    assert len(visitor.rasa.sent) == 1


async def test_a_token_signed_with_another_secret_opens_nothing(visitor: Visitor) -> None:
    door = visitor.door
    other = Door(
        Settings("http://rasa", "jeton", "autre secret", ""), door.rasa, door.records, door.followup, door.rooms
    )
    visitor.carry(other.token_of(visitor.conversation()))
    assert refusal(await visitor.client.get("/api/conversation")) == (404, "conversation_inconnue")


async def test_a_conversation_that_was_erased_is_unknown(visitor: Visitor) -> None:
    assert (await visitor.client.delete("/api/conversation")).status_code == 200
    for method, path in private_endpoints(visitor.app):
        answer = await visitor.client.request(method, path, json={"texte": "encore"})
        assert refusal(answer) == (404, "conversation_inconnue"), (method, path)


# ── other sites ──


async def test_another_site_is_refused_even_with_the_token(visitor: Visitor) -> None:
    before = len(visitor.rasa.sent)
    for method, path in [*private_endpoints(visitor.app), ("POST", "/api/conversation")]:
        for origin in (ELSEWHERE, "null", f"{SITE}.example", "http://www.cabinet.fr", f"{SITE}:8443"):
            answer = await visitor.client.request(method, path, headers={"origin": origin}, json={"texte": "x"})
            assert refusal(answer) == (403, "autre_origine"), (method, path, origin)
            assert "access-control-allow-origin" not in answer.headers
    assert len(visitor.rasa.sent) == before


@pytest.mark.parametrize("origin", ["http://[", "http://a\u2100b", "x", "://"])
async def test_an_origin_that_is_no_address_is_refused(visitor: Visitor, origin: str) -> None:
    answer = await visitor.client.post("/api/conversation", json={}, headers={"origin": origin.encode()})
    assert refusal(answer) == (403, "autre_origine")


async def test_a_site_of_ours_is_accepted(visitor: Visitor) -> None:
    visitor.client.headers["origin"] = SITE
    for answer in (
        await visitor.client.post("/api/conversation", json={}),
        await visitor.send({"texte": "bonjour"}),
        await visitor.client.get("/api/conversation"),
        await visitor.client.get("/api/reponses"),
        await visitor.client.post("/api/reprise", json={"adresse": f"{SITE}/contact"}),
        await visitor.client.post("/api/avis", json={"utile": True}),
        await visitor.client.delete("/api/conversation"),
    ):
        assert answer.status_code != 403
        assert answer.headers["access-control-allow-origin"] == SITE


@pytest.mark.parametrize("path", WIDGET)
async def test_only_a_site_of_ours_may_load_the_widget(visitor: Visitor, path: str) -> None:
    answer = await visitor.client.get(path, headers={"origin": SITE})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == SITE
    refused = await visitor.client.get(path, headers={"origin": ELSEWHERE})
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_browser_may_ask_whether_a_site_of_ours_may_send_its_token(visitor: Visitor, method: str) -> None:
    asked = {"access-control-request-method": method, "access-control-request-headers": "authorization,content-type"}
    allowed = await visitor.client.options("/api/conversation", headers={"origin": SITE, **asked})
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == SITE
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    assert method in allowed.headers["access-control-allow-methods"]
    refused = await visitor.client.options("/api/conversation", headers={"origin": ELSEWHERE, **asked})
    assert "access-control-allow-origin" not in refused.headers


async def test_only_sites_of_ours_may_frame_the_whole_page(visitor: Visitor) -> None:
    headers = (await visitor.client.get("/conversation")).headers
    assert headers["content-security-policy"].endswith(f"frame-ancestors 'self' {SITE}")
    assert "x-frame-options" not in headers


@pytest.mark.parametrize("path", ["/", "/widget/fenetre.html", "/nulle-part", "/health", "/api/conversation"])
async def test_nothing_else_may_be_framed(visitor: Visitor, path: str) -> None:
    headers = (await visitor.client.get(path)).headers
    assert headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert headers["x-frame-options"] == "DENY"


async def test_without_a_site_of_ours_only_the_door_frames_its_page(tmp_path: Path) -> None:
    async with visiting(tmp_path, origins=()) as visitor:
        policy = (await visitor.client.get("/conversation")).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self'")


# ── erasing ──


def holding(records: Records, conversation: str) -> set[str]:
    """The tables that have something of the conversation."""
    with records._engine.begin() as connection:
        found = {
            kept.name
            for kept in METADATA.tables.values()
            if "conversation" in kept.c
            and connection.execute(select(kept).where(kept.c.conversation == conversation)).first()
        }
        spoken = connection.execute(text("SELECT 1 FROM events WHERE sender_id = :c"), {"c": conversation}).first()
    return found | ({"events"} if spoken else set())


def add_event(records: Records, conversation: str, age: float = 0) -> None:
    """What Rasa keeps of a message that is `age` days old."""
    created = "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, sender_id TEXT, timestamp FLOAT)"
    row = {"s": conversation, "t": time.time() - age * 86_400}
    with records._engine.begin() as connection:
        connection.execute(text(created))
        connection.execute(text("INSERT INTO events (sender_id, timestamp) VALUES (:s, :t)"), row)


EVERY_TABLE = {kept.name for kept in METADATA.tables.values() if "conversation" in kept.c} | {"events"}


async def test_an_answer_that_took_too_long_is_found_and_nothing_is_sent_again(visitor: Visitor) -> None:
    visitor.rasa.late = True
    events = await visitor.watch(visitor.send({"texte": "bonjour", "cle": "cle-du-tour"}))
    assert [event["type"] for event in events] == ["message", "attente", "message", "fin"]
    assert events[2]["data"]["id"] == "cle-du-tour:1"


async def test_nothing_is_written_of_a_conversation_that_was_just_erased(finished: Visitor) -> None:
    door, conversation = finished.door, finished.conversation()
    add_event(door.records, conversation)
    async with door.lock(conversation):
        waiting = [
            asyncio.create_task(finished.client.post(path, json=body))
            for path, body in (("/api/rappel", CALL_BACK), ("/api/avis", {"utile": True}))
        ]
        while len(door.locks._local[conversation]._waiters or ()) < len(waiting):
            await asyncio.sleep(0)
        door.records.erase(conversation)
    for answer in await asyncio.gather(*waiting):
        assert refusal(answer) == (404, "conversation_inconnue")
    assert holding(door.records, conversation) == set()


async def test_erasing_leaves_nothing_in_any_table(finished: Visitor) -> None:
    conversation, records = finished.conversation(), finished.door.records
    add_event(records, conversation)
    reference_of(conversation, finished.door.settings.database_url)
    await finished.client.post("/api/rappel", json=CALL_BACK)
    await finished.client.post("/api/avis", json={"utile": True})
    code = (await finished.client.post("/api/reprise", json={"adresse": "http://porte/"})).json()["code"]
    finished.door.followup.add_note(conversation, 1, "à rappeler")
    finished.door.followup.add_not_understood(conversation, None, "bof", None, None)
    finished.app.state.desk.accounts.note(1, "ouvert", conversation)
    finished.door.rooms.show_on_screen(conversation)
    assert holding(records, conversation) == EVERY_TABLE
    erased = await finished.client.delete("/api/conversation")
    assert erased.json()["texte"] == SAID["effacee"]
    assert holding(records, conversation) == set()
    answer = await finished.client.post("/api/conversation", json={"code": code})
    assert refusal(answer) == (404, "code_inconnu")


async def test_erasing_one_conversation_leaves_the_others(visitor: Visitor) -> None:
    other = visitor.another()
    await other.arrive()
    await visitor.client.delete("/api/conversation")
    assert (await other.send({"texte": "toujours là"})).status_code == 202


async def test_erasing_tells_the_open_pages_and_ends_them(visitor: Visitor) -> None:
    reading = asyncio.create_task(visitor.client.get("/api/evenements"))
    while not visitor.door._pages:
        await asyncio.sleep(0)
    await visitor.send({"texte": "bonjour"})
    await visitor.client.delete("/api/conversation")
    page = await asyncio.wait_for(reading, 5)
    assert page.headers["content-type"].startswith("text/event-stream")
    kinds = [line.removeprefix("event: ") for line in page.text.splitlines() if line.startswith("event: ")]
    assert kinds[0] == "historique" and kinds[-1] == "effacee"
    assert SAID["effacee"] in page.text


async def test_a_page_opened_while_its_conversation_is_erased_is_told(visitor: Visitor) -> None:
    async def page() -> list[str]:
        return [event["event"] async for event in visitor.door.stream(visitor.conversation())]

    _, kinds = await asyncio.gather(visitor.door.erase(visitor.conversation()), asyncio.wait_for(page(), 5))
    assert kinds[-1] == "effacee"


async def test_a_message_that_comes_while_the_conversation_is_erased_is_not_kept(visitor: Visitor) -> None:
    before = len(visitor.rasa.sent)
    erasing = asyncio.create_task(visitor.door.erase(visitor.conversation()))
    visitor.door.send(visitor.conversation(), "encore un mot")
    await erasing
    await visitor.settled()
    assert len(visitor.rasa.sent) == before


def test_purge_erases_only_what_is_old(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/purge.db"
    records = Records(url)
    opened = {"vieille": 50, "muette": 50, "fidele": 50, "recente": 3, "neuve": 0}
    for conversation, age in opened.items():
        records.open(conversation)
        reference_of(conversation, url)
        records.set_opinion(conversation, "a_anticiper", True)
        records.add_code(conversation, f"CODE{conversation}", 3600)
        with records._engine.begin() as connection:
            aged = update(CONVERSATIONS).where(CONVERSATIONS.c.conversation == conversation)
            connection.execute(aged.values(ouverte_le=now() - timedelta(days=age)))
    for conversation, age in (("vieille", 50), ("vieille", 40), ("fidele", 50), ("fidele", 3), ("recente", 3)):
        add_event(records, conversation, age)
    assert records.purge(30) == 2
    kept = {conversation for conversation in opened if holding(records, conversation)}
    assert kept == {"fidele", "recente", "neuve"}
    assert all(records.is_open(conversation) for conversation in kept)
    assert records.purge(30) == 0


def test_purge_keeps_contacts_for_three_years_and_no_longer(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path}/purge.db")
    for conversation, years in (("ancienne", 3.1), ("recente", 2.9)):
        records.add_call_back(conversation, "Léa", "lea@exemple.fr", "")
        with records._engine.begin() as connection:
            aged = update(CALL_BACKS).where(CALL_BACKS.c.conversation == conversation)
            connection.execute(aged.values(consentement_le=now() - timedelta(days=365 * years)))
    records.purge(30)
    assert [len(records.call_backs(c)) for c in ("ancienne", "recente")] == [0, 1]


def test_purge_forgets_codes_that_expired(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path}/purge.db")
    records.add_code("web-un", "AAAA", 0)
    records.add_code("web-deux", "FFFF", 3600)
    records.purge(30)
    with records._engine.begin() as connection:
        assert list(connection.execute(select(CODES.c.conversation)).scalars()) == ["web-deux"]


# ── after the verdict ──


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({**CALL_BACK, "accord": None}, "rappel_sans_accord"),
        ({**CALL_BACK, "accord": False}, "rappel_sans_accord"),
        ({**CALL_BACK, "accord": "oui"}, "rappel_sans_accord"),
        ({**CALL_BACK, "accord": 1}, "rappel_sans_accord"),
        ({**CALL_BACK, "nom": " "}, "rappel_sans_nom"),
        ({**CALL_BACK, "nom": "\x00"}, "rappel_sans_nom"),
        ({**CALL_BACK, "joindre": ""}, "rappel_joindre"),
        ({**CALL_BACK, "joindre": "appelez-moi"}, "rappel_joindre"),
        ({**CALL_BACK, "joindre": "lea@exemple"}, "rappel_joindre"),
        ({**CALL_BACK, "joindre": "- - - - - - -"}, "rappel_joindre"),
        ({**CALL_BACK, "joindre": f"{'a' * 160}@exemple.fr"}, "rappel_joindre"),
        ({**CALL_BACK, "nom": "L" * 121}, "rappel_trop_long"),
        ({**CALL_BACK, "message": "m" * 1001}, "rappel_trop_long"),
    ],
)
async def test_a_call_back_needs_consent_a_name_and_a_way(finished: Visitor, body: dict[str, Any], said: str) -> None:
    assert refusal(await finished.client.post("/api/rappel", json=body)) == (400, said)
    assert finished.door.records.call_backs(finished.conversation()) == []


async def test_every_fault_of_a_call_back_is_said_by_its_field(finished: Visitor) -> None:
    answer = await finished.client.post("/api/rappel", json={"joindre": "12"})
    assert set(answer.json()["fautes"]) == {"nom", "joindre", "accord"}


@pytest.mark.parametrize("reach", ["06 12 34 56 78", "+33 6 12 34 56 78", "0612345678", "lea@exemple.fr"])
async def test_a_call_back_is_kept_once_agreed_to(finished: Visitor, reach: str) -> None:
    answer = await finished.client.post("/api/rappel", json={**CALL_BACK, "joindre": reach})
    assert answer.status_code == 201 and answer.json()["texte"] == SAID["rappel_note"]
    (kept,) = finished.door.records.call_backs(finished.conversation())
    assert (kept["nom"], kept["joindre"], kept["message"]) == ("Léa", reach, "Le matin")
    assert kept["etat"] == "a_rappeler"


@pytest.mark.parametrize(
    "slots",
    [
        {},
        {"reference": REFERENCE},
        COMPLETE,
        {**COMPLETE, "reference": REFERENCE},
        {**COMPLETE, "echeance": None, "verdict": "strategique_maintenant", "reference": REFERENCE},
    ],
    ids=["nothing", "only a reference", "not said yet", "not said yet, with a reference", "an answer taken back"],
)
async def test_before_the_verdict_there_is_neither_document_nor_call_back_nor_opinion(
    visitor: Visitor, slots: dict[str, str | None]
) -> None:
    visitor.rasa.slots = slots
    assert refusal(await visitor.client.get("/api/bilan.pdf")) == (409, "pas_de_verdict")
    assert refusal(await visitor.client.post("/api/rappel", json=CALL_BACK)) == (409, "pas_de_verdict")
    assert refusal(await visitor.client.post("/api/avis", json={"utile": True})) == (409, "pas_de_verdict")
    assert visitor.door.records.call_backs(visitor.conversation()) == []
    assert visitor.door.records.opinion(visitor.conversation()) is None


@pytest.mark.parametrize("useful", ["oui", 1, 0, None, [], {"utile": True}])
async def test_an_opinion_is_yes_or_no(finished: Visitor, useful: Any) -> None:
    assert refusal(await finished.client.post("/api/avis", json={"utile": useful})) == (400, "avis_illisible")
    assert finished.door.records.opinion(finished.conversation()) is None


async def test_the_last_opinion_counts(finished: Visitor) -> None:
    for useful in (True, False):
        answer = await finished.client.post("/api/avis", json={"utile": useful})
        assert answer.status_code == 201 and answer.json()["texte"] == SAID["avis_note"]
        assert finished.door.records.opinion(finished.conversation()) is useful


async def test_the_verdict_can_be_kept_as_a_pdf_named_by_its_reference(finished: Visitor) -> None:
    answer = await finished.client.get("/api/bilan.pdf")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF")
    assert f"bon-moment-{REFERENCE}.pdf" in answer.headers["content-disposition"]


@pytest.mark.parametrize("path", ["/api/conversation", "/api/reponses", "/api/bilan.pdf"])
async def test_what_needs_the_guide_says_that_it_is_away(finished: Visitor, path: str) -> None:
    finished.rasa.down = True
    assert refusal(await finished.client.get(path)) == (503, "attente")


# ── on another device ──


async def resume(visitor: Visitor, page: str = "http://porte/") -> dict[str, Any]:
    answer = await visitor.client.post("/api/reprise", json={"adresse": page})
    assert answer.status_code == 201
    return answer.json()


@pytest.mark.parametrize("page", [f"{SITE}/contact?a=b#haut", "http://porte/conversation"])
async def test_a_code_a_link_and_its_drawing_take_the_conversation_elsewhere(visitor: Visitor, page: str) -> None:
    found = await resume(visitor, page)
    assert found["lien"] == f"{page.partition('#')[0]}#bon-moment={found['code']}"
    assert found["minutes"] == 60
    assert {len(row) for row in found["qr"]} == {len(found["qr"])}
    assert set("".join(found["qr"])) == {"0", "1"} and found["qr"][0].startswith("11111110")


@pytest.mark.parametrize(
    "page",
    [
        ELSEWHERE,
        f"{SITE}.example/",
        f"{SITE}@ailleurs.example/",
        "http://porte@ailleurs.example/",
        "javascript://porte/%0aalert(1)",
        "//porte/",
        "/conversation",
        "",
        None,
        12,
        "http://[",
        "http://a\u2100b/",
        "http://porte/\ud800",
        "http://porte/" + "a" * 500,
    ],
)
async def test_the_link_leads_to_a_page_of_ours_only(visitor: Visitor, page: Any) -> None:
    answer = await visitor.client.post("/api/reprise", content=json.dumps({"adresse": page}))
    assert refusal(answer) == (400, "adresse_inconnue")


async def test_a_code_opens_the_same_conversation_once(visitor: Visitor) -> None:
    await visitor.send({"texte": "je continue sur mon téléphone"})
    code = (await resume(visitor))["code"]
    phone = visitor.another("10.0.0.2")
    answer = await phone.client.post("/api/conversation", json={"code": code})
    assert answer.status_code == 200
    phone.carry(answer.json()["jeton"])
    assert await phone.history() == await visitor.history()
    assert refusal(await phone.client.post("/api/conversation", json={"code": code})) == (404, "code_inconnu")
    assert [m["message"] for m in visitor.rasa.sent].count("/demarrer") == 1


async def test_a_code_works_however_it_is_typed(visitor: Visitor) -> None:
    code = (await resume(visitor))["code"]
    typed = f" {code.lower().replace('-', ' ')} ".replace(" ", "", 1)
    answer = await visitor.another().client.post("/api/conversation", json={"code": typed})
    assert visitor.door._tokens.loads(answer.json()["jeton"]) == visitor.conversation()
    code = (await resume(visitor))["code"]
    answer = await visitor.another().client.post("/api/conversation", json={"code": code.lower().replace("-", "")})
    assert visitor.door._tokens.loads(answer.json()["jeton"]) == visitor.conversation()


async def test_a_new_code_voids_the_former(visitor: Visitor) -> None:
    former, latter = (await resume(visitor))["code"], (await resume(visitor))["code"]
    stranger = visitor.another().client
    assert refusal(await stranger.post("/api/conversation", json={"code": former})) == (404, "code_inconnu")
    assert (await stranger.post("/api/conversation", json={"code": latter})).status_code == 200


async def test_a_code_that_expired_opens_nothing(tmp_path: Path) -> None:
    async with visiting(tmp_path, code_lifetime=0) as visitor:
        await visitor.arrive()
        code = (await resume(visitor))["code"]
        assert refusal(await visitor.client.post("/api/conversation", json={"code": code})) == (404, "code_inconnu")


@pytest.mark.parametrize("code", ["", "AAAA-AAAA-AAAA", "%", "\ud800", 0, False, [], {}])
async def test_a_wrong_code_opens_nothing(visitor: Visitor, code: Any) -> None:
    await resume(visitor)
    answer = await visitor.client.post("/api/conversation", content=json.dumps({"code": code}))
    assert refusal(answer) == (404, "code_inconnu")


async def test_codes_cannot_be_guessed_by_trying_many(tmp_path: Path) -> None:
    async with visiting(tmp_path, codes_per_minute=3) as visitor:
        await visitor.arrive()
        code = (await resume(visitor))["code"]
        thief = visitor.another("10.0.0.66").client
        for _ in range(3):
            assert (await thief.post("/api/conversation", json={"code": "AAAA-AAAA-AAAA"})).status_code == 404
        assert refusal(await thief.post("/api/conversation", json={"code": code})) == (429, "trop_vite")
        elsewhere = visitor.another("10.0.0.2").client
        assert (await elsewhere.post("/api/conversation", json={"code": code})).status_code == 200


# ── how far one is, and the answers ──


async def test_the_summary_says_how_far_one_is(visitor: Visitor) -> None:
    async def seen(slots: dict[str, str | None]) -> dict[str, Any]:
        visitor.rasa.slots = slots
        return (await visitor.client.get("/api/conversation")).json()

    assert await seen({}) == {"repondues": 0, "total": 9, "verdict": None}
    assert await seen({"ambition": "stable"}) == {"repondues": 1, "total": 10, "verdict": None}
    said = title(diagnostiquer(COMPLETE))
    assert await seen({**COMPLETE, "requested_slot": None}) == {"repondues": 9, "total": 9, "verdict": said}


async def test_the_answers_are_shown_with_their_choices_as_the_guide_offers_them(visitor: Visitor) -> None:
    visitor.rasa.slots = {**COMPLETE, "echeance": None}
    shown = (await visitor.client.get("/api/reponses")).json()
    questions = {question["slot"]: question for question in shown["questions"]}
    assert list(questions) == parcours(COMPLETE)
    assert shown["manquantes"] == 1 and shown["verdict"] is None
    assert questions["echeance"]["valeur"] is None and questions["echeance"]["reponse"] is None
    ambition = questions["ambition"]
    assert ambition["valeur"] == "croissance" and ambition["reponse"] in [c["titre"] for c in ambition["choix"]]
    assert {c["valeur"] for c in ambition["choix"]} >= set(VALEURS["ambition"])


async def test_an_answer_can_be_changed_from_the_list_of_answers(finished: Visitor) -> None:
    shown = (await finished.client.get("/api/reponses")).json()
    question = next(q for q in shown["questions"] if q["slot"] == "partenaires")
    choice = next(c for c in question["choix"] if c["valeur"] == "oui")
    said, _ = await finished.shown({"choix": choice["choix"]})
    assert question["nom"] in said["texte"] and choice["titre"] in said["texte"]
    name, _, entities = finished.rasa.sent[-1]["message"].partition("{")
    assert name == "/repondre" and json.loads("{" + entities) == {"partenaires": "oui"}


@pytest.mark.parametrize(
    ("answers", "slot", "value", "questions"),
    [
        (COMPLETE, "ambition", "croissance", 0),
        (COMPLETE, "ambition", "stable", 1),
        (COMPLETE, "statut_qualiopi", "certifie", 0),
        ({"statut_qualiopi": "certifie"}, "statut_qualiopi", "non_certifie", 3),
        ({"financement_actuel": "significatif"}, "financement_actuel", "aucun", 1),
    ],
)
def test_a_choice_says_how_many_questions_it_opens(
    answers: dict[str, str | None], slot: str, value: str, questions: int
) -> None:
    shown = views.answers(answers, lambda payload, _: payload)["questions"]
    choices = next(question["choix"] for question in shown if question["slot"] == slot)
    assert next(choice["questions"] for choice in choices if choice["valeur"] == value) == questions


@given(st.fixed_dictionaries({slot: st.sampled_from([*values, INCONNU, None]) for slot, values in VALEURS.items()}))
@hypothesis_settings(max_examples=60, deadline=None)
def test_each_choice_says_the_verdict_that_it_would_give(answers: dict[str, str | None]) -> None:
    shown = views.answers(answers, lambda payload, _: payload)
    assert [question["slot"] for question in shown["questions"]] == parcours(answers)
    assert shown["manquantes"] == len(manquantes(answers))
    for question in shown["questions"]:
        for choice in question["choix"]:
            changed = {**answers, question["slot"]: choice["valeur"]}
            assert choice["questions"] == len(set(manquantes(changed)) - set(manquantes(answers)))
            if not manquantes(answers) and not choice["questions"]:
                assert choice["verdict"] == title(diagnostiquer(changed))
            else:
                assert choice["verdict"] is None


# ── the history and the card ──


async def test_the_history_shows_what_was_shown_live(visitor: Visitor) -> None:
    opening = await visitor.history()
    live = await visitor.shown({"texte": "sans clé"})
    live += await visitor.shown({"texte": "avec une clé", "cle": "cle-0001"})
    visitor.rasa.says = [{"text": "Bien."}, {"text": "Voici", "custom": {"type": "faq", "faq": "cout"}}, QUESTION]
    live += await visitor.shown({"choix": opening[0]["boutons"][0]["choix"], "cle": "cle-0002"})
    live += await visitor.shown({"commande": "pourquoi"})
    visitor.rasa.says = VERDICT
    live += await visitor.shown({"texte": "le dernier"})
    assert await visitor.history() == opening + live
    assert [m["id"] for m in live if m["id"].startswith("cle-0002")] == [f"cle-0002:{n}" for n in range(4)]
    assert len({m["id"] for m in live}) == len(live)


async def test_a_message_that_nobody_answered_is_not_in_the_history(visitor: Visitor) -> None:
    visitor.rasa.says = []
    await visitor.send({"texte": "perdu"})
    visitor.rasa.says = [QUESTION]
    await visitor.send({"texte": "entendu"})
    assert [m["texte"] for m in await visitor.history()] == ["Question ?", "entendu", "Question ?"]


async def test_a_page_shows_the_history_then_what_comes(visitor: Visitor) -> None:
    stream = visitor.door.stream(visitor.conversation())
    assert (await anext(stream))["event"] == "historique"
    await visitor.send({"texte": "bonjour"})
    assert [(await anext(stream))["event"] for _ in range(4)] == ["message", "attente", "message", "fin"]
    await stream.aclose()


async def test_a_page_opened_while_the_guide_is_away_waits_for_it(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.door.RETRY", 0)
    visitor.rasa.down = True
    stream = visitor.door.stream(visitor.conversation())
    event = await anext(stream)
    assert event["event"] == "panne" and json.loads(event["data"]) == {"texte": SAID["attente"]}
    visitor.rasa.down = False
    assert (await anext(stream))["event"] == "historique"
    await stream.aclose()


async def test_a_verdict_is_one_card_and_hides_what_follows(visitor: Visitor) -> None:
    visitor.rasa.says = VERDICT
    said, noted, verdict = await visitor.shown({"texte": "le dernier"})
    assert (said["texte"], noted["texte"]) == ("le dernier", "C’est noté.")
    assert verdict["boutons"] == [] and "carte" not in noted
    card, diagnostic = verdict["carte"], diagnostiquer(COMPLETE)
    assert (card["verdict"], card["titre"]) == (diagnostic.verdict, title(diagnostic))
    assert card["reference"] == REFERENCE
    assert card["raisons"] and card["parties"] and card["etapes"] and card["pistes"]
    assert (await visitor.history())[-1] == verdict


async def test_a_hypothesis_of_the_card_can_be_tried(visitor: Visitor) -> None:
    visitor.rasa.says = VERDICT
    tracks = (await visitor.shown({"texte": "le dernier"}))[-1]["carte"]["pistes"]
    visitor.rasa.says = [{"text": "Cela changerait."}]
    for track in tracks:
        said, _ = await visitor.shown({"choix": track["choix"]})
        assert said["texte"] == track["question"] and track["hypothese"] in track["question"]
        name, _, entities = visitor.rasa.sent[-1]["message"].partition("{")
        changed = {**COMPLETE, **json.loads("{" + entities)}
        assert name == "/et_si" and title(diagnostiquer(changed)) == track["titre"]


@given(st.fixed_dictionaries({slot: st.sampled_from([*values, INCONNU]) for slot, values in VALEURS.items()}))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_verdict_has_its_card(answers: dict[str, str]) -> None:
    diagnostic = diagnostiquer(answers)
    card = views.card(diagnostic.payload(), lambda payload, _: payload)
    assert card["titre"] == title(diagnostic) and card["phrase"] and card["etapes"]
    assert all(1 <= reason["poids"] <= 3 and reason["nom"] and reason["reponse"] for reason in card["raisons"])
    assert views.verdict_key(answers) == key(diagnostic)


# ── every answer ──


@pytest.mark.parametrize("path", ["/", "/conversation", "/static/site.css", "/widget.js", "/nulle-part", "/api/avis"])
async def test_every_answer_carries_its_headers(visitor: Visitor, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        headers = (await visitor.client.request(method, path)).headers
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_what_is_said_is_never_cached(visitor: Visitor) -> None:
    for path in ("/api/conversation", "/api/reponses"):
        assert (await visitor.client.get(path)).headers["cache-control"] == "no-store"


async def test_a_fault_of_ours_is_said_in_french_to_a_site_of_ours_too(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(conversation: str) -> bool:
        raise OSError("the disk is full")

    monkeypatch.setattr(visitor.door.records, "is_open", broken)
    answer = await visitor.client.get("/api/conversation", headers={"origin": SITE})
    assert refusal(answer) == (500, "panne") and "disk" not in answer.text
    assert answer.headers["access-control-allow-origin"] == SITE
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nulle-part", 404),
        ("GET", "/api/nulle-part", 404),
        ("GET", "/static/", 404),
        ("GET", "/static/nulle-part.css", 404),
        ("GET", "/widget/..%2fapp.py", 404),
        ("GET", "/widget/%00", 404),
        ("GET", "/static/" + "a" * 5000, 404),
        ("GET", "/api/messages", 405),
        ("PUT", "/api/conversation", 405),
        ("POST", "/", 405),
        ("POST", "/widget/widget.css", 405),
    ],
)
async def test_an_unknown_page_or_method_is_said_in_french(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    assert refusal(await visitor.client.request(method, path)) == (status, "page_inconnue")


async def test_health_tells_whether_the_guide_is_there(visitor: Visitor) -> None:
    assert (await visitor.client.get("/health")).json() == {"live": True, "ready": True, "rasa": True, "database": True}
    visitor.rasa.down = True
    answer = await visitor.client.get("/health")
    assert (answer.status_code, answer.json()["ready"], answer.json()["rasa"]) == (503, False, False)
    assert (await visitor.client.get("/health/live")).json() == {"live": True}


# ── settings ──

SECRETS = {"RASA_TOKEN": "jeton", "BON_MOMENT_SECRET": "secret"}


def test_sites_are_read_from_the_environment() -> None:
    listed = "https://www.Cabinet.fr/  http://127.0.0.1:8000\n"
    settings = Settings.from_environment({**SECRETS, "BON_MOMENT_ORIGINES": listed})
    assert settings.origins == ("https://www.cabinet.fr", "http://127.0.0.1:8000")
    assert Settings.from_environment(SECRETS).origins == ()


@pytest.mark.parametrize(
    "word",
    [
        "*",
        "null",
        "cabinet.fr",
        "https://",
        "ftp://cabinet.fr",
        "https://*.cabinet.fr",
        "https://cabinet.fr/page",
        "https://cabinet.fr,https://autre.fr",
        "https://cabinet.fr:port",
        "https://cabinet.fr;script-src",
        "'self'",
    ],
)
def test_a_word_that_is_no_site_is_named(word: str) -> None:
    with pytest.raises(ValueError) as raised:
        origins(f"https://www.cabinet.fr {word}")
    assert raised.value.args == (word.rstrip("/"),)


@pytest.mark.parametrize("missing", SECRETS)
def test_a_secret_that_is_missing_has_no_default(missing: str) -> None:
    with pytest.raises(KeyError):
        Settings.from_environment({name: value for name, value in SECRETS.items() if name != missing})


# ── whatever is sent ──

_fuzzed = hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_words = ["texte", "choix", "commande", "cle", "code", "adresse", "nom", "joindre", "message", "accord", "utile"]
_addresses = st.builds("{}://{}{}".format, st.sampled_from(["http", "https", ""]), st.text(max_size=12), st.text())
_anything = st.characters(codec=None, exclude_categories=())
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(_anything, max_size=40) | _addresses,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_words), inner, max_size=4),
    max_leaves=8,
)
_header = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@given(body=st.dictionaries(st.sampled_from(_words), _json, max_size=5) | _json)
@_fuzzed
async def test_no_json_makes_the_door_fail(tireless: Visitor, body: Any) -> None:
    await tireless.arrive()
    for method, path in [*private_endpoints(tireless.app), ("POST", "/api/conversation")]:
        if method == "POST":
            assert (await tireless.client.post(path, content=json.dumps(body))).status_code < 500
    await tireless.settled()


@given(
    page=_addresses | st.text(_anything).map("http://porte/{}".format) | st.text(_anything).map(f"{SITE}{{}}".format)
)
@_fuzzed
async def test_no_address_makes_the_door_fail(tireless: Visitor, page: str) -> None:
    answer = await tireless.client.post("/api/reprise", content=json.dumps({"adresse": page}))
    assert answer.status_code in (201, 400)


@given(token=_header | _header.map("Bearer {}".format), origin=st.none() | _header | _addresses)
@_fuzzed
async def test_no_token_nor_origin_makes_the_door_fail(tireless: Visitor, token: str, origin: str | None) -> None:
    headers = {"authorization": token.encode("latin-1")}
    if origin is not None:
        headers["origin"] = origin.encode("utf-8")
    for method, path in private_endpoints(tireless.app):
        answer = await tireless.client.request(method, path, headers=headers, json={})
        assert answer.status_code in (403, 404)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
    | st.text("ABCXYZ-!", min_size=1, max_size=12),
    body=st.binary(max_size=60),
)
@_fuzzed
async def test_no_method_makes_the_door_fail(tireless: Visitor, method: str, body: bytes) -> None:
    await tireless.arrive()
    paths = {path for _, path in private_endpoints(tireless.app)} | {"/", "/conversation", "/health", *WIDGET}
    for path in paths | {"/static/site.css", "/static/", "/nulle-part"}:
        # With a token, the events would never end.
        client = tireless.another().client if path == "/api/evenements" else tireless.client
        assert (await client.request(method, path, content=body)).status_code < 500
    await tireless.settled()


# ── the console's sign-in ──


async def test_trying_many_logins_at_once_from_one_address_is_stopped_and_said(visitor: Visitor) -> None:
    async def tries(login: str) -> int:
        form = {"identifiant": login, "mot_de_passe": "x"}
        return (await visitor.client.post("/console/connexion", data=form)).status_code

    same = await asyncio.gather(*(tries("lea") for _ in range(TRIES + 3)))
    assert sorted(same) == [401] * TRIES + [429] * 3
    others = await asyncio.gather(*(tries(f"nul{n}") for n in range(6 * TRIES)))
    assert 429 in others
    assert (await visitor.client.get("/api/conversation")).status_code == 200


# ── several doors ──


async def test_what_another_door_tells_reaches_the_pages_of_this_one(visitor: Visitor) -> None:
    door, conversation = visitor.door, visitor.conversation()
    page: asyncio.Queue[dict[str, Any]] = asyncio.Queue(4)
    door._pages[conversation].add(page)
    door._hear("pages", conversation, "message", {"texte": "d’ailleurs"})
    assert page.get_nowait() == {"type": "message", "data": {"texte": "d’ailleurs"}}
    assert not door.is_watched("web-ailleurs")
    door._hear("presents", "autre", ["web-ailleurs"])
    assert door.is_watched("web-ailleurs") and door.is_watched(conversation)


async def test_a_page_that_does_not_keep_up_is_told_everything_anew(visitor: Visitor) -> None:
    door, conversation = visitor.door, visitor.conversation()
    page: asyncio.Queue[dict[str, Any]] = asyncio.Queue(3)
    door._pages[conversation].add(page)
    for number in range(4):
        await door.publish(conversation, "message", {"id": str(number)})
    assert [page.get_nowait()["type"] for _ in range(page.qsize())] == ["relire"]


async def test_when_another_door_has_died_the_pages_read_everything_anew(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have died in the middle of a turn that a page of this door waits for: the page then sends it again."""
    monkeypatch.setattr("web.door.HERE", 0.01)
    door = visitor.door
    events: list[str] = []

    async def read() -> None:
        async for event in door.stream(visitor.conversation()):
            events.append(event["event"])
            if events.count("historique") == 2:
                return

    door._hear("presents", "autre", [])
    reading = asyncio.create_task(read())
    telling = asyncio.create_task(door._tell_whose_often())
    await asyncio.wait_for(reading, 30)
    telling.cancel()
    assert events.count("historique") == 2 and not door._elsewhere

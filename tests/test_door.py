"""The door alone, with a made-up Rasa behind it: what it lets in, what it refuses and how it says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from web.app import COOKIE, SAID, Door, create_app, joined
from web.records import Records
from web.settings import Settings

BUTTON = {"title": "Grandir", "payload": '/repondre{"ambition":"croissance"}'}


class FakeRasa:
    """Answers as Rasa's REST channel and tracker do; keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answer: list[dict[str, Any]] | None = [{"recipient_id": "x", "text": "Question ?", "buttons": [BUTTON]}]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/tracker"):
            events = [{"event": "user", "text": m["message"], "metadata": m["metadata"]} for m in self.sent]
            return httpx.Response(200, json={"events": events})
        if request.method == "GET":
            return httpx.Response(200, text="Hello from Rasa")
        if self.answer is None:
            raise httpx.ConnectError("down")
        self.sent.append(json.loads(request.content))
        return httpx.Response(200, json=self.answer)


class Visitor:
    """A browser of the door: its client, the Rasa behind, the door itself."""

    def __init__(self, client: httpx.AsyncClient, rasa: FakeRasa, door: Door) -> None:
        self.client, self.rasa, self.door = client, rasa, door

    async def arrive(self) -> None:
        answer = await self.client.post("/api/conversation", json={})
        assert answer.status_code == 201
        await self.settled()

    async def settled(self) -> None:
        while self.door._tasks:
            await asyncio.gather(*self.door._tasks)

    async def send(self, body: Any) -> httpx.Response:
        answer = await self.client.post("/api/messages", json=body)
        await self.settled()
        return answer

    def conversation(self) -> str:
        return str(self.door._cookies.loads(self.client.cookies[COOKIE]))

    async def watch(self, action: Any) -> list[dict[str, Any]]:
        """The events that an open page gets while `action` runs."""
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.door._pages[self.conversation()].add(page)
        await action
        await self.settled()
        return [page.get_nowait() for _ in range(page.qsize())]


@asynccontextmanager
async def visiting(tmp_path: Path, **changes: Any) -> AsyncIterator[Visitor]:
    rasa = FakeRasa()
    settings = Settings("http://rasa", "jeton", "secret", f"sqlite:///{tmp_path}/door.db", **changes)
    behind = httpx.AsyncClient(transport=httpx.MockTransport(rasa), base_url="http://rasa")
    app = create_app(settings, behind)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://porte") as client:
            yield Visitor(client, rasa, app.state.door)


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with visiting(tmp_path) as found:
        await found.arrive()
        yield found


async def test_arriving_opens_a_conversation_that_greets(visitor: Visitor) -> None:
    assert [m["message"] for m in visitor.rasa.sent] == ["/saluer"]
    again = await visitor.client.post("/api/conversation", json={})
    assert again.status_code == 200 and len(visitor.rasa.sent) == 1


async def test_a_typed_message_goes_through_and_its_answer_comes_as_an_event(visitor: Visitor) -> None:
    events = await visitor.watch(visitor.send({"texte": "Nous voulons grandir"}))
    assert [e["type"] for e in events] == ["message", "attente", "message", "fin"]
    assert events[0]["data"] == {"de": "vous", "texte": "Nous voulons grandir"}
    assert events[2]["data"]["texte"] == "Question ?"


async def test_a_button_offered_by_the_bot_is_obeyed(visitor: Visitor) -> None:
    events = await visitor.watch(visitor.send({"texte": "bonjour"}))
    choice = events[2]["data"]["boutons"][0]["choix"]
    assert (await visitor.send({"choix": choice})).status_code == 202
    assert visitor.rasa.sent[-1]["message"] == BUTTON["payload"]
    assert visitor.rasa.sent[-1]["metadata"] == {"titre": "Grandir"}


@pytest.mark.parametrize("choice", ["/restart", "x", '["/restart","x"]', "a.b", "." * 500])
async def test_a_forged_button_is_refused(visitor: Visitor, choice: str) -> None:
    before = len(visitor.rasa.sent)
    answer = await visitor.send({"choix": choice})
    assert answer.status_code == 400 and answer.json()["texte"] == SAID["choix_inconnu"]
    assert len(visitor.rasa.sent) == before


async def test_a_button_of_another_conversation_is_refused(visitor: Visitor) -> None:
    sealed = visitor.door.sealed("web-une-autre", {"text": "", "buttons": [BUTTON]})
    assert (await visitor.send({"choix": sealed["boutons"][0]["choix"]})).status_code == 400


@pytest.mark.parametrize(
    "typed",
    ["/restart", "  /restart", '/repondre{"ambition":"croissance"}', "//session_start", "\u200b/restart", "/ /restart"],
)
async def test_a_typed_slash_is_never_a_payload(visitor: Visitor, typed: str) -> None:
    await visitor.send({"texte": typed})
    assert not visitor.rasa.sent[-1]["message"].strip().startswith("/")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"texte": ""}, 400, "vide"),
        ({"texte": "   \n\t "}, 400, "vide"),
        ({"texte": "\x00\x07"}, 400, "vide"),
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
    answer = await visitor.send(body)
    assert answer.status_code == status and answer.json()["texte"] == SAID[said]
    assert len(visitor.rasa.sent) == before


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"", b"[" * 5000])
async def test_a_body_that_is_no_json(visitor: Visitor, raw: bytes) -> None:
    answer = await visitor.client.post("/api/messages", content=raw)
    assert answer.status_code == 400 and answer.json()["texte"] == SAID["pas_json"]


async def test_emoji_html_and_controls_reach_the_guide_as_plain_text(visitor: Visitor) -> None:
    await visitor.send({"texte": "👩‍🏫 <b>oui</b>\x00\x1b[31m"})
    assert visitor.rasa.sent[-1]["message"] == "👩‍🏫 <b>oui</b> [31m"


@pytest.mark.parametrize("cookie", ["", "n'importe quoi", "web-0123", '"web-0123".signature'])
async def test_a_conversation_that_is_not_ones_own_is_unknown(tmp_path: Path, cookie: str) -> None:
    async with visiting(tmp_path) as stranger:
        headers = {"cookie": f"{COOKIE}={cookie.encode('ascii', 'ignore').decode()}"}
        for method, path in (("POST", "/api/messages"), ("GET", "/api/evenements"), ("DELETE", "/api/conversation")):
            answer = await stranger.client.request(method, path, headers=headers, json={"texte": "bonjour"})
            assert answer.status_code == 404 and answer.json()["texte"] == SAID["conversation_inconnue"]


async def test_another_site_cannot_send_in_ones_name(visitor: Visitor) -> None:
    answer = await visitor.client.post(
        "/api/messages", json={"texte": "x"}, headers={"origin": "https://ailleurs.example"}
    )
    assert answer.status_code == 403 and answer.json()["texte"] == SAID["autre_origine"]


async def test_a_retry_is_not_sent_twice(visitor: Visitor) -> None:
    before = len(visitor.rasa.sent)
    for _ in range(3):
        assert (await visitor.send({"texte": "une seule fois", "cle": "k1"})).status_code == 202
    assert len(visitor.rasa.sent) == before + 1


async def test_too_fast_is_said(tmp_path: Path) -> None:
    async with visiting(tmp_path, messages_per_minute=3) as visitor:
        await visitor.arrive()
        answers = [(await visitor.send({"texte": f"message {i}"})).status_code for i in range(5)]
        assert answers == [202, 202, 202, 429, 429]


@pytest.mark.parametrize("answer", [None, []], ids=["Rasa is down", "the actions are down: an empty answer"])
async def test_when_the_guide_does_not_answer_the_person_is_told_and_loses_nothing(
    visitor: Visitor, answer: Any
) -> None:
    visitor.rasa.answer = answer
    events = await visitor.watch(visitor.send({"texte": "mes longues explications"}))
    failure = next(e for e in events if e["type"] == "panne")
    assert failure["data"] == {"texte": SAID["indisponible"], "renvoyer": "mes longues explications"}


async def test_erasing_leaves_nothing(visitor: Visitor, tmp_path: Path) -> None:
    records = visitor.door.records
    answer = await visitor.client.post("/api/rappel", json={"nom": "Léa", "joindre": "06 12 34 56 78", "accord": True})
    assert answer.status_code == 201
    conversation = visitor.conversation()
    assert records.call_backs(conversation)[0]["etat"] == "a_rappeler"
    erased = await visitor.client.request("DELETE", "/api/conversation", json={})
    assert erased.json()["texte"] == SAID["effacee"]
    assert records.call_backs(conversation) == []
    assert (await visitor.client.post("/api/messages", json={"texte": "encore"})).status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"nom": "Léa", "joindre": "06 12 34 56 78"}, "rappel_sans_accord"),
        ({"nom": "Léa", "joindre": "06 12 34 56 78", "accord": "oui"}, "rappel_sans_accord"),
        ({"nom": " ", "joindre": "06 12 34 56 78", "accord": True}, "rappel_sans_nom"),
        ({"nom": "Léa", "joindre": "appelez-moi", "accord": True}, "rappel_joindre"),
        ({"nom": "L" * 200, "joindre": "lea@exemple.fr", "accord": True}, "rappel_trop_long"),
    ],
)
async def test_a_call_back_needs_consent_a_name_and_a_way(visitor: Visitor, body: dict[str, Any], said: str) -> None:
    answer = await visitor.client.post("/api/rappel", json=body)
    assert answer.status_code == 400 and answer.json()["texte"] == SAID[said]
    assert visitor.door.records.call_backs(visitor.conversation()) == []


async def test_every_answer_carries_its_headers(visitor: Visitor) -> None:
    for path in ("/", "/static/chat.js", "/nulle-part"):
        headers = (await visitor.client.get(path)).headers
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_health_tells_whether_the_guide_is_there(visitor: Visitor) -> None:
    assert (await visitor.client.get("/sante")).json() == {"porte": True, "guide": True}


def test_purge_erases_only_what_is_old(tmp_path: Path) -> None:
    import time

    from sqlalchemy import text

    records = Records(f"sqlite:///{tmp_path}/purge.db")
    with records._engine.begin() as connection:
        connection.execute(text("CREATE TABLE events (id INTEGER PRIMARY KEY, sender_id TEXT, timestamp FLOAT)"))
        for sender, age in (("vieille", 40), ("recente", 3)):
            row = {"s": sender, "t": time.time() - age * 86_400}
            connection.execute(text("INSERT INTO events (sender_id, timestamp) VALUES (:s, :t)"), row)
    assert records.purge(30) == 1
    with records._engine.begin() as connection:
        assert [r[0] for r in connection.execute(text("SELECT sender_id FROM events"))] == ["recente"]


def test_text_and_its_data_are_put_together() -> None:
    messages = [
        {"text": "a"},
        {"custom": {"type": "faq"}},
        {"text": "b", "buttons": []},
        {"custom": {"type": "question"}},
    ]
    assert [(m["text"], m["custom"]["type"]) for m in joined(messages)] == [("a", "faq"), ("b", "question")]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["texte", "choix", "cle", "nom", "accord", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(body=_json)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_json_makes_the_door_fail(tmp_path_factory: pytest.TempPathFactory, body: Any) -> None:
    async with visiting(tmp_path_factory.mktemp("fuzz")) as visitor:
        await visitor.arrive()
        for path in ("/api/messages", "/api/rappel", "/api/conversation"):
            assert (await visitor.client.post(path, json=body)).status_code < 500
        await visitor.settled()

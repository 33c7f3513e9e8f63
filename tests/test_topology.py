"""Several doors, several Rasa and several action servers behind nginx, with PostgreSQL and Redis: one guide for who
talks with it, whichever dies under way.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
import yaml
from itsdangerous.encoding import base64_decode
from rasa.core.brokers.broker import EventBroker
from rasa.core.brokers.kafka import KafkaEventBroker
from rasa.core.utils import AvailableEndpoints
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from actions import texts
from actions.diagnostic import diagnostiquer
from scripts import train
from scripts.topology import NGINX, Topology, free_port, give, missing, nginx, owner
from server import store
from server.store import ConversationStore
from tests import staff
from tests.conftest import Conversation, Guide, Postgres
from tests.staff import COMPLETE, Staff
from web.views import SAID

ENDPOINTS = Path("deploy/endpoints.yml")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PATIENCE = 90.0
"""Seconds after which something that should come is said not to come: a dead process is replaced meanwhile."""
TWO = {"actions": 2, "rasa": 2, "porte": 2}
until = partial(staff.until, seconds=PATIENCE)


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    if absent := missing():
        pytest.skip(f"AUCUN NGINX, REDIS OU POSTGRESQL : les essais à plusieurs n'ont pas eu lieu ({absent})")
    assert train.is_fresh() or train.train(), "no model could be trained"
    settings = {"BON_MOMENT_DATE": "2026-11-23", "BON_MOMENT_OUVERTURES_PAR_MINUTE": "1000"}
    made = Topology(free_port(), TWO, {**os.environ, **settings})
    watching = threading.Thread(target=made.supervisor.watch)
    try:
        failure = made.start()
        assert failure is None, failure
        watching.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def public(topology: Topology) -> str:
    """Where the public finds the guide."""
    return f"http://127.0.0.1:{topology.port}"


def pid(topology: Topology, name: str) -> int:
    """The process of a service that is there now."""
    return topology.supervisor.running[name].process.pid


class Page:
    """A page of the widget: shows what the door tells it, connects again when the line is cut, and sends again what it
    does not find in the history.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.http = httpx.Client(base_url=address, timeout=PATIENCE)
        self.token = token or self.http.post("/api/conversation", json={}).raise_for_status().json()["jeton"]
        self.http.headers["authorization"] = f"Bearer {self.token}"
        self.shown: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.histories = 0
        self._pending: dict[str, str] | None = None
        self._open = True
        threading.Thread(target=self._listen, daemon=True).start()
        until(lambda: self.histories, "a history")

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self.http.close()

    @property
    def conversation(self) -> str:
        """Its name, read from the token, which is signed but not secret."""
        return str(json.loads(base64_decode(self.token.split(".")[0])))

    def _listen(self) -> None:
        while self._open:
            try:
                with self.http.stream("GET", "/api/evenements", timeout=30) as answer:
                    kind = ""
                    for line in answer.raise_for_status().iter_lines():
                        if line.startswith("event:"):
                            kind = line.removeprefix("event:").strip()
                        elif line.startswith("data:"):
                            self._hear(kind, json.loads(line.removeprefix("data:")))
            except (httpx.HTTPError, RuntimeError):
                time.sleep(0.3)

    def _hear(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "historique":
            self.shown = data["messages"]
            self.histories += 1
            if self._pending and not self.answered(self._pending["cle"]):
                self._post(self._pending)
        elif kind == "message":
            self.shown = [*self.shown, data]
        elif kind == "panne":
            self._pending = None
            self.notices = [*self.notices, data]

    def _post(self, body: dict[str, str]) -> httpx.Response | None:
        try:
            return self.http.post("/api/messages", json=body)
        except httpx.TransportError:
            return None

    def send(self, **body: str) -> str:
        """Send a message; its key."""
        self._pending = {**body, "cle": secrets.token_hex(8)}
        answer = self._post(self._pending)
        if answer is not None and answer.status_code not in (202, 502, 503):
            raise AssertionError(answer.text)
        return self._pending["cle"]

    def answered(self, key: str) -> dict[str, Any] | None:
        """What the guide says last in a turn, once it has said it all."""
        said = [m for m in self.shown if m["id"].startswith(f"{key}:") and (m.get("boutons") or "carte" in m)]
        return said[-1] if said else None

    def answer(self, key: str) -> dict[str, Any]:
        return until(lambda: self.answered(key), "an answer")

    def choice(self, question: dict[str, Any]) -> str:
        """The button of the answer of `COMPLETE` to a question."""
        options = texts.options(question["donnees"]["slot"])
        wanted = COMPLETE[question["donnees"]["slot"]]
        place = next(at for at, option in enumerate(options) if texts.value_of(option) == wanted)
        return str(question["boutons"][place]["choix"])

    def question(self) -> dict[str, Any]:
        """The question that is open."""
        return until(lambda: next((m for m in self.shown[-1:] if m.get("boutons")), None), "a question")


def to_the_verdict(page: Page, through: Callable[[int], Page]) -> None:
    """Answer every question, each through a page of choice, until `page` shows the right verdict."""
    said, turn = page.question(), 0
    while "carte" not in said:
        turn += 1
        said = page.answer(through(turn).send(choix=page.choice(said)))
    assert said["carte"]["verdict"] == diagnostiquer(COMPLETE).verdict


def events(topology: Topology, conversation: str) -> list[dict[str, Any]]:
    query = text("SELECT data FROM events WHERE sender_id = :sender ORDER BY id")
    with create_engine(topology.env["DATABASE_URL"], poolclass=NullPool, future=True).connect() as connection:
        return [json.loads(row.data) for row in connection.execute(query, {"sender": conversation})]


def assert_nothing_lost_nor_doubled(topology: Topology, page: Page) -> None:
    """Every message of the visitor was heard once, and a page opened now shows what this one has."""
    kept = events(topology, page.conversation)
    keys = [e["metadata"]["cle"] for e in kept if e["event"] == "user" and "cle" in e["metadata"]]
    assert len(keys) == len(set(keys)) and keys[0] == "ouverture"
    ids = [m["id"] for m in page.shown]
    assert len(ids) == len(set(ids))
    assert {m["id"].split(":")[0] for m in page.shown} == set(keys)
    slots = [e["name"] for e in kept if e["event"] == "slot" and e["name"] in COMPLETE and e["value"] is not None]
    assert set(slots) == set(COMPLETE)
    with Page(str(page.http.base_url), page.token) as again:
        assert [(m["id"], m["texte"]) for m in again.shown] == [(m["id"], m["texte"]) for m in page.shown]


# ── one guide, whatever the door ──


def test_a_conversation_whose_messages_go_to_one_door_then_the_other(topology: Topology) -> None:
    with Page(topology.address("porte", 0)) as first, Page(topology.address("porte", 1), first.token) as second:
        to_the_verdict(first, lambda turn: (first, second)[turn % 2])
        until(lambda: second.shown[-1]["id"] == first.shown[-1]["id"], "the other page has it all")
        assert [m["id"] for m in second.shown] == [m["id"] for m in first.shown]
        assert_nothing_lost_nor_doubled(topology, second)


def test_a_conversation_whose_messages_go_to_one_rasa_then_the_other(topology: Topology) -> None:
    guides = [Guide(topology.address("rasa", at), "", topology.env["RASA_TOKEN"], "", "") for at in (0, 1)]
    conversation = Conversation(guides[0])
    conversation.say("/demarrer")
    for turn, (slot, value) in enumerate(COMPLETE.items()):
        conversation.guide = guides[turn % 2]
        assert (conversation.custom("question") or {})["slot"] == slot
        conversation.choose(value)
    verdict = conversation.custom("verdict") or {}
    assert verdict["verdict"] == diagnostiquer(COMPLETE).verdict
    assert [conversation.slots()] * 2 == [COMPLETE, Conversation(guides[0], conversation.sender).slots()]


def test_the_console_at_one_door_hears_a_conversation_of_the_other(topology: Topology) -> None:
    doors = [topology.address("porte", at) for at in (0, 1)]
    staff = Staff(Guide("", doors[0], "", "", topology.env["DATABASE_URL"]))
    heard: list[dict[str, Any]] = []

    def listen() -> None:
        with staff.http.stream("GET", "/console/evenements") as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and "conversation" in line:
                    heard.append(json.loads(line.removeprefix("data:")))

    threading.Thread(target=listen, daemon=True).start()
    with Page(doors[1]) as page:
        page.answer(page.send(texte="Pas certifiés du tout"))
        until(lambda: [e for e in heard if e.get("conversation") == page.conversation], "the console hears it")
        assert page.conversation in staff.get("/console").text

        # Who takes the conversation over speaks at the other door, and is heard there.
        staff.does(f"/console/c/{page.conversation}/prendre")
        staff.does(f"/console/c/{page.conversation}/message", texte="Bonjour, je suis là.")
        until(lambda: [m for m in page.shown if m["texte"] == "Bonjour, je suis là."], "the page hears the adviser")


def test_two_messages_at_once_through_two_doors_are_answered_one_after_the_other(topology: Topology) -> None:
    with Page(topology.address("porte", 0)) as first, Page(topology.address("porte", 1), first.token) as second:
        first.question()
        with ThreadPoolExecutor() as pool:
            sent = [pool.submit(first.send, texte="pas certifiés"), pool.submit(second.send, texte="0 % de CPF")]
            keys = [one.result() for one in sent]
        for key in keys:
            first.answer(key)
            second.answer(key)
        turns = [m["id"].split(":")[0] for m in first.shown]
        assert [m["id"].split(":")[0] for m in second.shown] == turns
        in_order = list(dict.fromkeys(turns))
        assert turns == sorted(turns, key=in_order.index) and set(in_order) == {"ouverture", *keys}
        slots = {e["name"]: e["value"] for e in events(topology, first.conversation) if e["event"] == "slot"}
        assert (slots["statut_qualiopi"], slots["financement_actuel"]) == ("non_certifie", "aucun")


def test_two_rasa_that_start_at_once_make_their_table_once(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "engine", lambda url: create_engine(url, future=True))  # One each, as two processes.
    together = threading.Barrier(2)

    def start(url: str) -> None:
        together.wait()
        ConversationStore(None, url)

    with postgres.database() as url, ThreadPoolExecutor() as pool:
        list(pool.map(start, [url, url]))


# ── what dies ──


@pytest.mark.parametrize("kind", ["actions", "rasa"])
def test_one_of_two_dies_while_it_holds_a_turn(topology: Topology, public: str, kind: str) -> None:
    with Page(public) as page, Page(public) as other:
        for one in (page, other):
            one.answer(one.send(choix=one.choice(one.question())))
        dying = pid(topology, f"{kind}-1")
        os.kill(dying, signal.SIGSTOP)  # It takes what it is given, and does nothing.
        keys = [(one, one.send(choix=one.choice(one.question()))) for one in (page, other)]
        until(lambda: any(one.answered(key) for one, key in keys), "the other one answers")
        os.kill(dying, signal.SIGKILL)
        for one, key in keys:
            one.answer(key)
            to_the_verdict(one, lambda _, one=one: one)
            assert_nothing_lost_nor_doubled(topology, one)
            assert not one.notices


def test_each_door_dies_in_turn_with_pages_and_messages(topology: Topology, public: str) -> None:
    with Page(public) as page, Page(public) as other:
        for at in (0, 1):
            keys = [(one, one.send(choix=one.choice(one.question()))) for one in (page, other)]
            os.kill(pid(topology, f"porte-{at + 1}"), signal.SIGKILL)
            for one, key in keys:
                one.answer(key)
            until(lambda at=at: answers(topology.address("porte", at) + "/"), "it is there again")
        for one in (page, other):
            to_the_verdict(one, lambda _, one=one: one)
            assert_nothing_lost_nor_doubled(topology, one)
            assert one.histories > 1 and not one.notices


@pytest.mark.parametrize("name", ["redis", "postgresql"])
def test_what_they_share_stops_and_comes_back(topology: Topology, public: str, name: str) -> None:
    with Page(public) as page, Page(public, page.token) as other:
        question = page.question()
        topology.end(name, signal.SIGINT)
        body = {"choix": page.choice(question), "cle": secrets.token_hex(8)}
        answer = page.http.post("/api/messages", json=body)
        said = SAID["indisponible"] if answer.status_code == 202 else answer.json()["texte"]
        assert said in SAID.values()
        if answer.status_code == 202:
            until(lambda: [n for n in page.notices if n["texte"] == said], "the page is told")
        assert topology.begin(name)
        said = until(lambda: sent_again(page, body["choix"]), "the guide is back")
        to_the_verdict(page, lambda _: page)
        assert_nothing_lost_nor_doubled(topology, page)
        until(lambda: [m["id"] for m in other.shown] == [m["id"] for m in page.shown], "the other page has it all")


def sent_again(page: Page, choice: str) -> dict[str, Any] | None:
    """Send a choice as a visitor does who has been told to: its answer, or None where it fails again."""
    page.notices = []
    key = secrets.token_hex(8)
    answer = page.http.post("/api/messages", json={"choix": choice, "cle": key})
    if answer.status_code != 202:
        return None
    until(lambda: page.answered(key) or page.notices, "an answer or a refusal")
    return page.answered(key)


# ── nginx alone, in front of a door that says what it was asked ──


class Echo(BaseHTTPRequestHandler):
    """Answers the headers of what it is asked."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass
class Front:
    """A running nginx: the ports of its two kinds of line, the door behind it."""

    http: str
    https: str
    door: ThreadingHTTPServer

    def client(self, **given: Any) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.https}", verify=False, timeout=PATIENCE, **given)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    if absent := missing():
        pytest.skip(f"AUCUN NGINX, REDIS OU POSTGRESQL : les essais à plusieurs n'ont pas eu lieu ({absent})")
    folder = Path(tempfile.mkdtemp(prefix="bon-moment-"))
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=essai"]
    certificate += ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    subprocess.run(certificate, check=True, capture_output=True)
    door = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    ports = {name: free_port() for name in ("HTTP", "HTTPS", "RASAS", "ACTIONS")}
    behind = f"server 127.0.0.1:{door.server_port};"
    marks = {f"ECOUTE_{name}": f"127.0.0.1:{port}" for name, port in ports.items()}
    marks |= {"PORTES": behind, "RASAS": behind, "ACTIONS": behind}
    marks |= {"REQUETES_PAR_SECONDE": "20", "MANDATAIRE": "127.0.0.3", "CERTIFICATS": str(folder)}
    command = nginx(folder / "nginx", marks, "https")
    give(folder)
    running = subprocess.Popen(command, **owner())
    try:
        made = Front(ports["HTTP"], ports["HTTPS"], door)
        until(lambda: answers(f"http://127.0.0.1:{made.http}/"), "nginx answers")
        yield made
    finally:
        running.terminate()
        running.wait()
        shutil.rmtree(folder)


def answers(address: str) -> bool:
    try:
        return bool(httpx.get(address))
    except httpx.HTTPError:
        return False


def test_what_arrives_in_clear_is_sent_to_the_encrypted_port_and_told_to_stay_there(front: Front) -> None:
    moved = httpx.get(f"http://127.0.0.1:{front.http}/conversation?a=b")
    assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/conversation?a=b")
    with front.client() as client:
        assert client.get("/").headers["strict-transport-security"] == "max-age=31536000"


def test_the_door_is_told_the_real_address_whatever_the_client_pretends(front: Front) -> None:
    pretended = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "Host": "guide.test"}
    with front.client() as client:
        told = client.get("/", headers=pretended).json()
    assert (told["x-forwarded-for"], told["x-forwarded-proto"], told["host"]) == ("127.0.0.1", "https", "guide.test")


def test_another_proxy_in_front_is_believed_of_who_asks_and_whether_it_is_encrypted(front: Front) -> None:
    pretended = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    with front.client(transport=httpx.HTTPTransport(local_address="127.0.0.3", verify=False)) as proxy:
        clear = proxy.get("/", headers=pretended)
        told = clear.json()
        assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("203.0.113.9", "http")
        assert "strict-transport-security" not in clear.headers
        encrypted = proxy.get("/", headers={**pretended, "X-Forwarded-Proto": "https"})
        assert encrypted.json()["x-forwarded-proto"] == "https" and encrypted.headers["strict-transport-security"]


def test_measures_are_not_for_the_public(front: Front) -> None:
    with front.client() as client:
        assert client.get("/metrics").status_code == 404


def test_what_is_too_large_is_refused_in_french(front: Front) -> None:
    with front.client() as client:
        answer = client.post("/api/messages", content=b"x" * 70_000)
    assert (answer.status_code, answer.json()["erreur"]) == (413, "trop_gros")
    assert answer.json()["texte"].startswith("C’est trop long")


def test_a_flood_from_one_address_is_refused_and_another_is_served(front: Front) -> None:
    with front.client() as flood, ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: flood.get("/api/conversation"), range(400)))
        refused = [answer for answer in found if answer.status_code == 429]
        assert refused and refused[0].headers["retry-after"] == "5"
        assert refused[0].json()["texte"].startswith("Beaucoup de demandes")
        assert refused[0].headers["strict-transport-security"]
        with front.client(transport=httpx.HTTPTransport(local_address="127.0.0.9", verify=False)) as other:
            assert other.get("/api/conversation").status_code == 200


def test_a_client_that_dribbles_is_sent_away(front: Front) -> None:
    begun = [b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST /api/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"]
    context = ssl._create_unverified_context()
    lines = [context.wrap_socket(socket.create_connection(("127.0.0.1", int(front.https)), PATIENCE)) for _ in begun]
    for line, sent in zip(lines, begun, strict=True):
        line.sendall(sent)
    for line in lines:
        assert b"200 OK" not in line.recv(1_000)  # Nothing, or 408: the line is closed.
        assert line.recv(1_000) == b""
        line.close()


def test_without_any_door_the_public_reads_a_french_sentence(front: Front) -> None:
    front.door.server_close()
    front.door.shutdown()
    with front.client() as client:
        said = client.get("/api/conversation")
        shown = client.get("/conversation", headers={"Accept": "text/html"})
    assert (said.status_code, said.json()["erreur"]) == (503, "indisponible")
    assert shown.headers["content-type"].startswith("text/html")
    assert "Le guide n’est pas joignable" in said.json()["texte"] and said.json()["texte"] in shown.text


# ── the events, for another system ──


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[dict[str, str]]:
    """A running RabbitMQ: the variables of `deploy/endpoints.yml`."""
    if not RABBITMQ.exists():
        pytest.skip("AUCUN RABBITMQ : l'essai des événements n'a pas eu lieu")
    folder = Path(tempfile.mkdtemp(prefix="bon-moment-"))
    port = free_port()
    node = {
        "RABBITMQ_NODENAME": f"essai{port}@localhost",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": f"{folder}/base",
        "RABBITMQ_LOG_BASE": f"{folder}/journaux",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/aucun",
        "HOME": str(folder),
        "PATH": f"{os.defpath}:/usr/sbin:/sbin",
    }
    give(folder)
    with (folder / "sortie").open("wb") as log:
        running = subprocess.Popen(
            [str(RABBITMQ)], cwd=folder, env=node, stdout=log, stderr=log, start_new_session=True, **owner()
        )
    try:
        until(lambda: running.poll() is not None or b"completed with" in (folder / "sortie").read_bytes(), "RabbitMQ")
        assert running.poll() is None, (folder / "sortie").read_text()
        yield {
            "RABBITMQ_HOTE": "127.0.0.1",
            "RABBITMQ_PORT": port,
            "RABBITMQ_UTILISATEUR": "guest",
            "RABBITMQ_MOT_DE_PASSE": "guest",
        }
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait()
        shutil.rmtree(folder, ignore_errors=True)


def with_broker(kind: str) -> str:
    """`deploy/endpoints.yml`, the block of one broker freed from its marks of comment."""
    blocks = re.findall(r"(?:^# {0,3}[a-z_]+:.*\n)+", ENDPOINTS.read_text("utf-8"), re.MULTILINE)
    (block,) = [block for block in blocks if f"type: {kind}" in block]
    return ENDPOINTS.read_text("utf-8") + "".join(line.removeprefix("# ") + "\n" for line in block.splitlines())


async def test_another_system_gets_the_events(
    rabbitmq: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{tmp_path}/essai.db"
    given = {**rabbitmq, "ACTIONS_URL": "http://127.0.0.1:1/webhook", "DATABASE_URL": database, "REDIS_URL": ""}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "endpoints.yml"
    file.write_text(with_broker("pika"), "utf-8")
    broker = await EventBroker.create(AvailableEndpoints.read_endpoints(str(file)).event_broker)
    assert broker is not None
    domain = Domain.empty()
    tracker = DialogueStateTracker.from_events("web-essai", [UserUttered("Pas certifiés")], domain=domain)
    await ConversationStore(domain, database, broker).save(tracker)
    login = {"login": rabbitmq["RABBITMQ_UTILISATEUR"], "password": rabbitmq["RABBITMQ_MOT_DE_PASSE"]}
    async with await aio_pika.connect(host="127.0.0.1", port=int(rabbitmq["RABBITMQ_PORT"]), **login) as line:
        queue = await (await line.channel()).get_queue("bon-moment")
        async with queue.iterator(timeout=PATIENCE) as messages:
            async for message in messages:
                event = json.loads(message.body)
                assert (event["sender_id"], event["event"], event["text"]) == ("web-essai", "user", "Pas certifiés")
                break
    await broker.close()


def test_the_block_for_kafka_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = yaml.safe_load(with_broker("kafka"))["event_broker"]
    assert set(found) <= {"type", *inspect.signature(KafkaEventBroker.__init__).parameters}


# ── the files for Docker, of which no engine is needed to read them ──


def test_only_nginx_can_be_reached_from_outside_and_knows_all_it_has_to() -> None:
    compose = yaml.safe_load(Path("deploy/compose.yml").read_text("utf-8"))
    services = compose["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"nginx"}
    assert {name for name, service in services.items() if service["networks"] != ["interne"]} == {"nginx"}
    assert compose["networks"]["interne"] == {"internal": True}
    ours = [service for service in services.values() if service["image"] == "bon-moment"]
    built = {"context": "..", "dockerfile": "deploy/Dockerfile"}
    assert len(ours) == 6 and all(service["build"] == built for service in ours)
    assert "auth-token" not in str(services)
    given = services["nginx"]["environment"]
    for template in NGINX.glob("*.template"):
        assert set(re.findall(r"\$\{(\w+)\}", template.read_text("utf-8"))) <= set(given)
    for kind, list_of in (("porte", "PORTES"), ("rasa", "RASAS"), ("actions", "ACTIONS")):
        listed = re.findall(r"server (\S+):", given[list_of])
        assert listed == [name for name in services if name.startswith(f"{kind}-")] and len(listed) == 2


def test_every_secret_of_compose_is_in_the_example_without_a_value() -> None:
    example = dict(
        line.split("=", 1) for line in Path("deploy/exemple.env").read_text("utf-8").splitlines() if "=" in line
    )
    needed = set(re.findall(r"\$\{(\w+):\?\}", Path("deploy/compose.yml").read_text("utf-8")))
    assert needed and all(example[name] == "" for name in needed)


def test_several_machines_differ_from_one_in_no_endpoint() -> None:
    alone, several = (yaml.safe_load(Path(file).read_text("utf-8")) for file in ("endpoints.yml", ENDPOINTS))
    assert several == alone

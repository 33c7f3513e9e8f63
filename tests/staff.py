"""A visitor and one of the staff, each as their browser talks with the door, for the tests that need them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
from itsdangerous.encoding import base64_decode

from tests.conftest import Guide
from web.accounts import Accounts

PASSWORD = "une longue phrase de passe"
COMPLETE = {
    "statut_qualiopi": "non_certifie",
    "financement_actuel": "aucun",
    "financement_vise": "oui",
    "ambition": "croissance",
    "partenaires": "non",
    "motivation": "projet",
    "maturite": "solide",
    "capacite": "disponible",
    "echeance": "lointaine",
}
"""Answers to every question asked; `cadre_stable` is not."""
SLOW = 20.0
"""Seconds that the guide may take on a busy machine."""


def until(true: Callable[[], Any], what: str, seconds: float = SLOW) -> Any:
    """Wait for a condition: what it gives, once it gives something."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


def account(guide: Guide, name: str = "Léa Martin", role: str = "conseiller") -> str:
    """A new account's login."""
    login = f"c{secrets.token_hex(5)}"
    Accounts(guide.database).create(login, name, role, PASSWORD)
    return login


@dataclass
class Staff:
    """One of the staff, signed in to the console."""

    HOME: ClassVar[str] = "/console"
    ROLE: ClassVar[str] = "conseiller"
    guide: Guide
    name: str = "Léa Martin"
    role: str = "conseiller"
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    csrf: str = ""

    def __post_init__(self) -> None:
        self.login = account(self.guide, self.name, self.role)
        self.http.base_url = httpx.URL(self.guide.door)
        self.http.headers["accept"] = "application/json"
        if self.role == self.ROLE:
            answer = self.sign_in()
            assert answer.status_code == 200, answer.text
            self.csrf = answer.json()["csrf"]

    def sign_in(self, password: str = PASSWORD) -> httpx.Response:
        form = {"identifiant": self.login, "mot_de_passe": password}
        return self.http.post(f"{self.HOME}/connexion", data=form)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, headers={"accept": "text/html"})

    def text(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return plain(answer.text)

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.http.post(path, data=form, headers={"x-csrf-token": self.csrf})

    def does(self, path: str, **form: str) -> dict[str, Any]:
        answer = self.post(path, **form)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def call(self) -> str:
        """Begin a call: its conversation."""
        return str(self.does("/console/appel")["aller"].split("/")[3])


@dataclass
class Trainer(Staff):
    """A trainer, signed in to the workshop."""

    HOME: ClassVar[str] = "/atelier"
    ROLE: ClassVar[str] = "formateur"
    name: str = "Inès Petit"
    role: str = "formateur"

    def demonstration(self, **form: str) -> dict[str, Any]:
        """Begin one, or fork one: what the screen gets."""
        answer = self.post("/atelier/demonstrations", **form)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def turn(self, demonstration: str, **form: str) -> dict[str, Any]:
        """One turn of a demonstration."""
        return self.does(f"/atelier/demonstrations/{demonstration}/messages", **form)

    def room(self) -> str:
        """Open a room: its code."""
        return str(self.does("/atelier/salles")["aller"].split("/")[-1])

    def screen(self, code: str) -> dict[str, Any]:
        """What the screen of a room opened now would show; empty once it has ended."""
        with self.http.stream("GET", f"/atelier/salles/{code}/evenements") as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    return dict(json.loads(line.removeprefix("data:")))
        raise AssertionError("the stream ended without a state")


@dataclass
class Visitor:
    """A visitor of the site, who chats."""

    guide: Guide
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))
    choices: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http.base_url = httpx.URL(self.guide.door)

    def arrive(self, code: str | None = None) -> Visitor:
        answer = self.http.post("/api/conversation", json={"code": code} if code else {})
        assert answer.is_success, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['jeton']}"
        return self

    def join(self, code: str) -> Visitor:
        """Join the room of this code, as a telephone does."""
        answer = self.http.post("/api/salle", json={"code": code})
        assert answer.status_code == 201, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['jeton']}"
        return self

    @property
    def conversation(self) -> str:
        """Its name, read from the token, which is signed but not secret."""
        token = self.http.headers["authorization"].removeprefix("Bearer ")
        return str(json.loads(base64_decode(token.split(".")[0])))

    def history(self) -> dict[str, Any]:
        """What a page opened now would show."""
        with self.http.stream("GET", "/api/evenements") as answer:
            assert answer.status_code == 200, answer.read()
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                if line.startswith("data:") and kind in ("historique", "effacee"):
                    return {"messages": [], **json.loads(line.removeprefix("data:"))}
        raise AssertionError("the stream ended without a history")

    def messages(self) -> list[dict[str, Any]]:
        found = self.history()["messages"]
        for message in found:
            for button in message.get("boutons", []):
                self.choices[plain(button["titre"])] = button["choix"]
        return found

    def send(self, **body: str) -> str:
        key = secrets.token_hex(8)
        answer = self.http.post("/api/messages", json={**body, "cle": key})
        assert answer.status_code == 202, answer.text
        return key

    def say(self, text: str, answered: bool = True) -> list[dict[str, Any]]:
        """Type something; wait for the answer, or until it has arrived."""
        return self._sent(self.send(texte=text), answered)

    def choose(self, title: str, answered: bool = True) -> list[dict[str, Any]]:
        """Press a button that was offered, named by how its title begins."""
        self.messages()
        choice = next(choice for offered, choice in reversed(self.choices.items()) if offered.startswith(title))
        return self._sent(self.send(choix=choice), answered)

    def _sent(self, key: str, answered: bool) -> list[dict[str, Any]]:
        ends = [f"{key}:1"] if answered else [f"{key}:0"]
        return until(lambda: [m for m in self.messages() if m["id"] in ends] and self.messages(), "an answer")

    def sees(self, words: str) -> list[dict[str, Any]]:
        """Wait until the last message says this."""
        return until(lambda: [m for m in self.messages()[-1:] if words in plain(m["texte"])] and self.messages(), words)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("’", "'").replace("&#39;", "'").replace("&nbsp;", " ")

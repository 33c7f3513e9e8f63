"""Visitors by the hundred (`make charge`), each holding a whole conversation through the door as a persona of the
workshop would: open, listen, answer, until the verdict. Prints figures, and judges none.

Each visitor comes from an address of its own (127.0.0.2, 127.0.0.3 …), so that the limits for one address hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from locust import User, task  # First: it puts its own sockets in the place of Python's.
from locust.env import Environment

# isort: split
import httpx

from actions import texts
from scripts.texts import say, sentence
from web.stage import personas

PATIENCE = 60.0
"""Seconds after which a turn counts as failed."""
PEOPLE = personas()[0]


class Failed(Exception):
    """A turn that got no answer; its text says what came instead."""


def own_address(number: int) -> str:
    """An address of this machine, another one for each number."""
    return f"127.0.{number // 250}.{2 + number % 250}"


class Visitor(User):
    """Holds one conversation after the other, without a pause but that of `pause` seconds before each message."""

    pause = 0.0
    verdicts = 0
    unexpected = 0
    born = 0

    def on_start(self) -> None:
        Visitor.born += 1
        transport = httpx.HTTPTransport(local_address=own_address(Visitor.born), retries=2)
        self.http = httpx.Client(base_url=str(self.host), timeout=PATIENCE, transport=transport)
        self.chance = random.Random(Visitor.born)

    @task
    def conversation(self) -> None:
        """One persona, from the first question to the verdict."""
        person = self.chance.choice(PEOPLE)
        self.http.headers.pop("authorization", None)
        try:
            opened = self.http.post("/api/conversation", json={}).raise_for_status().json()
            self.http.headers["authorization"] = f"Bearer {opened['jeton']}"
            with self.http.stream("GET", "/api/evenements") as page:
                told = events(page)
                question = opening(told)
                for number, step in enumerate(person["messages"]):
                    time.sleep(self.pause)
                    question = self.turn(told, question, step, f"charge-{number:02}") or question
        except (httpx.HTTPError, Failed, StopIteration) as error:
            self.environment.events.request.fire(
                request_type="conversation", name="échec", response_time=0, response_length=0, exception=error
            )
            time.sleep(1)
            return
        verdict = question.get("carte", {}).get("verdict")
        Visitor.verdicts += verdict is not None
        Visitor.unexpected += verdict is not None and verdict != person["verdict"]

    def turn(
        self, told: Iterator[tuple[str, dict[str, Any]]], question: dict[str, Any], step: dict[str, str], key: str
    ) -> dict[str, Any] | None:
        """Send a step and wait for the end of the turn: what the guide says last that can be answered.

        Raises:
            Failed: the door says that the message was lost, or does not take it.
            httpx.HTTPError: the line is cut.
        """
        begun, last = time.perf_counter(), None
        body = {"texte": step["texte"]} if "texte" in step else {"choix": pressed(question, step["valeur"])}
        failure: Exception | None = None
        try:
            answer = self.http.post("/api/messages", json={**body, "cle": key})
            if answer.status_code != 202:
                raise Failed(f"HTTP {answer.status_code}")
            for kind, data in told:
                if kind == "message" and (data.get("boutons") or "carte" in data):
                    last = data
                if kind == "panne":
                    raise Failed(str(data.get("texte")))
                if kind == "fin" and data.get("cle") == key:
                    break
        except (httpx.HTTPError, Failed) as error:
            failure = error
            raise
        finally:
            self.environment.events.request.fire(
                request_type="tour",
                name="texte" if "texte" in step else "bouton",
                response_time=1000 * (time.perf_counter() - begun),
                response_length=0,
                exception=failure,
            )
        return last


def events(page: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the door tells a page, event by event."""
    kind = ""
    for line in page.raise_for_status().iter_lines():
        if line.startswith("event:"):
            kind = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield kind, json.loads(line.removeprefix("data:"))


def opening(told: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The first question."""
    for kind, data in told:
        for message in data["messages"] if kind == "historique" else [data] if kind == "message" else []:
            if message.get("boutons"):
                return dict(message)
    raise Failed("flux")


def pressed(question: dict[str, Any], value: str) -> str:
    """The button of a value of the open question.

    Raises:
        Failed: it has no such button.
    """
    wanted = texts.titles(str(question.get("donnees", {}).get("slot")))[value]
    for button in question["boutons"]:
        if button["titre"] == wanted:
            return str(button["choix"])
    raise Failed(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visiteurs", type=int, default=16)
    parser.add_argument("--duree", type=int, default=60, help="seconds")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds before each message")
    parser.add_argument("--adresse", default=f"http://127.0.0.1:{os.environ.get('BON_MOMENT_PORT', '8080')}")
    options = parser.parse_args()
    Visitor.pause = options.pause
    environment = Environment(user_classes=[Visitor], host=options.adresse)
    runner = environment.create_local_runner()
    say("charge_debut", visiteurs=str(options.visiteurs), secondes=str(options.duree), adresse=options.adresse)
    runner.start(options.visiteurs, spawn_rate=max(1, options.visiteurs / 5))
    time.sleep(options.duree)
    total, stats = environment.stats.total, dict(environment.stats.entries)
    runner.quit()
    for name in ("bouton", "texte"):
        if entry := stats.get((name, "tour")):
            p50, p95 = (f"{entry.get_response_time_percentile(share):.0f}" for share in (0.5, 0.95))
            per_second = f"{entry.num_requests / options.duree:.1f}"
            say("charge_ligne", genre=f"{name:6}", tours=str(entry.num_requests), cadence=per_second, p50=p50, p95=p95)
    say(
        "charge_fin",
        tours=f"{sum(e.num_requests for (_, kind), e in stats.items() if kind == 'tour') / options.duree:.1f}",
        verdicts=str(Visitor.verdicts),
        inattendus=str(Visitor.unexpected),
        echecs=str(total.num_failures),
    )
    for fault in sorted(environment.stats.errors.values(), key=lambda fault: -fault.occurrences)[:5]:
        print(sentence("charge_echec", nombre=str(fault.occurrences), faute=str(fault.error)[:200]))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # The visitors still under way are left where they are, without a word.

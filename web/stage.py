"""The trainer's screen: conversations held on it with the guide itself, each turn with what is under its hood, and the
personas that play them.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import yaml
from starlette.concurrency import run_in_threadpool

from actions import texts
from actions.diagnostic import SLOTS, VERDICTS, est_valeur
from web import views
from web.door import OPENING, Door, Refused
from web.hood import hood
from web.tables import WORKSHOP
from web.views import SAID

PERSONAS = Path(__file__).parent / "personas"
SHOWN = ("texte", "boutons")


class Stage:
    """The demonstrations. A turn is answered to whoever asked, with nothing published."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def begin(self) -> tuple[str, dict[str, Any]]:
        """A new demonstration and its first turn, the opening question.

        Raises:
            Refused: the guide does not answer.
        """
        conversation = await self._new()
        return conversation, await self.say(conversation, OPENING)

    async def _new(self) -> str:
        conversation = WORKSHOP + secrets.token_hex(16)
        await run_in_threadpool(self.door.rooms.show_on_screen, conversation)
        return conversation

    async def must_exist(self, conversation: str) -> None:
        """Refuse what is no demonstration.

        Raises:
            Refused: it is none, or was erased.
        """
        if not await run_in_threadpool(self.door.rooms.is_demonstration, conversation):
            raise Refused(404, "demonstration_absente")

    async def say(self, conversation: str, text: str, title: str | None = None) -> dict[str, Any]:
        """One turn: what was said (`title` where a button was pressed), what the guide answers, what is under the hood.

        Raises:
            Refused: the guide does not answer, or the demonstration was erased meanwhile.
        """
        async with self.door.lock(conversation):
            await self.must_exist(conversation)
            before, _ = await self.door.answers(conversation)
            raw = (await self.door.ask(conversation, text, title, secrets.token_hex(8))).messages
            found = await self.door.tracker(conversation)
            if not raw or found is None:
                raise Refused(503, "guide_muet")
        given = views.known(found.get("slots") or {})
        return {
            "vous": title or (None if text.startswith("/") else text),
            "bouton": title is not None,
            "guide": [
                {**{name: shown[name] for name in SHOWN}, "type": shown["donnees"].get("type")}
                for shown in views.turn("", views.in_workshop(raw), self.door.seal(conversation))
            ],
            "capot": hood(given, found.get("latest_message") or {}, before),
        }

    async def press(self, conversation: str, value: str) -> dict[str, Any]:
        """Press the choice of that value of the open question.

        Raises:
            Refused: no question is open, or it has no such choice.
        """
        found = await self.door.tracker(conversation)
        if found is None:
            raise Refused(503, "guide_muet")
        slot = str((found.get("slots") or {}).get("requested_slot") or "")
        if slot not in SLOTS or not est_valeur(slot, value):
            raise Refused(409, "valeur_absente")
        payload = f"/repondre{json.dumps({slot: value})}"
        return await self.say(conversation, payload, texts.titles(slot)[value])

    async def fork(self, conversation: str, turns: int) -> str:
        """A new demonstration that stands where this one stood after its first `turns`, the opening included.

        Raises:
            Refused: the guide does not answer.
        """
        found = await self.door.tracker(conversation, "ALL")
        if found is None:
            raise Refused(503, "guide_muet")
        kept, seen = list[dict[str, Any]](), 0
        for event in found.get("events") or []:
            seen += event.get("event") == "user"
            if seen > turns:
                break
            if seen:  # Rasa begins a session before the first message: it does so for the copy too.
                kept.append({name: value for name, value in event.items() if name != "timestamp"})
        copy = await self._new()
        # Rasa reads a conversation again from the moment its session began: what is copied has to come after.
        for events in ([{"event": "action", "name": "action_listen"}], kept):
            if not await self.door.append(copy, events):
                raise Refused(503, "guide_muet")
        return copy


# ── personas ──


def personas() -> tuple[list[dict[str, Any]], list[str]]:
    """The personas of `web/personas/`, and what is wrong with the files that cannot be played."""
    found, faults = list[dict[str, Any]](), list[str]()
    for file in sorted(PERSONAS.glob("*.yml")):
        try:
            found.append(_persona(file))
        except ValueError as error:
            faults.append(SAID["persona_illisible"].format(fichier=file.name, faute=error))
    return found, faults


def _persona(file: Path) -> dict[str, Any]:
    """A persona, read from its file.

    Raises:
        ValueError: it cannot be played; the argument says why, in French.
    """
    try:
        read = yaml.safe_load(file.read_text("utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(SAID["persona_yaml"].format(ligne=line)) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ValueError(SAID["persona_pas_lue"]) from None
    if not isinstance(read, dict):
        raise ValueError(SAID["persona_pas_lue"])
    for field in ("titre", "histoire", "montrer"):
        if not isinstance(read.get(field), str) or not read[field].strip():
            raise ValueError(SAID["persona_champ"].format(champ=field))
    if read.get("verdict") not in VERDICTS:
        raise ValueError(SAID["persona_verdict"].format(verdicts=", ".join(VERDICTS)))
    steps = read.get("messages")
    if not isinstance(steps, list) or not steps:
        raise ValueError(SAID["persona_champ"].format(champ="messages"))
    return {
        **{field: read[field].strip() for field in ("titre", "histoire", "montrer")},
        "slug": file.stem,
        "verdict": read["verdict"],
        "verdict_titre": SAID[f"verdict_court_{read['verdict']}"],
        "messages": [_step(step, number) for number, step in enumerate(steps, 1)],
    }


def _step(step: object, number: int) -> dict[str, str]:
    """What the persona does at a step: types a text, or presses the choice of a value.

    Raises:
        ValueError: neither.
    """
    if isinstance(step, str) and step.strip() and not step.lstrip().startswith("/"):
        return {"texte": step.strip()}
    if isinstance(step, dict) and any(est_valeur(slot, step.get("valeur")) for slot in SLOTS):
        return {"valeur": str(step["valeur"])}
    raise ValueError(SAID["persona_message"].format(numero=number))

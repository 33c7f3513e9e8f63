"""What the widget shows, made from what the guide sends: messages, the verdict as a card, the answers to edit.

Pure functions over plain values; every button leaves sealed by the function that is handed in. Knows no request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from actions import texts
from actions.diagnostic import SECTIONS, SLOTS, diagnostiquer, manquantes, parcours
from actions.restitution import key, restitution, title

Seal = Callable[[str, str], str]
"""Payload and title of a button → what the page sends back when it is pressed."""

PHONE: str = texts.text("utter_telephone").replace(" ", "\u00a0")
"""As it is read, never cut at the end of a line; `PHONE_LINK` as a telephone dials it."""
PHONE_LINK = re.sub(r"^0", "+33", re.sub(r"\D", "", PHONE))

SAID: dict[str, str] = {
    name: said.replace("{telephone}", PHONE)
    for name, said in yaml.safe_load((Path(__file__).parent / "messages.yml").read_text("utf-8")).items()
}
"""What the door says itself, by name."""

COMMANDS = {
    "pourquoi": "/pourquoi_question",
    "precedent": "/precedent",
    "recommencer": "/recommencer",
}
"""What the widget's own buttons send; each has its title in `messages.yml`."""


def joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """REST gives a text and its data apart: put them together again."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if "text" not in message and "custom" in message and out and "custom" not in out[-1]:
            out[-1] = {**out[-1], "custom": message["custom"]}
        else:
            out.append(dict(message))
    return out


def turn(identifier: str, messages: list[dict[str, Any]], seal: Seal) -> list[dict[str, Any]]:
    """The guide's messages of one turn as the page gets them; the identifier of each is the same whenever it is read.

    `messages` are `{text, buttons, custom}`. What follows a verdict says in lines what its card says: it is left out.
    """
    shown: list[dict[str, Any]] = []
    for number, message in enumerate(messages, 1):
        custom = message.get("custom")
        data = custom if isinstance(custom, dict) else {}
        kept = {name: data[name] for name in ("type", "slot", "index", "total", "verdict") if name in data}
        found: dict[str, Any] = {
            "id": f"{identifier}:{number}",
            "de": "guide",
            "texte": message.get("text") or "",
            "boutons": [
                {"titre": button["title"], "choix": seal(button["payload"], button["title"])}
                for button in message.get("buttons") or []
            ],
            "donnees": kept,
        }
        if kept.get("type") == "verdict":
            return [*shown, {**found, "boutons": [], "carte": card(data, seal)}]
        if kept.get("type") == "et_si" and data["verdict_hypothese"] != data["verdict_actuel"]:
            payload = f"/repondre{json.dumps(data['hypothese'])}"
            adopt = {"titre": SAID["adopter"], "choix": seal(payload, SAID["adopter"])}
            found["boutons"] = [adopt, *found["boutons"]]
        shown.append(found)
    return shown


def card(payload: Mapping[str, Any], seal: Seal) -> dict[str, Any]:
    """A verdict in words, ready to draw. `payload` is the contract's, section 4."""
    said = restitution(diagnostiquer(payload["reponses"]))
    questions = [SAID["essayer"].format(hypothese=piste.hypothese) for piste in said.pistes]
    return {
        "verdict": payload["verdict"],
        "titre": said.titre,
        "phrase": said.phrase,
        "raisons": [
            {
                "effet": r.effet,
                "nom": SAID[f"nom_court_{r.slot}"],
                "reponse": texts.sentence(r.reponse),
                "poids": r.poids,
            }
            for r in said.raisons
        ],
        "parties": [{"nom": part.nom, "explication": part.explication} for part in said.parties],
        "etapes": list(said.etapes),
        "pistes": [
            {
                "hypothese": piste.hypothese,
                "titre": piste.titre,
                "question": question,
                "choix": seal(f"/et_si{json.dumps({piste.slot: piste.value})}", question),
            }
            for piste, question in zip(said.pistes, questions, strict=True)
        ],
        "reference": payload.get("reference") or "",
    }


def answers(given: Mapping[str, str | None], seal: Seal) -> dict[str, Any]:
    """Every question of the conversation as it stands, its answer, and what each other answer would change."""
    missing = manquantes(given)
    verdict = None if missing else title(diagnostiquer(given))
    questions = []
    for slot in parcours(given):
        name = texts.text(f"utter_nom_{slot}")
        choices = []
        for button in texts.options(slot):
            value = texts.value_of(button)
            changed = {**given, slot: value}
            more = [other for other in manquantes(changed) if other not in missing]
            choices.append(
                {
                    "titre": button["title"],
                    "valeur": value,
                    "choix": seal(button["payload"], SAID["modifie"].format(nom=name, reponse=button["title"])),
                    "questions": len(more),
                    "verdict": title(diagnostiquer(changed)) if verdict and not more else None,
                }
            )
        stored = given.get(slot)
        questions.append(
            {
                "slot": slot,
                "nom": name,
                "valeur": stored,
                "reponse": next((c["titre"] for c in choices if c["valeur"] == stored), None),
                "choix": choices,
            }
        )
    return {"questions": questions, "manquantes": len(missing), "verdict": verdict}


def summary(given: Mapping[str, str | None]) -> dict[str, Any]:
    """How far a conversation went, for who comes back to it."""
    path, missing = parcours(given), manquantes(given)
    return {
        "repondues": len(path) - len(missing),
        "total": len(path),
        "verdict": None if missing else title(diagnostiquer(given)),
    }


def verdict_key(given: Mapping[str, str | None]) -> str:
    """The verdict's name, its variant with it."""
    return key(diagnostiquer(given))


def article() -> dict[str, dict[str, str]]:
    """The sections of the demo article, by name: title and text."""
    return {
        section: {
            "nom": texts.text(f"utter_nom_section_{section}"),
            "texte": texts.text(f"utter_section_{section}"),
        }
        for section in SECTIONS
    }


def known(slots: Mapping[str, Any]) -> dict[str, str | None]:
    """The answers among the slots of a conversation."""
    return {slot: slots.get(slot) for slot in SLOTS}

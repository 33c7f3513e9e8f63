"""What the widget shows, made from what the guide sends: messages, the verdict as a card, the answers to edit.

Pure functions over plain values; every button leaves sealed by the function that is handed in. Knows no request.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from actions import texts
from actions.diagnostic import SECTIONS, SLOTS, diagnostiquer, est_valeur, manquantes, parcours
from actions.restitution import Restitution, key, restitution, title
from web.tables import ZONE

Seal = Callable[[str, str], str]
"""Payload and title of a button → what the page sends back when it is pressed."""

PHONE: str = texts.text("utter_telephone").replace(" ", "\u00a0")
"""As it is read, never cut at the end of a line; `PHONE_LINK` as a telephone dials it."""
PHONE_LINK = re.sub(r"^0", "+33", re.sub(r"\D", "", PHONE))

SAID: dict[str, str] = {
    name: said.replace("{telephone}", PHONE)
    for file in ("messages.yml", "console.yml", "atelier.yml")
    for name, said in yaml.safe_load((Path(__file__).parent / file).read_text("utf-8")).items()
}
"""What the door says itself, the console and the workshop, by name."""
_PHONE = re.compile(r"^(?=(\D*\d){9})\+?[\d .()-]{9,20}$")
_MAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]{2,}$")

COMMANDS = {
    "pourquoi": "/pourquoi_question",
    "precedent": "/precedent",
    "recommencer": "/recommencer",
}
"""What the widget's own buttons send; each has its title in `messages.yml`."""


def turn(identifier: str, messages: list[dict[str, Any]], seal: Seal) -> list[dict[str, Any]]:
    """The guide's messages of one turn as the page gets them; the identifier of each is the same whenever it is read.

    `messages` are `{text, buttons, custom}`. What follows a verdict says in lines what its card says: it is left out.
    """
    shown: list[dict[str, Any]] = []
    for number, message in enumerate(messages, 1):
        custom = message.get("custom")
        data = custom if isinstance(custom, dict) else {}
        kept = {name: data[name] for name in ("type", "slot", "index", "total", "verdict", "variante") if name in data}
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


def in_workshop(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The guide's messages, those on references and erasing said as it is in a workshop, where nothing is kept."""

    def about(message: Mapping[str, Any]) -> str | None:
        data = message.get("custom")
        data = data if isinstance(data, dict) else {}
        return data.get("faq") if data.get("type") == "faq" else data.get("type")

    words = {"contact": SAID["atelier_contact"], "donnees_personnelles": SAID["atelier_donnees"]}
    return [{**m, "text": words.get(about(m) or "", m.get("text"))} for m in messages]


def from_staff(metadata: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A message of one of the staff, as the page gets it. `metadata`: `cle`, `conseiller` (a name), `genre`."""
    return {
        "id": f"{metadata['cle']}:1",
        "de": "conseiller",
        "nom": metadata["conseiller"],
        "genre": metadata.get("genre") or "message",
        "texte": text,
        "boutons": [],
        "donnees": {},
    }


def chosen(payload: str) -> dict[str, str]:
    """The answers that the payload of a button gives: only values of the contract."""
    if not payload.startswith("/repondre{"):
        return {}
    found: dict[str, Any] = json.loads(payload.removeprefix("/repondre"))
    return {slot: value for slot, value in found.items() if est_valeur(slot, value)}


def first_thought(message: Mapping[str, Any]) -> tuple[str | None, float | None]:
    """What a message that was not understood was first taken for, and how surely (0 to 1)."""
    ranking = [r for r in message.get("intent_ranking") or [] if r.get("name") not in ("nlu_fallback", "hors_sujet")]
    return (str(ranking[0]["name"]), float(ranking[0].get("confidence") or 0)) if ranking else (None, None)


def card(payload: Mapping[str, Any], seal: Seal) -> dict[str, Any]:
    """A verdict in words, ready to draw. `payload` is the contract's, section 4."""
    said = restitution(diagnostiquer(payload["reponses"]))
    questions = [SAID["essayer"].format(hypothese=piste.hypothese) for piste in said.pistes]
    return {
        "verdict": payload["verdict"],
        "titre": said.titre,
        "phrase": said.phrase,
        "raisons": reasons(said),
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


def reasons(said: Restitution) -> list[dict[str, Any]]:
    """What weighed in a verdict: `effet`, `nom` (short), `reponse`, `poids` (1 to 3)."""
    return [
        {
            "effet": r.effet,
            "nom": SAID[f"nom_court_{r.slot}"],
            "reponse": texts.sentence(r.reponse),
            "poids": r.poids,
        }
        for r in said.raisons
    ]


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


def call_back_faults(name: str, reach: str, message: str, agreed: bool) -> dict[str, str]:
    """What is wrong with a request for a call back: for each field, the sentence that says it."""
    faults = {}
    if not name:
        faults["nom"] = "rappel_sans_nom"
    # The length first: a long text is long to compare.
    if len(reach) > 160 or not (_PHONE.match(reach) or _MAIL.match(reach)):
        faults["joindre"] = "rappel_joindre"
    if not agreed:
        faults["accord"] = "rappel_sans_accord"
    if not faults and (len(name) > 120 or len(message) > 1_000):
        faults["message" if len(message) > 1_000 else "nom"] = "rappel_trop_long"
    return faults


def today() -> date:
    """The date on what a person takes away; `BON_MOMENT_DATE` replaces it for a demonstration."""
    return date.fromisoformat(os.environ.get("BON_MOMENT_DATE") or datetime.now(ZONE).date().isoformat())


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

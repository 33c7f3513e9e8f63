"""Under the hood of a turn, for who wants to see why the guide says what it says: what was heard and stored, which line
of the decision table holds, the levers, the sections that follow.

Pure functions over what Rasa keeps of a turn and over answers. Knows no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions import texts
from actions.diagnostic import INCONNU, Constat, Examen, diagnostiquer, est_valeur, examiner, manquantes, parcours
from actions.restitution import explanation, key, title
from web.dossier import levers
from web.views import SAID

RUNNERS_UP = 3
DOUBT = ("nlu_fallback", "rien")
"""The ear does not hear surely enough, or hears nothing that answers."""


def percent(share: Any) -> int | None:
    """A certainty, from 0 to 1, as it is read."""
    return None if share is None else round(100 * float(share))


def meaning(label: str) -> str:
    """What a label of the ear means: an intent, or `faq/cout`."""
    name, _, target = label.partition("/")
    if name == "faq":
        return SAID["entendu_faq"].format(sujet=SAID.get(f"sujet_{target}", target))
    if name == "section":
        return SAID["entendu_section"].format(section=texts.text(f"utter_nom_section_{target}"))
    known = (SAID.get(f"{kind}_{name}") for kind in ("entendu", "sens_intent", "sens"))
    return next((words for words in known if words), name)


def heard(message: Mapping[str, Any]) -> dict[str, Any]:
    """What was heard in a message of Rasa's: `text`, `intent`, `intent_ranking`, `entities`, `metadata`."""
    text = str(message.get("text") or "")
    button = (message.get("metadata") or {}).get("titre")
    intent = message.get("intent") or {}
    name = str(intent.get("name") or "")
    entities = message.get("entities") or []
    target = next((str(e["value"]) for e in entities if e.get("entity") == "cible"), "")
    label = f"{name}/{target}" if target and name in ("faq", "section") else name
    given = [
        {
            "slot": e["entity"],
            "nom": texts.text(f"utter_nom_{e['entity']}"),
            "titre": texts.titles(e["entity"])[e["value"]],
            "certitude": None if button else percent(e.get("confidence_entity")),
        }
        for e in entities
        if est_valeur(str(e.get("entity")), e.get("value"))
    ]
    ranking = [r for r in message.get("intent_ranking") or [] if r.get("name") not in (label, name)]
    typed = not text.startswith("/")
    return {
        "genre": "phrase" if typed else "bouton" if button else "ouverture",
        "texte": text if typed else button,
        "titre": meaning(label),
        "certitude": percent(intent.get("confidence")) if typed and name not in DOUBT else None,
        "reponses": given,
        "suivants": [
            {"titre": meaning(str(r["name"])), "certitude": percent(r.get("confidence"))} for r in ranking[:RUNNERS_UP]
        ]
        if typed
        else [],
        "compris": name not in (*DOUBT, "hors_sujet"),
    }


def stored(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """The answers that a turn has changed: `slot`, `nom`, `avant`, `apres`."""

    def said(slot: str, value: str | None) -> str | None:
        return texts.titles(slot)[value] if value else None

    return [
        {
            "slot": slot,
            "nom": texts.text(f"utter_nom_{slot}"),
            "avant": said(slot, before.get(slot)),
            "apres": said(slot, value),
        }
        for slot, value in after.items()
        if before.get(slot) != value
    ]


def _finding(found: Constat) -> str:
    """What was found of a fact: « enjeu fort ou moyen »."""
    words = [SAID[f"fait_{found.fait}_{value}"] for value in found.possibles]
    return SAID[f"fait_{found.fait}"].format(valeur=SAID["fait_ou"].join(words))


def _reason(look: Examen) -> str | None:
    """Why a line cannot hold, or what makes it hold."""
    if look.etat == "ecartee":
        against = [found for found in look.constats if found.tient is False]
        return ", ".join(map(_finding, against if look.ligne.une_suffit else against[:1]))
    if look.etat == "tient":
        return ", ".join(_finding(found) for found in look.constats if found.tient) or None
    return None


def table(given: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """The decision table, line by line, for these answers."""
    return [
        {
            "numero": look.ligne.numero,
            "condition": SAID[f"ligne_{look.ligne.numero}"],
            "verdict": look.ligne.verdict,
            "titre": SAID[f"verdict_court_{look.ligne.verdict}"],
            "etat": look.etat,
            "raison": _reason(look),
        }
        for look in examiner(given)
    ]


def questions(given: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Every question asked as things stand, its answer and its choices."""
    return [
        {
            "slot": slot,
            "nom": texts.text(f"utter_nom_{slot}"),
            "valeur": given.get(slot),
            "titre": texts.titles(slot).get(given.get(slot) or ""),
            "choix": [{"valeur": value, "titre": words} for value, words in texts.titles(slot).items()],
        }
        for slot in parcours(given)
    ]


def hood(
    given: Mapping[str, str | None],
    message: Mapping[str, Any] | None = None,
    before: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """Everything under the hood, for these answers. `message` is what was just heard, `before` the answers until then.

    Raises:
        ReponsesInvalides: `given` are no answers.
    """
    found = diagnostiquer(given)
    missing = manquantes(given)
    # Fragile and solid stand once they are said; in between, an answer that is missing may still decide.
    footing = INCONNU if found.socle == "moyen" and {"maturite", "capacite"} & {*missing} else found.socle
    verdict = None
    if not missing:
        phrase = texts.text(f"utter_phrase_{key(found)}")
        verdict = {"verdict": found.verdict, "titre": title(found), "phrase": phrase}
    return {
        "entendu": heard(message) if message is not None else None,
        "note": stored(before, given) if before is not None else [],
        "reponses": questions(given),
        "repondues": len(parcours(given)) - len(missing),
        "total": len(parcours(given)),
        "table": table(given),
        "leviers": levers(found),
        "enjeu": {"force": found.enjeu, "texte": SAID[f"enjeu_{found.enjeu}"]},
        "socle": {"niveau": footing, "texte": SAID[f"socle_{footing}"]},
        "sections": [
            {
                "section": section,
                "nom": texts.text(f"utter_nom_section_{section}"),
                "explication": explanation(found, section),
            }
            for section in found.sections
        ],
        "verdict": verdict,
    }

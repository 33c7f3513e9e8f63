"""What the console shows of one conversation, made from Rasa's events and the answers: who said what and when, what was
said for each answer, the verdict as it stands, in words to read or to say aloud. Pure functions; knows no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from actions import texts
from actions.diagnostic import FAQ, INCONNU, SECTIONS, SLOTS, VALEURS, Diagnostic, diagnostiquer, manquantes, parcours
from actions.restitution import key, restitution
from web.tables import ZONE
from web.views import SAID, reasons

Events = Sequence[Mapping[str, Any]]
INTENTS = (
    "affirmer", "nier", "ne_sait_pas", "et_si", "pourquoi_question", "expliquer_question", "suivant", "precedent",
    "modifier", "recapitulatif", "resultat", "recommencer", "stop", "conseiller", "saluer", "remercier",
)  # fmt: skip


def when(moment: datetime | None, today: datetime | None = None) -> dict[str, str]:
    """A moment as it is read (`heure`) and as programs read it (`iso`); both empty for None."""
    if moment is None:
        return {"heure": "", "iso": ""}
    here, now = moment.astimezone(ZONE), (today or datetime.now(timezone.utc)).astimezone(ZONE)
    clock = here.strftime("%H:%M")
    days = (now.date() - here.date()).days
    if days == 1:
        clock = SAID["hier"].format(heure=clock)
    elif days:
        clock = SAID["le_jour"].format(jour=here.strftime("%d/%m"), heure=clock)
    return {"heure": clock, "iso": here.isoformat(timespec="seconds")}


def transcript(events: Events) -> list[dict[str, Any]]:
    """Every message, the oldest first: `id`, `de`, `nom`, `genre`, `heure`, `iso`, `texte`, `boutons`, `verdict`."""
    lines: list[dict[str, Any]] = []
    for number, event in enumerate(events):
        metadata = event.get("metadata") or {}
        text = str(event.get("text") or "")
        data = event.get("data") or {}
        custom = data.get("custom") if isinstance(data.get("custom"), dict) else {}
        line: dict[str, Any] = {"id": f"e{number}", "nom": None, "genre": "message", "boutons": [], "verdict": False}
        if event.get("event") == "user":
            text = str(metadata.get("titre") or text)
            if not text or text.startswith("/"):
                continue
            line |= {"de": "visiteur"}
        elif event.get("event") == "bot" and metadata.get("conseiller"):
            line |= {"de": "conseiller", "nom": metadata["conseiller"], "genre": metadata.get("genre") or "message"}
        elif event.get("event") == "bot" and text:
            titles = [button["title"] for button in data.get("buttons") or []]
            line |= {"de": "guide", "boutons": titles, "verdict": (custom or {}).get("type") == "verdict"}
        else:
            continue
        at = datetime.fromtimestamp(float(event.get("timestamp") or 0), timezone.utc)
        lines.append({**line, "texte": text, **when(at)})
    return lines


def said_for(events: Events) -> dict[str, dict[str, Any]]:
    """For each answer given: `dit`, what the visitor said to give it; `par`, the one of the staff who noted it."""
    kept: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    said = ""
    for event in events:
        metadata = event.get("metadata") or {}
        if event.get("event") == "user":
            said = str(metadata.get("titre") or event.get("text") or "")
        slot, value = event.get("name"), event.get("value")
        if event.get("event") != "slot" or slot not in SLOTS or values.get(slot) == value:
            continue
        values[slot] = value
        if value is None:
            kept.pop(slot, None)
            continue
        before = kept.get(slot, {"dit": []})["dit"]
        by = metadata.get("conseiller")
        heard = [] if by or not said or said.startswith("/") else [said]
        kept[slot] = {"dit": [*before, *heard], "par": by}
    return kept


def answers(given: Mapping[str, str | None], events: Events) -> list[dict[str, Any]]:
    """Every question of the conversation as it stands: `slot`, `nom`, `valeur`, `reponse`, `dit`, `par`, `index`."""
    sources = said_for(events)
    found = []
    for index, slot in enumerate(parcours(given), 1):
        value = given[slot]
        titles = texts.titles(slot)
        source = sources.get(slot, {}) if value else {}
        found.append(
            {
                "slot": slot,
                "nom": texts.text(f"utter_nom_{slot}"),
                "index": index,
                "valeur": value,
                "reponse": titles.get(value or ""),
                "dit": source.get("dit", []),
                "par": source.get("par"),
            }
        )
    return found


def questions(given: Mapping[str, str | None], events: Events) -> list[dict[str, Any]]:
    """The script of a call: each question with what to read aloud, what to know, and its choices by key."""
    found = []
    for answer in answers(given, events):
        slot = answer["slot"]
        choices = [
            {
                "touche": "?" if texts.value_of(option) == INCONNU else str(number),
                "valeur": texts.value_of(option),
                "titre": option["title"],
            }
            for number, option in enumerate(texts.options(slot), 1)
        ]
        found.append(
            {
                **answer,
                "oral": texts.spoken(f"utter_ask_{slot}"),
                "note": SAID[f"note_{slot}"],
                "choix": choices,
            }
        )
    return found


def levers(found: Diagnostic) -> list[dict[str, str]]:
    """The levers of a verdict in words: `levier`, `nom`, `force`, `force_texte`."""
    return [
        {"levier": name, "nom": SAID[f"levier_{name}"], "force": force, "force_texte": SAID[f"force_{force}"]}
        for name, force in found.leviers.items()
    ]


def verdict(given: Mapping[str, str | None]) -> dict[str, Any] | None:
    """The verdict as it stands, to read and to say; None before any answer. `complet` once nothing is missing."""
    if not any(given.values()):
        return None
    found = diagnostiquer(given)
    words = restitution(found)
    return {
        "complet": not manquantes(given),
        "titre": words.titre,
        "phrase": words.phrase,
        "oral": texts.spoken(f"utter_phrase_{key(found)}"),
        "enjeu": SAID[f"enjeu_{found.enjeu}"],
        "socle": SAID[f"socle_{found.socle}"],
        "leviers": levers(found),
        "raisons": reasons(words),
        "parties": [
            {
                "nom": part.nom,
                "oral": part.explication,  # For this person.
                "general": texts.spoken(f"utter_section_{part.section}"),
            }
            for part in words.parties
        ],
        "etapes": list(words.etapes),
        "pistes": [{"hypothese": piste.hypothese, "titre": piste.titre} for piste in words.pistes],
    }


def state(line: Mapping[str, Any]) -> str:
    """The state of a conversation in words. `line` is one of `web.followup`'s."""
    kind = line["etat"]
    step = SAID["etat_debut"]
    if line["question"]:
        name = texts.text(f"utter_nom_{line['question']}")
        step = SAID["etat_questionnaire"].format(rang=line["rang"], total=line["total"], nom=name)
    if line["verdict"]:
        step = SAID["etat_verdict"].format(titre=texts.text(f"utter_titre_{line['verdict']}"))
    if kind == "prise":
        return SAID["etat_prise"].format(nom=line["preneur"])
    if kind == "terminee" and line["issue"]:
        return SAID["etat_terminee_issue"].format(issue=SAID[f"issue_{line['issue']}"])
    if kind == "terminee":
        return f"{SAID['etat_terminee']} · {step}"
    return SAID["etat_demande"] if kind == "demande" else step


def meanings() -> list[dict[str, Any]]:
    """What a message may have meant, in groups: `titre`, `choix` (`valeur`, `titre`)."""

    def group(title: str, choices: list[tuple[str, str]]) -> dict[str, Any]:
        return {"titre": title, "choix": [{"valeur": value, "titre": words} for value, words in choices]}

    found = []
    for slot in SLOTS:
        titles = texts.titles(slot)
        choices = [(f"reponse:{slot}:{value}", titles[value]) for value in (*VALEURS[slot], INCONNU)]
        found.append(group(SAID["groupe_reponse"].format(nom=texts.text(f"utter_nom_{slot}")), choices))
    found.append(group(SAID["groupe_faq"], [(f"faq:{topic}", SAID[f"sujet_{topic}"]) for topic in FAQ]))
    sections = [(f"section:{section}", texts.text(f"utter_nom_section_{section}")) for section in SECTIONS]
    found.append(group(SAID["groupe_section"], sections))
    found.append(
        group(SAID["groupe_demande"], [(f"intention:{name}", SAID[f"sens_intent_{name}"]) for name in INTENTS])
    )
    others = [(f"autre:{name}", SAID[f"sens_{name}"]) for name in ("hors_sujet", "plusieurs", "ambigu")]
    found.append(group(SAID["groupe_autre"], others))
    return found

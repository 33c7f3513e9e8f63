"""Check the assistant as a whole: what Rasa's own validator does not look at.

Every question has all its wordings, what is read aloud on the phone can be said, every button leads somewhere, every
text that is used exists and every text that exists is used, every {mark} is one that the code fills, and French
typography holds. Prints each fault; exit status 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from actions.diagnostic import EXPLICATIONS, FAQ, INCONNU, SECTIONS, SLOTS, TABLE, VALEURS, VERDICTS, est_valeur
from actions.texts import SPOKEN
from scripts.texts import say

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("messages", "console", "atelier")
"""The files of `web/` that hold the words of the door."""
VARIANTES = {"deja_certifie": ("valoriser", "reinterroger", "approfondir")}
# The marks that the code fills, by the beginning of the response's name; what is not listed takes none.
MARKS: dict[str, set[str]] = {
    "utter_ask_": {"index", "total"},
    "utter_reformuler_": {"index", "total"},
    "utter_exemples_": {"index", "total"},
    "utter_note": {"compris"},
    "utter_corrige": {"compris"},
    "utter_resultat_plus_tard": {"reste"},
    "utter_resultat_inchange": {"titre"},
    "utter_recap": {"lignes"},
    "utter_recap_ligne": {"nom", "reponse"},
    "utter_recap_modifier": {"nom"},
    "utter_modifier": {"reponse"},
    "utter_verdict": {"titre", "phrase"},
    "utter_verdict_raisons": {"raisons"},
    "utter_verdict_etapes": {"etapes"},
    "utter_verdict_bascules": {"bascules"},
    "utter_verdict_fin": {"reference"},
    "utter_raison_": {"reponse"},
    "utter_bascule": {"hypothese", "titre"},
    "utter_pour_vous": {"nom", "explication"},
    "utter_pour_vous_": {"constat"},
    "utter_et_si": {"hypothese", "titre_actuel", "titre_hypothese", "phrase_hypothese"},
    "utter_conseiller": {"reference"},
    "utter_des_questions": {"nombre"},
}
_PAYLOAD = re.compile(r"^/(\w+)(\{.*\})?$")
_UNSAYABLE = re.compile(r"[\d()\[\]%€•…/\n]|\betc\b|\{(?:index|total)\}")
_TYPOGRAPHY = re.compile(r"[^\s\u00a0][?!;»]|[^\s\u00a0\d:/]:(?=\s|$)| [?!;:»%€]|«[^\u00a0]|'")


def values(slot: str) -> tuple[str, ...]:
    """The values of a slot, `inconnu` included."""
    return (*VALEURS[slot], INCONNU)


def expected() -> set[str]:
    """The responses that the code builds by name."""
    verdicts = [f"{v}_{x}" if x else v for v in VERDICTS for x in VARIANTES.get(v, ("",))]
    names = {f"utter_{kind}_{v}" for kind in ("titre", "phrase", "etapes") for v in verdicts}
    for slot in SLOTS:
        names |= {f"utter_{kind}_{slot}" for kind in ("ask", "reformuler", "exemples", "pourquoi", "nom")}
        names |= {f"utter_{kind}_{slot}_{value}" for kind in ("libelle", "hypothese") for value in values(slot)}
    for section in SECTIONS:
        names |= {f"utter_section_{section}", f"utter_nom_section_{section}"}
        names |= {f"utter_pour_vous_{section}"} if section != "conclusion" else set()
    return (
        names | {f"utter_faq_{topic}" for topic in FAQ} | {f"utter_raison_{e}" for e in ("pour", "contre", "vigilance")}
    )


def read_aloud() -> set[str]:
    """The responses that staff read aloud on the phone."""
    return {name for name in expected() if name.startswith(("utter_ask_", "utter_section_", "utter_phrase_"))}


def optional() -> set[str]:
    """The variants of a section's explanation that may exist or not."""
    names = {f"utter_pour_vous_{section}_{value}" for section, pairs in EXPLICATIONS.items() for _, value in pairs}
    names |= {f"utter_pour_vous_{section}_certifie" for section in SECTIONS}
    return names | {"utter_pour_vous_croissance_autonome"}


def used() -> set[str]:
    """The responses that the rules and the code name in full."""
    rules = " ".join(file.read_text("utf-8") for file in (ROOT / "data" / "rules").glob("*.yml"))
    code = " ".join(file.read_text("utf-8") for file in (ROOT / "actions").glob("*.py"))
    return set(re.findall(r"action: (utter_\w+)", rules)) | set(re.findall(r'"(utter_\w+[a-z])"', code))


def marks_of(name: str) -> set[str]:
    """The marks that the code fills in a response: those of its own name, else of the longest beginning listed."""
    beginnings = [known for known in MARKS if name == known or (known.endswith("_") and name.startswith(known))]
    if name.startswith("utter_et_si_inchange"):
        return MARKS["utter_et_si"]
    return MARKS[max(beginnings, key=len)] if beginnings else set()


def payload_fault(payload: str, domain: dict[str, Any]) -> str | None:
    """What is wrong with a button's payload, if anything."""
    found = _PAYLOAD.match(payload)
    if not found or found[1] not in domain["intents"]:
        return "no such intent"
    try:
        said = json.loads(found[2] or "{}")
    except ValueError:
        return "not JSON"
    targets = {*SECTIONS} if found[1] == "section" else {*FAQ} if found[1] == "faq" else {*SLOTS}
    for entity, value in said.items():
        if not (value in targets if entity == "cible" else est_valeur(entity, value)):
            return f"no such value: {entity} = {value}"
    return None


def typography_faults(name: str, words: str) -> Iterator[str]:
    """The first fault of French typography in a text, if there is one."""
    if found := _TYPOGRAPHY.search(words):
        yield f"{name}: typography near {words[max(0, found.start() - 15) : found.end() + 5]!r}"


def spoken_faults(name: str, variants: list[dict[str, Any]]) -> Iterator[str]:
    """The written variation comes first; the one read aloud is there where it is needed, and can be said."""
    channels = [variant.get("channel") for variant in variants]
    if channels[0] is not None or not {*channels} <= {None, SPOKEN}:
        yield f"{name}: the first variation has no channel, the others none or « {SPOKEN} »"
    if name in read_aloud() and SPOKEN not in channels:
        yield f"{name}: no variation for the channel « {SPOKEN} »"
    for variant in variants:
        if variant.get("channel") == SPOKEN:
            if found := _UNSAYABLE.search(variant["text"]):
                yield f"{name}: {found[0]!r} cannot be read aloud"
            if variant.get("buttons"):
                yield f"{name}: nobody can touch the buttons of what is read aloud"


def words_faults(files: dict[str, dict[str, str]]) -> Iterator[str]:
    """Every fault of the words in `files` of `web/`: the code reads them as one."""
    code = " ".join(file.read_text("utf-8") for file in (ROOT / "web").glob("*.py"))
    needed = {name for pair in re.findall(r'SAID\["(\w+)"\]|Refused\(\d+, "(\w+)"', code) for name in pair if name}
    needed |= {f"note_{slot}" for slot in SLOTS} | {f"sujet_{topic}" for topic in FAQ}
    needed |= {f"ligne_{ligne.numero}" for ligne in TABLE} | {f"verdict_court_{verdict}" for verdict in VERDICTS}
    needed |= {f"fait_{fait}" for ligne in TABLE for fait, _ in ligne.conditions}
    written = [name for words in files.values() for name in words]
    yield from (f"missing in web/*.yml: {name}" for name in sorted(needed - set(written)))
    yield from (f"twice in web/*.yml: {name}" for name in sorted({n for n in written if written.count(n) > 1}))
    for words in files.values():
        for name, text in words.items():
            yield from typography_faults(name, text)


def faults(domain: dict[str, Any]) -> Iterator[str]:
    """Every fault found."""
    responses: dict[str, list[dict[str, Any]]] = domain["responses"]
    existing = set(responses)
    yield from (f"missing response: {name}" for name in sorted((expected() | used()) - existing))
    yield from (f"unused response: {name}" for name in sorted(existing - expected() - optional() - used()))
    for slot in SLOTS:
        offered = [button["payload"] for button in responses.get(f"utter_ask_{slot}", [{}])[0].get("buttons", [])]
        wanted = {f'/repondre{{"{slot}":"{value}"}}' for value in values(slot)}
        if set(offered) != wanted or not 3 <= len(offered) <= 4:
            yield f"question {slot}: its buttons are not its values"
    for name, variants in responses.items():
        yield from spoken_faults(name, variants)
        for variant in variants:
            marks = set(re.findall(r"\{(\w+)\}", variant["text"]))
            yield from (f"{name}: unknown mark {{{mark}}}" for mark in sorted(marks - marks_of(name)))
            for button in variant.get("buttons", []):
                if fault := payload_fault(button["payload"], domain):
                    yield f"{name}: button « {button['title']} »: {fault}"
            for words in (variant["text"], *(button["title"] for button in variant.get("buttons", []))):
                yield from typography_faults(name, words)


def main() -> int:
    domain = yaml.safe_load((ROOT / "domain.yml").read_text("utf-8"))
    files = {n: yaml.safe_load((ROOT / "web" / f"{n}.yml").read_text("utf-8")) for n in WORDS}
    found = [*faults(domain), *words_faults(files)]
    for fault in found:
        print(fault)
    say("assistant_fautes" if found else "assistant_bon", nombre=str(len(found)), textes=str(len(domain["responses"])))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

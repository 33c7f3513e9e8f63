"""The decision: from a person's answers to a verdict, its reasons and what would change it.

Pure functions over plain values. Knows neither Rasa, nor French sentences, nor where answers come from.
Every rule comes from the contract, sections 1 to 4; the section is named where a rule stands.

As a program, `python -m actions.diagnostic` reads one JSON object of answers per line on standard input and
writes one verdict payload per line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, TextIO

Answers = Mapping[str, "str | None"]
"""Slot name → value; a slot that is absent or None has no answer yet."""

VERSION: Final = "2026-11"
"""Of the rules below: year and month of their last change. It is printed on what a person takes away."""

INCONNU: Final = "inconnu"

VALEURS: Final[dict[str, tuple[str, ...]]] = {
    "statut_qualiopi": ("non_certifie", "en_demarche", "certifie"),
    "financement_actuel": ("aucun", "minoritaire", "significatif"),
    "financement_vise": ("non", "possible", "oui"),
    "ambition": ("stable", "croissance", "diversification"),
    "cadre_stable": ("choisi", "non_structure"),
    "partenaires": ("non", "a_terme", "oui"),
    "motivation": ("projet", "exigence", "pression"),
    "maturite": ("solide", "en_construction", "informelle"),
    "capacite": ("disponible", "partielle", "insuffisante"),
    "echeance": ("aucune", "lointaine", "proche"),
}
"""The slots in the order asked and their values, `inconnu` apart (contract, section 1)."""

SLOTS: Final = tuple(VALEURS)

VERDICTS: Final = (
    "deja_certifie",
    "a_approfondir",
    "pas_strategique",
    "vision_a_clarifier",
    "strategique_sous_contrainte",
    "a_anticiper",
    "strategique_a_preparer",
    "strategique_maintenant",
)

SECTIONS: Final = (
    "financements",
    "croissance",
    "credibilite",
    "vente_directe",
    "activite_limitee",
    "sans_vision",
    "maturite",
    "trop_tot",
    "trop_tard",
    "bonnes_questions",
    "bon_moment",
    "conclusion",
)

FAQ: Final = (
    "definition",
    "obligation",
    "qui_est_concerne",
    "financeurs",
    "sous_traitance",
    "validite",
    "certificateurs",
    "duree_audit",
    "cout",
    "delai",
    "referentiel",
    "non_conformites",
    "qualite_pedagogique",
    "identite_bot",
    "donnees_personnelles",
    "accompagnement",
)

LEVIERS: Final = ("financement", "croissance", "credibilite")
"""The levers, in the order in which sections are taken (contract, section 3)."""

_SECTION_DU_LEVIER: Final = {"financement": "financements", "croissance": "croissance", "credibilite": "credibilite"}

_EFFETS: Final[dict[str, dict[str, str]]] = {
    "statut_qualiopi": {},
    "financement_actuel": {"aucun": "contre", "minoritaire": "pour", "significatif": "pour"},
    "financement_vise": {"non": "contre", "possible": "pour", "oui": "pour"},
    "ambition": {"stable": "contre", "croissance": "pour", "diversification": "pour"},
    "cadre_stable": {"choisi": "contre", "non_structure": "pour"},
    "partenaires": {"non": "contre", "a_terme": "pour", "oui": "pour"},
    "motivation": {"projet": "pour", "exigence": "vigilance", "pression": "vigilance"},
    "maturite": {"solide": "pour", "informelle": "vigilance"},
    "capacite": {"disponible": "pour", "insuffisante": "vigilance"},
    "echeance": {"proche": "vigilance"},
}
"""How each answer weighs; what is not listed is `neutre`."""


EXPLICATIONS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "financements": (
        ("financement_actuel", "significatif"),
        ("financement_vise", "oui"),
        ("financement_actuel", "minoritaire"),
        ("financement_vise", "possible"),
    ),
    "croissance": (("ambition", "croissance"), ("ambition", "diversification"), ("cadre_stable", "non_structure")),
    "credibilite": (("partenaires", "oui"), ("partenaires", "a_terme")),
    "vente_directe": (("financement_actuel", "aucun"), ("financement_vise", "non")),
    "activite_limitee": (("cadre_stable", "choisi"), ("cadre_stable", "non_structure")),
    "sans_vision": (("motivation", "pression"),),
    "maturite": (("maturite", "informelle"),),
    "trop_tot": (("capacite", "insuffisante"), ("maturite", "informelle")),
    "trop_tard": (("motivation", "exigence"), ("echeance", "proche")),
    "bonnes_questions": (),
    "bon_moment": (("echeance", "lointaine"), ("maturite", "en_construction")),
    "conclusion": (),
}
"""For each section, the answers that make it apply to a person, the weightiest first."""


class ReponsesInvalides(ValueError):
    """Answers that are no mapping of known slots to their values."""


@dataclass(frozen=True)
class Facteur:
    """An answer and how it weighs: `effet` is `pour`, `contre`, `vigilance` or `neutre`."""

    slot: str
    value: str
    effet: str


@dataclass(frozen=True)
class Bascule:
    """A single changed answer and the other verdict that it would give."""

    slot: str
    value: str
    verdict: str


@dataclass(frozen=True)
class Ligne:
    """A line of the decision table: it holds if all its conditions do, or one of them where `une_suffit`.

    A condition is a fact and the values of it that make the condition hold.
    """

    numero: str
    verdict: str
    conditions: tuple[tuple[str, Set[str]], ...]
    une_suffit: bool = False

    def tient(self, faits: Mapping[str, Set[str]]) -> bool | None:
        """Whether the line holds, given the values that each fact may take; None while that is open."""
        found = [_tient(faits[fait], valeurs) for fait, valeurs in self.conditions]
        decisive = self.une_suffit
        if decisive in found:
            return decisive
        return None if None in found else not decisive


def _tient(possibles: Set[str], valeurs: Set[str]) -> bool | None:
    """Whether a fact that may be any of `possibles` is one of `valeurs`; None while that is open."""
    if possibles <= valeurs:
        return True
    return None if possibles & valeurs else False


TABLE: Final = (
    Ligne("1", "deja_certifie", (("statut_qualiopi", {"certifie"}),)),
    Ligne("2", "a_approfondir", (("inconnues", {"quatre_ou_plus"}), ("enjeu", {INCONNU})), une_suffit=True),
    Ligne("3", "pas_strategique", (("enjeu", {"nul"}),)),
    Ligne("4", "vision_a_clarifier", (("motivation", {"pression"}), ("financement", {"moyen", "nul", INCONNU}))),
    Ligne(
        "5a",
        "strategique_sous_contrainte",
        (("enjeu", {"moyen"}), ("motivation", {"exigence"}), ("echeance", {"proche"})),
    ),
    Ligne("5b", "vision_a_clarifier", (("enjeu", {"moyen"}), ("motivation", {INCONNU}))),
    Ligne("5c", "a_anticiper", (("enjeu", {"moyen"}),)),
    Ligne("6", "strategique_sous_contrainte", (("echeance", {"proche"}), ("socle", {"moyen", "fragile"}))),
    Ligne("7", "strategique_a_preparer", (("socle", {"fragile"}),)),
    Ligne("8", "strategique_maintenant", ()),
)
"""The decision: the first line that holds is the verdict (contract, section 2); its line 5 is three lines here."""

REPONSES_DE_LA_TABLE: Final = ("statut_qualiopi", "motivation", "echeance")
"""The answers that the table reads themselves; its other facts are computed from several."""
_DE_L_ENJEU: Final = ("financement_actuel", "financement_vise", "ambition", "cadre_stable", "partenaires")


@dataclass(frozen=True)
class Constat:
    """A condition of a line looked at: the values that the fact may still take, and whether the condition holds."""

    fait: str
    possibles: tuple[str, ...]
    tient: bool | None


@dataclass(frozen=True)
class Examen:
    """A line looked at. `etat`: `tient` (it is the verdict), `ecartee` (whatever is still missing), `ouverte` (answers
    are missing), or `sans_objet` (a line before it holds)."""

    ligne: Ligne
    etat: str
    constats: tuple[Constat, ...]


@dataclass(frozen=True)
class Diagnostic:
    """A verdict with all that explains it (contract, section 4, payload `verdict`, without `reference`)."""

    verdict: str
    variante: str | None
    enjeu: str
    socle: str
    leviers: dict[str, str]
    sections: tuple[str, ...]
    facteurs: tuple[Facteur, ...]
    reponses: dict[str, str | None]
    bascules: tuple[Bascule, ...]

    def payload(self) -> dict[str, Any]:
        """The JSON object of the contract, section 4, ready for `json.dumps`."""
        return {
            "type": "verdict",
            "verdict": self.verdict,
            "variante": self.variante,
            "enjeu": self.enjeu,
            "socle": self.socle,
            "leviers": dict(self.leviers),
            "sections": list(self.sections),
            "facteurs": [vars(facteur) for facteur in self.facteurs],
            "reponses": dict(self.reponses),
            "bascules": [vars(bascule) for bascule in self.bascules],
        }


def est_valeur(slot: str, value: object) -> bool:
    """Whether `value` is one that `slot` can take, `inconnu` included (contract, section 1)."""
    return slot in VALEURS and isinstance(value, str) and (value == INCONNU or value in VALEURS[slot])


def verifier(reponses: object) -> dict[str, str | None]:
    """The answers over all ten slots, None where there is none.

    Raises:
        ReponsesInvalides: not a mapping, an unknown slot, or a value that its slot does not take.
    """
    if not isinstance(reponses, Mapping):
        raise ReponsesInvalides("not_an_object")
    for slot, value in reponses.items():
        if slot not in VALEURS:
            raise ReponsesInvalides(f"unknown_slot:{slot}")
        if value is not None and not est_valeur(slot, value):
            raise ReponsesInvalides(f"unknown_value:{slot}")
    return {slot: reponses.get(slot) for slot in SLOTS}


def est_posee(slot: str, reponses: Answers) -> bool:
    """Whether `slot` is asked, given the answers so far (contract, section 1, last column)."""
    if slot == "financement_vise":
        return reponses.get("financement_actuel") != "significatif"
    if slot == "cadre_stable":
        return reponses.get("ambition") == "stable"
    if slot in ("motivation", "capacite", "echeance"):
        return reponses.get("statut_qualiopi") != "certifie"
    return True


def parcours(reponses: Answers) -> list[str]:
    """The slots asked in this conversation as it stands, in order."""
    return [slot for slot in SLOTS if est_posee(slot, reponses)]


def manquantes(reponses: Answers) -> list[str]:
    """The slots asked that have no answer yet, in order."""
    return [slot for slot in parcours(reponses) if reponses.get(slot) is None]


def _posees(reponses: Answers) -> dict[str, str]:
    """Asked slots only; one without a value counts as `inconnu` (contract, section 2)."""
    return {slot: reponses.get(slot) or INCONNU for slot in parcours(reponses)}


def evaluer_leviers(reponses: Answers) -> dict[str, str]:
    """Each lever: `fort`, `moyen`, `nul` or `inconnu` (contract, section 2)."""
    posees = _posees(reponses)
    fonds = {posees["financement_actuel"], posees.get("financement_vise")}
    if fonds & {"significatif", "oui"}:
        financement = "fort"
    elif fonds & {"minoritaire", "possible"}:
        financement = "moyen"
    elif INCONNU in fonds:
        financement = INCONNU
    else:
        financement = "nul"

    ambition = posees["ambition"]
    if ambition == "stable":
        croissance = {"non_structure": "moyen", "choisi": "nul", INCONNU: INCONNU}[posees["cadre_stable"]]
    else:
        croissance = INCONNU if ambition == INCONNU else "fort"

    credibilite = {"oui": "fort", "a_terme": "moyen", "non": "nul", INCONNU: INCONNU}[posees["partenaires"]]
    return {"financement": financement, "croissance": croissance, "credibilite": credibilite}


def evaluer_enjeu(leviers: Mapping[str, str]) -> str:
    """The stake, from the levers: `fort`, `moyen`, `inconnu` or `nul` (contract, section 2)."""
    compte = dict(leviers)
    if compte["financement"] == compte["credibilite"] == "nul":
        compte["croissance"] = "nul"
    for force in ("fort", "moyen", INCONNU):
        if force in compte.values():
            return force
    return "nul"


def evaluer_socle(reponses: Answers) -> str:
    """The footing: `solide`, `moyen` or `fragile` (contract, section 2)."""
    posees = _posees(reponses)
    if posees["maturite"] == "solide" and posees.get("capacite") == "disponible":
        return "solide"
    if posees["maturite"] == "informelle" or posees.get("capacite") == "insuffisante":
        return "fragile"
    return "moyen"


def _verdict(posees: Answers, leviers: Mapping[str, str], enjeu: str, socle: str) -> str:
    """The first line of the table that holds (contract, section 2)."""
    inconnues = sum(1 for slot, value in posees.items() if slot != "statut_qualiopi" and value == INCONNU)
    faits: dict[str, Set[str]] = {slot: {value or ""} for slot, value in posees.items() if slot in REPONSES_DE_LA_TABLE}
    faits |= {"inconnues": {_nombre(inconnues)}, "enjeu": {enjeu}, "socle": {socle}}
    faits["financement"] = {leviers["financement"]}
    return next(ligne.verdict for ligne in TABLE if ligne.tient(faits))


def _nombre(inconnues: int) -> str:
    """How many answers are unknown, as the table reads it."""
    return "quatre_ou_plus" if inconnues >= 4 else "moins_de_quatre"


def _faits_possibles(reponses: dict[str, str | None]) -> dict[str, Set[str]]:
    """Each fact of the table, with every value that it may still take, whatever the missing answers turn out to be."""

    def suites(slots: tuple[str, ...]) -> Iterator[dict[str, str | None]]:
        free = [slot for slot in slots if reponses[slot] is None]
        for values in product(*((*VALEURS[slot], INCONNU) for slot in free)):
            yield {**reponses, **dict(zip(free, values, strict=True))}

    stakes, funds, unknown = set(), set(), set()
    for suite in suites(_DE_L_ENJEU):
        leviers = evaluer_leviers(suite)
        stakes.add(evaluer_enjeu(leviers))
        funds.add(leviers["financement"])
        unknown.add(sum(suite[slot] == INCONNU for slot in parcours(suite) if slot in _DE_L_ENJEU))
    others = [
        reponses[slot] for slot in ("motivation", "maturite", "capacite", "echeance") if est_posee(slot, reponses)
    ]
    least, most = others.count(INCONNU), others.count(INCONNU) + others.count(None)
    faits: dict[str, Set[str]] = {
        slot: {value} if (value := reponses[slot]) else {*VALEURS[slot], INCONNU} for slot in REPONSES_DE_LA_TABLE
    }
    faits |= {"inconnues": {_nombre(min(unknown) + least), _nombre(max(unknown) + most)}, "enjeu": stakes}
    return faits | {"financement": funds, "socle": {evaluer_socle(suite) for suite in suites(("maturite", "capacite"))}}


def examiner(reponses: object) -> tuple[Examen, ...]:
    """Every line of the decision table for these answers, those still missing left open (contract, section 2).

    Raises:
        ReponsesInvalides: as `verifier`.
    """
    faits = _faits_possibles(verifier(reponses))
    examens: list[Examen] = []
    ouvertes = decidee = False
    for ligne in TABLE:
        tient = ligne.tient(faits)
        if decidee:
            etat = "sans_objet"
        elif tient is False:
            etat = "ecartee"
        else:
            etat = "ouverte" if ouvertes or tient is None else "tient"
            ouvertes, decidee = True, bool(tient)
        constats = tuple(
            Constat(fait, tuple(sorted(faits[fait])), _tient(faits[fait], valeurs))
            for fait, valeurs in ligne.conditions
        )
        examens.append(Examen(ligne, etat, constats))
    return tuple(examens)


def _sections(verdict: str, posees: Answers, leviers: Mapping[str, str], socle: str) -> tuple[str, ...]:
    """The sections of the verdict's row, then those of its circumstances (contract, section 3)."""
    forts = [_SECTION_DU_LEVIER[levier] for levier in LEVIERS if leviers[levier] == "fort"]
    forts_ou_moyens = [_SECTION_DU_LEVIER[levier] for levier in LEVIERS if leviers[levier] in ("fort", "moyen")]
    limitee = ["activite_limitee"] if posees["ambition"] == "stable" else []
    croissance = ["croissance"] if posees["ambition"] in ("croissance", "diversification") else []
    directe = ["vente_directe"] if leviers["financement"] == "nul" else []

    sections = {
        "strategique_maintenant": [*forts, "bon_moment"],
        "strategique_a_preparer": [*forts, "trop_tot", "maturite"],
        "strategique_sous_contrainte": [*forts_ou_moyens, "trop_tard"],
        "vision_a_clarifier": ["sans_vision", *forts_ou_moyens],
        "a_anticiper": [*forts_ou_moyens, "bon_moment"],
        "pas_strategique": ["vente_directe", *limitee, *croissance],
        "deja_certifie": [*forts_ou_moyens, *directe, *limitee, "credibilite"],
        "a_approfondir": ["bonnes_questions"],
    }[verdict]

    if verdict == "deja_certifie":
        sections += ["maturite"] if posees["maturite"] == "informelle" else []
    elif verdict != "a_approfondir":
        sections += ["sans_vision"] if posees["motivation"] == "pression" else []
        sections += ["trop_tard"] if posees["echeance"] == "proche" or posees["motivation"] == "exigence" else []
        sections += ["trop_tot", "maturite"] if socle == "fragile" else []
        sections += limitee
    return tuple(dict.fromkeys(sections))


def _facteurs(posees: Mapping[str, str], leviers: Mapping[str, str]) -> tuple[Facteur, ...]:
    """How each asked answer weighs; growth on channels of its own weighs nothing (contract, section 2)."""
    autonome = leviers["financement"] == leviers["credibilite"] == "nul"
    facteurs = []
    for slot, value in posees.items():
        effet = _EFFETS[slot].get(value, "neutre")
        if autonome and slot in ("ambition", "cadre_stable") and effet == "pour":
            effet = "neutre"
        facteurs.append(Facteur(slot, value, effet))
    return tuple(facteurs)


def _bascules(reponses: dict[str, str | None], verdict: str) -> tuple[Bascule, ...]:
    """Every asked answer that, changed alone, would give another verdict. `inconnu` is no answer to try."""
    bascules = []
    for slot in parcours(reponses):
        for value in VALEURS[slot]:
            if value != reponses[slot]:
                autre = _decider({**reponses, slot: value})[0]
                if autre != verdict:
                    bascules.append(Bascule(slot, value, autre))
    return tuple(bascules)


def _decider(reponses: Answers) -> tuple[str, dict[str, str], str, str]:
    """Verdict, levers, stake and footing."""
    leviers = evaluer_leviers(reponses)
    enjeu = evaluer_enjeu(leviers)
    socle = evaluer_socle(reponses)
    return _verdict(_posees(reponses), leviers, enjeu, socle), leviers, enjeu, socle


def diagnostiquer(reponses: object) -> Diagnostic:
    """The verdict for these answers (contract, sections 2 and 3).

    Raises:
        ReponsesInvalides: as `verifier`.
    """
    completes = verifier(reponses)
    posees = _posees(completes)
    verdict, leviers, enjeu, socle = _decider(completes)
    variante = None
    if verdict == "deja_certifie":
        variante = {"nul": "reinterroger", INCONNU: "approfondir"}.get(enjeu, "valoriser")
    return Diagnostic(
        verdict=verdict,
        variante=variante,
        enjeu=enjeu,
        socle=socle,
        leviers=leviers,
        sections=_sections(verdict, posees, leviers, socle),
        facteurs=_facteurs(posees, leviers),
        reponses=completes,
        bascules=_bascules(completes, verdict),
    )


def main(entree: TextIO = sys.stdin, sortie: TextIO = sys.stdout) -> int:
    """The command of the contract, section 5. Returns its exit status: 1 if any line was no such object."""
    statut = 0
    for ligne in entree:
        try:
            resultat = diagnostiquer(json.loads(ligne)).payload()
        except ReponsesInvalides as erreur:
            resultat, statut = {"erreur": str(erreur)}, 1
        except (ValueError, RecursionError):
            resultat, statut = {"erreur": "not_json"}, 1
        print(json.dumps(resultat, ensure_ascii=False), file=sortie, flush=True)
    return statut


if __name__ == "__main__":
    for flux in (sys.stdin, sys.stdout):
        flux.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.exit(main())

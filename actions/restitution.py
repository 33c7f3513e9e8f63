"""What a person reads of a verdict: its words, found for their answers in the texts of `domain.yml`.

The chat, the card on the web and the document to keep are all made from this. Knows neither Rasa nor any channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from actions import texts
from actions.diagnostic import EXPLICATIONS, INCONNU, Diagnostic, diagnostiquer

SHOWN_BASCULES = 4
"""How many of the answers that would change the verdict are said; the payload has them all."""


SHOWN_UNKNOWN = 3
"""How many of the answers to look for are named, those that make the stake first."""

LEVERS = {
    "financement_actuel": "financement",
    "financement_vise": "financement",
    "ambition": "croissance",
    "cadre_stable": "croissance",
    "partenaires": "credibilite",
}
"""The answers that make the stake, each with its lever (contract, section 2); the others say how ready one is."""
WEIGHTS = {"fort": 3, "nul": 3, "moyen": 2}
"""How much an answer weighs by what its lever is; one that is no lever weighs 1."""


@dataclass(frozen=True)
class Raison:
    """An answer that weighed: `effet` is `pour`, `contre` or `vigilance`; `reponse` is the answer in words.

    `poids`, 1 to 3, is how long its bar is drawn.
    """

    effet: str
    slot: str
    reponse: str
    poids: int


@dataclass(frozen=True)
class Partie:
    """A section of the article that applies, and what it means for this person."""

    section: str
    nom: str
    explication: str


@dataclass(frozen=True)
class Piste:
    """A single answer that would change the verdict: in words (`hypothese`, after « si »), and to what title."""

    slot: str
    value: str
    hypothese: str
    titre: str


@dataclass(frozen=True)
class Restitution:
    """Everything that is said of a verdict, in the order in which it is said."""

    titre: str
    phrase: str
    raisons: tuple[Raison, ...]
    parties: tuple[Partie, ...]
    etapes: tuple[str, ...]
    pistes: tuple[Piste, ...]


def key(diagnostic: Diagnostic) -> str:
    """The verdict's name in the texts, its variant with it."""
    return f"{diagnostic.verdict}_{diagnostic.variante}" if diagnostic.variante else diagnostic.verdict


def title(diagnostic: Diagnostic) -> str:
    """The verdict in a few words."""
    return texts.text(f"utter_titre_{key(diagnostic)}")


def reasons(diagnostic: Diagnostic) -> tuple[Raison, ...]:
    """The answers that weighed: for, then against, then to watch."""
    return tuple(
        Raison(
            effect,
            factor.slot,
            texts.label(factor.slot, factor.value),
            WEIGHTS.get(diagnostic.leviers.get(LEVERS.get(factor.slot, ""), ""), 1),
        )
        for effect in ("pour", "contre", "vigilance")
        for factor in diagnostic.facteurs
        if factor.effet == effect
    )


def explanation(diagnostic: Diagnostic, section: str) -> str:
    """A section of the article, explained for this person's answers."""
    values = {factor.slot: factor.value for factor in diagnostic.facteurs}
    holding = [(slot, value) for slot, value in EXPLICATIONS[section] if values.get(slot) == value]
    name = f"utter_pour_vous_{section}"
    if section == "bonnes_questions":
        unknown = [slot for slot, value in values.items() if value == INCONNU]
        first = sorted(unknown, key=lambda slot: slot not in LEVERS)[:SHOWN_UNKNOWN]
        names = [texts.text(f"utter_nom_{slot}") for slot in first]
        return texts.text(name, constat=", ".join(found[0].lower() + found[1:] for found in names))
    stated = texts.together(texts.label(slot, value) for slot, value in holding) if holding else ""
    if diagnostic.verdict == "deja_certifie" and texts.exists(f"{name}_certifie"):
        return texts.text(f"{name}_certifie", constat=stated)
    if section == "croissance" and diagnostic.enjeu == "nul":
        name += "_autonome"
    for slot, value in holding:
        if texts.exists(f"{name}_{value}"):
            return texts.text(f"{name}_{value}", constat=texts.label(slot, value))
    return texts.text(name, constat=stated)


def what_would_change(diagnostic: Diagnostic) -> tuple[Piste, ...]:
    """The single answers that would change the verdict, at most `SHOWN_BASCULES`, one verdict each first."""
    useful = [b for b in diagnostic.bascules if b.slot != "statut_qualiopi"]
    first_of_each = {b.verdict: b for b in reversed(useful)}
    ordered = sorted(useful, key=lambda b: first_of_each[b.verdict] is not b)
    return tuple(
        Piste(
            bascule.slot,
            bascule.value,
            texts.text(f"utter_hypothese_{bascule.slot}_{bascule.value}"),
            title(diagnostiquer({**diagnostic.reponses, bascule.slot: bascule.value})),
        )
        for bascule in ordered[:SHOWN_BASCULES]
    )


def restitution(diagnostic: Diagnostic) -> Restitution:
    """All the words of a verdict.

    Raises:
        KeyError: a text is missing from `domain.yml` (`make lint` finds it first).
    """
    steps = texts.text(f"utter_etapes_{key(diagnostic)}").splitlines()
    return Restitution(
        titre=title(diagnostic),
        phrase=texts.text(f"utter_phrase_{key(diagnostic)}"),
        raisons=reasons(diagnostic),
        parties=tuple(
            Partie(section, texts.text(f"utter_nom_section_{section}"), explanation(diagnostic, section))
            for section in diagnostic.sections
        ),
        etapes=tuple(re.sub(r"^\d+\.\s*", "", step) for step in steps),
        pistes=what_would_change(diagnostic),
    )

"""The actions that give the verdict, give it again, and try hypotheses. The decision itself is `actions.diagnostic`."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions import texts
from actions.diagnostic import EXPLICATIONS, INCONNU, Diagnostic, diagnostiquer, manquantes
from actions.questionnaire import Domain, answers, heard
from actions.references import reference_of

SHOWN_BASCULES = 4
"""How many of the answers that would change the verdict are said; the payload has them all."""


def key(verdict: str, variante: str | None) -> str:
    """The verdict's name in the texts, its variant with it."""
    return f"{verdict}_{variante}" if variante else verdict


def title(diagnostic: Diagnostic) -> str:
    """The verdict in a few words."""
    return texts.text(f"utter_titre_{key(diagnostic.verdict, diagnostic.variante)}")


def reasons(diagnostic: Diagnostic) -> str:
    """One line for each answer that weighed: for, then against, then to watch."""
    lines = [
        texts.text(f"utter_raison_{effect}", reponse=texts.label(factor.slot, factor.value))
        for effect in ("pour", "contre", "vigilance")
        for factor in diagnostic.facteurs
        if factor.effet == effect
    ]
    return "\n".join(lines) or texts.text("utter_raison_aucune")


def explanation(diagnostic: Diagnostic, section: str) -> str:
    """A section of the article, explained for this person's answers."""
    values = {factor.slot: factor.value for factor in diagnostic.facteurs}
    holding = [(slot, value) for slot, value in EXPLICATIONS[section] if values.get(slot) == value]
    name = f"utter_pour_vous_{section}"
    if section == "bonnes_questions":
        unknown = [texts.text(f"utter_nom_{slot}") for slot, value in values.items() if value == INCONNU]
        return texts.text(name, constat=", ".join(unknown).lower())
    if section == "croissance" and diagnostic.enjeu == "nul":
        name += "_autonome"
    for slot, value in holding:
        if texts.exists(f"{name}_{value}"):
            return texts.text(f"{name}_{value}", constat=texts.label(slot, value))
    stated = texts.text("utter_et_que").join(texts.label(slot, value) for slot, value in holding)
    return texts.text(name, constat=stated)


def what_would_change(diagnostic: Diagnostic) -> str:
    """The single answers that would change the verdict, at most `SHOWN_BASCULES`, one verdict each first."""
    useful = [b for b in diagnostic.bascules if b.slot != "statut_qualiopi"]
    first_of_each = {b.verdict: b for b in reversed(useful)}
    ordered = sorted(useful, key=lambda b: first_of_each[b.verdict] is not b)
    lines = []
    for bascule in ordered[:SHOWN_BASCULES]:
        other = diagnostiquer({**diagnostic.reponses, bascule.slot: bascule.value})
        hypothesis = texts.text(f"utter_hypothese_{bascule.slot}_{bascule.value}")
        lines.append(texts.text("utter_bascule", hypothese=hypothesis, titre=title(other)))
    return "\n".join(lines)


def say_verdict(dispatcher: CollectingDispatcher, diagnostic: Diagnostic, reference: str) -> None:
    """The whole verdict: sentence, reasons, sections, steps, what would change it, reference."""
    name = key(diagnostic.verdict, diagnostic.variante)
    dispatcher.utter_message(
        response="utter_verdict",
        titre=title(diagnostic),
        phrase=texts.text(f"utter_phrase_{name}"),
        json_message={**diagnostic.payload(), "reference": reference},
    )
    dispatcher.utter_message(response="utter_verdict_raisons", raisons=reasons(diagnostic))
    for section in diagnostic.sections:
        dispatcher.utter_message(
            response="utter_pour_vous",
            nom=texts.text(f"utter_nom_section_{section}"),
            explication=explanation(diagnostic, section),
        )
    dispatcher.utter_message(response="utter_verdict_etapes", etapes=texts.text(f"utter_etapes_{name}"))
    changes = what_would_change(diagnostic)
    if changes:
        dispatcher.utter_message(response="utter_verdict_bascules", bascules=changes)
    else:
        dispatcher.utter_message(response="utter_verdict_sans_bascule")
    dispatcher.utter_message(response="utter_verdict_fin", reference=reference)


class ActionVerdict(Action):
    """Give the verdict when the questionnaire is complete; after a correction, in full only if it changed."""

    again = False

    def name(self) -> str:
        return "action_verdict"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        given = answers(tracker)
        missing = manquantes(given)
        if missing:
            left = "utter_une_question" if len(missing) == 1 else "utter_des_questions"
            dispatcher.utter_message(
                response="utter_resultat_plus_tard", reste=texts.text(left, nombre=str(len(missing)))
            )
            return []
        diagnostic = diagnostiquer(given)
        name = key(diagnostic.verdict, diagnostic.variante)
        if tracker.get_slot("verdict") == name and not self.again:
            dispatcher.utter_message(response="utter_resultat_inchange", titre=title(diagnostic))
            return []
        reference = tracker.get_slot("reference") or reference_of(tracker.sender_id)
        say_verdict(dispatcher, diagnostic, reference)
        return [SlotSet("verdict", name), SlotSet("reference", reference)]


class ActionResultat(ActionVerdict):
    """The person asks for the verdict: give it (again), or say what is missing."""

    again = True

    def name(self) -> str:
        return "action_resultat"


class ActionEtSi(Action):
    """The verdict for a hypothesis beside the present one; nothing is stored (contract, section 4, `et_si`)."""

    def name(self) -> str:
        return "action_et_si"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        given = answers(tracker)
        if manquantes(given):
            dispatcher.utter_message(response="utter_et_si_trop_tot")
            return []
        hypothesis = heard(tracker)
        if not hypothesis:
            dispatcher.utter_message(response="utter_et_si_incompris", json_message={"type": "hors_sujet"})
            return []
        now, then = diagnostiquer(given), diagnostiquer({**given, **hypothesis})
        supposed = texts.text("utter_et_que").join(
            texts.text(f"utter_hypothese_{s}_{v}") for s, v in hypothesis.items()
        )
        same = (now.verdict, now.variante) == (then.verdict, then.variante)
        dispatcher.utter_message(
            response="utter_et_si_inchange" if same else "utter_et_si",
            hypothese=supposed,
            titre_actuel=title(now),
            titre_hypothese=title(then),
            phrase_hypothese=texts.text(f"utter_phrase_{key(then.verdict, then.variante)}"),
            json_message={
                "type": "et_si",
                "hypothese": hypothesis,
                "verdict_actuel": now.verdict,
                "verdict_hypothese": then.verdict,
            },
        )
        return []

"""The actions that give the verdict, give it again, and try hypotheses. The decision itself is `actions.diagnostic`."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions import texts
from actions.diagnostic import Diagnostic, diagnostiquer, manquantes
from actions.questionnaire import Domain, answers, heard
from actions.references import reference_of
from actions.restitution import key, restitution, title


def say_verdict(dispatcher: CollectingDispatcher, diagnostic: Diagnostic, reference: str) -> None:
    """The whole verdict: sentence, reasons, sections, steps, what would change it, reference."""
    said = restitution(diagnostic)
    dispatcher.utter_message(
        response="utter_verdict",
        titre=said.titre,
        phrase=said.phrase,
        json_message={**diagnostic.payload(), "reference": reference},
    )
    weighed = [texts.text(f"utter_raison_{r.effet}", reponse=r.reponse) for r in said.raisons]
    reasons = "\n".join(weighed) or texts.text("utter_raison_aucune")
    dispatcher.utter_message(response="utter_verdict_raisons", raisons=reasons)
    for part in said.parties:
        dispatcher.utter_message(response="utter_pour_vous", nom=part.nom, explication=part.explication)
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(said.etapes, 1))
    dispatcher.utter_message(response="utter_verdict_etapes", etapes=steps)
    if said.pistes:
        changes = [texts.text("utter_bascule", hypothese=piste.hypothese, titre=piste.titre) for piste in said.pistes]
        dispatcher.utter_message(response="utter_verdict_bascules", bascules="\n".join(changes))
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
        name = key(diagnostic)
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
        supposed = texts.together(texts.text(f"utter_hypothese_{s}_{v}") for s, v in hypothesis.items())
        same = (now.verdict, now.variante) == (then.verdict, then.variante)
        dispatcher.utter_message(
            response="utter_et_si_inchange" if same else "utter_et_si",
            hypothese=supposed,
            titre_actuel=title(now),
            titre_hypothese=title(then),
            phrase_hypothese=texts.text(f"utter_phrase_{key(then)}"),
            json_message={
                "type": "et_si",
                "hypothese": hypothesis,
                "verdict_actuel": now.verdict,
                "verdict_hypothese": then.verdict,
            },
        )
        return []

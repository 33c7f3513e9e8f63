"""The actions that steer the conversation and answer questions, each ending where the form takes over again."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.forms import REQUESTED_SLOT

from actions import texts
from actions.diagnostic import FAQ, SECTIONS, SLOTS, manquantes, parcours
from actions.questionnaire import A_REVOIR, Domain, answers, intent, target
from actions.references import reference_of

FORM = "diagnostic_form"


def in_form(tracker: Tracker) -> bool:
    """Whether the questionnaire is open."""
    return tracker.active_loop_name == FORM


class ActionAccueil(Action):
    """Outside the questionnaire: welcome, or say what can be done from here."""

    def name(self) -> str:
        return "action_accueil"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        given = answers(tracker)
        if not manquantes(given):
            dispatcher.utter_message(response="utter_et_ensuite")
        elif intent(tracker) in ("affirmer", "suivant"):
            return [FollowupAction(FORM)]
        elif intent(tracker) == "nier":
            dispatcher.utter_message(response="utter_comme_vous_voulez")
        elif any(given.values()):
            dispatcher.utter_message(response="utter_a_reprendre")
        else:
            dispatcher.utter_message(response="utter_bienvenue")
        return []


class ActionInformer(Action):
    """Answer a question on a section of the article or a topic of the FAQ (contract, sections 3 and 3b)."""

    def name(self) -> str:
        return "action_informer"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        kind, subject = intent(tracker), target(tracker)
        if subject not in {"faq": FAQ, "section": SECTIONS}.get(kind, ()):
            dispatcher.utter_message(response="utter_incompris", json_message={"type": "hors_sujet"})
            return []
        dispatcher.utter_message(response=f"utter_{kind}_{subject}", json_message={"type": kind, kind: subject})
        if not in_form(tracker) and manquantes(answers(tracker)):
            dispatcher.utter_message(response="utter_pour_commencer")
        return []


class ActionIncompris(Action):
    """Not understood, or outside the subject: say so kindly and change nothing."""

    def name(self) -> str:
        return "action_incompris"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        response = "utter_hors_sujet" if intent(tracker) == "hors_sujet" else "utter_incompris"
        dispatcher.utter_message(response=response, json_message={"type": "hors_sujet"})
        if not in_form(tracker):
            after = "utter_pour_commencer" if manquantes(answers(tracker)) else "utter_et_ensuite"
            dispatcher.utter_message(response=after)
        return []


class ActionPourquoiQuestion(Action):
    """Why the open question is asked."""

    def name(self) -> str:
        return "action_pourquoi_question"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        slot = tracker.get_slot(REQUESTED_SLOT)
        if slot in SLOTS:
            dispatcher.utter_message(response=f"utter_pourquoi_{slot}", json_message={"type": "pourquoi", "slot": slot})
        return []


class ActionExpliquerQuestion(Action):
    """The person asks what the question means: the form then asks it with examples."""

    def name(self) -> str:
        return "action_expliquer_question"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        return []


class ActionPrecedent(Action):
    """Back to the question before; its answer stands until another is given."""

    def name(self) -> str:
        return "action_precedent"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        path = parcours(answers(tracker))
        now = tracker.get_slot(REQUESTED_SLOT)
        place = path.index(now) if now in path else len(path)
        if place == 0:
            dispatcher.utter_message(response="utter_pas_de_precedente")
            return []
        return [SlotSet(A_REVOIR, path[place - 1])]


class ActionModifier(Action):
    """Open again the question that a button of the recap names."""

    def name(self) -> str:
        return "action_modifier"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        slot = target(tracker)
        given = answers(tracker)
        if slot not in parcours(given):
            return []
        value = given[slot]
        if value:
            dispatcher.utter_message(response="utter_modifier", reponse=texts.label(slot, value))
        return [SlotSet(A_REVOIR, slot)]


class ActionSuivant(Action):
    """Leave the question to see again as it was answered, and go on."""

    def name(self) -> str:
        return "action_suivant"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        again = tracker.get_slot(A_REVOIR)
        return [SlotSet(A_REVOIR, None)] if again and tracker.get_slot(again) else []


class ActionRecapitulatif(Action):
    """All the answers so far, each with a button to change it."""

    def name(self) -> str:
        return "action_recapitulatif"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        given = answers(tracker)
        asked = parcours(given)
        missing = manquantes(given)
        recap = {"type": "recap", "reponses": given, "manquantes": missing}
        if len(missing) == len(asked):
            dispatcher.utter_message(response="utter_recap_vide", json_message=recap)
            return []
        lines, buttons = [], []
        for slot in asked:
            name, value = texts.text(f"utter_nom_{slot}"), given[slot]
            said = texts.label(slot, value) if value else texts.text("utter_recap_sans_reponse")
            lines.append(texts.text("utter_recap_ligne", nom=name, reponse=said))
            if value:
                title = texts.text("utter_recap_modifier", nom=name)
                buttons.append({"title": title, "payload": f'/modifier{{"cible":"{slot}"}}'})
        dispatcher.utter_message(response="utter_recap", lignes="\n".join(lines), buttons=buttons, json_message=recap)
        return []


class ActionRecommencer(Action):
    """Forget every answer."""

    def name(self) -> str:
        return "action_recommencer"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        dispatcher.utter_message(response="utter_recommencer")
        return [SlotSet(slot, None) for slot in (*SLOTS, A_REVOIR, "verdict")]


class ActionConseiller(Action):
    """How to talk with a person: the phone number and the reference."""

    def name(self) -> str:
        return "action_conseiller"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        reference = tracker.get_slot("reference") or reference_of(tracker.sender_id)
        contact = {"type": "contact", "telephone": texts.text("utter_telephone"), "reference": reference}
        dispatcher.utter_message(response="utter_conseiller", reference=reference, json_message=contact)
        return [SlotSet("reference", reference)]

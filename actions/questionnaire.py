"""The actions that carry the questionnaire: store what was heard, choose the next question, ask it.

Thin: what a value is and which question comes next are the decision's business (`actions.diagnostic`).
"""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.forms import REQUESTED_SLOT

from actions import texts
from actions.diagnostic import SLOTS, est_valeur, manquantes, parcours

A_REVOIR = "a_revoir"
"""Slot: the question that the person wants to see again, until answered anew."""

Domain = dict[str, Any]


def answers(tracker: Tracker) -> dict[str, str | None]:
    """The stored answers, None where there is none."""
    return {slot: tracker.get_slot(slot) for slot in SLOTS}


def intent(tracker: Tracker) -> str:
    """The intent of the last message."""
    return str(tracker.latest_message.get("intent", {}).get("name") or "")


def heard(tracker: Tracker) -> dict[str, str]:
    """The answers in the last message, by slot: only values of the contract, whatever the channel sent."""
    entities = tracker.latest_message.get("entities") or []
    return {e["entity"]: e["value"] for e in entities if est_valeur(e.get("entity", ""), e.get("value"))}


def target(tracker: Tracker) -> str | None:
    """What a question or a button is about: a topic, a section, a slot."""
    found = next(tracker.get_latest_entity_values("cible"), None)
    return found if isinstance(found, str) else None


def next_question(tracker: Tracker) -> str | None:
    """The question to ask now: the one to see again, else the first without an answer."""
    again = tracker.get_slot(A_REVOIR)
    missing = manquantes(answers(tracker))
    return again if again in parcours(answers(tracker)) else next(iter(missing), None)


def misses(tracker: Tracker) -> int:
    """How many messages in a row were not understood since the last answer."""
    count = 0
    for event in reversed(tracker.events):
        if event["event"] == "slot" and event["name"] in SLOTS and event.get("value") is not None:
            break
        if event["event"] == "action" and event["name"] in (
            "action_precedent",
            "action_modifier",
            "action_recommencer",
        ):
            break
        count += event["event"] == "action" and event["name"] == "action_incompris"
    return count


def just_ran(tracker: Tracker, action: str) -> bool:
    """Whether `action` ran since the last message of the person."""
    for event in reversed(tracker.events):
        if event["event"] == "user":
            return False
        if event["event"] == "action" and event["name"] == action:
            return True
    return False


class ActionValidateSlotMappings(Action):
    """Store the answers heard in the last message, and say back briefly what was understood of typed words.

    Rasa calls the action of this name after every message, in the questionnaire or not.
    """

    def name(self) -> str:
        return "action_validate_slot_mappings"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        said = heard(tracker) if intent(tracker) == "repondre" else {}
        changed = {slot: value for slot, value in said.items() if tracker.get_slot(slot) != value}
        typed = not str(tracker.latest_message.get("text") or "").startswith("/")
        if changed and typed:
            corrected = any(tracker.get_slot(slot) is not None for slot in changed)
            understood = " ; ".join(texts.label(slot, value) for slot, value in changed.items())
            dispatcher.utter_message(response="utter_corrige" if corrected else "utter_note", compris=understood)
        events: list[EventType] = [SlotSet(slot, value) for slot, value in said.items()]
        if tracker.get_slot(A_REVOIR) in said:
            events.append(SlotSet(A_REVOIR, None))
        return events


class ValidateDiagnosticForm(FormValidationAction):
    """Which question comes next (contract, section 1)."""

    def name(self) -> str:
        return "validate_diagnostic_form"

    async def get_extraction_events(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> list[EventType]:
        return []  # `action_validate_slot_mappings` has done it.

    async def get_validation_events(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> list[EventType]:
        fresh = tracker.slots_to_validate().items()
        return [SlotSet(slot, value if est_valeur(slot, value) else None) for slot, value in fresh if slot in SLOTS]

    async def next_requested_slot(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> EventType | None:
        return SlotSet(REQUESTED_SLOT, next_question(tracker))


class AskQuestion(Action):
    """Ask one question: in other words after a miss, with examples after two, with ways out after three."""

    slot = ""

    def name(self) -> str:
        return f"action_ask_{self.slot}"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> list[EventType]:
        path = parcours(answers(tracker))
        index, total = path.index(self.slot) + 1, len(path)
        missed = misses(tracker)
        wording = "ask"
        if just_ran(tracker, "action_expliquer_question"):
            wording = "exemples"
        elif missed and just_ran(tracker, "action_incompris"):
            wording = "reformuler" if missed == 1 else "exemples"
            if missed > 2:
                dispatcher.utter_message(response="utter_sans_issue")
        buttons = texts.options(self.slot)
        question = {
            "type": "question",
            "slot": self.slot,
            "index": index,
            "total": total,
            "options": [
                {"value": texts.value_of(button), "title": button["title"], "payload": button["payload"]}
                for button in buttons
            ],
        }
        dispatcher.utter_message(
            response=f"utter_{wording}_{self.slot}",
            index=str(index),
            total=str(total),
            buttons=[] if wording == "ask" else buttons,
            json_message=question,
        )
        return []


# One class for each question: Rasa looks for `action_ask_<slot>`.
for _slot in SLOTS:
    globals()[f"Ask_{_slot}"] = type(f"Ask_{_slot}", (AskQuestion,), {"slot": _slot, "__module__": __name__})

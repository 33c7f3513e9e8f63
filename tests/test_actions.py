"""Each action by itself: the events it returns and the responses it utters, for a tracker made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from rasa_sdk import Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions import conversation, questionnaire, references, texts, verdict
from actions.diagnostic import SLOTS

COMPLETE = {
    "statut_qualiopi": "non_certifie",
    "financement_actuel": "aucun",
    "financement_vise": "non",
    "ambition": "croissance",
    "partenaires": "non",
    "motivation": "projet",
    "maturite": "solide",
    "capacite": "disponible",
    "echeance": "aucune",
}


@pytest.fixture(autouse=True)
def database(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/references.db")


def tracker(
    slots: dict[str, Any] | None = None,
    intent: str = "",
    entities: dict[str, Any] | None = None,
    text: str = "texte",
    loop: str | None = "diagnostic_form",
    events: list[dict[str, Any]] | None = None,
) -> Tracker:
    found = [{"entity": name, "value": value} for name, value in (entities or {}).items()]
    message = {"text": text, "intent": {"name": intent}, "entities": found}
    return Tracker(
        "qui", slots or {}, message, events or [], False, None, {"name": loop} if loop else {}, "action_listen"
    )


def run(action: Any, seen: Tracker) -> tuple[list[Any], list[dict[str, Any]]]:
    dispatcher = CollectingDispatcher()
    events = action.run(dispatcher, seen, {})
    return events, dispatcher.messages


# ── what is stored ──


@pytest.mark.parametrize(
    ("intent", "entities", "stored"),
    [
        ("repondre", {"ambition": "croissance"}, {"ambition": "croissance"}),
        ("repondre", {"ambition": "inconnu"}, {"ambition": "inconnu"}),
        (
            "repondre",
            {"ambition": "stable", "cadre_stable": "choisi"},
            {"ambition": "stable", "cadre_stable": "choisi"},
        ),
        ("repondre", {"ambition": "énorme"}, {}),
        ("repondre", {"ambition": ["croissance"]}, {}),
        ("repondre", {"requested_slot": "ambition"}, {}),
        ("et_si", {"ambition": "croissance"}, {}),
        ("hors_sujet", {"ambition": "croissance"}, {}),
    ],
)
def test_only_answers_of_the_contract_are_stored(intent: str, entities: dict[str, Any], stored: dict[str, str]) -> None:
    events, _ = run(questionnaire.ActionValidateSlotMappings(), tracker({}, intent, entities))
    assert events == [SlotSet(slot, value) for slot, value in stored.items()]


def test_typed_words_are_said_back_but_a_button_is_not() -> None:
    action = questionnaire.ActionValidateSlotMappings()
    _, typed = run(action, tracker({}, "repondre", {"ambition": "croissance"}))
    assert typed[0]["response"] == "utter_note" and typed[0]["compris"] == "vous voulez grandir"
    _, pressed = run(
        action, tracker({}, "repondre", {"ambition": "croissance"}, text='/repondre{"ambition":"croissance"}')
    )
    assert pressed == []


def test_a_changed_answer_is_said_to_be_corrected() -> None:
    seen = tracker({"ambition": "stable"}, "repondre", {"ambition": "croissance"})
    assert run(questionnaire.ActionValidateSlotMappings(), seen)[1][0]["response"] == "utter_corrige"


def test_an_answer_to_the_question_seen_again_closes_it() -> None:
    seen = tracker({"ambition": "stable", "a_revoir": "ambition"}, "repondre", {"ambition": "stable"})
    assert SlotSet("a_revoir", None) in run(questionnaire.ActionValidateSlotMappings(), seen)[0]


# ── which question, and how it is asked ──


@pytest.mark.parametrize(
    ("slots", "asked"),
    [
        ({}, "statut_qualiopi"),
        ({"statut_qualiopi": "non_certifie", "financement_actuel": "significatif"}, "ambition"),
        ({**COMPLETE, "ambition": "stable"}, "cadre_stable"),
        ({**COMPLETE, "a_revoir": "partenaires"}, "partenaires"),
        (COMPLETE, None),
    ],
)
async def test_next_question(slots: dict[str, str], asked: str | None) -> None:
    form = questionnaire.ValidateDiagnosticForm()
    domain = {"forms": {"diagnostic_form": {"required_slots": list(SLOTS)}}}
    events = await form.run(CollectingDispatcher(), tracker(slots), domain)
    assert events[-1] == SlotSet("requested_slot", asked)


def miss(times: int) -> list[dict[str, Any]]:
    return [{"event": "user"}, {"event": "action", "name": "action_incompris"}] * times


@pytest.mark.parametrize(
    ("events", "responses"),
    [
        ([], ["utter_ask_ambition"]),
        (miss(1), ["utter_reformuler_ambition"]),
        (miss(2), ["utter_exemples_ambition"]),
        (miss(3), ["utter_sans_issue", "utter_exemples_ambition"]),
        ([*miss(2), {"event": "slot", "name": "maturite", "value": "solide"}], ["utter_ask_ambition"]),
        ([{"event": "user"}, {"event": "action", "name": "action_expliquer_question"}], ["utter_exemples_ambition"]),
    ],
    ids=["first time", "a miss", "two misses", "three misses", "an answer forgets the misses", "explain"],
)
def test_the_wording_helps_more_after_each_miss(events: list[dict[str, Any]], responses: list[str]) -> None:
    seen = tracker({"financement_actuel": "significatif"}, events=events)
    _, messages = run(questionnaire.Ask_ambition(), seen)
    assert [m["response"] for m in messages] == responses
    question = messages[-1]["custom"]
    assert (question["index"], question["total"]) == (3, 8)
    assert [o["value"] for o in question["options"]] == ["stable", "croissance", "diversification", "inconnu"]
    assert all(o["title"] and o["payload"].startswith("/repondre") for o in question["options"])


# ── steering ──


def test_precedent_goes_back_along_the_path_and_keeps_the_answer() -> None:
    slots = {"statut_qualiopi": "non_certifie", "financement_actuel": "significatif", "requested_slot": "ambition"}
    assert run(conversation.ActionPrecedent(), tracker(slots))[0] == [SlotSet("a_revoir", "financement_actuel")]
    events, messages = run(conversation.ActionPrecedent(), tracker({"requested_slot": "statut_qualiopi"}))
    assert events == [] and messages[0]["response"] == "utter_pas_de_precedente"


def test_modifier_takes_only_a_question_of_the_path() -> None:
    seen = tracker({"ambition": "stable"}, "modifier", {"cible": "ambition"})
    assert run(conversation.ActionModifier(), seen)[0] == [SlotSet("a_revoir", "ambition")]
    assert run(conversation.ActionModifier(), tracker({}, "modifier", {"cible": "reference"}))[0] == []


def test_recommencer_forgets_every_answer() -> None:
    events, _ = run(conversation.ActionRecommencer(), tracker(COMPLETE))
    assert {e["name"] for e in events} >= set(SLOTS) and all(e["value"] is None for e in events)


def test_recap_says_each_answer_and_what_is_missing() -> None:
    _, messages = run(conversation.ActionRecapitulatif(), tracker({"statut_qualiopi": "non_certifie"}))
    message = messages[0]
    assert message["custom"]["manquantes"][0] == "financement_actuel"
    assert "vous n’êtes pas certifié" in message["lignes"]
    assert [b["payload"] for b in message["buttons"]] == ['/modifier{"cible":"statut_qualiopi"}']


@pytest.mark.parametrize(
    ("intent", "subject", "custom"),
    [
        ("faq", "cout", {"type": "faq", "faq": "cout"}),
        ("section", "trop_tot", {"type": "section", "section": "trop_tot"}),
        ("faq", "trop_tot", {"type": "hors_sujet"}),
        ("section", None, {"type": "hors_sujet"}),
    ],
)
def test_questions_are_answered_or_said_to_be_unknown(intent: str, subject: str | None, custom: dict[str, str]) -> None:
    entities = {"cible": subject} if subject else {}
    assert run(conversation.ActionInformer(), tracker({}, intent, entities))[1][0]["custom"] == custom


def test_a_yes_before_the_start_starts() -> None:
    assert run(conversation.ActionAccueil(), tracker({}, "affirmer", loop=None))[0] == [
        FollowupAction("diagnostic_form")
    ]
    _, messages = run(conversation.ActionAccueil(), tracker(COMPLETE, "affirmer", loop=None))
    assert messages[0]["response"] == "utter_et_ensuite"


def test_contact_gives_one_reference_for_one_conversation() -> None:
    events, messages = run(conversation.ActionConseiller(), tracker({}))
    reference = messages[0]["custom"]["reference"]
    assert events == [SlotSet("reference", reference)]
    assert run(conversation.ActionConseiller(), tracker({}))[1][0]["custom"]["reference"] == reference


def test_references_are_unique_and_hard_to_mishear() -> None:
    codes = {references.reference_of(f"c{i}") for i in range(50)}
    assert len(codes) == 50
    assert all(set(code) <= set(references.ALPHABET + "-") for code in codes)
    assert len(references.ALPHABET) ** references.LENGTH >= 10**9


# ── verdict ──


def test_verdict_says_everything_once_complete() -> None:
    events, messages = run(verdict.ActionVerdict(), tracker(COMPLETE, loop=None))
    names = [m["response"] for m in messages]
    assert names[:2] == ["utter_verdict", "utter_verdict_raisons"] and names[-1] == "utter_verdict_fin"
    payload = messages[0]["custom"]
    assert payload["verdict"] == "pas_strategique"
    assert names.count("utter_pour_vous") == len(payload["sections"])
    assert payload["reference"] and SlotSet("verdict", "pas_strategique") in events
    assert "repose sur vos propres clients" in str([m for m in messages if m["response"] == "utter_pour_vous"])


def test_verdict_unchanged_is_said_in_a_line_and_asked_for_is_given_again() -> None:
    known = {**COMPLETE, "verdict": "pas_strategique", "reference": "HA7R-3W4J"}
    assert [m["response"] for m in run(verdict.ActionVerdict(), tracker(known))[1]] == ["utter_resultat_inchange"]
    assert run(verdict.ActionResultat(), tracker(known))[1][0]["response"] == "utter_verdict"


def test_verdict_too_early_says_how_much_is_left() -> None:
    _, messages = run(verdict.ActionResultat(), tracker({**COMPLETE, "echeance": None}))
    assert messages[0]["reste"] == "une question"


def test_hypothesis_is_shown_beside_and_not_stored() -> None:
    events, messages = run(verdict.ActionEtSi(), tracker(COMPLETE, "et_si", {"financement_vise": "oui"}, loop=None))
    assert events == []
    custom = messages[0]["custom"]
    assert custom["hypothese"] == {"financement_vise": "oui"}
    assert (custom["verdict_actuel"], custom["verdict_hypothese"]) == ("pas_strategique", "strategique_maintenant")


@pytest.mark.parametrize("slot", SLOTS)
def test_every_verdict_can_be_worded(slot: str) -> None:
    """Around a complete set of answers, each single change gives a verdict whose texts are all there."""
    for option in texts.options(slot):
        value = option["payload"].split('"')[3]
        for base in (COMPLETE, {**COMPLETE, "financement_vise": "oui", "motivation": "pression", "ambition": "stable"}):
            slots = {**base, "cadre_stable": "choisi", slot: value}
            _, messages = run(verdict.ActionResultat(), tracker(slots))
            assert messages[0]["response"] == "utter_verdict"
            assert all(
                "{" not in str(v) for m in messages for k, v in m.items() if k in ("explication", "raisons", "phrase")
            )

"""The ear as a component of Rasa: what it learns from the data files, and what it writes on a message."""

from __future__ import annotations

from rasa.shared.nlu.training_data.message import Message

from nlu.component import example_of, write
from nlu.ear import Answer, Heard
from nlu.lessons import Example


def training(
    text: str, intent: str, about: dict[str, object] | None = None, passages: list[object] | None = None
) -> Message:
    return Message.build(text, intent, [], about, {"passages": passages} if passages else None)


def test_an_answer_is_learnt_with_its_slot_value_and_context() -> None:
    message = training(
        "la moitié", "repondre", {"slot": "financement_actuel", "valeur": "significatif", "en_contexte": True}
    )
    assert example_of(message) == Example("la moitié", "repondre", {"financement_actuel": "significatif"}, True)


def test_a_question_is_learnt_with_its_subject_and_a_command_with_its_name() -> None:
    assert example_of(training("combien ?", "faq", {"cible": "cout"})) == Example("combien ?", "faq/cout")
    assert example_of(training("retour", "precedent")) == Example("retour", "precedent")


def test_annotated_passages_are_learnt_and_what_is_left_answers_nothing() -> None:
    passages = [
        {"texte": "pas certifiés", "reponses": {"statut_qualiopi": "non_certifie"}},
        {"texte": "mon client l'exige en mars", "reponses": {"motivation": "exigence", "echeance": "proche"}},
    ]
    text = "bonjour je suis coiffeuse à Lille, pas certifiés, mon client l'exige en mars"
    answers = {"statut_qualiopi": "non_certifie", "motivation": "exigence", "echeance": "proche"}
    asides = ("bonjour je suis coiffeuse à Lille",)
    assert example_of(training(text, "repondre", passages=passages)) == Example(
        text, "repondre", answers, annotated=True, asides=asides
    )


def test_a_hypothesis_is_learnt_with_what_it_supposes() -> None:
    passages = [{"texte": "j'embauchais", "reponses": {"ambition": "croissance"}}]
    found = example_of(training("et si j'embauchais ?", "et_si", passages=passages))
    assert found == Example("et si j'embauchais ?", "et_si", {"ambition": "croissance"}, annotated=True)


def test_what_is_heard_is_written_as_rasa_has_it() -> None:
    message = Message.build("on grandit, oui")
    write(message, Heard("repondre", 0.9, None, (Answer("ambition", "croissance", 0.8),), (("ambition", 0.9),)))
    assert message.get("intent") == {"name": "repondre", "confidence": 0.9}
    assert [(e["entity"], e["value"]) for e in message.get("entities")] == [("ambition", "croissance")]
    write(message, Heard("faq", 0.7, "cout"))
    assert [(e["entity"], e["value"]) for e in message.get("entities")] == [("cible", "cout")]

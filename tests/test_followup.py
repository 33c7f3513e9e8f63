"""What the console keeps and finds, on SQLite and on PostgreSQL: states, search, who holds what, figures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from actions.diagnostic import SLOTS
from actions.references import REFERENCES, engine, reference_of
from web.accounts import Accounts
from web.followup import PAGE, FollowUp, call_back_words
from web.records import Records
from web.tables import ACCOUNTS, CONVERSATIONS, ZONE, now

QUESTION = {"text": "Question 2", "custom": {"type": "question", "slot": "ambition", "index": 2, "total": 9}}
VERDICT = {"text": "Verdict", "custom": {"type": "verdict", "verdict": "deja_certifie", "variante": "valoriser"}}
CONTACT = {"text": "Appelez", "custom": {"type": "contact"}}


class Base:
    """A database with two of the staff."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.records, self.followup, self.accounts = Records(url), FollowUp(url), Accounts(url)
        for login in ("lea", "omar"):
            self.accounts.create(login, login.capitalize(), "conseiller", "une longue phrase de passe")
        self.lea, self.omar = (self.accounts.check(n, "une longue phrase de passe").id for n in ("lea", "omar"))

    def begins(self, name: str, *said: str, **values: object) -> str:
        """A conversation in which the visitor says these things."""
        self.records.open(name)
        self.followup.turn(name, None, [QUESTION])
        for words in said:
            self.followup.turn(name, words, [QUESTION])
        if values:
            with engine(self.url).begin() as connection:
                known = CONVERSATIONS.c.conversation == name
                connection.execute(update(CONVERSATIONS).where(known).values(**values))
        return name

    def listed(self, state: str = "", words: str = "") -> list[str]:
        return [line["conversation"] for line in self.followup.lines(state, words)[0]]

    def state(self, name: str) -> str:
        line = self.followup.line(name)
        assert line
        return str(line["etat"])

    def refers(self, name: str, reference: str) -> None:
        reference_of(name, self.url)
        with engine(self.url).begin() as connection:
            mine = REFERENCES.c.conversation == name
            connection.execute(update(REFERENCES).where(mine).values(reference=reference))


@pytest.fixture
def base(database: str) -> Base:
    return Base(database)


def test_the_state_follows_what_happens(base: Base) -> None:
    one = base.begins("web-1", "bonjour")
    assert base.state(one) == "questionnaire"
    base.followup.turn(one, "un conseiller", [CONTACT, QUESTION])
    assert base.state(one) == "demande"
    assert base.listed("attente") == [one]
    assert base.followup.take(one, base.lea)
    base.followup.announced(one, "Lea arrive")
    assert base.state(one) == "prise"
    assert base.listed("attente") == []
    base.followup.said(one, "visiteur", "vous êtes là ?")
    assert base.listed("attente") == [one]
    assert not base.followup.read(one, base.omar)  # A colleague who looks on has read nothing.
    assert base.followup.read(one, base.lea)
    assert not base.followup.read(one, base.lea)
    assert base.listed("attente") == [one]  # Read, but not answered.
    base.followup.said(one, "conseiller", "oui")
    assert base.listed("attente") == []
    base.followup.release(one)
    assert base.state(one) == "questionnaire"
    base.followup.turn(one, "voilà", [VERDICT])
    line = base.followup.line(one)
    assert line and (line["etat"], line["verdict"]) == ("verdict", "deja_certifie_valoriser")
    base.followup.close(one, "devis")
    assert base.state(one) == "terminee"
    base.followup.turn(one, "encore une question", [QUESTION])
    assert base.state(one) == "questionnaire"
    assert base.followup.counts() == {**dict.fromkeys(base.followup.counts(), 0), "questionnaire": 1}


def test_only_one_holds_a_conversation(base: Base) -> None:
    one = base.begins("web-1")
    assert base.followup.take(one, base.lea)
    assert base.followup.take(one, base.lea)
    assert not base.followup.take(one, base.omar)
    holder = base.followup.holder(one)
    assert holder and holder[1] == "Lea"
    assert base.followup.held_by(base.lea) == [one]
    base.followup.release(one)
    assert base.followup.take(one, base.omar)


def test_what_is_held_by_who_has_gone_is_abandoned(base: Base) -> None:
    one, two = base.begins("web-1"), base.begins("web-2")
    base.followup.take(one, base.lea)
    base.followup.take(two, base.omar)
    base.accounts.seen([base.lea, base.omar])
    assert base.followup.abandoned(60) == []
    with engine(base.url).begin() as connection:
        gone = ACCOUNTS.c.id == base.lea
        connection.execute(update(ACCOUNTS).where(gone).values(vu_le=now() - timedelta(seconds=61)))
    assert base.followup.abandoned(60) == [(one, base.lea)]
    base.accounts.close("omar")
    assert sorted(base.followup.abandoned(60)) == [(one, base.lea), (two, base.omar)]


def test_who_was_left_without_an_answer_waits_again(base: Base) -> None:
    one = base.begins("web-1")
    base.followup.take(one, base.lea)
    base.followup.said(one, "visiteur", "rappelez-moi")
    assert base.followup.waits(one)
    base.followup.release(one, waiting=True)
    assert base.listed("attente") == [one]
    base.followup.close(one, "rappel")
    assert base.listed("attente") == []


def test_a_request_for_a_person_waits_however_long(base: Base) -> None:
    one = base.begins("web-1")
    base.followup.turn(one, "un conseiller", [CONTACT, QUESTION])
    with engine(base.url).begin() as connection:
        connection.execute(update(CONVERSATIONS).values(dernier_le=now() - timedelta(days=2)))
    assert base.listed("attente") == [one]


def test_what_a_conversation_gave_stays_while_it_is_held_again(base: Base) -> None:
    one = base.begins("web-1")
    base.followup.close(one, "devis")
    base.followup.take(one, base.lea)
    base.followup.release(one)
    line = base.followup.line(one)
    assert line and (line["etat"], line["issue"]) == ("terminee", "devis")


def test_a_search_forgives(base: Base) -> None:
    one = base.begins("web-1", "je suis formatrice à Besançon", "100 % sûre")
    two = base.begins("web-2", "bonjour")
    base.refers(one, "HA7R-3W4J")
    base.refers(two, "XXYY-2346")
    base.followup.found_by(two, "Éléonore Dupuy")
    base.followup.turn(two, "mon numéro : +33 6 98 76 54 32, l’OPCO attend", [QUESTION])
    for words in ("besancon", "BESANÇON formatrice", "ha7r3w4j", "h a 7 r tiret 3 w 4 j", "HA7R-3W4X", "100 %"):
        assert base.listed(words=words) == [one], words
    for words in ("eleonore", "l'opco", "dupuy ÉLÉONORE", "06 98 76 54 32", "0698765432", "06.98.76"):
        assert base.listed(words=words) == [two], words
    assert base.listed(words="%") == [one]  # A sign like any other.
    for words in ("lyon", "_", "besançon lyon", "0612345678"):
        assert base.listed(words=words) == [], words
    assert [line["approche"] for line in base.followup.lines(words="HA7R-3W4J")[0]] == [False]
    assert [line["approche"] for line in base.followup.lines(words="HA7R-3W4X")[0]] == [True]
    assert base.listed("terminee", "besançon") == []


def test_the_list_comes_by_pages_the_latest_first(base: Base) -> None:
    for number in range(PAGE + 3):
        base.begins(f"web-{number}", dernier_le=now() - timedelta(minutes=number))
    first, more = base.followup.lines()
    assert [line["conversation"] for line in first[:2]] == ["web-0", "web-1"]
    assert more and len(first) == PAGE
    last, more = base.followup.lines(page=1)
    assert [line["conversation"] for line in last] == [f"web-{PAGE}", f"web-{PAGE + 1}", f"web-{PAGE + 2}"]
    assert not more


def test_silence_ends(base: Base) -> None:
    one = base.begins("web-1", dernier_le=now() - timedelta(minutes=31))
    assert base.state(one) == "terminee"


def test_answers_noted_on_the_phone_move_the_step_on(base: Base) -> None:
    one = base.begins("tel-1")
    given: dict[str, str | None] = dict.fromkeys(SLOTS)
    base.followup.answered(one, {**given, "statut_qualiopi": "certifie"})
    line = base.followup.line(one)
    assert line and (line["question"], line["rang"], line["total"]) == ("financement_actuel", 2, 6)
    complete = {**dict.fromkeys(SLOTS, "inconnu"), "statut_qualiopi": "certifie"}
    base.followup.answered(one, complete)
    line = base.followup.line(one)
    assert line and (line["question"], line["verdict"]) == (None, "deja_certifie_approfondir")


def test_figures_count_begun_finished_left_and_waits(base: Base) -> None:
    asked = now() - timedelta(minutes=10)
    base.begins("web-1", demandee_le=asked, premiere_prise_le=asked + timedelta(seconds=40))
    base.begins("web-2", demandee_le=asked, premiere_prise_le=asked + timedelta(seconds=80))
    base.begins("web-3", dernier_le=now() - timedelta(hours=2))
    base.begins("web-4", ouverte_le=now() - timedelta(days=8))
    base.followup.turn("web-1", "fini", [VERDICT])
    base.records.add_call_back("web-1", "Jo", "0612345678", "")
    base.records.set_opinion("web-1", "deja_certifie_valoriser", True)
    base.records.set_opinion("web-2", "deja_certifie_valoriser", False)
    found = base.followup.figures(7)
    assert len(found["jours"]) == 7 and found["jours"][now().astimezone(ZONE).date()] == 3
    assert {name: found[name] for name in ("commencees", "verdict", "abandonnees", "abandons", "verdicts")} == {
        "commencees": 3,
        "verdict": 1,
        "abandonnees": 1,
        "abandons": {"ambition": 1},
        "verdicts": {"deja_certifie_valoriser": 1},
    }
    assert {name: found[name] for name in ("rappels", "demandes", "prises", "delais", "utile", "pas_utile")} == {
        "rappels": {"a_rappeler": 1},
        "demandes": 2,
        "prises": 2,
        "delais": (60.0, 80.0),
        "utile": 1,
        "pas_utile": 1,
    }
    assert base.followup.figures(30)["commencees"] == 4


def test_notes_call_backs_and_meanings_name_who_gave_them(base: Base) -> None:
    one = base.begins("web-1")
    base.followup.add_note(one, base.lea, "rappeler le matin")
    assert [(n["nom"], n["texte"]) for n in base.followup.notes(one)] == [("Lea", "rappeler le matin")]
    assert base.listed(words="matin") == [one]
    base.records.add_call_back(one, "Jo", "jo@exemple.fr", "")
    number = base.followup.call_backs(one)[0]["id"]
    assert base.followup.set_call_back(number, "rappele", base.omar) == one
    assert [(r["etat"], r["preneur"]) for r in base.followup.call_backs(state="rappele")] == [("rappele", "Omar")]
    assert base.followup.set_call_back(number + 1, "rappele", base.omar) is None
    base.followup.add_not_understood(one, "ambition", "bof", "nier", 0.4)
    said = base.followup.not_understood(labelled=False)[0]["id"]
    assert base.followup.set_meaning(said, "autre:ambigu", base.lea)
    assert [row["nom"] for row in base.followup.not_understood(labelled=True)] == ["Lea"]
    assert base.followup.not_understood(labelled=False) == []


def test_erased_contact_details_are_found_no_more(base: Base) -> None:
    one = base.begins("web-1", "bonjour à tous")
    base.records.add_call_back(one, "Léa Durand", "+33 (0)6 12 34 56 78", "le soir")
    for words in call_back_words("Léa Durand", "+33 (0)6 12 34 56 78", "le soir"):
        base.followup.found_by(one, words)
    assert base.listed(words="durand") == base.listed(words="06 12 34 56 78") == [one]
    assert base.followup.erase_call_back(base.followup.call_backs(one)[0]["id"]) == one
    line = base.followup.line(one)
    assert line and " ".join(line["recherche"].split()) == "bonjour a tous"
    assert base.followup.erase_call_back(99) is None


def test_an_amount_is_found_as_it_was_typed(base: Base) -> None:
    one = base.begins("web-1", "un budget de 250 000 environ")
    assert base.listed(words="250 000") == [one]


def test_a_log_does_not_name_what_is_not_kept(base: Base) -> None:
    base.accounts.note(base.lea, "rappel", "web-effacee")
    assert [line["conversation"] for line in base.accounts.audit()] == [None]


def test_the_log_is_kept_a_year(base: Base) -> None:
    base.begins("web-1")
    base.accounts.note(base.lea, "ouvert", "web-1")
    base.accounts.purge()
    assert [(line["nom"], line["action"], line["conversation"]) for line in base.accounts.audit()] == [
        ("Lea", "ouvert", "web-1")
    ]

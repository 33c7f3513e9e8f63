"""The document to keep, read again from its PDF: its words, its tags, its length."""

from __future__ import annotations

import io
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Any

import pytest
from pypdf import PdfReader

from actions import texts
from actions.diagnostic import (
    INCONNU,
    SLOTS,
    VALEURS,
    VERDICTS,
    VERSION,
    ReponsesInvalides,
    diagnostiquer,
    est_posee,
    parcours,
)
from actions.restitution import key, restitution
from web.bilan import answer, bilan, donnees

REFERENCE = "K7M4QF"
LE = date(2026, 8, 1)
BASE = {
    "statut_qualiopi": "non_certifie",
    "financement_actuel": "minoritaire",
    "financement_vise": "oui",
    "ambition": "croissance",
    "partenaires": "a_terme",
    "motivation": "projet",
    "maturite": "solide",
    "capacite": "disponible",
    "echeance": "aucune",
}
ALONE = {"financement_actuel": "aucun", "financement_vise": "non", "partenaires": "non"}
CASES = {
    "strategique_maintenant": BASE,
    "strategique_a_preparer": {**BASE, "maturite": "informelle", "capacite": "insuffisante"},
    "strategique_sous_contrainte": {
        **BASE,
        "ambition": "stable",
        "cadre_stable": "non_structure",
        "motivation": "pression",
        "maturite": "informelle",
        "capacite": "insuffisante",
        "echeance": "proche",
    },
    "vision_a_clarifier": {**BASE, "financement_vise": "possible", "motivation": "pression", "maturite": "informelle"},
    "a_anticiper": {**BASE, "financement_vise": "non", "ambition": "stable", "cadre_stable": "choisi"},
    "pas_strategique": {**BASE, **ALONE, "echeance": "proche"},
    "a_approfondir": {**BASE, **dict.fromkeys(("financement_actuel", "ambition", "partenaires", "maturite"), INCONNU)},
    "deja_certifie_valoriser": {**BASE, "statut_qualiopi": "certifie", "maturite": "informelle"},
    "deja_certifie_reinterroger": {**BASE, **ALONE, "statut_qualiopi": "certifie"},
    "deja_certifie_approfondir": {
        **BASE,
        **dict.fromkeys(("financement_actuel", "financement_vise", "ambition", "partenaires"), INCONNU),
        "statut_qualiopi": "certifie",
    },
}
every_verdict = pytest.mark.parametrize("name", CASES)


@lru_cache(maxsize=len(CASES))
def made(name: str) -> PdfReader:
    return PdfReader(io.BytesIO(bilan(CASES[name], REFERENCE, LE)))


def bare(text: str) -> str:
    """Without what a page's layout changes: spaces of every kind, line ends, ligatures."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def words(reader: PdfReader) -> str:
    return bare("".join(page.extract_text() for page in reader.pages))


def elements(node: Any) -> Iterator[Any]:
    """The structure elements under `node`, itself included, in reading order."""
    node = node.get_object()
    if isinstance(node, list):
        for kid in node:
            yield from elements(kid)
    elif isinstance(node, dict):
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from elements(node["/K"])


def tags(reader: PdfReader) -> list[str]:
    return [element["/S"] for element in elements(reader.trailer["/Root"]["/StructTreeRoot"])]


def some_answers(rng: random.Random) -> dict[str, str | None]:
    """What a person could have answered, « je ne sais pas » included."""
    given: dict[str, str | None] = {}
    for slot in SLOTS:
        if est_posee(slot, given):
            given[slot] = rng.choice((*VALEURS[slot], INCONNU))
    return given


def pages(given: dict[str, str | None]) -> int:
    return len(PdfReader(io.BytesIO(bilan(given, REFERENCE, LE))).pages)


def test_the_cases_are_all_the_verdicts() -> None:
    found = {name: diagnostiquer(given) for name, given in CASES.items()}
    assert {name: key(diagnostic) for name, diagnostic in found.items()} == {name: name for name in CASES}
    assert {diagnostic.verdict for diagnostic in found.values()} == set(VERDICTS)


# ── what it says ──


@every_verdict
def test_the_document_says_all_of_the_verdict(name: str) -> None:
    said = restitution(diagnostiquer(CASES[name]))
    text = words(made(name))
    expected = [said.titre, said.phrase, *said.etapes]
    expected += [texts.sentence(reason.reponse) for reason in said.raisons]
    expected += [part.nom + part.explication for part in said.parties]
    expected += [f"Si {piste.hypothese}, le verdict serait « {piste.titre} »." for piste in said.pistes]
    assert said.raisons and said.parties and said.etapes
    assert [sentence for sentence in expected if bare(sentence) not in text] == []


@every_verdict
def test_the_document_gives_every_answer_beside_its_question(name: str) -> None:
    text = words(made(name))
    given = CASES[name]
    for slot in parcours(given):
        assert bare(texts.text(f"utter_nom_{slot}") + answer(slot, given[slot])) in text


@every_verdict
def test_the_document_says_when_for_whom_by_what_and_whom_to_call(name: str) -> None:
    text = words(made(name))
    for said in (
        "Le 1er août 2026",
        f"Référence : {REFERENCE}",
        f"la version {VERSION} de ses règles",
        "assistant automatique",
        "à titre d’information",
        "« Pas maintenant » est une aussi bonne réponse que « oui »",
        f"{texts.text('utter_telephone')} (appel non surtaxé)",
    ):
        assert bare(said) in text, said


@every_verdict
def test_each_reason_stands_under_its_sign_and_its_word(name: str) -> None:
    text = words(made(name))
    said = restitution(diagnostiquer(CASES[name]))
    for effect, label in {"pour": "+Pour", "contre": "−Contre", "vigilance": "!Àsurveiller"}.items():
        first = next((reason.reponse for reason in said.raisons if reason.effet == effect), None)
        assert (label in text) is (first is not None)
        assert first is None or label + bare(texts.sentence(first)) in text


@pytest.mark.parametrize(
    ("le", "said"),
    [(date(2026, 11, 25), "Le 25 novembre 2026"), (date(2027, 1, 1), "Le 1er janvier 2027")],
)
def test_the_date_is_written_the_french_way(le: date, said: str) -> None:
    assert bare(said) in words(PdfReader(io.BytesIO(bilan(BASE, REFERENCE, le))))


def test_the_phone_number_can_be_touched() -> None:
    links = [
        annotation.get_object()
        for page in made("strategique_maintenant").pages
        for annotation in page.get("/Annots", [])
        if annotation.get_object()["/Subtype"] == "/Link"
    ]
    assert [link["/A"]["/URI"] for link in links] == ["tel:+33972010007"]
    assert links[0]["/Contents"]


def test_an_answer_not_given_is_said_to_be_missing() -> None:
    given = {**BASE, "echeance": None}
    missing = texts.sentence(texts.text("utter_recap_sans_reponse"))
    assert bare(texts.text("utter_nom_echeance") + missing) in words(PdfReader(io.BytesIO(bilan(given, REFERENCE, LE))))


def test_an_answer_to_a_question_no_longer_asked_is_left_out() -> None:
    rows = donnees({**BASE, "cadre_stable": "choisi"}, REFERENCE, LE)["reponses"]
    assert texts.text("utter_nom_cadre_stable") not in [row["nom"] for row in rows]


def test_when_nothing_weighs_or_would_change_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {**donnees(BASE, REFERENCE, LE), "raisons": [], "pistes": []}
    monkeypatch.setattr("web.bilan.donnees", lambda *_: shown)
    text = words(PdfReader(io.BytesIO(bilan(BASE, REFERENCE, LE))))
    assert bare(texts.text("utter_raison_aucune")) in text
    assert bare(texts.text("utter_verdict_sans_bascule")) in text


def test_what_comes_in_is_shown_and_never_obeyed() -> None:
    odd = '#panic() *K* $x$ = <a> "b"'
    assert bare(odd) in words(PdfReader(io.BytesIO(bilan(BASE, odd, LE))))


def test_answers_that_are_none_are_refused() -> None:
    with pytest.raises(ReponsesInvalides):
        bilan({**BASE, "ambition": "énorme"}, REFERENCE, LE)


# ── how it is made ──


@every_verdict
def test_the_document_declares_itself_accessible(name: str) -> None:
    reader = made(name)
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"].value is True
    assert root["/Lang"] == "fr"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"].value is True
    assert reader.metadata is not None
    assert reader.metadata.title == f"Votre bilan Qualiopi – {restitution(diagnostiquer(CASES[name])).titre}"
    assert re.search(r"<pdfuaid:part>1</pdfuaid:part>|pdfuaid:part=\"1\"", root["/Metadata"].get_data().decode("utf-8"))


@every_verdict
def test_headings_lists_table_and_bars_are_tagged(name: str) -> None:
    diagnostic = diagnostiquer(CASES[name])
    said = restitution(diagnostic)
    found = tags(made(name))
    counted = Counter(found)
    answers = len(parcours(diagnostic.reponses))
    assert counted["/H1"] == 1 and found.index("/H1") < found.index("/H2")
    assert counted["/H2"] == 8
    assert counted["/H3"] == len(said.parties)
    assert counted["/LI"] == len(said.raisons) + len(said.etapes) + len(said.pistes)
    assert counted["/L"] == len({reason.effet for reason in said.raisons}) + 1 + bool(said.pistes)
    assert counted["/Table"] == 1 and counted["/TH"] == 2
    assert counted["/TR"] == answers + 1 and counted["/TD"] == 2 * answers
    assert counted["/Link"] == 1


@every_verdict
def test_each_bar_says_in_words_how_much_it_weighs(name: str) -> None:
    weighed = [reason for reason in donnees(CASES[name], REFERENCE, LE)["raisons"] if reason["effet"] != "vigilance"]
    tree = made(name).trailer["/Root"]["/StructTreeRoot"]
    figures = [element for element in elements(tree) if element["/S"] == "/Figure"]
    assert [figure["/Alt"] for figure in figures] == [f"Pèse {reason['poids']} sur 3." for reason in weighed]


def test_the_only_fonts_are_those_that_typst_carries() -> None:
    names = {
        font["/BaseFont"].partition("+")[2].partition("-")[0]
        for page in made("strategique_maintenant").pages
        for font in (entry.get_object() for entry in page["/Resources"]["/Font"].values())
    }
    assert names == {"LibertinusSerif"}


def test_the_same_verdict_gives_the_same_bytes() -> None:
    assert bilan(BASE, REFERENCE, LE) == bilan(dict(reversed(BASE.items())), REFERENCE, LE)
    created = made("strategique_maintenant").metadata
    assert created is not None and created.creation_date is not None and created.creation_date.date() == LE


# ── its length ──


@every_verdict
def test_every_verdict_takes_two_pages_at_most(name: str) -> None:
    assert len(made(name).pages) <= 2
    assert bare(f"page 1 / {len(made(name).pages)}") in words(made(name))


def test_any_answers_take_two_pages_at_most() -> None:
    rng = random.Random(2026)
    assert [given for given in (some_answers(rng) for _ in range(300)) if pages(given) > 2] == []


def test_the_longest_texts_take_two_pages_at_most() -> None:
    rng = random.Random(7)
    many = [some_answers(rng) for _ in range(3000)]
    longest = sorted(many, key=lambda given: -len(json.dumps(donnees(given, REFERENCE, LE))))[:100]
    assert [given for given in longest if pages(given) > 2] == []

"""The decision against the contract: one titled case per row and circumstance, then the whole space of answers."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions import diagnostic
from actions.diagnostic import INCONNU, SLOTS, VALEURS, diagnostiquer, est_posee, manquantes, parcours

BASE = {
    "statut_qualiopi": "non_certifie",
    "financement_actuel": "minoritaire",
    "financement_vise": "possible",
    "ambition": "croissance",
    "partenaires": "a_terme",
    "motivation": "projet",
    "maturite": "en_construction",
    "capacite": "partielle",
    "echeance": "aucune",
}
DIRECT = {"financement_actuel": "aucun", "financement_vise": "non", "partenaires": "non"}
MODEST = {"ambition": "stable", "cadre_stable": "choisi"}

CASES = [
    ("a strong stake on fair footing: now", {}, "strategique_maintenant", ["croissance", "bon_moment"]),
    (
        "living on pooled funds, solid: now, each strong lever told",
        {"financement_actuel": "significatif", "partenaires": "oui", "maturite": "solide", "capacite": "disponible"},
        "strategique_maintenant",
        ["financements", "croissance", "credibilite", "bon_moment"],
    ),
    (
        "a strong stake on habits alone: prepare first",
        {"maturite": "informelle"},
        "strategique_a_preparer",
        ["croissance", "trop_tot", "maturite"],
    ),
    (
        "a near date on fair footing: constrained, middling levers told too",
        {"echeance": "proche"},
        "strategique_sous_contrainte",
        ["financements", "croissance", "credibilite", "trop_tard"],
    ),
    (
        "a near date on solid footing: now, with the price of lateness",
        {"echeance": "proche", "maturite": "solide", "capacite": "disponible"},
        "strategique_maintenant",
        ["croissance", "bon_moment", "trop_tard"],
    ),
    (
        "pressure without strong funding: clarify first",
        {"motivation": "pression"},
        "vision_a_clarifier",
        ["sans_vision", "financements", "croissance", "credibilite"],
    ),
    (
        "pressure, but funds are aimed at: now, told of the lack of aim",
        {"motivation": "pression", "financement_vise": "oui"},
        "strategique_maintenant",
        ["financements", "croissance", "bon_moment", "sans_vision"],
    ),
    (
        "a middling stake without hurry: anticipate",
        {**MODEST},
        "a_anticiper",
        ["financements", "credibilite", "bon_moment", "activite_limitee"],
    ),
    (
        "a middling stake, demanded for soon: constrained",
        {**MODEST, "motivation": "exigence", "echeance": "proche"},
        "strategique_sous_contrainte",
        ["financements", "credibilite", "trop_tard", "activite_limitee"],
    ),
    (
        "a middling stake, demanded for later: anticipate, with the price of lateness",
        {**MODEST, "motivation": "exigence", "echeance": "lointaine"},
        "a_anticiper",
        ["financements", "credibilite", "bon_moment", "trop_tard", "activite_limitee"],
    ),
    (
        "a middling stake and no known reason: clarify",
        {**MODEST, "motivation": INCONNU},
        "vision_a_clarifier",
        ["sans_vision", "financements", "credibilite", "activite_limitee"],
    ),
    (
        "staying small for lack of structure is a middling lever",
        {**DIRECT, "ambition": "stable", "cadre_stable": "non_structure", "partenaires": "a_terme"},
        "a_anticiper",
        ["croissance", "credibilite", "bon_moment", "activite_limitee"],
    ),
    (
        "growing on one's own channels is not a stake",
        DIRECT,
        "pas_strategique",
        ["vente_directe", "croissance"],
    ),
    (
        "small by choice, selling directly: not strategic",
        {**DIRECT, **MODEST},
        "pas_strategique",
        ["vente_directe", "activite_limitee"],
    ),
    (
        "not strategic, though demanded and fragile: each circumstance told once",
        {**DIRECT, **MODEST, "motivation": "exigence", "capacite": "insuffisante"},
        "pas_strategique",
        ["vente_directe", "activite_limitee", "trop_tard", "trop_tot", "maturite"],
    ),
    (
        "four unknown answers: look further",
        {"motivation": INCONNU, "maturite": INCONNU, "capacite": INCONNU, "echeance": INCONNU},
        "a_approfondir",
        ["bonnes_questions"],
    ),
    (
        "an unknown stake: look further",
        {**DIRECT, **MODEST, "partenaires": INCONNU},
        "a_approfondir",
        ["bonnes_questions"],
    ),
    (
        "an unknown status does not count among the unknowns",
        {"statut_qualiopi": INCONNU, "maturite": INCONNU, "capacite": INCONNU, "echeance": INCONNU},
        "strategique_maintenant",
        ["croissance", "bon_moment"],
    ),
]


@pytest.mark.parametrize(("changes", "verdict", "sections"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_row(changes: dict[str, str], verdict: str, sections: list[str]) -> None:
    found = diagnostiquer({**BASE, **changes})
    assert (found.verdict, list(found.sections)) == (verdict, sections)


@pytest.mark.parametrize(
    ("changes", "variante", "sections"),
    [
        ({}, "valoriser", ["financements", "croissance", "credibilite"]),
        ({**DIRECT, **MODEST}, "reinterroger", ["vente_directe", "activite_limitee", "credibilite"]),
        (
            {**DIRECT, **MODEST, "partenaires": INCONNU},
            "approfondir",
            ["vente_directe", "activite_limitee", "credibilite"],
        ),
        ({"maturite": "informelle"}, "valoriser", ["financements", "croissance", "credibilite", "maturite"]),
    ],
    ids=["a stake: make it count", "no stake: question it", "unknown stake: look further", "fallen back to habits"],
)
def test_already_certified(changes: dict[str, str], variante: str, sections: list[str]) -> None:
    found = diagnostiquer({**BASE, **changes, "statut_qualiopi": "certifie"})
    assert (found.verdict, found.variante, list(found.sections)) == ("deja_certifie", variante, sections)


def test_questions_follow_the_answers() -> None:
    assert len(parcours({})) == 9
    assert "financement_vise" not in parcours({"financement_actuel": "significatif"})
    assert "cadre_stable" in parcours({"ambition": "stable"})
    assert parcours({"statut_qualiopi": "certifie"})[-1] == "maturite"
    assert manquantes({**BASE, "echeance": None}) == ["echeance"]


def test_an_answer_to_a_question_not_asked_counts_for_nothing() -> None:
    assert diagnostiquer({**BASE, "cadre_stable": "choisi"}).verdict == diagnostiquer(BASE).verdict
    certified = {**BASE, "statut_qualiopi": "certifie"}
    assert diagnostiquer({**certified, "capacite": "insuffisante"}).socle == "moyen"


# ── the whole space, against the contract written a second time, as a table ──


def contract(a: dict[str, str]) -> tuple[str, list[str]]:
    """Verdict and sections, read from the contract line by line, in another manner than the engine's."""
    asked = {s: v for s, v in a.items() if est_posee(s, a)}
    fa, fv = asked["financement_actuel"], asked.get("financement_vise", "")
    fin = (
        "fort" if fa == "significatif" or fv == "oui"
        else "moyen" if fa == "minoritaire" or fv == "possible"
        else INCONNU if INCONNU in (fa, fv)
        else "nul"
    )  # fmt: skip
    cro = {"croissance": "fort", "diversification": "fort", INCONNU: INCONNU}.get(asked["ambition"]) or {
        "non_structure": "moyen", "choisi": "nul", INCONNU: INCONNU,
    }[asked["cadre_stable"]]  # fmt: skip
    cre = {"oui": "fort", "a_terme": "moyen", "non": "nul", INCONNU: INCONNU}[asked["partenaires"]]
    levers = [fin, "nul" if fin == cre == "nul" else cro, cre]
    stake = "fort" if "fort" in levers else "moyen" if "moyen" in levers else INCONNU if INCONNU in levers else "nul"
    solid = asked["maturite"] == "solide" and asked.get("capacite") == "disponible"
    fragile = not solid and (asked["maturite"] == "informelle" or asked.get("capacite") == "insuffisante")
    why, when = asked.get("motivation"), asked.get("echeance")
    told = list(zip(["financements", "croissance", "credibilite"], [fin, cro, cre], strict=True))
    strong = [s for s, force in told if force == "fort"]
    some = [s for s, force in told if force in ("fort", "moyen")]
    small, grows = asked["ambition"] == "stable", asked["ambition"] in ("croissance", "diversification")

    if a["statut_qualiopi"] == "certifie":
        row = some + ["vente_directe"] * (fin == "nul") + ["activite_limitee"] * small + ["credibilite"]
        return "deja_certifie", list(dict.fromkeys(row + ["maturite"] * (asked["maturite"] == "informelle")))
    unknown = sum(v == INCONNU for s, v in asked.items() if s != "statut_qualiopi")
    if unknown >= 4 or stake == INCONNU:
        return "a_approfondir", ["bonnes_questions"]
    if stake == "nul":
        verdict, row = "pas_strategique", ["vente_directe"] + ["activite_limitee"] * small + ["croissance"] * grows
    elif why == "pression" and fin != "fort":
        verdict, row = "vision_a_clarifier", ["sans_vision", *some]
    elif stake == "moyen" and why == "exigence" and when == "proche":
        verdict, row = "strategique_sous_contrainte", [*some, "trop_tard"]
    elif stake == "moyen" and why == INCONNU:
        verdict, row = "vision_a_clarifier", ["sans_vision", *some]
    elif stake == "moyen":
        verdict, row = "a_anticiper", [*some, "bon_moment"]
    elif when == "proche" and not solid:
        verdict, row = "strategique_sous_contrainte", [*some, "trop_tard"]
    elif fragile:
        verdict, row = "strategique_a_preparer", [*strong, "trop_tot", "maturite"]
    else:
        verdict, row = "strategique_maintenant", [*strong, "bon_moment"]
    row += ["sans_vision"] * (why == "pression") + ["trop_tard"] * (when == "proche" or why == "exigence")
    row += ["trop_tot", "maturite"] * fragile + ["activite_limitee"] * small
    return verdict, list(dict.fromkeys(row))


def test_every_combination_agrees_with_the_contract() -> None:
    spaces = [(*VALEURS[slot], INCONNU) for slot in SLOTS]
    count = 0
    for values in itertools.product(*spaces):
        answers = dict(zip(SLOTS, values, strict=True))
        if any(v != INCONNU for s, v in answers.items() if not est_posee(s, answers)):
            continue  # Seen elsewhere: what is not asked counts for nothing.
        verdict, levers, _, footing = diagnostic._decider(answers)
        sections = diagnostic._sections(verdict, diagnostic._posees(answers), levers, footing)
        assert (verdict, list(sections)) == contract(answers), answers
        count += 1
    assert count > 100_000


# ── properties ──

any_answers = st.fixed_dictionaries({slot: st.sampled_from([*VALEURS[slot], INCONNU, None]) for slot in SLOTS})


@given(any_answers)
@settings(max_examples=300, deadline=None)
def test_total_and_deterministic(answers: dict[str, str | None]) -> None:
    payload = diagnostiquer(answers).payload()
    assert payload == diagnostiquer(answers).payload()
    assert payload["verdict"] in diagnostic.VERDICTS
    assert set(payload["sections"]) <= set(diagnostic.SECTIONS)
    assert len(payload["sections"]) == len(set(payload["sections"]))
    assert payload["reponses"] == answers
    json.dumps(payload)


@given(any_answers)
@settings(max_examples=300, deadline=None)
def test_what_would_change_the_verdict_is_true_when_replayed(answers: dict[str, str | None]) -> None:
    found = diagnostiquer(answers)
    said = {(b.slot, b.value): b.verdict for b in found.bascules}
    for slot in parcours(answers):
        for value in VALEURS[slot]:
            if value == answers[slot]:
                continue
            other = diagnostiquer({**answers, slot: value}).verdict
            assert said.get((slot, value), found.verdict) == other


@given(any_answers, st.sampled_from(diagnostic.LEVIERS))
@settings(max_examples=300, deadline=None)
def test_a_stronger_lever_never_lowers_the_stake(answers: dict[str, str | None], lever: str) -> None:
    force = ["nul", "moyen", "fort"]
    levers = diagnostic.evaluer_leviers(answers)
    if INCONNU in levers.values():
        return
    stakes = [force.index(diagnostic.evaluer_enjeu({**levers, lever: f})) for f in force]
    assert stakes == sorted(stakes)


# ── the command ──


def test_command_answers_each_line_and_says_which_are_wrong() -> None:
    lines = [json.dumps(BASE), "[1, 2]", '{"ambition": "énorme"}', '{"inconnue": "oui"}', "pas du JSON", "{}"]
    out = io.StringIO()
    assert diagnostic.main(io.StringIO("\n".join(lines)), out) == 1
    results = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [("verdict" in r, "erreur" in r) for r in results] == [(True, False)] + [(False, True)] * 4 + [(True, False)]
    assert results[0]["verdict"] == "strategique_maintenant" and "reference" not in results[0]


def test_command_runs_without_rasa() -> None:
    code = (
        "import runpy, sys; sys.modules['rasa'] = sys.modules['rasa_sdk'] = None;"
        "runpy.run_module('actions.diagnostic', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(BASE), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and json.loads(done.stdout)["verdict"] == "strategique_maintenant"


# ── the table, looked at line by line ──

every_answer = st.fixed_dictionaries({slot: st.sampled_from([*VALEURS[slot], INCONNU]) for slot in SLOTS})


@given(every_answer, st.sets(st.sampled_from(SLOTS)))
@settings(max_examples=300, deadline=None)
def test_a_line_is_struck_only_once_no_missing_answer_can_bring_it_back(
    answers: dict[str, str | None], missing: set[str]
) -> None:
    (held,) = [look.ligne for look in diagnostic.examiner(answers) if look.etat == "tient"]
    assert held.verdict == diagnostiquer(answers).verdict
    before = {look.ligne.numero: look.etat for look in diagnostic.examiner({**answers, **dict.fromkeys(missing)})}
    assert before[held.numero] in ("ouverte", "tient")
    assert list(before.values()).count("tient") <= 1


def test_lines_are_struck_as_answers_come() -> None:
    def states(**answers: str) -> str:
        marks = {"ouverte": ".", "ecartee": "x", "tient": "T", "sans_objet": "-"}
        return "".join(marks[look.etat] for look in diagnostic.examiner(answers))

    assert states() == ".........."
    assert states(statut_qualiopi="certifie") == "T---------"
    assert states(statut_qualiopi="non_certifie") == "x........."
    strong = {"statut_qualiopi": "non_certifie", "financement_actuel": "significatif", "ambition": "croissance"}
    assert states(**strong) == "x.xxxxx..."
    assert states(**strong, partenaires="non", motivation="projet", maturite="solide") == "xxxxxxx..."
    assert (
        states(**strong, partenaires="non", motivation="projet", maturite="informelle", echeance="proche")
        == "xxxxxxxT--"
    )

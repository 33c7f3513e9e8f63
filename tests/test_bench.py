"""The measures of `make bench`: what is made of the figures; what is timed is still there. No time is judged."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from actions.diagnostic import SLOTS, VALEURS
from scripts import bench, bench_suggested, evaluate, train
from scripts.bench import AT_ONCE, PARTS, QUICK, Measured, goals, number, parts_of, render
from scripts.bench_rasa import WATCHED, found, timed
from scripts.bench_turns import MESSAGES, Load, Times, parts

SVG = "{http://www.w3.org/2000/svg}"


def measured(milliseconds: float, rate: float, megabytes: float, right: float) -> Measured:
    """An assistant whose turns all take so long."""
    return Measured(
        starts=[milliseconds / 10],
        turns={kind: Times(milliseconds, 2 * milliseconds) for kind in MESSAGES},
        loads={count: Load(rate, lost=3 if count == 64 else 0) for count in AT_ONCE},
        memory={"rasa": (megabytes, megabytes)},
        lengths=dict.fromkeys(QUICK.lengths, milliseconds),
        events=dict.fromkeys(QUICK.events, milliseconds),
        training=1800,
        heard=evaluate.Figures(
            rates=dict.fromkeys(("juste", "faux", "plusieurs", "questions", "hors_sujet", "conduite"), right)
        ),
    )


@pytest.fixture
def compared() -> dict[str, Measured]:
    return {"usuel": measured(200, 5, 2000, 70), "bon_moment": measured(20, 40, 1200, 90)}


@pytest.fixture
def turn() -> dict[str, float]:
    return {"total": float(len(PARTS)), **dict.fromkeys(PARTS, 1.0)}


def page(compared: dict[str, Measured], turn: dict[str, float], in_postgresql: dict[int, float]) -> str:
    return render(
        "performance.md.j2",
        found=compared,
        door={kind: Times(30, 40) for kind in MESSAGES},
        parts=dict.fromkeys(MESSAGES, turn),
        in_postgresql=in_postgresql,
        goals=goals(compared),
        kinds=tuple(MESSAGES),
        at_once=AT_ONCE,
        pace=QUICK,
        quick=True,
        rounds=1,
        usual_rounds=100,
        conversations=24,
        machine={"processeur": "essai", "coeurs": 2, "memoire": 8.0, "charge": 0.1},
        day=date(2026, 11, 28),
    )


def test_the_page_says_what_is_kept_and_what_is_not(compared: dict[str, Measured], turn: dict[str, float]) -> None:
    text = page(compared, turn, {100: 3.0, 10_000: 3.0})
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert lines["Un tour, un bouton : au plus le quart du temps"].endswith("| × 0,10 | tenu |")
    assert lines["Mémoire : au plus la moitié"].endswith("| × 0,60 | **non tenu** |")
    assert lines["Tours par seconde, 64 conversations à la fois : au moins quatre fois plus"].endswith(
        "| × 8,00 | tenu |"
    )
    assert lines["Réponses comprises : davantage"].endswith("| tenu |")
    assert "sauf un : 1 tour d'apprentissage au lieu de 100" in text
    assert "40,0 (3 sans réponse)" in text
    assert "28/11/2026" in text and "30 min" in text.replace("\u00a0", " ")


def test_the_tables_of_the_page_are_whole(compared: dict[str, Measured], turn: dict[str, float]) -> None:
    for in_postgresql in ({}, {100: 3.0, 10_000: 3.0}):
        columns = 0
        for line in page(compared, turn, in_postgresql).splitlines():
            if not line.startswith("|"):
                columns = 0
                continue
            columns = columns or line.count("|")
            assert line.count("|") == columns, line


def test_as_good_is_not_better(compared: dict[str, Measured]) -> None:
    compared["bon_moment"].heard = compared["usuel"].heard
    assert not next(goal for goal in goals(compared) if goal.name == "juste").is_kept


def test_the_picture_shows_every_part_at_its_length(turn: dict[str, float]) -> None:
    long = {part: 3 * lasted for part, lasted in turn.items()}
    text = render("temps-d-un-tour.svg.j2", parts={"bouton": turn, "courte": turn, "longue": long}, order=PARTS)
    picture = ElementTree.fromstring(text)
    title, description = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
    assert (
        title is not None and title.text and description is not None and "les actions 1,0" in (description.text or "")
    )
    bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("class") == "part"]
    assert len(bars) == 3 * len(PARTS)
    by_line: dict[str, float] = {}
    for bar in bars:
        by_line[str(bar.get("y"))] = by_line.get(str(bar.get("y")), 0.0) + float(str(bar.get("width")))
    short, _, longest = by_line.values()
    assert longest == pytest.approx(3 * short, rel=0.01)
    assert "prefers-color-scheme: dark" in text


def test_numbers_are_french() -> None:
    assert number(1234567.891, 1) == "1\u202f234\u202f567,9"


def test_the_parts_of_a_turn_make_the_whole(tmp_path: Path) -> None:
    watched = tmp_path / "temps.jsonl"
    watched.write_text('{"rasa": 99}\n')
    place = watched.stat().st_size
    lines = [{"actions": 2}, {"actions": 1}, {"rasa": 4, "base": 5, "reseau": 8, "ecoute": 6}, {"demande": 25}]
    with watched.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    spent = parts(watched, place, total=30)
    assert spent == {"actions": 3, "rasa": 4, "base": 5, "reseau": 5, "ecoute": 6, "http": 2, "porte": 5}
    assert sum(spent.values()) == 30
    assert parts_of([{"total": 30.0, **spent}])["mots"] == 0


async def test_a_part_does_not_count_those_it_calls() -> None:
    written: list[dict[str, float]] = []
    inner = timed("inner", lambda: sum(range(1000)), written.append)

    async def body() -> int:
        return inner() + inner()

    assert await timed("outer", body, written.append)() == 2 * sum(range(1000))
    [spent] = written
    assert set(spent) == {"inner", "outer"}
    assert all(lasted > 0 for lasted in spent.values())


def test_what_is_timed_is_still_there() -> None:
    for watched in WATCHED.values():
        for _, place, name in watched:
            assert callable(getattr(found(place), name)), f"{place}.{name}"


def test_the_suggested_assistant_can_answer_every_question() -> None:
    intents = {intent for intent, _ in evaluate.flat_examples()}
    domain, rules = bench_suggested.domain(intents), bench_suggested.rules(intents)["rules"]
    for slot in SLOTS:
        filled = {m["value"] for m in domain["slots"][slot]["mappings"] if m["type"] == "from_intent"}
        assert filled >= set(VALEURS[slot]), slot
    said = {
        one["intent"] for rule in rules for step in rule["steps"] for one in step.get("or", [step]) if "intent" in one
    }
    assert intents <= {*said, "nlu_fallback"}, "an intent that no rule answers"
    assert said <= {*domain["intents"], "nlu_fallback"}
    spoken = {step["action"] for rule in rules for step in rule["steps"] if "action" in step}
    assert {action for action in spoken if action.startswith("utter_")} <= set(domain["responses"])


def test_the_suggested_pipeline_is_the_one_that_is_given_fewer_rounds() -> None:
    config = yaml.safe_load(bench_suggested.PIPELINE.read_text("utf-8"))
    rounds = [part["epochs"] for part in (*config["pipeline"], *config["policies"]) if "epochs" in part]
    assert rounds and set(rounds) == {bench_suggested.ROUNDS}


def test_the_page_that_is_kept_shows_the_picture_that_is_kept() -> None:
    if bench.PAGE.exists():
        assert "images/temps-d-un-tour.svg" in bench.PAGE.read_text("utf-8")
        ElementTree.parse(train.ROOT / "docs" / "images" / "temps-d-un-tour.svg")

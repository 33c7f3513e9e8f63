"""What a French message says: which intent, which answers, given the question that is open.

The network reads the message, and its letters are read beside; here is decided what is heard: above which certainty
an answer is taken, when a question or a command is obeyed, and when it is better to ask again. Shares and dates said in
figures or words are written out beside them for the network, as the contract's thresholds would have them.

Knows the questionnaire's slots and values (`actions.diagnostic`), not Rasa.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import joblib
import numpy as np

from actions.diagnostic import INCONNU, SLOTS
from nlu.encoder import Array, Encoder
from nlu.lessons import BARE, ET_SI, REPONDRE, RIEN, Example, Learning
from nlu.letters import Letters, Vectors
from nlu.quantities import due_date, months_until, share
from nlu.reader import VALUES, Reader, Reading
from nlu.text import clauses, is_wordless, normalise, tidy

HORS_SUJET = "hors_sujet"
DOUTE = "nlu_fallback"
YES_NO = ("affirmer", "nier", "ne_sait_pas")


@dataclass(frozen=True)
class Answer:
    """A value heard for a slot, and how sure (0 to 1)."""

    slot: str
    value: str
    confidence: float


@dataclass(frozen=True)
class Heard:
    """What was understood. `target`: the topic or section of a question. `ranking`: the surest labels first."""

    intent: str
    confidence: float
    target: str | None = None
    answers: tuple[Answer, ...] = ()
    ranking: tuple[tuple[str, float], ...] = ()


@dataclass
class Settings:
    """How sure to be: probabilities. `letters_share`: the weight of the letters beside the network, 0 to 1."""

    open_threshold: float = 0.6
    """Of a value of the open question."""
    unknown_threshold: float = 0.5
    """Of « I don't know » to the open question."""
    other_threshold: float = 0.5
    """Of a value of another question."""
    answering_threshold: float = 0.4
    """That the message answers at all: for the open question."""
    elsewhere_threshold: float = 0.7
    """The same, for the others: nobody has asked them."""
    topic_threshold: float = 0.4
    letters_share: float = 0.5
    supposing_threshold: float = 0.5
    known_words: float = 0.5


def quantity_note(text: str, today: date) -> str:
    """The share and the date said in `text`, in words that the network reads; empty where none is."""
    text = normalise(text).strip(" ,;:.!?…-")
    notes = []
    part = share(text)
    if part is not None:
        notes.append(
            "zéro pour cent"
            if part == 0
            else "moins de trente pour cent"
            if part < 0.3
            else "plus de trente pour cent"
            if part < 1
            else "cent pour cent"
        )
    due = due_date(text, today)
    if due is not None:
        months = months_until(due, today)
        notes.append(
            "date passée"
            if months < 0
            else "moins de six mois"
            if months <= 6
            else "plus de six mois"
            if months <= 24
            else "plus de deux ans"
        )
    return f" ({', '.join(notes)})" if notes else ""


def prepare(text: str, today: date) -> str:
    """The text as the network reads it: one spelling, and after each clause the share or the date it says."""
    return "".join(piece + (quantity_note(piece, today) if said else "") for piece, said in clauses(tidy(text)))


class Ear:
    """Trained on examples, then hears messages. `vectors`: what French words mean, zero for what is no word."""

    def __init__(self, encoder: Encoder, vectors: Vectors, settings: Settings | None = None) -> None:
        self.encoder = encoder
        self.vectors = vectors
        self.settings = settings or Settings()
        self._learnt = b""
        self._reader: Reader | None = None
        self._letters: Letters | None = None
        self._words: frozenset[str] = frozenset()

    # ── learning and keeping ──

    def fit(
        self,
        examples: Sequence[Example],
        today: date,
        learning: Learning,
        progress: Callable[[str], None] = lambda percent: None,
    ) -> Ear:
        """Learn from examples whose dates are meant as read on `today`. `progress` is told the way done, in percent."""
        labels = sorted({example.label for example in examples} | {RIEN})
        texts = [normalise(example.text) for example in examples]
        self._words = frozenset(word for text in texts for word in _words(text))
        self._letters = Letters().fit(texts, self.vectors, [example.label for example in examples])
        from nlu.network import Network  # TensorFlow is for who learns.

        network = Network(self.encoder, labels, learning)
        network.fit(examples, lambda text: prepare(text, today), progress)
        self._learnt = network.export()
        self._reader = Reader(self.encoder, labels, self._learnt)
        return self

    def save(self, folder: Path) -> None:
        """Keep what was learnt in `folder`."""
        assert self._reader is not None
        about = {"labels": self._reader.labels, "words": sorted(self._words)}
        (folder / "ear.json").write_text(json.dumps(about, ensure_ascii=False), "utf-8")
        (folder / "network.onnx").write_bytes(self._learnt)
        joblib.dump(self._letters, folder / "letters.joblib")

    def restore(self, folder: Path) -> Ear:
        """Take back what was kept in `folder`.

        Raises:
            OSError, ValueError: nothing was kept there, or it cannot be read.
        """
        about = json.loads((folder / "ear.json").read_text("utf-8"))
        self._words = frozenset(about["words"])
        self._reader = Reader(self.encoder, about["labels"], (folder / "network.onnx").read_bytes())
        self._letters = joblib.load(folder / "letters.joblib")
        return self

    # ── hearing ──

    def hear(self, message: str, today: date, open_slot: str | None = None) -> Heard:
        """What `message` says, when `open_slot` is the question just asked (None: none is)."""
        assert self._reader is not None and self._letters is not None
        text = normalise(message)
        if is_wordless(text):
            return Heard(HORS_SUJET, 1.0)
        reading = self._reader.read(prepare(message, today), open_slot)
        names = self._reader.labels
        letters = self._letters.chances(text, self.vectors, names)
        chances = self._labels(reading, letters)
        ranking = tuple((names[i], float(chances[i])) for i in np.argsort(-chances)[:5])
        best, confidence = ranking[0]
        if self._is_gibberish(text):
            return Heard(HORS_SUJET, confidence, None, (), ranking)
        if open_slot and self._decides_nothing(text, names[int(letters.argmax())], open_slot):
            return Heard(DOUTE, confidence, None, (), ranking)
        answers = self._answers(reading, open_slot)
        if confidence < self.settings.elsewhere_threshold and best != ET_SI:
            answers = tuple(answer for answer in answers if answer.slot == open_slot)
        if best == ET_SI and confidence >= self.settings.supposing_threshold:
            return Heard(ET_SI, confidence, None, answers, ranking)
        if best in (REPONDRE, RIEN, ET_SI, *YES_NO):
            if answers and confidence >= self.settings.answering_threshold:
                return Heard(REPONDRE, confidence, None, answers, ranking)
            if best in YES_NO and not open_slot:
                return Heard(best, confidence, None, (), ranking)
            return Heard(DOUTE, confidence, None, (), ranking)
        if confidence < self.settings.topic_threshold:
            return Heard(DOUTE, confidence, None, (), ranking)
        intent, _, target = best.partition("/")
        return Heard(intent, confidence, target or None, (), ranking)

    def _labels(self, reading: Reading, letters: Array) -> Array:
        """The labels' probabilities, those of the network and of the letters weighed together."""
        share = self.settings.letters_share
        both = np.exp((1 - share) * np.log(reading.labels + 1e-6) + share * np.log(letters + 1e-6))
        return np.asarray(both / both.sum())

    def _answers(self, reading: Reading, open_slot: str | None) -> tuple[Answer, ...]:
        """The values sure enough, in the questionnaire's order."""
        found = []
        for slot, chances in zip(SLOTS, reading.values, strict=True):
            place = int(chances[1:].argmax())
            value, confidence = VALUES[slot][place], float(chances[1 + place])
            least = self.settings.open_threshold if slot == open_slot else self.settings.other_threshold
            if value == INCONNU and slot == open_slot:
                least = self.settings.unknown_threshold
            if confidence >= least:
                found.append(Answer(slot, value, confidence))
        return tuple(found)

    @staticmethod
    def _decides_nothing(text: str, label: str, open_slot: str) -> bool:
        """Whether it is a bare yes or no to a question that neither answers (« Quelle ambition ? — Oui. »).

        `label`: what its letters say that it is.
        """
        return len(text.split()) <= 2 and label in BARE and open_slot not in BARE[label]

    def _is_gibberish(self, text: str) -> bool:
        """Whether most words are none that the ear or French knows; a lone misspelt word may still be heard."""
        words = _words(text)
        if len(words) < 2:
            return False
        known = sum(word in self._words or bool(self.vectors([word]).any()) for word in words)
        return known < self.settings.known_words * len(words)


def _words(text: str) -> list[str]:
    """The words of three letters or more of a normalised text."""
    return re.findall(r"[a-z]{3,}", text)

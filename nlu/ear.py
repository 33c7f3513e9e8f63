"""What a French message says: which intent, which answers, given the question that is open.

Three kinds of models, all linear, over characters, words, word vectors, and the shares and dates read in the text. Two
hear *what it is about* (one of the ten slots, a topic, a command, something else): `labels` knows the answers that mean
something only in context, and the open question weighs on it, so that « oui » or « la moitié » find their meaning;
`free` knows only what speaks for itself, and decides for every other question. The last, one for each slot, hear *which
value*. A message of several clauses is cut where the labels are surest.

Knows the questionnaire's slots and values (`actions.diagnostic`), not Rasa.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_union

from actions.diagnostic import INCONNU, SLOTS
from nlu.quantities import due_date, months_until, share
from nlu.text import atoms, is_wordless, normalise

Array = npt.NDArray[np.floating[Any]]

Vectors = Callable[[Sequence[str]], Array]
"""Texts → array of shape (texts, dimensions), float: what the words mean, whatever their spelling."""

HORS_SUJET = "hors_sujet"
DOUTE = "nlu_fallback"
RIEN = "rien"
"""A clause that answers nothing: who one is, a courtesy, a detail."""

# The value that a share or a date in an answer to these questions most often states.
_STATED = {
    "financement_actuel": {
        "pctnul": "aucun",
        "pctbas": "minoritaire",
        "pcthaut": "significatif",
        "pcttout": "significatif",
    },
    "echeance": {"dateproche": "proche", "dateloin": "lointaine", "datetard": "lointaine"},
}
YES_NO = ("affirmer", "nier", "ne_sait_pas")
_SUPPOSING = re.compile(
    r"\bet si\b|^si (?!non)|\b(imagin|suppos|admett|mettons|disons qu)|\bdans (le cas|l'hypothese|l'eventualite)\b|"
    r"\b(ca|cela) (change|changerait|donnerait|ferait)|\b(meme|autre) (verdict|resultat|avis|conseil)\b|\bau cas ou\b"
)

# What a bare yes or no means for the open question; where it is not listed, it decides nothing.
OUI = {"financement_vise": "oui", "partenaires": "oui", "capacite": "disponible", "cadre_stable": "choisi"}
NON = {
    "statut_qualiopi": "non_certifie",
    "financement_actuel": "aucun",
    "financement_vise": "non",
    "partenaires": "non",
    "capacite": "insuffisante",
    "echeance": "aucune",
}


@dataclass(frozen=True)
class Example:
    """A training message. `label`: `slot`, `faq/…`, `section/…`, a command, `hors_sujet` or `rien`.

    `value` only for a slot. `in_context`: it means something only when its question is open.
    """

    text: str
    label: str
    value: str | None = None
    in_context: bool = False


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
    """How sure to be. Weights are in nats added to a label's score, thresholds are probabilities."""

    vectors_weight: float = 1.5
    regularisation: float = 10.0
    iterations: int = 100
    more_iterations: int = 60
    open_weight: float = 2.0
    open_weight_in_clause: float = 0.7
    unknown_weight: float = 1.0
    yes_no_weight: float = 0.7
    label_threshold: float = 0.35
    open_threshold: float = 0.33
    value_threshold: float = 0.53
    other_label_threshold: float = 0.45
    other_value_threshold: float = 0.55
    quantity_factor: float = 2.0
    aside_share: float = 0.6
    known_words: float = 0.5
    same_cost: float = 0.1
    more_gain: float = 1.3
    second_label_threshold: float = 0.25
    supposing_weight: float = 1.5
    telling_threshold: float = 0.6
    topic_threshold: float = 0.28
    longest_span: int = 4
    most_atoms: int = 16


def quantity_marks(text: str, today: date) -> str:
    """Words that stand for the share and the date said in `text` (normalised), for the models to read."""
    marks = []
    part = share(text)
    if part is not None:
        marks.append("pctnul" if part == 0 else "pctbas" if part < 0.3 else "pcthaut" if part < 1 else "pcttout")
    due = due_date(text, today)
    if due is not None:
        months = months_until(due, today)
        marks.append(
            "datepasse" if months < 0 else "dateproche" if months <= 6 else "dateloin" if months <= 24 else "datetard"
        )
    return " ".join(marks)


class Ear:
    """Trained on examples, then hears messages. `vectors` must be the same at both times."""

    def __init__(self, vectors: Vectors, settings: Settings | None = None) -> None:
        self.vectors = vectors
        self.settings = settings or Settings()
        self.features: FeatureUnion | None = None
        self.labels: LogisticRegression | None = None
        self.free: LogisticRegression | None = None
        self.values: dict[str, LogisticRegression] = {}

    # ── learning ──

    def _feature_union(self) -> FeatureUnion:
        return make_union(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=3),
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\b\w+\b|%|\?"),  # noqa: S106
        )

    def _matrix(self, texts: Sequence[str], today: date) -> csr_matrix:
        marked = [f"{text} {quantity_marks(text, today)}" for text in texts]
        dense = csr_matrix(self.settings.vectors_weight * self.vectors(texts))
        assert self.features is not None
        return hstack([self.features.transform(marked), dense]).tocsr()

    def _classifier(self) -> LogisticRegression:
        return LogisticRegression(
            C=self.settings.regularisation,
            max_iter=self.settings.iterations,
            tol=1e-3,
            class_weight="balanced",
            random_state=0,
        )

    def fit(self, examples: Iterable[Example], today: date, progress: Callable[[str], None] = lambda step: None) -> Ear:
        """Learn from the examples, whose dates are meant as read on `today`. `progress` is told each step."""
        examples = list(examples)
        texts = [normalise(example.text) for example in examples]
        progress("mots")
        self.features = self._feature_union().fit([f"{text} {quantity_marks(text, today)}" for text in texts])
        matrix = self._matrix(texts, today)
        progress("sujets")
        in_context = ["ne_sait_pas" if e.value == INCONNU and e.in_context else e.label for e in examples]
        weights = np.array([0.5 if e.in_context else 1.0 for e in examples])
        self.labels = self._classifier().fit(matrix, in_context, sample_weight=weights)
        progress("sujets_hors_contexte")
        alone = [RIEN if e.in_context else e.label for e in examples]
        # The two differ little: the second starts from the first, and needs fewer steps.
        self.free = copy.deepcopy(self.labels).set_params(warm_start=True, max_iter=self.settings.more_iterations)
        self.free.fit(matrix, alone)
        self.values = {}
        for slot in SLOTS:
            progress(slot)
            rows = [i for i, e in enumerate(examples) if e.label == slot]
            known = [examples[i].value for i in rows]
            rows += (unknown := [i for i, e in enumerate(examples) if e.label == "ne_sait_pas"][::3])
            self.values[slot] = self._classifier().fit(matrix[rows], known + [INCONNU] * len(unknown))
        return self

    # ── hearing ──

    def hear(self, message: str, today: date, open_slot: str | None = None) -> Heard:
        """What `message` says, when `open_slot` is the question just asked (None: none is)."""
        text = normalise(message)
        if is_wordless(text):
            return Heard(HORS_SUJET, 1.0)
        pieces = atoms(text)[: self.settings.most_atoms] or [text]
        spans = self._spans(pieces)
        matrix = self._matrix([text] + [" ".join(pieces[a:b]) for a, b in spans], today)
        names, scores = self._scores(matrix, text, open_slot)
        whole = scores[0]
        ranking = tuple((names[i], float(whole[i])) for i in np.argsort(-whole)[:5])
        best, confidence = ranking[0]
        doubt = Heard(DOUTE, confidence, None, (), ranking)
        if self._is_gibberish(text, confidence):
            return Heard(HORS_SUJET, confidence, None, (), ranking)

        if best in YES_NO and open_slot and len(text.split()) <= 4:
            value = INCONNU if best == "ne_sait_pas" else {"affirmer": OUI, "nier": NON}[best].get(open_slot)
            if value is None or confidence < self.settings.label_threshold:
                return doubt
            return Heard("repondre", confidence, None, (Answer(open_slot, value, confidence),), ranking)

        answering = best in SLOTS or best in (RIEN, "et_si") or best in YES_NO
        said = self._said(pieces, spans, scores[1:], names, open_slot, only_answers=answering)
        if open_slot and set(said) <= {open_slot} and (said or best == open_slot):
            said = {open_slot: [text]}
        answers = self._answers(said, open_slot, today)
        if best == "et_si":
            if open_slot and answers and confidence < 0.6:
                return Heard("repondre", confidence, None, answers, ranking)
            return Heard("et_si", confidence, None, answers, ranking)
        aside = float(whole[names.index(HORS_SUJET)])
        if best in (open_slot, *YES_NO) and (
            confidence < self.settings.open_threshold or aside > self.settings.aside_share * confidence
        ):
            answers = tuple(a for a in answers if a.slot != open_slot)
        if best in SLOTS or best == RIEN or (best in YES_NO and open_slot):
            return Heard("repondre", confidence, None, answers, ranking) if answers else doubt
        if confidence < self.settings.telling_threshold and len(answers) > 1 and "?" not in text:
            return Heard("repondre", confidence, None, answers, ranking)
        if confidence < self.settings.topic_threshold:
            return doubt
        intent, _, target = best.partition("/")
        return Heard(intent, confidence, target or None, (), ranking)

    def _is_gibberish(self, text: str, confidence: float) -> bool:
        """Whether most words are none that the ear or spaCy knows; a lone misspelt word may still be heard."""
        words = re.findall(r"[a-z]{3,}", text)
        if not words or (len(words) == 1 and confidence > 0.6):
            return False
        assert self.features is not None
        vocabulary = self.features.transformer_list[1][1].vocabulary_
        known = sum(word in vocabulary or bool(self.vectors([word]).any()) for word in words)
        return known < self.settings.known_words * len(words)

    def _scores(self, matrix: csr_matrix, text: str, open_slot: str | None) -> tuple[list[str], Array]:
        """The labels' names, and their probabilities for each row of `matrix`, shape (rows, labels).

        The open question's labels are heard in context, all others by what speaks for itself.
        """
        assert self.labels is not None and self.free is not None
        names = [str(name) for name in self.free.classes_]
        log_free = np.log(self.free.predict_proba(matrix) + 1e-9)
        if _SUPPOSING.search(text):
            log_free[:, names.index("et_si")] += self.settings.supposing_weight
        free = _normal(np.exp(log_free))
        if open_slot is None:
            return names, free
        context_names = [str(name) for name in self.labels.classes_]
        log_context = np.log(self.labels.predict_proba(matrix) + 1e-9)
        # A message of one piece answers the question just asked; among several clauses, each speaks for itself.
        clauses = np.full(
            matrix.shape[0], self.settings.open_weight if matrix.shape[0] <= 2 else self.settings.open_weight_in_clause
        )
        clauses[0] = self.settings.open_weight
        raised: dict[str, Any] = {
            open_slot: clauses,
            "ne_sait_pas": self.settings.unknown_weight,
            "affirmer": self.settings.yes_no_weight,
            "nier": self.settings.yes_no_weight,
        }
        for name, weight in raised.items():
            log_context[:, context_names.index(name)] += weight
        context = _normal(np.exp(log_context))
        kept = [context_names.index(name) for name in raised]
        columns = [names.index(name) for name in raised]
        rest = np.ones(len(names), dtype=bool)
        rest[columns] = False
        left = 1 - context[:, kept].sum(axis=1, keepdims=True)
        mixed = np.zeros_like(free)
        mixed[:, columns] = context[:, kept]
        mixed[:, rest] = _normal(free[:, rest]) * left
        return names, mixed

    def _spans(self, pieces: list[str]) -> list[tuple[int, int]]:
        longest = self.settings.longest_span
        return [(a, b) for a in range(len(pieces)) for b in range(a + 1, min(len(pieces), a + longest) + 1)]

    def _segments(self, pieces: list[str], spans: list[tuple[int, int]], scores: Array, names: list[str]) -> list[int]:
        """The rows of `spans` that cut the message where the labels are surest (dynamic programming).

        To cut where both sides say the same costs a little; to hear one more thing is worth a little.
        """
        best: list[dict[str, tuple[float, list[int]]]] = [{"": (0.0, [])}]
        words = [len(piece.split()) for piece in pieces]
        by_end: dict[int, list[tuple[int, int]]] = {}
        for row, (a, b) in enumerate(spans):
            by_end.setdefault(b, []).append((row, a))
        for end in range(1, len(pieces) + 1):
            here: dict[str, tuple[float, list[int]]] = {}
            for row, a in by_end[end]:
                column = int(scores[row].argmax())
                label = names[column]
                gain = sum(words[a:end]) * float(np.log(scores[row][column]))
                for last, (score, rows) in best[a].items():
                    step = (
                        -self.settings.same_cost if label == last else self.settings.more_gain if label in SLOTS else 0
                    )
                    if label not in here or score + gain + step > here[label][0]:
                        here[label] = (score + gain + step, [*rows, row])
            best.append(here)
        return max(best[-1].values())[1]

    def _said(
        self,
        pieces: list[str],
        spans: list[tuple[int, int]],
        scores: Array,
        names: list[str],
        open_slot: str | None,
        only_answers: bool,
    ) -> dict[str, list[str]]:
        """The clauses that speak of each slot, in the order said. `only_answers`: nothing else is listened for."""
        if only_answers:
            kept = np.array([name in SLOTS or name in YES_NO or name == RIEN for name in names])
            scores = _normal(scores * kept + 1e-12)
        said: dict[str, list[str]] = {}
        for row in self._segments(pieces, spans, scores, names):
            clause = " ".join(pieces[spans[row][0] : spans[row][1]])
            for column in np.argsort(-scores[row])[:2]:
                label, confidence = names[column], float(scores[row][column])
                first = column == scores[row].argmax()
                if label in YES_NO and open_slot:
                    label = open_slot
                if label not in SLOTS:
                    continue
                least = self.settings.label_threshold if label == open_slot else self.settings.other_label_threshold
                if confidence >= (least if first else self.settings.second_label_threshold):
                    clauses = said.setdefault(label, [])
                    if clause not in clauses:
                        clauses.append(clause)
        return said

    def _answers(self, said: dict[str, list[str]], open_slot: str | None, today: date) -> tuple[Answer, ...]:
        """The values of the slots spoken of, in the questionnaire's order; those not sure enough are left out."""
        found = []
        for slot, clauses in said.items():
            value, confidence = self._value(slot, " , ".join(clauses), today)
            least = self.settings.value_threshold if slot == open_slot else self.settings.other_value_threshold
            if confidence >= least and (value != INCONNU or slot == open_slot):
                found.append(Answer(slot, value, confidence))
        return tuple(sorted(found, key=lambda answer: SLOTS.index(answer.slot)))

    def _value(self, slot: str, text: str, today: date) -> tuple[str, float]:
        model = self.values[slot]
        chances = model.predict_proba(self._matrix([text], today))[0]
        for mark in quantity_marks(text, today).split():
            if stated := _STATED.get(slot, {}).get(mark):
                chances = chances * np.where(model.classes_ == stated, self.settings.quantity_factor, 1.0)
        chances = chances / chances.sum()
        best = int(chances.argmax())
        return str(model.classes_[best]), float(chances[best])


def _normal(rows: Array) -> Array:
    """The rows, each summing to one."""
    return rows / rows.sum(axis=1, keepdims=True)

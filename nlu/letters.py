"""What sort of message it is, by its letters and words: a linear model beside the network.

The network weighs sense; this one knows spelling and set phrases by heart (« coucou », « reset svp », « HACCP »).
Together they are surer than either. Reads letters, words and spaCy's word vectors; knows nothing of the open question.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

from nlu.encoder import Array

Vectors = Callable[[Sequence[str]], Array]
"""Texts → array of shape (texts, dimensions): what the words mean, whatever their spelling."""

VECTORS_WEIGHT = 1.5
REGULARISATION = 10.0
ITERATIONS = 60
TOLERANCE = 1e-2


class Letters:
    """Learns labels from texts (normalised) and what their words mean, then gives the labels' probabilities."""

    def __init__(self) -> None:
        self._features = make_union(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=3),
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\b\w+\b|%|\?"),  # noqa: S106
        )
        self._weights, self._bias, self._labels = np.empty((0, 0), np.float32), np.empty(0), list[str]()

    def fit(self, texts: Sequence[str], vectors: Vectors, labels: Sequence[str]) -> Letters:
        """Learn. The last steps change little and are left out, hence a warning that says nothing here."""
        model = LogisticRegression(C=REGULARISATION, max_iter=ITERATIONS, tol=TOLERANCE, random_state=0)
        rows = self._rows(self._features.fit_transform(texts), vectors(texts))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows, labels)
        # Row by row, so that a message is read from a few of them.
        self._weights = np.ascontiguousarray(model.coef_.T, dtype=np.float32)
        self._bias, self._labels = model.intercept_, list(model.classes_)
        return self

    @staticmethod
    def _rows(features: Any, meanings: Array) -> Any:
        return hstack([features, csr_matrix(VECTORS_WEIGHT * meanings)]).tocsr()

    def chances(self, text: str, vectors: Vectors, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """The probability of each of `labels`, in their order; next to none for one that was not learnt."""
        found = self._features.transform([text]).tocsr()
        meaning = VECTORS_WEIGHT * vectors([text])[0]
        scores = found.data @ self._weights[found.indices] + meaning @ self._weights[-len(meaning) :]
        chances = softmax(scores + self._bias)
        known = dict(zip(self._labels, chances, strict=True))
        return np.array([known.get(label, 1e-4) for label in labels])

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
        self._model = LogisticRegression(C=REGULARISATION, max_iter=ITERATIONS, tol=TOLERANCE, random_state=0)

    def fit(self, texts: Sequence[str], vectors: Vectors, labels: Sequence[str]) -> Letters:
        """Learn. The last steps change little and are left out, hence a warning that says nothing here."""
        rows = self._rows(self._features.fit_transform(texts), vectors(texts))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(rows, labels)
        return self

    @staticmethod
    def _rows(features: Any, meanings: Array) -> Any:
        return hstack([features, csr_matrix(VECTORS_WEIGHT * meanings)]).tocsr()

    def chances(self, text: str, vectors: Vectors, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """The probability of each of `labels`, in their order; next to none for one that was not learnt."""
        chances = self._model.predict_proba(self._rows(self._features.transform([text]), vectors([text])))[0]
        known = dict(zip(self._model.classes_, chances, strict=True))
        return np.array([known.get(label, 1e-4) for label in labels])

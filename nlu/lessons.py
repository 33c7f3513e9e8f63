"""From the training examples to what the network is taught: each time round, the same examples said a little otherwise.

For each example a question is held open (its own, another, or none), some spelling is spoilt, and examples that speak
for themselves are joined into messages that answer several questions. Knows the questionnaire's slots, not Rasa nor
TensorFlow.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from actions.diagnostic import INCONNU, SLOTS

REPONDRE = "repondre"
ET_SI = "et_si"
RIEN = "rien"
"""A message that answers nothing and asks nothing: who one is, a courtesy, a detail."""

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
BARE = {
    "affirmer": OUI,
    "nier": NON,
    "ne_sait_pas": dict.fromkeys(SLOTS, INCONNU),
}
"""What a message of nothing but yes, no or « I don't know » answers, by label."""

_JOINTS = (
    ", ",
    ", ",
    ". ",
    ". ",
    " et ",
    ", et ",
    " mais ",
    "; ",
    " ; ",
    " , ",
    " ",
    "\n",
    ", par contre ",
    " alors que ",
)


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
class Example:
    """A training message.

    `label`: `repondre`, `et_si`, `faq/…`, `section/…`, a command, `hors_sujet` or `rien`.
    `answers`: slot → value. `in_context`: it means something only when its question is open. `annotated`: all that it
    answers is marked, so that a slot left out is surely not answered; `asides`: its parts that answer nothing.
    """

    text: str
    label: str
    answers: dict[str, str] = field(default_factory=dict)
    in_context: bool = False
    annotated: bool = False
    asides: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        """Whether it was written as the answer to one question."""
        return self.label == REPONDRE and not self.annotated


@dataclass(frozen=True)
class Lesson:
    """A message with the question held open, and what should be heard. `weight`: of the slots it does not answer."""

    text: str
    open_slot: str | None
    label: str
    answers: dict[str, str]
    weight: float


def spoil(text: str, rng: random.Random) -> str:
    """The text as hurried thumbs write it: accents, apostrophes or letters lost, swapped or doubled."""
    if rng.random() < 0.4:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    if rng.random() < 0.3:
        text = text.replace("'", "").replace("’", "")
    if rng.random() < 0.4:
        words = text.split()
        for _ in range(max(1, len(words) // 6)):
            place = rng.randrange(len(words))
            word = words[place]
            if len(word) > 3 and word.isalpha():
                at, fault = rng.randrange(1, len(word) - 1), rng.random()
                if fault < 0.4:
                    words[place] = word[:at] + word[at + 1 :]
                elif fault < 0.7:
                    words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
                else:
                    words[place] = word[: at + 1] + word[at:]
        text = " ".join(words)
    return text.rstrip(".!?") if rng.random() < 0.3 else text


def join(free: Sequence[Example], asides: Sequence[str], rng: random.Random) -> Example:
    """A message that answers two to four questions, made of `free`, examples that speak for themselves.

    They are drawn at most a few times: where they all answer the same question, one is enough.
    """
    chosen: dict[str, Example] = {}
    for example in rng.choices(free, k=rng.choice((2, 2, 3, 3, 4))):
        chosen[next(iter(example.answers))] = example
    answers: dict[str, str] = {}
    text = ""
    for example in chosen.values():
        said = example.text.rstrip(".!?… ")
        if text:
            text += rng.choice(_JOINTS)
        text += said if rng.random() < 0.3 else said[:1].lower() + said[1:]
        answers |= example.answers
    if asides and rng.random() < 0.3:
        text = rng.choice(asides) + rng.choice((", ", ". ", " : ", " ")) + text
    elif asides and rng.random() < 0.2:
        text += rng.choice((", ", ". ")) + rng.choice(asides)
    return Example(text, REPONDRE, answers, annotated=True)


def hold_open(example: Example, rng: random.Random) -> str | None:
    """The question then open: its own where it is needed, else its own, another or none, as in real conversations."""
    own = next(iter(example.answers), None)
    draw = rng.random()
    if example.in_context:
        return own
    if example.is_single and draw < 0.45:
        return own
    if example.is_single:
        return None if draw < 0.65 else rng.choice(SLOTS)
    if example.label in (REPONDRE, ET_SI):
        return None if draw < 0.35 else SLOTS[0] if draw < 0.55 else rng.choice((*SLOTS, *example.answers))
    return rng.choice((None, *SLOTS))


def lesson(example: Example, rng: random.Random, spoilt: float, unsaid: float) -> Lesson:
    """One lesson of an example. `spoilt`: how often its spelling is; `unsaid`: weight of the slots a single omits."""
    slot = hold_open(example, rng)
    label, answers = example.label, example.answers
    if slot and label in BARE and slot in BARE[label]:
        label, answers = REPONDRE, {slot: BARE[label][slot]}
    text = spoil(example.text, rng) if rng.random() < spoilt else example.text
    return Lesson(text, slot, label, answers, unsaid if example.is_single else 1.0)


def lessons(
    examples: Sequence[Example], rng: random.Random, joined: float = 0.15, spoilt: float = 0.25, unsaid: float = 0.5
) -> Iterator[Lesson]:
    """One round over the examples, with as many joined messages as `joined` of them, and asides that answer nothing."""
    free = [e for e in examples if e.is_single and not e.in_context and len(e.text.split()) < 25]
    asides = [aside for e in examples for aside in e.asides]
    several = [join(free, asides, rng) for _ in range(int(joined * len(examples)))] if free else []
    nothing = [Example(text, RIEN) for text in rng.sample(asides, min(len(asides), 1500))]
    for example in (*examples, *several, *nothing):
        yield lesson(example, rng, spoilt, unsaid)

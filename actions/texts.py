"""The texts of `domain.yml`, for the messages that are put together from several of them.

Read once, when the action server starts. Knows no rule: it only finds and fills.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

DOMAIN = Path(__file__).resolve().parent.parent / "domain.yml"
SPOKEN = "telephone"
"""The channel of the variations that staff read aloud. The first variation, without channel, is the written one."""


@lru_cache(maxsize=1)
def responses() -> dict[str, list[dict[str, Any]]]:
    """Every response of the domain, by its name.

    Raises:
        OSError, yaml.YAMLError: the domain cannot be read; the action server then does not start.
    """
    return yaml.safe_load(DOMAIN.read_text("utf-8"))["responses"]


def exists(name: str) -> bool:
    """Whether the domain has this response."""
    return name in responses()


def text(name: str, **values: str) -> str:
    """The text of response `name` as it is written, its {marks} filled.

    Raises:
        KeyError: no such response, or a mark without a value.
    """
    return str(responses()[name][0]["text"]).format(**values)


def spoken(name: str, **values: str) -> str:
    """The text of response `name` as it is said on the phone; the written one where there is no other.

    Raises:
        KeyError: as `text`.
    """
    variants = responses()[name]
    said = next((variant for variant in variants if variant.get("channel") == SPOKEN), variants[0])
    return str(said["text"]).format(**values)


def sentence(clause: str) -> str:
    """`clause` with a capital, to begin a line."""
    return clause[:1].upper() + clause[1:]


def together(clauses: Iterable[str]) -> str:
    """Clauses that follow « comme » or « si », as one: « vous voulez grandir et qu’une date vous est imposée »."""
    first, *others = clauses
    return first + "".join(text("utter_et_qu" if c[0] in "aeiouéh" else "utter_et_que") + c for c in others)


def options(slot: str) -> list[dict[str, str]]:
    """The choices of a question: `title` to read, `payload` that a click sends."""
    return responses()[f"utter_ask_{slot}"][0]["buttons"]


def value_of(option: dict[str, str]) -> str:
    """The answer that a choice of a question gives."""
    return str(next(iter(json.loads(option["payload"].removeprefix("/repondre")).values())))


def titles(slot: str) -> dict[str, str]:
    """The titles of the choices of a question, by the answer that each gives."""
    return {value_of(option): option["title"] for option in options(slot)}


def label(slot: str, value: str) -> str:
    """An answer, said back to the person: « vous voulez grandir »."""
    return text(f"utter_libelle_{slot}_{value}")

"""The sentences that the commands print, from `scripts/textes.yml`."""

from __future__ import annotations

from pathlib import Path

import yaml

_TEXTS: dict[str, str] = yaml.safe_load(Path(__file__).with_name("textes.yml").read_text("utf-8"))


def sentence(name: str, **values: str) -> str:
    """A sentence, its marks filled."""
    return _TEXTS[name].format(**values)


def say(name: str, **values: str) -> None:
    """Print a sentence, at once."""
    print(sentence(name, **values), flush=True)

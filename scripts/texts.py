"""The sentences that the commands print, from `scripts/textes.yml`."""

from __future__ import annotations

from pathlib import Path

import yaml

FILE = Path(__file__).with_name("textes.yml")
try:
    _TEXTS: dict[str, str] = yaml.safe_load(FILE.read_text("utf-8"))
except (OSError, ValueError, yaml.YAMLError) as error:  # Without its sentences, a command can only show where.
    raise SystemExit(" ".join(f"{FILE} : {error}".split())) from None


def sentence(name: str, **values: str) -> str:
    """A sentence, its marks filled."""
    return _TEXTS[name].format(**values)


def say(name: str, **values: str) -> None:
    """Print a sentence, at once."""
    print(sentence(name, **values), flush=True)

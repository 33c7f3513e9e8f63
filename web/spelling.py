"""A reference as staff type it while a caller spells it, and the stored references it may have been.

Pure: knows the signs of a reference and the words of `epellation.yml`, neither the database nor the console.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from actions.references import ALPHABET, LENGTH
from web.tables import folded

SHORTEST = LENGTH // 2
"""Signs below which a reference is not looked for: half of one."""
LONGEST_TEXT = 200
"""Characters that are read of what is typed."""

_SIGN = f"[{ALPHABET.lower()}]"
# A whole reference, else a word, a number or a sign. A slash parts ("24h/24").
_TOKEN = re.compile(rf"\b{_SIGN}{{4}}\W{{0,3}}{_SIGN}{{4}}\b|[a-z0-9]+°?|/")
_ELIDED = re.compile(r"\b(?:[cdjlmnst]|qu)['’]")
_HOUR = re.compile(r"(?:[01]?\d|2[0-4])h(?:[0-5]\d)?")
# What can be said as a word or a name (double letters being one): syllables, with no harsh cluster at either end.
_SYLLABLES = re.compile(
    r"(?:C|C[hlr])?V+(?:(?:C|[lmnrs]C|C[hlr])V+)*(?:[lmnrs]?C)?".replace("C", "[^aeiouy]").replace("V", "[aeiouy]")
)


@dataclass(frozen=True)
class Piece:
    """Signs said together: capitals and digits, some perhaps outside the alphabet.

    `doubts`: how many reasons there are to think that they are no part of a reference, those outside the alphabet not
    counted. `usual`: an everyday word or a name as well.
    """

    said: str
    doubts: int = 0
    usual: bool = False


def heard(typed: str) -> str:
    """The signs meant by what staff typed, without a dash: 4 to 9 signs of `ALPHABET`; "" where it is no reference.

    A whole reference is found within a sentence; a part of one there only if written as such (`HA7R`).
    """
    found = [] if "@" in typed else _pieces(typed[:LONGEST_TEXT])
    for option in _options(found):
        size = sum(len(piece.said) for piece in option)
        written = len(option) == 1 and any(sign.isdigit() for sign in option[0].said)
        if (signs := _signs(option)) and (size >= LENGTH - 1 or written or None not in found):
            return signs
    return ""


def candidates(code: str) -> list[str]:
    """SQL LIKE patterns of the references stored (`HA7R-3W4J`, `_` for any sign) that `code` may be, likeliest first.

    `code` is what `heard` gives, or a reference. For 8 signs: as they are, two neighbours exchanged, one sign wrong;
    for 7, one missing, the last first; for 9, one too many; for 4 to 6, the beginning or the end. Else none.
    """
    signs = "".join(sign for sign in code.upper() if sign in ALPHABET)
    size = len(signs)
    patterns: list[str] = []
    if size == LENGTH:
        exchanged = [signs[:i] + signs[i + 1] + signs[i] + signs[i + 2 :] for i in range(size - 1)]
        patterns = [signs, *exchanged, *(f"{signs[:i]}_{signs[i + 1 :]}" for i in range(size))]
    elif size == LENGTH - 1:
        patterns = [f"{signs[:i]}_{signs[i:]}" for i in range(size, -1, -1)]
    elif size == LENGTH + 1:
        patterns = [signs[:i] + signs[i + 1 :] for i in range(size)]
    elif SHORTEST <= size < LENGTH:
        patterns = [signs.ljust(LENGTH, "_"), signs.rjust(LENGTH, "_")]
    return [f"{pattern[:4]}-{pattern[4:]}" for pattern in dict.fromkeys(patterns)]


@lru_cache(maxsize=1)
def _words() -> dict[str, Any]:
    """`epellation.yml` as it stands.

    Raises:
        OSError, yaml.YAMLError: it cannot be read.
    """
    return yaml.safe_load(Path(__file__).with_name("epellation.yml").read_text("utf-8"))


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, tuple[str, str]]:
    """What each phrase of `epellation.yml` is for (the name of its list), and the signs or the number it says."""
    words = _words()
    lists = [(use, said, of) for use in ("noms", "nombres", "mots", "fois") for said, of in words[use].items()]
    lists += [("autour", "", of) for of in words["autour"]] + [(use, "", words[use]) for use in ("comme", "jamais")]
    return {phrase: (use, str(said)) for use, said, of in lists for phrase in of}


def _pieces(typed: str) -> list[Piece | None]:
    """What `typed` says, in order; None for what is no part of a reference."""
    tokens = _TOKEN.findall(_ELIDED.sub("", folded(typed)))
    found: list[Piece | None] = []
    phrase, times = "", 1
    while tokens:
        size = next((n for n in (4, 3, 2) if " ".join(tokens[:n]) in _lexicon()), 1)
        before, phrase, tokens = phrase, " ".join(tokens[:size]), tokens[size:]
        use, said = _lexicon().get(phrase, ("", ""))
        last = found[-1] if found else None
        if use == "fois":
            times = int(said)
        elif use == "comme" and last:
            found[-1], tokens = _named(last, tokens[0] if tokens else ""), tokens[1:]
        elif use == "mots" and last and before == said.lower():
            found[-1] = replace(last, usual=False)  # "h hôtel" is one H.
        elif use != "autour":
            piece = _spelled(phrase, use, said)
            found.append(replace(piece, said=piece.said * times) if piece and len(piece.said) == 1 else piece)
            times = 1
    return found


def _named(last: Piece, word: str) -> Piece:
    """`last` after « comme `word` »: the word tells its letter, unless the letter stands in it ("X comme taxi")."""
    if len(last.said) != 1 or not word.isalnum():
        return last
    if last.said.isdigit() or last.said.lower() in word:
        return Piece(last.said)
    use, said = _lexicon().get(word, ("", ""))
    return Piece(said if use in ("noms", "mots") else word[0].upper())


def _spelled(phrase: str, use: str, said: str) -> Piece | None:
    """The signs of a phrase: those that the list `use` says, else the word's own."""
    usual = phrase in _words()["courants"]
    if use in ("noms", "nombres", "mots"):
        return Piece(said, int(usual), usual or use == "mots")
    own = re.sub(r"\W", "", phrase)
    size = len(own)
    outside = sum(sign not in ALPHABET for sign in own.upper())
    if use or not own or size > LENGTH + 1 or _lexicon().get(own.rstrip("0123456789"), ("",))[0] == "jamais":
        return None
    if size == 1 or not own.isalpha():
        return Piece(own.upper(), 1 if _HOUR.fullmatch(own) else 0, usual)
    if size == LENGTH and not outside:  # "HAFR JWXY", but not "Yara Jaha".
        return None if " " in phrase and all(_sayable(half) for half in phrase.split()) else Piece(own.upper())
    if _sayable(own):
        return None if outside or size > SHORTEST else Piece(own.upper(), 2 if size > 2 else 0, True)
    return None if outside > (size <= SHORTEST) else Piece(own.upper(), outside, outside > 0)


def _sayable(word: str) -> bool:
    """Whether these letters may be a name or a word, such as "farah"."""
    return bool(_SYLLABLES.fullmatch(re.sub(r"(.)\1", r"\1", word)))


def _options(found: list[Piece | None]) -> Iterator[list[Piece]]:
    """The pieces that may be a reference, best first: one written whole, what is said in a row, the same without the
    everyday words around it, one written in part."""
    alone = [[piece] for piece in found if piece and not piece.said.isdigit()]
    yield from (option for option in alone if len(option[0].said) == LENGTH and set(option[0].said) <= set(ALPHABET))
    runs = [[piece for piece in run if piece] for said, run in groupby(found, key=bool) if said]
    yield from sorted(runs, key=lambda run: abs(LENGTH - sum(len(piece.said) for piece in run)))
    for run in runs:
        for first in range(len(run)):
            for end in range(first + 1, min(first + LENGTH, len(run)) + 1):
                around = run[:first] + run[end:]
                if all(p.usual for p in around) and sum(len(p.said) for p in run[first:end]) == LENGTH:
                    yield run[first:end]
    yield from (option for option in alone if not option[0].said.isalpha())


def _signs(option: list[Piece]) -> str:
    """The signs of the alphabet that these pieces mean; "" where they are more likely no reference."""
    said = "".join(piece.said for piece in option)
    doubts = sum(piece.doubts for piece in option) + sum(sign not in ALPHABET for sign in said)
    if len(said) > LENGTH + 1 or doubts > (len(said) - SHORTEST) // 2:
        return ""
    if said.isalpha() and len(set(said)) <= len(said) // 4:
        return ""  # "xxxx", "ha ha ha ha".
    letters = [piece for piece in option if not piece.said.isdigit()]
    if not letters and (len(option) > 1 or len(said) != LENGTH or doubts):
        return ""  # A telephone number, an amount, a date.
    if len(said) != LENGTH and len(letters) < 3 and all(piece.usual for piece in letters):
        return ""  # A name and a number.
    signs = "".join(_words()["confusions"].get(sign, sign) for sign in said)
    return signs if len(signs) >= SHORTEST else ""

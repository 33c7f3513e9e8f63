"""The text as the ear wants it: one spelling for what people write in many, then cut into clauses.

Knows nothing of the questionnaire nor of Rasa.
"""

from __future__ import annotations

import re
import unicodedata

# Text-message spellings that stand for whole words. Only those that mean one thing.
_ABBREVIATIONS = {
    "jsp": "je sais pas",
    "jspa": "je sais pas",
    "chépa": "je sais pas",
    "chepa": "je sais pas",
    "jsais": "je sais",
    "chais": "je sais",
    "jai": "j'ai",
    "javais": "j'avais",
    "jaimerais": "j'aimerais",
    "cest": "c'est",
    "c": "c'est",
    "cé": "c'est",
    "ct": "c'etait",
    "g": "j'ai",
    "ya": "il y a",
    "pr": "pour",
    "ds": "dans",
    "dc": "donc",
    "qd": "quand",
    "tt": "tout",
    "ts": "tous",
    "bcp": "beaucoup",
    "pcq": "parce que",
    "pk": "pourquoi",
    "pq": "pourquoi",
    "pkoi": "pourquoi",
    "prkoi": "pourquoi",
    "koi": "quoi",
    "kel": "quel",
    "kelle": "quelle",
    "ki": "qui",
    "ke": "que",
    "qq": "quelques",
    "qqs": "quelques",
    "qqn": "quelqu'un",
    "qqun": "quelqu'un",
    "ns": "nous",
    "vs": "vous",
    "ms": "mais",
    "mm": "meme",
    "tjs": "toujours",
    "tjrs": "toujours",
    "jms": "jamais",
    "pls": "plusieurs",
    "stp": "s'il te plait",
    "svp": "s'il vous plait",
    "chui": "je suis",
    "chuis": "je suis",
    "jsuis": "je suis",
    "jpeux": "je peux",
    "jveux": "je veux",
    "jfais": "je fais",
    "nan": "non",
    "nn": "non",
    "ouai": "ouais",
    "wi": "oui",
    "ptet": "peut-etre",
    "ptetre": "peut-etre",
    "pê": "peut-etre",
    "dsl": "desole",
    "slt": "salut",
    "bjr": "bonjour",
    "mci": "merci",
    "auj": "aujourd'hui",
    "ajd": "aujourd'hui",
    "pdt": "pendant",
    "nb": "nombre",
    "rdv": "rendez-vous",
    "tel": "telephone",
    "proc": "procedures",
    "procs": "procedures",
    "certif": "certification",
    "qualio": "qualiopi",
    "calliopi": "qualiopi",
    "kaliopi": "qualiopi",
    "qualiopy": "qualiopi",
}
_WORD = re.compile(r"[a-z0-9à-ÿœ]+(?:'(?=[a-z0-9à-ÿ]))?", re.IGNORECASE)
# Where one thing said may end and another begin.
_CUT = re.compile(
    r"(?<=[a-zà-ÿ%)»])[.!?…;\n]+(?=\s|$)|(?<=\d)[.!?;](?=\s|$)|\s[–—]\s|\s-\s|\s:\s|\.{2,}|…|"
    r",\s+|\s*[()]\s*|\s+(?=(?:mais|et|puis|donc|car|sinon|alors que|par contre|en revanche|cependant|toutefois|or|"
    r"tandis que|pourtant|parce que|côté|cote)\b)"
)


def tidy(text: str) -> str:
    """Lower case, straight apostrophes, single spaces, no letter more than twice, abbreviations opened."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub("[\u2019\u2018\u02bc\u00b4`]", "'", text)
    text = re.sub(r"(\w)\1{2,}", lambda m: m[0] if m[1].isdigit() else m[1], text)
    text = re.sub(r"\s+", " ", text).strip()
    return _WORD.sub(lambda m: _ABBREVIATIONS.get(m[0], m[0]), text)


def normalise(text: str) -> str:
    """As `tidy`, and without accents."""
    text = "".join(c for c in unicodedata.normalize("NFD", tidy(text)) if not unicodedata.combining(c))
    return _WORD.sub(lambda m: _ABBREVIATIONS.get(m[0], m[0]), text.replace("œ", "oe"))


def is_wordless(text: str) -> bool:
    """Whether there is nothing to hear: no letter and no digit (emoji, punctuation, spaces)."""
    return not any(c.isalnum() for c in text)


def clauses(text: str) -> list[tuple[str, bool]]:
    """The text cut where one thing said may end and another begin: (piece, whether it says something).

    The pieces, joined, give the text back.
    """
    found: list[tuple[str, bool]] = []
    place = 0
    for cut in _CUT.finditer(text):
        found += [(text[place : cut.start()], True), (cut[0], False)]
        place = cut.end()
    found.append((text[place:], True))
    return [(piece, said and bool(piece.strip())) for piece, said in found if piece]

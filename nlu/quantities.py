"""Shares of revenue and due dates, as people write them in French.

Reads « 70 % », « un client sur dix », « les trois quarts » as a fraction, and « dans trois mois », « mars prochain »,
« le 1er janvier 2028 », « avant les fêtes » as a date. Knows nothing of the questionnaire.
Texts are expected normalised (`nlu.text.normalise`): lower case, no accents, straight apostrophes.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from text_to_num import alpha2digit

_FRACTIONS = {
    "tiers": 1 / 3,
    "quart": 1 / 4,
    "cinquieme": 1 / 5,
    "sixieme": 1 / 6,
    "huitieme": 1 / 8,
    "dixieme": 1 / 10,
    "vingtieme": 1 / 20,
    "centieme": 1 / 100,
}
_MOIS = (
    ("janvier", "janv", "jan"),
    ("fevrier", "fevr", "fev"),
    ("mars",),
    ("avril", "avr"),
    ("mai",),
    ("juin",),
    ("juillet", "juil"),
    ("aout",),
    ("septembre", "sept"),
    ("octobre", "oct"),
    ("novembre", "nov"),
    ("decembre", "dec"),
)
_NUMERO_DU_MOIS = {nom: numero for numero, noms in enumerate(_MOIS, 1) for nom in noms}
# The month in which each of these moments ends.
_MOMENTS = {
    "printemps": 6,
    "ete": 9,
    "automne": 12,
    "rentree": 9,
    "fetes": 12,
    "noel": 12,
    "nouvel an": 1,
    "paques": 4,
    "pentecote": 5,
    "grandes vacances": 7,
    "vacances d'ete": 7,
    "toussaint": 11,
}
_JOURS_PAR_UNITE = {"jour": 1, "semaine": 7, "mois": 30.44, "trimestre": 91.3, "semestre": 182.6, "an": 365.25}

_TROP_LOIN = 3660
"""Days beyond which a duration is an age or a past, not a due date."""

_NOMBRE = r"\d+(?:[.,]\d+)?"
_POURCENT = re.compile(
    rf"(moins de |pas plus de )?({_NOMBRE})(?: ?(?:a|et|-|ou) ?({_NOMBRE}))? ?(?:%|pour ?cents?\b|pour ?100\b|pct\b)"
)
_SUR = re.compile(rf"\b({_NOMBRE}|un|une) (?:[a-z'’-]+ ){{0,3}}sur (?:les )?({_NOMBRE}|trois|cent)\b")
# « Sur dix clients, deux »: the whole first, then the part.
_PARMI = re.compile(
    rf"\bsur (?:les )?(10|100|dix|cent)\b[^.;!?]{{0,40}}?,? (?:il y en a |y en a )?\b({_NOMBRE}|un|une)\b"
)
_FRACTION = re.compile(
    r"\b(un|une|le|la|les|l'|\d+)? ?(tiers|quarts?|cinquiemes?|sixiemes?|huitiemes?|dixiemes?|vingtiemes?|centiemes?)\b"
)
_MOITIE = re.compile(r"\bmoitie\b|\bmoit\b|\bfifty\b")
_UNITE = r"(jours?|j|semaines?|sem|mois|trimestres?|semestres?|ans?|annees?)"
_PASSE = re.compile(
    r"\b(?:depuis?|il y a|y a|ca fait|voila)(?: (?:plus de|bientot|presque|deja|environ|au moins|pres de))* $"
)
_DUREE = re.compile(rf"\b({_NOMBRE}|un|une|deux|quelques|qq|qlq) ?{_UNITE}\b( et demie?)?")
_ISO = re.compile(r"\b(\d{1,2})[/.](\d{1,2})(?:[/.](\d{2,4}))?\b")
_NOMS_DE_MOIS = "|".join(sorted(_NUMERO_DU_MOIS, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?:(\d{{1,2}}|premier)(?:er)? )?({_NOMS_DE_MOIS})\b\.?"
    r"(?: (20\d\d|\d\d\b(?! ?%)|prochaine?|de l'annee prochaine|de l'an prochain))?"
)
_MOMENT = re.compile(
    r"\b(" + "|".join(_MOMENTS) + r")\b(?: (?:de )?(?:septembre |janvier )?(20\d\d|prochaine?|de l'annee prochaine))?"
)
_TRIMESTRE = re.compile(
    r"\b(?:t|q)([1-4])(?: ?(20\d\d))?\b|"
    r"\b(1er|premier|2e|2eme|deuxieme|second|3e|3eme|troisieme|4e|4eme|quatrieme|dernier) (trimestre|semestre)"
    r"(?: (?:de )?(20\d\d))?"
)
_ANNEE = re.compile(r"\b(20[2-4]\d)\b")
_RANGS = {"1er": 1, "premier": 1, "2e": 2, "2eme": 2, "deuxieme": 2, "second": 2, "3e": 3, "3eme": 3, "troisieme": 3}


# The library leaves small numbers in words, which may be articles or pronouns; before a unit they are numbers.
_PETITS = {"un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8, "neuf": 9}
_PETIT = re.compile(
    rf"(?<![-\w])({'|'.join(_PETITS)})"
    rf"(?= (?:{_NOMS_DE_MOIS}|jours?|semaines?|mois|trimestres?|semestres?|ans?|annees?|pour ?cents?|tiers|quarts?|"
    r"[a-z]+iemes?)\b)"
)


def digits(text: str) -> str:
    """The text with French number words in digits (« quarante-deux » → « 42 », « trois mois » → « 3 mois »)."""
    return alpha2digit(_PETIT.sub(lambda found: str(_PETITS[found[1]]), text), "fr")


def _nombre(mot: str) -> float:
    return {"un": 1.0, "une": 1.0, "trois": 3.0, "dix": 10.0, "cent": 100.0}.get(mot) or float(mot.replace(",", "."))


def share(text: str) -> float | None:
    """The first share said, between 0 and 1, or None. A range counts as its middle; « moins de 30 % » as just under."""
    text = digits(text)
    if found := _POURCENT.search(text):
        low = _nombre(found[2])
        value = (low + _nombre(found[3])) / 2 if found[3] else low
        return min(max(value - (0.01 if found[1] else 0), 0), 100) / 100
    if found := _SUR.search(text):
        over = _nombre(found[2])
        part = _nombre(found[1])
        if over > 0 and part <= over:
            return part / over
    if (found := _PARMI.search(text)) and _nombre(found[2]) <= _nombre(found[1]):
        return _nombre(found[2]) / _nombre(found[1])
    if _MOITIE.search(text):
        return 0.5
    if found := _FRACTION.search(text):
        count = float(found[1]) if found[1] and found[1].isdigit() else 2.0 if "deux tiers" in text else 1.0
        value = count * _FRACTIONS[found[2].rstrip("s") if found[2] != "tiers" else "tiers"]
        return value if value <= 1 else None
    if re.fullmatch(
        rf"(?:environ |a peu pres |dans les |autour de |vers |~ ?)?{_NOMBRE}\W*(?:environ|a peu pres)?\W*", text
    ):
        value = _nombre(re.search(_NOMBRE, text)[0])  # type: ignore[index]
        return value / 100 if value <= 100 else None
    return None


def _end_of_month(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


def _year(said: str | None, month: int, today: date) -> int:
    """The year of a month, the next such month where none is said."""
    if said and said.isdigit():
        return int(said) if len(said) == 4 else 2000 + int(said)
    if (said and "annee" in said) or (said and "l'an " in said):
        return today.year + 1
    return today.year if month >= today.month else today.year + 1


def _safe_date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def due_date(text: str, today: date) -> date | None:
    """The date said, in full or relative to `today`, or None. A month or a season counts by its last day."""
    text = digits(text)
    if found := _ISO.search(text):
        day, month = int(found[1]), int(found[2])
        if 1 <= month <= 12 and 1 <= day <= 31:
            return _safe_date(_year(found[3], month, today), month, day)
    if found := _DATE.search(text):
        month = _NUMERO_DU_MOIS[found[2]]
        year = _year(found[3], month, today)
        if found[1]:
            return _safe_date(year, month, 1 if found[1] == "premier" else int(found[1]))
        if re.search(rf"\b(debut|avant|1er|courant|mi)[ -](?:de )?(?:le (?:mois de )?)?{found[2]}", text):
            return date(year, month, 15)
        return _end_of_month(year, month)
    if found := _TRIMESTRE.search(text):
        length = 6 if found[4] == "semestre" else 3
        rank = int(found[1]) if found[1] else _RANGS.get(found[3], 12 // length)
        month = min(rank * length, 12)
        said = found[2] or found[5]
        return _end_of_month(_year(said, month, today), month)
    if found := _MOMENT.search(text):
        month = _MOMENTS[found[1]]
        return _end_of_month(_year(found[2], month, today), month)
    if found := _DUREE.search(text):
        count = 3.0 if found[1] in ("quelques", "qq", "qlq") else 2.0 if found[1] == "deux" else _nombre(found[1])
        unit = found[2].rstrip("s") if found[2] != "mois" else "mois"
        unit = {"j": "jour", "sem": "semaine", "annee": "an"}.get(unit, unit)
        count += 0.5 if found[3] else 0
        days = count * _JOURS_PAR_UNITE[unit]
        if days > _TROP_LOIN:
            return None
        return today - timedelta(days=days) if _PASSE.search(text[: found.start()]) else today + timedelta(days=days)
    if re.search(r"\bfin (?:de l'|d')annee\b|\bavant la fin de l'annee\b", text) and "prochaine" not in text:
        return date(today.year, 12, 31)
    if re.search(r"\b(?:l'annee|l'an) (?:prochaine?|suivante?)\b|\bannee prochaine\b", text):
        return date(today.year + 1, 12, 31)
    if re.search(r"\b(?:le )?mois prochain\b|\bfin du mois\b|\bce mois\b", text):
        return today + timedelta(days=40)
    if re.search(r"\b(?:la )?semaine prochaine\b|\bcette semaine\b|\bdemain\b|\bapres-demain\b", text):
        return today + timedelta(days=9)
    if found := _ANNEE.search(text):
        return date(int(found[1]), 12, 31)
    return None


def months_until(due: date, today: date) -> float:
    """Months from `today` to `due`; below zero for the past."""
    whole = (due.year - today.year) * 12 + due.month - today.month
    return whole + (due.day - today.day) / 31

"""The document to keep: a person's verdict as a dated, tagged PDF (PDF/UA-1) that also reads well on paper.

Gathers the words and hands them, as data only, to the template `bilan.typ`. Knows neither requests nor conversations,
and holds no sentence: those are in the template or in `domain.yml`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst

from actions import texts
from actions.diagnostic import VERSION, diagnostiquer, parcours
from actions.restitution import restitution
from web.views import PHONE, PHONE_LINK

TEMPLATE = Path(__file__).with_suffix(".typ")


@lru_cache(maxsize=1)
def fonts() -> typst.Fonts:
    """Those that typst carries, and no other: the document looks the same on every machine."""
    return typst.Fonts(include_system_fonts=False)


def answer(slot: str, value: str | None) -> str:
    """The title of the choice made, as the person read it; without one, that there is no answer yet."""
    for option in texts.options(slot):
        if texts.value_of(option) == value:
            return option["title"]
    return texts.sentence(texts.text("utter_recap_sans_reponse"))


def donnees(reponses: Mapping[str, str | None], reference: str, le: date) -> dict[str, Any]:
    """All that the template shows, ready for `json.dumps`. Dates are ISO 8601; `poids` is a bar's length, 1 to 3.

    Raises:
        ReponsesInvalides: an unknown slot or value among `reponses`.
        KeyError: a text is missing from `domain.yml` (`make lint` finds it first).
    """
    diagnostic = diagnostiquer(reponses)
    said = restitution(diagnostic)
    return {
        "date": le.isoformat(),
        "reference": reference,
        "version": VERSION,
        "telephone": PHONE,
        "lien_telephone": f"tel:{PHONE_LINK}",
        "titre": said.titre,
        "phrase": said.phrase,
        "raisons": [
            {
                "effet": reason.effet,
                "reponse": texts.sentence(reason.reponse),
                "poids": reason.poids,
            }
            for reason in said.raisons
        ],
        "sans_raison": texts.text("utter_raison_aucune"),
        "parties": [{"nom": part.nom, "explication": part.explication} for part in said.parties],
        "etapes": list(said.etapes),
        "pistes": [{"hypothese": piste.hypothese, "titre": piste.titre} for piste in said.pistes],
        "sans_piste": texts.text("utter_verdict_sans_bascule"),
        "reponses": [
            {"nom": texts.text(f"utter_nom_{slot}"), "reponse": answer(slot, diagnostic.reponses[slot])}
            for slot in parcours(diagnostic.reponses)
        ],
    }


def bilan(reponses: Mapping[str, str | None], reference: str, le: date) -> bytes:
    """The PDF of the verdict for `reponses`, dated `le`: one or two A4 pages, the same bytes for the same arguments.

    Raises:
        ReponsesInvalides, KeyError: as `donnees`.
        typst.TypstError: the template is broken, or a character of the texts has no glyph in its font.
    """
    return typst.compile(
        TEMPLATE,
        format="pdf",
        pdf_standards="ua-1",
        font_paths=fonts(),
        ignore_system_fonts=True,
        timestamp=datetime.combine(le, time(), timezone.utc),
        sys_inputs={"donnees": json.dumps(donnees(reponses, reference, le), ensure_ascii=False)},
    )

"""A reference spelled aloud, as staff type it in the search box: what is found, and what is left to the text search."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actions.references import ALPHABET, LENGTH
from web import spelling
from web.spelling import candidates, heard
from web.tables import folded

WORDS = yaml.safe_load((Path(spelling.__file__).with_name("epellation.yml")).read_text("utf-8"))
CODES = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH).filter(lambda code: len(set(code)) > 2)


def finds(typed: str, reference: str) -> bool:
    """Whether a search for `typed` comes upon the stored `reference`."""
    patterns = candidates(heard(typed))
    return any(re.fullmatch(pattern.replace("_", "."), reference) for pattern in patterns)


@pytest.mark.parametrize(
    "typed",
    [
        "HA7R-3W4J",
        "ha7r3w4j",
        "ha7r 3w4j",
        "HA7R–3W4J",
        "HA7R / 3W4J",
        "h a 7 r 3 w 4 j",
        "H, A, 7, R, 3, W, 4, J",
        "H A 7 R tiret 3 W 4 J",
        "ha 7r 3w 4j",
        "HA7 R3W 4J",
        "ha7r et ensuite 3w4j",
        "h comme hôtel a comme anatole sept r comme raoul trois w comme william quatre j comme joseph",
        "H comme dans haricot, A comme abricot, 7, R comme riz, 3, W comme wagon, 4, J comme jambon",
        "hache comme hôtel, a, 7 comme les nains, r, trois, w comme kiwi, quatre, j",
        "hôtel alpha sept roméo trois whiskey quatre juliette",
        "Henri Anatole sept Raoul tiret trois William quatre Joseph",
        "h hôtel a alpha 7 r roméo 3 w whiskey 4 j juliette",
        "hache a sept erre trois double vé quatre ji",
        "ache à sept air trois doublevé quatre ji",
        "H A cette R trois double v quatre J",
        "la référence c'est HA7R-3W4J merci",
        "La réf. est : ha7r3w4j, s’il vous plaît",
        "n° HA7R-3W4J",
        "bonjour, j’ai la référence HA7R 3W4J et je voudrais un devis",
        "elle a dit h a 7 r 3 w 4 j",
        "il y a h a 7 r 3 w 4 j",
        "Mme Farah, HA7R-3W4J, 06 12 34 56 78",
        "il a HA7R-3W4J",
    ],
)
def test_a_reference_is_found_however_it_is_spelled(typed: str) -> None:
    assert heard(typed) == "HA7R3W4J"


@pytest.mark.parametrize(
    ("typed", "signs"),
    [
        ("h a soixante-treize r quarante-trois j w", "HA73R43JW"),
        ("h a soixante-treize quarante-trois j w", "HA7343JW"),
        ("i grec ix trente-quatre quatre-vingt-douze effe j", "YX3492FJ"),
        ("x y septante-deux nonante-six vingt et un a", "XY729627A"),
        ("x y soixante dix sept quatre vingt dix neuf a r", "XY7799AR"),
        ("h a deux fois 7 r 3 w 4", "HA77R3W4"),
        ("double r a 7 h 3 w 4", "RRA7H3W4"),
        ("double v double w f double f deux trois quatre", "WWFFF234"),
    ],
)
def test_numbers_may_be_said_in_pairs_and_signs_twice(typed: str, signs: str) -> None:
    assert heard(typed) == signs


@pytest.mark.parametrize(
    "typed",
    [
        "HA7R-3V4J",  # W
        "HA7R-3W4G",  # J
        "h a sept r trois w quatre gé",
        "h a 7 r 3 w 4 g comme Jacques",
        "hache ka sept erre trois vé quatre ji",  # A, W
        "H A 1 R 3 W 4 J",
        "ha7l 3w4j",
        "h a cinq r 3 w 4 j",
    ],
)
def test_a_sign_that_no_reference_has_is_the_one_it_is_mistaken_for(typed: str) -> None:
    assert heard(typed) == "HA7R3W4J"


def test_the_word_after_comme_decides_between_two_letters() -> None:
    assert heard("S comme François, A, 7, R, 3, W, 4, J") == "FA7R3W4J"
    assert heard("I comme Yvonne, A, 7, R, 3, W, 4, X comme taxi") == "YA7R3W4X"


@pytest.mark.parametrize(
    "typed",
    [
        "HA7R-3W4X",  # one wrong
        "SA7R-3W4J",
        "HA7R-3W4M",  # one that resembles nothing
        "HA7R-3WJ",  # one missing
        "A7R3W4J",
        "HA7RR-3W4J",  # one too many
        "c’est à h a 7 r 3 w 4 j",
        "AH7R-3W4J",  # neighbours exchanged
        "HA73-RW4J",
        "HA7R",
        "3w4j",
        "code qui finit par 3W4J",
        "ça commence par h a 7 r",
        "HA7R-3W",
        "Martin 3W4J",
    ],
)
def test_a_reference_is_found_by_part_or_with_one_mistake(typed: str) -> None:
    assert finds(typed, "HA7R-3W4J")


@pytest.mark.parametrize(
    "typed",
    [
        *("Martin", "Farah", "Harry", "Yahya", "Jaffar", "Jaffray", "Raja", "FARAH", "Hajjar", "Fay", "Mme Hay"),
        *("Farah Martin", "Harry Raja", "Yara Jaha", "Marie-Anne", "Jean-Marc", "Henri Raoul", "R. Harry", "A. Farah"),
        *("François-Xavier", "Anne-Yvonne William", "Anatole", "Juliette Roméo"),
        *("Raja 93", "Raja 2026", "Henri 93", "Yara 69003", "Xavier 44000"),
        *(
            "06 12 34 56 78",
            "0612345678",
            "06.72.34.96.79",
            "+33 6 12 34 56 78",
            "34 67 92 43",
            "zéro six douze trente",
        ),
        *("Yara 06 12 34 56 78", "M. Farah 06 72 34 96 79", "a 06 12 34 56 78", "fax 04 72 33 44 66"),
        *("farah.haj92@gmail.com", "harry77@free.fr"),
        *("financement", "je veux un devis", "il y a 24 stagiaires", "y a 24", "de 24 à 36 mois", "24 à 36", "3 x 4"),
        *("24h/24 7j/7", "24h24", "9h à 12h", "lundi 9h30 12h", "14h 16h", "rappeler à 9h", "avant le 7 avril 2026"),
        *("1 500 €", "15000", "75011 Paris", "12 rue Raoul Dufy", "hôtel 4 étoiles", "2024-2026", "43972634902"),
        *("RNCP37274", "RNCP 37274", "RS6776", "RS 6776", "AFPA", "AFPA 93", "CPF 2026", "L6353-1", "FR76 3000 4000"),
        *("W", "RH", "A4", "J-7", "www", "xxxx", "ha ha ha ha", "soixante-treize", "deux fois trois", "", "…", "/"),
    ],
)
def test_names_numbers_and_sentences_are_no_reference(typed: str) -> None:
    assert heard(typed) == ""


def test_letters_alone_are_a_reference_where_no_name_is_made_so() -> None:
    assert heard("HAFR-JWXY") == heard("hafr jwxy") == "HAFRJWXY"
    assert heard("YARA-JAHA") == "YARAJAHA"
    assert heard("JWXR") == "JWXR"


def test_figures_alone_are_a_reference_only_whole() -> None:
    assert heard("2346-7923") == heard("23467923") == "23467923"
    assert heard("2346") == heard("2346-7925") == ""


def test_the_likeliest_comes_first() -> None:
    patterns = candidates("HA7R3W4J")
    assert patterns[:2] == ["HA7R-3W4J", "AH7R-3W4J"]
    assert patterns[-8:] == [f"{'HA7R-3W4J'[:i]}_{'HA7R-3W4J'[i + 1 :]}" for i in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert candidates("HA7R-3W4J") == patterns


def test_parts_and_lengths() -> None:
    assert candidates("HA7R") == ["HA7R-____", "____-HA7R"]
    assert candidates("HA7R3W") == ["HA7R-3W__", "__HA-7R3W"]
    assert candidates("HA7R3W4")[0] == "HA7R-3W4_"
    assert len(candidates("HA7R3W4")) == 8
    assert "HA7R-3W4J" in candidates("HA7RR3W4J")
    assert len(candidates("AAAAAAAAA")) == 1
    assert candidates("HA7") == candidates("") == candidates("HA7R3W4JHA") == candidates("%%%%%%%%") == []


@given(CODES, st.sampled_from(["{}{}", "{}-{}", "{} - {}", "ma référence est {}-{}, merci"]))
def test_every_written_reference_is_heard(code: str, form: str) -> None:
    assert heard(form.format(code[:4], code[4:]).lower()) == code


@given(CODES.filter(lambda code: not code.isdigit()))
def test_every_reference_spelled_sign_by_sign_is_heard(code: str) -> None:
    names = {sign: WORDS["noms"][sign][0] for sign in ALPHABET} | {"A": "a"}
    assert heard(" ".join(code)) == code
    assert heard(" ".join(names[sign] for sign in code)) == code
    assert (
        heard(" ".join(f"{sign} comme {WORDS['mots'][sign][0]}" if sign.isalpha() else sign for sign in code)) == code
    )


@given(st.text(max_size=60) | st.text("ahrjx267 -/°@'’éo", max_size=40))
def test_whatever_is_typed_only_signs_come_out(typed: str) -> None:
    signs = heard(typed)
    assert set(signs) <= set(ALPHABET)
    assert not signs or (4 <= len(signs) <= 9 and candidates(signs))
    assert all(re.fullmatch(f"[{ALPHABET}_]{{4}}-[{ALPHABET}_]{{4}}", pattern) for pattern in candidates(signs))


def test_the_words_are_written_as_they_are_looked_for_and_each_once() -> None:
    lists = [of for use in ("noms", "nombres", "mots", "fois") for of in WORDS[use].values()]
    phrases = [word for of in [*lists, *WORDS["autour"], WORDS["comme"], WORDS["jamais"]] for word in of]
    assert all(phrase == folded(phrase) and len(phrase.split()) <= 4 for phrase in phrases)
    assert sorted(phrases) == sorted(set(phrases))


def test_every_sign_has_its_name_and_every_other_its_likeness() -> None:
    every = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    assert set(WORDS["confusions"]) == every - set(ALPHABET)
    assert set(WORDS["confusions"].values()) <= {*ALPHABET, ""}
    assert {sign for sign in ALPHABET if WORDS["noms"].get(sign)} == set(ALPHABET)

"""The console over HTTP, with the real guide: who may enter, the list, taking over, the script of a call, figures."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from actions.references import METADATA, REFERENCES, engine
from tests.conftest import Guide
from tests.staff import COMPLETE, PASSWORD, Staff, Visitor, account, plain, until
from web.accounts import Accounts
from web.console import console_routes
from web.desk import TRIES
from web.followup import CALL_BACK_STATES
from web.session import COOKIE
from web.tables import ACCOUNTS, AUDIT, CONVERSATIONS, SESSIONS, now

pytestmark = pytest.mark.bot


@pytest.fixture(scope="module")
def lea(guide: Guide) -> Staff:
    return Staff(guide)


@pytest.fixture(scope="module")
def omar(guide: Guide) -> Staff:
    return Staff(guide, "Omar Diallo")


@pytest.fixture
def visitor(guide: Guide) -> Visitor:
    made = Visitor(guide).arrive()
    made.sees("Question 1 sur 9")
    return made


def page_of(conversation: str) -> str:
    return f"/console/c/{conversation}"


def region(page: str, name: str) -> str:
    """The part of a page that its script brings up to date under this name."""
    begun = page.index(f'data-region="{name}"')
    return page[begun : page.find("data-region=", begun + 10)]


def addresses() -> Iterator[tuple[str, str]]:
    for route in console_routes():
        path = route.path.replace("{conversation}", "web-0").replace("{numero:int}", "1")
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if path != "/console/connexion":
                yield method, path


# ── who may enter ──


@pytest.mark.parametrize(("method", "path"), list(addresses()))
def test_nothing_of_the_console_opens_without_a_session(guide: Guide, method: str, path: str) -> None:
    asked = httpx.request(method, guide.door + path, headers={"accept": "application/json"}, timeout=30)
    assert asked.status_code == 401
    assert "session" in asked.json()["texte"]
    shown = httpx.request(method, guide.door + path, timeout=30)
    if path.endswith("/evenements"):
        assert shown.status_code == 401
    else:  # A browser is led to the page to sign in.
        assert (shown.status_code, shown.headers["location"][:18]) == (303, "/console/connexion")


@pytest.mark.parametrize(("method", "path"), list(addresses()))
def test_nothing_of_the_console_opens_to_the_other_role(guide: Guide, method: str, path: str) -> None:
    accounts = Accounts(guide.database)
    trainer = accounts.check(account(guide, "Inès", "formateur"), PASSWORD)
    assert trainer
    cookies = {COOKIE: accounts.open_session(trainer)}
    answer = httpx.request(method, guide.door + path, cookies=cookies, timeout=30)
    assert answer.status_code == 403
    assert "web-0" not in answer.text


def test_a_trainer_cannot_sign_in_to_the_console(guide: Guide) -> None:
    refused = Staff(guide, "Inès", "formateur").sign_in()
    assert refused.status_code == 403
    assert COOKIE not in refused.cookies


def test_the_session_is_kept_from_scripts_and_other_sites(guide: Guide) -> None:
    cookie = Staff(guide).sign_in().headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_behind_tls_the_cookie_is_secure(guide: Guide) -> None:
    staff = Staff(guide)
    staff.http.headers["x-forwarded-proto"] = "https"
    assert "secure" in staff.sign_in().headers["set-cookie"].lower()


def test_passwords_and_sessions_are_not_kept_in_clear(guide: Guide) -> None:
    staff = Staff(guide)
    with engine(guide.database).begin() as connection:
        kept = connection.execute(select(ACCOUNTS.c.mot_de_passe).where(ACCOUNTS.c.identifiant == staff.login)).scalar()
        sessions = list(connection.execute(select(SESSIONS.c.empreinte)).scalars())
    assert kept.startswith("$argon2id$")
    assert staff.http.cookies[COOKIE] not in sessions


@pytest.mark.parametrize(("method", "path"), [a for a in addresses() if a[0] == "POST"])
def test_a_form_without_the_mark_of_the_session_does_nothing(lea: Staff, method: str, path: str) -> None:
    for mark in ("", "autre"):
        refused = lea.http.post(path, data={"texte": "x", "csrf": mark})
        assert (refused.status_code, refused.json()["erreur"]) == (403, "formulaire_perime")


def test_the_mark_of_a_colleague_is_not_mine(lea: Staff, omar: Staff) -> None:
    refused = lea.http.post("/console/appel", headers={"x-csrf-token": omar.csrf})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://ailleurs.example"}, {"origin": "null"}, {"origin": "null", "sec-fetch-site": "cross-site"}],
)
def test_another_site_cannot_sign_someone_in(guide: Guide, headers: dict[str, str]) -> None:
    staff = Staff(guide)
    staff.http.headers.update(headers)
    assert staff.sign_in().status_code == 403


def test_wrong_passwords_are_counted_and_said(guide: Guide, lea: Staff) -> None:
    staff = Staff(guide)
    for _ in range(TRIES):
        wrong = staff.sign_in("mauvais mot de passe")
        assert (wrong.status_code, wrong.json()["erreur"]) == (400, "identifiants_faux")
    late = staff.sign_in()
    assert late.status_code == 429
    assert "5 min" in plain(late.json()["texte"])
    assert lea.sign_in().status_code == 200  # A colleague is not concerned.
    lea.csrf = lea.sign_in().json()["csrf"]


def test_an_unknown_login_is_told_the_same(guide: Guide) -> None:
    wrong = httpx.post(f"{guide.door}/console/connexion", data={"identifiant": "personne-ici", "mot_de_passe": "x"})
    assert wrong.status_code == 401
    assert "identifiant ou" in plain(wrong.text).lower()


@pytest.mark.parametrize(
    "after", ["https://ailleurs.example/", "//ailleurs.example", "/console/../x", "/\\x", "/autre"]
)
def test_signing_in_leads_to_the_console_only(guide: Guide, after: str) -> None:
    staff = Staff(guide)
    form = {"identifiant": staff.login, "mot_de_passe": PASSWORD, "suite": after}
    answer = httpx.post(f"{guide.door}/console/connexion", data=form)
    assert answer.status_code == 303
    assert re.match(r"^/console(?!/\.\.)", answer.headers["location"])


def test_signing_in_leads_back_to_where_one_was(guide: Guide) -> None:
    staff = Staff(guide)
    asked = httpx.get(f"{guide.door}/console/chiffres?jours=7")
    form = {"identifiant": staff.login, "mot_de_passe": PASSWORD}
    form["suite"] = dict(httpx.URL(asked.headers["location"]).params)["suite"]
    assert httpx.post(f"{guide.door}/console/connexion", data=form).headers["location"] == "/console/chiffres?jours=7"


def test_signing_out_ends_the_session_and_hands_back(guide: Guide, visitor: Visitor) -> None:
    staff = Staff(guide, "Noé Petit")
    staff.does(page_of(visitor.conversation) + "/prendre")
    staff.does("/console/deconnexion")
    assert staff.post("/console/appel").status_code == 401
    visitor.sees("Question 1 sur 9")
    assert visitor.history()["conseiller"] is None


def test_a_closed_account_opens_nothing_and_its_sessions_end(guide: Guide) -> None:
    staff = Staff(guide)
    assert Accounts(guide.database).close(staff.login)
    assert staff.post("/console/appel").status_code == 401
    assert staff.sign_in().status_code == 400


def test_a_new_password_ends_the_sessions(guide: Guide) -> None:
    staff = Staff(guide)
    Accounts(guide.database).create(staff.login, "Léa Martin", "conseiller", "une autre phrase de passe")
    assert staff.post("/console/appel").status_code == 401


def test_a_session_lasts_a_working_day(guide: Guide) -> None:
    staff = Staff(guide)
    with engine(guide.database).begin() as connection:
        known = select(ACCOUNTS.c.id).where(ACCOUNTS.c.identifiant == staff.login).scalar_subquery()
        past = now() - timedelta(seconds=1)
        connection.execute(update(SESSIONS).where(SESSIONS.c.compte == known).values(expire_le=past))
    assert staff.post("/console/appel").status_code == 401


# ── taking over and handing back ──


def test_the_guide_falls_silent_and_the_visitor_is_told_who_has_come(lea: Staff, visitor: Visitor) -> None:
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    seen = visitor.sees("Léa Martin")
    assert seen[-1] | {"id": ""} == seen[-1] | {"id": "", "de": "conseiller", "genre": "annonce", "boutons": []}
    assert visitor.history()["conseiller"] == "Léa Martin"
    said = visitor.say("bonjour, on n'est pas certifiés", answered=False)
    assert said[-1]["texte"] == "bonjour, on n'est pas certifiés"
    assert said[-1]["de"] == "vous"
    assert "on n'est pas certifiés" in lea.text(page)
    lea.does(page + "/message", texte="Bonjour !\nJe regarde.", cle="0123456789abcdef")
    lea.does(page + "/message", texte="Bonjour !\nJe regarde.", cle="0123456789abcdef")
    seen = visitor.messages()
    assert [(m["de"], m["texte"]) for m in seen][-2:] == [
        ("vous", "bonjour, on n'est pas certifiés"),
        ("conseiller", "Bonjour !\nJe regarde."),
    ]


def test_handing_back_asks_the_open_question_again(lea: Staff, visitor: Visitor) -> None:
    visitor.choose("Pas certifié")
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    visitor.say("je préfère vous le dire à vous", answered=False)
    lea.does(page + "/rendre")
    seen = visitor.sees("Question 2 sur 9")
    assert any("assistant" in plain(message["texte"]) for message in seen[-3:])
    assert seen[-1]["boutons"]
    assert visitor.history()["conseiller"] is None
    # What was said to the person stored nothing, and the questionnaire goes on.
    assert visitor.http.get("/api/conversation").json()["repondues"] == 1
    visitor.choose("Aucune")
    visitor.sees("Question 3 sur 9")


def test_a_button_pressed_while_the_person_comes_is_not_lost(lea: Staff, visitor: Visitor) -> None:
    visitor.messages()
    lea.does(page_of(visitor.conversation) + "/prendre")
    visitor.choose("Pas certifié", answered=False)
    assert visitor.http.get("/api/conversation").json()["repondues"] == 1
    lea.does(page_of(visitor.conversation) + "/rendre")
    visitor.sees("Question 2 sur 9")


def test_two_staff_cannot_hold_the_same(lea: Staff, omar: Staff, visitor: Visitor) -> None:
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    lea.does(page + "/prendre")  # Again is harmless.
    for path, form in (
        ("/prendre", {}),
        ("/message", {"texte": "moi aussi"}),
        ("/rendre", {}),
        ("/issue", {"issue": "devis"}),
    ):
        refused = omar.post(page + path, **form)
        assert refused.status_code == 409
        assert "Léa Martin" in refused.json()["texte"]
    assert "moi aussi" not in json.dumps(visitor.messages())
    lea.does(page + "/rendre")
    omar.does(page + "/prendre")
    visitor.sees("Omar Diallo")


def test_who_asked_for_a_person_and_was_not_answered_waits_again(guide: Guide, lea: Staff, visitor: Visitor) -> None:
    visitor.say("je voudrais parler à un conseiller")
    until(lambda: visitor.conversation in lea.text("/console?etat=attente"), "waits for a person")
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    lea.does(page + "/rendre")
    assert visitor.conversation in lea.text("/console?etat=attente")
    lea.does(page + "/prendre")
    lea.does(page + "/message", texte="Bonjour !")
    lea.does(page + "/rendre")
    assert visitor.conversation not in lea.text("/console?etat=attente")


def test_messages_without_a_key_are_each_said(lea: Staff, visitor: Visitor) -> None:
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    lea.does(page + "/message", texte="premier")
    lea.does(page + "/message", texte="second")
    assert [m["texte"] for m in visitor.messages()[-2:]] == ["premier", "second"]


def test_the_same_form_sent_twice_is_done_once(lea: Staff, visitor: Visitor) -> None:
    page = page_of(visitor.conversation)
    headers = {"x-csrf-token": lea.csrf, "idempotency-key": "0123456789abcdef"}
    for _ in range(2):
        assert lea.http.post(page + "/note", data={"texte": "note unique"}, headers=headers).status_code == 200
    assert lea.text(page).count("note unique") == 1


def test_a_colleague_cannot_erase_what_one_holds(lea: Staff, omar: Staff, visitor: Visitor) -> None:
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    assert omar.post(page + "/effacer").status_code == 409
    assert "Question 1" in lea.text(page)


def test_who_holds_nothing_cannot_speak(lea: Staff, visitor: Visitor) -> None:
    refused = lea.post(page_of(visitor.conversation) + "/message", texte="coucou")
    assert (refused.status_code, refused.json()["erreur"]) == (409, "pas_prise")


def test_closing_the_browser_hands_back_after_a_while(guide: Guide, visitor: Visitor) -> None:
    staff = Staff(guide, "Zoé Roy")
    staff.does(page_of(visitor.conversation) + "/prendre")
    with engine(guide.database).begin() as connection:
        long_ago = now() - timedelta(minutes=3)
        connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.identifiant == staff.login).values(vu_le=long_ago))
    seen = visitor.sees("Question 1 sur 9")
    assert any("Zoé Roy a dû s'absenter" in plain(message["texte"]) for message in seen[-3:])
    assert "Suivie par" not in staff.text(page_of(visitor.conversation))


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/message", {"texte": " \n "}, 400),
        ("/message", {"texte": "x" * 1_001}, 413),
        ("/note", {"texte": " "}, 400),
        ("/note", {"texte": "x" * 4_001}, 413),
        ("/reponse", {"slot": "ambition", "valeur": "vaste"}, 400),
        ("/reponse", {"slot": "cadre_stable", "valeur": "choisi"}, 400),  # Not asked in this conversation.
        ("/reponse", {}, 400),
        ("/issue", {"issue": "fortune"}, 400),
        ("/rappel", {"nom": "Jo", "joindre": "12", "accord": "oui"}, 400),
        ("/rappel", {"nom": "Jo", "joindre": "0612345678"}, 400),
        ("/rappels/999999", {"etat": "rappele"}, 404),
        ("/rappels/1", {"etat": "oublie"}, 400),
    ],
)
def test_bad_input_is_said_in_french_and_changes_nothing(
    lea: Staff, visitor: Visitor, path: str, form: dict[str, str], status: int
) -> None:
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    refused = lea.post(page + path, **form)
    assert refused.status_code == status
    assert len(refused.json()["texte"]) > 15
    lea.does(page + "/rendre")
    visitor.sees("Question 1 sur 9")


@pytest.mark.parametrize("path", ["", "/script", "/bilan.pdf", "/export.json"])
def test_a_conversation_that_does_not_exist_is_said(lea: Staff, path: str) -> None:
    assert lea.get(page_of("web-0") + path).status_code == 404
    assert lea.post(page_of("web-0") + "/prendre").status_code == 404


# ── what is shown ──


def test_the_page_shows_what_was_said_for_each_answer(lea: Staff, visitor: Visitor) -> None:
    visitor.say("on n'est pas certifiés du tout")
    visitor.choose("Aucune")
    visitor.sees("Question 3 sur 9")
    answers = region(lea.text(page_of(visitor.conversation)), "reponses")
    assert re.search(r"Pas certifié.*on n'est pas certifiés du tout", answers, re.S)
    assert "Aucune" in answers


def test_hostile_text_is_shown_as_text(lea: Staff, visitor: Visitor) -> None:
    hostile = "<img src=x onerror=alert(1)></textarea><script>alert(2)</script> {{7*7}}"
    visitor.say(hostile)
    page = lea.get(page_of(visitor.conversation)).text
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "{{7*7}}" in page
    assert "<img src=x" not in lea.get("/console?q=onerror").text


def test_the_list_tells_the_state_and_the_step(lea: Staff, visitor: Visitor) -> None:
    def line() -> str:
        shown = lea.text("/console")
        begun = shown.index(visitor.conversation)
        return shown[begun : shown.find("data-cle=", begun + 60)]

    until(lambda: "Question 1 sur 9" in line(), "the first step")
    visitor.choose("Pas certifié")
    until(lambda: "Question 2 sur 9" in line(), "the next step")
    visitor.say("je voudrais parler à un conseiller")
    until(lambda: visitor.conversation in lea.text("/console?etat=attente"), "waits for a person")
    lea.does(page_of(visitor.conversation) + "/prendre")
    assert "Suivie par Léa Martin" in line()
    assert visitor.conversation not in lea.text("/console?etat=attente")
    visitor.say("merci d'être là", answered=False)
    assert visitor.conversation in lea.text("/console?etat=attente")  # Wrote, and was not answered.
    lea.text(page_of(visitor.conversation))
    assert visitor.conversation in lea.text("/console?etat=attente")
    lea.does(page_of(visitor.conversation) + "/message", texte="Avec plaisir")
    assert visitor.conversation not in lea.text("/console?etat=attente")
    lea.does(page_of(visitor.conversation) + "/issue", issue="devis")
    assert "Terminée" in line()
    assert visitor.conversation in lea.text("/console?etat=terminee")


def test_a_conversation_is_found_by_what_was_typed(lea: Staff, visitor: Visitor) -> None:
    visitor.say("je suis formatrice en Héraldique à Besançon")
    for words in ("heraldique", "BESANCON", "besançon héraldique"):
        until(lambda words=words: visitor.conversation in lea.text(f"/console?q={words}"), words)
    assert visitor.conversation not in lea.text("/console?q=héraldique lyon")
    assert visitor.conversation not in lea.text("/console?q=%25")


def test_silence_ends_a_conversation(guide: Guide, lea: Staff, visitor: Visitor) -> None:
    visitor.choose("Pas certifié")
    until(lambda: "Question 2 sur 9" in lea.text("/console"), "followed")
    with engine(guide.database).begin() as connection:
        mine = CONVERSATIONS.c.conversation == visitor.conversation
        connection.execute(update(CONVERSATIONS).where(mine).values(dernier_le=now() - timedelta(minutes=31)))
    assert visitor.conversation in lea.text("/console?etat=terminee")


# ── the script of a call ──


def answered(staff: Staff, conversation: str, answers: dict[str, str]) -> None:
    for slot, value in answers.items():
        staff.does(page_of(conversation) + "/reponse", slot=slot, valeur=value)


def test_a_call_is_led_in_any_order_to_the_same_verdict_and_goes_on_on_the_web(guide: Guide, lea: Staff) -> None:
    conversation = lea.call()
    script = page_of(conversation) + "/script"
    shown = lea.text(script)
    assert re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", shown)
    answered(lea, conversation, dict(reversed(list(COMPLETE.items())[4:])))
    lea.does(page_of(conversation) + "/note", texte="Parle vite, rappeler le matin")
    assert "Parle vite" in lea.text(script)
    code = lea.does(page_of(conversation) + "/code")
    assert code["lien"].endswith(f"/conversation#bon-moment={code['code']}")
    caller = Visitor(guide).arrive(code["code"])
    assert caller.history()["conseiller"] == "Léa Martin"
    lea.does(page_of(conversation) + "/issue", issue="reflexion")
    caller.sees("Question 1 sur 9")
    for title in ("Pas certifié", "Aucune", "Oui", "Grandir"):
        caller.choose(title)
    last = until(lambda: [m for m in caller.messages() if m.get("carte")], "a verdict on the web")
    assert "bon moment" in plain(last[-1]["carte"]["titre"]).lower()
    assert last[-1]["carte"]["reference"] in shown
    page = lea.text(page_of(conversation))
    assert "Léa Martin" in region(page, "reponses")


def test_a_whole_call_gives_the_verdict_to_say_and_the_web_shows_it(guide: Guide, lea: Staff) -> None:
    conversation = lea.call()
    answered(lea, conversation, COMPLETE)
    shown = lea.text(page_of(conversation) + "/script")
    assert "bon moment" in region(shown, "verdict").lower()
    # Any answer may be changed, and the verdict follows.
    answered(lea, conversation, {"financement_vise": "non", "ambition": "stable"})
    answered(lea, conversation, {"cadre_stable": "choisi"})
    assert "bon moment" not in region(lea.text(page_of(conversation) + "/script"), "verdict").lower()
    answered(lea, conversation, {"ambition": "croissance", "financement_vise": "oui"})
    code = lea.does(page_of(conversation) + "/code")["code"]
    lea.does(page_of(conversation) + "/issue", issue="devis")
    caller = Visitor(guide).arrive(code)
    until(lambda: [m for m in caller.messages() if m.get("carte")], "the verdict's card")
    assert lea.get(page_of(conversation) + "/bilan.pdf").content.startswith(b"%PDF")
    assert caller.http.get("/api/bilan.pdf").content.startswith(b"%PDF")


def test_what_was_begun_in_the_chat_goes_on_on_the_phone(lea: Staff, visitor: Visitor) -> None:
    visitor.choose("Pas certifié")
    page = page_of(visitor.conversation)
    lea.does(page + "/prendre")
    answered(lea, visitor.conversation, {"financement_actuel": "significatif"})
    noted = visitor.messages()[-1]
    assert (noted["de"], noted["genre"]) == ("conseiller", "reponse")
    lea.does(page + "/rendre")
    seen = visitor.sees("Question 3 sur 8")
    assert "grandir" in plain(json.dumps(seen[-1]["boutons"], ensure_ascii=False)).lower()


def test_a_reference_is_found_however_it_is_spelled(guide: Guide, lea: Staff) -> None:
    conversation = lea.call()
    with engine(guide.database).begin() as connection:
        reference = connection.execute(
            select(REFERENCES.c.reference).where(REFERENCES.c.conversation == conversation)
        ).scalar_one()
    wrong = next(c for c in "AFHJ" if c != reference[2])
    spelled = [
        reference,
        reference.lower().replace("-", ""),
        " ".join(reference[:4]) + " tiret " + " ".join(reference[5:]),
        reference[:2] + wrong + reference[3:],  # One sign misheard.
        reference[:-1],  # One forgotten.
    ]
    for words in spelled:
        assert conversation in lea.text(f"/console?q={words}"), words


def test_a_caller_leaves_a_number_and_is_found_by_it(lea: Staff) -> None:
    conversation = lea.call()
    page = page_of(conversation)
    lea.does(page + "/rappel", nom="Éléonore Dupuy", joindre="+33 6 98 76 54 32", message="le matin", accord="oui")
    for words in ("eleonore", "06 98 76 54 32", "Dupuy", "0698765432"):
        assert conversation in lea.text(f"/console?q={words}"), words
    shown = lea.text("/console/rappels")
    assert "Éléonore Dupuy" in shown
    number = re.search(r"/console/rappels/(\d+)", shown)
    assert number
    for state in CALL_BACK_STATES[1:]:
        lea.does(f"/console/rappels/{number[1]}", etat=state)
        assert "Éléonore Dupuy" in lea.text(f"/console/rappels?etat={state}")
    assert "Éléonore Dupuy" not in lea.text("/console/rappels?etat=a_rappeler")
    lea.does(f"/console/rappels/{number[1]}/effacer")
    assert "Éléonore Dupuy" not in lea.text("/console/rappels")
    assert lea.post(f"/console/rappels/{number[1]}/effacer").status_code == 404
    assert lea.post(f"/console/rappels/{2**40}/effacer").status_code == 404


# ── what was not understood, figures, the log ──


def test_what_was_not_understood_is_listed_with_its_question_and_its_meaning_kept(lea: Staff, visitor: Visitor) -> None:
    visitor.choose("Pas certifié")
    visitor.say("gloubi boulga des montagnes bleues")
    shown = until(lambda: "gloubi boulga" in (page := lea.text("/console/incompris")) and page, "listed")
    around = shown[: shown.index("gloubi boulga") + 4_000]
    number = re.findall(r"/console/incompris/(\d+)", around)
    assert number
    lea.does(f"/console/incompris/{number[0]}", sens="reponse:financement_actuel:aucun")
    assert "gloubi boulga" not in lea.text("/console/incompris")
    assert "gloubi boulga" in lea.text("/console/incompris?filtre=dits")
    assert lea.post(f"/console/incompris/{number[0]}", sens="reponse:x:y").status_code == 400
    lea.does(f"/console/incompris/{number[0]}", sens="")
    assert "gloubi boulga" in lea.text("/console/incompris")


def test_the_figures_count_what_happened(guide: Guide, lea: Staff, visitor: Visitor) -> None:
    def figures() -> dict[tuple[str, str], str]:
        sheet = lea.get("/console/chiffres.csv").content.decode("utf-8-sig")
        return {(plain(r[0]), plain(r[1])): r[2] for r in csv.reader(io.StringIO(sheet), delimiter=";")}

    def total(words: str, found: dict[tuple[str, str], str]) -> int:
        return sum(int(v) for (table, row), v in found.items() if row == words)

    before = figures()
    Visitor(guide).arrive().sees("Question 1 sur 9")
    conversation = lea.call()
    answered(lea, conversation, COMPLETE)
    after = figures()
    begun = next(row for _, row in before if "ommenc" in row)
    assert total(begun, after) == total(begun, before) + 2
    verdict = next(row for (table, row) in after if "bon moment" in row.lower())
    assert total(verdict, after) == total(verdict, before) + 1
    assert "<svg" in lea.get("/console/chiffres?jours=7").text


def test_the_log_says_who_opened_took_exported_and_erased(guide: Guide) -> None:
    staff = Staff(guide, "Ida Blanc")
    visitor = Visitor(guide).arrive()
    visitor.sees("Question 1 sur 9")
    page = page_of(visitor.conversation)
    staff.text(page)
    staff.does(page + "/prendre")
    assert staff.get(page + "/export.json").json()["messages"]
    staff.does(page + "/effacer")
    with engine(guide.database).begin() as connection:
        known = select(ACCOUNTS.c.id).where(ACCOUNTS.c.nom == "Ida Blanc").scalar_subquery()
        query = select(AUDIT.c.action, AUDIT.c.conversation).where(AUDIT.c.compte == known).order_by(AUDIT.c.id)
        done = [tuple(row) for row in connection.execute(query)]
    assert done == [(action, None) for action in ("connexion", "ouvert", "pris", "export", "efface")]
    assert "Ida Blanc" in staff.text("/console/journal")


def test_nobody_reads_what_could_not_be_written_in_the_log(guide: Guide, lea: Staff, visitor: Visitor) -> None:
    page, base = page_of(visitor.conversation), engine(guide.database)
    with base.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE bon_moment_journal RENAME TO parti")
    try:
        assert [lea.get(page).status_code for _ in range(2)] == [503, 503]
    finally:
        with base.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE parti RENAME TO bon_moment_journal")
    assert lea.get(page).status_code == 200
    with base.begin() as connection:
        written = select(AUDIT).where(AUDIT.c.conversation == visitor.conversation, AUDIT.c.action == "ouvert")
        assert len(connection.execute(written).all()) == 1


def test_an_address_to_answer_to_is_an_address_only(lea: Staff) -> None:
    page = page_of(lea.call())
    lea.does(page + "/rappel", nom="Zoé", joindre="zoe@ex.fr?bcc=x%40y.fr&body=z", accord="oui")
    assert "mailto:zoe@ex.fr%3Fbcc%3Dx%2540y.fr%26body%3Dz" in lea.text("/console/rappels")


def test_an_erased_conversation_is_gone_from_every_screen_and_table(guide: Guide, lea: Staff, visitor: Visitor) -> None:
    conversation = visitor.conversation
    page = page_of(conversation)
    visitor.say("zygomatique imprononçable")
    lea.does(page + "/prendre")
    lea.does(page + "/note", texte="note zygomatique")
    lea.does(page + "/rappel", nom="Zyg Omatique", joindre="0611111111", accord="oui")
    until(lambda: conversation in lea.text("/console?q=zygomatique"), "found before")
    assert visitor.http.delete("/api/conversation").status_code == 200
    for path in ("/console", "/console?q=zygomatique", "/console/rappels", "/console/incompris", "/console/journal"):
        shown = lea.text(path)
        assert conversation not in shown, path
        assert "Zyg Omatique" not in shown
    assert lea.get(page).status_code == 404
    assert lea.post(page + "/message", texte="encore là ?").status_code == 404
    with engine(guide.database).begin() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(select(table)):
                assert conversation not in map(str, row), table.name
                assert "zygomatique" not in " ".join(map(str, row)), table.name
        assert (
            connection.exec_driver_sql(f"select count(*) from events where sender_id = '{conversation}'").scalar() == 0
        )

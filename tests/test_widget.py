"""The widget in a real browser, with the real guide behind it: what a visitor sees, hears and can do, what a site gets.

With BON_MOMENT_CAPTURES=folder, pictures of each state are written there.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect
from pypdf import PdfReader

from tests.conftest import Guide, free_port
from web.records import Records

pytestmark = [pytest.mark.bot, pytest.mark.browser]
SHOTS = os.environ.get("BON_MOMENT_CAPTURES")
SLOW = 20_000
"""Milliseconds that the guide may take on a busy machine."""

ANSWERS = [
    ("Pas certifié", "Question 2 sur 9"),
    ("Moins de 30", "Question 3 sur 9"),
    ("Oui", "Question 4 sur 9"),
    ("Grandir", "Question 5 sur 9"),
    ("Plus tard", "Question 6 sur 9"),
    ("Un projet à moi", "Question 7 sur 9"),
    ("Écrit, suivi et mesuré", "Question 8 sur 9"),
    ("Oui, les deux", "Question 9 sur 9"),
    ("Non, aucune date", "Oui, c'est le bon moment"),
]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1200, "height": 900}, locale="fr-FR")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, guide: Guide) -> Iterator[Page]:
    """A page whose scripts must not fail, and that must ask nothing elsewhere than at the door and the site."""
    made = context.new_page()
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
    made.on("request", lambda r: None if r.url.startswith(known) else faults.append(r.url))
    known = (guide.door, guide.site, "data:", "blob:")
    yield made
    assert faults == []


# ── what a visitor does ──


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("’", "'")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def messages(page: Page) -> list[str]:
    return [plain(text) for text in page.locator("#messages > li").all_inner_texts()]


def sees(page: Page, text: str) -> None:
    pattern = re.compile(re.escape(text).replace(r"\ ", r"\s").replace("'", "['’]"))
    expect(page.locator("#messages > li").last).to_contain_text(pattern, timeout=SLOW)
    expect(page.locator("#envoyer")).to_have_attribute("aria-disabled", "false", timeout=SLOW)


def arrive(page: Page, guide: Guide, path: str = "/conversation") -> None:
    page.goto(guide.door + path)
    if path == "/":
        button(page, "Qualiopi : est-ce le moment ?").click()
    button(page, "Commencer").click()
    sees(page, "Question 1 sur 9")


def choose(page: Page, title: str, then: str) -> None:
    page.locator(".choix").get_by_role("button", name=title).first.click()
    sees(page, then)


def write(page: Page, text: str, then: str) -> None:
    page.locator("#saisie").fill(text)
    page.keyboard.press("Enter")
    sees(page, then)


def to_verdict(page: Page, guide: Guide, path: str = "/conversation") -> None:
    arrive(page, guide, path)
    for title, then in ANSWERS:
        choose(page, title, then)


def focused(page: Page) -> str:
    """What has the keyboard: its tag and its words."""
    return str(
        page.evaluate(
            """() => { let e = document.activeElement;
            while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
            return e ? `${e.tagName} ${e.id} ${e.innerText ?? ''}`.slice(0, 200) : '' }"""
        )
    )


def stored(page: Page) -> int:
    return int(page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length"))


def conversation_of(page: Page) -> str:
    """The conversation's identifier, which its token says in clear."""
    head = str(page.evaluate("localStorage.getItem('bon-moment:jeton')")).split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))))


def tracker(guide: Guide, conversation: str) -> dict[str, Any]:
    url = f"{guide.rasa}/conversations/{conversation}/tracker"
    return httpx.get(url, params={"token": guide.token}, timeout=30).json()


# ── before opening ──


def test_nothing_is_loaded_or_stored_before_the_visitor_opens_the_guide(page: Page, guide: Guide) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(guide.door)))
    page.goto(guide.door)
    expect(button(page, "Qualiopi : est-ce le moment ?")).to_be_visible()
    page.wait_for_load_state("networkidle")
    shot(page, "ferme")
    assert [path for path in asked if path.startswith(("/widget/", "/api/"))] == []
    assert "/widget.js" in asked and stored(page) == 0

    button(page, "Qualiopi : est-ce le moment ?").click()
    expect(page.locator("#accueil")).to_be_visible()
    notice = plain(page.locator("#accueil").inner_text())
    for said in ("assistant automatique", "Pourquoi", "30 jours au plus", "Effacer ma conversation"):
        assert said in notice
    assert page.locator("#saisie").is_visible() is False and stored(page) == 0
    assert [path for path in asked if path.startswith("/api/")] == []
    shot(page, "accueil")


# ── whole conversations ──


def test_a_whole_conversation_by_clicks_gives_the_card_of_the_verdict(page: Page, guide: Guide) -> None:
    arrive(page, guide, "/")
    shot(page, "question")
    for number, (title, then) in enumerate(ANSWERS, 1):
        assert plain(page.locator("#etape").inner_text()) == f"Question {number} sur 9"
        expect(page.get_by_role("button", name="Être rappelé")).to_have_count(0)
        choose(page, title, then)
    expect(page.locator("#etape")).to_have_text("Diagnostic terminé")
    assert page.locator("#jauge").evaluate("bar => bar.value === bar.max")
    card = page.locator(".carte")
    shot(page, "verdict")
    picture = plain(card.get_by_role("img").get_attribute("aria-label") or "")
    assert "Pour : fonds actuels, fonds visés, ambition, partenaires" in picture
    for heading in ("Ce que l'article en dit", "en trois étapes", "Ce qui changerait ce verdict", "À garder"):
        assert heading in plain(card.inner_text())
    assert re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", card.inner_text())
    section = card.locator("details.partie").first
    expect(section.locator("p")).to_be_hidden()
    section.locator("summary").click()
    expect(section.locator("p")).to_contain_text("ces fonds")
    card.get_by_text("Le détail, en mots").click()
    expect(card.locator(".raisons .pour").first).to_contain_text("Pour")


def test_a_whole_conversation_by_typing(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    write(page, "on n'a rien lancé du tout", "Question 2 sur 9")
    write(page, "c'est quoi un OPCO ?", "Question 2 sur 9")
    assert "organismes de branche" in messages(page)[-2]
    write(page, "environ 10 %", "Question 3 sur 9")
    write(page, "oui", "Question 4 sur 9")
    write(page, "recruter deux formateurs", "Question 5 sur 9")
    write(page, "non pas du tout", "Question 6 sur 9")
    write(page, "c'est une étape de notre plan", "Question 7 sur 9")
    write(page, "tout est dans ma tête", "Question 8 sur 9")
    write(page, "ni le temps ni les compétences", "Question 9 sur 9")
    write(page, "aucune date imposée", "préparez d'abord le terrain")
    assert focused(page).startswith("TEXTAREA")


def test_a_whole_conversation_by_keyboard_alone(page: Page, guide: Guide) -> None:
    def reach(words: str, limit: int = 40) -> None:
        for _ in range(limit):
            if words in plain(focused(page)) and focused(page).startswith(("BUTTON", "SUMMARY", "A ")):
                return
            page.keyboard.press("Tab")
            assert focused(page).split()[0] != "BODY", "the keyboard is lost"
        raise AssertionError(f"« {words} » cannot be reached")

    page.goto(guide.door)
    page.get_by_role("button", name="Qualiopi : est-ce le moment ?").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#accueil h3")).to_be_focused()
    reach("Commencer")
    page.keyboard.press("Enter")
    sees(page, "Question 1 sur 9")
    for title, then in ANSWERS:
        assert focused(page).startswith("FIELDSET") and "Question" in focused(page), "the question has the keyboard"
        reach(title)
        page.keyboard.press("Space")
        sees(page, then)
    assert focused(page).startswith("H3") and "bon moment" in focused(page)
    reach("Quand les financements")
    page.keyboard.press("Enter")
    expect(page.locator("details.partie").first).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(page.locator("#fenetre")).to_be_hidden()
    assert "Qualiopi : est-ce le moment ?" in plain(focused(page)), "closing gives the keyboard back to the button"

    page.keyboard.press("Enter")
    expect(page.locator("#fenetre")).to_be_visible()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
    assert seen - {"BON-MOMENT"}, "the keyboard can leave the window for the page"


def test_each_new_message_is_announced_once(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    page.locator("#annonces").evaluate(
        """log => { window.heard = []; new MutationObserver(changes => changes.forEach(change =>
           change.addedNodes.forEach(node => window.heard.push(node.textContent)))).observe(log, {childList: true}) }"""
    )
    before = len(messages(page))
    write(page, "on n'a rien lancé du tout", "Question 2 sur 9")
    heard = [plain(text) for text in page.evaluate("window.heard")]
    said = [text for text in messages(page)[before:] if text.startswith("Assistant")]
    assert len(heard) == len(said) == 2 and all(
        any(one in text for text in heard) for one in ("C'est noté", "Question 2")
    )
    assert page.locator("#annonces").get_attribute("aria-live") == "polite"
    # A choice by the keyboard or the mouse moves the focus to the next question, which reads it: not said twice.
    page.evaluate("window.heard = []")
    choose(page, "Aucune", "Question 3 sur 9")
    assert page.evaluate("window.heard") == [] and "Question 3" in focused(page)


def test_an_empty_message_is_said_and_sends_nothing(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    before = messages(page)
    button(page, "Envoyer").click()
    expect(page.locator("#erreur")).to_contain_text("Écrivez une réponse")
    assert "TEXTAREA" in focused(page) and messages(page) == before


def test_why_and_back(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    button(page, "Pourquoi cette question ?").click()
    sees(page, "Question 1 sur 9")
    assert "avant et après" in messages(page)[-2]
    expect(page.get_by_role("button", name="Question précédente")).to_have_count(0)
    choose(page, "Pas certifié", "Question 2 sur 9")
    button(page, "Question précédente").click()
    sees(page, "Question 1 sur 9")


# ── answers to edit, hypotheses, what to keep ──


def test_an_answer_is_edited_in_place_and_the_change_of_verdict_is_said(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    button(page, "Mes réponses").click()
    box = page.get_by_role("dialog", name="Mes réponses")
    expect(box.locator(".reponses > li")).to_have_count(9, timeout=SLOW)
    expect(box.locator(".bilan")).to_contain_text("le bon moment")
    box.get_by_role("button", name="Modifier : Organisation actuelle").click()
    box.get_by_label("En construction").check()
    expect(box.locator(".effet")).to_contain_text("ne changerait pas")
    box.get_by_label("Par habitude").check()
    expect(box.locator(".effet")).to_contain_text("préparez d’abord le terrain")
    shot(page, "mes-reponses")
    box.get_by_role("button", name="Enregistrer").click()
    expect(box.locator(".resultat")).to_contain_text("Le verdict change", timeout=SLOW)
    assert "Modifier" in focused(page)
    page.keyboard.press("Escape")
    sees(page, "préparez d'abord le terrain")
    expect(page.locator(".carte")).to_have_count(2)


def test_an_edit_that_opens_a_question_says_so_and_the_conversation_asks_it(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    button(page, "Mes réponses").click()
    box = page.get_by_role("dialog", name="Mes réponses")
    box.get_by_role("button", name="Modifier : Ambition").click()
    box.get_by_label("Rester comme").check()
    expect(box.locator(".effet")).to_contain_text("une question de plus")
    box.get_by_role("button", name="Enregistrer").click()
    expect(box.get_by_role("button", name="Répondre : Rester à cette taille")).to_be_visible(timeout=SLOW)
    page.keyboard.press("Escape")
    sees(page, "est-ce un choix assumé")


def test_what_would_change_the_verdict_can_be_tried_and_nothing_is_stored(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    before = tracker(guide, conversation_of(page))["slots"]
    page.locator(".pistes button").first.click()
    sees(page, "Rien n'est enregistré")
    expect(button(page, "Enregistrer cette réponse")).to_be_visible()
    expect(page.get_by_role("group", name="Ce verdict vous est-il utile ?").get_by_role("button")).to_have_count(2)
    assert re.match(r"Vous :\s+Et si ", messages(page)[-2])
    assert tracker(guide, conversation_of(page))["slots"] == before


def test_the_verdict_is_one_click_away_wherever_the_conversation_went(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    write(page, "c'est quoi un OPCO ?", "organismes de branche")
    expect(page.locator(".carte h3")).not_to_be_in_viewport()
    button(page, "Verdict").click()
    expect(page.locator(".carte h3")).to_be_in_viewport()
    assert focused(page).startswith("H3")


def test_the_document_to_keep_holds_the_verdict(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    reference = page.locator(".reference strong").inner_text()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Télécharger (PDF)").click()
    assert waiting.value.suggested_filename == f"bon-moment-{reference}.pdf"
    content = waiting.value.path().read_bytes()
    read = PdfReader(io.BytesIO(content))
    words = plain(" ".join(" ".join(sheet.extract_text() for sheet in read.pages).split()))
    assert len(read.pages) <= 2 and read.trailer["/Root"]["/MarkInfo"]["/Marked"]
    for said in ("Oui, c'est le bon moment", reference, "23 novembre 2026", "09 72 01 00 07", "Grandir"):
        assert said in words


def test_the_verdict_prints_alone_and_unfolded(page: Page, guide: Guide) -> None:
    page.add_init_script("window.print = () => { top.printed = document.body.innerText }")
    to_verdict(page, guide, "/")
    page.get_by_role("button", name="Imprimer").click()
    printed = plain(page.evaluate("window.printed"))
    assert "bon moment" in printed and "ces fonds" in printed and "Votre référence" in printed
    assert "Être rappelé" not in printed and "Dossier Qualiopi" not in printed


def test_a_call_back_is_asked_only_with_consent(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    page.get_by_role("button", name="Être rappelé").click()
    box = page.get_by_role("dialog", name="Être rappelé")
    expect(box.get_by_label("J’accepte")).not_to_be_checked()
    box.get_by_role("button", name="Demander à être rappelé").click()
    expect(box.get_by_role("alert")).to_have_count(3)
    expect(box.get_by_label("Nom (obligatoire)")).to_be_focused()
    expect(box.get_by_label("Nom (obligatoire)")).to_have_attribute("aria-invalid", "true")
    box.get_by_label("Nom (obligatoire)").fill("Camille Durand")
    box.get_by_label("Téléphone ou adresse").fill("06 12 34 56 78")
    box.get_by_role("button", name="Demander à être rappelé").click()
    expect(box.get_by_role("alert")).to_have_count(1)
    expect(box.get_by_role("alert")).to_contain_text("Cochez la case")
    shot(page, "rappel")
    conversation = conversation_of(page)
    assert Records(guide.database).call_backs(conversation) == []
    box.get_by_label("J’accepte").check()
    box.get_by_role("button", name="Demander à être rappelé").dblclick()
    expect(page.locator("#rappel-a")).to_contain_text("Camille Durand, 06 12 34 56 78")
    assert "H3" in focused(page)
    kept = Records(guide.database).call_backs(conversation)
    assert [(row["nom"], row["joindre"]) for row in kept] == [("Camille Durand", "06 12 34 56 78")]


def test_an_opinion_takes_one_click_and_can_change(page: Page, guide: Guide) -> None:
    to_verdict(page, guide)
    asked = page.get_by_role("group", name="Ce verdict vous est-il utile ?")
    asked.get_by_role("button", name="Non").click()
    expect(asked).to_contain_text("Merci")
    asked.get_by_role("button", name="Oui").click()
    expect(asked.get_by_role("button", name="Oui")).to_have_attribute("aria-pressed", "true")
    assert Records(guide.database).opinion(conversation_of(page)) is True


# ── coming back, leaving ──


def test_coming_back_shows_the_conversation_again(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    choose(page, "Pas certifié", "Question 2 sur 9")
    page.get_by_label("Votre réponse").fill("une phrase pas finie")
    before = messages(page)
    page.reload()
    expect(page.get_by_role("heading", name="Reprendre où vous en étiez ?")).to_be_visible()
    expect(page.locator("#ou")).to_contain_text("la question 2 sur 9")
    shot(page, "retour")
    button(page, "Reprendre").click()
    sees(page, "Question 2 sur 9")
    assert messages(page) == before and page.get_by_label("Votre réponse").input_value() == "une phrase pas finie"
    choose(page, "Aucune", "Question 3 sur 9")


def test_starting_again_forgets_the_answers(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    choose(page, "Pas certifié", "Question 2 sur 9")
    page.reload()
    button(page, "Recommencer").click()
    button(page, "Garder mes réponses").click()
    button(page, "Recommencer").click()
    button(page, "Recommencer à zéro").click()
    sees(page, "Question 1 sur 9")
    assert tracker(guide, conversation_of(page))["slots"]["statut_qualiopi"] is None


def test_erasing_erases_on_the_server_and_says_so(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    choose(page, "Pas certifié", "Question 2 sur 9")
    conversation = conversation_of(page)
    page.locator("summary", has_text="Plus").click()
    button(page, "Effacer ma conversation").click()
    shot(page, "effacer")
    button(page, "Effacer définitivement").click()
    expect(page.locator("#fini")).to_contain_text("effacée de nos serveurs")
    assert stored(page) == 0 and not Records(guide.database).is_open(conversation)
    assert tracker(guide, conversation)["slots"]["statut_qualiopi"] is None
    button(page, "Commencer une nouvelle conversation").click()
    button(page, "Commencer").click()
    sees(page, "Question 1 sur 9")


def test_a_code_goes_on_on_another_device(page: Page, browser: Browser, guide: Guide) -> None:
    arrive(page, guide)
    choose(page, "Pas certifié", "Question 2 sur 9")
    page.locator("summary", has_text="Plus").click()
    button(page, "Continuer sur un autre appareil").click()
    code = page.locator("#code-donne")
    expect(code).not_to_be_empty()
    shot(page, "ailleurs")
    device = browser.new_context(locale="fr-FR", viewport={"width": 390, "height": 844})
    try:
        phone = device.new_page()
        phone.goto(guide.door + "/conversation")
        phone.locator("#avec-code summary").click()
        phone.get_by_label("Code").fill("faux code")
        button(phone, "Reprendre").click()
        expect(phone.locator("#erreur-code")).to_contain_text("ne correspond à aucune conversation")
        phone.get_by_label("Code").fill(code.inner_text().lower().replace("-", " "))
        button(phone, "Reprendre").click()
        sees(phone, "Question 2 sur 9")
        choose(phone, "Aucune", "Question 3 sur 9")
        page.keyboard.press("Escape")
        sees(page, "Question 3 sur 9")
    finally:
        device.close()


def test_two_tabs_stay_in_step(page: Page, context: BrowserContext, guide: Guide) -> None:
    arrive(page, guide)
    other = context.new_page()
    other.goto(guide.door + "/conversation")
    button(other, "Reprendre").click()
    sees(other, "Question 1 sur 9")
    choose(other, "Pas certifié", "Question 2 sur 9")
    sees(page, "Question 2 sur 9")
    write(page, "aucun, tout est payé par mes clients", "Question 3 sur 9")
    sees(other, "Question 3 sur 9")
    assert messages(page) == messages(other)
    page.locator("summary", has_text="Plus").click()
    button(page, "Effacer ma conversation").click()
    button(page, "Effacer définitivement").click()
    expect(other.locator("#fini")).to_contain_text("effacée")


def test_leaving_says_goodbye_and_gives_the_page_back(page: Page, guide: Guide) -> None:
    to_verdict(page, guide, "/")
    page.get_by_role("button", name="M’arrêter là").click()
    expect(page.get_by_role("dialog", name="Merci, et à bientôt")).to_contain_text("30 jours")
    page.locator("#partir").click()
    expect(page.locator("#fenetre")).to_be_hidden()
    button(page, "Qualiopi : est-ce le moment ?").click()
    expect(page.locator(".carte h3")).to_be_attached()


def test_a_link_from_elsewhere_takes_the_place_of_ones_own_conversation_only_if_one_agrees(
    page: Page, browser: Browser, guide: Guide
) -> None:
    arrive(page, guide)
    mine = conversation_of(page)
    other = browser.new_context(locale="fr-FR")
    try:
        stranger = other.new_page()
        arrive(stranger, guide)
        stranger.locator("summary", has_text="Plus").click()
        button(stranger, "Continuer sur un autre appareil").click()
        expect(stranger.locator("#lien-donne")).to_have_value(re.compile("bon-moment="))
        link = stranger.locator("#lien-donne").input_value()
    finally:
        other.close()
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("#remplace")).to_contain_text("prendra la place")
    button(page, "Non, merci").click()
    button(page, "Reprendre").click()
    sees(page, "Question 1 sur 9")
    assert conversation_of(page) == mine


def test_two_pages_that_began_apart_each_speak_in_their_own_conversation(
    page: Page, context: BrowserContext, guide: Guide
) -> None:
    other = context.new_page()
    for tab in (page, other):
        tab.goto(guide.door + "/conversation")
    for tab in (page, other):
        button(tab, "Commencer").click()
        sees(tab, "Question 1 sur 9")
    choose(page, "Pas certifié", "Question 2 sur 9")
    choose(other, "Déjà certifié", "Question 2 sur 6")
    assert not any("Déjà" in text for text in messages(page))


def test_an_element_taken_out_and_put_back_goes_on(page: Page, guide: Guide) -> None:
    arrive(page, guide, "/")
    page.evaluate("for (let i = 0; i < 3; i++) document.body.append(document.querySelector('bon-moment'))")
    choose(page, "Pas certifié", "Question 2 sur 9")
    assert sum("Question 2" in text for text in messages(page)) == 1


def test_the_answer_does_not_take_the_keyboard_from_what_one_is_writing(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    held: list[Route] = []
    page.route("**/api/messages", lambda route: held.append(route))
    page.locator(".choix button").first.click()
    page.get_by_label("Votre réponse").focus()
    page.keyboard.type("j'écris")
    expect(page.locator(".message").last).to_contain_text("Pas certifié")
    held[0].continue_()
    sees(page, "Question 2 sur 9")
    page.keyboard.type(" encore")
    assert page.get_by_label("Votre réponse").input_value() == "j'écris encore"


# ── a bad line ──


def test_a_lost_connection_is_said_and_what_was_typed_goes_once_it_is_back(
    page: Page, context: BrowserContext, guide: Guide
) -> None:
    arrive(page, guide)
    context.set_offline(True)
    expect(page.locator("#etat")).to_contain_text("interrompue", timeout=SLOW)
    page.get_by_label("Votre réponse").fill("on n'a rien lancé du tout")
    page.keyboard.press("Enter")
    expect(page.locator("#etat")).to_contain_text("il partira dès qu’elle revient", timeout=SLOW)
    shot(page, "coupure")
    context.set_offline(False)
    sees(page, "Question 2 sur 9")
    assert sum("rien lancé" in text for text in messages(page)) == 1
    said = [e["text"] for e in tracker(guide, conversation_of(page))["events"] if e["event"] == "user"]
    assert said == ["/demarrer", "on n'a rien lancé du tout"]
    expect(page.locator("#etat")).to_be_empty()


def test_a_message_on_its_way_survives_a_reload(page: Page, context: BrowserContext, guide: Guide) -> None:
    arrive(page, guide)
    page.route("**/api/messages", lambda route: route.abort())
    page.get_by_label("Votre réponse").fill("on n'a rien lancé du tout")
    page.keyboard.press("Enter")
    expect(page.locator("#etat")).to_contain_text("il partira", timeout=SLOW)
    page.unroute("**/api/messages")
    page.reload()
    button(page, "Reprendre").click()
    sees(page, "Question 2 sur 9")
    said = [e["text"] for e in tracker(guide, conversation_of(page))["events"] if e["event"] == "user"]
    assert said == ["/demarrer", "on n'a rien lancé du tout"]


def test_an_answer_lost_on_the_way_does_not_send_the_message_twice(page: Page, guide: Guide) -> None:
    arrive(page, guide)
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.post_data or "")
        route.fetch()  # The door has it, the page does not know.
        route.abort()

    page.route("**/api/messages", lose_the_first)
    choose(page, "Pas certifié", "Question 2 sur 9")
    choose(page, "Aucune", "Question 3 sur 9")
    said = [e["text"] for e in tracker(guide, conversation_of(page))["events"] if e["event"] == "user"]
    assert (
        len(said) == 3 and sum(text == "Vous :\nPas certifié" or "Pas certifié" in text for text in messages(page)) == 1
    )


def test_while_the_door_does_not_answer_the_person_is_told(page: Page, guide: Guide) -> None:
    page.route("**/api/conversation", lambda route: route.abort())
    page.goto(guide.door + "/conversation")
    button(page, "Commencer").click()
    expect(page.locator("#erreur-accueil")).to_contain_text("n’est pas joignable")
    page.unroute("**/api/conversation")
    button(page, "Commencer").click()
    sees(page, "Question 1 sur 9")


# ── hostile text ──


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=\"document.title='pris'\"> <script>document.title='pris'</script>",
        "[cliquez](javascript:document.title='pris') javascript:alert(1) http://exemple.fr",
        "a" * 900,
        "\u202eשלום مرحبا\u202c",
        "{{7*7}} ${7*7} ';DROP TABLE events;--",
    ],
    ids=["HTML", "links", "a very long word", "right to left", "templates and SQL"],
)
def test_hostile_text_stays_text(page: Page, guide: Guide, text: str) -> None:
    arrive(page, guide)
    before = page.locator("#messages :is(img, script, a)").count()
    write(page, text, "Question 1 sur 9")
    assert page.locator("#messages :is(img, script, a)").count() == before
    assert page.title() != "pris"
    assert text.split()[0].strip("\u202e")[:50] in "".join(messages(page))
    assert page.locator("#fil").evaluate("box => box.scrollWidth <= box.clientWidth")


# ── other sites ──

DOCUMENTED = (Path(__file__).parent.parent / "docs" / "wordpress.md").read_text("utf-8")
SNIPPETS = [block for block in re.findall(r"```html\n(.*?)```", DOCUMENTED, re.DOTALL) if "guide.exemple.fr" in block]
SNIPPET = '<script type="module" src="{door}/widget.js"></script><bon-moment {attributes}></bon-moment>'


def serve(origin: str, body: str) -> ThreadingHTTPServer:
    """A site at `origin`, whose only page has `body`."""
    head = '<head><meta charset="utf-8"><title>Un site</title></head>'
    html = f'<!doctype html><html lang="fr">{head}<body>{body}</body></html>'

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", int(origin.rpartition(":")[2])), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def site(guide: Guide) -> Iterator[Callable[..., str]]:
    """Publishes a page on another origin, by default the one that the door allows."""
    started: list[ThreadingHTTPServer] = []

    def publish(body: str, origin: str = guide.site) -> str:
        started.append(serve(origin, body))
        return origin + "/article"

    yield publish
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_declared_site_holds_the_whole_guide_in_its_own_colours(
    page: Page, browser: Browser, guide: Guide, site: Callable[..., str]
) -> None:
    attributes = 'couleur="#ffd400" position="gauche" titre="Le point Qualiopi" libelle="Faire le point"'
    small = (
        "<link rel=stylesheet href='data:text/css,html{font-size:62.5%}*{line-height:3}body{text-transform:uppercase}'>"
    )
    address = site(small + "<main><h1>Article</h1></main>" + SNIPPET.format(door=guide.door, attributes=attributes))
    page.goto(address)
    opener = button(page, "Faire le point")
    assert opener.evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(255, 212, 0)"
    assert opener.evaluate("b => getComputedStyle(b).color") == "rgb(0, 0, 0)", "dark words on a light colour"
    assert opener.evaluate("b => b.getBoundingClientRect().left") < 100
    opener.click()
    expect(page.get_by_role("heading", name="Le point Qualiopi")).to_be_visible()
    button(page, "Commencer").click()
    sees(page, "Question 1 sur 9")
    choose(page, "Pas certifié", "Question 2 sur 9")
    findings(page)
    shot(page, "site")
    assert page.locator(".numero").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 13

    page.locator("summary", has_text="Plus").click()
    button(page, "Continuer sur un autre appareil").click()
    link = page.locator("#lien-donne")
    expect(link).to_have_value(re.compile(re.escape(address) + "#bon-moment="))
    device = browser.new_context(locale="fr-FR")
    try:
        phone = device.new_page()
        phone.goto(link.input_value())
        expect(phone.get_by_role("heading", name="commencée ailleurs")).to_be_visible()
        button(phone, "Reprendre ici").click()
        sees(phone, "Question 2 sur 9")
        assert "#" not in phone.url, "the code does not stay in the address"
    finally:
        device.close()


@pytest.mark.parametrize("snippet", SNIPPETS, ids=list("ABCD"))
def test_every_snippet_of_the_documentation_works(
    page: Page, guide: Guide, site: Callable[..., str], snippet: str
) -> None:
    page.goto(site("<h1>Article</h1>" + snippet.replace("https://guide.exemple.fr", guide.door)))
    opened = page.frame_locator("iframe") if "iframe" in snippet else page
    if "iframe" not in snippet:
        page.get_by_role("button", name="Qualiopi").click()
    expect(opened.get_by_role("button", name="Commencer", exact=True)).to_be_visible()


def test_a_site_that_is_not_declared_gets_nothing(
    context: BrowserContext, guide: Guide, site: Callable[..., str]
) -> None:
    stranger = context.new_page()
    frame = f'<iframe title="guide" src="{guide.door}/conversation"></iframe>'
    body = "<h1>Ailleurs</h1>" + SNIPPET.format(door=guide.door, attributes="") + frame
    refused: list[str] = []
    stranger.on("console", lambda message: refused.append(message.text))
    stranger.goto(site(body, f"http://127.0.0.1:{free_port()}"))
    stranger.wait_for_load_state("networkidle")
    expect(stranger.get_by_role("button")).to_have_count(0)
    assert any("CORS" in text for text in refused) and any("frame-ancestors" in text for text in refused)
    asked = "fetch(door + '/api/conversation', {method: 'POST', body: '{}'}).then(r => r.status, () => 'refused')"
    assert stranger.evaluate(f"door => {asked}", guide.door) == "refused"


# ── for everyone ──


def findings(page: Page) -> None:
    """No fault by axe, whatever its weight."""
    found = Axe().run(page).response
    assert [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(page: Page, guide: Guide, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(guide.door)
    findings(page)
    button(page, "Qualiopi : est-ce le moment ?").click()
    expect(page.locator("#accueil")).to_be_visible()
    findings(page)
    button(page, "Commencer").click()
    sees(page, "Question 1 sur 9")
    findings(page)
    button(page, "Envoyer").click()
    findings(page)
    page.locator("summary", has_text="Plus").click()
    findings(page)
    for title, then in ANSWERS:
        choose(page, title, then)
    page.get_by_text("Le détail, en mots").click()
    findings(page)
    page.get_by_role("button", name="Être rappelé").click()
    button(page, "Demander à être rappelé").click()
    expect(page.locator("#erreur-nom")).to_be_visible()
    findings(page)
    page.keyboard.press("Escape")
    button(page, "Mes réponses").click()
    page.get_by_role("button", name="Modifier : Ambition").click()
    findings(page)
    page.keyboard.press("Escape")
    page.locator("summary", has_text="Plus").click()
    button(page, "Continuer sur un autre appareil").click()
    expect(page.locator("#code-donne")).not_to_be_empty()
    findings(page)
    page.keyboard.press("Escape")
    page.reload()
    button(page, "Qualiopi : est-ce le moment ?").click()
    button(page, "Effacer ma conversation").click()
    findings(page)
    button(page, "Effacer définitivement").click()
    expect(page.locator("#fini")).to_be_visible()
    findings(page)


SIZES = [
    ("320 px", 320, 640, 1),
    ("200 % of text", 640, 720, 2),
    ("200 % of text on a phone", 360, 740, 2),
    ("400 % of zoom", 320, 256, 1),
]


@pytest.mark.parametrize(("width", "height", "text"), [size[1:] for size in SIZES], ids=[size[0] for size in SIZES])
def test_nothing_is_cut_on_a_small_screen_or_in_large_text(
    page: Page, guide: Guide, width: int, height: int, text: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for path in ("/", "/conversation"):
        page.goto(guide.door + path)
        larger = f"document.documentElement.style.fontSize = '{100 * text}%'"
        page.evaluate(
            larger + "; window.dispatchEvent(new Event('resize'))"
        )  # As when the browser's text is set larger.
        if path == "/":
            button(page, "Qualiopi : est-ce le moment ?").click()
        button(page, "Commencer").click()
        sees(page, "Question 1 sur 9")
        for title, then in ANSWERS:
            choose(page, title, then)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        inside = page.locator("#fil").evaluate("box => box.scrollWidth - box.clientWidth")
        assert (wide, inside) == (0, 0)
        overflow = (
            "box => [...box.querySelectorAll('*')].filter(e => !e.ownerSVGElement && e.scrollWidth > e.clientWidth + 1)"
        )
        assert page.locator(".carte").evaluate(overflow + ".map(e => e.className)") == []
        for name in ("Essayer", "Télécharger (PDF)", "Être rappelé", "M’arrêter là"):
            found = page.get_by_role("button", name=name).first
            found.scroll_into_view_if_needed()
            box = found.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
        page.evaluate("localStorage.clear()")


def test_reduced_motion_is_kept(page: Page, guide: Guide) -> None:
    page.emulate_media(reduced_motion="reduce")
    arrive(page, guide)
    page.evaluate("document.querySelector('bon-moment').shadowRoot.getElementById('etat').className = 'ecrit'")
    moving = "e => getComputedStyle(e, '::before').animationName + getComputedStyle(e).transitionDuration"
    assert page.locator("#etat").evaluate(moving) == "none0s"


def test_the_widget_weighs_less_than_thirty_kilobytes(guide: Guide) -> None:
    files = ["widget.js", *(f"widget/{n}.js" for n in ("guide", "connection", "dialogs", "dom", "verdict"))]
    total = 0
    for name in [*files, "widget/widget.css", "widget/fenetre.html"]:
        with httpx.stream("GET", f"{guide.door}/{name}", headers={"accept-encoding": "gzip"}) as answer:
            total += sum(len(piece) for piece in answer.iter_raw())
    assert total < 30_000

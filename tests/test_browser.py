"""The chat page in a real browser: a whole conversation, its state after a reload, and its erasing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright

from tests.conftest import Guide

pytestmark = [pytest.mark.bot, pytest.mark.browser]
SHOTS = os.environ.get("BON_MOMENT_CAPTURES")


@pytest.fixture(scope="module")
def page(guide: Guide) -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
            browser = playwright.chromium.launch(executable_path=chromium, args=options)
        except Error:
            pytest.skip("AUCUN NAVIGATEUR : les essais dans la page n'ont pas eu lieu")
        context = browser.new_context(viewport={"width": 900, "height": 1000}, locale="fr-FR")
        yield context.new_page()
        browser.close()


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def log(page: Page) -> str:
    return page.locator("#fil").inner_text().replace("\u00a0", " ").replace("’", "'")


def press(page: Page, title: str, then: str) -> None:
    page.locator("#choix button", has_text=title).first.click()
    expect(page.locator("#fil")).to_contain_text(then, timeout=20_000)


def type_in(page: Page, text: str, then: str) -> None:
    page.get_by_label("Votre réponse").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("#fil")).to_contain_text(then, timeout=20_000)


def test_a_whole_conversation_then_reload_then_erase(page: Page, guide: Guide) -> None:
    faults: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(guide.door) else foreign.append(request.url))

    page.goto(guide.door)
    expect(page.locator("#fil")).to_contain_text("assistant automatique", timeout=20_000)
    shot(page, "1-accueil")
    press(page, "Commencer le diagnostic", "Question 1 sur 9")
    expect(page.locator("#etape")).to_have_text("Question 1 sur 9")
    type_in(page, "on n'a rien lancé du tout", "Question 2 sur 9")
    type_in(page, "<img src=x onerror=alert(1)>", "Autrement dit")
    type_in(page, "c'est quoi un OPCO ?", "organismes de branche")
    assert "<img src=x onerror=alert(1)>" in log(page)
    assert page.locator("#fil img").count() == 0
    shot(page, "2-question")
    press(page, "Moins de 30", "Question 3 sur 9")
    type_in(page, "oui", "Question 4 sur 9")
    press(page, "Grandir", "Question 5 sur 9")
    press(page, "Plus tard", "Question 6 sur 9")
    press(page, "Un projet", "Question 7 sur 9")
    press(page, "Écrit, suivi", "Question 8 sur 9")
    press(page, "Oui, les deux", "Question 9 sur 9")
    press(page, "Non, aucune date", "Votre référence")
    words = log(page)
    for piece in ("Oui, c'est le bon moment", "Pourquoi ce verdict", "trois étapes", "Ce qui changerait ce verdict"):
        assert piece in words
    expect(page.locator("#etape")).to_have_text("Diagnostic terminé")
    shot(page, "3-verdict")
    type_in(page, "et si je ne visais plus aucun financement public ?", "Rien n’est enregistré")

    bubbles = page.locator("#fil .bubble").count()
    page.reload()
    expect(page.locator("#fil .bubble")).to_have_count(bubbles, timeout=20_000)
    expect(page.locator("#choix button").first).to_be_visible()

    page.get_by_role("button", name="Être rappelé").click()
    page.get_by_role("button", name="Demander à être rappelé").click()
    expect(page.locator("#erreur-rappel")).to_contain_text("Cochez la case")
    page.get_by_label("Nom (obligatoire)").fill("Camille Durand")
    page.get_by_label("Téléphone ou adresse électronique (obligatoire)").fill("06 12 34 56 78")
    page.get_by_label("J’accepte").check()
    shot(page, "4-rappel")
    page.get_by_role("button", name="Demander à être rappelé").click()
    expect(page.locator("#etat")).to_contain_text("nous vous rappellerons")

    page.get_by_role("button", name="Effacer ma conversation").click()
    page.get_by_role("button", name="Effacer définitivement").click()
    expect(page.locator("#etat")).to_contain_text("effacée")
    expect(page.locator("#fil .bubble")).to_have_count(0)
    page.get_by_role("button", name="Commencer une nouvelle conversation").click()
    expect(page.locator("#fil")).to_contain_text("assistant automatique", timeout=20_000)

    assert foreign == [], "the page asked elsewhere"
    assert [f for f in faults if "400" not in f] == []


def test_an_empty_message_is_said_and_sends_nothing(page: Page, guide: Guide) -> None:
    page.goto(guide.door)
    expect(page.locator("#choix button").first).to_be_visible(timeout=20_000)
    before = page.locator("#fil .bubble").count()
    page.get_by_role("button", name="Envoyer").click()
    expect(page.locator("#etat")).to_contain_text("Écrivez une réponse")
    expect(page.locator("#fil .bubble")).to_have_count(before)


def test_on_a_phone_nothing_overflows(page: Page, guide: Guide) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(guide.door)
    expect(page.locator("#choix button").first).to_be_visible(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shot(page, "5-telephone")

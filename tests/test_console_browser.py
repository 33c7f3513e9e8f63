"""The console in a real browser, a visitor's window in another, the real guide between them.

With BON_MOMENT_CAPTURES=folder, pictures of each state are written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from sqlalchemy import select, update

from actions.references import METADATA, REFERENCES, engine
from tests.conftest import Guide
from tests.staff import PASSWORD, Visitor, account, plain, until
from web.tables import ACCOUNTS, SESSIONS, now

pytestmark = [pytest.mark.bot, pytest.mark.browser]
SHOTS = os.environ.get("BON_MOMENT_CAPTURES")
SLOW = 20_000
"""Milliseconds that the guide may take on a busy machine."""


def words(text: str) -> re.Pattern[str]:
    """`text`, whatever its blanks and apostrophes."""
    return re.compile(re.escape(text).replace(r"\ ", r"\s+").replace("'", "['’]"))


class Desk:
    """A browser in which one of the staff has signed in."""

    def __init__(self, browser: Browser, guide: Guide, name: str) -> None:
        self.guide, self.name = guide, name
        self.login = account(guide, name)
        self.context: BrowserContext = browser.new_context(viewport={"width": 683, "height": 768}, locale="fr-FR")
        self.faults: list[str] = []
        self.page = self.open("/console")

    def open(self, path: str) -> Page:
        """A tab of this browser."""
        made = self.context.new_page()
        made.on("pageerror", lambda error: self.faults.append(str(error)))
        made.on("console", lambda m: self.faults.append(m.text) if "Content Security Policy" in m.text else None)
        made.on(
            "request", lambda r: None if r.url.startswith((self.guide.door, "blob:")) else self.faults.append(r.url)
        )
        made.goto(self.guide.door + path)
        if "/connexion" in made.url:
            made.get_by_label("Identifiant").fill(self.login)
            made.get_by_label("Mot de passe").fill(PASSWORD)
            made.keyboard.press("Enter")
            made.wait_for_url(lambda url: "/connexion" not in url)
        return made

    def to(self, path: str) -> Page:
        self.page.goto(self.guide.door + path)
        return self.page

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()


Opens = Callable[[str], Desk]


@pytest.fixture
def staff(browser: Browser, guide: Guide) -> Iterator[Opens]:
    made: list[Desk] = []

    def opens(name: str = "Léa Martin") -> Desk:
        made.append(Desk(browser, guide, name))
        return made[-1]

    yield opens
    for desk in made:
        assert desk.faults == []
        desk.context.close()


@pytest.fixture
def window(browser: Browser, guide: Guide) -> Iterator[Page]:
    """A visitor's window, at the first question."""
    context = browser.new_context(viewport={"width": 480, "height": 760}, locale="fr-FR")
    page = context.new_page()
    page.goto(guide.door + "/conversation")
    page.get_by_role("button", name="Commencer", exact=True).click()
    expect(page.locator("#messages > li").last).to_contain_text(words("Question 1 sur 9"), timeout=SLOW)
    yield page
    context.close()


def conversation_of(guide: Guide, page: Page) -> str:
    visitor = Visitor(guide)
    visitor.http.headers["authorization"] = "Bearer " + page.evaluate("localStorage.getItem('bon-moment:jeton')")
    return visitor.conversation


def choose(page: Page, title: str, then: str) -> None:
    page.locator(".choix").get_by_role("button", name=title).first.click()
    expect(page.locator("#messages > li").last).to_contain_text(words(then), timeout=SLOW)


def write(page: Page, text: str) -> None:
    page.locator("#saisie").fill(text)
    page.keyboard.press("Enter")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/console-{name}.png")


def clean(page: Page, name: str) -> None:
    """No finding of axe, and no scrolling sideways."""
    shot(page, name)
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def log(page: Page) -> str:
    return plain(page.locator("#fil").inner_text())


# ── follow, take over, hand back ──


def test_a_dialogue_is_followed_live_taken_over_and_handed_back(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff("Léa Martin")
    conversation = conversation_of(guide, window)
    line = desk.page.locator(f'[data-cle="{conversation}"]')
    expect(line).to_contain_text(words("Question 1 sur 9"), timeout=SLOW)
    choose(window, "Pas certifié", "Question 2 sur 9")
    expect(line).to_contain_text(words("Question 2 sur 9"), timeout=SLOW)
    line.get_by_role("link").click()
    expect(desk.page.locator("#fil")).to_contain_text("Pas certifié")
    write(window, "un peu de CPF, dans les 10 %")
    expect(window.locator("#messages > li").last).to_contain_text(words("Question 3 sur 9"), timeout=SLOW)
    expect(desk.page.locator("#fil")).to_contain_text(words("Question 3 sur 9"), timeout=SLOW)
    expect(desk.page.locator('[data-region="reponses"]')).to_contain_text("un peu de CPF, dans les 10 %")
    clean(desk.page, "suivre")

    desk.press("Prendre la main")
    expect(window.locator("#messages > li").last).to_contain_text("Léa Martin", timeout=SLOW)
    expect(window.locator(".choix button")).to_have_count(0)
    window.locator("#saisie").type("bonjour")
    expect(desk.page.locator("#frappe")).to_have_text("Le visiteur écrit…", timeout=SLOW)
    window.keyboard.press("Enter")
    expect(desk.page.locator("#fil")).to_contain_text("bonjour", timeout=SLOW)
    desk.page.locator("#texte").type("Bonjour, je vous lis.")
    expect(window.locator("#etat")).to_contain_text(words("Léa Martin écrit"), timeout=SLOW)
    desk.page.keyboard.press("Enter")
    expect(window.locator("#messages > li").last).to_contain_text("Bonjour, je vous lis.", timeout=SLOW)
    expect(desk.page.locator("#texte")).to_have_value("")
    expect(desk.page.locator("#texte")).to_be_focused()
    clean(desk.page, "prise")
    shot(window, "visiteur")

    # The visitor may reload: the person is still there.
    window.reload()
    window.get_by_role("button", name="Reprendre").click()
    expect(window.locator("#messages > li").last).to_contain_text("Bonjour, je vous lis.", timeout=SLOW)
    expect(window.locator("#fenetre")).to_contain_text("Léa Martin")

    desk.press("Rendre la main")
    expect(window.locator("#messages > li").last).to_contain_text(words("Question 3 sur 9"), timeout=SLOW)
    choose(window, "Oui", "Question 4 sur 9")
    expect(desk.page.locator("#fil")).to_contain_text(words("Question 4 sur 9"), timeout=SLOW)


def test_everything_can_be_done_with_the_keyboard(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    page, conversation = desk.page, conversation_of(guide, window)
    expect(page.locator(f'[data-cle="{conversation}"]')).to_be_visible(timeout=SLOW)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Raccourcis")
    clean(page, "raccourcis")
    page.keyboard.press("Escape")
    for _ in range(60):
        page.keyboard.press("j")
        if page.evaluate("document.activeElement.closest('[data-cle]')?.dataset.cle") == conversation:
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/c/{conversation}"))
    page.keyboard.press("t")
    expect(page.locator("#texte")).to_be_focused(timeout=SLOW)
    page.keyboard.type("Je suis là, t r s ?")
    page.keyboard.press("Enter")
    expect(window.locator("#messages > li").last).to_contain_text("Je suis là, t r s ?", timeout=SLOW)
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.keyboard.type("cliente pressée")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator('[data-region="notes"]')).to_contain_text("cliente pressée", timeout=SLOW)
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(window.locator("#messages > li").last).to_contain_text(words("Question 1 sur 9"), timeout=SLOW)
    # They can be switched off.
    page.keyboard.press("?")
    page.get_by_label("Raccourcis à une touche actifs").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Prendre la main")).to_be_visible()


def test_who_goes_on_to_write_elsewhere_keeps_the_focus(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    page = desk.to(f"/console/c/{conversation_of(guide, window)}")
    desk.press("Prendre la main")
    expect(page.locator("#texte")).to_be_focused(timeout=SLOW)
    page.keyboard.type("un instant")
    waiting: list[Route] = []
    page.route("**/message", lambda route: waiting.append(route))
    page.keyboard.press("Enter")
    until(lambda: page.wait_for_timeout(20) or waiting, "the message is on its way")
    page.locator("#note").click()
    waiting[0].continue_()
    expect(page.locator("#fil")).to_contain_text("un instant", timeout=SLOW)
    expect(page.locator("#texte")).to_have_value("")
    expect(page.locator("#envoi button")).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("#note")).to_be_focused()


def test_two_staff_at_once(guide: Guide, staff: Opens, window: Page) -> None:
    lea, omar = staff("Léa Martin"), staff("Omar Diallo")
    conversation = conversation_of(guide, window)
    for desk in (lea, omar):
        desk.to(f"/console/c/{conversation}")
    # Omar's page does not know yet that Léa is quicker.
    omar.page.route("**/console/evenements*", lambda route: route.abort())
    omar.page.reload()
    lea.press("Prendre la main")
    expect(lea.page.locator("#texte")).to_be_visible(timeout=SLOW)
    omar.press("Prendre la main")
    expect(omar.page.locator("#etat")).to_contain_text(words("Léa Martin suit déjà cette conversation"), timeout=SLOW)
    expect(omar.page.locator('[data-region="saisie"]')).to_contain_text(words("Léa Martin répond"))
    assert plain(window.locator("#messages").inner_text()).count("a rejoint la conversation") == 1
    clean(omar.page, "deja-prise")


def test_a_session_that_expires_in_mid_action_loses_nothing(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    page = desk.to(f"/console/c/{conversation_of(guide, window)}")
    desk.press("Prendre la main")
    expect(page.locator("#texte")).to_be_focused(timeout=SLOW)
    page.keyboard.type("Une longue réponse que je ne veux pas récrire")
    with engine(guide.database).begin() as connection:
        mine = select(ACCOUNTS.c.id).where(ACCOUNTS.c.identifiant == desk.login).scalar_subquery()
        past = now() - timedelta(seconds=1)
        connection.execute(update(SESSIONS).where(SESSIONS.c.compte == mine).values(expire_le=past))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Votre session a expiré")
    expect(dialog).to_be_visible(timeout=SLOW)
    clean(page, "session")
    page.keyboard.type("pas le bon mot de passe")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("incorrect", timeout=SLOW)
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden(timeout=SLOW)
    expect(window.locator("#messages > li").last).to_contain_text("que je ne veux pas récrire", timeout=SLOW)
    expect(page.locator("#texte")).to_have_value("")
    assert plain(window.locator("#messages").inner_text()).count("Une longue réponse") == 1
    # And the page goes on, live.
    write(window, "merci")
    expect(page.locator("#fil")).to_contain_text("merci", timeout=SLOW)


def test_a_session_renewed_in_one_tab_is_renewed_in_the_others(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    path = f"/console/c/{conversation_of(guide, window)}"
    first, second = desk.to(path), desk.open(path)
    with engine(guide.database).begin() as connection:
        mine = select(ACCOUNTS.c.id).where(ACCOUNTS.c.identifiant == desk.login).scalar_subquery()
        past = now() - timedelta(seconds=1)
        connection.execute(update(SESSIONS).where(SESSIONS.c.compte == mine).values(expire_le=past))
    dialogs = [page.get_by_role("dialog", name="Votre session a expiré") for page in (first, second)]
    for dialog in dialogs:
        expect(dialog).to_be_visible(timeout=SLOW)
    first.get_by_label("Mot de passe").fill(PASSWORD)
    first.get_by_role("button", name="Se reconnecter").click()
    for dialog in dialogs:
        expect(dialog).to_be_hidden(timeout=SLOW)
    for number, page in enumerate((second, first)):
        page.locator("#note").fill(f"note {number}")
        page.get_by_role("button", name="Enregistrer la note").click()
        for seen in (first, second):
            expect(seen.locator('[data-region="notes"]')).to_contain_text(f"note {number}", timeout=SLOW)


def test_the_line_down_loses_nothing(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    page = desk.to(f"/console/c/{conversation_of(guide, window)}")
    desk.press("Prendre la main")
    expect(page.locator("#texte")).to_be_focused(timeout=SLOW)
    desk.context.set_offline(True)
    page.keyboard.type("Pendant la coupure")
    page.keyboard.press("Enter")
    expect(page.locator("#etat")).to_contain_text("connexion", timeout=SLOW)
    expect(page.locator("#texte")).to_have_value("Pendant la coupure")
    desk.context.set_offline(False)
    page.locator("#texte").press("Enter")
    expect(window.locator("#messages > li").last).to_contain_text("Pendant la coupure", timeout=SLOW)
    assert plain(window.locator("#messages").inner_text()).count("Pendant la coupure") == 1


def test_hostile_text_from_a_visitor_is_harmless(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    hostile = "<img src=x onerror=\"document.title='perdu'\"><script>document.title='perdu'</script>"
    conversation = conversation_of(guide, window)
    page = desk.to(f"/console/c/{conversation}")
    write(window, hostile)
    expect(page.locator("#fil")).to_contain_text("<img src=x", timeout=SLOW)
    assert page.locator("#fil img, #fil script").count() == 0
    page.reload()
    expect(page.locator("#fil")).to_contain_text("<script>document.title='perdu'</script>")
    desk.to("/console")
    expect(page.locator(f'[data-cle="{conversation}"]')).to_be_visible()
    desk.to("/console/incompris")
    assert "perdu" not in page.title()
    # A right-to-left override stays inside its own line.
    write(window, "\u202eabc")
    assert "perdu" not in page.title()


def test_a_conversation_erased_by_the_visitor_leaves_every_screen(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    conversation = conversation_of(guide, window)
    page = desk.to(f"/console/c/{conversation}")
    listed = desk.open("/console")
    expect(listed.locator(f'[data-cle="{conversation}"]')).to_be_visible()
    window.get_by_text("Menu").first.click() if window.locator("#menu > summary").count() == 0 else window.locator(
        "#menu > summary"
    ).click()
    window.get_by_role("button", name="Effacer ma conversation").click()
    window.get_by_role("dialog").get_by_role("button", name="Effacer").first.click()
    expect(page.get_by_role("heading", name="Conversation effacée")).to_be_visible(timeout=SLOW)
    assert "Question 1" not in page.locator("body").inner_text()
    expect(listed.locator(f'[data-cle="{conversation}"]')).to_have_count(0, timeout=SLOW)
    clean(page, "effacee")
    with engine(guide.database).begin() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(select(table)):
                assert conversation not in map(str, row), table.name


def test_many_tabs_share_one_stream(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    conversation = conversation_of(guide, window)
    tabs = [desk.open(f"/console/c/{conversation}") for _ in range(8)]
    write(window, "toujours là")
    for tab in tabs:
        expect(tab.locator("#fil")).to_contain_text("toujours là", timeout=SLOW)
    desk.page.close()  # Whichever listened for all, another takes its place.
    tabs[0].close()
    write(window, "encore")
    expect(tabs[-1].locator("#fil")).to_contain_text("encore", timeout=SLOW)


def test_who_waits_is_told_in_the_title_and_by_a_sound(guide: Guide, staff: Opens, window: Page) -> None:
    desk = staff()
    page = desk.page
    page.add_init_script(
        "window.sons = 0; const real = AudioContext.prototype.createOscillator;"
        "AudioContext.prototype.createOscillator = function () { window.sons++; return real.call(this); };"
    )
    page.reload()
    desk.press("Son à chaque nouvelle attente")
    before = page.evaluate("window.sons")
    write(window, "je veux parler à quelqu'un")
    line = page.locator(f'[data-cle="{conversation_of(guide, window)}"]')
    expect(line).to_contain_text("Demande une personne", timeout=SLOW)
    expect(page).to_have_title(re.compile(r"^\(\d+\) "))
    until(lambda: page.evaluate("window.sons") > before, "a sound")
    clean(page, "liste")


# ── a call ──


def test_the_script_of_a_call_with_keys_then_the_caller_goes_on_on_the_web(
    browser: Browser, guide: Guide, staff: Opens
) -> None:
    desk = staff()
    page = desk.page
    page.keyboard.press("a")
    page.wait_for_url(re.compile("/script"))
    conversation = page.url.split("/")[5]
    clean(page, "appel-debut")
    page.keyboard.press("n")
    question = page.locator("[data-vue]:not([hidden])")
    expect(question).to_contain_text(words("Pour vous seulement"))
    clean(page, "appel-question")
    for key, then in (("1", "financement_actuel"), ("1", "financement_vise"), ("3", "ambition"), ("2", "partenaires")):
        page.keyboard.press(key)
        expect(question).to_have_id(f"q-{then}", timeout=SLOW)
    # In any order: the last question, « ne sait pas », then back.
    page.locator(".plan a").nth(-2).click()
    expect(question).to_have_id("q-echeance")
    page.keyboard.press("?")
    expect(page.locator(".plan li").nth(-2)).to_contain_text("Je ne sais pas", timeout=SLOW)
    page.keyboard.press("e")
    page.keyboard.type("appelle de Nantes, 1 2 3")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator('[data-region="notes"]')).to_contain_text("appelle de Nantes, 1 2 3", timeout=SLOW)
    page.keyboard.press("f")
    clean(page, "appel-fin")
    desk.press("Donner un code et un lien")
    expect(page.locator("#code")).to_be_visible(timeout=SLOW)
    link = page.locator("#code-lien").input_value()

    caller = browser.new_context(viewport={"width": 390, "height": 800}, locale="fr-FR")
    phone = caller.new_page()
    phone.goto(link)
    phone.get_by_role("button", name="Reprendre ici").click()
    expect(phone.locator("#fenetre")).to_contain_text("Léa Martin", timeout=SLOW)
    page.get_by_label("Information donnée").check()
    desk.press("Terminer l’appel")
    page.wait_for_url(re.compile(rf"/c/{conversation}$"))
    expect(page.locator('[data-region="tenue"]')).to_contain_text("Information donnée")
    last = phone.locator("#messages > li").last
    expect(last.locator(".choix button").first).to_be_visible(timeout=SLOW)
    expect(last).to_contain_text(words("Question 5 sur 9"))
    for _ in range(4):
        # The first choice of each question left.
        number = phone.locator("#messages > li").count()
        phone.locator(".choix button").first.click()
        expect(phone.locator("#messages > li")).not_to_have_count(number, timeout=SLOW)
        expect(phone.locator("#envoyer")).to_have_attribute("aria-disabled", "false", timeout=SLOW)
    expect(phone.locator(".carte h3")).to_be_visible(timeout=SLOW)
    expect(page.locator('[data-region="verdict"] .titre-verdict')).to_be_visible(timeout=SLOW)
    clean(page, "verdict")
    caller.close()


def test_a_reference_misspelled_on_the_phone_is_found(guide: Guide, staff: Opens) -> None:
    desk = staff()
    page = desk.page
    page.keyboard.press("a")
    page.wait_for_url(re.compile("/script"))
    conversation = page.url.split("/")[5]
    with engine(guide.database).begin() as connection:
        known = REFERENCES.c.conversation == conversation
        reference = connection.execute(select(REFERENCES.c.reference).where(known)).scalar_one()
    desk.to("/console")
    page.keyboard.press("/")
    page.keyboard.type(" ".join(reference[:4].lower()) + " tiret " + reference[5:7] + " " + reference[8] + reference[7])
    page.keyboard.press("Enter")
    expect(page.locator(f'[data-cle="{conversation}"]')).to_be_visible()
    if reference[7] != reference[8]:
        expect(page.locator(f'[data-cle="{conversation}"]')).to_contain_text("référence proche")
    clean(page, "recherche")


# ── every page ──


@pytest.mark.parametrize(
    "path", ["/console", "/console/rappels", "/console/incompris", "/console/chiffres", "/console/journal"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_finding_in_light_and_dark_at_half_a_screen(staff: Opens, path: str, scheme: str) -> None:
    desk = staff()
    desk.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = desk.to(path)
    clean(page, f"{path.split('/')[-1]}-{scheme}")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_page_to_sign_in_has_no_finding_and_says_what_is_wrong(browser: Browser, guide: Guide) -> None:
    page = browser.new_page(viewport={"width": 683, "height": 768}, locale="fr-FR")
    page.goto(guide.door + "/console")
    clean(page, "connexion")
    page.get_by_label("Identifiant").fill("personne-ici")
    page.get_by_label("Mot de passe").fill("x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("incorrect")
    clean(page, "connexion-refus")
    page.close()

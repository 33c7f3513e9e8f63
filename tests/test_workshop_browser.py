"""The workshop in a real browser, with the real guide: the projector, the personas, a room of fifty, telephones.

With BON_MOMENT_CAPTURES=folder, pictures of each state are written there.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from actions import texts
from scripts.crowd import Crowd
from tests.conftest import NAME, Guide
from tests.staff import PASSWORD, Trainer, Visitor, account, plain, until
from web.stage import personas
from web.views import SAID

pytestmark = [pytest.mark.bot, pytest.mark.browser]
SHOTS = os.environ.get("BON_MOMENT_CAPTURES")
SLOW = 20_000
"""Milliseconds that the guide may take on a busy machine."""
SIZES = ({"width": 1024, "height": 768}, {"width": 1920, "height": 1080})
OFFERED = "#messages button:visible:not([aria-disabled=true])"
"""The choices on a telephone that can be touched."""
CROWD = 50
AT_ONCE = 6
"""Telephones of the crowd that answer at the same moment: this machine is the browser's too."""


def words(text: str) -> re.Pattern[str]:
    """`text`, whatever its blanks and apostrophes."""
    return re.compile(re.escape(text).replace(r"\ ", r"\s+").replace("'", "['’]"))


def on_the_network(guide: Guide) -> str:
    """The door as the room reaches it: under another name than this machine's, and without TLS."""
    return guide.door.replace("127.0.0.1", NAME)


class Laptop:
    """The trainer's browser, signed in."""

    def __init__(self, browser: Browser, guide: Guide, trainer: Trainer, size: Any) -> None:
        self.door = on_the_network(guide)
        self.context: BrowserContext = browser.new_context(viewport=size, locale="fr-FR", reduced_motion="reduce")
        for cookie in trainer.http.cookies.jar:
            self.context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": self.door}])
        self.faults: list[str] = []

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda m: self.faults.append(m.text) if "Content Security Policy" in m.text else None)
        # Nothing comes from elsewhere: the room has no Internet.
        ours = (self.door, "blob:", "data:")
        page.on("request", lambda r: None if r.url.startswith(ours) else self.faults.append(r.url))
        page.goto(self.door + path)
        return page


Opens = Callable[..., Laptop]


@pytest.fixture(scope="module")
def ines(guide: Guide) -> Trainer:
    return Trainer(guide)


@pytest.fixture
def laptop(browser: Browser, guide: Guide, ines: Trainer) -> Iterator[Opens]:
    made: list[Laptop] = []

    def opens(size: Any = SIZES[0]) -> Laptop:
        made.append(Laptop(browser, guide, ines, size))
        return made[-1]

    yield opens
    for one in made:
        assert one.faults == []
        one.context.close()


@pytest.fixture
def phone(browser: Browser, guide: Guide) -> Iterator[Callable[[str], Page]]:
    """A participant's telephone."""
    contexts: list[BrowserContext] = []

    def opens(code: str = "", size: Any = None) -> Page:
        viewport = size or {"width": 360, "height": 640}
        contexts.append(browser.new_context(viewport=viewport, locale="fr-FR", has_touch=True))
        page = contexts[-1].new_page()
        page.goto(on_the_network(guide) + (f"/salle/{code}" if code else "/salle"))
        return page

    yield opens
    for context in contexts:
        context.close()


def sound(page: Page, name: str, whole: bool = True) -> None:
    """No finding of axe, nothing sideways; `whole`: all of the page is on the screen."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/atelier-{name}-{(page.viewport_size or {})['width']}.png")
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert page.viewport_size
    assert width <= page.viewport_size["width"]
    assert not whole or height <= page.viewport_size["height"]


def step(page: Page, number: int) -> None:
    """Wait until this step is on the screen, and the guide has nothing more to say of it."""
    expect(page.locator("#etape")).to_have_text(re.compile(rf"(Étape|Tour) {number} sur \d+"), timeout=SLOW)
    expect(page.locator("#attente, .attente").first).to_have_text("", timeout=SLOW)


def begin(page: Page) -> None:
    """Close the story: the persona waits for each step."""
    page.get_by_role("button", name="Pas à pas").click()
    step(page, 0)


def both(page: Page, number: int) -> None:
    """The same, of two personas side by side."""
    step(page, number)
    expect(page.locator(".attente").last).to_have_text("", timeout=SLOW)


def held(page: Page) -> list[str]:
    """The line of the table that is lit, if one is."""
    return page.locator(".decision tr.tient").evaluate_all("rows => rows.map((row) => row.dataset.ligne)")


def steps_of(slug: str) -> int:
    return next(len(persona["messages"]) for persona in personas()[0] if persona["slug"] == slug)


# ── a persona on the projector ──


def test_a_persona_plays_by_itself_stops_and_comes_to_its_verdict(laptop: Opens) -> None:
    slug = "01-solene-prise-de-parole"
    page = laptop().open(f"/atelier/projecteur?persona={slug}")
    page.clock.install()
    page.locator("#vitesse").evaluate("select => { select.value = '2.5' }")
    page.get_by_role("button", name="Lancer").click()
    for number in (1, 2):
        page.clock.run_for(2_500)
        step(page, number)
    page.keyboard.press("Space")
    page.clock.run_for(60_000)
    step(page, 2)
    expect(page.locator("#joue-pause")).to_contain_text("Lecture")
    page.keyboard.press("Space")
    for number in range(3, steps_of(slug) + 1):
        page.clock.run_for(2_500)
        step(page, number)
    expect(page.locator("#bandeau")).to_contain_text("Verdict")
    assert held(page) == ["3"]
    struck = page.locator(".decision tr.ecartee")
    expect(struck.first.locator("s").first).to_be_visible()
    expect(struck.first.locator(".raison")).not_to_be_empty()
    expect(page.locator("#joue")).to_have_text(words("Le personnage a tout dit."))


def test_a_persona_is_stepped_forward_and_back_as_it_stood(laptop: Opens) -> None:
    page = laptop().open("/atelier/projecteur?persona=06-beatrice-bilans")
    begin(page)
    seen = [page.locator("#capot").inner_text()]
    for number in range(1, 7):
        page.keyboard.press("ArrowRight")
        step(page, number)
        seen.append(page.locator("#capot").inner_text())
    expect(page.locator('[data-corps="note"]')).to_contain_text("Moins de 30")  # She corrects herself.
    expect(page.locator('[data-corps="note"] s')).to_contain_text("Aucune")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for number in (5, 4, 3):
        page.keyboard.press("ArrowLeft")
        step(page, number)
        assert page.locator("#capot").inner_text() == seen[number]
    for number in (4, 5, 6):
        page.keyboard.press("ArrowRight")
        step(page, number)
    assert page.locator("#capot").inner_text() == seen[6]
    assert asked == []  # What was said is not said again.


def test_the_trainer_takes_over_in_mid_way_from_an_earlier_step(laptop: Opens) -> None:
    page = laptop().open("/atelier/projecteur?persona=03a-gilles-inquiet")
    begin(page)
    for number in range(1, 4):
        page.keyboard.press("ArrowRight")
        step(page, number)
    page.keyboard.press("ArrowLeft")
    step(page, 2)
    said = page.locator("#fil li").count()
    page.keyboard.press("m")
    expect(page.locator("#saisie")).to_be_focused()
    page.keyboard.type("<b>ça coûte combien ?</b>")
    page.keyboard.press("Enter")
    step(page, 3)
    expect(page.locator("#fil")).to_contain_text("<b>ça coûte combien ?</b>")
    expect(page.locator('[data-corps="entendu"]')).to_contain_text("Coût")
    expect(page.locator('[data-corps="note"]')).to_contain_text(words("Rien de nouveau"))
    assert page.locator("#fil li").count() > said
    page.locator("#fil li button:enabled").first.click()
    step(page, 4)
    expect(page.locator('[data-corps="entendu"]')).to_contain_text(words("Un bouton : rien à deviner."))
    expect(page.locator('[data-corps="note"] .notees dd')).to_have_count(1)


def test_changing_an_answer_turns_the_verdict_and_lights_what_changed(laptop: Opens) -> None:
    slug = "11-aurelie-securite"
    page = laptop().open(f"/atelier/projecteur?persona={slug}")
    begin(page)
    for number in range(1, steps_of(slug) + 1):
        page.keyboard.press("ArrowRight")
        step(page, number)
    assert held(page) == ["8"]
    real = page.locator("#capot").inner_text()
    page.keyboard.press("c")
    page.get_by_label("Organisation actuelle").select_option("informelle")
    expect(page.locator('.decision tr[data-ligne="6"]')).to_contain_text("maintenant", timeout=SLOW)
    expect(page.locator('.decision tr[data-ligne="8"]')).to_contain_text("avant")
    expect(page.locator("#bandeau s")).to_be_visible()
    sound(page, "essai")
    page.get_by_label("Ambition").select_option("stable")  # One more question is asked then.
    expect(page.get_by_label("Rester à cette taille")).to_have_value("")
    page.locator("[data-fin-essai]").click()
    expect(page.locator("#essai")).to_be_hidden()
    assert page.locator("#capot").inner_text() == real


def test_a_server_that_fails_is_said_and_the_same_step_is_tried_again(laptop: Opens) -> None:
    page = laptop().open("/atelier/projecteur?persona=01-solene-prise-de-parole")
    begin(page)
    page.context.set_offline(True)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panne")).to_contain_text(words("rien n'est perdu"), timeout=SLOW)
    sound(page, "panne")
    page.context.set_offline(False)
    page.get_by_role("button", name="Réessayer").click()
    step(page, 1)
    expect(page.locator("#panne")).to_be_hidden()


@pytest.mark.parametrize("size", SIZES, ids=["1024", "1920"])
def test_the_projector_holds_on_the_screen_and_can_be_read_by_all(laptop: Opens, size: Any) -> None:
    slug = "04b-mariam-date-imposee"
    page = laptop(size).open(f"/atelier/projecteur?persona={slug}")
    sound(page, "histoire")
    begin(page)
    for number in range(1, steps_of(slug) + 1):
        page.keyboard.press("ArrowRight")
        step(page, number)
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        # Nothing under the hood is cut off in silence.
        assert page.locator("#capot").evaluate("hood => hood.scrollHeight <= hood.clientHeight + 1")
        if number == 3:
            sound(page, "en-cours")
    sound(page, "verdict")
    assert held(page) == ["6"]
    smallest = page.locator(".decision td").first.evaluate("cell => parseFloat(getComputedStyle(cell).fontSize)")
    assert smallest >= size["height"] / 50
    for panel in "12345":
        page.keyboard.press(panel)
        shown = page.locator("#capot .panneau:visible")
        expect(shown).to_have_count(1)
        if panel == "2":  # All that is noted, not only this turn's.
            expect(shown).to_contain_text(words("Ambition à deux ou trois ans"))
        sound(page, f"panneau-{panel}")
    page.keyboard.press("Escape")
    expect(page.locator("#capot .panneau:visible")).to_have_count(5)


@pytest.mark.parametrize("size", SIZES, ids=["1024", "1920"])
def test_two_personas_side_by_side_end_on_what_differs(laptop: Opens, size: Any) -> None:
    page = laptop(size).open("/atelier/projecteur?persona=04a-mariam-sans-date&contre=04b-mariam-date-imposee")
    begin(page)
    both(page, 0)
    most = max(steps_of("04a-mariam-sans-date"), steps_of("04b-mariam-date-imposee"))
    for number in range(1, most + 1):
        page.keyboard.press("ArrowRight")
        both(page, number)
    assert held(page) == ["7", "6"]
    sound(page, "cote-a-cote-avant")
    expect(page.locator("#differences")).to_be_hidden()  # The room looks for it first.
    page.keyboard.press("d")
    expect(page.locator("#differences tbody tr").first).to_be_visible()
    rows = plain(page.locator("#differences tbody").inner_text())
    assert "Date imposée" in rows
    assert "7 · Socle fragile" in rows
    assert "Ambition" not in rows
    sound(page, "cote-a-cote")


@pytest.mark.parametrize("size", SIZES, ids=["1024", "1920"])
def test_the_pages_around_have_no_finding(laptop: Opens, size: Any) -> None:
    open_ = laptop(size)
    home = open_.open("/atelier")
    expect(home.get_by_role("link", name=words("Jouer")).first).to_be_visible()
    labels = home.locator(".personnage .etiquette")
    expect(labels.first).to_be_hidden()  # The room bets first.
    home.get_by_label(words("Montrer les verdicts")).check()
    expect(labels.first).to_be_visible()
    sound(home, "accueil", whole=False)
    free = open_.open("/atelier/projecteur")
    step(free, 1)
    sound(free, "libre")
    guide = open_.open("/atelier/guide")
    expect(guide.get_by_role("heading", name=words("Déroulé de trente minutes"))).to_be_visible()
    sound(guide, "guide", whole=False)


def test_the_guide_prints_on_a_few_sheets_without_the_page_around(laptop: Opens) -> None:
    page = laptop().open("/atelier/guide")
    page.emulate_media(media="print")
    expect(page.locator(".tete")).to_be_hidden()
    expect(page.get_by_role("button", name="Imprimer")).to_be_hidden()
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert 3 <= sheets <= 8


def test_a_guest_signs_in_by_the_form_and_leaves(browser: Browser, guide: Guide) -> None:
    page = browser.new_context(locale="fr-FR").new_page()
    page.goto(f"{guide.door}/atelier/projecteur")
    sound(page, "connexion", whole=False)
    page.get_by_label("Identifiant").fill(account(guide, role="formateur"))
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{guide.door}/atelier/projecteur")
    page.goto(f"{guide.door}/atelier")
    page.get_by_role("button", name="Quitter").click()
    page.wait_for_url(re.compile("/atelier/connexion"))
    page.context.close()


# ── a room ──


def bars(page: Page, place: str) -> dict[str, int]:
    """What the bars of a place say: how many for each title."""
    rows = page.locator(f"{place} .barres > li, {place}.barres > li").evaluate_all(
        "rows => rows.map((row) => [row.children[0].textContent, row.children[1].textContent])"
    )
    return {title: int(number.split()[0]) for title, number in rows}


def test_a_room_of_fifty_is_counted_right_and_a_telephone_with_them(
    laptop: Opens, phone: Callable[..., Page], guide: Guide, ines: Trainer
) -> None:
    code = ines.room()
    large, screen = (laptop(size).open(f"/atelier/salles/{code}") for size in reversed(SIZES))
    for page in (screen, large):
        expect(page.locator("#invitation")).to_contain_text(f"{NAME}:")
        expect(page.locator("#invitation")).to_contain_text(code)
        assert page.locator("#qr").evaluate("picture => picture.complete && picture.naturalWidth > 0")
        sound(page, "salle-vide")
    crowd = Crowd(guide.door, code, pause=(0, 0), at_once=AT_ONCE)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(lambda: asyncio.run(crowd.answer(CROWD)))
        mine = phone(code)
        mine.get_by_role("button", name="Rejoindre").click()
        choose(mine, "Pas certifié", "Question 2 sur")  # Answered while fifty others answer.
        work.result(timeout=300)
    assert crowd.verdicts == CROWD
    expect(screen.locator("#verdicts-rendus")).to_have_text(str(CROWD), timeout=SLOW)
    expect(screen.locator("#participants")).to_have_text(str(CROWD + 1))
    expect(screen.locator("#jauges .fini")).to_have_count(CROWD)
    expect(screen.locator("#verdicts")).to_be_hidden()
    sound(screen, "salle-rideau")
    screen.get_by_role("button", name="Révéler").click()
    expect(screen.locator("#verdicts")).to_be_visible()
    assert sum(bars(screen, "#barres-verdicts").values()) == CROWD
    crowd.given["statut_qualiopi"]["Pas certifié"] += 1
    until(lambda: state_counts(ines, code) == {slot: dict(given) for slot, given in crowd.given.items()}, "the counts")
    for page, name in ((screen, "salle-verdicts"), (large, "salle-verdicts")):
        sound(page, name)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#cartes .carte:visible").first).to_be_visible()
        sound(page, f"{name}-questions")
    first = bars(screen, '#cartes .carte[data-slot="statut_qualiopi"]')
    assert {title: number for title, number in first.items() if number} == dict(crowd.given["statut_qualiopi"])
    screen.get_by_role("button", name="Terminer l’atelier").click()
    sound(screen, "salle-terminer")
    screen.get_by_role("button", name="Terminer et effacer").click()
    screen.wait_for_url(f"{on_the_network(guide)}/atelier")
    expect(large.locator("#fini")).to_be_visible(timeout=SLOW)
    expect(mine.locator("#fini-texte")).to_contain_text(words("L'atelier est terminé"), timeout=SLOW)


def state_counts(trainer: Trainer, code: str) -> dict[str, dict[str, int]]:
    """What the server counts, by question and title, what nobody said left out."""
    questions = trainer.screen(code)["questions"]
    counted = {q["slot"]: {v["titre"]: v["nombre"] for v in q["valeurs"] or [] if v["nombre"]} for q in questions}
    return {slot: values for slot, values in counted.items() if values}


def choose(page: Page, title: str, then: str) -> None:
    page.locator(OFFERED).filter(has_text=words(title)).first.click(timeout=SLOW)
    expect(page.locator("#echange")).to_contain_text(words(then), timeout=SLOW)


def test_one_question_is_asked_to_all_telephones_and_shown_huge(
    laptop: Opens, phone: Callable[..., Page], guide: Guide, ines: Trainer
) -> None:
    code = ines.room()
    screen = laptop().open(f"/atelier/salles/{code}")
    mine = phone(code)
    mine.get_by_role("button", name="Rejoindre").click()
    choose(mine, "Pas certifié", "Question 2 sur")
    others = [Visitor(guide).join(code) for _ in range(2)]
    for other in others:
        until(other.messages, "the first question")
        other.choose("Déjà certifié")
    expect(screen.locator("#participants")).to_have_text("3", timeout=SLOW)
    screen.get_by_role("button", name=words("Poser cette question à la salle : Partenaires")).click()
    expect(mine.locator("#panneau-titre")).to_contain_text(words("crédibilité"), timeout=SLOW)
    sound(mine, "telephone-question", whole=False)
    mine.locator("#panneau-choix button").first.click()
    expect(mine.locator("#panneau-merci")).to_contain_text(words("Regardez l'écran"), timeout=SLOW)
    for other in others:
        asked = other.http.get("/api/salle").json()["question"]
        other.send(choix=asked["choix"][-1]["choix"])
    expect(screen.locator("#question-nombre")).to_have_text(words("3 sur 3"), timeout=SLOW)
    expect(screen.locator("#barres-question")).to_be_hidden()
    sound(screen, "salle-question-cachee")
    screen.get_by_role("button", name="Révéler").click()
    expect(screen.locator("#barres-question")).to_be_visible()
    assert sum(bars(screen, "#barres-question").values()) == 3
    sound(screen, "salle-question")
    screen.get_by_role("button", name=words("Revenir à l'ensemble")).click()
    expect(mine.locator("#panneau")).to_be_hidden(timeout=SLOW)
    expect(mine.locator(OFFERED).first).to_be_visible()
    ines.does(f"/atelier/salles/{code}/terminer")


def test_a_network_that_is_cut_is_said_and_nothing_is_lost(
    laptop: Opens, phone: Callable[..., Page], guide: Guide, ines: Trainer
) -> None:
    code = ines.room()
    screen = laptop().open(f"/atelier/salles/{code}")
    mine = phone(code)
    mine.get_by_role("button", name="Rejoindre").click()
    expect(mine.locator("#echange")).to_contain_text(words("Question 1 sur"), timeout=SLOW)
    expect(screen.locator("#participants")).to_have_text("1", timeout=SLOW)
    mine.context.set_offline(True)
    expect(mine.locator("#etat")).to_contain_text(words("La connexion est interrompue"), timeout=SLOW)
    mine.locator("#saisie").fill("nous ne sommes pas encore certifiés")
    mine.locator("#envoyer").click()
    mine.context.set_offline(False)
    expect(mine.locator("#echange")).to_contain_text(words("Question 2 sur"), timeout=SLOW)
    assert plain(mine.locator("#messages").inner_text()).count("nous ne sommes pas encore certifiés") == 1
    mine.reload()
    expect(mine.locator("#echange")).to_contain_text(words("Question 2 sur"), timeout=SLOW)
    stream = re.compile("/evenements$")
    screen.route(stream, lambda route: route.abort())
    screen.reload()
    expect(screen.locator("#coupure")).to_contain_text(words("La connexion est interrompue"), timeout=SLOW)
    sound(screen, "salle-coupure")
    screen.unroute(stream)
    expect(screen.locator("#coupure")).to_be_hidden(timeout=SLOW)
    # A telephone that is away at the end finds its screen as it was.
    mine.context.set_offline(True)
    expect(mine.locator("#etat")).to_contain_text(words("La connexion est interrompue"), timeout=SLOW)
    ines.does(f"/atelier/salles/{code}/terminer")
    expect(screen.locator("#fini")).to_be_visible(timeout=SLOW)
    mine.context.set_offline(False)
    expect(mine.locator("#fini-texte")).to_contain_text(words("terminé"), timeout=SLOW)
    assert "nous ne sommes pas encore certifiés" in plain(mine.locator("#messages").inner_text())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_goes_from_the_code_to_the_verdict(phone: Callable[..., Page], ines: Trainer, scheme: Any) -> None:
    code = ines.room()
    page = phone(size={"width": 320, "height": 640})
    page.emulate_media(color_scheme=scheme)
    sound(page, f"telephone-code-{scheme}", whole=False)
    page.get_by_label("Code affiché à l’écran").fill("22222")
    page.get_by_role("button", name="Rejoindre").click()
    expect(page.locator("#erreur-code")).to_contain_text(words(SAID["salle_inconnue"].split(".")[0]), timeout=SLOW)
    page.get_by_label("Code affiché à l’écran").fill(code.lower())
    page.keyboard.press("Enter")
    expect(page.locator("#echange")).to_contain_text(words("Question 1 sur"), timeout=SLOW)
    sound(page, f"telephone-question-1-{scheme}", whole=False)
    heights = page.locator(OFFERED).evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert min(heights) >= 44
    page.locator("#saisie").fill("<i>asdf qsdf</i>")
    page.locator("#envoyer").click()
    expect(page.locator("#messages")).to_contain_text("<i>asdf qsdf</i>", timeout=SLOW)
    expect(page.locator("#messages")).to_contain_text(words("Autrement dit"), timeout=SLOW)
    for title, then in (
        ("Déjà certifié", "Question 2"),
        ("Moins de 30", "Question 3"),
        ("Non", "Question 4"),
        ("Grandir", "Question 5"),
        ("Non", "Question 6"),
    ):
        choose(page, title, then)
    page.locator(OFFERED).first.click()
    expect(page.locator(".carte")).to_be_visible(timeout=SLOW)
    expect(page.locator(".carte")).to_contain_text(words("Et maintenant"))
    assert texts.text("utter_telephone") not in page.locator(".carte").inner_text()  # Nothing is sold here.
    sound(page, f"telephone-verdict-{scheme}", whole=False)
    ines.does(f"/atelier/salles/{code}/terminer")

"""The workshop over HTTP, with the real guide: who may enter, what is under the hood, personas, a room, its end."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.schema import Table

from actions.diagnostic import SLOTS, VERDICTS, diagnostiquer
from actions.references import REFERENCES, engine
from tests.conftest import Guide
from tests.staff import COMPLETE, PASSWORD, Staff, Trainer, Visitor, account, plain, until
from tests.test_database import EVENTS as EVENT
from tests.test_door import FakeRasa
from web import stage
from web.accounts import Accounts
from web.app import create_app
from web.door import Refused
from web.network import is_loopback, local_addresses
from web.rooms import FEWEST, LONGEST, Rooms
from web.session import COOKIE
from web.settings import Settings
from web.stage import personas
from web.tables import ACCOUNTS, CONVERSATIONS, EVENTS, NOT_UNDERSTOOD, PARTICIPANTS, ROOMS, WORKSHOP, now
from web.views import SAID
from web.workshop import workshop_routes

PERSONAS, FAULTS = personas()


@pytest.fixture(scope="module")
def ines(guide: Guide) -> Trainer:
    return Trainer(guide)


@pytest.fixture(scope="module")
def paul(guide: Guide) -> Trainer:
    return Trainer(guide, "Paul Roy")


def addresses() -> Iterator[tuple[str, str]]:
    """Method and path of all that needs a trainer."""
    for route in workshop_routes():
        path = re.sub(r"\{\w+\}", "A2345", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if path.startswith("/atelier") and path != "/atelier/connexion":
                yield method, path


def rows(guide: Guide, kept: Table, **values: Any) -> int:
    """How many rows of a table have these values."""
    query = select(func.count()).select_from(kept).where(*(kept.c[name] == value for name, value in values.items()))
    with engine(guide.database).begin() as connection:
        return int(connection.execute(query).scalar_one())


# ── who may enter ──


@pytest.mark.bot
@pytest.mark.parametrize(("method", "path"), list(addresses()))
def test_nothing_of_the_trainer_opens_without_a_session_nor_to_the_other_role(
    guide: Guide, method: str, path: str
) -> None:
    json_wanted = {"accept": "application/json"}
    asked = httpx.request(method, guide.door + path, headers=json_wanted, timeout=30)
    assert (asked.status_code, asked.json()["erreur"]) == (401, "session_expiree")
    accounts = Accounts(guide.database)
    adviser = accounts.check(account(guide), PASSWORD)
    assert adviser
    cookies = {COOKIE: accounts.open_session(adviser)}
    refused = httpx.request(method, guide.door + path, headers=json_wanted, cookies=cookies, timeout=30)
    assert (refused.status_code, refused.json()["erreur"]) == (403, "role_refuse")


@pytest.mark.bot
@pytest.mark.parametrize("path", [path for method, path in addresses() if method == "POST"])
def test_a_form_without_the_mark_of_the_session_does_nothing(ines: Trainer, path: str) -> None:
    refused = ines.http.post(path, data={"texte": "x", "csrf": "autre"})
    assert (refused.status_code, refused.json()["erreur"]) == (403, "formulaire_perime")


@pytest.mark.bot
def test_an_adviser_cannot_sign_in_to_the_workshop_and_signing_in_leads_to_it_only(guide: Guide) -> None:
    form = {"identifiant": account(guide), "mot_de_passe": PASSWORD}
    assert httpx.post(f"{guide.door}/atelier/connexion", data=form, timeout=30).status_code == 403
    trainer = {"identifiant": account(guide, role="formateur"), "mot_de_passe": PASSWORD}
    for after in ("https://ailleurs.example/", "/console"):
        signed = httpx.post(f"{guide.door}/atelier/connexion", data={**trainer, "suite": after}, timeout=30)
        assert (signed.status_code, signed.headers["location"]) == (303, "/atelier")


def opened(tmp_path: Path, **changes: Any) -> AbstractAsyncContextManager[Any]:
    """A door opened by `make atelier`, without the guide behind it."""

    @asynccontextmanager
    async def running() -> Any:
        url = f"sqlite:///{tmp_path}/atelier.db"
        chosen = Settings("http://rasa", "jeton", "secret", url, **{"workshop_open": True, **changes})
        rasa = httpx.AsyncClient(transport=httpx.MockTransport(FakeRasa()), base_url="http://rasa")
        app = create_app(chosen, rasa)
        async with app.router.lifespan_context(app):
            yield app

    return running()


def client(app: Any, address: str, host: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8080")


async def test_at_the_machine_itself_an_open_workshop_needs_no_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as app, client(app, "127.0.0.1", "localhost") as here:
        led = await here.get("/atelier/guide")
        assert (led.status_code, led.headers["location"]) == (303, "/atelier/guide")
        page = await here.get("/atelier/guide")
        assert page.status_code == 200
        mark = re.search(r'name="csrf" content="([^"]+)"', page.text)
        assert mark
        room = await here.post("/atelier/salles", headers={"x-csrf-token": mark[1]})
        assert room.headers["location"].startswith("/atelier/salles/")
        assert (await here.get("/console")).status_code == 403  # That needs another role, here too.


@pytest.mark.parametrize(
    ("address", "host"),
    [("192.168.1.9", "192.168.1.20"), ("192.168.1.9", "localhost"), ("127.0.0.1", "piege.example")],
)
async def test_the_room_leads_nothing_in_an_open_workshop(tmp_path: Path, address: str, host: str) -> None:
    """Neither a telephone, nor one that pretends, nor a site that gives its name to this machine's address."""
    async with opened(tmp_path) as app, client(app, address, host) as there:
        for path in ("/atelier", "/atelier/projecteur"):
            led = await there.get(path)
            assert led.headers["location"].startswith("/atelier/connexion")
            assert "set-cookie" not in led.headers
        assert (await there.get("/console")).status_code == 403
        assert (await there.post("/console/connexion", data={"identifiant": "x"})).status_code == 403
        assert (await there.get("/salle")).status_code == 200


async def test_signing_out_of_an_open_workshop_shuts_nobody_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as app, client(app, "127.0.0.1", "localhost") as here:
        led = await here.get("/atelier/connexion?suite=/atelier/guide")
        assert (led.status_code, led.headers["location"]) == (303, "/atelier/guide")
        assert "samesite=lax" in led.headers["set-cookie"].lower()  # A link from elsewhere leads here too.


async def test_through_a_proxy_nobody_is_at_the_machine(tmp_path: Path) -> None:
    async with opened(tmp_path) as app, client(app, "127.0.0.1", "localhost") as here:
        led = await here.get("/atelier", headers={"x-real-ip": "203.0.113.7"})
        assert led.headers["location"].startswith("/atelier/connexion")


async def test_a_closed_workshop_needs_an_account_even_at_the_machine(tmp_path: Path) -> None:
    async with opened(tmp_path, workshop_open=False) as app, client(app, "127.0.0.1", "localhost") as here:
        assert (await here.get("/atelier")).headers["location"].startswith("/atelier/connexion")


async def test_the_built_in_account_that_was_closed_opens_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as app, client(app, "127.0.0.1", "localhost") as here:
        await here.get("/atelier/guide")
        with engine(app.state.door.settings.database_url).begin() as connection:
            connection.execute(update(ACCOUNTS).values(ferme_le=now()))
        await here.get("/atelier/guide")
        assert (await here.get("/atelier/guide")).status_code == 200


# ── under the hood ──


@pytest.mark.bot
def test_a_sentence_is_shown_as_it_was_heard_and_what_was_stored_of_it(ines: Trainer) -> None:
    begun = ines.demonstration()
    assert begun["tour"]["guide"][0]["type"] == "question"
    assert begun["tour"]["capot"]["entendu"]["genre"] == "ouverture"
    turn = ines.turn(begun["demonstration"], texte="pas certifiés, et 60 % du CA vient des OPCO")
    heard = turn["capot"]["entendu"]
    assert (heard["genre"], heard["titre"], heard["compris"]) == ("phrase", "Une réponse", True)
    assert {(a["slot"], a["titre"]) for a in heard["reponses"]} == {
        ("statut_qualiopi", "Pas certifié"),
        ("financement_actuel", "30\u00a0% ou plus"),
    }
    assert all(50 < answer["certitude"] <= 100 for answer in heard["reponses"])
    assert heard["suivants"] and heard["suivants"][0]["certitude"] < heard["certitude"]
    assert {(n["slot"], n["avant"]) for n in turn["capot"]["note"]} == {
        ("statut_qualiopi", None),
        ("financement_actuel", None),
    }
    lines = {line["numero"]: line for line in turn["capot"]["table"]}
    assert (lines["1"]["etat"], lines["1"]["raison"]) == ("ecartee", "pas certifié")
    assert (lines["3"]["etat"], lines["3"]["raison"]) == ("ecartee", "enjeu fort")
    assert lines["8"]["etat"] == "ouverte"
    assert turn["capot"]["verdict"] is None
    assert turn["capot"]["leviers"][0]["force"] == "fort"


@pytest.mark.bot
def test_a_button_a_digression_and_what_is_not_understood_are_told_apart(ines: Trainer) -> None:
    begun = ines.demonstration()
    mine = begun["demonstration"]
    pressed = ines.turn(mine, choix=begun["tour"]["guide"][0]["boutons"][0]["choix"])
    assert (pressed["vous"], pressed["bouton"]) == ("Pas certifié", True)
    assert pressed["capot"]["entendu"]["genre"] == "bouton"
    assert pressed["capot"]["entendu"]["certitude"] is None
    asked = ines.turn(mine, texte="ça coûte combien ?")
    assert "Coût" in asked["capot"]["entendu"]["titre"]
    assert asked["capot"]["note"] == []
    lost = ines.turn(mine, texte="qsdf jklm wxcv")
    assert lost["capot"]["entendu"]["compris"] is False
    assert lost["capot"]["note"] == []
    by_value = ines.turn(mine, valeur="aucun")
    assert by_value["capot"]["note"][0]["apres"] == "Aucune, tout est payé par mes clients"
    corrected = ines.turn(mine, texte="en fait nous sommes déjà certifiés")
    assert [(n["avant"], n["apres"]) for n in corrected["capot"]["note"]] == [("Pas certifié", "Déjà certifié")]
    assert corrected["capot"]["table"][0]["etat"] == "tient"


@pytest.mark.bot
def test_going_back_and_on_from_there_leaves_the_rest_behind(ines: Trainer, guide: Guide) -> None:
    first = ines.demonstration()["demonstration"]
    for value in ("non_certifie", "significatif", "croissance"):
        ines.turn(first, valeur=value)
    second = ines.demonstration(depuis=first, tours="3")["demonstration"]
    turn = ines.turn(second, texte="nous voulons rester comme aujourd'hui")
    given = {q["slot"]: q["valeur"] for q in turn["capot"]["reponses"]}
    assert (given["financement_actuel"], given["ambition"]) == ("significatif", "stable")
    assert [n["avant"] for n in turn["capot"]["note"] if n["slot"] == "ambition"] == [None]
    assert turn["guide"][-1]["texte"].startswith("Question 4 sur 9")
    ines.demonstration(retirer=first)
    assert rows(guide, PARTICIPANTS, conversation=first) == 0
    gone = ines.post(f"/atelier/demonstrations/{first}/messages", texte="oui")
    assert (gone.status_code, gone.json()["erreur"]) == (404, "demonstration_absente")


@pytest.mark.bot
@pytest.mark.parametrize(
    ("form", "status", "name"),
    [
        ({"texte": "  "}, 400, "vide"),
        ({"texte": "x" * 1_001}, 413, "trop_long"),
        ({"choix": "faux"}, 400, "choix_inconnu"),
        ({"valeur": "croissance"}, 409, "valeur_absente"),
    ],
)
def test_a_turn_that_cannot_be_is_refused_in_french(
    ines: Trainer, form: dict[str, str], status: int, name: str
) -> None:
    mine = ines.demonstration()["demonstration"]
    refused = ines.post(f"/atelier/demonstrations/{mine}/messages", **form)
    assert (refused.status_code, refused.json()["erreur"]) == (status, name)
    assert ines.turn(mine, valeur="certifie")["capot"]["note"]


@pytest.mark.bot
def test_changing_an_answer_shows_the_other_verdict_and_stores_nothing(ines: Trainer) -> None:
    before = ines.does("/atelier/capot", reponses=json.dumps(COMPLETE))
    after = ines.does(
        "/atelier/capot", reponses=json.dumps({**COMPLETE, "echeance": "proche", "maturite": "informelle"})
    )
    assert before["verdict"]["verdict"] == "strategique_maintenant"
    assert after["verdict"]["verdict"] == "strategique_sous_contrainte"
    held = [[line["numero"] for line in hood["table"] if line["etat"] == "tient"] for hood in (before, after)]
    assert held == [["8"], ["6"]]
    assert [s["section"] for s in after["sections"]] == list(
        diagnostiquer({**COMPLETE, "echeance": "proche", "maturite": "informelle"}).sections
    )
    for wrong in ("", "[]", '{"ambition": "grande"}', "[" * 5_000):
        refused = ines.post("/atelier/capot", reponses=wrong)
        assert (refused.status_code, refused.json()["erreur"]) == (400, "reponses_illisibles")


async def test_nothing_is_said_in_a_demonstration_that_was_erased_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        door, screen = app.state.door, app.state.workshop.stage
        mine, _ = await screen.begin()
        async with door.lock(mine):
            erasing = asyncio.create_task(door.erase(mine))
            await asyncio.sleep(0)  # It waits for its turn, before what is said.
            saying = asyncio.create_task(screen.say(mine, "bonjour"))
            await asyncio.sleep(0)
        await erasing
        with pytest.raises(Refused, match="demonstration_absente"):
            await saying


# ── personas ──


def test_there_are_a_dozen_personas_and_every_verdict_has_one() -> None:
    assert FAULTS == []
    assert len(PERSONAS) >= 12
    assert {persona["verdict"] for persona in PERSONAS} == set(VERDICTS)


@pytest.mark.bot
@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona["slug"])
def test_a_persona_comes_to_its_verdict(ines: Trainer, persona: dict[str, Any]) -> None:
    mine = ines.demonstration()["demonstration"]
    verdicts = [ines.turn(mine, **step)["capot"]["verdict"] for step in persona["messages"]]
    assert [v["verdict"] for v in verdicts if v][-1:] == [persona["verdict"]]
    shown = ines.text(f"/atelier/projecteur?persona={persona['slug']}")
    assert plain(persona["titre"]) in shown


GOOD = "titre: Essai\nhistoire: Une histoire.\nmontrer: La table.\nverdict: a_anticiper\nmessages:\n  - bonjour\n"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (GOOD.replace("titre: Essai", 'titre: "Essai'), "ligne"),
        (GOOD.replace("a_anticiper", "peut_etre"), "strategique_maintenant"),
        (GOOD.replace("histoire: Une histoire.\n", ""), "histoire"),
        (GOOD.replace("  - bonjour\n", "  - /restart\n"), "message n° 1"),
        (GOOD.replace("  - bonjour\n", "  - bonjour\n  - valeur: enorme\n"), "message n° 2"),
        ("juste une phrase", "pas lisible"),
        ("\x00", "pas lisible"),
    ],
)
def test_a_persona_that_cannot_be_played_is_told_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    (tmp_path / "01-bon.yml").write_text(GOOD, "utf-8")
    (tmp_path / "02-faux.yml").write_text(written, "utf-8")
    monkeypatch.setattr(stage, "PERSONAS", tmp_path)
    found, (fault,) = personas()
    assert [persona["slug"] for persona in found] == ["01-bon"]
    assert fault.startswith("02-faux.yml")
    assert said in plain(fault)


# ── the room ──


def answer(visitor: Visitor, *titles: str) -> None:
    for title in titles:
        visitor.choose(title)


def in_the_room(guide: Guide, code: str, *titles: str) -> Visitor:
    """A telephone that has joined and pressed these."""
    joined = Visitor(guide).join(code)
    until(joined.messages, "the first question")
    answer(joined, *titles)
    return joined


@pytest.mark.bot
def test_a_room_fills_live_and_is_shown_only_on_purpose(ines: Trainer, guide: Guide) -> None:
    code = ines.room()
    assert ines.screen(code)["participants"] == 0
    telephones = [in_the_room(guide, code.lower(), title) for title in ("Pas certifié", "Pas certifié")]
    until(lambda: [one["part"] > 0 for one in ines.screen(code)["avancement"]] == [True, True], "two answers")
    ines.does(f"/atelier/salles/{code}/montrer", montre="oui")
    few = ines.screen(code)
    assert few["assez"] is False
    assert few["questions"][0]["nombre"] is None
    assert few["questions"][0]["valeurs"] is None  # Two would be recognised.
    ines.does(f"/atelier/salles/{code}/montrer", montre="non")
    telephones.append(in_the_room(guide, code, "Déjà certifié"))
    hidden = until(lambda: (s := ines.screen(code))["questions"][0]["nombre"] == 3 and s, "three answers")
    assert hidden["questions"][0]["valeurs"] is None
    assert hidden["verdicts"] is None
    ines.does(f"/atelier/salles/{code}/montrer", montre="oui")
    shown = ines.screen(code)
    assert [(v["valeur"], v["nombre"]) for v in shown["questions"][0]["valeurs"]] == [
        ("non_certifie", 2),
        ("en_demarche", 0),
        ("certifie", 1),
        ("inconnu", 0),
    ]
    assert shown["avancement"][0] == {"part": 0.1, "fini": False}
    assert telephones[0].conversation not in json.dumps(shown)
    ines.does(f"/atelier/salles/{code}/terminer")


@pytest.mark.bot
def test_one_question_is_asked_to_all_and_counts_in_each_conversation(ines: Trainer, guide: Guide) -> None:
    code = ines.room()
    telephone = in_the_room(guide, code)
    assert telephone.http.get("/api/salle").json() == {"code": code, "terminee": False, "question": None}
    ines.does(f"/atelier/salles/{code}/question", slot="ambition")
    asked = telephone.http.get("/api/salle").json()["question"]
    assert (asked["slot"], asked["reponse"]) == ("ambition", None)
    assert asked["texte"].startswith("Quelle est votre ambition")
    grow = next(choice for choice in asked["choix"] if choice["valeur"] == "croissance")
    telephone.send(choix=grow["choix"])
    until(lambda: telephone.http.get("/api/salle").json()["question"]["reponse"] == "croissance", "the answer")
    until(lambda: ines.screen(code)["questions"][3]["nombre"] == 1, "the count")
    choice = next(q for q in ines.screen(code)["questions"] if q["slot"] == "cadre_stable")
    assert choice["nombre"] is None
    ines.does(f"/atelier/salles/{code}/question", slot="cadre_stable")
    asked = telephone.http.get("/api/salle").json()["question"]
    telephone.send(choix=asked["choix"][0]["choix"])
    until(
        lambda: ines.screen(code)["questions"][4]["nombre"] == 1, "an answer that their own conversation would not ask"
    )
    ines.does(f"/atelier/salles/{code}/question", slot="")
    assert telephone.http.get("/api/salle").json()["question"] is None
    refused = ines.post(f"/atelier/salles/{code}/question", slot="couleur")
    assert refused.status_code == 400
    ines.does(f"/atelier/salles/{code}/terminer")


@pytest.mark.bot
def test_what_happens_in_a_workshop_is_not_among_prospects(ines: Trainer, guide: Guide) -> None:
    lea = Staff(guide)
    figures, listed = lea.text("/console/chiffres"), rows(guide, CONVERSATIONS)
    missed = rows(guide, NOT_UNDERSTOOD)
    code = ines.room()
    telephone = in_the_room(guide, code)
    telephone.say("zorglub frimouille saperlipopette")
    shown = ines.demonstration()["demonstration"]
    ines.turn(shown, texte="zorglub frimouille saperlipopette")
    assert rows(guide, CONVERSATIONS) == listed
    assert rows(guide, NOT_UNDERSTOOD) == missed
    assert lea.text("/console/chiffres") == figures
    assert lea.get("/console?q=zorglub").text.count("/console/c/") == 0
    assert lea.get(f"/console/c/{telephone.conversation}").status_code == 404
    for path, body in (
        ("/api/rappel", {"nom": "Léa", "joindre": "06 12 34 56 78", "accord": True}),
        ("/api/reprise", {"adresse": f"{guide.door}/conversation"}),
    ):
        refused = telephone.http.post(path, json=body)
        assert refused.status_code == 409, path
    ines.does(f"/atelier/salles/{code}/terminer")


@pytest.mark.bot
def test_the_guide_promises_nothing_that_a_workshop_does_not_keep(ines: Trainer, guide: Guide) -> None:
    code = ines.room()
    telephone = in_the_room(guide, code)
    shown = ines.demonstration()["demonstration"]
    for question, words in (("que faites-vous de mes données ?", "donnees"), ("je veux parler à quelqu'un", "contact")):
        expected = SAID[f"atelier_{words}"]
        assert expected in [message["texte"] for message in telephone.say(question)]
        assert expected in [message["texte"] for message in ines.turn(shown, texte=question)["guide"]]
    ines.does(f"/atelier/salles/{code}/terminer")


@pytest.mark.bot
def test_at_the_end_nothing_is_left_unless_kept_on_purpose(ines: Trainer, paul: Trainer, guide: Guide) -> None:
    code = ines.room()
    telephones = [in_the_room(guide, code, "Déjà certifié", "Moins de 30", "Non") for _ in range(FEWEST)]
    until(lambda: ines.screen(code)["questions"][2]["nombre"] == FEWEST, "all answers")
    assert paul.post(f"/atelier/salles/{code}/terminer").status_code == 404  # Not his.
    ines.does(f"/atelier/salles/{code}/terminer", garder="oui")
    for telephone in telephones:
        assert rows(guide, EVENTS, sender_id=telephone.conversation) == 0
        for kept in (PARTICIPANTS, REFERENCES):
            assert rows(guide, kept, conversation=telephone.conversation) == 0
        assert telephone.http.get("/api/salle").status_code == 404
    late = Visitor(guide).http.post("/api/salle", json={"code": code})
    assert (late.status_code, late.json()["erreur"]) == (409, "salle_terminee")
    written = ines.get(f"/atelier/salles/{code}/reponses.csv").text
    assert written.startswith("\ufeff")
    head, *lines = csv.reader(io.StringIO(written.removeprefix("\ufeff")), delimiter=";")
    assert len(head) == len(SLOTS) + 1
    assert [line[:3] for line in lines] == [["Déjà certifié", "Moins de 30\u00a0%", "Non"]] * FEWEST
    assert code in ines.text("/atelier")
    assert paul.get(f"/atelier/salles/{code}/reponses.csv").status_code == 404
    ines.does(f"/atelier/salles/{code}/effacer")
    assert rows(guide, ROOMS, code=code) == 0
    assert ines.get(f"/atelier/salles/{code}/reponses.csv").status_code == 404


@pytest.mark.bot
def test_too_few_are_never_kept(ines: Trainer, guide: Guide) -> None:
    code = ines.room()
    in_the_room(guide, code, "Pas certifié")
    until(lambda: [one["part"] > 0 for one in ines.screen(code)["avancement"]] == [True], "the answer")
    for refused in (
        ines.post(f"/atelier/salles/{code}/terminer", garder="oui"),
        ines.http.get(f"/atelier/salles/{code}/reponses.csv"),
    ):
        assert (refused.status_code, refused.json()["erreur"]) == (409, "trop_peu")
    assert ines.screen(code)["participants"] == 1
    ines.does(f"/atelier/salles/{code}/terminer")
    assert rows(guide, ROOMS, code=code) == 0


@pytest.mark.bot
def test_the_telephones_are_told_of_the_end_and_the_screens_too(ines: Trainer, guide: Guide) -> None:
    code = ines.room()
    telephone = in_the_room(guide, code)
    told = []
    with telephone.http.stream("GET", "/api/evenements") as listening:
        for line in listening.iter_lines():
            if "historique" in line:
                ines.does(f"/atelier/salles/{code}/terminer")
            if line.startswith("data:") and "texte" in (said := json.loads(line.removeprefix("data:"))):
                told.append(plain(said["texte"]))
    assert told[-1].startswith("L'atelier est terminé")
    gone = ines.http.get(f"/atelier/salles/{code}/evenements")
    assert gone.status_code == 404


@pytest.mark.bot
def test_a_wrong_code_is_said_and_cannot_be_tried_for_ever(guide: Guide, ines: Trainer) -> None:
    code = ines.room()
    wrong = Visitor(guide).http.post("/api/salle", json={"code": "22222"})
    assert (wrong.status_code, wrong.json()["erreur"]) == (404, "salle_inconnue")
    for odd in (None, 5, [], "x" * 500):
        assert Visitor(guide).http.post("/api/salle", json={"code": odd}).status_code == 404
    assert Visitor(guide).join(f" {code[:2]}-{code[2:].lower()} ").conversation.startswith("atelier-")
    ines.does(f"/atelier/salles/{code}/terminer")


async def test_wrong_codes_alone_are_counted(tmp_path: Path) -> None:
    async with opened(tmp_path, codes_per_minute=3) as app, client(app, "192.168.1.9", "192.168.1.20") as there:
        trainer = app.state.desk.accounts.built_in("x.y", "X", "formateur")
        code = app.state.door.rooms.open(trainer.id)
        for _ in range(10):
            assert (await there.post("/api/salle", json={"code": code})).status_code == 201
        tried = [(await there.post("/api/salle", json={"code": "22222"})).status_code for _ in range(10)]
        assert tried == [404] * 9 + [429]
        assert (await there.post("/api/salle", json={"code": code})).status_code == 429


async def test_wrong_codes_sent_together_are_counted_as_those_sent_one_by_one(tmp_path: Path) -> None:
    async with opened(tmp_path, codes_per_minute=3) as app, client(app, "192.168.1.9", "192.168.1.20") as there:
        tried = await asyncio.gather(*[there.post("/api/salle", json={"code": "22222"}) for _ in range(40)])
        assert Counter(answer.status_code for answer in tried) == {404: 9, 429: 31}
        trainer = app.state.desk.accounts.built_in("x.y", "X", "formateur")
        code = app.state.door.rooms.open(trainer.id)
        async with client(app, "192.168.1.10", "192.168.1.20") as room:
            joined = await asyncio.gather(*[room.post("/api/salle", json={"code": code}) for _ in range(40)])
            assert {answer.status_code for answer in joined} == {201}, "a whole room at once"


async def test_a_forgotten_room_and_what_was_kept_too_long_go_by_themselves(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        door, url = app.state.door, app.state.door.settings.database_url
        trainer = app.state.desk.accounts.built_in("x.y", "X", "formateur")
        old, fresh, kept, half = (door.rooms.open(trainer.id) for _ in range(4))
        member, still = await door.join(old), await door.join(half)
        shown = await app.state.workshop.stage._new()
        door.rooms.end(kept, keep=True)
        door.rooms.end(half, keep=False)  # Its conversations could not be erased at the time.
        EVENT.metadata.create_all(engine(url))
        late = f"{WORKSHOP}d-un-guide-en-retard"
        with engine(url).begin() as connection:
            for sender in (late, "web-quelqu-un"):
                connection.execute(EVENT.insert().values(sender_id=sender, type_name="user", timestamp=time.time()))
        past = now() - LONGEST - timedelta(minutes=1)
        with engine(url).begin() as connection:
            connection.execute(update(ROOMS).where(ROOMS.c.code == old).values(ouverte_le=past))
            connection.execute(update(PARTICIPANTS).where(PARTICIPANTS.c.conversation == shown).values(ouverte_le=past))
            connection.execute(update(ROOMS).where(ROOMS.c.code == kept).values(terminee_le=now() - timedelta(days=31)))
        await app.state.workshop.forget()
        rooms: Rooms = door.rooms
        assert [room.code for room in rooms.rooms_of(trainer.id)] == [fresh]
        for conversation in (member, still, shown):
            assert not door.records.is_open(conversation)
        with engine(url).begin() as connection:
            assert list(connection.execute(select(EVENT.c.sender_id)).scalars()) == ["web-quelqu-un"]


async def test_nobody_joins_a_room_that_ends_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        door = app.state.door
        code = door.rooms.open(app.state.desk.accounts.built_in("x.y", "X", "formateur").id)
        door.rooms.end(code, keep=False)
        with pytest.raises(Refused, match="salle_terminee"):
            await door.join(code)
        assert door.rooms.conversations(code) == []


async def test_an_end_that_fails_for_one_is_done_for_the_others_and_mended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as app:
        door, workshop = app.state.door, app.state.workshop
        code = door.rooms.open(app.state.desk.accounts.built_in("x.y", "X", "formateur").id)
        first, second = await door.join(code), await door.join(code)
        erase = door.records.erase

        def failing(conversation: str) -> None:
            if conversation == first:
                raise OperationalError("locked", None, None)
            erase(conversation)

        monkeypatch.setattr(door.records, "erase", failing)
        await workshop.end(code, keep=False)
        assert [door.records.is_open(one) for one in (first, second)] == [True, False]
        monkeypatch.undo()
        await workshop.forget()
        assert not door.records.is_open(first)
        assert door.rooms.room(code) is None


async def test_a_room_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.workshop.MOST_PARTICIPANTS", 2)
    async with opened(tmp_path) as app, client(app, "192.168.1.9", "192.168.1.20") as there:
        trainer = app.state.desk.accounts.built_in("x.y", "X", "formateur")
        code = app.state.door.rooms.open(trainer.id)
        joined = [await there.post("/api/salle", json={"code": code}) for _ in range(3)]
        assert [answered.status_code for answered in joined] == [201, 201, 429]


# ── the network ──


def test_the_addresses_said_to_the_room_are_this_machines_own() -> None:
    for address in local_addresses():
        assert not is_loopback(address)
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and not is_loopback("0.0.0.0")


@pytest.mark.parametrize(
    ("host", "asked", "expected"),
    [
        ("0.0.0.0", "localhost", ["http://192.168.1.20:8080/salle/"]),
        ("127.0.0.1", "localhost", []),
        ("127.0.0.1", "guide.cabinet.fr", ["http://guide.cabinet.fr:8080/salle/"]),
    ],
)
async def test_the_room_is_told_an_address_that_it_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, asked: str, expected: list[str]
) -> None:
    monkeypatch.setattr("web.workshop.local_addresses", lambda: ["192.168.1.20"])
    async with opened(tmp_path, host=host) as app, client(app, "127.0.0.1", "localhost") as here:
        await here.get("/atelier/guide")
        trainer = app.state.desk.accounts.built_in("atelier.sur-place", "X", "formateur")
        code = app.state.door.rooms.open(trainer.id)
        page = await here.get(f"/atelier/salles/{code}", headers={"host": f"{asked}:8080"})
        for beginning in expected:
            assert f"{beginning}{code}" in page.text
        if not expected:
            assert f"/salle/{code}" not in page.text.replace(f"/atelier/salles/{code}", "")

"""What is kept of people: every table is exported, erased and purged, whoever asks and from wherever; nothing of what
people said is in a log.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Column, Integer, String, Table, Text, select
from sqlalchemy.engine import Engine

from actions.references import METADATA, engine, reference_of
from scripts import personne, purge, run
from scripts.run import ROOT
from tests.conftest import Guide, running
from tests.staff import Staff, Visitor, plain, until
from tests.test_database import ANOTHER, OURS, add_event, at_once, base, everything, fill, mentions, records
from web import person
from web.accounts import Accounts
from web.records import BATCH, Records, by_conversation
from web.rooms import LONGEST, Rooms
from web.tables import ACCOUNTS, AUDIT, CALL_BACKS, PARTICIPANTS, ROOMS, SESSIONS, WORKSHOP, now

__all__ = ["base", "records"]  # Fixtures, on each kind of database.

NOBODY = {ACCOUNTS, SESSIONS, ROOMS}
"""The tables that keep nothing of a visitor: the staff, and rooms whose answers are in no one's name."""
DOCUMENT = (ROOT / "docs" / "donnees-personnelles.md").read_text("utf-8")


@pytest.fixture
def home(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What commands find: this database, no secrets nor backups or exports yet."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("BON_MOMENT_SAUVEGARDES", str(tmp_path / "sauvegardes"))
    monkeypatch.setattr(run, "SECRETS", tmp_path / "var" / "secrets.env")
    monkeypatch.setattr(personne, "EXPORTS", tmp_path / "exports")
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str, typed: str = "") -> int:
    """Run `make export` or `make effacer`; `typed` is what is answered, line by line."""
    monkeypatch.setattr("sys.argv", ["personne", *words])
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return personne.main()


# ── every table ──


def test_a_table_is_of_conversations_or_known_to_keep_nothing_of_visitors() -> None:
    """A new one is exported, erased and purged by its column `conversation`; without, it has to be thought of here."""
    assert {*by_conversation(), *NOBODY} == set(METADATA.tables.values())


@pytest.mark.parametrize("table", [*METADATA.tables, "events"])
def test_every_table_is_in_the_record_of_what_is_kept(table: str) -> None:
    assert f"`{table}`" in DOCUMENT


@pytest.fixture
def new_table(base: Engine) -> Iterator[Table]:
    """A table that nobody has thought of."""
    table = Table(
        "bon_moment_humeurs",
        METADATA,
        Column("id", Integer, primary_key=True),
        Column("conversation", String(255), nullable=False),
        Column("humeur", Text, nullable=False),
    )
    try:
        yield table
    finally:
        METADATA.remove(table)


def test_a_new_table_is_exported_erased_and_purged_as_the_others(
    base: Engine, records: Records, new_table: Table
) -> None:
    new_table.create(base)
    for conversation, age in ((OURS, 0), (ANOTHER, 31)):
        fill(base, conversation, now() - timedelta(days=age))
    exported = person.everything(records, OURS)["tables"]
    kept = {name: rows for name, rows in everything(base).items() if OURS in str(rows)}
    assert set(exported) == set(kept) and new_table.name in kept
    for name in set(kept) - {"events"}:
        mine = next(row for row in kept[name] if row.get("conversation") == OURS)
        assert set(exported[name][0]) == set(mine), "every column"
    records.erase(OURS)
    assert mentions(base, OURS) == set()
    assert records.purge(30) == 1
    assert mentions(base, ANOTHER) == {CALL_BACKS.name}


# ── the purge ──


def test_several_doors_purge_at_once_while_somebody_talks(base: Engine, records: Records, database: str) -> None:
    old = [f"web-{number:032x}" for number in range(3 * BATCH + 1)]
    for conversation in old:
        records.open(conversation)
    with base.begin() as connection:
        for conversation in [*old, "un-autre-canal"]:
            for age in (40, 31):
                add_event(connection, conversation, now() - timedelta(days=age))
    records.open(OURS)
    over, said = threading.Event(), 0

    def talk() -> None:
        nonlocal said
        while not over.wait(0.02):
            with engine(database).begin() as connection:
                add_event(connection, OURS, now())
            said += 1

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        erased = at_once(2, lambda: Records(database).purge(30))
    finally:
        over.set()
        talking.join()
    assert sum(erased) == len(old) + 1, "each once"
    assert {row["sender_id"] for row in everything(base)["events"]} == {OURS}
    assert len(everything(base)["events"]) == said > 0
    assert records.is_open(OURS) and not any(map(records.is_open, old))


def test_what_a_late_guide_has_written_of_an_erased_conversation_goes_too(base: Engine, records: Records) -> None:
    records.open(ANOTHER)
    with base.begin() as connection:
        for conversation, minutes in ((OURS, 90), (ANOTHER, 90), ("tel-tardif", 90), ("web-neuf", 5), ("rest", 90)):
            add_event(connection, conversation, now() - timedelta(minutes=minutes))
    assert records.purge(30) == 0
    assert {row["sender_id"] for row in everything(base)["events"]} == {ANOTHER, "web-neuf", "rest"}


def test_make_purge_ends_the_rooms_that_were_forgotten(
    home: Path, base: Engine, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms, conversation = Rooms(database), f"{WORKSHOP}0"
    Accounts(database).create("ines", "Inès", "formateur", "une longue phrase de passe")
    code = rooms.open(1)
    rooms.join(conversation, code)
    with base.begin() as connection:
        add_event(connection, conversation, now())
        long_ago = now() - LONGEST - timedelta(minutes=1)
        connection.execute(ROOMS.update().values(ouverte_le=long_ago))
        connection.execute(PARTICIPANTS.update().values(ouverte_le=long_ago))
    purge.main()
    assert mentions(base, code, conversation) == set()
    assert "30 jours" in capsys.readouterr().out


# ── one person, by command ──


@pytest.fixture
def people(home: Path, base: Engine, records: Records, database: str) -> dict[str, str]:
    """Three who have left how to call them back, one of them long ago; and what identifies each."""
    for conversation, name, reach in (
        (OURS, "Léa Martin", "06 12 34 56 78"),
        (ANOTHER, "Omar Diallo", "omar.diallo@exemple.fr"),
    ):
        records.open(conversation)
        records.add_call_back(conversation, name, reach, "Plutôt le matin")
        with base.begin() as connection:
            add_event(connection, conversation, now())
    records.add_call_back("web-purgee", "Léa Petit", "01 02 03 04 05", "")
    return {"reference": reference_of(OURS, database)}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("{reference}", [OURS]),
        ("lea martin", [OURS]),
        ("+33 6 12 34 56 78", [OURS]),
        ("0612345678", [OURS]),
        ("OMAR.DIALLO@exemple.fr", [ANOTHER]),
        ("01.02.03.04.05", ["web-purgee"]),
        (OURS, [OURS]),
        ("léa", [OURS, "web-purgee"]),
        ("Marcel", []),
        (" ", []),
        ("%", []),
    ],
)
def test_a_person_is_found_by_what_they_say_of_themselves(
    people: dict[str, str], database: str, words: str, found: list[str]
) -> None:
    assert {one.conversation for one in person.find(database, words.format(**people))} == set(found)


def test_the_export_is_two_files_for_its_owner_alone(
    people: dict[str, str], home: Path, base: Engine, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.add_call_back(OURS, "Léa", "lea@exemple.fr", "<script>alert(1)</script>")
    assert command(monkeypatch, "exporter", "--qui", people["reference"]) == 0
    files = {file.suffix: file for file in (home / "exports").iterdir()}
    assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}
    kept, page = json.loads(files[".json"].read_text()), files[".html"].read_text()
    assert kept["reference"] == people["reference"] and len(kept["tables"][CALL_BACKS.name]) == 2
    for words in (people["reference"], "Léa Martin", "06 12 34 56 78", "Plutôt le matin"):
        assert words in page and words in json.dumps(kept, ensure_ascii=False)
    assert "Omar" not in page + files[".json"].read_text()
    assert "<script" not in page
    assert command(monkeypatch, "effacer", "--qui", people["reference"], "--oui") == 0
    assert not list((home / "exports").iterdir()), "nor is what was exported left"


def test_erasing_by_command_asks_first_and_the_log_keeps_no_name(
    people: dict[str, str], base: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(base)
    for typed in ("", "non\n", "1\n"):
        assert command(monkeypatch, "effacer", "--qui", "léa", typed=typed) == 1
    assert command(monkeypatch, "effacer", "--qui", "léa", "--oui") == 1, "never several unasked"
    assert everything(base) == before
    capsys.readouterr()
    assert command(monkeypatch, "effacer", "--qui", "léa", typed="1 2\neffacer\n") == 0
    assert "Léa Petit" in (said := capsys.readouterr().out) and people["reference"] in said
    assert mentions(base, OURS, "web-purgee", people["reference"], "Léa", "01 02 03 04 05") == set()
    assert mentions(base, "Omar Diallo") == {CALL_BACKS.name}
    with base.begin() as connection:
        log = select(AUDIT.c.action, AUDIT.c.conversation, ACCOUNTS.c.identifiant).join(ACCOUNTS)
        assert [tuple(row) for row in connection.execute(log)] == [("efface", None, "maintenance")] * 2
    assert command(monkeypatch, "effacer", "--qui", "léa", typed="1\neffacer\n") == 1


def test_what_remains_in_backups_is_said(
    people: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "sauvegardes" / "2026-11-23-120000").mkdir(parents=True)
    assert command(monkeypatch, "effacer", "--qui", "omar", typed="effacer\n") == 0
    assert "07/12/2026" in capsys.readouterr().out


# ── the whole guide ──

MARKS = ("Zébuline", "Marqueterie", "0698765432", "06 98 76 54 32", "zebuline@exemple.fr", "certifié jamais vu")
"""What is said in the conversation below, and nowhere else."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guide, Path]]:
    """A guide of its own, whose processes die here, and the folder of its logs."""
    folder = tmp_path_factory.mktemp("guide")
    with running(f"sqlite:///{folder / 'test.db'}", folder / "journaux") as started:
        yield started, folder / "journaux"


def listening(port: str) -> psutil.Process:
    """The process that listens on a port of this machine."""
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr.port == int(port) and found.pid:
            return psutil.Process(found.pid)
    raise AssertionError(f"nobody listens on {port}")


@pytest.mark.bot
def test_the_console_hands_over_all_that_is_kept(logged: tuple[Guide, Path]) -> None:
    guide, _ = logged
    staff, visitor = Staff(guide), Visitor(guide).arrive()
    visitor.sees("Question 1 sur 9")
    visitor.say(f"on n'est pas certifiés du tout, <b>{MARKS[0]}</b>")
    page = f"/console/c/{visitor.conversation}"
    staff.does(f"{page}/note", texte="à <i>rappeler</i>")
    read, kept = staff.get(f"{page}/export.html"), staff.get(f"{page}/export.json").json()
    assert "attachment" in read.headers["content-disposition"]
    assert MARKS[0] in read.text and "<b>" not in read.text and "&lt;i&gt;rappeler" in read.text
    assert "Pas certifié" in plain(read.text) and "Conversation exportée" in plain(read.text)
    assert {"events", "bon_moment_conversations", "bon_moment_notes", "bon_moment_journal"} <= set(kept["tables"])
    assert any(MARKS[0] in line["texte"] for line in kept["messages"])
    assert [(line["slot"], line["valeur"]) for line in kept["reponses"]] == [("statut_qualiopi", "non_certifie")]


@pytest.mark.bot
def test_no_log_has_a_word_of_what_was_said_even_when_things_fail(logged: tuple[Guide, Path]) -> None:
    guide, logs = logged
    staff, visitor = Staff(guide), Visitor(guide).arrive()
    visitor.sees("Question 1 sur 9")
    visitor.say(f"moi c'est {MARKS[0]}, on n'est pas certifiés, {MARKS[3]}")
    visitor.say(f"{MARKS[5]} {MARKS[1]}")
    page = f"/console/c/{visitor.conversation}"
    call_back = {"nom": MARKS[0], "joindre": MARKS[3], "message": MARKS[1], "accord": "oui"}
    staff.does(f"{page}/rappel", **call_back)
    staff.does(f"{page}/note", texte=MARKS[1])
    staff.does(f"{page}/prendre")
    staff.does(f"{page}/message", texte=f"Bonjour {MARKS[0]}", cle="cle-0123456789")
    staff.does(f"{page}/rendre")
    staff.text(f"/console?q={MARKS[1]}")
    # What is refused, and what is no message.
    headers = {"content-type": "application/json"}
    assert visitor.http.post("/api/messages", content=f'{{"texte": "{MARKS[1]}', headers=headers).status_code == 400
    assert visitor.http.post("/api/messages", json={"texte": MARKS[1] * 200}).status_code == 413
    assert visitor.http.post("/api/rappel", json={"nom": MARKS[0], "joindre": MARKS[4]}).status_code == 400
    assert visitor.http.get(f"/api/{MARKS[1]}?texte={MARKS[1]}").status_code == 404
    body = {"sender": MARKS[4], "message": MARKS[5], "metadata": {"cle": MARKS[1]}}
    visitor.http.post(f"{guide.rasa}/webhooks/rest/webhook", json=body)
    visitor.http.post(f"{guide.rasa}/webhooks/rest/webhook", content=f'{{"message": "{MARKS[1]}"')
    # The action server dies under a message, then Rasa does.
    rasa = listening(guide.rasa.rsplit(":", 1)[1])
    siblings = [p for p in psutil.process_iter(["cmdline", "ppid"]) if p.info["ppid"] == rasa.ppid()]
    next(p for p in siblings if "actions" in p.info["cmdline"]).kill()
    with grows(logs / "rasa.log"):
        visitor.send(texte=f"{MARKS[1]}, on n'est pas certifiés")
    rasa.kill()
    with grows(logs / "porte.log"):
        visitor.send(texte=f"{MARKS[0]} encore")
    found = [
        (file.name, line)
        for file in logs.iterdir()
        for line in file.read_text("utf-8", "replace").splitlines()
        for mark in (*MARKS, *(json.dumps(mark)[1:-1] for mark in MARKS), visitor.conversation)
        if mark.lower() in line.lower()
    ]
    assert found == []
    for file in logs.iterdir():
        said = file.read_text("utf-8", "replace")
        assert "Traceback" not in said, f"{file.name} has what a library says of a failure"
        assert all(map(json.loads, re.findall(r"^\{.*", said, re.M))) and "{" in said


@contextmanager
def grows(file: Path) -> Iterator[None]:
    """What is done writes something in a log."""
    before = file.stat().st_size
    yield
    until(lambda: file.stat().st_size > before, f"a line in {file.name}")

"""What `docs/exploitation.md` says to do, done for real: back up, lose everything, restore; put a former model back."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from sqlalchemy.engine import Engine

from actions.references import engine
from scripts import models, run, sauvegarde, train
from scripts.faults import Fault
from scripts.run import ROOT
from tests.conftest import Guide, free_port, running
from tests.staff import Visitor
from tests.test_database import ANOTHER, OURS, add_event, base, everything, fill, records
from web.records import Records
from web.tables import now

__all__ = ["base", "records"]  # Fixtures, on each kind of database.

RUNBOOK = (ROOT / "docs" / "exploitation.md").read_text("utf-8")


@contextmanager
def found_by_commands(database: str, home: Path) -> Iterator[None]:
    """Commands find this database, and keep secrets and backups in `home`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database)
        patch.setenv("BON_MOMENT_SAUVEGARDES", str(home / "sauvegardes"))
        patch.setattr(run, "SECRETS", home / "secrets.env")
        for name in ("BON_MOMENT_PORT", "RASA_PORT", "ACTIONS_PORT"):
            patch.setenv(name, free_port())
        yield


@pytest.fixture
def home(tmp_path: Path, database: str) -> Iterator[Path]:
    with found_by_commands(database, tmp_path):
        yield tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `make sauvegarde`, `make sauvegardes` or `make restaurer`."""
    monkeypatch.setattr("sys.argv", ["sauvegarde", *words])
    return sauvegarde.main()


def the_backup(home: Path) -> Path:
    """The only backup."""
    (found,) = sauvegarde.backups(home / "sauvegardes")
    return found


def destroy(database: str) -> None:
    """Lose the database: SQLite's file is rubbish, PostgreSQL has lost its tables and has got another."""
    if database.startswith("sqlite"):
        Path(database.removeprefix("sqlite:///")).write_bytes(b"rubbish" * 999)
        return
    tables = MetaData()
    tables.reflect(lost := engine(database))
    tables.drop_all(lost)
    with lost.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE intruse (id integer)")


# ── the database ──


def test_what_was_backed_up_while_somebody_talked_comes_back_to_the_row(
    home: Path, base: Engine, records: Records, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(base, OURS, now())
    before = everything(base)
    records.open(ANOTHER)
    over, talks = threading.Event(), threading.Event()

    def talk() -> None:
        while not over.wait(0.01):
            with base.begin() as connection:
                add_event(connection, ANOTHER, now())
            talks.set()

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        assert talks.wait(60)
        assert command(monkeypatch, "faire") == 0
    finally:
        over.set()
        talking.join()
    assert command(monkeypatch, "lister") == 0
    said = len(everything(base)["events"])
    destroy(database)
    assert command(monkeypatch, "restaurer", "--oui") == 0
    after = everything(base)
    for name, rows in before.items():
        assert [row for row in after[name] if ANOTHER not in row.values()] == rows
    assert "intruse" not in after and 1 < len(after["events"]) <= said
    assert records.is_open(ANOTHER)
    records.open("web-encore")  # It is in use again.


def test_a_backup_is_for_its_owner_alone_and_the_old_ones_go(
    home: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.configuration()  # Makes the secrets.
    for days in (13, 15):
        old = home / "sauvegardes" / f"{datetime.now() - timedelta(days=days):{sauvegarde.NAME}}"
        old.mkdir(parents=True)
    (home / "sauvegardes" / "notes").mkdir()
    assert command(monkeypatch, "faire") == 0
    newest, recent = sauvegarde.backups(home / "sauvegardes")
    assert recent != old and not old.exists() and (home / "sauvegardes" / "notes").exists()
    assert newest.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in newest.iterdir()} == {0o600}
    assert (newest / "secrets.env").read_text() == run.SECRETS.read_text()


def test_secrets_come_back_where_there_are_none_only(
    home: Path, records: Records, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run.configuration()
    kept = run.SECRETS.read_text()
    assert command(monkeypatch, "faire") == 0
    run.SECRETS.unlink()
    assert command(monkeypatch, "lister") == command(monkeypatch, "restaurer", "--oui") == 0
    assert run.SECRETS.read_text() == kept and run.SECRETS.stat().st_mode & 0o777 == 0o600
    run.SECRETS.write_text(changed := kept.replace("=", "=x"))
    assert command(monkeypatch, "restaurer", "--oui") == 0
    assert run.SECRETS.read_text() == changed
    assert "n’ont pas été remis" in capsys.readouterr().out


def test_what_is_older_than_the_retention_does_not_come_back(
    home: Path, base: Engine, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conversation, days in ((OURS, 20), (ANOTHER, 5)):
        fill(base, conversation, now() - timedelta(days=days))
    assert command(monkeypatch, "faire") == 0
    monkeypatch.setenv("BON_MOMENT_CONSERVATION_JOURS", "10")
    assert command(monkeypatch, "restaurer", "--oui") == 0
    assert records.is_open(ANOTHER) and not records.is_open(OURS)


def test_nothing_is_restored_unasked_nor_under_a_running_guide_nor_from_a_broken_backup(
    home: Path, base: Engine, records: Records, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Fault, match="Aucune sauvegarde"):
        command(monkeypatch, "restaurer", "--oui")
    assert command(monkeypatch, "faire") == 0
    fill(base, OURS, now())
    before = everything(base)
    monkeypatch.setattr("builtins.input", lambda _: "oui")
    with pytest.raises(Fault, match="Rien"):
        command(monkeypatch, "restaurer")
    for file in the_backup(home).glob("base.*"):
        file.write_bytes(file.read_bytes()[:-2000] if file.suffix == ".dump" else b"rubbish" * 999)
    with pytest.raises(Fault, match="Rien n’a été changé"):
        command(monkeypatch, "restaurer", "--oui")
    assert list(home.rglob("*.part")) == [] and len(list((home / "sauvegardes").iterdir())) == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RASA_PORT", str(taken.getsockname()[1]))
        with pytest.raises(Fault, match="arrêtez-le"):
            command(monkeypatch, "restaurer", "--oui")
    assert everything(base) == before


def test_what_a_killed_backup_has_left_goes_with_the_next_and_what_is_under_way_stays(
    home: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (".2026-11-27-030000", f"{sauvegarde.BEING_RESTORED}a1b2", ".2026-11-28-030000", ".a-quelqu-un")
    *left, under_way, another = (home / "sauvegardes" / name for name in names)
    for folder in (*left, under_way, another):
        folder.mkdir(parents=True)
        (folder / "base.sqlite").write_text("des paroles")
    yesterday = (datetime.now() - timedelta(days=1)).timestamp()
    for folder in (*left, another):
        os.utime(folder, (yesterday, yesterday))
    assert command(monkeypatch, "faire") == 0
    assert not any(folder.exists() for folder in left) and under_way.exists() and another.exists()


def test_a_backup_that_is_stopped_leaves_nothing(home: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sauvegarde, "copy_sqlite", stopped)
    monkeypatch.setattr(sauvegarde, "order", stopped)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit):
            command(monkeypatch, "faire")
    finally:
        for number, former in before.items():
            signal.signal(number, former)
    assert list((home / "sauvegardes").iterdir()) == []


# ── the whole guide ──


def converse(guide: Guide) -> Visitor:
    """A conversation that has two answers."""
    visitor = Visitor(guide).arrive()
    visitor.sees("Question 1 sur 9")
    visitor.choose("Pas certifié")
    visitor.choose("Aucune")
    visitor.sees("Question 3 sur 9")
    return visitor


def goes_on(visitor: Visitor, guide: Guide, before: list[str]) -> None:
    """Whoever opens the page again reads the same, and answers the third question."""
    visitor.http.base_url = guide.door
    assert [m["texte"] for m in visitor.messages()] == before
    visitor.choose("Oui")
    visitor.sees("Question 4 sur 9")


@pytest.mark.bot
def test_after_a_lost_machine_the_conversation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backed up under way, stopped, database and secrets destroyed, restored, started again."""
    base = tmp_path / "base"
    base.mkdir()
    database = f"sqlite:///{base / 'test.db'}"
    with found_by_commands(database, tmp_path):
        with running(database, tmp_path / "avant") as guide:
            visitor = converse(guide)
            before = [m["texte"] for m in visitor.messages()]
            assert command(monkeypatch, "faire") == 0
            visitor.choose("Non")  # Said after the backup: lost with the machine.
        shutil.rmtree(base)
        run.SECRETS.unlink()
        assert command(monkeypatch, "restaurer", "--oui") == 0
        with running(database, tmp_path / "apres") as guide:
            goes_on(visitor, guide, before)


@pytest.mark.bot
def test_on_postgresql_the_conversation_goes_on_after_its_tables_were_lost(
    guide_postgres: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = converse(guide_postgres)
    before = [m["texte"] for m in visitor.messages()]
    with found_by_commands(guide_postgres.database, tmp_path):
        assert command(monkeypatch, "faire") == 0
        destroy(guide_postgres.database)
        assert command(monkeypatch, "restaurer", "--oui") == 0  # Its ports are others: it runs all the while.
    goes_on(visitor, guide_postgres, before)


# ── the model ──


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a training only writes down what the source then was; the source's file."""
    source = tmp_path / "donnees.yml"
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(train, "ROOT", tmp_path)
    monkeypatch.setattr(train, "MODEL", tmp_path / "models" / "bon-moment.tar.gz")
    monkeypatch.setattr(train, "STAMP", tmp_path / "models" / "bon-moment.empreinte")
    monkeypatch.setattr(train, "KEPT", tmp_path / "models" / "precedents")
    monkeypatch.setattr(train, "LOG", tmp_path / "var" / "entrainement.log")
    monkeypatch.setattr(train, "sources", lambda: [source])
    monkeypatch.setattr(train, "code_fingerprint", lambda: "0")
    monkeypatch.setattr(models, "can_serve", lambda _: True)
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\ngrep -q faute donnees.yml && exit 1\ngzip -c donnees.yml >models/bon-moment.tar.gz\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    return source


def model(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `make modeles` or `make modele-precedent`."""
    monkeypatch.setattr("sys.argv", ["models", *words])
    return models.main()


def says(source: Path, words: str) -> int:
    """The source changes; then `make run` looks whether to train."""
    source.write_text(f"modele: {words}\n")
    return train.main()


def serves() -> str:
    """What the model that serves was made from."""
    assert train.is_fresh()
    return gzip.decompress(train.MODEL.read_bytes()).decode().removeprefix("modele: ").strip()


def test_a_former_model_serves_again_until_the_data_change(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says(trained, "un") == 0
    assert model(monkeypatch, "--remettre") == 1, "there is none"
    assert says(trained, "deux") == 0 and serves() == "deux"
    assert model(monkeypatch, "--remettre") == 0 and serves() == "un"
    capsys.readouterr()
    assert says(trained, "deux") == 0 and serves() == "un", "the data have not changed since"
    assert "à jour" in capsys.readouterr().out
    assert model(monkeypatch, "--remettre") == 0 and serves() == "deux"
    assert says(trained, "trois") == 0 and serves() == "trois"
    assert model(monkeypatch) == 0
    listed = re.findall(r"^  ([0-9a-f]{8})  .*", capsys.readouterr().out, re.M)
    assert len(set(listed)) == len(listed) == 3
    assert model(monkeypatch, "--remettre", "--nom", listed[-1]) == 0 and serves() in ("un", "deux")


def test_going_back_to_former_data_needs_no_training(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says(trained, "un") == says(trained, "deux") == 0
    monkeypatch.setattr(train, "train", lambda: pytest.fail("it trains"))
    assert says(trained, "un") == 0 and serves() == "un"
    assert "avait été gardé" in capsys.readouterr().out


def test_only_a_few_former_models_are_kept_and_none_that_is_broken(trained: Path) -> None:
    for number in range(train.MOST_KEPT + 3):
        assert says(trained, f"modèle {number}") == 0
    assert len(train.kept()) == train.MOST_KEPT + 1, "the present one too"
    train.MODEL.write_bytes(train.MODEL.read_bytes()[:-5])
    last = f"modèle {train.MOST_KEPT + 2}"
    assert says(trained, last) == 0 and serves() == last
    assert all(map(train.is_whole, train.kept()))


def test_a_training_that_fails_leaves_the_model_that_can_be_put_back(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert says(trained, "un") == 0
    assert says(trained, "faute") == 1
    assert model(monkeypatch, "--remettre") == 0 and serves() == "un"


def test_a_model_that_the_present_code_cannot_read_is_not_put_back(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says(trained, "un") == says(trained, "deux") == 0
    monkeypatch.setattr(models, "can_serve", lambda _: False)
    assert model(monkeypatch, "--remettre") == 1 and serves() == "deux"
    assert "rien n’a changé" in capsys.readouterr().out


def test_what_can_serve_is_what_rasa_loads_here(tmp_path: Path) -> None:
    assert train.is_fresh() or train.train(), "no model could be trained"
    assert models.can_serve(train.MODEL)
    another = tmp_path / "autre.tar.gz"
    with tarfile.open(train.MODEL) as whole, tarfile.open(another, "w:gz", compresslevel=1) as part:
        for member in whole:  # The network as a former release kept it: under another name.
            member.name = member.name.replace(".onnx", ".pb")
            part.addfile(member, whole.extractfile(member) if member.isfile() else None)
    assert not models.can_serve(another)


# ── what the page says ──


def test_every_setting_and_every_command_is_in_the_runbook() -> None:
    sources = [*(ROOT / name for name in ("scripts/run.py", "scripts/sauvegarde.py", "endpoints.yml"))]
    sources += [*(ROOT / "web").glob("*.py"), *(ROOT / "server").glob("*.py")]
    named = r"\b(?:BON_MOMENT_[A-Z_]+[A-Z]|(?:REDIS|DATABASE|RASA|ACTIONS)_(?:URL|PORT|TOKEN|ENDPOINTS))\b"
    settings = {name for file in sources for name in re.findall(named, file.read_text("utf-8"))}
    assert len(settings) > 12
    assert {name for name in settings if f"`{name}`" not in RUNBOOK} == set()
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.M)
    told = set(re.findall(r"make (?:-C \S+ )?([a-z]+(?:-[a-z]+)*)", RUNBOOK))
    assert told <= set(targets)
    assert told >= {"run", "compte", "purge", "export", "effacer", "sauvegarde", "restaurer", "modele-precedent"}


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy" / "systemd").iterdir()), ids=lambda unit: unit.name)
def test_the_units_of_systemd_are_right(unit: Path, tmp_path: Path) -> None:
    """Read by systemd itself where it is there; what they name exists in any case."""
    text = unit.read_text("utf-8")
    assert set(re.findall(r"python -m ([\w.]+)", text)) <= {"scripts.run", "scripts.sauvegarde"}
    program = shutil.which("systemd-analyze")
    if program:
        here = text.replace("/opt/bon-moment", str(ROOT)).replace("User=bon-moment\n", "")
        (tmp_path / unit.name).write_text(here)
        for other in unit.parent.iterdir():
            (tmp_path / other.name).write_text(other.read_text("utf-8").replace("/opt/bon-moment", str(ROOT)))
        done = subprocess.run([program, "verify", str(tmp_path / unit.name)], capture_output=True, text=True)
        assert [line for line in done.stderr.splitlines() if "bon-moment" in line] == []


def test_logs_are_turned_over_while_they_are_written_and_kept_for_two_weeks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By logrotate itself where it is there; the logs are those of the services in any case."""
    monkeypatch.setattr(run, "SECRETS", tmp_path / "secrets.env")
    text = (ROOT / "deploy" / "logrotate.conf").read_text("utf-8")
    logs = [run.LOGS / f"{service.name}.log" for service in run.services(run.configuration({}))]
    assert set(re.findall(r"^/opt/bon-moment/(\S+)", text, re.M)) == {str(log.relative_to(ROOT)) for log in logs}
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        return
    here = text.replace("/opt/bon-moment/var/journaux", str(tmp_path))
    (tmp_path / "conf").write_text(re.sub(r"^ *su .*\n", "", here, flags=re.M))
    (tmp_path / "conf").chmod(0o644)
    with (tmp_path / "porte.log").open("ab", buffering=0) as log:
        for day in range(20):
            log.write(f"jour {day}\n".encode())
            command = [program, "--force", "--state", str(tmp_path / "etat"), str(tmp_path / "conf")]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        log.write(b"aujourd'hui\n")
    assert (tmp_path / "porte.log").read_text() == "aujourd'hui\n"
    kept = [(tmp_path / f"porte.log.{number}").read_text() for number in range(1, 15)]
    assert kept == [f"jour {day}\n" for day in reversed(range(6, 20))]
    assert not (tmp_path / "porte.log.15").exists()

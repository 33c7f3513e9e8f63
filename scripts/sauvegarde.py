"""Back up what cannot be made again, the database and the secrets, while everything runs (`make sauvegarde`); put it
back (`make restaurer`).

One folder a backup, in `var/sauvegardes/` unless `BON_MOMENT_SAUVEGARDES` names another: `base.sqlite`, or `base.dump`
made by `pg_dump`, and `secrets.env`. It holds personal data: those of more than `BON_MOMENT_SAUVEGARDES_JOURS` days are
removed whenever one is made.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from scripts import faults, run
from scripts.faults import Fault
from scripts.texts import say, sentence
from web.records import Records
from web.settings import LONGEST_DAYS, Settings, positive
from web.tables import ZONE

NAME = "%Y-%m-%d-%H%M%S"
"""A backup's name: when it was made. While it is being made, a dot stands before it."""
BEING_RESTORED = ".restauration-"
"""How the name of a folder begins that is used while a backup is put back."""
UNFINISHED = timedelta(hours=6)
"""After so long, nobody is still making it, nor putting it back."""
KEPT_DAYS = "14"
SQLITE, DUMP, SECRETS = "base.sqlite", "base.dump", "secrets.env"


def folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where the backups are."""
    return run.ROOT / (env.get("BON_MOMENT_SAUVEGARDES") or "var/sauvegardes")


def days(env: Mapping[str, str] = os.environ) -> timedelta:
    """For how long a backup is kept.

    Raises:
        ValueError: the setting is no number above zero.
    """
    return timedelta(days=positive(env, "BON_MOMENT_SAUVEGARDES_JOURS", KEPT_DAYS, LONGEST_DAYS))


def made_at(backup: Path) -> datetime | None:
    """When a backup was made; None for what is none."""
    try:
        return datetime.strptime(backup.name, NAME).replace(tzinfo=ZONE)
    except ValueError:
        return None


def backups(where: Path) -> list[Path]:
    """The backups, the newest first."""
    return sorted((found for found in where.glob("*") if made_at(found)), reverse=True)


def clear(where: Path) -> None:
    """Remove what a backup or a restore that was killed has left; what else is in the folder is no matter of ours."""
    for left in filter(Path.is_dir, where.glob(".*")):
        ours = made_at(left.with_name(left.name[1:])) or left.name.startswith(BEING_RESTORED)
        if ours and datetime.fromtimestamp(left.stat().st_mtime, ZONE) < datetime.now(ZONE) - UNFINISHED:
            shutil.rmtree(left)


def say_what_remains() -> None:
    """Say until when the backups still have what was just erased, if any has."""
    found = backups(folder())
    if found and (made := made_at(found[0])):
        until = made + days()
        say("sauvegarde_reste", nombre=str(len(found)), dossier=str(folder()), jour=f"{until:%d/%m/%Y}")


# ── making one ──


def back_up(env: Mapping[str, str]) -> Path:
    """Make a backup, whatever runs; forget those that are too old. Returns its folder.

    Raises:
        Fault: it could not be made whole; nothing of it is left.
    """
    where = folder(env)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    clear(where)
    made = datetime.now(ZONE)
    part = where / f".{made:{NAME}}"
    part.mkdir(mode=0o700)
    try:
        url = address(env)
        if url.get_backend_name() == "sqlite":
            copy_sqlite(run.ROOT / (url.database or ""), part / SQLITE)
        else:
            command = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={part / DUMP}"]
            order(command, url)
        if run.SECRETS.exists():
            shutil.copyfile(run.SECRETS, part / SECRETS)
        for file in part.iterdir():
            file.chmod(0o600)
        whole = part.rename(where / f"{made:{NAME}}")
    except BaseException:
        shutil.rmtree(part)
        raise
    for old in backups(where):
        if (date := made_at(old)) and date < made - days(env):
            shutil.rmtree(old)
    return whole


def copy_sqlite(file: Path, to: Path) -> None:
    """A copy of a database, whole whoever writes in it meanwhile.

    Raises:
        Fault: the database cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base, closing(sqlite3.connect(to)) as copy:
            base.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # One file, that can be read from wherever.
            if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
    except sqlite3.Error as error:
        raise Fault("sauvegarde_illisible", fichier=str(file), cause=str(error)) from error


def address(env: Mapping[str, str]) -> URL:
    """Where the database is.

    Raises:
        Fault: the address is none.
    """
    try:
        return make_url(env["DATABASE_URL"])
    except ArgumentError:
        raise Fault("base_illisible") from None


def order(command: list[str], url: URL | None = None) -> None:
    """Run one of PostgreSQL's programs, on the database at `url`.

    Raises:
        Fault: it is not there, or does not succeed.
    """
    env = dict(os.environ)
    if url is not None:
        env["PGPASSWORD"] = url.password or ""  # On the command line it would be seen among the processes.
        plain = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
        command = [*command, f"--dbname={plain}"]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    except FileNotFoundError:
        raise Fault("sauvegarde_sans_programme", programme=command[0]) from None
    if done.returncode:
        cause = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise Fault("sauvegarde_echec", programme=command[0], cause=cause)


# ── putting one back ──


def restore(env: Mapping[str, str], backup: Path) -> None:
    """Let the database be as it was when `backup` was made, all or nothing; nothing may run. What is older than the
    retention is erased again. The secrets are put back only where there are none.

    Raises:
        Fault: the backup cannot be read, or the database does not take it.
    """
    clear(backup.parent)
    url = address(env)
    kind = SQLITE if url.get_backend_name() == "sqlite" else DUMP
    if not (backup / kind).exists():
        raise Fault("restaurer_pas_ici", sauvegarde=str(backup), fichier=kind)
    if kind == SQLITE:
        restore_sqlite(backup / SQLITE, run.ROOT / (url.database or ""))
    else:
        restore_postgresql(backup / DUMP, url)
    if (secrets := backup / SECRETS).exists():
        if not run.SECRETS.exists():
            run.SECRETS.parent.mkdir(parents=True, exist_ok=True)
            run.SECRETS.touch(mode=0o600)
            run.SECRETS.write_bytes(secrets.read_bytes())
        elif run.SECRETS.read_bytes() != secrets.read_bytes():
            say("restaurer_secrets", sauvegarde=str(secrets), fichier=str(run.SECRETS))
    settings = Settings.from_environment(run.configuration(env))
    Records(settings.database_url).purge(settings.retention_days, settings.contact_days)


def restore_sqlite(backup: Path, file: Path) -> None:
    """Put a database in the place of what is there, readable or not."""
    part = file.with_name(file.name + ".part")
    file.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        copy_sqlite(backup, part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    for beside_it in ("-wal", "-shm", "-journal"):  # They belong to what is replaced.
        file.with_name(file.name + beside_it).unlink(missing_ok=True)
    part.replace(file)


def restore_postgresql(backup: Path, url: URL) -> None:
    """Put the tables of a backup in the place of all that are there, in one transaction."""
    with tempfile.TemporaryDirectory(prefix=BEING_RESTORED, dir=backup.parent) as home:
        drop, script = (Path(home) / name for name in ("drop.sql", "restore.sql"))
        order(["pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(backup)])
        drop.write_text("".join(f'DROP TABLE IF EXISTS "{name}" CASCADE;\n' for name in tables(url)))
        options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        order(["psql", *options, f"--file={drop}", f"--file={script}"], url)


def tables(url: URL) -> list[str]:
    """The tables of a PostgreSQL database."""
    try:
        found: list[str] = inspect(create_engine(url, poolclass=NullPool)).get_table_names()
    except SQLAlchemyError as error:
        raise Fault("base_absente") from error
    return found


def environment() -> dict[str, str]:
    """That of the services, without leaving new secrets in the place of those that a backup brings."""
    known = run.SECRETS.exists()
    env = run.configuration()
    if not known:
        run.SECRETS.unlink()
    return env


def choose(where: Path, name: str) -> Path:
    """The backup of this name, or the newest.

    Raises:
        Fault: there is none.
    """
    chosen = where / name if name else next(iter(backups(where)), where / "?")
    if not chosen.is_dir():
        raise Fault("restaurer_aucune", dossier=str(where))
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["faire", "lister", "restaurer"])
    parser.add_argument("--nom", default="", help="the backup to put back; the newest else")
    parser.add_argument("--oui", action="store_true", help="do not ask")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # Stopped, or its terminal gone: nothing half done is left.
        signal.signal(number, lambda *_: sys.exit(1))
    env = environment()
    where = folder(env)
    if options.action == "faire":
        say("sauvegarde_faite", dossier=str(back_up(env)))
    elif options.action == "lister":
        for backup in backups(where):
            size = sum(file.stat().st_size for file in backup.iterdir())
            say("sauvegarde_ligne", nom=backup.name, mo=f"{size / 1e6:.1f}")
    else:
        backup = choose(where, options.nom)
        try:
            faults.check_ports(env)
        except Fault:
            raise Fault("restaurer_en_marche") from None
        say("restaurer_annonce", sauvegarde=backup.name)
        if not options.oui and input(sentence("restaurer_sur")).strip() != sentence("restaurer_mot"):
            raise Fault("personne_rien")
        restore(env, backup)
        say("restaurer_fait", sauvegarde=backup.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What would keep the guide from starting, found before anything starts: a sentence that names the file or the variable
and says what to do. Knows no service.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

from scripts.texts import sentence
from web.settings import Settings, origins

ROOT = Path(__file__).resolve().parent.parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NEEDED = {
    "config.yml": ("pipeline", "policies"),
    "domain.yml": ("intents", "slots", "responses"),
    "endpoints.yml": ("action_endpoint", "tracker_store"),
}
"""What a file has to hold: without it Rasa starts, and goes wrong later."""
PORTS = ("ACTIONS_PORT", "RASA_PORT", "BON_MOMENT_PORT")
PATIENCE = 5
"""Seconds that a database, or Redis, has to answer."""


class Fault(SystemExit):
    """Something to put right before the guide can start. Uncaught, it ends the command: the sentence, and status 1."""

    def __init__(self, name: str, **values: str) -> None:
        super().__init__(sentence(name, **values))


def check(env: Mapping[str, str], with_door: bool = True) -> None:
    """Look at all that the services will read and use.

    Raises:
        Fault: the first thing that is wrong.
    """
    endpoints = ROOT / env.get("RASA_ENDPOINTS", "endpoints.yml")
    readable([ROOT / "config.yml", ROOT / "domain.yml", endpoints, ROOT / "credentials.yml"])
    readable(ROOT / "web" / f"{name}.yml" for name in ("messages", "console", "atelier", "epellation"))
    check_settings(env)
    check_ports(env, with_door)
    check_database(env["DATABASE_URL"])
    check_redis(env.get("REDIS_URL", ""))


def check_account(folder: Path) -> None:
    """Let nobody else into the folder of what is kept; nothing to do where there is none yet.

    Raises:
        Fault: it is another account's, and we are root: what we would write in it, its owner could not change.
    """
    if not folder.is_dir():
        return
    owner = folder.stat().st_uid
    if os.geteuid() == owner:
        folder.chmod(0o700)
    elif os.geteuid() == 0:
        raise Fault("autre_compte", dossier=str(folder), compte=account_name(owner))


def account_name(number: int) -> str:
    """The name of an account of this machine, or its number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def readable(files: Iterable[Path]) -> None:
    """Read YAML files.

    Raises:
        Fault: one is missing, is no YAML, or lacks what it has to hold.
    """
    for file in files:
        name = os.path.relpath(file, ROOT)
        try:
            found = yaml.load(file.read_text("utf-8"), LOADER)  # noqa: S506 - a safe loader, in C where there is one.
        except OSError:
            raise Fault("fichier_absent", fichier=name) from None
        except UnicodeDecodeError:
            raise Fault("fichier_pas_texte", fichier=name) from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            line = str(mark.line + 1) if mark else "?"
            raise Fault("fichier_illisible", fichier=name, ligne=line) from None
        if not isinstance(found, dict):
            raise Fault("fichier_pas_yaml", fichier=name)
        for part in NEEDED.get(file.name, ()):
            if not found.get(part):
                raise Fault("fichier_incomplet", fichier=name, partie=part)


def read_secrets(file: Path) -> dict[str, str]:
    """The secrets that `file` keeps, by their names; none where there is no file.

    Raises:
        Fault: it cannot be read.
    """
    name = os.path.relpath(file, ROOT)
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise Fault("secrets_illisibles", fichier=name, ligne="?") from None
    found = {}
    for number, line in enumerate(lines, 1):
        variable, _, value = line.strip().partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not value or not variable.isidentifier():
            raise Fault("secrets_illisibles", fichier=name, ligne=str(number))
        found[variable] = value
    return found


class _Watched(dict[str, str]):
    """An environment that knows which variable was read last."""

    last = ""

    def __getitem__(self, name: str) -> str:
        self.last = name
        return super().__getitem__(name)

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.last = name
        return super().get(name, default)


def check_settings(env: Mapping[str, str]) -> None:
    """Read the variables as the services do.

    Raises:
        Fault: one has a value that is none.
    """
    try:
        origins(env.get("BON_MOMENT_ORIGINES", ""))
    except ValueError as error:
        raise Fault("origine_illisible", origine=str(error)) from None
    watched = _Watched(env)
    try:
        Settings.from_environment(watched)
        ZoneInfo(watched.get("BON_MOMENT_FUSEAU", "Europe/Paris"))
        date.fromisoformat(watched.get("BON_MOMENT_DATE") or "2026-11-23")
    except (ValueError, LookupError, OSError):
        raise Fault("reglage_illisible", variable=watched.last, valeur=env.get(watched.last, "")) from None


def check_ports(env: Mapping[str, str], with_door: bool = True) -> None:
    """Whether the services can listen where they are to.

    Raises:
        Fault: a port is none, is named twice, is held by another program, or the address is not of this machine.
    """
    taken: dict[str, str] = {}
    for variable in PORTS if with_door else PORTS[:2]:
        port = env[variable]
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise Fault("port_illisible", variable=variable, valeur=port)
        if other := taken.get(port):
            raise Fault("port_double", variable=variable, autre=other, port=port)
        taken[port] = variable
        host = env["BON_MOMENT_HOTE"] if variable == "BON_MOMENT_PORT" else "127.0.0.1"
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except (OSError, UnicodeError) as error:
            number = getattr(error, "errno", None)
            if number == errno.EADDRINUSE:
                raise Fault("port_occupe", port=port, variable=variable) from None
            if number == errno.EACCES:
                raise Fault("port_reserve", port=port, variable=variable) from None
            raise Fault("hote_inconnu", hote=host) from None


def check_database(url: str) -> None:
    """Open the database. Its address is never shown: it may hold a password.

    Raises:
        Fault: the address is none, or nothing that can be used is there.
    """
    if url.startswith("sqlite"):
        check_file(url.partition(":///")[2].partition("?")[0])
        return
    # Only here: these libraries take long to load, and most machines need none of them.
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        engine = create_engine(url, connect_args={"connect_timeout": PATIENCE}, poolclass=NullPool, future=True)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
        raise Fault("base_illisible") from None
    try:
        engine.connect().close()
    except (SQLAlchemyError, UnicodeError):
        raise Fault("base_absente") from None


def check_file(path: str) -> None:
    """Open the SQLite database at `path`, made where there is none.

    Raises:
        Fault: there is no path, no folder that can be written to, or the file is no database.
    """
    if not path or path == ":memory:":  # The services would each have their own.
        raise Fault("base_illisible")
    file = ROOT / path
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK | os.X_OK):
        raise Fault("base_dossier", dossier=str(file.parent))
    try:
        with contextlib.closing(sqlite3.connect(file)) as base:
            base.execute("PRAGMA schema_version")
    except sqlite3.Error:
        raise Fault("base_abimee", fichier=str(file)) from None


def check_redis(url: str) -> None:
    """Reach Redis, where one is named.

    Raises:
        Fault: the address is none, or nothing answers.
    """
    if not url:
        return
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE) as client:
            client.ping()
    except (ValueError, RedisError, OSError):
        raise Fault("redis_absent") from None

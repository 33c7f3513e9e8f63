"""The guide as several machines hold it, on this one (`make topologie`): nginx, then several doors; behind them several
Rasa, then several action servers; one PostgreSQL and one Redis for all. nginx reads the files of `deploy/nginx/`, as
does `deploy/compose.yml`.

It is for a trial, for tests and for measures: what it keeps is erased when it stops.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from string import Template
from typing import Any

import redis
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from scripts import run, train
from scripts.run import ROOT, Service, Supervisor, configuration, services, tell
from scripts.texts import say, sentence

NGINX = ROOT / "deploy" / "nginx"
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Where programs are looked for: Debian's nginx is not in everyone's path."""
KINDS = {"actions": "ACTIONS_PORT", "rasa": "RASA_PORT", "porte": "BON_MOMENT_PORT"}
"""The processes of the guide, in the order of `services`, and the variable that says where each listens."""
LOG = "topologie"
"""Where PostgreSQL, Redis and nginx write, among the logs of the guide."""
PATIENCE = 60.0
"""Seconds that PostgreSQL, Redis or nginx may take to answer, or to stop."""
CLUSTER = """
exec 2>>journal
access="--username=bon_moment --pwfile=secret --auth=scram-sha-256"
if initdb --pgdata=base $access --encoding=UTF8 --no-locale --no-sync >&2 &&
    pg_ctl --pgdata=base --log=journal --wait --options="$1" start >&2
then echo started; else echo failed; fi
cat
pg_ctl --pgdata=base --mode=immediate --wait stop >&2
cd / && rm -rf "$OLDPWD"
"""
"""Makes and starts a server in the present folder; stops it and removes the folder once its caller hangs up or dies."""


def program(name: str) -> str | None:
    """The path of a program; None where it is not installed."""
    return shutil.which(name, path=PATH)


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest where Debian puts several; None on a machine without."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = (initdb.parent for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def missing() -> list[str]:
    """The Debian packages that are still to be installed."""
    found = {"nginx": program("nginx"), "postgresql": postgres_programs(), "redis-server": program("redis-server")}
    return [package for package, path in found.items() if path is None]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def owner() -> dict[str, Any]:
    """Who runs the three programs, for `subprocess.Popen`: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    other = accounts.get("postgres") or accounts["nobody"]
    return {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}


def give(folder: Path) -> None:
    """Let the owner of the programs have a folder and all that is in it."""
    if other := owner():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, other["user"], other["group"])


@contextmanager
def postgresql(**settings: str) -> Iterator[str]:
    """A PostgreSQL of one's own, erased afterwards: its URL, without any database. `settings` are PostgreSQL's.

    Raises:
        RuntimeError: it does not start; what it said follows.
    """
    home = Path(tempfile.mkdtemp(prefix="bon-moment-"))
    password, port = token_hex(16), free_port()
    (home / "secret").write_text(password)
    give(home)
    settings |= {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": str(home)}
    options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", CLUSTER, "cluster", options],
        cwd=home,
        env={"PATH": f"{postgres_programs()}:{os.defpath}", "LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for its caller, who then hangs up.
        **owner(),
    )
    try:
        assert keeper.stdout is not None
        if keeper.stdout.readline() != "started\n":
            raise RuntimeError((home / "journal").read_text())
        yield f"postgresql://bon_moment:{password}@127.0.0.1:{port}"
    finally:
        keeper.communicate(timeout=60)


def nginx(folder: Path, marks: Mapping[str, str], public: str = "http") -> list[str]:
    """Write nginx's configuration into a new `folder`: the command that runs it.

    `marks` fill the files of `deploy/nginx/`; `public` is the one that opens the public port, `http` or `https`.
    """
    (folder / "conf.d").mkdir(parents=True)
    for name in ("nginx.conf", "porte.conf"):
        shutil.copy(NGINX / name, folder)
    for name in ("bon-moment.conf", f"{public}.conf"):
        # nginx has marks of its own, which stay.
        text = Template((NGINX / f"{name}.template").read_text("utf-8")).safe_substitute(marks)
        (folder / "conf.d" / name).write_text(text, "utf-8")
    return [program("nginx") or "nginx", "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf", "-g", "daemon off;"]


class Topology:
    """All of it. `counts` says how many of each kind (`KINDS`), `port` where nginx listens; `env` is as for `make run`.

    The processes of the guide are those of `supervisor`: `actions-1`, `rasa-1`, `porte-1`, and so on.
    """

    def __init__(self, port: str, counts: Mapping[str, int], env: Mapping[str, str] = os.environ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bon-moment-"))
        self.port = port
        self.ports = {kind: [free_port() for _ in range(counts[kind])] for kind in KINDS}
        own = {name: free_port() for name in ("postgresql", "redis", "rasas", "actions")}
        password = token_hex(16)
        local = {
            "DATABASE_URL": f"postgresql://bon_moment:{password}@127.0.0.1:{own['postgresql']}/postgres",
            "REDIS_URL": f"redis://:{password}@127.0.0.1:{own['redis']}/0",
            "RASA_ENDPOINTS": "deploy/endpoints.yml",
            "BON_MOMENT_HOTE": "127.0.0.1",
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
        }
        self.env = configuration({**env, **local})
        # The defaults are for one of each: here nginx stands between.
        self.env["RASA_URL"] = f"http://127.0.0.1:{own['rasas']}"
        self.env["ACTIONS_URL"] = f"http://127.0.0.1:{own['actions']}/webhook"
        self.supervisor = Supervisor(self.env)
        self.supervisor.services = [self._service(kind, at) for kind in KINDS for at in range(counts[kind])]
        marks = {
            "REQUETES_PAR_SECONDE": "20",
            "MANDATAIRE": "unix:",
            "ECOUTE_HTTP": f"{env.get('BON_MOMENT_HOTE', '127.0.0.1')}:{port}",
            "ECOUTE_RASAS": f"127.0.0.1:{own['rasas']}",
            "ECOUTE_ACTIONS": f"127.0.0.1:{own['actions']}",
            "PORTES": self._listed("porte"),
            "RASAS": self._listed("rasa"),
            "ACTIONS": self._listed("actions"),
        }
        postgres = [str((postgres_programs() or Path()) / "postgres"), "-D", "base", "-k", str(self.folder)]
        postgres += ["-p", own["postgresql"], "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        cache = [program("redis-server") or "redis-server", "--bind", "127.0.0.1", "--port", own["redis"]]
        cache += ["--requirepass", password, "--save", ""]
        self._commands = {"postgresql": postgres, "redis": cache, "nginx": nginx(self.folder / "nginx", marks)}
        (self.folder / "secret").write_text(password)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def _service(self, kind: str, at: int) -> Service:
        """A process of the guide as `make run` starts it, on a port of its own."""
        own = {KINDS[kind]: self.ports[kind][at]}
        # `services` asks after Rasa at `RASA_URL`, which here is nginx's.
        one = services({**self.env, **own, "RASA_URL": self.address(kind, at)})[list(KINDS).index(kind)]
        given = [f"{variable}={value}" for variable, value in own.items()]
        return Service(f"{kind}-{at + 1}", ["env", *given, *one.command], one.ready)

    def _listed(self, kind: str) -> str:
        """The processes of a kind, for nginx."""
        return " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in self.ports[kind])

    def address(self, kind: str, at: int) -> str:
        """Where a process of the guide answers, the first of its kind being 0."""
        return f"http://127.0.0.1:{self.ports[kind][at]}"

    def start(self) -> str | None:
        """Start everything and wait until all answers. Returns the sentence that says what failed, if any."""
        give(self.folder)
        made = [str((postgres_programs() or Path()) / "initdb"), "--pgdata=base", "--username=bon_moment"]
        made += ["--pwfile=secret", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
        self._run(made).wait()
        for name in self._commands:
            if not self.begin(name):
                return sentence("arret_service", service=name, journal=run.log_of(LOG))
        return self.supervisor.start()

    def begin(self, name: str) -> bool:
        """Start PostgreSQL, Redis or nginx. Whether it answers."""
        self._running[name] = self._run(self._commands[name])
        limit = time.monotonic() + PATIENCE
        while self._running[name].poll() is None and time.monotonic() < limit:
            if self._answers(name):
                return True
            time.sleep(0.1)
        return False

    def end(self, name: str, how: int = signal.SIGTERM) -> None:
        """Stop PostgreSQL, Redis or nginx."""
        process = self._running.pop(name)
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Stop everything, and erase what was kept."""
        self.supervisor.stop()
        for name in reversed(list(self._running)):
            # Without waiting for who still listens.
            self.end(name, signal.SIGQUIT if name == "postgresql" else signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        env = {"PATH": PATH, "LC_ALL": "C", "HOME": str(self.folder)}
        run.LOGS.mkdir(parents=True, exist_ok=True)
        with (run.LOGS / f"{LOG}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **owner(),
            )

    def _answers(self, name: str) -> bool:
        checks: dict[str, Callable[[], object]] = {
            "postgresql": lambda: create_engine(self.env["DATABASE_URL"], poolclass=NullPool).connect().close(),
            "redis": lambda: redis.Redis.from_url(self.env["REDIS_URL"]).ping(),
            "nginx": lambda: socket.create_connection(("127.0.0.1", int(self.port)), 1).close(),
        }
        try:
            checks[name]()
        except (SQLAlchemyError, redis.RedisError, OSError):
            return False
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=2, metavar="N")
    options = parser.parse_args()
    if absent := missing():
        say("topologie_manque", paquets=" ".join(absent))
        return 1
    if train.main() != 0:
        return 1
    port = os.environ.get("BON_MOMENT_PORT", "8080")
    topology = Topology(port, vars(options))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: topology.supervisor.stopping.set())
    say("demarrage")
    try:
        failure = topology.start()
        if failure is None and not topology.supervisor.stopping.is_set():
            say("topologie", page=f"http://localhost:{port}/", **{kind: str(n) for kind, n in vars(options).items()})
            failure = topology.supervisor.watch()
    finally:
        tell("arret")
        topology.stop()
    with suppress(OSError):
        print(failure or sentence("arrete"), flush=True)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())

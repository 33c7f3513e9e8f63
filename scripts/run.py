"""Start everything a visitor needs, print the addresses, and stop it all on Ctrl-C.

Three processes: the action server and Rasa on loopback, the door for the public. Their output goes to `var/journaux/`.
One that dies, or no longer answers, is started again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts import faults, train
from scripts.terminal import talk
from scripts.texts import say, sentence
from web.network import is_loopback, local_addresses

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "var" / "journaux"
SECRETS = ROOT / "var" / "secrets.env"
WORKSHOP = {
    "BON_MOMENT_ATELIER": "ouvert",
    "BON_MOMENT_HOTE": "0.0.0.0",  # noqa: S104 - the room has to reach it.
    "DATABASE_URL": f"sqlite:///{ROOT / 'var' / 'atelier.db'}",
    "BON_MOMENT_MESSAGES_PAR_MINUTE": "3000",  # A whole room may come by one address.
}
"""What a workshop changes: open to the room, without an account on this machine, in a database of its own."""

READY_TIMEOUT = 240.0
"""Seconds that a service may take to answer: a slow laptop loads the language model in more than a minute."""

STOP_TIMEOUT = 10.0
"""Seconds that the services have to stop by themselves."""

PAUSES = (0.0, 1.0, 5.0, 20.0, 60.0)
"""Seconds before a dead service is started again: after one death, two in a row, and so on; then it is given up."""

STEADY = 60.0
"""Seconds of answering after which former deaths count no more."""

MUTE = 120.0
"""Seconds without any answer after which a service that still runs is taken for dead."""

LOOK = 0.5
"""Seconds between two looks at the processes; `HEAR`, between two questions to a service that is well."""
HEAR = 10.0
ASK = 10.0
"""Seconds that a service has to answer such a question: the door itself asks the others for five."""


@dataclass(frozen=True)
class Service:
    """A process: its command, and the address that answers once it is ready."""

    name: str
    command: list[str]
    ready: str


def configuration(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the services: what is set stands, the rest gets its default; secrets are made once.

    Raises:
        faults.Fault: the kept secrets cannot be read, or cannot be kept; or what is kept belongs to another account.
    """
    faults.check_account(SECRETS.parent)
    kept = faults.read_secrets(SECRETS)
    known = {**kept, **environ}
    fresh = {name: secrets.token_urlsafe(24) for name in ("RASA_TOKEN", "BON_MOMENT_SECRET") if name not in known}
    if fresh:
        try:
            write_secrets({**kept, **fresh})
        except OSError:
            raise faults.Fault("secrets_pas_ecrits", fichier=os.path.relpath(SECRETS, ROOT)) from None
    env = {**known, **fresh}
    env.setdefault("BON_MOMENT_HOTE", "127.0.0.1")
    env.setdefault("BON_MOMENT_PORT", "8080")
    env.setdefault("RASA_PORT", "5005")
    env.setdefault("ACTIONS_PORT", "5055")
    env.setdefault("REDIS_URL", "")
    env.setdefault("RASA_ENDPOINTS", "endpoints.yml")
    env.setdefault("DATABASE_URL", f"sqlite:///{ROOT / 'var' / 'bon_moment.db'}")
    env["ACTIONS_URL"] = f"http://127.0.0.1:{env['ACTIONS_PORT']}/webhook"
    env["RASA_URL"] = f"http://127.0.0.1:{env['RASA_PORT']}"
    env["SANIC_HOST"] = "127.0.0.1"  # The action server would else listen everywhere.
    env["RASA_TELEMETRY_ENABLED"] = "false"
    env["PYTHONPATH"] = str(ROOT)
    env["PYTHONWARNINGS"] = "ignore"
    # One thread each: on a small machine, several only get in each other's way.
    env.update({"OMP_NUM_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"})
    return env


def write_secrets(kept: Mapping[str, str]) -> None:
    """Keep the secrets for this account alone, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder is another's.
    """
    SECRETS.parent.mkdir(mode=0o700, exist_ok=True)
    beside = SECRETS.with_suffix(".tmp")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    beside.replace(SECRETS)


def services(env: Mapping[str, str], with_door: bool = True) -> list[Service]:
    """The processes to start, in order."""
    python = sys.executable
    actions = [python, "-m", "server", "actions", "--actions", "actions", "--port", env["ACTIONS_PORT"]]
    rasa = [python, "-m", "server", "rasa", "run", "--model", str(train.MODEL), "--interface", "127.0.0.1"]
    rasa += ["--port", env["RASA_PORT"], "--endpoints", env["RASA_ENDPOINTS"]]
    rasa += ["--enable-api"]
    door = [python, "-m", "server", "porte"]
    found = [
        Service("actions", actions, f"http://127.0.0.1:{env['ACTIONS_PORT']}/health"),
        Service("rasa", rasa, f"{env['RASA_URL']}/status?token={env['RASA_TOKEN']}"),
    ]
    if with_door:
        found.append(Service("porte", door, f"http://127.0.0.1:{env['BON_MOMENT_PORT']}/health/ready"))
    return found


def status(address: str) -> int | None:
    """The HTTP status that `address` answers; None where it does not answer."""
    try:
        return httpx.get(address, timeout=ASK).status_code
    except httpx.HTTPError:
        return None


def answers(address: str) -> bool:
    """Whether `address` answers 200."""
    return status(address) == 200


def tell(name: str, **values: str) -> None:
    """Print a sentence, unless the terminal is gone."""
    with contextlib.suppress(OSError):
        say(name, **values)


@dataclass
class Running:
    """A service under way. Moments are those of `time.monotonic`, in seconds.

    `ready` is since when it answers well, `heard` when it last answered at all, `due` when it is to be started again.
    """

    service: Service
    process: subprocess.Popen[bytes]
    heard: float
    ready: float | None = None
    deaths: int = 0
    mute: bool = False
    due: float | None = None
    next_look: float = 0.0


class Supervisor:
    """Runs the services together: all ready, or all stopped with one line that says why."""

    def __init__(self, env: Mapping[str, str], with_door: bool = True) -> None:
        self.env = dict(env)
        self.services = services(env, with_door)
        self.stopping = threading.Event()
        self.running: dict[str, Running] = {}
        self._lock = threading.Lock()

    def start(self) -> str | None:
        """Start every service and wait until each answers. Returns the sentence that says what failed, if any."""
        begun = time.monotonic()
        try:
            LOGS.mkdir(parents=True, exist_ok=True)
            for service in self.services:
                if (log := LOGS / f"{service.name}.log").exists():
                    log.replace(log.with_suffix(".precedent.log"))  # It may say why the guide had to start again.
                process = self._launch(service)
                self.running[service.name] = Running(service, process, begun)
        except OSError:
            return sentence("journaux_pas_ecrits", dossier=str(LOGS))
        for service in self.services:
            while not answers(service.ready):
                if self.stopping.wait(0.3):
                    return None
                if dead := self.dead():
                    return sentence("arret_service", service=dead, journal=log_of(dead))
                if time.monotonic() - begun > READY_TIMEOUT:
                    seconds = f"{READY_TIMEOUT:.0f}"
                    return sentence("trop_long", service=service.name, secondes=seconds, journal=log_of(service.name))
            say("demarrage_attente", service=service.name, secondes=f"{time.monotonic() - begun:.0f}")
        for one in self.running.values():
            one.ready = one.heard = time.monotonic()
        return None

    def _launch(self, service: Service) -> subprocess.Popen[bytes]:
        """Start a process, its output added to its log.

        Raises:
            OSError: the log or the process cannot be made.
        """
        with (LOGS / f"{service.name}.log").open("ab") as log:
            return subprocess.Popen(
                service.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def dead(self) -> str | None:
        """The name of a service that has stopped by itself, if any."""
        return next((name for name, one in self.running.items() if one.process.poll() is not None), None)

    def watch(self) -> str | None:
        """Start again what stops by itself, until someone stops us; or the sentence that says what keeps stopping."""
        while not self.stopping.wait(LOOK):
            for one in self.running.values():
                if failure := self._look_after(one):
                    return failure
        return None

    def _look_after(self, one: Running) -> str | None:
        """Start a dead service again when its time has come. Returns the sentence that gives it up, if need be."""
        now = time.monotonic()
        if one.due is not None:
            if now >= one.due:
                self._start_again(one)
        elif (code := one.process.poll()) is not None:
            return self._has_died(one, code)
        elif now >= one.next_look:
            self._hear(one)
        return None

    def _hear(self, one: Running) -> None:
        """Ask a service whether it is well, and end one that has been mute for too long."""
        answer, now = status(one.service.ready), time.monotonic()
        if answer is not None:
            one.heard = now
        if answer == 200 and one.ready is None:
            one.ready = now
            tell("relance_prete", heure=time.strftime("%H:%M:%S"), service=one.service.name)
        if now - one.heard > (READY_TIMEOUT if one.ready is None else MUTE):
            one.mute = True
            one.process.kill()
            one.process.wait()
        one.next_look = now + (LOOK if one.ready is None else HEAR)

    def _has_died(self, one: Running, code: int) -> str | None:
        """Say that a service has died and starts again. Returns the sentence that gives it up, if it does so often."""
        now, name = time.monotonic(), one.service.name
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)  # What it had started may hold its port.
        one.deaths = 1 if one.ready is not None and now - one.ready > STEADY else one.deaths + 1
        if one.deaths > len(PAUSES):
            return sentence("relance_abandon", service=name, nombre=str(one.deaths), journal=log_of(name))
        pause = PAUSES[one.deaths - 1]
        one.due = now + pause
        cause = "cause_muet" if one.mute else "cause_signal" if code < 0 else "cause_code"
        tell(
            "relance_dans" if pause else "relance",
            heure=time.strftime("%H:%M:%S"),
            service=name,
            cause=sentence(cause, nombre=str(abs(code))),
            secondes=f"{pause:.0f}",
            journal=log_of(name),
        )
        return None

    def _start_again(self, one: Running) -> None:
        now = time.monotonic()
        with self._lock:
            if self.stopping.is_set():
                return
            try:
                one.process = self._launch(one.service)
            except OSError:
                one.due = now + PAUSES[-1]  # No memory, or no disk: it is tried again.
                return
        one.heard, one.ready, one.mute, one.due = now, None, False, None

    def stop(self) -> None:
        """Stop everything that was started, gently, then for good; nothing is started any more."""
        self.stopping.set()
        with self._lock:
            processes = [one.process for one in self.running.values()]
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        limit = time.monotonic() + STOP_TIMEOUT
        for process in processes:
            try:
                process.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def log_of(service: str) -> str:
    """The log of a service, as the sentences name it."""
    return f"var/journaux/{service}.log"


def say_how_to_join(page: str, env: Mapping[str, str]) -> None:
    """Print where the trainer leads the workshop, and by what addresses the room can join."""
    say("atelier", atelier=page + "atelier")
    found = [] if is_loopback(env["BON_MOMENT_HOTE"]) else local_addresses()
    for address in found:
        say("atelier_adresse", adresse=f"http://{address}:{env['BON_MOMENT_PORT']}/salle")
    say("atelier_conseil" if found else "atelier_sans_reseau")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--terminal", action="store_true", help="talk in the terminal instead of opening the door")
    parser.add_argument("--atelier", action="store_true", help="open a workshop to the local network")
    options = parser.parse_args()
    env = configuration({**WORKSHOP, **os.environ} if options.atelier else os.environ)
    faults.check(env, with_door=not options.terminal)
    if train.main() != 0:
        return 1
    supervisor = Supervisor(env, with_door=not options.terminal)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    say("demarrage")
    try:
        failure = supervisor.start()
        if failure is None and not supervisor.stopping.is_set():
            if options.terminal:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                threading.Thread(target=supervisor.watch, daemon=True).start()
                talk(env["RASA_URL"])
            else:
                page = f"http://localhost:{env['BON_MOMENT_PORT']}/"
                if options.atelier:
                    say_how_to_join(page, env)  # No more: the room may see this terminal.
                else:
                    say(
                        "adresses",
                        page=page,
                        seul=page + "conversation",
                        console=page + "console",
                        rasa=f"http://localhost:{env['RASA_PORT']}",
                        jeton=env["RASA_TOKEN"],
                    )
                failure = supervisor.watch()
    finally:
        tell("arret")
        supervisor.stop()
    with contextlib.suppress(OSError):
        print(failure or sentence("arrete"), flush=True)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())

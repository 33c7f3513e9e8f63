"""Start everything a visitor needs, print the addresses, and stop it all on Ctrl-C.

Three processes: the action server and Rasa on loopback, the door for the public. Their output goes to `var/journaux/`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts import train
from scripts.terminal import talk
from scripts.texts import say, sentence
from web.network import is_loopback, local_addresses
from web.settings import origins

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "var" / "journaux"
SECRETS = ROOT / "var" / "secrets.env"
WORKSHOP = {
    "BON_MOMENT_ATELIER": "ouvert",
    "BON_MOMENT_HOTE": "0.0.0.0",  # noqa: S104 - the room has to reach it.
    "DATABASE_URL": f"sqlite:///{ROOT / 'var' / 'atelier.db'}",
}
"""What a workshop changes: open to the room, without an account on this machine, in a database of its own."""
READY_TIMEOUT = 240.0
"""Seconds that a service may take to answer: a slow laptop loads the language model in more than a minute."""

STOP_TIMEOUT = 10.0
"""Seconds that the services have to stop by themselves."""


@dataclass(frozen=True)
class Service:
    """A process: its command, and the address that answers once it is ready."""

    name: str
    command: list[str]
    ready: str


def configuration(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the services: what is set stands, the rest gets its default; secrets are made once."""
    known = dict(line.split("=", 1) for line in SECRETS.read_text().splitlines()) if SECRETS.exists() else {}
    fresh = {name: secrets.token_urlsafe(24) for name in ("RASA_TOKEN", "BON_MOMENT_SECRET") if name not in known}
    if fresh:
        SECRETS.parent.mkdir(exist_ok=True)
        SECRETS.touch(mode=0o600)
        SECRETS.write_text("".join(f"{name}={value}\n" for name, value in {**known, **fresh}.items()))
    env = {**known, **fresh, **environ}
    env.setdefault("BON_MOMENT_HOTE", "127.0.0.1")
    env.setdefault("BON_MOMENT_PORT", "8080")
    env.setdefault("RASA_PORT", "5005")
    env.setdefault("ACTIONS_PORT", "5055")
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


def services(env: Mapping[str, str], with_door: bool = True) -> list[Service]:
    """The processes to start, in order."""
    python = sys.executable
    actions = [python, "-m", "rasa_sdk", "--actions", "actions", "--port", env["ACTIONS_PORT"]]
    rasa = [python, "-m", "scripts.rasa_server", "run", "--model", str(train.MODEL), "--interface", "127.0.0.1"]
    rasa += ["--port", env["RASA_PORT"], "--enable-api", "--auth-token", env["RASA_TOKEN"]]
    door = [
        python,
        "-m",
        "uvicorn",
        "web.app:create_app",
        "--factory",
        "--ws",
        "none",
        "--no-access-log",
        "--no-server-header",
    ]
    door += ["--host", env["BON_MOMENT_HOTE"], "--port", env["BON_MOMENT_PORT"], "--timeout-graceful-shutdown", "2"]
    found = [
        Service("actions", actions, f"http://127.0.0.1:{env['ACTIONS_PORT']}/health"),
        Service("rasa", rasa, f"{env['RASA_URL']}/status?token={env['RASA_TOKEN']}"),
    ]
    if with_door:
        found.append(Service("porte", door, f"http://127.0.0.1:{env['BON_MOMENT_PORT']}/sante"))
    return found


def busy_port(env: Mapping[str, str], with_door: bool) -> tuple[str, str] | None:
    """The first port that another program holds, with the variable that changes it."""
    wanted = [("ACTIONS_PORT", "127.0.0.1"), ("RASA_PORT", "127.0.0.1")]
    if with_door:
        wanted.append(("BON_MOMENT_PORT", env["BON_MOMENT_HOTE"]))
    for variable, host in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(env[variable])))
            except OSError:
                return variable, env[variable]
    return None


def answers(address: str) -> bool:
    """Whether `address` answers 200."""
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Supervisor:
    """Runs the services together: all ready, or all stopped with one line that says why."""

    def __init__(self, env: Mapping[str, str], with_door: bool = True) -> None:
        self.env = dict(env)
        self.services = services(env, with_door)
        self.stopping = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> str | None:
        """Start every service and wait until each answers. Returns the sentence that says what failed, if any."""
        LOGS.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        for service in self.services:
            with (LOGS / f"{service.name}.log").open("wb") as log:
                self._processes[service.name] = subprocess.Popen(
                    service.command,
                    cwd=ROOT,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        for service in self.services:
            while not answers(service.ready):
                if self.stopping.wait(0.3):
                    return None
                if dead := self.dead():
                    return sentence("arret_service", service=dead, journal=f"var/journaux/{dead}.log")
                if time.monotonic() - begun > READY_TIMEOUT:
                    seconds, log_name = f"{READY_TIMEOUT:.0f}", f"var/journaux/{service.name}.log"
                    return sentence("trop_long", service=service.name, secondes=seconds, journal=log_name)
            say("demarrage_attente", service=service.name, secondes=f"{time.monotonic() - begun:.0f}")
        return None

    def dead(self) -> str | None:
        """The name of a service that has stopped by itself, if any."""
        return next((name for name, process in self._processes.items() if process.poll() is not None), None)

    def watch(self) -> str | None:
        """Wait until someone stops us, or a service stops by itself: then the sentence that says which."""
        while not self.stopping.wait(0.5):
            if dead := self.dead():
                return sentence("arret_service", service=dead, journal=f"var/journaux/{dead}.log")
        return None

    def stop(self) -> None:
        """Stop everything that was started, gently, then for good."""
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        limit = time.monotonic() + STOP_TIMEOUT
        for process in self._processes.values():
            try:
                process.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


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
    if train.main() != 0:
        return 1
    env = configuration({**WORKSHOP, **os.environ} if options.atelier else os.environ)
    try:
        origins(env.get("BON_MOMENT_ORIGINES", ""))
    except ValueError as error:
        say("origine_illisible", origine=str(error))
        return 1
    if taken := busy_port(env, with_door=not options.terminal):
        say("port_occupe", port=taken[1], variable=taken[0])
        return 1
    supervisor = Supervisor(env, with_door=not options.terminal)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    say("demarrage")
    try:
        failure = supervisor.start()
        if failure is None and not supervisor.stopping.is_set():
            if options.terminal:
                signal.signal(signal.SIGINT, signal.default_int_handler)
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
        say("arret")
        supervisor.stop()
    print(failure or sentence("arrete"), flush=True)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())

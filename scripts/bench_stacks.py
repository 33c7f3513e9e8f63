"""The two assistants that `make bench` measures, each started as its makers start it: ours as `make run` does, the
suggested one by Rasa's own commands, with nothing of ours but texts, rules and actions.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from scripts import train
from scripts.bench_suggested import KEPT, MODEL, write
from scripts.run import Service, answers, configuration, services
from scripts.topology import free_port

TODAY = "2026-11-23"
PATIENCE = 600.0
"""Seconds that an assistant has to answer its first turn."""
REST = "/webhooks/rest/webhook"


@dataclass(frozen=True)
class Stack:
    """An assistant: its processes, what they find in their environment, where it answers. `door`: None without one."""

    name: str
    services: list[Service]
    env: Mapping[str, str]
    rasa: str
    database: str
    door: str | None = None
    folder: Path = train.ROOT


@dataclass
class Started:
    """A running assistant. `seconds`: from its start to its first answer, at Rasa's port."""

    stack: Stack
    seconds: float = 0.0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def memory(self) -> dict[str, tuple[float, float]]:
        """(RSS, PSS) of each process and what it has started, in megabytes."""
        found = {}
        for name, process in self.processes.items():
            first = psutil.Process(process.pid)
            each = [one.memory_full_info() for one in (first, *first.children(recursive=True))]
            # Where the system does not share out common pages, all of them are counted.
            shares = [getattr(one, "pss", one.rss) for one in each]
            found[name] = (sum(one.rss for one in each) / 1e6, sum(shares) / 1e6)
        return found


def ours(folder: Path, database: str | None = None, watched: Path | None = None) -> Stack:
    """Our assistant, its database in `folder` unless `database` is given; `watched`: where its turns are timed to."""
    ports = {name: free_port() for name in ("BON_MOMENT_PORT", "RASA_PORT", "ACTIONS_PORT")}
    changes = {"DATABASE_URL": database or f"sqlite:///{folder / 'bon-moment.db'}", "BON_MOMENT_DATE": TODAY}
    # All that is sent comes from one address.
    changes |= {f"BON_MOMENT_{limit}_PAR_MINUTE": "1000000" for limit in ("OUVERTURES", "REQUETES", "MESSAGES")}
    env = configuration({**os.environ, **ports, **changes})
    started = services(env)
    if watched:
        env["BANC_TEMPS"] = str(watched)
        started = [
            Service(s.name, ["scripts.bench_rasa" if word == "server" else word for word in s.command], s.ready)
            for s in started
        ]
    door = f"http://127.0.0.1:{ports['BON_MOMENT_PORT']}"
    return Stack("bon_moment", started, env, env["RASA_URL"], env["DATABASE_URL"], door)


def suggested(folder: Path) -> Stack:
    """The suggested assistant, trained already, its database in `folder`."""
    python, ports = sys.executable, (free_port(), free_port())
    rasa, actions = (f"http://127.0.0.1:{port}" for port in ports)
    database = folder / "usuel.db"
    endpoints = {
        "action_endpoint": {"url": f"{actions}/webhook"},
        "tracker_store": {"type": "SQL", "dialect": "sqlite", "db": str(database)},
    }
    files = ["--endpoints", str(write("endpoints.yml", endpoints))]
    files += ["--credentials", str(write("credentials.yml", {"rest": None}))]
    run = [python, "-m", "rasa", "run", "--model", str(MODEL), "--interface", "127.0.0.1", "--port", ports[0], *files]
    run_actions = [python, "-m", "rasa_sdk", "--actions", "actions", "--port", ports[1]]
    env = {
        **os.environ,
        "PYTHONPATH": str(train.ROOT),
        "DATABASE_URL": f"sqlite:///{folder / 'references.db'}",  # Of the actions.
        "BON_MOMENT_DATE": TODAY,
    }
    started = [Service("actions", run_actions, f"{actions}/health"), Service("rasa", run, f"{rasa}/")]
    return Stack("usuel", started, env, rasa, f"sqlite:///{database}", folder=KEPT)


@contextlib.contextmanager
def running(stack: Stack, logs: Path, note: Callable[[str], None]) -> Iterator[Started]:
    """The assistant started, then stopped; the output of its processes in `logs`. `note` is told a failure's place.

    Raises:
        RuntimeError: it does not answer.
    """
    started = Started(stack)
    begun = time.monotonic()
    try:
        for service in stack.services:
            log = logs / f"{stack.name}-{service.name}.log"
            with log.open("wb") as output:
                started.processes[service.name] = subprocess.Popen(
                    service.command,
                    cwd=stack.folder,
                    env=dict(stack.env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        with httpx.Client(timeout=60) as client:
            while not first_answer(client, stack.rasa):
                dead = [name for name, process in started.processes.items() if process.poll() is not None]
                if dead or time.monotonic() - begun > PATIENCE:
                    note(f"{logs}/{stack.name}-*.log")
                    raise RuntimeError(f"{stack.name} does not answer")
                time.sleep(0.1)
        started.seconds = time.monotonic() - begun
        while stack.door and not answers(stack.services[-1].ready):
            time.sleep(0.1)
        yield started
    finally:
        for process in started.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in started.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def first_answer(client: httpx.Client, rasa: str) -> bool:
    """Whether a message is answered."""
    try:
        body = {"sender": f"banc-{secrets.token_hex(8)}", "message": "Bonjour"}
        return bool(client.post(rasa + REST, json=body).raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return False

"""The guide's processes with a watch on them, for `make bench` alone: `python -m scripts.bench_rasa rasa run …`.

What `python -m server` starts, each part of a turn timed. One JSON line for each turn goes to the file of
`BANC_TEMPS`: milliseconds spent in each part itself, without the parts that it calls.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from server.__main__ import actions, porte, rasa
from web import logs

WATCHED = {
    "rasa": (
        ("rasa", "server.channel", "answer"),
        ("base", "server.store.ConversationStore", "_retrieve"),
        ("base", "server.store.ConversationStore", "save"),
        ("base", "server.store.ConversationStore", "turn_of"),
        ("regles", "rasa.core.processor.MessageProcessor", "_predict_next_with_tracker"),
        ("reseau", "rasa.utils.endpoints.EndpointConfig", "request"),
        ("ecoute", "nlu.ear.Ear", "hear"),
        ("mots", "nlu.ear", "normalise"),
        ("mots", "nlu.ear", "prepare"),
        ("mots", "nlu.encoder.Encoder", "pieces"),
        ("mots", "spacy.language.Language", "make_doc"),
        ("traits", "nlu.encoder.Encoder", "embeddings"),
        ("traits", "sklearn.pipeline.FeatureUnion", "transform"),
    ),
    "actions": (("actions", "rasa_sdk.executor.ActionExecutor", "run"),),
    "porte": (("demande", "web.door.Door", "ask"),),
}
"""What each process times: (part, where it is, its name). The first of a process holds the others."""


class Under:
    """A turn under way: what is open, and the milliseconds of each part."""

    def __init__(self) -> None:
        self.open: list[list[float]] = []
        self.spent: defaultdict[str, float] = defaultdict(float)

    def begin(self) -> None:
        """A part begins."""
        self.open.append([time.perf_counter(), 0.0])

    def end(self, part: str) -> bool:
        """A part ends. Returns whether it was the outermost."""
        begun, within = self.open.pop()
        lasted = 1000 * (time.perf_counter() - begun)
        self.spent[part] += lasted - within
        if self.open:
            self.open[-1][1] += lasted
        return not self.open


turn: ContextVar[Under | None] = ContextVar("turn", default=None)


def timed(part: str, function: Callable[..., Any], write: Callable[[dict[str, float]], None]) -> Callable[..., Any]:
    """`function`, its time counted in `part`; the outermost one tells `write` what was counted."""

    def begin() -> tuple[Under, Any]:
        under = turn.get()
        token = None if under else turn.set(under := Under())
        assert under is not None
        under.begin()
        return under, token

    def end(under: Under, token: Any) -> None:
        if under.end(part):
            turn.reset(token)
            write(dict(under.spent))

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*given: Any, **named: Any) -> Any:
            begun = begin()
            try:
                return await function(*given, **named)
            finally:
                end(*begun)

        return later

    @functools.wraps(function)
    def now(*given: Any, **named: Any) -> Any:
        begun = begin()
        try:
            return function(*given, **named)
        finally:
            end(*begun)

    return now


def found(place: str) -> Any:
    """The module or the class of that name.

    Raises:
        ImportError, AttributeError: there is none any more.
    """
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(module), name)


def watch(which: str) -> None:
    """Put a watch on the parts of a process.

    Raises:
        ImportError, AttributeError: a part is elsewhere now.
    """
    file = open(os.environ["BANC_TEMPS"], "a", buffering=1)  # noqa: SIM115 - open as long as the process.
    outermost = WATCHED[which][0][0]

    def write(spent: dict[str, float]) -> None:
        if outermost in spent:
            file.write(json.dumps(spent) + "\n")

    for part, place, name in WATCHED[which]:
        owner = found(place)
        setattr(owner, name, timed(part, getattr(owner, name), write))


if __name__ == "__main__":
    process = sys.argv.pop(1)
    logs.install()
    if process == "rasa":
        from server import light

        light.install()  # A second time changes nothing.
    watch(process)
    {"rasa": rasa, "actions": actions, "porte": porte}[process]()

"""What the processes write in their logs: one JSON object a line, without a word of what people said.

Our own messages are written with care. Those of libraries may quote anything, a name or an answer: only where they come
from is written, and of an exception its class and its places in the code. A conversation stands there under a pseudonym
that only the holder of the secret can compute again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime, timezone

OURS = "bon_moment"
STARTING = ("rasa.core.run", "rasa.server", "rasa_sdk.endpoint", "sanic.root", "uvicorn.error")
"""Loggers whose informations only tell of a process that starts or stops."""
DEPTH = 12
"""Places in the code shown of an exception, the innermost."""
_about: ContextVar[str] = ContextVar("conversation", default="")


def pseudonym(conversation: str, secret: str | None = None) -> str:
    """Twelve hexadecimal digits by which a conversation is followed in the logs. `secret`: that of the environment."""
    key = os.environ.get("BON_MOMENT_SECRET", "") if secret is None else secret
    return hmac.new(key.encode(), conversation.encode(), hashlib.sha256).hexdigest()[:12]


@contextlib.contextmanager
def about(conversation: str) -> Iterator[None]:
    """What is written meanwhile is of this conversation."""
    token = _about.set(pseudonym(conversation))
    try:
        yield
    finally:
        _about.reset(token)


class Formatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`; `conversation`, `error`, `trace` and `values` where there are some."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage() if is_ours(record) else f"{record.module}:{record.lineno}",
        }
        if conversation := _about.get():
            line["conversation"] = conversation
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line["error"] = chain(error)
            line["trace"] = places(error)
        if values := getattr(record, "values", None):
            line["values"] = values
        return json.dumps(line, ensure_ascii=False, default=str)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether the message of a record was written with care, or only tells of a process that starts or stops."""
    return record.name.startswith(OURS) or (record.levelno == logging.INFO and record.name.startswith(STARTING))


def is_worth(record: logging.LogRecord) -> bool:
    """Whether a record is written at all: of others, only warnings and what is worse."""
    return is_ours(record) or record.levelno >= logging.WARNING


def chain(error: BaseException) -> str:
    """The classes of an exception and of those behind it."""
    names: list[str] = []
    behind: BaseException | None = error
    while behind is not None and len(names) < DEPTH:
        names.append(f"{type(behind).__module__}.{type(behind).__qualname__}")
        behind = behind.__cause__ or behind.__context__
    return " < ".join(names)


def places(error: BaseException) -> list[str]:
    """Where in the code an exception was raised, the innermost last."""
    found, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        found.append(f"{code.co_filename}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return found[-DEPTH:]


def install() -> None:
    """Let everything in this process be written so, to its standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter())
    handler.addFilter(is_worth)
    logging.root.handlers = [handler]
    logging.root.setLevel(os.environ.get("LOG_LEVEL", "INFO"))


def tame(library: str) -> None:
    """Take from the loggers of a library the handlers that it has given them: what they write goes the common way."""
    for name, found in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == library and isinstance(found, logging.Logger):
            found.handlers, found.propagate = [], True

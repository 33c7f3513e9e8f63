"""What Rasa does at each turn, less what costs much and gives nothing, and stricter where it would go on after a fault.

Each replaces a method of Rasa 3.6.21; `install` fails if another release has moved it.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

import rasa.core.agent
import rasa.server
from jsonschema import Draft202012Validator
from rasa.core.actions.action import ActionExecutionRejection, RemoteAction
from rasa.core.tracker_store import TrackerStore
from sanic import Request, Sanic, response
from sanic.response import HTTPResponse

from web import logs

CLOSED = ("/model",)
"""Beginnings of the addresses of Rasa's API that load, train, test or remove a model: nobody here needs them."""
LARGEST = 65_536
"""Bytes of a message on a channel; Rasa itself takes a hundred megabytes."""


class TurnAbandoned(asyncio.CancelledError):
    """The action server does not answer. No `except Exception` of Rasa's catches it: the turn ends, nothing is kept."""


@lru_cache(maxsize=1)
def validator() -> Draft202012Validator:
    """What checks the answer of an action: Rasa checks its schema, which never changes, anew at each answer.

    Raises:
        jsonschema.SchemaError: Rasa's schema is none.
    """
    schema = RemoteAction.action_response_format_spec()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def validate_action_result(action: RemoteAction, result: dict[str, Any]) -> bool:
    """Whether `result` is the answer of an action.

    Raises:
        jsonschema.ValidationError: it is none.
    """
    validator().validate(result)
    return True


_run = RemoteAction.run


async def run_action(action: RemoteAction, *given: Any, **named: Any) -> Any:
    """Run an action at its server; Rasa would go on without it, and keep half a turn.

    Raises:
        ActionExecutionRejection: the action says that another has to run.
        TurnAbandoned: it cannot be run.
    """
    try:
        return await _run(action, *given, **named)
    except ActionExecutionRejection:
        raise
    except Exception as error:
        raise TurnAbandoned from error


def keep_as_it_is(store: TrackerStore) -> TrackerStore:
    """The tracker store itself: Rasa's wrapper answers from memory where the database fails, and forgets later."""
    return store


_create_app = rasa.server.create_app


def create_app(*given: Any, **named: Any) -> Sanic:
    """Rasa's HTTP server, without the addresses that change its model."""
    app = _create_app(*given, **named)
    logs.tame("sanic")

    async def refuse(request: Request) -> HTTPResponse | None:
        if request.path.startswith(CLOSED):
            return response.json({"erreur": "page_inconnue"}, status=404)
        if request.path.startswith("/webhooks") and len(request.body) > LARGEST:
            return response.json({"erreur": "trop_gros"}, status=413)
        return None

    app.register_middleware(refuse, "request")
    return app


REPLACED = (
    (RemoteAction, "_validate_action_result", validate_action_result),
    (RemoteAction, "run", run_action),
    (rasa.core.agent, "FailSafeTrackerStore", keep_as_it_is),
    (rasa.server, "create_app", create_app),
)


def install() -> None:
    """Put ours in the place of Rasa's.

    Raises:
        AttributeError: this release of Rasa has it elsewhere.
    """
    for owner, name, ours in REPLACED:
        getattr(owner, name)
        setattr(owner, name, ours)

"""What Rasa does at each turn, less what costs much and gives nothing, and stricter where it would go on after a fault.

Each replaces a method of Rasa 3.6.21; `install` fails if another release has moved it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import aiohttp
import dask
import dask.core
import fastjsonschema
import rasa
import rasa.core.agent
import rasa.server
from rasa.core.actions.action import ActionExecutionRejection, RemoteAction
from rasa.core.nlg import interpolator
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker, EventVerbosity
from rasa.utils.endpoints import EndpointConfig
from sanic import Request, Sanic, response
from sanic.response import HTTPResponse

from web import logs

CLOSED = ("/model",)
"""Beginnings of the addresses of Rasa's API that load, train, test or remove a model: nobody here needs them."""
LARGEST = 65_536
"""Bytes of a message on a channel; Rasa itself takes a hundred megabytes."""


class TurnAbandoned(asyncio.CancelledError):
    """The action server does not answer. No `except Exception` of Rasa's catches it: the turn ends, nothing is kept."""


Check = Callable[[Any], Any]


@cache
def checks() -> tuple[Check, dict[str, Check]]:
    """What checks the answer of an action all but its events, then each kind of event, by Rasa's own schema.

    Rasa tries every kind on every event, which takes longer than the action.
    """
    schema = RemoteAction.action_response_format_spec()
    event = schema["properties"]["events"]["items"]
    alike = {name: value for name, value in event.items() if name != "oneOf"}
    properties = {**schema["properties"], "events": {"type": "array", "items": alike}}
    kinds = {kind["properties"]["event"]["const"]: fastjsonschema.compile(kind) for kind in event["oneOf"]}
    return fastjsonschema.compile({**schema, "properties": properties}), kinds


def validate_action_result(action: RemoteAction, result: dict[str, Any]) -> bool:
    """Whether `result` is the answer of an action.

    Raises:
        fastjsonschema.JsonSchemaValueException: it is none.
    """
    whole, kinds = checks()
    whole(result)
    for event in result.get("events", []):
        if event["event"] not in kinds:
            raise fastjsonschema.JsonSchemaValueException("no event of Rasa's")
        kinds[event["event"]](event)
    return True


READ_BY_ACTIONS = ("user", "action", "slot")
"""Kinds of events that our actions look at, and those of the form: never what the guide said."""
EVENTS_SENT = 60
"""Events, the newest, among which they are taken: actions look back at most to the last answer."""


def action_call(action: RemoteAction, tracker: DialogueStateTracker, domain: Domain) -> dict[str, Any]:
    """What an action is told: the slots, the last message, the newest events without what was heard in each.

    Rasa would send the whole conversation, every word of it, three or four times a turn.
    """
    state = tracker.current_state(EventVerbosity.NONE)
    newest = [event for event in list(tracker.events)[-EVENTS_SENT:] if event.type_name in READ_BY_ACTIONS]
    state["events"] = [{n: v for n, v in event.as_dict().items() if n != "parse_data"} for event in newest]
    call = {"next_action": action.name(), "sender_id": tracker.sender_id, "tracker": state, "version": rasa.__version__}
    if domain.does_custom_action_explicitly_need_domain(action.name()):
        call["domain"] = domain.as_dict()
    return call


class KeptSession:
    """The connections to the action server, open from one turn to the next; Rasa opens new ones for each action."""

    _kept: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> aiohttp.ClientSession:
        if KeptSession._kept is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE)
            KeptSession._kept = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE)
            )
        return KeptSession._kept

    async def __aexit__(self, *_: object) -> None:
        """It stays open."""


IDLE = 30
"""Seconds for which a connection to the action server may wait; the server itself waits longer (`server`)."""
PATIENCE = 30
"""Seconds for which an action is waited for."""


@cache
def event_class(type_name: str, default: type[Event] | None = None) -> type[Event] | None:
    """The class of an event; Rasa goes through all of them for each event that it reads.

    Raises:
        ValueError: there is no such event.
    """
    return _event_class(type_name, default)


def interpolate_text(response: str, values: dict[str, str]) -> str:
    """A text with its marks filled; what a button sends has none: Rasa takes its braces for marks, and logs a fault."""
    return response if response.startswith("/") else str(_interpolate_text(response, values))


_interpolate_text = interpolator.interpolate_text
_event_class = Event.resolve_by_type
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
    logs.install()  # Rasa's command line has put its own in their place.
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
    (RemoteAction, "_action_call_format", action_call),
    (EndpointConfig, "session", lambda _: KeptSession()),
    (Event, "resolve_by_type", staticmethod(event_class)),
    (interpolator, "interpolate_text", interpolate_text),
    (rasa.core.agent, "FailSafeTrackerStore", keep_as_it_is),
    (rasa.server, "create_app", create_app),
    (dask, "get", dask.core.get),  # Runs the steps of a model one after the other, without a scheduler.
)


def install() -> None:
    """Put ours in the place of Rasa's.

    Raises:
        AttributeError: this release of Rasa has it elsewhere.
    """
    checks()
    for owner, name, ours in REPLACED:
        getattr(owner, name)
        setattr(owner, name, ours)

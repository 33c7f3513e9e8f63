"""The door's way into Rasa, `POST /webhooks/porte/webhook`, beside Rasa's own REST channel for other programs.

It answers to the door alone, says when a turn has failed, and takes a message that comes again for what it is.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, InputChannel, UserMessage
from sanic import Blueprint, Request, response
from sanic.response import HTTPResponse

from server.turn import TurnAbandoned
from web import logs

NAME = "porte"
logger = logging.getLogger("bon_moment.rasa")


class DoorInput(InputChannel):
    """The channel of `credentials.yml`. A message is `{"sender", "message", "metadata": {"cle", …}}`, the answer
    `{"messages": […], "entendu": …}`: what the guide says, and the last message as Rasa heard it. Else `{"erreur": …}`,
    with status 400 or 401, or 503 where nothing of the turn was kept.
    """

    @classmethod
    def name(cls) -> str:
        return NAME

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The route of the channel."""
        door = Blueprint(NAME, __name__)
        expected = f"Bearer {os.environ['RASA_TOKEN']}".encode()

        @door.post("/webhook")
        async def receive(request: Request) -> HTTPResponse:
            if not hmac.compare_digest(str(request.headers.get("authorization") or "").encode(), expected):
                return response.json({"erreur": "jeton"}, status=401)
            try:
                sender, text = str(request.json["sender"]), str(request.json["message"])
                metadata = dict(request.json["metadata"])
                key = str(metadata["cle"])
            except (LookupError, TypeError, ValueError):
                return response.json({"erreur": "illisible"}, status=400)
            with logs.about(sender):
                try:
                    return response.json(await answer(request.app.ctx.agent, sender, text, key, metadata))
                except (Exception, TurnAbandoned):
                    logger.exception("a turn has failed; nothing of it was kept")
                    return response.json({"erreur": "tour"}, status=503)

        return door


async def answer(agent: Any, sender: str, text: str, key: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """What the guide answers to the message of this `key`, or has answered when it first came.

    Raises:
        TurnAbandoned: the action server does not answer.
        Exception: any other fault of the turn, of which nothing was kept.
    """
    store = agent.tracker_store
    async with agent.lock_store.lock(sender):
        known = await store.turn_of(sender, key)
        if not (known and known["messages"]):
            said = CollectingOutputChannel()
            await agent.processor.handle_message(UserMessage(text, said, sender, None, NAME, metadata=metadata))
            known = await store.turn_of(sender, key)
        return known or {"messages": [], "entendu": {}}

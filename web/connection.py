"""How the door's server holds a connection: not for ever while a request's headers dribble in, and what it answers to
bytes that are no request.
"""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from web import metrics
from web.guard import headers
from web.views import SAID

PATIENCE = 15.0
"""Seconds that the headers of a request have to come in, from the connection or from their first byte."""


class Connection(H11Protocol):
    """Uvicorn's protocol, which bounds the size of headers but not their time."""

    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hurry = self.loop.call_later(PATIENCE, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._hurry is None:
            self._hurry = self.loop.call_later(PATIENCE, self.transport.abort)

    def _calm(self) -> None:
        if self._hurry:
            self._hurry.cancel()
            self._hurry = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, in French, unless an answer is under way."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            metrics.REFUSALS.labels("400").inc()
            said = {"erreur": "requete_illisible", "texte": SAID["requete_illisible"]}
            body = json.dumps(said, ensure_ascii=False).encode()
            own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            own += [(b"connection", b"close"), *headers("", "http")]
            start = h11.Response(status_code=400, headers=own, reason=b"Bad Request")
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

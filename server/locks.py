"""One message at a time in each conversation: within one Rasa, or among several through Redis.

Rasa's own lock in Redis reads, then writes: two servers may hold it at once. Its waiting looks again once a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rasa.core.lock import TicketLock
from rasa.core.lock_store import LockError, LockStore
from rasa.utils.endpoints import EndpointConfig

from web.bus import Locks, Unavailable, connect


class ConversationLocks(LockStore):
    """The lock store of `endpoints.yml`; its `url` is that of Redis, or empty."""

    def __init__(self, endpoint_config: EndpointConfig | None = None) -> None:
        self._locks = Locks(connect((endpoint_config and endpoint_config.url) or ""), "rasa")

    @asynccontextmanager
    async def lock(
        self, conversation_id: str, lock_lifetime: float = 0.0, wait_time_in_seconds: float = 0.0
    ) -> AsyncIterator[TicketLock]:
        """Hold the lock of a conversation; times are those of `web.bus`.

        Raises:
            LockError: Redis does not answer, or another server holds it for too long.
        """
        try:
            async with self._locks.held(conversation_id):
                yield TicketLock(conversation_id)
        except Unavailable:
            raise LockError("the lock of a conversation cannot be had") from None

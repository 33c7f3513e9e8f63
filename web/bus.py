"""What several doors, and several servers of Rasa, share through Redis: one lock for each conversation, and what their
pages are told. Without `REDIS_URL` all of it stays within the process, as one door and one Rasa need it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any
from weakref import WeakValueDictionary

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

HELD = 10.0
"""Seconds after which the lock of a process that has died is free; who holds it says every third of that it lives."""
WAIT = 0.02
"""Seconds between two tries to have a lock."""
PATIENCE = 60.0
"""Seconds for which a lock is waited for."""
RETRY = 1.0
"""Seconds between two tries to hear the others again."""
CHANNEL = "bon-moment"
logger = logging.getLogger("bon_moment.bus")


class Unavailable(Exception):
    """What the processes share does not answer, or another holds a conversation for too long."""


def connect(url: str) -> Redis | None:
    """The client of the Redis at `url`; None where there is none to share."""
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) if url else None


class Locks:
    """One lock for each conversation, in the order asked for within a process. `kind` names who competes for it."""

    def __init__(self, redis: Redis | None, kind: str) -> None:
        self._redis = redis
        self._kind = kind
        self._local: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def held(self, conversation: str) -> AsyncIterator[None]:
        """Hold the lock of a conversation.

        Raises:
            Unavailable: Redis does not answer, or another process holds it for too long.
        """
        async with self._local.setdefault(conversation, asyncio.Lock()):
            if self._redis is None:
                yield
                return
            lock = Lock(self._redis, f"{self._kind}:{conversation}", timeout=HELD, sleep=WAIT, thread_local=False)
            try:
                if not await lock.acquire(blocking_timeout=PATIENCE):
                    raise Unavailable
            except (RedisError, OSError):
                raise Unavailable from None
            alive = asyncio.create_task(_renew(lock))
            try:
                yield
            finally:
                alive.cancel()
                with contextlib.suppress(LockError, RedisError, OSError):  # It is free at the latest after `HELD`.
                    await lock.release()


async def _renew(lock: Lock) -> None:
    while True:
        await asyncio.sleep(HELD / 3)
        try:
            await lock.reacquire()
        except (LockError, RedisError, OSError):
            logger.warning("a lock could not be renewed")


class Bus:
    """Tells the other doors what the pages of this one are told."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._me = secrets.token_hex(8)
        self._waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=1_000)
        self._lost = False
        """Whether something could not be told, which the others do not know yet."""

    def tell(self, *said: Any) -> None:
        """Let the other doors know, in order; what they do not hear, their pages read again."""
        if self._redis is not None:
            try:
                self._waiting.put_nowait(self._written(*said))
            except asyncio.QueueFull:
                self._lost = True

    def _written(self, *said: Any) -> str:
        return json.dumps([self._me, *said], ensure_ascii=False)

    async def tell_now(self, *said: Any) -> None:
        """Let every door know, at once: for who is none, and ends.

        Raises:
            redis.exceptions.RedisError, OSError: Redis does not answer.
        """
        if self._redis is not None:
            await self._redis.publish(CHANNEL, self._written(*said))

    async def speak(self) -> None:
        """For ever: bring the others what was told; where something was lost, a message that says nothing."""
        while self._redis is not None:
            said = await self._waiting.get()
            try:
                if self._lost:
                    await self._redis.publish(CHANNEL, self._written())
                    self._lost = False
                await self._redis.publish(CHANNEL, said)
            except (RedisError, OSError) as error:
                self._lost = True
                logger.warning("the other doors could not be told: %s", type(error).__name__)

    async def listen(self, hear: Callable[..., None], missed: Callable[[], None]) -> None:
        """For ever: `hear` what the others tell. `missed` is called where something may not have been heard."""
        deaf = False
        while self._redis is not None:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as ear:
                    await ear.subscribe(CHANNEL)
                    if deaf:
                        missed()
                        deaf = False
                    while True:
                        message = await ear.get_message(timeout=1.0)
                        if message is None:
                            continue
                        teller, *said = json.loads(message["data"])
                        if teller != self._me and said:
                            hear(*said)
                        elif teller != self._me:
                            missed()
            except (RedisError, OSError, ValueError) as error:
                logger.warning("the other doors are not heard: %s", type(error).__name__)
                deaf = True
                await asyncio.sleep(RETRY)

    async def answers(self) -> bool:
        """Whether what is shared answers; nothing shared is no fault."""
        if self._redis is None:
            return True
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

"""What those who watch over the guide ask of the door: whether it lives, whether all behind it answers, its figures."""

from __future__ import annotations

import asyncio
import hmac

import httpx
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web import metrics
from web.door import Door, Refused
from web.session import door_of, is_local

PATIENCE = 5.0
"""Seconds that a part has to answer."""


async def live(request: Request) -> Response:
    """Whether the door runs."""
    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """Whether each part that a conversation needs answers: 503 unless all do."""
    parts = await parts_of(request)
    well = all(parts.values())
    return JSONResponse({"live": True, "ready": well, **parts}, status_code=200 if well else 503)


async def parts_of(request: Request) -> dict[str, bool]:
    """Which parts answer, by name. Those who ask at once share one look: asking much costs the guide little."""
    state = request.app.state
    look: asyncio.Task[dict[str, bool]] | None = getattr(state, "look", None)
    if look is None or look.done():
        look = state.look = asyncio.create_task(_look(door_of(request)))
    return await asyncio.shield(look)


async def _look(door: Door) -> dict[str, bool]:
    checks = {"rasa": _rasa(door), "database": _database(door)}
    if door.settings.redis_url:
        checks["redis"] = door.bus.answers()
    return dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))


async def _rasa(door: Door) -> bool:
    """Whether Rasa has its model, and lets the door in."""
    try:
        return (await door.rasa.get("/status", params={"token": door.settings.rasa_token}, timeout=PATIENCE)).is_success
    except httpx.HTTPError:
        return False


async def _database(door: Door) -> bool:
    try:
        await asyncio.wait_for(run_in_threadpool(door.records.is_open, "web-"), PATIENCE)
    except (SQLAlchemyError, asyncio.TimeoutError):
        return False
    return True


async def figures(request: Request) -> Response:
    """The door's figures, for this machine, or for whoever has the token of `BON_MOMENT_JETON_METRIQUES`.

    Raises:
        Refused: another machine asks, without it.
    """
    token = door_of(request).settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not is_local(request) and not (token and hmac.compare_digest(given.encode(), token.encode())):
        raise Refused(403, "metriques_fermees")
    return Response(metrics.text(), media_type=metrics.CONTENT_TYPE)


def health_routes() -> list[Route]:
    """The addresses for those who watch."""
    return [
        Route("/health", ready),
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", figures),
    ]

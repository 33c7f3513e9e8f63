"""A simulated room, to rehearse a workshop or to see what a machine can hold: telephones join and answer at random.

`make foule CODE=HAR47 NOMBRE=50`, while `make atelier` runs. Prints how long the guide takes to answer them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from scripts.texts import say
from web.rooms import MOST_PARTICIPANTS

PATIENCE = 120.0
"""Seconds that an answer may take before a telephone gives up."""


@dataclass
class Crowd:
    """Telephones of a room: what they have answered (`given`, by slot, how many for each title) and how long it took.

    Each reads for `pause` seconds (least, most) before it answers. At most `at_once` wait for the guide together.
    `delays` are in seconds, from an answer sent to the next question or the verdict.
    """

    address: str
    code: str
    pause: tuple[float, float] = (4.0, 15.0)
    at_once: int = 1_000
    given: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    delays: list[float] = field(default_factory=list)
    verdicts: int = 0

    async def answer(self, count: int) -> None:
        """Let `count` telephones join and answer everything.

        Raises:
            httpx.HTTPError: the door cannot be reached, refuses, or takes too long.
        """
        self._turn = asyncio.Semaphore(self.at_once)
        await asyncio.gather(*(self._telephone(random.Random(number)) for number in range(count)))

    async def _telephone(self, chance: random.Random) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=PATIENCE) as http:
            joined = (await http.post("/api/salle", json={"code": self.code})).raise_for_status()
            http.headers["authorization"] = f"Bearer {joined.json()['jeton']}"
            async with http.stream("GET", "/api/evenements") as events:
                sent: float | None = None
                async for message in messages(events):
                    kind = message["donnees"].get("type")
                    if kind not in ("question", "verdict"):
                        continue
                    if sent is not None:
                        self.delays.append(time.monotonic() - sent)
                        self._turn.release()
                    if kind == "verdict":
                        self.verdicts += 1
                        return
                    await asyncio.sleep(chance.uniform(*self.pause))
                    await self._turn.acquire()
                    sent = time.monotonic()
                    button = chance.choice(message["boutons"])
                    self.given[message["donnees"]["slot"]][button["titre"]] += 1
                    (await http.post("/api/messages", json={"choix": button["choix"]})).raise_for_status()


async def messages(events: httpx.Response) -> Any:
    """The guide's messages of a stream, those that were there already first."""
    kind = ""
    async for line in events.aiter_lines():
        if line.startswith("event:"):
            kind = line.removeprefix("event:").strip()
        if not line.startswith("data:") or kind not in ("historique", "message"):
            continue
        data = json.loads(line.removeprefix("data:"))
        for message in data["messages"] if kind == "historique" else [data]:
            if message["de"] == "guide":
                yield message


def main() -> int:
    port = os.environ.get("BON_MOMENT_PORT", "8080")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", required=True)
    parser.add_argument("--nombre", type=int, default=50)
    parser.add_argument("--adresse", default=f"http://127.0.0.1:{port}")
    options = parser.parse_args()
    number = min(MOST_PARTICIPANTS, max(1, options.nombre))
    crowd = Crowd(options.adresse, options.code)
    say("foule_debut", nombre=str(number), code=options.code)
    try:
        asyncio.run(crowd.answer(number))
    except (httpx.HTTPError, KeyboardInterrupt) as error:
        refused = isinstance(error, httpx.HTTPStatusError)
        say("foule_refusee" if refused else "foule_interrompue", code=options.code)
        return 1
    delays = sorted(crowd.delays)
    shown = {
        name: f"{delays[int(share * (len(delays) - 1))]:.2f}" for name, share in (("milieu", 0.5), ("longs", 0.95))
    }
    say("foule_fin", tours=str(len(delays)), verdicts=str(crowd.verdicts), **shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())

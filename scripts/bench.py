"""Times of a turn of the running guide (`make bench`): a button, a short answer, a long one. Figures, no judgement."""

from __future__ import annotations

import secrets
import statistics
import sys
import time

import httpx

from scripts.run import answers, configuration
from scripts.texts import say

ROUNDS = 40
MESSAGES = {
    "bouton": '/repondre{"financement_actuel":"minoritaire"}',
    "réponse courte": "environ 15 %",
    "réponse longue": (
        "Pour tout vous dire, une petite partie de nos recettes, disons une quinzaine de pour cent, vient d'un OPCO "
        "quand un confrère nous sous-traite un groupe, et le reste est réglé directement par nos clients."
    ),
}


def main() -> int:
    env = configuration()
    url = env["RASA_URL"]
    if not answers(f"{url}/"):
        say("bench_absent")
        return 1
    print(f"{'tour':16s} {'p50':>8s} {'p95':>8s}   (ms, {ROUNDS} tours, une conversation à la fois, au port de Rasa)")
    with httpx.Client(base_url=url, timeout=60) as client:

        def turn(sender: str, message: str) -> float:
            start = time.perf_counter()
            client.post("/webhooks/rest/webhook", json={"sender": sender, "message": message}).raise_for_status()
            return 1000 * (time.perf_counter() - start)

        for name, message in MESSAGES.items():
            times = []
            for _ in range(ROUNDS):
                sender = "bench-" + secrets.token_hex(8)
                turn(sender, '/repondre{"statut_qualiopi":"non_certifie"}')
                times.append(turn(sender, message))
            times.sort()
            print(f"{name:16s} {statistics.median(times):8.1f} {times[int(len(times) * 0.95)]:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

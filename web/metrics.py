"""What the door counts, in the text that Prometheus reads. No label tells of a person or of a conversation.

Each process counts for itself, from its start; durations are in seconds.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

TURNS = Histogram(
    "bon_moment_turn_seconds",
    "Time from a message handed to Rasa to its answer, by kind: bouton or texte.",
    ["kind"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
LOST = Counter("bon_moment_messages_lost", "Messages given back because nobody answered them.", registry=REGISTRY)
RASA_FAILURES = Counter("bon_moment_rasa_failures", "Requests to Rasa that failed, tries included.", registry=REGISTRY)
OPENED = Counter(
    "bon_moment_conversations_opened", "Conversations begun, by where: web or atelier.", ["origin"], registry=REGISTRY
)
VERDICTS = Counter("bon_moment_verdicts", "Verdicts given.", registry=REGISTRY)
STREAMS = Gauge("bon_moment_open_streams", "Pages that listen now, of visitors and of the staff.", registry=REGISTRY)
REFUSALS = Counter("bon_moment_refusals", "Answers of 400 and above, by HTTP status.", ["status"], registry=REGISTRY)


def text() -> bytes:
    """All of it, as Prometheus reads it."""
    return generate_latest(REGISTRY)

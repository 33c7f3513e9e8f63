"""What the environment says of the door: addresses, limits, secrets. No default is a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_ORIGIN = re.compile(r"^https?://[a-z0-9.-]+(:\d+)?$")
LONGEST_DAYS = 36_500
"""A retention above which dates would have no end."""


@dataclass(frozen=True)
class Settings:
    """Sizes in characters or bytes, delays in seconds, retention in days. `redis_url`: what doors share, if any.

    `messages_per_minute` and `messages_per_day` count by conversation.
    `absence` is how long one of the staff may have no page open before what they hold is handed back. `origins` are the
    sites, such as `https://www.cabinet.fr`, whose pages may hold the widget. `workshop_open`: whoever sits at this
    machine may lead a workshop without an account. `body_timeout` is what the body of a request may take to come in
    all; `streams` is how many pages may listen at once. Whoever has `metrics_token` reads the figures from elsewhere.
    """

    rasa_url: str
    rasa_token: str
    secret: str
    database_url: str
    redis_url: str = ""
    origins: tuple[str, ...] = ()
    longest_message: int = 1_000
    largest_body: int = 16_384
    messages_per_minute: int = 40
    messages_per_day: int = 300
    requests_per_minute: int = 3_000
    messages_per_address: int = 300
    streams: int = 2_000
    streams_per_address: int = 200
    body_timeout: float = 20.0
    metrics_token: str = ""
    conversations_per_minute: int = 30
    codes_per_minute: int = 10
    seats_per_minute: int = 100
    answer_timeout: float = 30.0
    code_lifetime: int = 3_600
    retention_days: int = 30
    contact_days: int = 3 * 365
    absence: float = 120.0
    workshop_open: bool = False
    host: str = "127.0.0.1"

    @staticmethod
    def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
        """The settings that `env` gives, this process's environment by default.

        Raises:
            KeyError: `BON_MOMENT_SECRET` or `RASA_TOKEN` is missing.
            ValueError: `BON_MOMENT_ORIGINES` has a word that is no origin, or a number is none above zero.
        """
        return Settings(
            rasa_url=env.get("RASA_URL", "http://127.0.0.1:5005").rstrip("/"),
            rasa_token=env["RASA_TOKEN"],
            secret=env["BON_MOMENT_SECRET"],
            database_url=env.get("DATABASE_URL", "sqlite:///var/bon_moment.db"),
            redis_url=env.get("REDIS_URL", ""),
            origins=origins(env.get("BON_MOMENT_ORIGINES", "")),
            conversations_per_minute=int(positive(env, "BON_MOMENT_OUVERTURES_PAR_MINUTE", "30")),
            requests_per_minute=int(positive(env, "BON_MOMENT_REQUETES_PAR_MINUTE", "3000")),
            messages_per_address=int(positive(env, "BON_MOMENT_MESSAGES_PAR_MINUTE", "300")),
            streams=int(positive(env, "BON_MOMENT_PAGES", "2000")),
            streams_per_address=int(positive(env, "BON_MOMENT_PAGES_PAR_ADRESSE", "200")),
            metrics_token=env.get("BON_MOMENT_JETON_METRIQUES", ""),
            retention_days=int(positive(env, "BON_MOMENT_CONSERVATION_JOURS", "30", LONGEST_DAYS)),
            contact_days=int(positive(env, "BON_MOMENT_CONSERVATION_CONTACTS_JOURS", "1095", LONGEST_DAYS)),
            absence=positive(env, "BON_MOMENT_ABSENCE_SECONDES", "120"),
            workshop_open=env.get("BON_MOMENT_ATELIER") == "ouvert",
            host=env.get("BON_MOMENT_HOTE", "127.0.0.1"),
        )


def origins(listed: str) -> tuple[str, ...]:
    """The origins in `listed`, separated by blanks.

    Raises:
        ValueError: one of them is no scheme and host; its text is the error's argument.
    """
    found = tuple(word.rstrip("/").lower() for word in listed.split())
    for word in found:
        if not _ORIGIN.match(word):
            raise ValueError(word)
    return found


def positive(env: Mapping[str, str], name: str, default: str, most: float = 1e9) -> float:
    """The number that `env` gives for `name`, below `most`.

    Raises:
        ValueError: it is none, or is not above zero: a retention of no days would erase everything.
    """
    number = float(env.get(name, default))
    if not 0 < number < most:
        raise ValueError(name)
    return number

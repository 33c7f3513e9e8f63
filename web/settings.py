"""What the environment says of the door: addresses, limits, secrets. No default is a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Sizes in characters or bytes, delays in seconds, retention in days."""

    rasa_url: str
    rasa_token: str
    secret: str
    database_url: str
    secure_cookie: bool = False
    longest_message: int = 1_000
    largest_body: int = 16_384
    messages_per_minute: int = 40
    conversations_per_minute: int = 30
    answer_timeout: float = 30.0
    retention_days: int = 30

    @staticmethod
    def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
        """The settings that `env` gives, this process's environment by default.

        Raises:
            KeyError: `BON_MOMENT_SECRET` or `RASA_TOKEN` is missing.
        """
        return Settings(
            rasa_url=env.get("RASA_URL", "http://127.0.0.1:5005").rstrip("/"),
            rasa_token=env["RASA_TOKEN"],
            secret=env["BON_MOMENT_SECRET"],
            database_url=env.get("DATABASE_URL", "sqlite:///var/bon_moment.db"),
            secure_cookie=env.get("BON_MOMENT_HTTPS", "") == "1",
            retention_days=int(env.get("BON_MOMENT_CONSERVATION_JOURS", "30")),
        )

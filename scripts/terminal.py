"""Talk with the guide in the terminal (`make shell`): messages typed, choices by their number."""

from __future__ import annotations

import secrets

import httpx

from scripts.texts import say


def talk(rasa_url: str) -> None:
    """Hold one conversation until the end of the input."""
    sender = "terminal-" + secrets.token_hex(8)
    offered: list[dict[str, str]] = []
    say("terminal")
    message = "/saluer"
    while True:
        try:
            answer = httpx.post(
                f"{rasa_url}/webhooks/rest/webhook", json={"sender": sender, "message": message}, timeout=60
            )
            messages = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            messages = []
        if not messages:
            say("terminal_panne")
        for received in messages:
            if "text" in received:
                print("\n" + received["text"])
            if received.get("buttons"):
                offered = received["buttons"]
                for number, button in enumerate(offered, 1):
                    print(f"  {number}. {button['title']}")
        try:
            message = input("\n> ").strip().lstrip("/")
        except (EOFError, KeyboardInterrupt):
            return
        if message.isdigit() and 1 <= int(message) <= len(offered):
            message = offered[int(message) - 1]["payload"]

"""The three processes of Bon Moment: `python -m server rasa run …` (Rasa's own command line), `python -m server
actions …` (that of its action server), `python -m server porte` (the door, at `BON_MOMENT_HOTE`, `BON_MOMENT_PORT`).
"""

from __future__ import annotations

import os
import sys

from web import logs


def rasa() -> None:
    """Rasa, with what this folder adds."""
    from server import light

    light.install()
    from rasa.__main__ import main

    from server import turn

    turn.install()
    if sys.argv[1:2] == ["run"]:  # On the command line, whoever is on the machine would read it among the processes.
        sys.argv.append(f"--auth-token={os.environ['RASA_TOKEN']}")
    main()


def actions() -> None:
    """Rasa's action server, whose own configuration of the logs would show what was said."""
    from rasa_sdk.endpoint import create_argument_parser, run

    os.environ.setdefault("SANIC_KEEP_ALIVE_TIMEOUT", "75")  # Longer than Rasa keeps a connection.
    given = create_argument_parser().parse_args()
    run(given.actions, given.port, given.cors)


def porte() -> None:
    """The door."""
    import uvicorn

    from web.connection import Connection

    uvicorn.run(
        "web.app:create_app",
        factory=True,
        host=os.environ.get("BON_MOMENT_HOTE", "127.0.0.1"),
        port=int(os.environ.get("BON_MOMENT_PORT", "8080")),
        http=Connection,
        ws="none",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    start = {"rasa": rasa, "actions": actions, "porte": porte}[sys.argv.pop(1)]
    logs.install()
    start()

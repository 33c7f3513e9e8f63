"""What is kept of one person, for who asks (`make export`, `make effacer`): find it, hand it over, erase it.

The log keeps that it was done, not for whom.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from scripts import sauvegarde
from scripts.run import ROOT, configuration
from scripts.texts import say, sentence
from web import person
from web.accounts import ROLES, Accounts
from web.bus import Bus, Locks, connect
from web.records import Records
from web.tables import ZONE
from web.views import SAID

EXPORTS = ROOT / "var" / "exports"
MOST = 20
"""Conversations listed at once: more of them are no one person."""
LOGIN = "maintenance"
"""The account in whose name the log says what was done by command."""


def asked(name: str, **values: str) -> str:
    """What is typed in answer to a sentence; nothing where nobody is there."""
    try:
        return input(sentence(name, **values)).strip()
    except EOFError:
        return ""


def chosen(found: list[person.Found]) -> list[person.Found]:
    """Those of `found` that are meant: the only one, or those whose numbers are typed."""
    for number, one in enumerate(found, 1):
        opened = f"{one.opened.astimezone(ZONE):%d/%m/%Y}" if one.opened else "?"
        reference = one.reference or sentence("personne_sans_reference")
        say("personne_ligne", numero=str(number), jour=opened, reference=reference, noms=" ; ".join(one.names))
    if len(found) == 1:
        return found
    numbers = asked("personne_lesquelles").replace(",", " ").split()
    return [one for number, one in enumerate(found, 1) if str(number) in numbers]


def export(records: Records, one: person.Found) -> None:
    """Write what is kept in two files that only the present user of the machine may read."""
    kept = person.everything(records, one.conversation)
    EXPORTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    for ending, content in (("html", person.as_page(kept)), ("json", person.as_json(kept))):
        file = EXPORTS / f"{one.conversation}.{ending}"
        file.touch(mode=0o600)
        file.write_text(content, "utf-8")
        say("export_fait", fichier=str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file))


async def erase(records: Records, redis_url: str, conversation: str) -> None:
    """Erase a conversation. Where doors share a Redis, no turn is under way meanwhile, and their pages are told."""
    redis = connect(redis_url)
    async with Locks(redis, "porte").held(conversation):
        await asyncio.to_thread(records.erase, conversation)
    doors = Bus(redis)
    await doors.tell_now("pages", conversation, "effacee", {"texte": SAID["effacee"]})
    await doors.tell_now("console", "effacee", {"conversation": conversation})
    for file in EXPORTS.glob(f"{conversation}.*"):
        file.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["exporter", "effacer"])
    parser.add_argument("--qui", default="", help="a reference, a name, a telephone number, an e-mail address")
    parser.add_argument("--oui", action="store_true", help="do not ask before erasing the only one that is found")
    options = parser.parse_args()
    env = configuration()
    records = Records(env["DATABASE_URL"])
    found = person.find(env["DATABASE_URL"], options.qui)
    if not found or len(found) > MOST:
        say("personne_trop" if found else "personne_aucune" if options.qui else "personne_usage", nombre=str(MOST))
        return 1
    meant = chosen(found)
    sure = options.oui and len(found) == 1
    if options.action == "effacer" and meant and not sure and asked("effacer_sur") != sentence("effacer_mot"):
        meant = []
    if not meant:
        say("personne_rien")
        return 1
    accounts = Accounts(env["DATABASE_URL"])
    who = accounts.built_in(LOGIN, sentence("maintenance_nom"), ROLES[0])
    for one in meant:
        accounts.note(who, "export" if options.action == "exporter" else "efface", one.conversation)
        if options.action == "exporter":
            export(records, one)
        else:
            asyncio.run(erase(records, env.get("REDIS_URL", ""), one.conversation))
    if options.action == "exporter":
        say("export_apres")
    else:
        say("effacer_fait", nombre=str(len(meant)))
        sauvegarde.say_what_remains()
    return 0


if __name__ == "__main__":
    sys.exit(main())

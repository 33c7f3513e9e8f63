"""The staff's accounts (`make compte`): add one or change it, close it, list them. The password is typed or generated,
never given on the command line nor kept in clear.
"""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys

from scripts.run import configuration
from scripts.texts import say, sentence
from web.accounts import ROLES, SHORTEST_PASSWORD, Accounts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifiant")
    parser.add_argument("--nom")
    parser.add_argument("--role", choices=ROLES)
    parser.add_argument("--mot-de-passe", action="store_true", help="give a new one, typed or drawn")
    parser.add_argument("--fermer", action="store_true")
    parser.add_argument("--liste", action="store_true")
    options = parser.parse_args()
    accounts = Accounts(configuration()["DATABASE_URL"])
    if options.liste or not (options.identifiant or sys.stdin.isatty()):
        for row in accounts.all():
            closed = "compte_ferme" if row["ferme_le"] else "compte_ouvert"
            say(closed, identifiant=row["identifiant"], nom=row["nom"], role=row["role"])
        if not options.liste:
            say("compte_usage")
        return 0
    login = options.identifiant or input(sentence("compte_demande_identifiant")).strip()
    if options.fermer:
        say("compte_vient_de_fermer" if accounts.close(login) else "compte_inconnu", identifiant=login)
        return 0
    known = next((row for row in accounts.all() if row["identifiant"] == login), None)
    name, password = options.nom, None
    if known is None or options.mot_de_passe:
        if known is None and name is None and sys.stdin.isatty():
            name = input(sentence("compte_demande_nom")).strip() or None
        typed = getpass.getpass(sentence("compte_demande_mot_de_passe")) if sys.stdin.isatty() else ""
        password = typed or secrets.token_urlsafe(12)
    try:
        accounts.create(login, name, options.role, password)
    except ValueError as error:
        say(f"compte_faute_{error}", nombre=str(SHORTEST_PASSWORD))
        return 1
    row = next(row for row in accounts.all() if row["identifiant"] == login)
    say("compte_ferme" if row["ferme_le"] else "compte_fait", identifiant=login, nom=row["nom"], role=row["role"])
    if password and not typed:
        say("compte_mot_de_passe", mot_de_passe=password)
    return 0


if __name__ == "__main__":
    sys.exit(main())

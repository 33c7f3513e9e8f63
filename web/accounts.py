"""The staff: their accounts, their sessions, and the log of what they opened, took over, exported or erased.

Every method is blocking, and raises `sqlalchemy.exc.SQLAlchemyError` where the database does not answer.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update

from actions.references import REFERENCES, engine
from web.records import digest
from web.tables import ACCOUNTS, AUDIT, CONVERSATIONS, SESSIONS, moment, now

ROLES = ("conseiller", "formateur")
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
SESSION_HOURS = 12
"""A session lasts a working day, then the password is asked again."""
AUDIT_PAGE = 200
AUDIT_DAYS = 365

_LOGIN = re.compile(r"^[a-z0-9._-]{2,60}$")
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_hex())
"""Verified where no such account exists, so that the time of an answer tells nothing."""


@dataclass(frozen=True)
class Account:
    """One of the staff. `nom` is what visitors read when they join a conversation."""

    id: int
    identifiant: str
    nom: str
    role: str


class Accounts:
    """The staff's part of the database."""

    def __init__(self, database_url: str) -> None:
        self._engine = engine(database_url)

    # ── accounts ──

    def create(self, login: str, name: str | None, role: str | None, password: str | None) -> None:
        """Add an account, or change what is given of one that exists. A new password opens it again if it was closed,
        and ends its sessions.

        Raises:
            ValueError: the argument says what is wrong: `identifiant`, `nom`, `role` or `mot_de_passe`.
        """
        if not _LOGIN.match(login):
            raise ValueError("identifiant")
        if name is not None and not 1 <= len(name) <= 80:
            raise ValueError("nom")
        if role is not None and role not in ROLES:
            raise ValueError("role")
        if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise ValueError("mot_de_passe")
        given: dict[str, Any] = {"nom": name, "role": role}
        given = {column: value for column, value in given.items() if value is not None}
        if password is not None:
            given |= {"mot_de_passe": _HASHER.hash(password), "ferme_le": None}
        with self._engine.begin() as connection:
            known = connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.identifiant == login)).scalar()
            if known is None:
                if password is None:
                    raise ValueError("mot_de_passe")
                row = {"nom": login, "role": ROLES[0], **given, "identifiant": login, "cree_le": now()}
                connection.execute(ACCOUNTS.insert().values(**row))
            elif given:
                connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == known).values(**given))
                if password is not None or role is not None:
                    connection.execute(delete(SESSIONS).where(SESSIONS.c.compte == known))

    def built_in(self, login: str, name: str, role: str) -> Account:
        """The account of this login, made the first time with a password that nobody knows."""
        query = select(ACCOUNTS).where(
            ACCOUNTS.c.identifiant == login, ACCOUNTS.c.role == role, ACCOUNTS.c.ferme_le.is_(None)
        )
        with self._engine.begin() as connection:
            found = connection.execute(query).first()
        if found is None:
            self.create(login, name, role, secrets.token_urlsafe(32))
            return self.built_in(login, name, role)
        return _account(found)

    def close(self, login: str) -> bool:
        """Close an account: it opens nothing any more, what it did stays in the log. Returns whether it was open."""
        with self._engine.begin() as connection:
            still = (ACCOUNTS.c.identifiant == login) & ACCOUNTS.c.ferme_le.is_(None)
            known = connection.execute(select(ACCOUNTS.c.id).where(still)).scalar()
            connection.execute(update(ACCOUNTS).where(still).values(ferme_le=now()))
            connection.execute(delete(SESSIONS).where(SESSIONS.c.compte == known))
        return known is not None

    def all(self) -> list[dict[str, Any]]:
        """Every account, without its password."""
        query = select(ACCOUNTS.c.identifiant, ACCOUNTS.c.nom, ACCOUNTS.c.role, ACCOUNTS.c.ferme_le)
        with self._engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(query.order_by(ACCOUNTS.c.identifiant))]

    # ── sessions ──

    def check(self, login: str, password: str) -> Account | None:
        """The open account with this login and password, if there is one."""
        query = select(ACCOUNTS).where(ACCOUNTS.c.identifiant == login, ACCOUNTS.c.ferme_le.is_(None))
        with self._engine.begin() as connection:
            found = connection.execute(query).first()
        try:
            _HASHER.verify(found.mot_de_passe if found else _NOBODY, password[:LONGEST_PASSWORD])
        except (VerificationError, InvalidHashError):
            return None
        return _account(found) if found else None

    def open_session(self, account: Account) -> str:
        """A new session: the token that its cookie carries; only a digest of it is kept."""
        token = secrets.token_urlsafe(32)
        row = {
            "empreinte": digest(token),
            "compte": account.id,
            "expire_le": now() + timedelta(hours=SESSION_HOURS),
        }
        with self._engine.begin() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expire_le < now()))
            connection.execute(SESSIONS.insert().values(**row))
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account.id).values(vu_le=now()))
        return token

    def account_of(self, token: str) -> Account | None:
        """Whose session it is; None where it is unknown, over, or its account closed."""
        query = (
            select(ACCOUNTS)
            .join(SESSIONS, SESSIONS.c.compte == ACCOUNTS.c.id)
            .where(SESSIONS.c.empreinte == digest(token), SESSIONS.c.expire_le > now(), ACCOUNTS.c.ferme_le.is_(None))
        )
        with self._engine.begin() as connection:
            found = connection.execute(query).first()
        return _account(found) if found else None

    def close_session(self, token: str) -> None:
        """End a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.empreinte == digest(token)))

    def seen(self, accounts: Iterable[int]) -> None:
        """These have a page of the console open now."""
        with self._engine.begin() as connection:
            connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id.in_(list(accounts))).values(vu_le=now()))

    # ── the log ──

    def note(self, account: Account | int, action: str, conversation: str | None = None) -> None:
        """Write in the log what an account did, on which conversation if it is still kept."""
        who = account if isinstance(account, int) else account.id
        kept = select(CONVERSATIONS.c.conversation).where(CONVERSATIONS.c.conversation == conversation)
        row = {"le": now(), "compte": who, "action": action, "conversation": kept.scalar_subquery()}
        with self._engine.begin() as connection:
            connection.execute(AUDIT.insert().values(**row))

    def audit(self) -> list[dict[str, Any]]:
        """The last lines of the log, the newest first: `le`, `nom`, `action`, `conversation`, `reference`."""
        query = (
            select(AUDIT.c.le, ACCOUNTS.c.nom, AUDIT.c.action, AUDIT.c.conversation, REFERENCES.c.reference)
            .join(ACCOUNTS, ACCOUNTS.c.id == AUDIT.c.compte)
            .outerjoin(REFERENCES, REFERENCES.c.conversation == AUDIT.c.conversation)
            .order_by(AUDIT.c.id.desc())
            .limit(AUDIT_PAGE)
        )
        with self._engine.begin() as connection:
            return [{**row._mapping, "le": moment(row.le)} for row in connection.execute(query)]

    def purge(self) -> None:
        """Forget the lines of the log older than a year, and the sessions that are over."""
        with self._engine.begin() as connection:
            connection.execute(delete(AUDIT).where(AUDIT.c.le < now() - timedelta(days=AUDIT_DAYS)))
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expire_le < now()))


def _account(row: Any) -> Account:
    return Account(row.id, row.identifiant, row.nom, row.role)

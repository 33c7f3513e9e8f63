"""The tables of the door and of the console, beside Rasa's own `events`. What each keeps about a person, why and how
long: `docs/donnees-personnelles.md`. How a database comes to have them: `migrations/`.
"""

from __future__ import annotations

import os
import unicodedata
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, Column, DateTime, Float, ForeignKey, Index, Integer, String, Table, Text, column, table

from actions.references import METADATA

ZONE = ZoneInfo(os.environ.get("BON_MOMENT_FUSEAU", "Europe/Paris"))
"""The zone in which the staff read hours and days."""
WORKSHOP = "atelier-"
"""How the name of a conversation held in a workshop begins: it never is among those of prospects."""
LONGEST_EXCERPT = 200
"""Characters of the last message shown in the console's list."""

# One row for each conversation begun through the door: what the console's list shows of it without reading it whole.
CONVERSATIONS = Table(
    "bon_moment_conversations",
    METADATA,
    Column("conversation", String(255), primary_key=True),
    Column("ouverte_le", DateTime(timezone=True), nullable=False),
    Column("origine", String(12), nullable=False, server_default="web"),  # `web` or `telephone`
    Column("dernier_le", DateTime(timezone=True)),
    Column("dernier_de", String(12)),  # `visiteur`, `guide` or `conseiller`
    Column("dernier_texte", String(LONGEST_EXCERPT)),
    Column("visiteur_le", DateTime(timezone=True)),  # The visitor's last message.
    Column("lu_le", DateTime(timezone=True)),  # When one of the staff last had it open.
    Column("question", String(40)),  # The slot of the open question; none after the verdict.
    Column("rang", Integer),
    Column("total", Integer),
    Column("verdict", String(60)),
    Column("verdict_le", DateTime(timezone=True)),
    Column("demande_le", DateTime(timezone=True)),  # The visitor asks for a person, who has not come yet.
    Column("demandee_le", DateTime(timezone=True)),  # The first time that the visitor asked.
    Column("pris_par", Integer, ForeignKey("bon_moment_comptes.id")),
    Column("pris_le", DateTime(timezone=True)),
    Column("premiere_prise_le", DateTime(timezone=True)),
    Column("issue", String(20)),
    Column("issue_le", DateTime(timezone=True)),
    Column("recherche", Text, nullable=False, server_default=""),  # What the visitor typed, folded.
    Index("ix_bon_moment_conversations_dernier_le", "dernier_le"),
)
CALL_BACKS = Table(
    "bon_moment_rappels",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("conversation", String(255), nullable=False, index=True),
    Column("nom", String(120), nullable=False),
    Column("joindre", String(160), nullable=False),
    Column("message", Text, nullable=False),
    Column("consentement_le", DateTime(timezone=True), nullable=False),
    Column("etat", String(20), nullable=False),
    Column("traite_par", Integer, ForeignKey("bon_moment_comptes.id")),
    Column("traite_le", DateTime(timezone=True)),
)
OPINIONS = Table(
    "bon_moment_avis",
    METADATA,
    Column("conversation", String(255), primary_key=True),
    Column("verdict", String(60), nullable=False),
    Column("utile", Boolean, nullable=False),
    Column("donne_le", DateTime(timezone=True), nullable=False),
)
# The codes that open a conversation on another device: only a digest is kept, one a conversation.
CODES = Table(
    "bon_moment_reprises",
    METADATA,
    Column("conversation", String(255), primary_key=True),
    Column("empreinte", String(64), nullable=False, unique=True),
    Column("expire_le", DateTime(timezone=True), nullable=False),
)
NOT_UNDERSTOOD = Table(
    "bon_moment_non_compris",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("conversation", String(255), nullable=False, index=True),
    Column("le", DateTime(timezone=True), nullable=False),
    Column("question", String(40)),  # The slot of the question then open.
    Column("texte", Text, nullable=False),
    Column("pris_pour", String(60)),
    Column("certitude", Float),  # From 0 to 1.
    Column("sens", String(80)),  # What the staff say it meant: see `web.followup`.
    Column("sens_par", Integer, ForeignKey("bon_moment_comptes.id")),
    Column("sens_le", DateTime(timezone=True)),
)
NOTES = Table(
    "bon_moment_notes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("conversation", String(255), nullable=False, index=True),
    Column("compte", Integer, ForeignKey("bon_moment_comptes.id"), nullable=False),
    Column("texte", Text, nullable=False),
    Column("le", DateTime(timezone=True), nullable=False),
)

# The workshops: a room, and each conversation held in it or on the trainer's screen. None is in `CONVERSATIONS`.
ROOMS = Table(
    "bon_moment_salles",
    METADATA,
    Column("code", String(12), primary_key=True),
    Column("compte", Integer, ForeignKey("bon_moment_comptes.id"), nullable=False),
    Column("ouverte_le", DateTime(timezone=True), nullable=False),
    Column("montre", Boolean, nullable=False),  # Whether the screen shows the spread of the answers.
    Column("question", String(40)),  # The slot of the question that is asked to the whole room.
    Column("terminee_le", DateTime(timezone=True)),
    Column("gardees", Text),  # Once it has ended, if the trainer keeps them: the answers of each, in no order, as JSON.
)
PARTICIPANTS = Table(
    "bon_moment_participants",
    METADATA,
    Column("conversation", String(255), primary_key=True),
    Column("salle", String(12), ForeignKey("bon_moment_salles.code"), index=True),  # None on the trainer's screen.
    Column("ouverte_le", DateTime(timezone=True), nullable=False),
    Column("reponses", Text, nullable=False),  # As JSON.
)

# The staff.
ACCOUNTS = Table(
    "bon_moment_comptes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("identifiant", String(60), nullable=False, unique=True),
    Column("nom", String(80), nullable=False),  # As visitors read it.
    Column("role", String(12), nullable=False),  # `conseiller` or `formateur`
    Column("mot_de_passe", Text, nullable=False),
    Column("cree_le", DateTime(timezone=True), nullable=False),
    Column("ferme_le", DateTime(timezone=True)),
    Column("vu_le", DateTime(timezone=True)),  # When a page of the console was last open.
)
SESSIONS = Table(
    "bon_moment_sessions",
    METADATA,
    Column("empreinte", String(64), primary_key=True),
    Column("compte", Integer, ForeignKey("bon_moment_comptes.id"), nullable=False),
    Column("expire_le", DateTime(timezone=True), nullable=False),
)
AUDIT = Table(
    "bon_moment_journal",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("le", DateTime(timezone=True), nullable=False),
    Column("compte", Integer, ForeignKey("bon_moment_comptes.id"), nullable=False),
    Column("action", String(30), nullable=False),
    Column("conversation", String(255), index=True),  # Emptied when the conversation is erased.
)

# Rasa's own table, as far as the door knows it.
EVENTS = table("events", column("id"), column("sender_id"), column("timestamp"), column("data"))


def is_workshop(conversation: str) -> bool:
    """Whether the conversation is held in a workshop."""
    return conversation.startswith(WORKSHOP)


def now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(timezone.utc)


def moment(kept: datetime | None) -> datetime | None:
    """A moment read from the database, with its zone: SQLite forgets it."""
    return kept.replace(tzinfo=timezone.utc) if kept is not None and kept.tzinfo is None else kept


def folded(text: str) -> str:
    """`text` for a search: small letters, no accents, single blanks."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())

"""The tables of the door before the console: made at start by earlier versions, hence perhaps there already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    if "bon_moment_references" not in (tables := sa.inspect(op.get_bind()).get_table_names()):
        op.create_table(
            "bon_moment_references",
            sa.Column("reference", sa.String(9), primary_key=True),
            sa.Column("conversation", sa.String(255), unique=True, nullable=False),
            sa.Column("creee_le", sa.DateTime(timezone=True), nullable=False),
        )
    if "bon_moment_conversations" not in tables:
        op.create_table(
            "bon_moment_conversations",
            sa.Column("conversation", sa.String(255), primary_key=True),
            sa.Column("ouverte_le", sa.DateTime(timezone=True), nullable=False),
        )
    if "bon_moment_rappels" not in tables:
        op.create_table(
            "bon_moment_rappels",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("conversation", sa.String(255), nullable=False, index=True),
            sa.Column("nom", sa.String(120), nullable=False),
            sa.Column("joindre", sa.String(160), nullable=False),
            sa.Column("message", sa.Text, nullable=False),
            sa.Column("consentement_le", sa.DateTime(timezone=True), nullable=False),
            sa.Column("etat", sa.String(20), nullable=False),
        )
    if "bon_moment_avis" not in tables:
        op.create_table(
            "bon_moment_avis",
            sa.Column("conversation", sa.String(255), primary_key=True),
            sa.Column("verdict", sa.String(60), nullable=False),
            sa.Column("utile", sa.Boolean, nullable=False),
            sa.Column("donne_le", sa.DateTime(timezone=True), nullable=False),
        )
    if "bon_moment_reprises" not in tables:
        op.create_table(
            "bon_moment_reprises",
            sa.Column("conversation", sa.String(255), primary_key=True),
            sa.Column("empreinte", sa.String(64), nullable=False, unique=True),
            sa.Column("expire_le", sa.DateTime(timezone=True), nullable=False),
        )

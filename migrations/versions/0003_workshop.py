"""The workshops: rooms, and the conversations held in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "bon_moment_salles",
        sa.Column("code", sa.String(12), primary_key=True),
        sa.Column("compte", sa.Integer, sa.ForeignKey("bon_moment_comptes.id"), nullable=False),
        sa.Column("ouverte_le", sa.DateTime(timezone=True), nullable=False),
        sa.Column("montre", sa.Boolean, nullable=False),
        sa.Column("question", sa.String(40)),
        sa.Column("terminee_le", sa.DateTime(timezone=True)),
        sa.Column("gardees", sa.Text),
    )
    op.create_table(
        "bon_moment_participants",
        sa.Column("conversation", sa.String(255), primary_key=True),
        sa.Column("salle", sa.String(12), sa.ForeignKey("bon_moment_salles.code"), index=True),
        sa.Column("ouverte_le", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reponses", sa.Text, nullable=False),
    )

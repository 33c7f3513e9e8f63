"""The console: staff, their sessions and what they did; what its list shows of a conversation; notes; what was not
understood.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def moment(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def account(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.Integer, sa.ForeignKey("bon_moment_comptes.id", name=f"fk_{name}"), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "bon_moment_comptes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("identifiant", sa.String(60), nullable=False, unique=True),
        sa.Column("nom", sa.String(80), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("mot_de_passe", sa.Text, nullable=False),
        moment("cree_le", nullable=False),
        moment("ferme_le"),
        moment("vu_le"),
    )
    op.create_table(
        "bon_moment_sessions",
        sa.Column("empreinte", sa.String(64), primary_key=True),
        account("compte", nullable=False),
        moment("expire_le", nullable=False),
    )
    op.create_table(
        "bon_moment_journal",
        sa.Column("id", sa.Integer, primary_key=True),
        moment("le", nullable=False),
        account("compte", nullable=False),
        sa.Column("action", sa.String(30), nullable=False),
        sa.Column("conversation", sa.String(255), index=True),
    )
    op.create_table(
        "bon_moment_notes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("conversation", sa.String(255), nullable=False, index=True),
        account("compte", nullable=False),
        sa.Column("texte", sa.Text, nullable=False),
        moment("le", nullable=False),
    )
    op.create_table(
        "bon_moment_non_compris",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("conversation", sa.String(255), nullable=False, index=True),
        moment("le", nullable=False),
        sa.Column("question", sa.String(40)),
        sa.Column("texte", sa.Text, nullable=False),
        sa.Column("pris_pour", sa.String(60)),
        sa.Column("certitude", sa.Float),
        sa.Column("sens", sa.String(80)),
        account("sens_par"),
        moment("sens_le"),
    )
    with op.batch_alter_table("bon_moment_conversations") as table:
        table.add_column(sa.Column("origine", sa.String(12), nullable=False, server_default="web"))
        for name in ("dernier_le", "visiteur_le", "lu_le", "verdict_le", "demande_le", "demandee_le", "pris_le"):
            table.add_column(moment(name))
        table.add_column(sa.Column("dernier_de", sa.String(12)))
        table.add_column(sa.Column("dernier_texte", sa.String(200)))
        table.add_column(sa.Column("question", sa.String(40)))
        table.add_column(sa.Column("rang", sa.Integer))
        table.add_column(sa.Column("total", sa.Integer))
        table.add_column(sa.Column("verdict", sa.String(60)))
        table.add_column(account("pris_par"))
        table.add_column(moment("premiere_prise_le"))
        table.add_column(sa.Column("issue", sa.String(20)))
        table.add_column(moment("issue_le"))
        table.add_column(sa.Column("recherche", sa.Text, nullable=False, server_default=""))
        table.create_index("ix_bon_moment_conversations_dernier_le", ["dernier_le"])
    with op.batch_alter_table("bon_moment_rappels") as table:
        table.add_column(account("traite_par"))
        table.add_column(moment("traite_le"))

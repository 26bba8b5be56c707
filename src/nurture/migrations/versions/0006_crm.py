"""What a CRM was told of leads, and how far we are with it."""

import sqlalchemy as sa
from alembic import op

from nurture.records.types import BigKey, Document, Instant

revision, down_revision = "0006", "0005"


def upgrade() -> None:
    op.create_table(
        "crm_link",
        sa.Column("our_key", sa.String(), nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("their_id", sa.String(), nullable=True),
        sa.Column("told", sa.String(), nullable=True),
        sa.Column("told_at", Instant(), nullable=True),
        sa.Column("tried", sa.String(), nullable=True),
        sa.Column("next_at", Instant(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("deal_id", sa.String(), nullable=True),
        sa.Column("heard", Document, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("heard_at", Instant(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_crm_link_lead_id_lead")),
        sa.PrimaryKeyConstraint("our_key", name=op.f("pk_crm_link")),
    )
    op.create_index("ix_crm_link_their_id", "crm_link", ["their_id"])
    op.create_index("ix_crm_link_lead_id", "crm_link", ["lead_id"])
    op.create_index(op.f("ix_crm_link_deal_id"), "crm_link", ["deal_id"])
    op.create_table(
        "crm_state",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("whole_at", Instant(), nullable=True),
        sa.Column("next_at", Instant(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_crm_state")),
    )
    tellable = sa.text("stage NOT IN ('subscriber', 'lead') OR owner IS NOT NULL")
    op.create_index(
        "ix_lead_tellable", "lead", ["changed_at"], postgresql_where=tellable, sqlite_where=tellable
    )  # fmt: skip

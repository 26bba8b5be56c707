"""Holds, what came back, who decided what; a claim's holder alone is the fence, so its token goes."""

import sqlalchemy as sa
from alembic import op

from nurture.records.types import BigKey, Document, Instant

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("version_id", BigKey, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("audience", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=True),
        sa.Column("until", Instant(), nullable=True),
        sa.Column("figures", Document, nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["version_id"], ["sequence_version.id"], name=op.f("fk_hold_version_id_sequence_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index("ix_hold_version", "hold", ["version_id"])
    partial("ix_hold_open", "hold", ["sequence"], "answered_at IS NULL")
    op.create_table(
        "volume",
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", "day", name=op.f("pk_volume")),
    )
    op.create_table(
        "inbound",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("touch_id", BigKey, nullable=True),
        sa.Column("lead_id", BigKey, nullable=True),
        sa.Column("severity", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound")),
        sa.UniqueConstraint("digest", name=op.f("uq_inbound_digest")),
    )
    op.create_index("ix_inbound_touch", "inbound", ["touch_id"])
    op.create_index("ix_inbound_received", "inbound", ["received_at"])
    op.create_table(
        "audit",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", Document, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.add_column("touch", sa.Column("resent_at", Instant(), nullable=True))
    op.drop_column("touch", "lease_token")  # both databases drop it in place: the triggers stay
    partial("ix_touch_held", "touch", ["sequence", "version_id"], "state = 'held'")
    partial("ix_touch_resent", "touch", ["version_id"], "resent_at IS NOT NULL AND next_at IS NOT NULL")
    partial("ix_touch_uncertain", "touch", ["ended_at"], "state = 'uncertain'")


def partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))

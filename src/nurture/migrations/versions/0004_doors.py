"""Visitors, keys, wishes, confirmations, and what a lead was called before."""

import sqlalchemy as sa
from alembic import op

from nurture.records.types import BigKey, Document, Instant

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )
    op.create_table(
        "erasure",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("counts", Document, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )
    op.create_index("ix_erasure_digest", "erasure", ["digest"])

    op.create_table(
        "confirmation",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("purposes", Document, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("wording", Document, nullable=False),
        sa.Column("evidence", Document, nullable=False),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("confirmed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_confirmation_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmation")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_confirmation_lead", "confirmation", ["lead_id", "asked_at"])

    op.create_table(
        "lead_alias",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_lead_alias_lead_id_lead")),
        sa.PrimaryKeyConstraint("kind", "source", "value", name=op.f("pk_lead_alias")),
    )
    op.create_index("ix_lead_alias_lead", "lead_alias", ["lead_id"])

    op.create_table(
        "lead_merge",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("gone_id", BigKey, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("detail", Document, nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_lead_merge_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead_merge")),
        sa.UniqueConstraint("gone_id", name=op.f("uq_lead_merge_gone_id")),
    )
    op.create_index("ix_lead_merge_lead", "lead_merge", ["lead_id"])

    op.create_table(
        "objection",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_objection_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "kind", name=op.f("pk_objection")),
    )
    op.create_table(
        "preference",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("every_days", sa.Integer(), nullable=True),
        sa.Column("paused_until", Instant(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_preference_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", name=op.f("pk_preference")),
    )
    op.create_table(
        "refused_topic",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_refused_topic_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "topic", name=op.f("pk_refused_topic")),
    )
    op.create_table(
        "visitor",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("lead_id", BigKey, nullable=True),
        sa.Column("first_seen_at", Instant(), nullable=False),
        sa.Column("last_seen_at", Instant(), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_visitor_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visitor")),
        sa.UniqueConstraint("key", name=op.f("uq_visitor_key")),
    )
    op.create_index(
        "ix_visitor_lead",
        "visitor",
        ["lead_id"],
        postgresql_where=sa.text("lead_id IS NOT NULL"),
        sqlite_where=sa.text("lead_id IS NOT NULL"),
    )
    op.create_index("ix_visitor_seen", "visitor", ["last_seen_at"])

    op.create_table(
        "visit",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("visitor_id", BigKey, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("classed_by", sa.String(), nullable=True),
        sa.Column("data", Document, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["visitor_id"], ["visitor.id"], name=op.f("fk_visit_visitor_id_visitor")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_visit_source_key")),
    )
    op.create_index("ix_visit_recorded", "visit", ["recorded_at"])
    op.create_index("ix_visit_visitor", "visit", ["visitor_id"])
    op.create_index("ix_event_occurred", "event", ["occurred_at"])

    op.add_column("consent", sa.Column("withdrawn_by", sa.String(), nullable=True))
    op.add_column("consent", sa.Column("confirmed_at", Instant(), nullable=True))
    op.add_column("consent", sa.Column("evidence", Document, server_default=sa.text("'{}'"), nullable=False))

    op.add_column("lead", sa.Column("forgotten_at", Instant(), nullable=True))

    op.add_column("audience_member", sa.Column("hashes", Document, nullable=True))

    op.add_column("inbound", sa.Column("source", sa.String(), server_default=sa.text("'mail'"), nullable=False))

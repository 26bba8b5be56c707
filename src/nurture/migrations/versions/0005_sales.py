"""Groups of rules, hand-offs with terms and answers, statuses with a history, accounts."""

import sqlalchemy as sa
from alembic import op

from nurture.dialects import database_clock
from nurture.records.types import BigKey, Instant

revision, down_revision = "0005", "0004"


def upgrade() -> None:
    _scores()
    _handoffs()
    _accounts()
    op.create_table(
        "status_change",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("from_status", sa.String(), nullable=False),
        sa.Column("to_status", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_status_change_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_change")),
    )
    op.create_index("ix_status_change_lead", "status_change", ["lead_id", "at"])


def _scores() -> None:
    op.add_column("lead", sa.Column("scored_zone", sa.String(), nullable=True))
    op.execute("UPDATE lead SET scored_zone = zone WHERE zone IS NOT NULL")
    op.add_column("score_entry", sa.Column("group_name", sa.String(), server_default=sa.text("''"), nullable=False))
    op.add_column("score_entry", sa.Column("expires_at", Instant(), nullable=True))
    expires = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "ix_score_entry_expires", "score_entry", ["lead_id", "expires_at"], postgresql_where=expires,
        sqlite_where=expires,
    )  # fmt: skip
    op.add_column("score_entry", sa.Column("in_total", sa.Integer(), nullable=True))
    limited = sa.text("in_total IS NOT NULL")
    for name, columns in (("order", ["lead_id", "rule", "at"]), ("counted", ["lead_id", "rule", "counted", "at"])):
        op.create_index(
            f"ix_score_entry_{name}", "score_entry", columns, postgresql_where=limited, sqlite_where=limited
        )  # fmt: skip
    op.drop_index("ix_score_entry_day", "score_entry")
    op.create_index("ix_score_entry_day", "score_entry", ["lead_id", "rule", "day", "at"])
    if op.get_bind().dialect.name == "postgresql":  # where no two constraints with an index may be called alike
        op.execute("ALTER TABLE score_sum RENAME CONSTRAINT pk_score_sum TO pk_score_sum_old")
    op.create_table(
        "score_sum_new",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("half_life_hours", sa.Float(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("at_least", sa.Float(), nullable=True),
        sa.Column("at_most", sa.Float(), nullable=True),
        sa.Column("in_all_at_most", sa.Float(), nullable=True),
        sa.Column("as_of", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_score_sum_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "group_name", "half_life_hours", name=op.f("pk_score_sum")),
    )
    op.execute(
        "INSERT INTO score_sum_new (lead_id, group_name, half_life_hours, total, as_of) "
        "SELECT lead_id, '', half_life_hours, total, as_of FROM score_sum"
    )
    op.drop_table("score_sum")
    op.rename_table("score_sum_new", "score_sum")


def _handoffs() -> None:
    for column in (
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("entrance", sa.String(), server_default=sa.text("'marketing'"), nullable=False),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("routed_by", sa.String(), nullable=True),
        sa.Column("next_at", Instant(), nullable=True),
        sa.Column("reminded_at", Instant(), nullable=True),
        sa.Column("escalated_at", Instant(), nullable=True),
        sa.Column("instead_of", BigKey, nullable=True),
        sa.Column("progress", sa.String(), nullable=True),
        sa.Column("progress_at", Instant(), nullable=True),
        sa.Column("lost_reason", sa.String(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
    ):
        op.add_column("handoff", column)
    timed = sa.text("next_at IS NOT NULL")
    op.create_index("ix_handoff_next", "handoff", ["next_at"], postgresql_where=timed, sqlite_where=timed)
    # What was open before sales had terms is looked at when its deadline comes; what is late by more than a day stays
    # with whom it is, for it was agreed with nobody that it goes to somebody else.
    handoff = sa.table("handoff", sa.column("state"), sa.column("deadline_at", sa.BigInteger), sa.column("next_at"))
    day = 86_400_000_000
    late = handoff.c.deadline_at < sa.type_coerce(database_clock(), sa.BigInteger) - day
    op.execute(sa.update(handoff).where(handoff.c.state == "open", ~late).values(next_at=handoff.c.deadline_at))
    op.create_table(
        "handoff_answer",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("handoff_id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["handoff_id"], ["handoff.id"], name=op.f("fk_handoff_answer_handoff_id_handoff")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_handoff_answer_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handoff_answer")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_handoff_answer_source_key")),
    )
    op.create_index("ix_handoff_answer_lead", "handoff_answer", ["lead_id", "at"])
    op.create_index("ix_handoff_answer_handoff", "handoff_answer", ["handoff_id"])
    op.execute(
        "INSERT INTO handoff_answer (handoff_id, lead_id, answer, at, by, reason, source, key) "
        "SELECT id, lead_id, state, answered_at, answered_by, reason, 'before', CAST(id AS VARCHAR) FROM handoff "
        "WHERE state IN ('accepted', 'rejected') AND answered_at IS NOT NULL AND answered_by IS NOT NULL"
    )
    op.drop_table("routing_turn")
    op.create_table(
        "routing_share",
        sa.Column("ring", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("owed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ring", "person", name=op.f("pk_routing_share")),
    )
    op.create_table(
        "absence",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("noted_at", Instant(), nullable=False),
        sa.Column("noted_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absence")),
    )
    op.create_index(op.f("ix_absence_person"), "absence", ["person"])


def _accounts() -> None:
    op.create_table(
        "mail_domain",
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_mail_domain")),
    )
    op.create_table(
        "account",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("since", Instant(), nullable=True),
        sa.Column("cause", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_account")),
    )
    op.add_column("lead", sa.Column("account", sa.String(), nullable=True))
    op.add_column("lead", sa.Column("account_score", sa.Integer(), nullable=True))
    there = sa.text("account IS NOT NULL")
    op.create_index("ix_lead_account", "lead", ["account"], postgresql_where=there, sqlite_where=there)
    # Everybody is looked at once: a lead's account is derived when it is settled.
    now = database_clock().compile(dialect=op.get_bind().dialect)
    op.execute(
        f"INSERT INTO work (lead_id, due_at) SELECT id, {now} FROM lead WHERE forgotten_at IS NULL "
        "ON CONFLICT (lead_id) DO UPDATE SET due_at = excluded.due_at WHERE work.due_at > excluded.due_at"
    )

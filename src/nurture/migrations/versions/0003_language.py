"""Paths through a sequence, arms of experiments, queues at a day's limit, static lists, tasks."""

import sqlalchemy as sa
from alembic import op

from nurture.records.types import BigKey, Document, Instant

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.add_column("enrolment", sa.Column("path", sa.String(), nullable=False, server_default=sa.text("''")))
    op.execute("UPDATE enrolment SET path = '/' || step || '/' WHERE step IS NOT NULL")
    op.add_column("touch", sa.Column("arm", sa.String(), nullable=True))
    armed = sa.text("arm IS NOT NULL")
    arms = ["sequence", "step", "version_id"]
    op.create_index("ix_touch_arm", "touch", arms, postgresql_where=armed, sqlite_where=armed)
    op.create_table(
        "enrolment_queue",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_enrolment_queue_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "sequence", name=op.f("pk_enrolment_queue")),
    )
    op.create_index("ix_enrolment_queue_since", "enrolment_queue", ["sequence", "since", "lead_id"])
    op.create_table(
        "enrolment_day",
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("enrolled", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", "day", name=op.f("pk_enrolment_day")),
    )
    op.create_table(
        "lead_list",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("list", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_lead_list_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "list", name=op.f("pk_lead_list")),
    )
    op.create_table(
        "task",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("enrolment_id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("version_id", BigKey, nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("done_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_task_lead_id_lead")),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolment.id"], name=op.f("fk_task_enrolment_id_enrolment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("enrolment_id", "step", "occurrence", name=op.f("uq_task_enrolment_id_step_occurrence")),
    )
    op.create_index("ix_task_lead", "task", ["lead_id"])
    undone = sa.text("done_at IS NULL")
    op.create_index("ix_task_undone", "task", ["owner"], postgresql_where=undone, sqlite_where=undone)
    op.create_table(
        "webhook_body",
        sa.Column("touch_id", BigKey, nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("touch_id", name=op.f("pk_webhook_body")),
    )
    op.create_table(
        "experiment",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("arms_hash", sa.String(), nullable=False),
        sa.Column("looked_at", Instant(), nullable=False),
        sa.Column("winner", sa.String(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("figures", Document, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
        sa.UniqueConstraint("sequence", "step", "arms_hash", name=op.f("uq_experiment_sequence_step_arms_hash")),
    )

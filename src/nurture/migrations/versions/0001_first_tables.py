"""The first tables, and the trigger that lets a touch change its state only where the state machine allows it."""

import sqlalchemy as sa
from alembic import op

from nurture.records.types import BigKey, Document, Instant

revision, down_revision = "0001", None


#: From each state of a touch, where it may go; end states lead nowhere.
ALLOWED = {
    "planned": ["claimed", "held", "cancelled", "suppressed", "expired"],
    "held": ["planned", "cancelled", "expired", "suppressed"],
    "claimed": ["planned", "sending", "suppressed", "held", "retry_wait", "failed", "cancelled", "expired"],
    "sending": ["sent", "retry_wait", "failed", "uncertain", "planned"],
    "retry_wait": ["claimed", "planned", "expired", "suppressed", "cancelled"],
    "uncertain": ["sent", "planned"],
}
PAIRS = ", ".join(f"'{old}>{new}'" for old, news in ALLOWED.items() for new in news)


def upgrade() -> None:
    tables()
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"""
            CREATE TRIGGER touch_state BEFORE UPDATE OF state ON touch
            WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({PAIRS})
            BEGIN SELECT RAISE(ABORT, 'a touch may not change its state so'); END""")
        op.execute("""
            CREATE TRIGGER touch_begins BEFORE INSERT ON touch WHEN NEW.state <> 'planned'
            BEGIN SELECT RAISE(ABORT, 'a touch begins as planned'); END""")
        return
    op.execute("""
        CREATE FUNCTION refuse_touch_state() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'a touch may not change its state so: % %', TG_OP, NEW.state; END $$""")
    op.execute(f"""
        CREATE TRIGGER touch_state BEFORE UPDATE OF state ON touch FOR EACH ROW
        WHEN (OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({PAIRS}))
        EXECUTE FUNCTION refuse_touch_state()""")
    op.execute("""
        CREATE TRIGGER touch_begins BEFORE INSERT ON touch FOR EACH ROW
        WHEN (NEW.state <> 'planned') EXECUTE FUNCTION refuse_touch_state()""")


def tables() -> None:
    op.create_table(
        "control",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_control")),
    )
    op.create_table(
        "lead",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("source_id", sa.String(), nullable=True),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("company", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("zone", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("fields", Document, nullable=False),
        sa.Column("folded", Document, nullable=False),
        sa.Column("rests_until", Instant(), nullable=True),
        sa.Column("fit", sa.Integer(), nullable=True),
        sa.Column("fit_points", sa.Float(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead")),
        sa.UniqueConstraint("email", name=op.f("uq_lead_email")),
        sa.UniqueConstraint("source", "source_id", name=op.f("uq_lead_source_source_id")),
    )
    with op.batch_alter_table("lead", schema=None) as batch_op:
        batch_op.create_index("ix_lead_stage", ["stage"], unique=False)

    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "opening",
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("opens", Instant(), nullable=False),
        sa.Column("closes", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("window", "zone", "country", "opens", name=op.f("pk_opening")),
    )
    with op.batch_alter_table("opening", schema=None) as batch_op:
        batch_op.create_index("ix_opening_closes", ["window", "zone", "country", "closes"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("row_id", BigKey, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("next_at", Instant(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("done_at", Instant(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("kind", "row_id", name=op.f("uq_outbox_kind_row_id")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_due", ["next_at"], unique=False)

    op.create_table(
        "program_version",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("files", Document, nullable=False),
        sa.Column("published_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_program_version")),
        sa.UniqueConstraint("number", name=op.f("uq_program_version_number")),
    )
    op.create_table(
        "routing_turn",
        sa.Column("ring", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("ring", name=op.f("pk_routing_turn")),
    )
    op.create_table(
        "sequence_version",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("files", Document, nullable=False),
        sa.Column("published_at", Instant(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sequence_version")),
        sa.UniqueConstraint("sequence", "number", name=op.f("uq_sequence_version_sequence_number")),
    )
    op.create_table(
        "suppression",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression")),
        sa.UniqueConstraint("kind", "value", name=op.f("uq_suppression_kind_value")),
    )
    op.create_table(
        "zone_span",
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("utc_from", BigKey, nullable=False),
        sa.Column("utc_to", BigKey, nullable=False),
        sa.Column("local_from", BigKey, nullable=False),
        sa.Column("local_to", BigKey, nullable=False),
        sa.Column("offset", BigKey, nullable=False),
        sa.PrimaryKeyConstraint("zone", "utc_from", name=op.f("pk_zone_span")),
    )
    op.create_table(
        "audience_member",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("audience", sa.String(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=True),
        sa.Column("enrolment_id", BigKey, nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_audience_member_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "audience", name=op.f("pk_audience_member")),
    )
    with op.batch_alter_table("audience_member", schema=None) as batch_op:
        batch_op.create_index("ix_audience_member_enrolment", ["enrolment_id"], unique=False)
        batch_op.create_index(
            "ix_audience_member_out",
            ["audience", "lead_id"],
            unique=False,
            postgresql_where=sa.text("NOT wanted"),
            sqlite_where=sa.text("NOT wanted"),
        )

    op.create_table(
        "consent",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("wording", sa.String(), nullable=True),
        sa.Column("given_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_consent_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index("ix_consent_lead", ["lead_id", "purpose"], unique=False)

    op.create_table(
        "enrolment",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("version_id", BigKey, nullable=False),
        sa.Column("rotation", sa.Integer(), nullable=False),
        sa.Column("enrolled_by", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=True),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("deadline_at", Instant(), nullable=True),
        sa.Column("listening", sa.Boolean(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("claim", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_enrolment_lead_id_lead")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["sequence_version.id"], name=op.f("fk_enrolment_version_id_sequence_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment")),
        sa.UniqueConstraint("lead_id", "sequence", "rotation", name=op.f("uq_enrolment_lead_id_sequence_rotation")),
    )
    with op.batch_alter_table("enrolment", schema=None) as batch_op:
        batch_op.create_index(
            "ix_enrolment_claim",
            ["claim"],
            unique=False,
            postgresql_where=sa.text("claim IS NOT NULL"),
            sqlite_where=sa.text("claim IS NOT NULL"),
        )
        batch_op.create_index("ix_enrolment_due", ["sequence", "due_at", "version_id", "step"], unique=False)
        batch_op.create_index(
            "ix_enrolment_version",
            ["version_id"],
            unique=False,
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "uq_enrolment_live",
            ["lead_id", "sequence"],
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "event",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("ripe_at", Instant(), nullable=False),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("classed_by", sa.String(), nullable=True),
        sa.Column("data", Document, nullable=False),
        sa.Column("touch_id", BigKey, nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_event_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_event_source_key")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_lead_name", ["lead_id", "name", "occurred_at"], unique=False)
        batch_op.create_index(
            "ix_event_touch",
            ["touch_id"],
            unique=False,
            postgresql_where=sa.text("touch_id IS NOT NULL"),
            sqlite_where=sa.text("touch_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_event_unsettled",
            ["lead_id"],
            unique=False,
            postgresql_where=sa.text("settled_at IS NULL"),
            sqlite_where=sa.text("settled_at IS NULL"),
        )

    op.create_table(
        "handoff",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("milestone", sa.String(), nullable=False),
        sa.Column("sequence", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("fit", sa.Integer(), nullable=True),
        sa.Column("stage_before", sa.String(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("deadline_at", Instant(), nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.Column("program_version_id", BigKey, nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_handoff_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handoff")),
        sa.UniqueConstraint("lead_id", "cycle", name=op.f("uq_handoff_lead_id_cycle")),
    )
    with op.batch_alter_table("handoff", schema=None) as batch_op:
        batch_op.create_index("ix_handoff_owner", ["owner", "state"], unique=False)
        batch_op.create_index(
            "uq_handoff_open",
            ["lead_id"],
            unique=True,
            postgresql_where=sa.text("state = 'open'"),
            sqlite_where=sa.text("state = 'open'"),
        )

    op.create_table(
        "holding",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_holding_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "rule", name=op.f("pk_holding")),
    )
    op.create_table(
        "lead_tag",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_lead_tag_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "tag", name=op.f("pk_lead_tag")),
    )
    op.create_table(
        "milestone",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("reached_at", Instant(), nullable=False),
        sa.Column("event_id", BigKey, nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("handoff_id", BigKey, nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_milestone_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_milestone")),
        sa.UniqueConstraint("lead_id", "name", "event_id", name=op.f("uq_milestone_lead_id_name_event_id")),
    )
    with op.batch_alter_table("milestone", schema=None) as batch_op:
        batch_op.create_index("ix_milestone_lead", ["lead_id", "name", "reached_at"], unique=False)
        batch_op.create_index(
            "ix_milestone_open",
            ["lead_id"],
            unique=False,
            postgresql_where=sa.text("outcome IS NULL"),
            sqlite_where=sa.text("outcome IS NULL"),
        )

    op.create_table(
        "refusal",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", Document, nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_refusal_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "sequence", name=op.f("pk_refusal")),
    )
    op.create_table(
        "score_entry",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("event_id", BigKey, nullable=False),
        sa.Column("points", sa.Float(), nullable=False),
        sa.Column("counted", sa.Float(), nullable=False),
        sa.Column("summed", sa.Float(), nullable=False),
        sa.Column("half_life_hours", sa.Float(), nullable=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("program_version_id", BigKey, nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_score_entry_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_entry")),
        sa.UniqueConstraint("lead_id", "rule", "event_id", name=op.f("uq_score_entry_lead_id_rule_event_id")),
    )
    with op.batch_alter_table("score_entry", schema=None) as batch_op:
        batch_op.create_index("ix_score_entry_day", ["lead_id", "rule", "day"], unique=False)
        batch_op.create_index(
            "ix_score_entry_unsummed",
            ["lead_id"],
            unique=False,
            postgresql_where=sa.text("counted <> summed"),
            sqlite_where=sa.text("counted <> summed"),
        )

    op.create_table(
        "score_sum",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("half_life_hours", sa.Float(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_score_sum_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", "half_life_hours", name=op.f("pk_score_sum")),
    )
    op.create_table(
        "stage_transition",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("from_stage", sa.String(), nullable=False),
        sa.Column("to_stage", sa.String(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("program_version_id", BigKey, nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_stage_transition_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_transition")),
    )
    with op.batch_alter_table("stage_transition", schema=None) as batch_op:
        batch_op.create_index("ix_stage_transition_lead", ["lead_id", "at"], unique=False)

    op.create_table(
        "work",
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("claim", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_work_lead_id_lead")),
        sa.PrimaryKeyConstraint("lead_id", name=op.f("pk_work")),
    )
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.create_index(
            "ix_work_claim",
            ["claim"],
            unique=False,
            postgresql_where=sa.text("claim IS NOT NULL"),
            sqlite_where=sa.text("claim IS NOT NULL"),
        )
        batch_op.create_index("ix_work_due", ["due_at"], unique=False)

    op.create_table(
        "touch",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("lead_id", BigKey, nullable=False),
        sa.Column("enrolment_id", BigKey, nullable=False),
        sa.Column("sequence", sa.String(), nullable=False),
        sa.Column("version_id", BigKey, nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("allowed_at", Instant(), nullable=False),
        sa.Column("next_at", Instant(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("payload_sha256", sa.String(), nullable=True),
        sa.Column("tracked", sa.Boolean(), nullable=False),
        sa.Column("program_version_id", BigKey, nullable=True),
        sa.Column("variant", sa.String(), nullable=True),
        sa.Column("planned_at", Instant(), nullable=False),
        sa.Column("sending_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolment.id"], name=op.f("fk_touch_enrolment_id_enrolment")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], name=op.f("fk_touch_lead_id_lead")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_touch")),
        sa.UniqueConstraint("enrolment_id", "step", "occurrence", name=op.f("uq_touch_enrolment_id_step_occurrence")),
    )
    with op.batch_alter_table("touch", schema=None) as batch_op:
        batch_op.create_index(
            "ix_touch_claim",
            ["lease_owner"],
            unique=False,
            postgresql_where=sa.text("lease_owner IS NOT NULL"),
            sqlite_where=sa.text("lease_owner IS NOT NULL"),
        )
        batch_op.create_index("ix_touch_due", ["sequence", "next_at", "version_id", "step"], unique=False)
        batch_op.create_index("ix_touch_lead", ["lead_id", "sending_at"], unique=False)
        batch_op.create_index("ix_touch_message", ["message_id"], unique=False)

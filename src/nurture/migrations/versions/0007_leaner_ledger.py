"""The score ledger with two indexes less: its unique key orders the lines of a rule by when they were earned."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0007", "0006"


def upgrade() -> None:
    partial = {
        "unsummed": (["lead_id"], "counted <> summed"),
        "expires": (["lead_id", "expires_at"], "expires_at IS NOT NULL"),
        "counted": (["lead_id", "rule", "counted", "at", "in_total"], "in_total IS NOT NULL"),
    }
    for name in ("day", "order", *partial):
        op.drop_index(f"ix_score_entry_{name}", "score_entry")
    with op.batch_alter_table("score_entry") as ledger:  # SQLite writes the table anew
        ledger.drop_constraint("uq_score_entry_lead_id_rule_event_id", type_="unique")
        ledger.create_unique_constraint(
            "uq_score_entry_lead_id_rule_at_event_id", ["lead_id", "rule", "at", "event_id"]
        )  # fmt: skip
    for name, (columns, where) in partial.items():
        some = sa.text(where)
        op.create_index(
            f"ix_score_entry_{name}", "score_entry", columns, postgresql_where=some, sqlite_where=some
        )  # fmt: skip

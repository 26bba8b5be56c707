"""Events are found by their time alone only where that is asked for."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0008", "0007"


def upgrade() -> None:
    everything = sa.text("id + 0 > 0")
    op.drop_index("ix_event_occurred", "event")
    op.create_index(
        "ix_event_occurred", "event", ["occurred_at"], postgresql_where=everything, sqlite_where=everything
    )  # fmt: skip

"""The trigger that guards a touch's states compares words one by one: SQLite builds a list anew for each row."""

from alembic import op

revision, down_revision = "0009", "0008"

#: From each state, where it may go, the usual way first; as before.
_ALLOWED = {
    "planned": "claimed held cancelled suppressed expired",
    "claimed": "sending planned suppressed held retry_wait failed cancelled expired",
    "sending": "sent retry_wait failed uncertain planned",
    "retry_wait": "claimed planned expired suppressed cancelled",
    "held": "planned cancelled expired suppressed",
    "uncertain": "sent planned",
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    ways = "\n".join(
        f"WHEN '{old}' THEN " + " OR ".join(f"NEW.state = '{new}'" for new in news.split())
        for old, news in _ALLOWED.items()
    )
    op.execute("DROP TRIGGER touch_state")
    op.execute(f"""
        CREATE TRIGGER touch_state BEFORE UPDATE OF state ON touch
        WHEN OLD.state <> NEW.state AND NOT CASE OLD.state {ways} ELSE FALSE END
        BEGIN SELECT RAISE(ABORT, 'a touch may not change its state so'); END""")

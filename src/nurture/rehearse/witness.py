"""Notes of what the tables do not keep: each step entered, each putting off, dated by the rehearsal's clock.

They are temporary tables that triggers fill, so the engine runs the very statements that it runs in production.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nurture.db import Database
from nurture.records.types import from_micros, to_micros
from nurture.rehearse.copying import raw_of

_TABLES = """
CREATE TEMP TABLE present (at INTEGER NOT NULL);
CREATE TEMP TABLE stood (enrolment_id INTEGER PRIMARY KEY, sequence TEXT, step TEXT);
CREATE TEMP TABLE walked (
    id INTEGER PRIMARY KEY, enrolment_id INTEGER, lead_id INTEGER, sequence TEXT, origin TEXT, step TEXT, at INTEGER,
    outcome TEXT
);
CREATE TEMP TABLE put_off (
    id INTEGER PRIMARY KEY, touch_id INTEGER, lead_id INTEGER, sequence TEXT, step TEXT, state TEXT, reason TEXT,
    at INTEGER, until INTEGER
);
CREATE TEMP TABLE went (id INTEGER PRIMARY KEY, touch_id INTEGER);
CREATE TEMP TABLE opened (id INTEGER PRIMARY KEY, handoff_id INTEGER);
CREATE INDEX temp.ix_walked_lead ON walked (lead_id);
CREATE INDEX temp.ix_put_off_lead ON put_off (lead_id);
"""
_MOVE = "INSERT INTO walked (enrolment_id, lead_id, sequence, origin, step, at, outcome) VALUES"
_WAIT = "INSERT INTO put_off (touch_id, lead_id, sequence, step, state, reason, at, until)"
_ROW = "NEW.id, NEW.lead_id, NEW.sequence"
_PUT_OFF = f"{_WAIT} SELECT {_ROW}, NEW.step, NEW.state, NEW.reason, at, NEW.next_at FROM present"
_WAITS = "NEW.state IN ('planned', 'held') AND NEW.reason IS NOT NULL"
_TRIGGERS = {
    "enters": f"INSERT ON main.enrolment BEGIN {_MOVE} ({_ROW}, NULL, NEW.step, NEW.entered_at, NULL); END",
    "goes": (
        "UPDATE OF step ON main.enrolment WHEN NEW.ended_at IS NULL AND "
        "(NEW.step IS NOT OLD.step OR NEW.entered_at <> OLD.entered_at) "
        f"BEGIN {_MOVE} ({_ROW}, OLD.step, NEW.step, NEW.entered_at, NULL); END"
    ),
    "leaves": (
        "UPDATE OF ended_at ON main.enrolment WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL "
        f"BEGIN {_MOVE} ({_ROW}, OLD.step, NULL, NEW.ended_at, NEW.outcome); END"
    ),
    "planned": f"INSERT ON main.touch WHEN {_WAITS} BEGIN {_PUT_OFF}; END",
    "waits": f"UPDATE OF state, reason ON main.touch WHEN {_WAITS} BEGIN {_PUT_OFF}; END",
    "sent": (
        "UPDATE OF state ON main.touch WHEN NEW.state = 'sent' AND OLD.state <> 'sent' "
        "BEGIN INSERT INTO went (touch_id) VALUES (NEW.id); END"
    ),
    "asked": "INSERT ON main.handoff BEGIN INSERT INTO opened (handoff_id) VALUES (NEW.id); END",
}

#: What a tick acts on. Touches of which nobody knows whether they arrived may be sent again by policy at any tick.
_BUSY = """
SELECT 1 FROM work WHERE due_at <= :at UNION ALL
SELECT 1 FROM enrolment WHERE sequence = :slug AND due_at <= :at UNION ALL
SELECT 1 FROM touch WHERE sequence = :slug AND next_at <= :at UNION ALL
SELECT 1 FROM outbox WHERE next_at <= :at UNION ALL
SELECT 1 FROM handoff WHERE next_at <= :at AND state IN ('open', 'accepted') UNION ALL
SELECT 1 FROM audience_member WHERE NOT wanted AND coalesce(told, 1) UNION ALL
SELECT 1 FROM touch WHERE state = 'uncertain'
LIMIT 1"""


@dataclass(frozen=True)
class Walked:
    """One move of a lead: from `origin` (None: it entered) to `step` (None: it left, with `outcome`)."""

    at: datetime
    sequence: str
    origin: str | None
    step: str | None
    outcome: str | None


@dataclass(frozen=True)
class PutOff:
    """A touch that had to wait: `state` is planned (deferred) or held (for a person)."""

    at: datetime
    sequence: str
    step: str
    state: str
    reason: str
    until: datetime | None


class Witness:
    """Watches one database in memory, from now on."""

    def __init__(self, db: Database, start: datetime) -> None:
        self._raw: sqlite3.Connection = raw_of(db)
        self._seen = {"went": 0, "opened": 0}
        self._raw.executescript(_TABLES)
        self._raw.execute("INSERT INTO present VALUES (?)", (to_micros(start),))
        self._raw.execute(
            "INSERT INTO stood SELECT id, sequence, step FROM enrolment WHERE ended_at IS NULL AND step IS NOT NULL"
        )
        waiting = _PUT_OFF.replace("NEW.", "touch.").replace("FROM present", "FROM main.touch, present")
        self._raw.execute(f"{waiting} WHERE {_WAITS.replace('NEW.', 'touch.')}")
        for name, what in _TRIGGERS.items():
            self._raw.execute(f"CREATE TEMP TRIGGER witness_{name} AFTER {what}")

    def at(self, now: datetime) -> None:
        """The clock has moved."""
        self._raw.execute("UPDATE present SET at = ?", (to_micros(now),))

    def idle(self, slug: str, now: datetime) -> bool:
        """Whether a tick of a segment would find nothing to do: no work, nobody due, no notice, nobody to take out."""
        at = to_micros(now)
        return self._raw.execute(_BUSY, {"at": at, "slug": slug}).fetchone() is None

    def newly_sent(self) -> list[int]:
        """The touches that were sent since this was asked last."""
        return self._new("went", "touch_id")

    def newly_opened(self) -> list[int]:
        """The hand-offs that were opened since this was asked last."""
        return self._new("opened", "handoff_id")

    def _new(self, table: str, column: str) -> list[int]:
        rows = self._raw.execute(f"SELECT id, {column} FROM {table} WHERE id > ? ORDER BY id", (self._seen[table],))
        found = rows.fetchall()
        if found:
            self._seen[table] = found[-1][0]
        return [row[1] for row in found]

    def counts(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query on `stood`, `walked` and `put_off`, and on the tables beside them."""
        return self._raw.execute(query, values).fetchall()

    def walks(self, lead: int) -> Iterator[Walked]:
        """How a lead went through its sequences, in order."""
        query = "SELECT at, sequence, origin, step, outcome FROM walked WHERE lead_id = ? ORDER BY id"
        for at, sequence, origin, step, outcome in self._raw.execute(query, (lead,)):
            yield Walked(from_micros(at), sequence, origin, step, outcome)

    def waits(self, lead: int) -> Iterator[PutOff]:
        """What was to reach a lead and had to wait, in order."""
        query = "SELECT at, sequence, step, state, reason, until FROM put_off WHERE lead_id = ? ORDER BY id"
        for at, sequence, step, state, reason, until in self._raw.execute(query, (lead,)):
            ends = None if until is None else from_micros(until)
            yield PutOff(from_micros(at), sequence, step, state, reason, ends)

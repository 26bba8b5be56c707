"""New leads into the database, and which lead a key is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select
from sqlmodel import SQLModel

from nurture import clock
from nurture.dialects import upsert
from nurture.histories import VISITOR, note
from nurture.intake.person import BUILT_IN

_LEAD = SQLModel.metadata.tables["lead"]
#: The stage of somebody who gave us data, unless it was said otherwise; a mere subscriber is said to be one.
BORN_AS = "lead"
BORN_WITH_STATUS = "new"
KEYS = ("email", "source", "source_id")
#: What newcomers have unless it was said otherwise, and what they had before.
_BORN_WITH = (("stage", BORN_AS, VISITOR), ("status", BORN_WITH_STATUS, BORN_WITH_STATUS))
_BORN = [_LEAD.c[name] for name in ("id", "draw", *KEYS)]


def insert(
    link: Connection, fresh: Sequence[dict[str, Any]], by_email: Mapping[str, dict[str, Any]],
    by_id: Mapping[tuple[Any, Any], dict[str, Any]], now: datetime, author: str = "import",
) -> set[int]:  # fmt: skip
    """Write the rows of `fresh` and give each its id; one whose lead somebody else created meanwhile keeps None.

    `author`: by whom those came who are not at the stage, or of the status, that newcomers have.
    """
    born: set[int] = set()
    if not fresh:
        return born
    newborn = {
        "stage": BORN_AS,
        "status": BORN_WITH_STATUS,
        "fit_points": 0,
        "created_at": now,
        "changed_at": now,
    }
    blank = dict.fromkeys(BUILT_IN)
    rows = [{**blank, **newborn, **row, "draw": clock.draw31()} for row in fresh]
    for row in rows:
        del row["id"]
    link.execute(upsert(link)(_LEAD).on_conflict_do_nothing(), rows)
    # Not RETURNING: that costs more than asking. The draw tells our row from another's.
    draws = {row["draw"] for row in rows}
    for which in whose(fresh):
        found = link.execute(select(*_BORN).where(which))
        for lead_id, draw, email, source, source_id in found:
            if draw in draws:
                row = by_email[email] if email else by_id[source, source_id]
                row["id"] = lead_id
                born.add(lead_id)
    for name, usual, before in _BORN_WITH:
        said = [
            (row["id"], before, row[name])
            for row in fresh
            if row["id"] is not None and row.get(name, usual) != usual
        ]  # fmt: skip
        note(link, name, said, now, cause=cause_of(author), author=author)
    return born


def cause_of(author: str) -> str:
    """Why somebody has a stage or a status that `author` brought."""
    return "import" if author == "import" else "said so in a form"


def whose(keys: Sequence[dict[str, Any]]) -> Iterator[ColumnElement[bool]]:
    """The leads of these keys: one condition for all addresses, one for the ids of each source."""
    emails = [key["email"] for key in keys if key["email"]]
    if emails:
        yield _LEAD.c.email.in_(emails)
    named = [key for key in keys if key["source_id"]]
    for source in {key["source"] for key in named}:
        theirs = [key["source_id"] for key in named if key["source"] == source]
        yield (_LEAD.c.source == source) & _LEAD.c.source_id.in_(theirs)

"""The salesperson's side, from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nurture.cli.speech import Json, machine, say, tell_json, tell_table
from nurture.errors import NotFound, Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

Number = Annotated[int, Parameter(name="ID", help="The number of the hand-off.")]
By = Annotated[str | None, Parameter(name="--by", help="Who answers; else the hand-off's owner.")]
Reason = Literal["inaccurate_data", "not_persona", "premature", "duplicate"]


def handoffs(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="", help="Answered ones too.")] = False,
    json: Json = False,
) -> int:
    """List the hand-offs that wait for an answer, with owner and reason."""
    from nurture.reading import counts

    with machine() as opened:
        rows = counts.handoffs(opened, open_only=not all, people=True)
    if json:
        tell_json(rows)
        return 0
    shown = ["id", "who", "company", "milestone", "owner", "score", "fit", "deadline"]
    shown += ["state", "reason", "answered by"] if all else []
    rows = [{key: row[key] for key in shown} for row in rows]
    tell_table(rows, empty="No hand-off waits for an answer." if not all else "There are no hand-offs yet.")
    return 0


def accept(number: Number, /, *, by: By = None) -> int:
    """Accept a hand-off."""
    return _answer(number, "accepted", None, by)


def reject(
    number: Number,
    /,
    *,
    reason: Annotated[Reason, Parameter(help="Why; it says where the lead goes.")],
    by: By = None,
) -> int:
    """Reject a hand-off, with the reason."""
    return _answer(number, "rejected", reason, by)


def _answer(number: int, verdict: str, reason: str | None, by: str | None) -> int:
    from sqlalchemy import select
    from sqlmodel import col

    from nurture.engine import doors
    from nurture.records import Handoff

    columns = (col(Handoff.state), col(Handoff.owner), col(Handoff.answered_by), col(Handoff.answered_at))
    with machine() as opened:
        live, now = opened.live(), opened.now()

        def answer(link: Connection) -> Any:
            row = link.execute(select(*columns).where(col(Handoff.id) == number)).one_or_none()
            if row is None:
                raise NotFound(f"there is no hand-off {number}; 'nurture handoffs' lists them")
            if not doors.answer_handoff(link, live, number, verdict, reason, by or row.owner, now):
                said = f" by {row.answered_by} on {row.answered_at:%Y-%m-%d %H:%M}Z" if row.answered_by else ""
                raise Refused(f"hand-off {number} is {row.state}{said}; nothing was changed")
            return row

        row = opened.db.transact(answer, door=True)
    say(f"Hand-off {number} is {verdict}{f' ({reason})' if reason else ''} by {by or row.owner}.")
    return 0

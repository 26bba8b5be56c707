"""The salesperson's side, from a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from cyclopts import CycloptsError, Parameter

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
        program, now = opened.live().house.program, opened.now()
    if json:
        tell_json(rows)
        return 0
    zones = {person.email: person.zone or program.zone for person in program.sales}
    tell_table(
        [_shown(row, zones.get(row["owner"], program.zone), now, answered=all) for row in rows],
        spare=("answered by", "fit", "company", "score", "deadline") if all else ("fit", "company", "score"),
        empty="No hand-off waits for an answer." if not all else "There are no hand-offs yet.",
    )
    return 0


def _shown(row: dict[str, Any], zone: str, now: datetime, *, answered: bool) -> dict[str, Any]:
    """A line of the table: the owner without the domain, the deadline on the owner's clock."""
    deadline = datetime.fromisoformat(row["deadline"]).astimezone(ZoneInfo(zone))
    overdue = "overdue" if row["state"] == "open" and deadline < now else ""
    line = {
        "id": row["id"], "who": row["who"], "company": row["company"],
        "milestone": row["milestone"].replace("_", " "), "owner": row["owner"].partition("@")[0],
        "score": row["score"], "fit": row["fit"],
        "deadline": f"{deadline:%d %b %H:%M}\N{NO-BREAK SPACE}{deadline:%Z}",
    }  # fmt: skip
    if not answered:
        return line | {"overdue": overdue}
    by, reason = row["answered by"].partition("@")[0], row["reason"].replace("_", " ")
    return line | {"state": overdue or row["state"], "reason": reason, "answered by": by}


def accept(number: Number, /, *, by: By = None) -> int:
    """Accept a hand-off."""
    return _answer(number, "accepted", None, by)


def reject(
    number: Number,
    /,
    *,
    reason: Annotated[Reason | None, Parameter(help="Why, always said; it decides where the lead goes.")] = None,
    by: By = None,
) -> int:
    """Reject a hand-off, with the reason."""
    if reason is None:
        raise CycloptsError(msg=f"--reason says why, and where the lead goes: one of {', '.join(get_args(Reason))}")
    return _answer(number, "rejected", reason, by)


def _answer(number: int, verdict: str, reason: str | None, by: str | None) -> int:
    from sqlalchemy import select
    from sqlmodel import col

    from nurture.engine import doors
    from nurture.records import Handoff

    columns = (col(Handoff.state), col(Handoff.owner), col(Handoff.answered_by), col(Handoff.answered_at))
    with machine() as opened:
        now = opened.now()

        def answer(link: Connection) -> Any:
            live = opened.library.live(link)
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

"""Passing on: a hand-off goes to somebody else, as another hand-off that stands `instead_of` it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine import doors
from nurture.engine.answered import ENDS
from nurture.engine.audit import note
from nurture.engine.handoffs import WITH_SALES, put, term
from nurture.engine.known_to_sales import missed
from nurture.engine.live import Live
from nurture.engine.routing import Routed, Routing, asked, member
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.records import Event, Handoff, Lead, Milestone
from nurture.worklist import put_work

#: The events that sequences may react to.
EXPIRED, REASSIGNED = "handoff_expired", "handoff_reassigned"
_GOES_ON = (col(Handoff.state) == "accepted") & (col(Handoff.progress).is_(None) | col(Handoff.progress).not_in(ENDS))
#: What may be given to somebody else: what waits for an answer, and what was accepted and has not come to its end.
_TO_GIVE = (col(Handoff.state) == "open") | _GOES_ON


def lock(run: Run, leads: Iterable[int]) -> None:
    """The work rows, then the leads, in the order of the house: a door waits, or is waited for."""
    wanted = sorted(set(leads))
    put_work(run.link, wanted, run.now)
    run(select(col(Lead.id)).where(col(Lead.id).in_(wanted)).order_by(col(Lead.id)).with_for_update(key_share=True))


def rows_of(run: Run, where: Any) -> list[Any]:
    """Hand-offs with what routing asks of their leads."""
    columns = Handoff.__table__.columns  # type: ignore[attr-defined]
    kept = [column.label("handed_to") if column.name == "owner" else column for column in columns]
    query = select(*kept, col(Lead.owner), col(Lead.country), col(Lead.language), *asked(run.live.house))
    query = query.join_from(Handoff, Lead, col(Lead.id) == col(Handoff.lead_id))
    return list(run(query.where(where).order_by(col(Handoff.id))).all())


def history(run: Run, rows: Sequence[Any]) -> dict[int, tuple[set[str], int]]:
    """By hand-off: who has had it, and how many of those before let their deadline pass."""
    columns = (
        col(Handoff.id), col(Handoff.owner), col(Handoff.instead_of), col(Handoff.opened_at), col(Handoff.answered_at),
    )  # fmt: skip
    theirs = col(Handoff.lead_id).in_({row.lead_id for row in rows})
    known = {row.id: row for row in run(select(*columns, col(Handoff.deadline_at)).where(theirs))}
    found = {}
    for row in rows:
        tried, times, this = {row.handed_to}, 0, row
        while this.instead_of is not None and (earlier := known.get(this.instead_of)) is not None:
            tried.add(earlier.owner)
            times += missed(earlier.deadline_at, this.opened_at, earlier.answered_at)
            this = earlier
        found[row.id] = (tried, times)
    return found


def pass_on(
    run: Run, routing: Routing, passing: Sequence[tuple[Any, Routed]], cause: str, still: Any
) -> dict[int, int]:  # fmt: skip
    """Each to its new owner, as another hand-off in its place, if it is `still` to be had; old number to new."""
    if not passing:
        return {}
    taken = update(Handoff).where(col(Handoff.id).in_([row.id for row, _ in passing]), still)
    won = set(run(taken.values(state="reassigned", next_at=None).returning(col(Handoff.id))).scalars())
    passing = [(row, routed) for row, routed in passing if row.id in won]
    if not passing:
        return {}
    kept = ("lead_id", "milestone", "sequence", "entrance", "level", "score", "fit", "stage_before")
    mine = col(Handoff.lead_id).in_([row.lead_id for row, _ in passing])
    last = select(col(Handoff.lead_id), func.max(col(Handoff.cycle))).where(mine).group_by(col(Handoff.lead_id))
    cycles = {lead: cycle for lead, cycle in run(last)}
    opened = []
    for row, routed in passing:
        routing.take(row, routed.person, (row.handed_to,))
        opened.append(
            {name: getattr(row, name) for name in kept}
            | {"cycle": cycles[row.lead_id] + 1, "instead_of": row.id, "program_version_id": run.live.house.id}
            | term(run, routing, routed)
        )
    routing.keep(cause)
    ids = put(run, opened)
    numbers = {row.id: ids[row.lead_id] for row, _ in passing}
    run.link.execute(_EVIDENCE, [{"the_old": old, "the_new": new} for old, new in numbers.items()])
    tell_events(run, REASSIGNED, [row for row, _ in passing], numbers)
    return numbers


#: What led to a hand-off is evidence in the one that took its place.
_EVIDENCE = (
    update(Milestone.__table__)  # type: ignore[attr-defined]
    .where(col(Milestone.handoff_id) == bindparam("the_old"))
    .values(handoff_id=bindparam("the_new"))
)


def tell_events(run: Run, name: str, rows: Sequence[Any], instead: dict[int, int] | None = None) -> None:
    """An event of the house for each hand-off, once; its lead is looked at already."""
    if not rows:
        return
    events = [
        {
            "lead_id": row.lead_id, "name": name, "occurred_at": run.now, "recorded_at": run.now, "ripe_at": run.now,
            "actor": "system", "source": "sales", "key": f"handoff:{row.id}:{name.removeprefix('handoff_')}",
            "data": {"handoff": row.id, "milestone": row.milestone}
            | ({"became": instead[row.id]} if instead is not None else {}),
        }
        for row in rows
    ]  # fmt: skip
    run.link.execute(upsert(run.link)(Event).on_conflict_do_nothing(), events)


def reassign(link: Connection, live: Live, handoff: int, to: str | None, by: str, now: datetime) -> tuple[int, Routed]:
    """Give a hand-off to `to`, or to the next in turn, whatever its deadline: its new number, and whose it is.

    One that was accepted is given to `to` alone, and waits for that one's answer. Raises NotFound, and Refused for what
    is over, and where nobody else is there.
    """
    lead = link.execute(select(col(Handoff.lead_id)).where(col(Handoff.id) == handoff)).scalar()
    if lead is None:
        raise NotFound(f"there is no hand-off {handoff}; 'nurture handoffs' lists them")
    run = Run(link, live, now)
    lock(run, [lead])
    (row,) = rows_of(run, col(Handoff.id) == handoff)
    _require_going_on(run, row)
    if row.state == "accepted" and to is None:
        raise Refused(f"hand-off {handoff} is accepted by {row.handed_to}; say with --to who is to have it now")
    team = [person.email for person in live.house.program.sales]
    if to is not None and to not in team:
        raise Refused(f"{to} is not in the sales team of program.yaml; there are {', '.join(team)}")
    if to == row.handed_to:
        raise Refused(f"hand-off {handoff} is {to}'s already")
    routing = Routing(run, [row])
    routed = Routed(member(live.house, to), f"given by {by}") if to is not None else None
    routed = routed or _another(run, routing, row, by, history(run, [row])[handoff][0])
    if routed is None:
        raise Refused(f"nobody else fits the lead of hand-off {handoff} and is there; say to whom with --to")
    numbers = _hand(run, routing, [(row, routed)], by)
    doors.settle_one(link, live, lead, now)
    return numbers[handoff], routed


def _require_going_on(run: Run, row: Any) -> None:
    """Raises Refused for a hand-off that is over, and for one that another of its lead has come after."""
    if row.state not in ("open", "accepted") or row.progress in ENDS:
        what = "only an open one, or one that was accepted and goes on, can be given to somebody else"
        raise Refused(f"hand-off {row.id} is {row.progress or row.state}; {what}")
    waits = select(col(Handoff.id)).where(col(Handoff.lead_id) == row.lead_id, col(Handoff.state) == "open")
    later = run(waits.where(col(Handoff.id) != row.id)).scalar()
    if later is not None:
        raise Refused(f"hand-off {later} of the same lead came after {row.id}; give that one to somebody else")


def hand_over(link: Connection, live: Live, owner: str, by: str, now: datetime) -> tuple[dict[int, int], list[int]]:
    """Give every open hand-off of `owner` to the next in turn: old number to new; and those for which nobody is there.

    Their leads are looked at by the next tick.
    """
    run = Run(link, live, now)
    mine = (col(Handoff.owner) == owner) & (col(Handoff.state) == "open")
    leads = run(select(col(Handoff.lead_id)).where(mine)).scalars().all()
    if not leads:
        return {}, []
    lock(run, leads)
    rows = rows_of(run, mine)
    routing, before = Routing(run, rows), history(run, rows)
    found = [(row, _another(run, routing, row, by, before[row.id][0])) for row in rows]
    numbers = _hand(run, routing, [(row, routed) for row, routed in found if routed is not None], by)
    return numbers, [row.id for row in rows if row.id not in numbers]


def take_over(run: Run) -> int:
    """Give to the team whatever those have who have left it, open or accepted, so that no lead waits for them.

    How many. After a publication; their leads are looked at by the next tick.
    """
    team = [person.email for person in run.live.house.program.sales]
    if not team:
        return 0
    mine, other = col(Lead.id) == col(Handoff.lead_id), aliased(Handoff)
    with_sales = select(1).where(mine, col(Lead.stage).in_(WITH_SALES)).correlate(Handoff).exists()
    later = select(1).where(col(other.lead_id) == col(Handoff.lead_id), col(other.id) > col(Handoff.id))
    works = _GOES_ON & with_sales & ~later.correlate(Handoff).exists()
    theirs = col(Handoff.owner).not_in(team) & ((col(Handoff.state) == "open") | works)
    leads = run(select(col(Handoff.lead_id)).where(theirs)).scalars().all()
    if not leads:
        return 0
    lock(run, leads)
    rows = rows_of(run, theirs)
    routing, before, passing = Routing(run, rows), history(run, rows), []
    for row in rows:
        routed = routing.other(row, before[row.id][0])
        why = f"; instead of {row.handed_to}, who has left the team"
        passing.append((row, routing.owner(row) if routed is None else Routed(routed.person, f"{routed.why}{why}")))
    return len(pass_on(run, routing, passing, "its owner has left the team", _TO_GIVE))


def _another(run: Run, routing: Routing, row: Any, by: str, tried: Collection[str]) -> Routed | None:
    """The next in turn, and why."""
    routed = routing.other(row, tried)
    if routed is None:
        return None
    return Routed(routed.person, f"{routed.why}; instead of {member(run.live.house, row.handed_to).name}, by {by}")


def _hand(run: Run, routing: Routing, passing: Sequence[tuple[Any, Routed]], by: str) -> dict[int, int]:
    """Pass on by hand, and write down who did."""
    numbers = pass_on(run, routing, passing, f"hand-off given by {by}", _TO_GIVE)
    for row, routed in passing:
        detail = {"to": routed.person.email, "became": numbers[row.id]}
        note(run.link, REASSIGNED, f"handoff:{row.id}", by, run.now, detail)
    return numbers

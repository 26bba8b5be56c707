"""The SAL gate, routing and the hand-off: what a milestone leads to."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, null, or_, select, update
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine.ending import end_enrolments
from nurture.engine.lifecycle import move_stage
from nurture.language.compiler import Scope, compile_condition
from nurture.language.conditions import ByStep
from nurture.language.scores import score_at
from nurture.program.load import House
from nurture.program.models import Salesperson
from nurture.records import Enrolment, Handoff, Lead, Milestone, Outbox, RoutingTurn
from nurture.windows import Window, openings_of

#: A milestone this old when we learn of it is history (an import), not a call to sales.
HISTORY = timedelta(days=7)
#: Stages in which sales works on the lead already: a further milestone is evidence there.
WITH_SALES = ("sal", "sql", "opportunity")


def decide(link: Connection, house: House, among: ColumnElement[bool], now: datetime) -> int:
    """Decide every undecided milestone of the leads for which `among` (about `milestone`) holds; hand-offs opened."""
    undecided = and_(col(Milestone.outcome).is_(None), among)
    calling = [name for name, rule in house.lifecycle.milestones.items() if rule.handoff or _by_step(rule.when)]
    history = col(Milestone.reached_at) < now - HISTORY
    noted = and_(undecided, or_(col(Milestone.name).not_in(calling), history))
    link.execute(update(Milestone).where(noted).values(outcome="noted"))
    if not link.execute(select(col(Milestone.id)).where(undecided).limit(1)).first():
        return 0
    _evidence(link, undecided)
    _refuse(link, house, undecided, now)
    opened = _open(link, house, undecided, now)
    _evidence(link, undecided)
    return opened


def _by_step(when: Any) -> bool:
    return isinstance(when, ByStep)


def _evidence(link: Connection, undecided: ColumnElement[bool]) -> None:
    """A milestone of a lead that sales already has is evidence in that hand-off."""
    current = (
        select(func.max(col(Handoff.id)))
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .where(
            col(Handoff.lead_id) == col(Milestone.lead_id),
            (col(Handoff.state) == "open")
            | ((col(Handoff.state) == "accepted") & col(Lead.stage).in_(WITH_SALES)),
        )
        .correlate(Milestone)
        .scalar_subquery()
    )
    link.execute(
        update(Milestone).where(undecided, current.is_not(None)).values(outcome="evidence", handoff_id=current)
    )


def gate_reason(house: House, now: datetime) -> ColumnElement[Any]:
    """The reason of the first gate rule that refuses the lead, or NULL."""
    scope = Scope(now, house.fields)
    rules = [(compile_condition(rule.refuse, scope), literal(rule.reason)) for rule in house.lifecycle.gate]
    return case(*rules, else_=null()) if rules else null()


def _refuse(link: Connection, house: House, undecided: ColumnElement[bool], now: datetime) -> None:
    reason = (
        select(gate_reason(house, now)).where(col(Lead.id) == col(Milestone.lead_id)).correlate(Milestone).scalar_subquery()
    )
    link.execute(update(Milestone).where(undecided).values(reason=reason))
    for rule in house.lifecycle.gate:
        refused = select(col(Milestone.lead_id)).where(undecided, col(Milestone.reason) == rule.reason)
        leads = col(Lead.id).in_(refused)
        if rule.then == "repair":
            link.execute(update(Lead).where(leads).values(status="needs_repair", changed_at=now))
        elif rule.then == "disqualified":
            move_stage(
                link, leads, "disqualified", cause=f"gate: {rule.reason}", author="rule", now=now, version=house.id
            )
    link.execute(update(Milestone).where(undecided, col(Milestone.reason).is_not(None)).values(outcome="refused"))


def _open(link: Connection, house: House, undecided: ColumnElement[bool], now: datetime) -> int:
    """One hand-off per lead: its first undecided milestone opens it."""
    first = select(func.min(col(Milestone.id))).where(undecided).group_by(col(Milestone.lead_id))
    cycle = (
        select(func.coalesce(func.max(col(Handoff.cycle)), 0) + 1)
        .where(col(Handoff.lead_id) == col(Lead.id))
        .correlate(Lead)
        .scalar_subquery()
    )
    sequence = (
        select(col(Enrolment.sequence))
        .where(col(Enrolment.lead_id) == col(Lead.id))
        .order_by(col(Enrolment.ended_at).is_(None).desc(), col(Enrolment.started_at).desc())
        .limit(1)
        .correlate(Lead)
        .scalar_subquery()
    )
    query = (
        select(
            col(Milestone.id), col(Milestone.lead_id), col(Milestone.name), col(Lead.owner), col(Lead.country),
            col(Lead.language), col(Lead.stage), col(Lead.fit), score_at(now), cycle, sequence,
        )
        .join_from(Milestone, Lead, col(Lead.id) == col(Milestone.lead_id))
        .where(col(Milestone.id).in_(first))
        .order_by(col(Milestone.id))
    )  # fmt: skip
    rows = link.execute(query).all()
    if not rows:
        return 0
    routing = Routing(link, house, now)
    opened = []
    for milestone, lead, name, owner, country, language, stage, fit, points, cycle_number, slug in rows:
        person = routing.owner(owner, country, language)
        opened.append(
            {
                "lead_id": lead, "cycle": cycle_number, "milestone": name, "sequence": slug, "state": "open",
                "owner": person.email, "score": points, "fit": fit, "stage_before": stage, "opened_at": now,
                "deadline_at": routing.deadline(person), "program_version_id": house.id, "milestone_id": milestone,
            }
        )  # fmt: skip
    routing.keep()
    link.execute(Handoff.__table__.insert(), [{k: v for k, v in row.items() if k != "milestone_id"} for row in opened])  # type: ignore[attr-defined]
    leads = [row["lead_id"] for row in opened]
    ids = dict(
        link.execute(
            select(col(Handoff.lead_id), col(Handoff.id)).where(col(Handoff.lead_id).in_(leads), col(Handoff.state) == "open")
        )
        
        .all()
    )
    for row in opened:
        decided = {"outcome": "handed_off", "handoff_id": ids[row["lead_id"]]}
        link.execute(update(Milestone).where(col(Milestone.id) == row["milestone_id"]).values(**decided))
        link.execute(update(Lead).where(col(Lead.id) == row["lead_id"]).values(owner=row["owner"]))
    notices = [{"kind": "handoff_notice", "row_id": ids[lead], "created_at": now, "next_at": now} for lead in leads]
    link.execute(Outbox.__table__.insert(), notices)  # type: ignore[attr-defined]
    if house.lifecycle.acceptance == "by_gate":
        among = col(Lead.id).in_(leads)
        move_stage(link, among, "sal", cause="handed to sales", author="rule", now=now, version=house.id)
    return len(opened)


class Routing:
    """Who gets a lead: its owner if it has one, else a weighted round robin among those who fit it."""

    def __init__(self, link: Connection, house: House, now: datetime) -> None:
        self._link, self._house, self._now = link, house, now
        self._turns = dict(link.execute(select(col(RoutingTurn.ring), col(RoutingTurn.turn))).all())
        self._moved: Counter[str] = Counter()
        self._deadlines: dict[str, datetime] = {}

    def owner(self, present: str | None, country: str | None, language: str | None) -> Salesperson:
        """The salesperson for a lead of this owner, country and language."""
        team = self._house.program.sales
        for person in team:
            if person.email == present:
                return person
        fitting = (
            [p for p in team if country and country in p.countries]
            or [p for p in team if not p.countries and language and p.language == language]
            or [p for p in team if not p.countries]
            or team
        )
        ring = [person for person in fitting for _ in range(person.weight)]
        name = ",".join(person.email for person in fitting)
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        self._moved[name] += 1
        return ring[turn % len(ring)]

    def keep(self) -> None:
        """Remember whose turn it is."""
        for name in self._moved:
            insert = upsert(self._link)(RoutingTurn).values(ring=name, turn=self._turns[name])
            self._link.execute(
                insert.on_conflict_do_update(index_elements=["ring"], set_={"turn": insert.excluded.turn})
            )

    def deadline(self, person: Salesperson) -> datetime:
        """When the owner's business hours since now add up to the promised span."""
        if person.email not in self._deadlines:
            hours = timedelta(hours=self._house.lifecycle.sla.accept_within)
            self._deadlines[person.email] = business_deadline(person, self._house, self._now, hours)
        return self._deadlines[person.email]


def business_deadline(person: Salesperson, house: House, now: datetime, span: timedelta) -> datetime:
    """`span` of this person's business hours after `now`."""
    program = house.program
    window = Window(person.hours, person.days, True, "next_opening", tuple(program.closed_days))
    zone, country = person.zone or program.zone, person.country or program.country or ""
    left = span
    first = (now - timedelta(days=2)).date()
    for opens, closes in openings_of(window, zone, country, first, (now + timedelta(days=400)).date()):
        begins = max(opens, now)
        if closes <= begins:
            continue
        if closes - begins >= left:
            return begins + left
        left -= closes - begins
    return now + timedelta(days=400)


#: Where a rejected lead goes: its stage, and a status for the repair.
_AFTER = {
    "inaccurate_data": ("lead", "needs_repair"),
    "not_persona": ("disqualified", "unqualified"),
    "premature": ("recycled", "bad_timing"),
    "duplicate": ("disqualified", "unqualified"),
}


def answer(
    link: Connection, house: House, handoff: int, verdict: str, reason: str | None, by: str, now: datetime
) -> bool:
    """Accept or reject an open hand-off; False when it was answered before (nothing changes then)."""
    row = link.execute(select(col(Handoff.lead_id), col(Handoff.state)).where(col(Handoff.id) == handoff)).one_or_none()
    if row is None or row.state != "open":
        return False
    changed = link.execute(
        update(Handoff)
        .where(col(Handoff.id) == handoff, col(Handoff.state) == "open")
        .values(state=verdict, reason=reason, answered_at=now, answered_by=by)
    ).rowcount
    if changed != 1:
        return False
    lead = col(Lead.id) == row.lead_id
    if verdict == "accepted":
        if house.lifecycle.acceptance == "by_sales":
            move_stage(link, lead, "sal", cause="accepted by sales", author=by, now=now, version=house.id)
        link.execute(update(Lead).where(lead).values(status="open", changed_at=now))
        return True
    assert reason is not None
    stage, status = _AFTER[reason]
    move_stage(link, lead, stage, cause=f"rejected: {reason}", author=by, now=now, version=house.id)
    values: dict[str, Any] = {"status": status, "changed_at": now}
    pause = house.lifecycle.recycle.get("premature")
    if reason == "premature" and pause is not None:
        values["rests_until"] = now + pause.roughly
    link.execute(update(Lead).where(lead).values(**values))
    if stage == "disqualified":
        end_enrolments(link, col(Enrolment.lead_id) == row.lead_id, "disqualified", now)
    return True

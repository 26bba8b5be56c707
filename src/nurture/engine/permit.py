"""The permit: everything that must hold for a message to go out, judged in the transaction that writes `sending`.

The leads are locked in id order, control is read `FOR SHARE`; an unsubscribe takes the same lead's lock, so
whichever commits first is seen by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, false, func, literal, null, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import greatest
from nurture.engine import rivals
from nurture.engine.control import STOPPED, state_of, wide
from nurture.engine.doubt import came_back
from nurture.engine.ending import CALLED_OFF
from nurture.engine.enrolling import objective_reached, suppressed
from nurture.engine.holdout import held_out, withheld
from nurture.engine.live import Live
from nurture.engine.objecting import has_consent, objects, unconfirmed_until
from nurture.engine.planning import windowed
from nurture.engine.running import Run
from nurture.engine.scoring import FRESH
from nurture.engine.wishes import COUNTED, PAUSED_UNTIL, counted, free_again, refuses, topic_of
from nurture.jsonsql import KEYS, among, listed
from nurture.language.compiler import compile_condition, event_matches
from nurture.language.conditions import Did, walk
from nurture.program.load import Segment
from nurture.records import Control, Enrolment, Event, Lead, Preference, Touch
from nurture.records.types import CLAIM, NOW, from_micros, micros, span_micros
from nurture.steps import Audience, Sending
from nurture.windows import OUT_OF_SIGHT, know_openings, next_open
from nurture.zones import day_begins, know_zones, lead_country, lead_zone

WEEK = timedelta(hours=168)
#: How soon a message looks again whether another sequence still comes first.
POLL = timedelta(minutes=5)


@dataclass
class Verdict:
    """What is to happen with one claimed touch: `state`, why, and when it is tried again."""

    touch: int
    state: str
    reason: str | None = None
    next_at: datetime | None = None


_MINE = and_(col(Touch.lease_owner) == CLAIM, col(Touch.state) == "claimed")
_LOCK = (
    select(col(Lead.id))
    .where(col(Lead.id).in_(select(col(Touch.lead_id)).where(_MINE)))
    .order_by(col(Lead.id))
    .with_for_update(key_share=True)
)


def judge(run: Run, segment: Segment, step: Sending) -> list[Verdict]:
    """One verdict for each touch that the run has claimed (as `lease_owner`), under the locks of their leads."""
    said = wide(run.link, firm=True)
    _know_clocks(run, segment)
    run(_LOCK)
    versions = run.live.versions(run.link)
    above = [s for s in versions if s.spec.priority > segment.spec.priority and state_of(said, s.slug) != STOPPED]
    higher = tuple(sorted(s.id for s in above))
    query = run.plan(
        ("permit", segment.id, step.id, higher),
        lambda: _query(run.live, segment, step, rivals.wanting(versions, higher)),
    )
    words = {int(touch): word for touch, word in run(query.said)}
    put_off = [touch for touch, word in words.items() if word in query.deferrals]
    later: list[tuple[int, int | None]] = run(query.until, keys=listed(put_off)).all() if put_off else []
    until = dict(later)
    verdicts = [_verdict(touch, word, until.get(touch)) for touch, word in words.items()]
    for verdict in verdicts:  # on PostgreSQL what put it off may have gone meanwhile: it is judged again at once
        if verdict.state == "planned" and verdict.touch in until and verdict.next_at is None:
            verdict.next_at = run.now
    if state := state_of(said, segment.slug):
        return [Verdict(verdict.touch, "planned", state) for verdict in verdicts]
    return verdicts


def _know_clocks(run: Run, segment: Segment) -> None:
    """Make sure that the time tables reach: a lead may have moved, or a hold lasted, since its touch was planned."""
    program = run.live.house.program
    places = run.plan(("places",), lambda: _places(lead_zone(program.zone), lead_country(program.country)))
    pairs = [(zone, country) for zone, country in run(places)]
    know_zones(run.link, {zone for zone, _ in pairs})
    know_openings(run.link, segment.window(run.live.house), pairs, run.now)


def _places(zone: ColumnElement[str], country: ColumnElement[str]) -> Any:
    return select(zone, country).where(col(Lead.id).in_(select(col(Touch.lead_id)).where(_MINE))).distinct()


@dataclass(frozen=True)
class _Query:
    """What is said of each claimed touch, `state:reason` or NULL for a permit; and of those `keys` that are put off by
    one of the `deferrals`, the instant of the next try in microseconds: for most there is none to be looked for.
    """

    said: Any
    until: Any
    deferrals: frozenset[str]


def _query(live: Live, segment: Segment, step: Sending, wanting: dict[str, set[str]]) -> _Query:
    refusals, deferrals = _reasons(live, segment, step, wanting)
    said = case(
        *[(holds, literal(word)) for holds, word in refusals],
        *[(holds, literal(word)) for holds, word, _ in deferrals],
        else_=null(),
    )
    until = case(*[(holds, at) for holds, _, at in deferrals], else_=null()) if deferrals else null()
    # nobody takes a claim back between the verdict and the writing of it
    asked = _claimed(said).order_by(col(Touch.id)).with_for_update(of=Touch)
    words = frozenset(word for _, word, _ in deferrals)
    return _Query(asked, _claimed(until).where(among(col(Touch.id), KEYS)), words)


def _claimed(what: ColumnElement[Any]) -> Any:
    """(touch, `what`) of what the run has claimed."""
    return (
        select(col(Touch.id), what)
        .join_from(Touch, Lead, col(Lead.id) == col(Touch.lead_id))
        .join(Enrolment, col(Enrolment.id) == col(Touch.enrolment_id))
        .outerjoin(Preference, col(Preference.lead_id) == col(Touch.lead_id))
        .where(_MINE)
    )


def _verdict(touch: int, said: str | None, until: int | None) -> Verdict:
    if said is None:
        return Verdict(touch, "sending")
    state, _, reason = said.partition(":")
    return Verdict(touch, state, reason or None, from_micros(until) if until is not None else None)


_Refusals = list[tuple[ColumnElement[bool], str]]
_Deferrals = list[tuple[ColumnElement[bool], str, ColumnElement[Any]]]


def _reasons(live: Live, segment: Segment, step: Sending, wanting: dict[str, set[str]]) -> tuple[_Refusals, _Deferrals]:
    """What keeps a message from going out, (when it holds, `state:reason`) by rank; then, with until when, what puts it
    off.
    """
    message = step.is_message
    deferrals: _Deferrals = []
    marketing = step.purpose() == "marketing"
    refusals: _Refusals = [
        (is_over(), "cancelled:ended"),
        (lead_held(col(Control.state) == STOPPED), "planned:stopped"),
        (lead_held(), "planned:paused"),
    ]
    if not step.withdraws():
        refusals.append((suppressed(), "suppressed:suppressed"))
        refusals += [(lacks, f"suppressed:{word}") for lacks, word in step.unreachable()]
        if marketing and step.consent is not None:
            agreed, answer_by = has_consent(step.consent), unconfirmed_until(step.consent)
            refusals.append((and_(~agreed, answer_by.is_(None)), "suppressed:no_consent"))
            deferrals.append((~agreed, "planned:confirmation", answer_by))
    refusals += [(holds, f"cancelled:{word}") for holds, word in _over(live, segment)]
    topic = topic_of(segment, step)
    if windowed(step) and topic is not None:
        refusals.append((refuses(topic), "suppressed:topic"))
    if withheld(step):
        refusals.append((held_out(live), "suppressed:holdout"))
    if isinstance(step, Audience) and not step.withdraws():
        refusals.append((col(Lead.stage) == "customer", "suppressed:customer"))
        refusals.append((objects("profiling", "sharing"), "suppressed:objected"))
    if message:  # what was to go again, and has shown meanwhile that it arrived
        refusals.append((and_(col(Touch.resent_at).is_not(None), came_back()), "suppressed:already_received"))
    if message and not step.repeats():
        refusals.append((_received_before(), "suppressed:already_received"))
    if step.expires:
        allowed = micros(col(Touch.allowed_at))
        since = greatest(allowed, PAUSED_UNTIL) if windowed(step) else allowed  # what the lead put off is not late
        late = since + span_micros(segment.spec.max_late.roughly) < NOW
        refusals.append((late, "expired:late"))
    if windowed(step):
        zone, country = lead_zone(live.house.program.zone), lead_country(live.house.program.country)
        window = segment.window(live.house)
        opens = _opening(window, NOW, zone, country)
        deferrals.append((PAUSED_UNTIL > NOW, "planned:pause", PAUSED_UNTIL))
        deferrals.append((opens > NOW, "planned:window", opens))
        caps, tomorrow = live.house.program.caps, day_begins(NOW, zone, 1)
        capped = caps.per_day is not None or caps.per_7_days is not None
        if wanting:  # where a cap is set it says when the loser may follow, else another day does
            after = greatest(NOW + span_micros(POLL), rivals.next_try(wanting)) if capped else tomorrow
            deferrals.append((rivals.wanted(wanting), "planned:priority", _opening(window, after, zone, country)))
        full, free = _cap(live)
        again, skips = free_again(), segment.spec.send.over_cap == "skip"
        first = greatest(again, free)  # both hold: the later; a pace may reach further than openings are known
        paced = (again > NOW, "planned:pace", func.coalesce(next_open(window, first, zone, country), first))
        later = null() if skips else _opening(window, free, zone, country)
        over = (full, "suppressed:cap" if skips else "planned:cap", later)
        deferrals += [over, paced] if skips else [paced, over]
        if wanting and not capped:
            deferrals.append((rivals.spoke(wanting), "planned:priority", _opening(window, tomorrow, zone, country)))
    return refusals, deferrals


def _opening(window: Any, at: ColumnElement[Any], zone: ColumnElement[str], country: ColumnElement[str]) -> Any:
    return func.coalesce(next_open(window, at, zone, country), at + span_micros(OUT_OF_SIGHT))


def is_over() -> ColumnElement[bool]:
    """The enrolment has ended; what is sent again may follow one that came to its own end."""
    again = and_(col(Touch.resent_at).is_not(None), col(Enrolment.outcome).not_in(CALLED_OFF))
    return and_(col(Enrolment.ended_at).is_not(None), ~again)


def lead_held(*how: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether somebody paused or stopped this lead; `how`: which of it."""
    scope = literal("lead:") + cast(col(Lead.id), String)
    return select(1).where(col(Control.scope) == scope, *how).correlate(Lead).exists()


def _over(live: Live, segment: Segment) -> list[tuple[ColumnElement[bool], str]]:
    """Objective reached or leave rule true by now, even if nobody has settled it yet."""
    found: list[tuple[ColumnElement[bool], str]] = []
    spec = segment.spec
    if spec.objective:
        found.append((objective_reached(spec.objective), "objective"))
        found.append((_unsettled(live, spec.objective), "objective"))
    if spec.leave is not None:
        found.append((compile_condition(spec.leave, live.scope(segment)), "left"))
    return found


def _unsettled(live: Live, objective: str) -> ColumnElement[bool]:
    """The objective is reached by an event that nobody has settled yet."""
    rule = live.house.lifecycle.milestones.get(objective)
    deeds = [part for part in walk(rule.when) if isinstance(part, Did) and not part.negated] if rule else []
    if rule is None or not deeds:
        return false()
    news = and_(col(Event.lead_id) == col(Lead.id), FRESH, or_(*(event_matches(deed, fresh=True) for deed in deeds)))
    return and_(select(1).where(news).correlate(Lead).exists(), compile_condition(rule.when, live.scope()))


def _received_before() -> ColumnElement[bool]:
    other = aliased(Touch)
    same = and_(
        col(other.lead_id) == col(Touch.lead_id),
        col(other.content) == col(Touch.content),
        col(other.id) != col(Touch.id),
        col(other.state).in_(COUNTED),
    )
    return select(1).select_from(other).where(same).correlate(Touch).exists()


def _cap(live: Live) -> tuple[ColumnElement[bool], ColumnElement[Any]]:
    """(the lead has had its share, the first instant at which it may have more), across all sequences."""
    caps = live.house.program.caps
    zone = lead_zone(live.house.program.zone)
    full: list[ColumnElement[bool]] = [false()]
    free: list[ColumnElement[Any]] = [NOW]
    if caps.per_day:
        today = _sent_since(day_begins(NOW, zone))
        full.append(today >= caps.per_day)
        free.append(case((today >= caps.per_day, day_begins(NOW, zone, 1)), else_=NOW))
    if caps.per_7_days:
        week = _sent_since(NOW - span_micros(WEEK) + 1)
        other = aliased(Touch)
        nth = (
            select(micros(col(other.sending_at)) + span_micros(WEEK))
            .select_from(other)
            .where(counted(other))
            .order_by(col(other.sending_at).desc())
            .offset(caps.per_7_days - 1)
            .limit(1)
            .correlate(Touch)
            .scalar_subquery()
        )
        full.append(week >= caps.per_7_days)
        free.append(case((week >= caps.per_7_days, nth), else_=NOW))
    return or_(*full), greatest(*free)


def _sent_since(since: ColumnElement[Any]) -> ColumnElement[Any]:
    other = aliased(Touch)
    rows = select(func.count()).select_from(other).where(counted(other), micros(col(other.sending_at)) >= since)
    return rows.correlate(Touch, Lead).scalar_subquery()

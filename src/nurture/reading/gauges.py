"""How it stands, in numbers cheap enough to be asked every few seconds: index lookups, and counts with an end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal, literal_column, select
from sqlmodel import col

from nurture.records import (
    Control,
    Enrolment,
    Event,
    Handoff,
    Hold,
    Outbox,
    SequenceVersion,
    Touch,
    Work,
)

#: Rows at most that one count looks at: where an index holds all that it asks, and where rows are read.
MOST, MOST_ROWS = 1_000_000, 20_000
#: Seconds for which events are counted again: a transaction may commit after a later one.
_UNSURE = 60.0
_TRIED = ("planned", "retry_wait")


@dataclass(frozen=True)
class Backlog:
    """What waits, and for how many seconds the oldest of it has."""

    count: int = 0
    oldest: float = 0.0


@dataclass(frozen=True)
class Gauges:
    """One look. Each count ends at MOST, or MOST_ROWS where it says so; no name, address or number of a lead."""

    #: The newest MOST_ROWS touches by state.
    touches: dict[str, int]
    #: By sequence: leads due on a step and touches whose time has come; MOST_ROWS.
    due: dict[str, Backlog]
    #: By sequence: leads inside.
    live: dict[str, int]
    #: Rows of the work list, and those whose time has come.
    work: int
    work_due: Backlog
    #: Notices, confirmations and the like that have not left; MOST_ROWS.
    outbox: Backlog
    uncertain: int
    held: int
    #: Sends that wait for a person's answer, and what is paused or stopped.
    holds: int
    controls: int
    #: Hand-offs without an answer, and those of them whose deadline has passed; MOST_ROWS.
    handoffs: int
    late: int
    #: By (owner, state), state being open, overdue or expired, of the newest MOST_ROWS hand-offs; an owner is its place
    #: in the sales team of program.yaml, from 1, and 0 whoever has left it.
    owners: dict[tuple[str, str], int]
    #: Events by actor (person, machine, system) that were written since the first look.
    events: dict[str, int]


def look(link: Connection, now: datetime, tally: EventTally, at: float, team: Sequence[str] = ()) -> Gauges:
    """Everything. `at`: seconds on a clock that never goes back, for the tally; `team`: sales, in order."""
    waiting = select(literal(1)).where(col(Work.due_at) <= now)
    work_oldest = link.execute(select(func.min(col(Work.due_at)))).scalar()
    open_ones = col(Handoff.state) == literal_column("'open'")  # as uq_handoff_open says it
    return Gauges(
        touches=_touches(link),
        due=_due(link, now),
        live=_live(link),
        work=_counted(link, select(col(Work.lead_id))),
        work_due=Backlog(_counted(link, waiting), _age(work_oldest, now)),
        outbox=_outbox(link, now),
        uncertain=_counted(link, _in_state("uncertain")),
        held=_counted(link, _in_state("held")),
        holds=_counted(link, select(literal(1)).where(col(Hold.answered_at).is_(None), col(Hold.state) == "asked")),
        controls=_counted(link, select(col(Control.scope))),
        handoffs=_counted(link, select(literal(1)).where(open_ones), MOST_ROWS),
        late=_counted(link, select(literal(1)).where(open_ones, col(Handoff.deadline_at) < now), MOST_ROWS),
        owners=_owners(link, now, team),
        events=tally.look(link, at),
    )


@dataclass
class EventTally:
    """Counts what is written from the first look on; the log itself may be of any length."""

    _settled: Counter[str] = field(default_factory=Counter)
    _floor: int | None = None
    #: (seconds, the highest id then).
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, link: Connection, at: float) -> dict[str, int]:
        """Events by actor since the first look."""
        top = link.execute(select(func.max(col(Event.id)))).scalar() or 0
        if self._floor is None:
            self._floor = top
        fresh = self._between(link, self._floor, top)
        found = self._settled + fresh
        self._marks.append((at, top))
        while self._marks and self._marks[0][0] <= at - _UNSURE:
            mark = self._marks.popleft()[1]
            self._settled.update(self._between(link, self._floor, mark))
            self._floor = mark
        return {actor: found[actor] for actor in ("person", "machine", "system")}

    def _between(self, link: Connection, after: int, last: int) -> Counter[str]:
        if last <= after:
            return Counter()
        query = select(col(Event.actor), func.count()).where(col(Event.id) > after, col(Event.id) <= last)
        return Counter({actor: count for actor, count in link.execute(query.group_by(col(Event.actor)))})


def _counted(link: Connection, query: Select[Any], most: int = MOST) -> int:
    return int(link.execute(select(func.count()).select_from(query.limit(most).subquery())).scalar_one())


def _in_state(state: str) -> Select[Any]:
    """Touches of a state that has a partial index, spelt as the index has it."""
    return select(literal(1)).where(col(Touch.state) == literal_column(f"'{state}'"))


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0


def _touches(link: Connection) -> dict[str, int]:
    newest = select(col(Touch.state)).order_by(col(Touch.id).desc()).limit(MOST_ROWS).subquery()
    query = select(newest.c.state, func.count()).group_by(newest.c.state)
    return {state: count for state, count in link.execute(query)}


def _due(link: Connection, now: datetime) -> dict[str, Backlog]:
    sequences = link.execute(select(col(SequenceVersion.sequence)).distinct()).scalars().all()
    return {sequence: _due_in(link, sequence, now) for sequence in sorted(sequences)}


def _due_in(link: Connection, sequence: str, now: datetime) -> Backlog:
    """The end is set before the states are looked at: a hold may keep back any number."""
    standing: Any = select(col(Enrolment.due_at).label("at"), literal("planned").label("state")).where(
        col(Enrolment.sequence) == sequence, col(Enrolment.due_at) <= now
    )
    tried: Any = select(col(Touch.next_at).label("at"), col(Touch.state).label("state")).where(
        col(Touch.sequence) == sequence, col(Touch.next_at) <= now
    )
    count, oldest = 0, 0.0
    for query in (standing, tried):
        first = query.order_by("at").limit(MOST_ROWS).subquery()
        answer = select(func.count(), func.min(first.c.at)).where(first.c.state.in_(_TRIED))
        some, since = link.execute(answer).one()
        count, oldest = count + some, max(oldest, _age(since, now))
    return Backlog(count, oldest)


def _owners(link: Connection, now: datetime, team: Sequence[str]) -> dict[tuple[str, str], int]:
    """Expired: nobody answered in time, and it went to somebody else."""
    columns = (col(Handoff.owner), col(Handoff.state), col(Handoff.deadline_at))
    newest = select(*columns).order_by(col(Handoff.id).desc()).limit(MOST_ROWS).subquery()
    late = case((newest.c.deadline_at < now, 1), else_=0)
    among = newest.c.state.in_(("open", "reassigned"))
    query = select(newest.c.owner, newest.c.state, func.count(), func.sum(late)).where(among)
    places = {email: str(place) for place, email in enumerate(team, 1)}
    found: Counter[tuple[str, str]] = Counter()
    for owner, state, count, overdue in link.execute(query.group_by(newest.c.owner, newest.c.state)):
        place = places.get(owner, "0")
        found[(place, "open" if state == "open" else "expired")] += count
        found[(place, "overdue")] += int(overdue) if state == "open" else 0
    return dict(found)


def _live(link: Connection) -> dict[str, int]:
    versions = {number: slug for number, slug in link.execute(select(SequenceVersion.id, SequenceVersion.sequence))}  # type: ignore[call-overload]
    found: Counter[str] = Counter(dict.fromkeys(versions.values(), 0))
    for number, slug in versions.items():
        inside = select(literal(1)).where(col(Enrolment.version_id) == number, col(Enrolment.ended_at).is_(None))
        found[slug] += _counted(link, inside)
    return dict(found)


def _outbox(link: Connection, now: datetime) -> Backlog:
    waiting = select(col(Outbox.created_at)).where(col(Outbox.next_at).is_not(None)).limit(MOST_ROWS).subquery()
    count, oldest = link.execute(select(func.count(), func.min(waiting.c.created_at))).one()
    return Backlog(count, _age(oldest, now))

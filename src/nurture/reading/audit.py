"""Whether the definitions were right, from what came of them: the statements, each over all leads at once.

Every statement groups what it reads once, so its cost grows with the leads, the hand-offs and the score lines there
are, never with their product. What is counted:

naming     the first time that a criterion named a lead: an MQL level, a milestone handed over, a refusal of the gate
success    the lead was an SQL, an opportunity or a customer afterwards; won: a customer afterwards, or a `deal_won`
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlmodel import col

from nurture.dialects import amount_in, text_in
from nurture.engine.answers import LARGEST_VALUE
from nurture.language.compiler import compile_condition
from nurture.language.scores import score
from nurture.program.lifecycle import REJECTIONS
from nurture.program.load import House
from nurture.reading.counts import LADDER
from nurture.records import Event, Handoff, Lead, Milestone, ScoreEntry, StageTransition
from nurture.records.types import micros, to_micros

SUCCESS = ("sql", "opportunity", "customer")
#: A hand-off that went to somebody else goes on as another row.
_OURS = col(Handoff.state) != "reassigned"


def steps() -> Subquery:
    """(lead_id, stage, at, author): every stage that a lead came to, and each deal won that a file told of.

    Of a lead without a history, its stage now: a file brought it, and nobody knows when it came there.
    """
    known = select(literal(1)).where(col(StageTransition.lead_id) == col(Lead.id)).correlate(Lead).exists()
    moved: Any = select(
        col(StageTransition.lead_id).label("lead_id"), col(StageTransition.to_stage).label("stage"),
        micros(col(StageTransition.at)).label("at"), col(StageTransition.author).label("author"),
    ).where(col(StageTransition.to_stage).in_(LADDER))  # fmt: skip
    stands = select(
        col(Lead.id), col(Lead.stage), micros(col(Lead.created_at)), literal("import")
    ).where(col(Lead.stage).in_(LADDER), ~known)  # fmt: skip
    told = select(col(Event.lead_id), literal("customer"), micros(col(Event.occurred_at)), literal("event"))
    return union_all(moved, stands, told.where(col(Event.name) == "deal_won")).subquery("steps")


def deals() -> Subquery:
    """(lead_id, at, value, currency): every deal that was won, by a hand-off or by an event of another system."""
    ours: Any = select(
        col(Handoff.lead_id).label("lead_id"), micros(col(Handoff.progress_at)).label("at"),
        col(Handoff.value).label("value"), col(Handoff.currency).label("currency"),
    ).where(col(Handoff.progress) == "won")  # fmt: skip
    amount = amount_in(col(Event.data), "value")
    theirs = select(
        col(Event.lead_id), micros(col(Event.occurred_at)), case((amount.between(0, LARGEST_VALUE), amount)),
        text_in(col(Event.data), "currency"),
    ).where(col(Event.name) == "deal_won", col(Event.source) != "sales")  # fmt: skip
    return union_all(ours, theirs).subquery("deals")


def named_mql(since: datetime | None) -> Subquery:
    """(key, lead_id, at): each lead's first naming as an MQL; the key is the rule's cause, `import` or `hand`.

    Of a file nobody knows when its leads were named: `at` is 0, so that everything came after it.
    """
    turn = func.row_number().over(
        partition_by=col(StageTransition.lead_id), order_by=(col(StageTransition.at), col(StageTransition.id))
    )
    by = case((col(StageTransition.author).in_(("rule", "import")), col(StageTransition.author)), else_="hand")
    moved = select(
        col(StageTransition.lead_id).label("lead_id"), by.label("author"), col(StageTransition.cause).label("cause"),
        micros(col(StageTransition.at)).label("at"), turn.label("turn"),
    ).where(col(StageTransition.to_stage) == "mql")  # fmt: skip
    known = select(literal(1)).where(col(StageTransition.lead_id) == col(Lead.id)).correlate(Lead).exists()
    stands: Any = select(
        col(Lead.id), literal("import"), literal(""), micros(col(Lead.created_at)), literal_column("1")
    ).where(col(Lead.stage).in_(LADDER), ~known)  # fmt: skip
    every = union_all(moved, stands).subquery()
    first = select(
        case((every.c.author == "rule", every.c.cause), else_=every.c.author).label("key"), every.c.lead_id,
        case((every.c.author == "import", 0), else_=every.c.at).label("at"),
    ).where(every.c.turn == 1)  # fmt: skip
    return (first if since is None else first.where(every.c.at >= to_micros(since))).subquery("named")


def handed_over(since: datetime | None) -> Subquery:
    """(key, lead_id, at): each lead's first hand-off by each milestone."""
    opened = micros(col(Handoff.opened_at))
    columns: tuple[Any, ...] = (col(Handoff.milestone).label("key"), col(Handoff.lead_id), func.min(opened).label("at"))
    query = select(*columns).where(_OURS)
    query = query if since is None else query.where(col(Handoff.opened_at) >= since)
    return query.group_by(col(Handoff.milestone), col(Handoff.lead_id)).subquery("handed")


def refused(since: datetime | None) -> Subquery:
    """(key, lead_id, at): each lead's first refusal by each rule of the gate."""
    reached = micros(col(Milestone.reached_at))
    columns: tuple[Any, ...] = (
        col(Milestone.reason).label("key"),
        col(Milestone.lead_id),
        func.min(reached).label("at"),
    )
    query = select(*columns)
    query = query.where(col(Milestone.outcome) == "refused", col(Milestone.reason).is_not(None))
    query = query if since is None else query.where(col(Milestone.reached_at) >= since)
    return query.group_by(col(Milestone.reason), col(Milestone.lead_id)).subquery("refused")


def _reached(base: Subquery) -> Subquery:
    """(key, lead_id, at, sql_at, won_at): when each lead of `base` succeeded afterwards."""
    came = steps()
    after = and_(came.c.lead_id == base.c.lead_id, came.c.at >= base.c.at, came.c.stage.in_(SUCCESS))
    return (
        select(
            base.c.key, base.c.lead_id, base.c.at, func.min(came.c.at).label("sql_at"),
            func.min(case((came.c.stage == "customer", came.c.at), else_=None)).label("won_at"),
        )
        .join_from(base, came, after, isouter=True)
        .group_by(base.c.key, base.c.lead_id, base.c.at)
        .subquery("reached")
    )  # fmt: skip


def fates(base: Subquery) -> Select[Any]:
    """By key of `base`: how many leads, and what became of them; the answer is that to the first hand-off since."""
    reached = _reached(base)
    since = and_(col(Handoff.lead_id) == base.c.lead_id, micros(col(Handoff.opened_at)) >= base.c.at, _OURS)
    first = (
        select(base.c.key, base.c.lead_id, func.min(col(Handoff.id)).label("handoff"))
        .join_from(base, Handoff, since)
        .group_by(base.c.key, base.c.lead_id)
        .subquery("first")
    )
    state, reason = col(Handoff.state), col(Handoff.reason)
    here = and_(first.c.key == reached.c.key, first.c.lead_id == reached.c.lead_id)
    return (
        select(
            reached.c.key, func.count().label("named"), func.count(first.c.handoff).label("handed"),
            _count(state == "accepted").label("accepted"), _count(state.in_(("open", "expired"))).label("waiting"),
            *(_count(and_(state == "rejected", reason == word)).label(word) for word in REJECTIONS),
            func.count(reached.c.sql_at).label("sql"), func.count(reached.c.won_at).label("won"),
        )
        .select_from(reached)
        .join(first, here, isouter=True)
        .join(Handoff, col(Handoff.id) == first.c.handoff, isouter=True)
        .group_by(reached.c.key)
    )  # fmt: skip


def _count(test: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((test, 1), else_=0)), 0)


def median_days(base: Subquery) -> Select[Any]:
    """By key: the median of microseconds from naming to success, of those that succeeded and whose naming is dated."""
    reached = _reached(base)
    took = reached.c.sql_at - reached.c.at
    ranked = (
        select(
            reached.c.key, took.label("took"),
            func.row_number().over(partition_by=reached.c.key, order_by=took).label("place"),
            func.count().over(partition_by=reached.c.key).label("all"),
        )
        .where(reached.c.sql_at.is_not(None), reached.c.at > 0)
        .subquery()
    )  # fmt: skip
    middle = or_(ranked.c.place * 2 == ranked.c.all, ranked.c.place * 2 == ranked.c.all + 1,
                 ranked.c.place * 2 == ranked.c.all + 2)  # fmt: skip
    return select(ranked.c.key, func.avg(ranked.c.took)).where(middle).group_by(ranked.c.key)


def values(base: Subquery) -> Select[Any]:
    """By key and currency: what the deals that were won afterwards came to."""
    won = deals()
    here = and_(won.c.lead_id == base.c.lead_id, won.c.at >= base.c.at)
    query = select(base.c.key, won.c.currency, func.sum(won.c.value)).join_from(base, won, here)
    return query.where(won.c.value.is_not(None)).group_by(base.c.key, won.c.currency)


def succeeded() -> Subquery:
    """(lead_id, furthest, sql, won) of each lead that came as far as MQL; `furthest`: its place on LADDER."""
    came = steps()
    place = case(*((came.c.stage == stage, number) for number, stage in enumerate(LADDER)), else_=0)
    return (
        select(
            came.c.lead_id, func.max(place).label("furthest"),
            func.max(case((came.c.stage.in_(SUCCESS), 1), else_=0)).label("sql"),
            func.max(case((came.c.stage == "customer", 1), else_=0)).label("won"),
        )
        .group_by(came.c.lead_id)
        .subquery("succeeded")
    )  # fmt: skip


def channel_of(field: str) -> ColumnElement[Any]:
    """The lead's value of a field, folded where it is text of the house's own."""
    if field in Lead.model_fields and field not in ("fields", "folded"):
        column: ColumnElement[Any] = Lead.__table__.c[field]  # type: ignore[attr-defined]
        return column
    return func.coalesce(text_in(col(Lead.folded), field), text_in(col(Lead.fields), field))


def by_channel(field: str, since: datetime | None) -> Select[Any]:
    """By value of the field: leads, and how many came to each stage of the ladder or beyond."""
    done = succeeded()
    query = select(channel_of(field).label("key"), done.c.furthest.label("furthest")).select_from(Lead)
    query = query.join(done, done.c.lead_id == col(Lead.id), isouter=True)
    leads = (query if since is None else query.where(col(Lead.created_at) >= since)).subquery()
    at_least = [_count(leads.c.furthest >= number).label(stage) for number, stage in enumerate(LADDER)]
    return select(leads.c.key, func.count().label("leads"), *at_least).group_by(leads.c.key)


def channel_values(field: str, since: datetime | None) -> Select[Any]:
    """By value of the field and currency: what the won deals came to, and the largest of them."""
    won = deals()
    query = select(channel_of(field).label("key"), won.c.currency, won.c.value)
    query = query.join_from(won, Lead, col(Lead.id) == won.c.lead_id).where(won.c.value.is_not(None))
    rows = (query if since is None else query.where(col(Lead.created_at) >= since)).subquery()
    amounts = (func.sum(rows.c.value), func.max(rows.c.value))
    return select(rows.c.key, rows.c.currency, *amounts).group_by(rows.c.key, rows.c.currency)


def everybody(since: datetime | None) -> Select[Any]:
    """(leads, of them SQL or beyond, customers)."""
    done = succeeded()
    query = select(func.count(), func.coalesce(func.sum(done.c.sql), 0), func.coalesce(func.sum(done.c.won), 0))
    query = query.select_from(Lead).join(done, done.c.lead_id == col(Lead.id), isouter=True)
    return query if since is None else query.where(col(Lead.created_at) >= since)


def by_rule(since: datetime | None) -> Select[Any]:
    """By engagement rule: leads for which it counted before they were named or handed over, and who succeeded."""
    came, done = steps(), succeeded()
    instants = union_all(
        select(came.c.lead_id, came.c.at).where(came.c.author != "import"),
        select(col(Handoff.lead_id), micros(col(Handoff.opened_at))),
    ).subquery()
    named = select(instants.c.lead_id, func.min(instants.c.at).label("at")).group_by(instants.c.lead_id).subquery()
    counted = and_(
        col(ScoreEntry.counted) != 0, col(ScoreEntry.dimension) == "engagement",
        or_(named.c.at.is_(None), micros(col(ScoreEntry.at)) <= named.c.at),
    )  # fmt: skip
    lines: Any = select(col(ScoreEntry.rule).label("rule"), col(ScoreEntry.lead_id).label("lead_id")).distinct()
    lines = lines.join_from(ScoreEntry, named, named.c.lead_id == col(ScoreEntry.lead_id), isouter=True).where(counted)
    if since is not None:
        lines = lines.join(Lead, col(Lead.id) == col(ScoreEntry.lead_id)).where(col(Lead.created_at) >= since)
    theirs = lines.subquery()
    sums = [func.coalesce(func.sum(column), 0) for column in (done.c.sql, done.c.won)]
    query = select(theirs.c.rule, func.count(), *sums).select_from(theirs)
    return query.join(done, done.c.lead_id == theirs.c.lead_id, isouter=True).group_by(theirs.c.rule)


def by_fit(house: House, since: datetime | None) -> Select[Any]:
    """(sql, won, leads for which each fit rule in order holds now), a row for each of the ends that leads came to."""
    done = succeeded()
    holds = [compile_condition(rule.when, house.scope) for rule in house.scoring.fit]
    query = select(done.c.sql, done.c.won, *(_count(func.coalesce(one, false())) for one in holds)).select_from(Lead)
    query = query.join(done, done.c.lead_id == col(Lead.id), isouter=True)
    chosen: Select[Any] = query if since is None else query.where(col(Lead.created_at) >= since)
    return chosen.group_by(done.c.sql, done.c.won)


def by_score(since: datetime | None) -> Select[Any]:
    """By score at the moment at which a rule named the lead an MQL: leads, of them SQL or beyond, and customers."""
    named = named_mql(since)
    reached = _reached(named)
    points = select(reached.c.sql_at, reached.c.won_at, score(reached.c.at).label("points"))
    rows = points.join_from(reached, Lead, col(Lead.id) == reached.c.lead_id).where(
        reached.c.key.not_in(("import", "hand"))
    ).subquery()  # fmt: skip
    counts = (func.count(), func.count(rows.c.sql_at), func.count(rows.c.won_at))
    return select(rows.c.points, *counts).where(rows.c.points.is_not(None)).group_by(rows.c.points)


def kept(rows: Sequence[Any], threshold: int) -> tuple[int, int, int]:
    """(named, SQL, won) among `rows` of `by_score` whose score was at least `threshold`."""
    above = [row for row in rows if row[0] >= threshold]
    return tuple(sum(int(row[place]) for row in above) for place in (1, 2, 3))  # type: ignore[return-value]

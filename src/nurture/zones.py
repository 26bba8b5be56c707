"""Local time as arithmetic in SQL: the offsets of zones, kept as a small derived table.

`to_local` and `to_utc` are scalar subqueries over `zone_span`, so "two days on the lead's wall clock" is one
expression for a whole cohort. A local time in a gap becomes the first valid instant after it; a repeated one the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import ColumnElement, Connection, String, bindparam, delete, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import greatest, upsert
from nurture.durations import Duration
from nurture.jsonsql import listed, rows_of
from nurture.records import Lead, Meta, ZoneSpan
from nurture.records.types import span_micros, to_micros

DAY = 86_400_000_000
#: No clock has been put back by more since 2000, in microseconds.
PUT_BACK = 4 * 3_600_000_000
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
#: Farther than any instant that we keep, in microseconds.
_EVER = 2**61


@cache
def valid_zone(name: str) -> bool:
    """Whether `name` is a zone of the tz database."""
    return name in available_timezones()


@cache
def spans_of(zone: str) -> tuple[tuple[int, int, int, int, int], ...]:
    """(utc_from, utc_to, local_from, local_to, offset) in microseconds: exact 2000 to 2060, the ends go on for ever."""
    tz = ZoneInfo(zone)

    def offset(at: datetime) -> timedelta:
        return at.astimezone(tz).utcoffset() or timedelta()

    changes: list[tuple[datetime, timedelta]] = [(_FIRST, offset(_FIRST))]
    probe = _FIRST
    while probe < _LAST:
        following = min(probe + timedelta(days=7), _LAST)
        if offset(following) != changes[-1][1]:
            low, high = probe, following
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (low, middle) if offset(middle) != changes[-1][1] else (middle, high)
            changes.append((high, offset(high)))
        probe = following
    rows = []
    for index, (begins, shift) in enumerate(changes):
        before = changes[index - 1][1] if index else shift
        utc_from, local_from = to_micros(begins), to_micros(begins + before)
        last = index + 1 == len(changes)
        utc_to, local_to = (
            (_EVER, _EVER) if last else (to_micros(changes[index + 1][0]), to_micros(changes[index + 1][0] + shift))
        )
        rows.append(
            (-_EVER, utc_to, -_EVER, local_to, span_micros(shift))
            if not index
            else (utc_from, utc_to, local_from, local_to, span_micros(shift))
        )
    return tuple(rows)


@cache
def _release() -> str:
    """Of the tz database that this process reads."""
    return version("tzdata")


_ASKED = rows_of(zone=String)
_FROM_STAMP = select(1).where(col(Meta.key) == "tzdata", col(Meta.value) == bindparam("stamp", type_=String))
#: Those of the zones asked for that are there, from the tz database `stamp`.
_THERE = select(col(ZoneSpan.zone)).where(
    col(ZoneSpan.zone).in_(select(_ASKED.c.zone)), col(ZoneSpan.utc_from) == -_EVER, _FROM_STAMP.exists()
)


def know_zones(link: Connection, zones: Iterable[str]) -> None:
    """Make sure that `zone_span` holds these zones, as today's tz database has them."""
    stamp = _release()
    wanted = {zone for zone in zones if valid_zone(zone)}
    asked = {"rows": listed([zone] for zone in sorted(wanted)), "stamp": stamp}
    if wanted <= set(link.execute(_THERE, asked).scalars()):
        return
    known = link.execute(select(col(Meta.value)).where(col(Meta.key) == "tzdata")).scalar()
    if known != stamp:
        wanted |= set(link.execute(select(col(ZoneSpan.zone)).distinct()).scalars())
        link.execute(delete(ZoneSpan))
        statement = upsert(link)(Meta).values(key="tzdata", value=stamp)
        link.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": stamp}))
        wanted |= {zone for zone in link.execute(select(col(Lead.zone)).distinct()).scalars() if zone}
    first = (col(ZoneSpan.zone).in_(sorted(wanted))) & (col(ZoneSpan.utc_from) == -_EVER)
    present = set(link.execute(select(col(ZoneSpan.zone)).where(first)).scalars())
    rows = [
        dict(zip(("utc_from", "utc_to", "local_from", "local_to", "offset"), span, strict=True)) | {"zone": zone}
        for zone in sorted(wanted - present)
        for span in spans_of(zone)
    ]
    if rows:
        link.execute(upsert(link)(ZoneSpan).on_conflict_do_nothing(), rows)


def to_local(at: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """Local microseconds (as if they were UTC) of the instant `at` in `zone`."""
    span = aliased(ZoneSpan)
    offset = (
        select(col(span.offset))
        .where(col(span.zone) == zone, col(span.utc_from) <= at)
        .order_by(col(span.utc_from).desc())
        .limit(1)
        .correlate_except(span)
        .scalar_subquery()
    )
    return at + offset


def to_utc(local: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """The instant of local microseconds `local` in `zone`: gap, first valid instant; repeat, the first."""
    span = aliased(ZoneSpan)
    begins: Any = col(span.utc_from)
    near = begins <= local + literal(DAY)  # no offset is a day: the key's last rows, not all of the zone
    return (
        select(greatest(local - col(span.offset), begins))
        .where(col(span.zone) == zone, near, col(span.local_from) <= local)
        .order_by(begins.desc())
        .limit(1)
        .correlate_except(span)
        .scalar_subquery()
    )


def after(at: ColumnElement[int], wait: Duration, zone: ColumnElement[str]) -> ColumnElement[int]:
    """`wait` after the instant `at`: calendar days on the wall clock of `zone`, or elapsed time."""
    if not wait.days:
        return at + literal(span_micros(wait.elapsed))
    return to_utc(to_local(at, zone) + literal(wait.days * DAY), zone)


def local_day(at: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """The local calendar day of `at`, in days since 1970-01-01."""
    local = to_local(at, zone)
    return (local - local % literal(DAY)) // literal(DAY)


def day_begins(at: ColumnElement[int], zone: ColumnElement[str], days: int = 0) -> ColumnElement[int]:
    """The instant at which the local day of `at` (plus `days`) begins in `zone`."""
    local = to_local(at, zone)
    return to_utc(local - local % literal(DAY) + literal(days * DAY), zone)


def lead_zone(default: str) -> ColumnElement[str]:
    """The zone whose clock counts for a lead: its own, else the program's."""
    return func.coalesce(col(Lead.zone), literal(default))


def lead_country(default: str | None) -> ColumnElement[str]:
    """The country whose holidays count for a lead: its own, else the program's, else none."""
    return func.coalesce(col(Lead.country), literal(default or ""))

"""All that scores come from, as compact columns: every event by a person that some rule speaks of, by lead and instant.

Ten million events take about 200 MB: eight bytes for the instant, four for the lead, two for which rules speak of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, case, select
from sqlmodel import col

from nurture.db import Database
from nurture.language import conditions as c
from nurture.language.compiler import event_matches
from nurture.language.objections import objects
from nurture.records import Event, Lead
from nurture.records.types import NOW_AT, micros, to_micros
from nurture.zones import DAY, lead_zone, spans_of

Array: TypeAlias = NDArray[Any]
#: Name and `where:` of the events that a rule speaks of.
Pattern: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
#: Patterns whose bits share one column.
WORD = 16
_CHUNK = 100_000


@dataclass(frozen=True)
class People:
    """The leads that are scored, by id; `facts`: what else was asked of each, one array a name."""

    ids: Array
    born: Array
    zone: Array
    zones: tuple[str, ...]
    facts: Mapping[str, Array]


@dataclass
class History:
    """Rows by lead and instant: the events, and one row for the birth of each lead, of no pattern.

    `first[i]` to `first[i + 1]` are the rows of lead i; `at` is in microseconds; bit b of `words[w]` says that the row
    is of pattern `16 w + b`.
    """

    people: People
    patterns: Sequence[Pattern]
    first: Array
    at: Array
    words: list[Array]
    _ranks: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    @cached_property
    def lead(self) -> Array:
        """The lead of each row."""
        return np.repeat(np.arange(len(self.people.ids), dtype=np.int32), np.diff(self.first))

    def rows_of(self, pattern: int) -> Array:
        """The rows of one pattern."""
        return np.flatnonzero(self.words[pattern // WORD] & np.uint16(1 << pattern % WORD))

    def day_ranks(self, pattern: int) -> tuple[Array, Array]:
        """The rows of a pattern, and the place of each among those of its lead's local day, from 0."""
        if pattern not in self._ranks:
            rows = self.rows_of(pattern)
            self._ranks[pattern] = rows.astype(np.int32), _ranks_in_day(self.lead[rows], self._days(rows))
        return self._ranks[pattern]

    def _days(self, rows: Array) -> Array:
        """The local days of rows, since 1970."""
        local, zone = self.at[rows], self.people.zone[self.lead[rows]]
        for number, name in enumerate(self.people.zones):
            mine = slice(None) if len(self.people.zones) == 1 else zone == number
            spans = spans_of(name)
            begins, offsets = np.array([span[0] for span in spans]), np.array([span[4] for span in spans])
            local[mine] += offsets[np.searchsorted(begins, local[mine], side="right") - 1]
        return (local // DAY).astype(np.int32)


def _ranks_in_day(lead: Array, day: Array) -> Array:
    """Places from 0 among the rows of one lead and day; rows stand by lead and instant."""
    back = (lead[1:] == lead[:-1]) & (day[1:] < day[:-1])
    order = np.lexsort((day, lead)) if back.any() else slice(None)  # a clock was put back over midnight
    lead, day = lead[order], day[order]
    begins = np.ones(len(lead), bool)
    begins[1:] = (lead[1:] != lead[:-1]) | (day[1:] != day[:-1])
    place = np.arange(len(lead), dtype=np.int32)
    ranks = np.empty(len(lead), np.int32)
    ranks[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return ranks


def arrange(people: People, patterns: Sequence[Pattern], lead: Array, at: Array, words: Sequence[Array]) -> History:
    """The history of events in any order: `lead` as places in `people`, `at` in microseconds."""
    leads = len(people.ids)
    order = in_order(lead, at)
    counts = np.bincount(lead, minlength=leads)
    first = np.zeros(leads + 1, np.int64)
    np.cumsum(counts + 1, out=first[1:])
    whole = np.empty(len(at) + leads, np.int64)
    places = np.arange(1, len(at) + 1) + np.repeat(np.arange(leads), counts)
    whole[places] = at[order]
    births = first[:-1]
    whole[births] = people.born
    some = births[counts > 0]  # who did something before it was known here was born by then
    whole[some] = np.minimum(whole[some], whole[some + 1])
    columns = []
    for word in words:
        column = np.zeros(len(whole), np.uint16)
        column[places] = word[order]
        columns.append(column)
    return History(people, patterns, first, whole, columns)


def in_order(lead: Array, at: Array) -> Array:
    """The order of rows by lead and instant; which of two of one instant comes first does not matter to any sum."""
    if not len(lead):
        return np.empty(0, np.int64)
    since = (at - at.min()).astype(np.uint64)
    room = 64 - int(lead.max()).bit_length()
    spare = max(0, int(since.max()).bit_length() - room)
    order = np.argsort((lead.astype(np.uint64) << np.uint64(room)) | (since >> np.uint64(spare)))
    if spare:  # instants were cut to some microseconds to fit: it seldom matters
        sorted_lead, sorted_at = lead[order], at[order]
        if ((sorted_lead[1:] == sorted_lead[:-1]) & (sorted_at[1:] < sorted_at[:-1])).any():
            return np.lexsort((at, lead))
    return order


def read_history(
    db: Database, patterns: Sequence[Pattern], facts: Mapping[str, ColumnElement[Any]], now: datetime, zone: str
) -> History:
    """What has happened by `now`, in one pass over the leads and one over the events; `zone`: of who has none."""
    with db.read() as link:
        people = _people(link, facts, now, zone)
        events = _events(link, people.ids, patterns, now)
    return arrange(people, patterns, *events)


def _rows(link: Connection, statement: Select[Any], now: datetime) -> Iterator[Sequence[Any]]:
    """What a statement selects, some rows at a time, as the driver has them: to wrap each takes longer than to read it.

    PostgreSQL would send everything at once; SQLite looks for a row when it is asked for one.
    """
    told = link.execution_options(stream_results=link.dialect.name == "postgresql")
    result = told.execute(statement, {"at_now": to_micros(now)})
    while rows := result.cursor_strategy.fetchmany(result, result.cursor, _CHUNK):
        yield rows


def _events(
    link: Connection, ids: Array, patterns: Sequence[Pattern], now: datetime
) -> tuple[Array, Array, list[Array]]:
    """(place of the lead, instant, words) of the events that a pattern speaks of, in no order."""
    width = 2 + -(-len(patterns) // WORD)
    places = np.full(int(ids.max(initial=0)) + 2, -1, np.int32)  # by id; the last stands for whoever came since
    places[ids] = np.arange(len(ids), dtype=np.int32)
    found: list[list[Array]] = [[np.empty(0, kind)] for kind in (np.int32, np.int64, *[np.uint16] * (width - 2))]
    for rows in _rows(link, _matched(patterns), now) if patterns and len(ids) else ():
        numbers = np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * width).reshape(-1, width)
        lead = places[np.minimum(numbers[:, 0], len(places) - 1)]
        mine = (lead >= 0) & numbers[:, 2:].any(axis=1)
        for column, values in zip(found, (lead, *numbers.T[1:]), strict=True):
            column.append(values[mine].astype(column[0].dtype))
    lead, at, *words = (np.concatenate(column) for column in found)
    return lead, at, words


def _matched(patterns: Sequence[Pattern]) -> Select[Any]:
    """Events of the names that patterns speak of: lead, instant, and the words, nought where no `where:` is met."""
    words = []
    for start in range(0, len(patterns), WORD):
        bits: dict[str, ColumnElement[int]] = {}
        for bit, (name, where) in enumerate(patterns[start : start + WORD]):
            one = case((event_matches(c.Did(name, where)), 1 << bit), else_=0)
            bits[name] = bits[name] + one if name in bits else one
        words.append(case(bits, value=col(Event.name), else_=0))
    names = sorted({name for name, _ in patterns})
    return select(col(Event.lead_id), micros(col(Event.occurred_at)), *words).where(
        col(Event.ripe_at) <= NOW_AT, col(Event.name).in_(names)
    )


def _people(link: Connection, facts: Mapping[str, ColumnElement[Any]], now: datetime, zone: str) -> People:
    columns = [column.label(f"fact_{number}") for number, column in enumerate(facts.values())]
    statement = (
        select(col(Lead.id), micros(col(Lead.created_at)), lead_zone(zone), *columns)
        .where(col(Lead.forgotten_at).is_(None), ~objects("profiling"))
        .order_by(col(Lead.id))
    )
    zones: dict[str, int] = {}
    ids, born, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int16)]
    found: list[list[Array]] = [[] for _ in facts]
    for rows in _rows(link, statement, now):
        number, created, whose, *rest = zip(*rows, strict=True)
        ids.append(np.array(number, np.int64))
        born.append(np.array(created, np.int64))
        places.append(np.array([zones.setdefault(name, len(zones)) for name in whose], np.int16))
        for values, given in zip(found, rest, strict=True):
            values.append(np.array(given))
    empty = np.empty(0, np.int64)
    named = {name: np.concatenate(values) if values else empty for name, values in zip(facts, found, strict=True)}
    return People(np.concatenate(ids), np.concatenate(born), np.concatenate(places), tuple(zones), named)

"""The history of the live database under other rules: what would have been handed to sales, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement

from nurture.backtest.history import Array, History, Pattern, read_history
from nurture.backtest.judging import CAME_SO, Judged, Success, firsts, judge, successes
from nurture.backtest.model import Model, model_of
from nurture.backtest.rules import Searches, searches
from nurture.backtest.scan import Climbed, Job, scan
from nurture.backtest.timeline import timeline
from nurture.db import Database
from nurture.errors import Refused
from nurture.program.load import House, Loaded, load_house
from nurture.records.types import from_micros, to_micros


@dataclass(frozen=True)
class Asked:
    """What is asked of the past. `since` and `until` bound the namings and successes that count, not what is scored."""

    now: datetime
    success: Success = "sql"
    since: datetime | None = None
    until: datetime | None = None
    lowest: int = 10
    highest: int = 90


@dataclass(frozen=True)
class Outcome:
    """What one set of rules gives. `ways`: by name, MQL first, with 'all together' where there are several.

    `table`: threshold to what it gives, of `number`; `level`: the threshold of the rules themselves. `anew`: how often
    leads came to be MQLs again after they had been armed anew.
    """

    ways: Mapping[str, Judged]
    table: Mapping[int, Judged]
    number: str
    level: int | None
    anew: int
    today: Sequence[str]
    left_out: Sequence[str]


@dataclass(frozen=True)
class Compared:
    """The same past under several rules.

    `came_so`: leads that had succeeded when they came in, and are left out; `ledger`: how many were named MQL in life,
    by the history of stages, as namings are counted; None: the first of the rules name nobody.
    """

    outcomes: list[Outcome]
    leads: int
    events: int
    since: datetime
    until: datetime
    came_so: int
    ledger: int | None


def house_with(house: House, scoring: str | None = None, lifecycle: str | None = None) -> House:
    """`house` with another scoring.yaml or lifecycle.yaml, as text. Raises ProgramError with every problem of these."""
    given = {"scoring.yaml": scoring, "lifecycle.yaml": lifecycle}
    files = {**house.files, **{name: text for name, text in given.items() if text is not None}}
    loaded = Loaded()
    load_house(files, loaded)
    made = loaded.require().house
    assert made is not None
    return replace(made, id=house.id)


def compare(db: Database, houses: Sequence[House], asked: Asked) -> Compared:
    """What each of `houses` would have given: one reading of the database for all. Raises Refused where none can be."""
    patterns: list[Pattern] = []
    facts: dict[str, ColumnElement[Any]] = {}
    models = [model_of(house, patterns, facts) for house in houses]
    looked_for = [searches(model, asked.lowest, asked.highest) for model in models]
    history = read_history(db, patterns, facts, asked.now, houses[0].program.zone)
    if not len(history.people.ids):
        raise Refused("there are no leads, so there is no past to look at; import leads and events first")
    until = min(to_micros(asked.until or asked.now), to_micros(asked.now))
    since = to_micros(asked.since) if asked.since else int(history.at.min())
    if since >= until:
        raise Refused(f"nothing lies between {from_micros(since)} and {from_micros(until)}; say an earlier --since")
    with db.read() as link:
        success = successes(link, history.people, asked.success)
        in_life = firsts(link, history.people, ("mql",))
    outcomes = [
        _outcome(model, look, found, success, (since, until), range(asked.lowest, asked.highest + 1, 5))
        for model, look, found in zip(models, looked_for, climbed(models, looked_for, history, until), strict=True)
    ]
    events = len(history.at) - len(history.people.ids)
    ledger = judge(in_life, success, since, until).named if "MQL" in outcomes[0].ways else None
    came_so = int((success == CAME_SO).sum())
    return Compared(outcomes, len(history.people.ids), events, from_micros(since), from_micros(until), came_so, ledger)


def climbed(models: Sequence[Model], looks: Sequence[Searches], history: History, end: int) -> list[list[Climbed]]:
    """The climbs that each model looks for, in a history that was read for the patterns of all."""
    jobs = [
        Job(model, timeline(history, model.channels), look.climbs) for model, look in zip(models, looks, strict=True)
    ]
    found = scan(jobs, end)
    return [each if look.own_table else [*each, each[0]] for each, look in zip(found, looks, strict=True)]


def _outcome(
    model: Model, look: Searches, found: list[Climbed], success: Array, span: tuple[int, int], thresholds: range
) -> Outcome:
    leads = len(success)
    firsts = {name: found[place].first(look.climbs[place].level, leads) for place, name in enumerate(look.names)}
    ways = {name: judge(first, success, *span) for name, first in firsts.items()}
    if len(firsts) > 1:
        ways["all together"] = judge(np.minimum.reduce(list(firsts.values())), success, *span)
    table = {level: judge(found[-1].first(level, leads), success, *span) for level in thresholds}
    anew = 0
    if "MQL" in firsts:
        again = found[0].again[0]
        again = again[success[again] != CAME_SO]
        anew = len(again) - len(np.unique(again))
    return Outcome(ways, table, look.number, look.level, anew, model.today, look.left_out)

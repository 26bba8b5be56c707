"""The chance of a success within some days, learnt from the past at a cut-off and tested on others, later in time.

A lead's row at a cut-off holds what was known of it then; its answer is what came within the days after. Nothing of
the future is in a row, but for fields, of which no history is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select
from sqlmodel import col

from nurture.backtest.features import Feature, Features
from nurture.backtest.history import Array, History, read_history
from nurture.backtest.judging import Success, successes
from nurture.backtest.regression import Auc, Fitted, auc, calibration, fit
from nurture.backtest.words import count
from nurture.db import Database
from nurture.errors import Refused
from nurture.program.load import House
from nurture.records import Lead
from nurture.records.types import from_micros, span_micros, to_micros
from nurture.zones import DAY

#: Cut-offs in the past from which is learnt, one every so many days as the forecast looks ahead.
_CUTS = 4
#: Successes and others that are needed to learn anything, and to test it.
_ENOUGH = 20
#: Of ten leads, those that are kept for the test.
_HELD = 3
#: Leads that sales does not have.
_OURS = ("subscriber", "lead", "mql", "recycled")


@dataclass(frozen=True)
class Weight:
    """What one feature does to the log odds, and in points on the scale of the rules' own; None: they give none."""

    feature: Feature
    weight: float
    history: float | None
    leads: int


@dataclass(frozen=True)
class Forecast:
    """What was learnt, how good it is on leads that it had not seen, and who is likely now: (lead, chance)."""

    weights: list[Weight]
    learnt_from: int
    tested_on: int
    succeeded: int
    later: bool
    auc: Auc
    score_auc: Auc
    calibration: list[tuple[int, float, float]]
    penalty: float
    top: list[tuple[str, str, float, int]]
    left_out: list[str]


@dataclass(frozen=True)
class _Rows:
    features: Array
    scores: Array
    success: Array
    lead: Array

    @property
    def enough(self) -> bool:
        return min(int(self.success.sum()), int((1 - self.success).sum())) >= _ENOUGH

    def some(self, which: Array) -> _Rows:
        return _Rows(self.features[which], self.scores[which], self.success[which], self.lead[which])


def forecast(db: Database, house: House, now: datetime, success: Success, within: timedelta, top: int) -> Forecast:
    """Learn, test, and look at today's leads. Raises Refused where the past is too short or too thin to learn from."""
    asked = Features(house)
    history = read_history(db, asked.model.patterns, asked.facts, now, house.program.zone)
    with db.read() as link:
        when = successes(link, history.people, success)
    span, today = span_micros(within), to_micros(now)
    _refuse_the_young(history, when, span, today)
    cuts = [today - span * number for number in range(_CUTS + 1)]
    features, scores = asked.at(history, cuts)
    rows = [
        _rows_at(history, features[place], scores[place], when, cut, span) for place, cut in enumerate(cuts) if place
    ]
    held = (history.people.ids * 2_654_435_761 % 2**32) % 10 < _HELD
    test = rows[0].some(held[rows[0].lead])
    learn = _joined([one.some(~held[one.lead]) for one in rows[1:]])
    later = learn.enough
    if not later:  # the past is too short for a test later in time: the same time, other leads
        learn = rows[0].some(~held[rows[0].lead])
    if not (learn.enough and test.enough):
        raise Refused(
            f"too little to learn from: of {count(len(learn.success), 'row')} of the past {int(learn.success.sum()):,} "
            f"succeeded within {count(span / DAY, 'day')}, and of "
            f"{count(len(test.success), 'lead')} to test on "
            f"{int(test.success.sum()):,}; {_ENOUGH} of each and as many others are needed; "
            "wait, say a longer --within, or a nearer --success"
        )
    tried = fit(learn.features, learn.success, learn.lead)
    chance = tried.chance(test.features)
    everything = _joined(rows)
    final = fit(everything.features, everything.success, everything.lead)
    return Forecast(
        _weights(final, asked.names, everything), len(learn.success), len(test.success),
        int(test.success.sum()), later, auc(chance, test.success), auc(test.scores, test.success),
        calibration(chance, test.success), final.penalty,
        _likeliest(db, history, final.chance(features[0]), scores[0], when, top), asked.left_out,
    )  # fmt: skip


def _refuse_the_young(history: History, when: Array, span: int, today: int) -> None:
    """Raise Refused, with the day from which on it can be asked, where nobody is known for as long as `span`.

    Who had succeeded before, or already when they came in, is nobody here.
    """
    known = history.at[history.first[:-1]][when > today - span]
    if not len(known):
        raise Refused(
            "there are no leads to learn from (who had succeeded long ago, or when they came in, are none); "
            "import leads and events first"
        )
    ripe = int(known.min()) + span
    if ripe > today:
        day = from_micros(-(-ripe // DAY) * DAY)
        raise Refused(
            f"nobody is known for {count(span / DAY, 'day')} yet, so nobody's outcome is; ask again from "
            f"{day:%Y-%m-%d} on, or say a shorter --within"
        )


def _rows_at(history: History, features: Array, scores: Array, when: Array, cut: int, span: int) -> _Rows:
    """The leads that were known at a cut-off and had not succeeded yet, and whether they did within the span after."""
    lead = np.flatnonzero((history.at[history.first[:-1]] <= cut) & (when > cut))
    came = (when[lead] <= cut + span).astype(float)
    return _Rows(features[lead].astype(float), scores[lead], came, lead)


def _joined(rows: Sequence[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate([getattr(one, name) for one in rows]) for name in _Rows.__annotations__))


def _weights(fitted: Fitted, names: Sequence[Feature], rows: _Rows) -> list[Weight]:
    """The weights, the strongest first; in points so that all that the rules give for is worth as much as there."""
    often = np.abs(rows.features).mean(axis=0)
    points = np.array([feature.points or 0.0 for feature in names])
    theirs = float((np.abs(fitted.weights) * often)[points != 0].sum())
    scale = float((np.abs(points) * often).sum()) / theirs if theirs else 0.0
    leads = [len(np.unique(rows.lead[column])) for column in (np.abs(rows.features) > 1e-3).T]
    found = [
        Weight(feature, float(weight), float(weight * scale) if feature.points and scale else None, count)
        for feature, weight, count in zip(names, fitted.weights, leads, strict=True)
        if count
    ]
    order = np.argsort([-abs(one.weight) for one in found], kind="stable")
    return [found[place] for place in order]


def _likeliest(
    db: Database, history: History, chance: Array, scores: Array, when: Array, top: int
) -> list[tuple[str, str, float, int]]:
    """(who, stage, chance, score) of those that sales does not have yet, the likeliest first."""
    found: list[tuple[str, str, float, int]] = []
    order = np.argsort(-chance, kind="stable")
    order = order[when[order] > history.at.max()]
    with db.read() as link:
        for start in range(0, len(order), 500):
            some = order[start : start + 500]
            ids = [int(number) for number in history.people.ids[some]]
            columns = (col(Lead.id), col(Lead.email), col(Lead.source), col(Lead.source_id), col(Lead.stage))
            known = {row[0]: row for row in link.execute(select(*columns).where(col(Lead.id).in_(ids)))}
            for place, number in zip(some, ids, strict=True):
                _, email, source, source_id, stage = known[number]
                if stage in _OURS:
                    found.append((email or f"{source}:{source_id}", stage, float(chance[place]), int(scores[place])))
                if len(found) == top:
                    return found
    return found

"""What the rules already say of each lead, as numbers, as it stood at some instants of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, case, literal
from sqlmodel import col

from nurture.backtest.block import Block, Ground, blocks
from nurture.backtest.history import Array, History, Pattern
from nurture.backtest.model import Channel, Model, Test, model_of
from nurture.backtest.timeline import timeline
from nurture.dialects import text_in
from nurture.folding import fold
from nurture.language import conditions as c
from nurture.language.compiler import compile_condition
from nurture.program.load import House
from nurture.program.scoring import Cap, EngagementRule
from nurture.records import Lead
from nurture.zones import DAY

#: Fields that say by which channel a lead came, the first that the program declares; else the source of the record.
CHANNELS = ("channel", "lead_source", "utm_source")
#: A channel of fewer leads is among the others.
_ENOUGH = 20
#: For so long a lead is new, in microseconds.
_NEW = 30 * DAY
#: What sales or the house itself writes of a lead: it would give the outcome away.
_TELLTALE = (c.Tagged, c.Listed, c.Received, c.InSequence, c.Answered)


@dataclass(frozen=True)
class Feature:
    """One number of a lead: `rule` in the marketer's words; `points`: what scoring.yaml gives for it, if any."""

    kind: str
    rule: str
    points: float | None = None


class Features:
    """What is asked of leads for a forecast, to be read with one history."""

    def __init__(self, house: House) -> None:
        self.names: list[Feature] = []
        self.left_out: list[str] = []
        self.facts: dict[str, ColumnElement[Any]] = {}
        self.model: Model = model_of(house, [], self.facts)
        self._channels: list[int] = []
        self._fields: list[str] = []
        self._levels: list[Test] = []
        self._deeds(house)
        self._fit(house)
        self._stages(house)
        self.names.append(Feature("is", "new: known for less than 30 days"))
        field = next((name for name in CHANNELS if name in house.program.fields), None)
        column: Any = text_in(col(Lead.folded), field) if field else col(Lead.source)
        self.channel = self.model.fact("channel", case((column.is_(None), literal("")), else_=column))

    def _deeds(self, house: House) -> None:
        """A channel of its own for every engagement rule: how often, as far as it has not faded."""
        for rule in house.scoring.engagement:
            number = self.model.pattern(rule.when)
            like = _alone(rule, house, self.model.patterns)
            caps = ((number, 1.0, rule.cap),) if rule.cap != Cap() else ()
            self.model.channels.append(Channel({number: 1.0}, like.half_life, like.expires, caps=caps))
            self._channels.append(len(self.model.channels) - 1)
            self.names.append(Feature("did", rule.rule, rule.points))

    def _fit(self, house: House) -> None:
        for rule in house.scoring.fit:
            parts = list(c.walk(rule.when))
            if any(isinstance(part, _TELLTALE) or _of_sales(part) for part in parts):
                self.left_out.append(f"'{rule.rule}' asks for what sales or a sequence writes")
                continue
            holds = case((compile_condition(rule.when, house.scope), 1), else_=0)
            self._fields.append(self.model.fact(f"rule {rule.rule}", holds))
            self.names.append(Feature("is", rule.rule, rule.points))

    def _stages(self, house: House) -> None:
        for dimension, levels in house.scope.levels.items():
            for level, _ in levels if dimension in ("awareness", "buying_stage") else ():
                self._levels.append(self.model.test(c.Field(dimension, "is", level)))
                self.names.append(Feature("is", f"{dimension.replace('_', ' ')} {level}"))

    def at(self, history: History, cuts: Sequence[int]) -> tuple[Array, Array]:
        """The features (cuts, leads, features) and the scores (cuts, leads) as of instants, from what had happened."""
        leads = len(history.people.ids)
        several = self._with_channels(history)
        found = np.zeros((len(cuts), leads, len(self.names)), np.float32)
        scores = np.zeros((len(cuts), leads))
        line = timeline(history, self.model.channels, cuts)
        for which, longest in blocks(line):
            ground = Ground(line, which, longest)
            block = Block(ground, line, self.model)
            for place, cut in enumerate(cuts):
                stands = block.at == cut if block.hidden is None else (block.at == cut) & ~block.hidden
                row, lead = np.nonzero(stands)
                to = which[lead]
                scores[place, to] = block.number("score")[row, lead]
                values = [block.running(number) for number in self._channels]
                values += [np.broadcast_to(block.fact(name), block.at.shape) for name in self._fields]
                values += [np.broadcast_to(test(block), block.at.shape) for test in self._levels]
                values.append(block.at - block.at[0] < _NEW)
                for number, value in enumerate(values):
                    found[place, to, number] = value[row, lead]
        found[:, :, len(self._channels) + len(self._fields) + len(self._levels) + 1 :] = several
        return found, scores

    def _with_channels(self, history: History) -> Array:
        """A column of 0 and 1 for every channel by which enough leads came; they become features."""
        came = np.array([fold(str(name)) for name in history.people.facts[self.channel]])
        names, counts = np.unique(came, return_counts=True)
        kept = [str(name) for name, count in zip(names, counts, strict=True) if count >= _ENOUGH and name]
        self.names = [name for name in self.names if name.kind != "came by"]
        self.names += [Feature("came by", name) for name in kept]
        return np.stack([came == name for name in kept], axis=1) if kept else np.zeros((len(came), 0))


def _of_sales(part: c.Condition) -> bool:
    return isinstance(part, c.Field) and part.name in ("stage", "status", "owner", "score", "engagement")


def _alone(rule: EngagementRule, house: House, patterns: list[Pattern]) -> Channel:
    """The channel of a rule, if it were the only one."""
    scoring = house.scoring.model_copy(update={"engagement": [rule], "fit": []})
    return model_of(replace(house, scoring=scoring), patterns, {}).channels[0]

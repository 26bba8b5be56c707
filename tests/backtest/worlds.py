"""A small house whose scoring a test writes, with the engine on a virtual clock and the same past for the backtest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement

from nurture.backtest.block import Block, Ground, blocks
from nurture.backtest.history import Pattern, read_history
from nurture.backtest.model import model_of
from nurture.backtest.replay import climbed
from nurture.backtest.rules import searches
from nurture.backtest.timeline import timeline
from nurture.program.load import House
from nurture.records.types import from_micros, to_micros
from nurture.rehearse.stage import Stage, Theatre
from tests.engine.world import MONDAY, World, program, sequence

#: A sequence that nobody enters: the engine ticks by sequences.
IDLE = sequence("  - {id: done, exit: completed}", when="{did: never}")


@contextmanager
def on_stage(theatre: Theatre, files: Mapping[str, str], start: datetime = MONDAY) -> Iterator[World]:
    """An engine's world on an empty stage of `theatre`."""
    made = object.__new__(World)
    made.stage = theatre.stage(start, own_library=True)
    made.machine, made.clock = made.stage.machine, made.stage.clock
    made.start, made.ids = start, {}
    made.publish(program(files, idle=IDLE))
    yield made
    made.close()


def house_of(stage: Stage) -> House:
    """What is published on a stage."""
    with stage.machine.db.read() as link:
        return stage.machine.library.live(link).house


class Past:
    """What the backtest makes of a world's past, at its present instant."""

    def __init__(self, world: World) -> None:
        patterns: list[Pattern] = []
        facts: dict[str, ColumnElement[Any]] = {}
        house = house_of(world.stage)
        self.model = model_of(house, patterns, facts)
        self.look = searches(self.model, 10, 90)
        self.history = read_history(world.machine.db, patterns, facts, world.now, house.program.zone)
        self.end = to_micros(world.now)
        self.ids = self.history.people.ids

    def numbers(self, name: str) -> dict[tuple[int, datetime], int]:
        """The score, or the engagement, of each lead after each of its rows."""
        found = {}
        line = timeline(self.history, self.model.channels)
        for leads, longest in blocks(line):
            block = Block(Ground(line, leads, longest), line, self.model)
            numbers = block.number(name)
            seen = np.ones(block.at.shape, bool) if block.hidden is None else ~block.hidden
            for row, place in zip(*np.nonzero(seen), strict=True):
                key = int(self.ids[leads[place]]), from_micros(int(block.at[row, place]))
                found[key] = int(numbers[row, place])
        return found

    def named(self) -> dict[int, datetime]:
        """When each lead first became an MQL."""
        found = climbed([self.model], [self.look], self.history, self.end)[0][0]
        firsts = found.first(self.look.climbs[0].level, len(self.ids))
        return {int(lead): from_micros(int(at)) for lead, at in zip(self.ids, firsts, strict=True) if at <= self.end}

    def named_anew(self) -> list[tuple[int, datetime]]:
        """Each time that a lead became an MQL, the first among them."""
        leads, ats = climbed([self.model], [self.look], self.history, self.end)[0][0].again
        return sorted((int(self.ids[lead]), from_micros(int(at))) for lead, at in zip(leads, ats, strict=True))

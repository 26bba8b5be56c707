"""What is read of the past: every event that a pattern speaks of, once, however many are fetched at a time."""

from __future__ import annotations

import pytest

from nurture.backtest import history
from nurture.backtest.history import Pattern, read_history
from tests.backtest.worlds import IDLE
from tests.engine.world import HOUR, program, world


def test_each_pattern_finds_its_own_events(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More patterns than one column holds, two of one name, and events of a name of which none is asked for."""
    monkeypatch.setattr(history, "_CHUNK", 4)
    patterns: list[Pattern] = [("seen", (("path", f"/{number}"),)) for number in range(17)]
    patterns += [("seen", (("path", "/1*"),)), ("asked", ()), ("never", ())]
    with world(database_url, program({}, idle=IDLE)) as here:
        for who in ("ana", "ben", "cem"):
            here.lead(who)
        for number in (16, 3, 15, 1, 99):  # no pattern speaks of /99
            here.at(number * HOUR).event("ana", "seen", path=f"/{number}")
        here.event("ben", "asked")
        here.event("ben", "told")
        read = read_history(here.machine.db, patterns, {}, here.now, "UTC")
        alone = read_history(here.machine.db, [], {}, here.now, "UTC")

        names = {here.ids[name]: name for name in here.ids}
        found = {
            number: [names[int(read.people.ids[lead])] for lead in read.lead[read.rows_of(number)]]
            for number in range(len(patterns))
        }
        assert {number: leads for number, leads in found.items() if leads} == {
            1: ["ana"], 3: ["ana"], 15: ["ana"], 16: ["ana"], 17: ["ana"] * 3, 18: ["ben"],
        }  # fmt: skip
        assert len(read.at) == 3 + 5  # each lead's birth, and neither /99 nor what is not spoken of
        assert len(alone.at) == 3

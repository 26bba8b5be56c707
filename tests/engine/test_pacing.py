"""How many leads one transaction takes: few where rows are dear, many where they are cheap, all the same in the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.db import BULK_ROWS
from nurture.engine import movement, pacing
from nurture.engine.pacing import AIM, FEWEST, Pace
from tests.engine.world import DAY, program, sequence, world

FILES = program(
    drip=sequence("  - {id: rest, wait: 2 days}\n  - {id: long, wait: 30 days}\n  - {id: over, exit: done}")
)
#: By how long a transaction may take: how many of ten leads each one carries, where three are the fewest.
PARTS = {"no time at all": (0.0, [3, 3, 3, 1]), "all the time there is": (1e9, [3, 6, 1])}


def parts(some: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many of ten leads each transaction carries out of the first wait."""
    monkeypatch.setattr(pacing, "FEWEST", 3)
    move, found = movement.move, []

    def watched(*given: Any) -> movement.Moved:
        moved = move(*given)
        found.extend([moved.due] if moved.due else [])
        return moved

    names = [f"lead{number}" for number in range(10)]
    some.crowd(names)
    some.event_of(names, "signed_up")
    some.tick()
    monkeypatch.setattr(movement, "move", watched)
    some.at(2 * DAY).tick()
    assert set(some.stands().values()) == {"long"}
    return found


@pytest.mark.parametrize("case", PARTS)
def test_a_transaction_takes_as_many_as_there_is_time_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    aim, expected = PARTS[case]
    monkeypatch.setattr(pacing, "AIM", aim)
    with world(sqlite_url, FILES) as some:
        assert parts(some, monkeypatch) == expected


def test_in_memory_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rehearsal takes the same rows together however fast its machine is."""
    monkeypatch.setattr(pacing, "AIM", 0.0)
    with world("sqlite://", FILES) as some:
        assert parts(some, monkeypatch) == [10]


@given(fixed=st.floats(0, 0.01), row=st.floats(1e-6, 1e-2), batches=st.integers(8, 20))
def test_it_settles_at_what_fits(fixed: float, row: float, batches: int) -> None:
    """Rows of any price: within a few transactions one takes the aimed time or less, or as few rows as may be."""
    pace = Pace()
    for _ in range(batches):
        before, pace.taken = pace.rows, pace.rows
        pace.learn(fixed + row * pace.rows)
        assert FEWEST <= pace.rows <= min(BULK_ROWS, max(FEWEST, 2 * before))
    assert pace.rows == FEWEST or row * pace.rows <= AIM
    assert pace.rows in (FEWEST, BULK_ROWS) or fixed + row * pace.rows > AIM / 4


def test_a_part_that_was_not_full_tells_nothing() -> None:
    """Ten leads in a second: no more were due."""
    pace = Pace(rows=2_000, taken=10)
    pace.learn(1.0)
    assert pace.rows == 2_000

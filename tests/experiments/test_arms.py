"""The deal: both databases as a plain reader, shares that are right, experiments that know nothing of each other."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations
from math import sqrt
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Integer, bindparam, select

from nurture.db import Database
from nurture.language.arms import bounds, drawn_arm, parse_share, parse_shares
from nurture.language.source import Misread
from tests.experiments import plain

KEYS = st.integers(0, 2**31 - 1)
NAMES = st.text(min_size=1, max_size=30)


@st.composite
def dealt(draw: st.DrawFn) -> dict[str, int]:
    """Two to five arms whose shares fill the 10,000 places."""
    cuts = sorted(draw(st.sets(st.integers(1, 9_999), min_size=1, max_size=4)))
    arms = draw(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=5, max_size=5, unique=True))
    return dict(zip(arms, (b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)), strict=False))


@given(name=NAMES, keys=st.lists(KEYS, min_size=1, max_size=20), shares=dealt())
@settings(max_examples=30)
def test_the_database_deals_as_the_plain_reader(
    database: Database, name: str, keys: list[int], shares: dict[str, int]
) -> None:
    """One SQL expression, whatever the key, the name and the shares; the column is 32 bits wide."""
    key = bindparam("key", type_=Integer)
    percents = {arm: places / 100 for arm, places in shares.items()}
    with database.read() as link:
        for each in {*keys, 0, 2**31 - 1}:
            found = link.execute(select(drawn_arm(name, key, shares)), {"key": each}).scalar_one()
            assert found == plain.arm(name, each, percents)


def keys(count: int, seed: int) -> list[int]:
    chance = Random(seed)
    return [chance.randrange(2**31 - 1) for _ in range(count)]


@cache
def tenths(name: str) -> list[int]:
    """Into which of ten parts an experiment puts each of 100,000 leads."""
    return [plain.place(name, key) // 1000 for key in keys(100_000, 1)]


NAMED = ["saas/half", "saas/nudge", "gulf/half", "holdout", "a/b", "win-back/x"]


@pytest.mark.parametrize(("one", "other"), [*combinations(NAMED, 2)])
def test_experiments_are_independent(one: str, other: str) -> None:
    """Chi-square over a table of ten by ten parts, 100,000 leads; 99 degrees of freedom, one in ten thousand."""
    seen = Counter(zip(tenths(one), tenths(other), strict=True))

    statistic = sum((seen[row, column] - 1000) ** 2 / 1000 for row in range(10) for column in range(10))

    # Wilson and Hilferty's approximation of the distribution's quantile
    quantile = 99 * (1 - 2 / (9 * 99) + NormalDist().inv_cdf(0.9999) * sqrt(2 / (9 * 99))) ** 3
    assert statistic < quantile


@pytest.mark.parametrize("name", NAMED)
def test_shares_are_right(name: str) -> None:
    """Each arm gets its share of 100,000 leads, within four standard errors."""
    shares = {"a": 10.0, "b": 33.3, "c": 56.7}
    seen = Counter(plain.arm(name, key, shares) for key in keys(100_000, 2))

    for arm, share in shares.items():
        assert abs(seen[arm] - share * 1000) < 4 * sqrt(100_000 * share / 100 * (1 - share / 100))


@given(
    name=NAMES, found=st.lists(KEYS, min_size=1, max_size=200), one=st.integers(1, 9_998), more=st.integers(1, 9_998)
)
def test_moving_a_boundary_moves_leads_one_way(name: str, found: list[int], one: int, more: int) -> None:
    """From 50/50 to 60/40: nobody goes from the arm that grows to the one that shrinks."""
    grown = min(one + more, 9_999)
    before, after = ({"a": share / 100, "b": 100 - share / 100} for share in (one, grown))

    moved = {(plain.arm(name, key, before), plain.arm(name, key, after)) for key in found}

    assert ("a", "b") not in moved


@given(dealt())
@settings(max_examples=25)
def test_the_order_in_the_file_moves_nobody(shares: dict[str, int]) -> None:
    """The arms are laid out by their names."""
    assert list(bounds(shares)) == list(bounds(dict(reversed(shares.items()))))


WRITTEN = {
    "whole": ({"nudge": 60, "case": 40}, {"nudge": 6000, "case": 4000}),
    "decimal": ({"a": 33.3, "b": 66.7}, {"a": 3330, "b": 6670}),
    "two decimals": ({"a": 0.01, "b": 99.99}, {"a": 1, "b": 9999}),
    "with the sign": ({"a": "33.3%", "b": "66.7 %"}, {"a": 3330, "b": 6670}),
}


@pytest.mark.parametrize(("written", "read"), WRITTEN.values(), ids=WRITTEN)
def test_shares_as_written(written: dict[str, object], read: dict[str, int]) -> None:
    """Percentages, whole or decimal, are kept in exact parts."""
    assert parse_shares(written) == read


REFUSED = {
    "too few": ({"a": 50, "b": 40}, "the shares sum to 90"),
    "too many": ({"a": 60, "b": 60.5}, "the shares sum to 120.5"),
    "one arm": ({"a": 100}, "fewer than two arms"),
    "a list": (["a", "b"], "fewer than two arms"),
    "nothing": ({"a": 0, "b": 100}, "'0' is not a share"),
    "a word": ({"a": "half", "b": 50}, "'half' is not a share"),
    "too fine": ({"a": 33.333, "b": 66.667}, "'33.333' is not a share"),
    "a flag": ({"a": True, "b": 50}, "'True' is not a share"),
}


@pytest.mark.parametrize(("written", "problem"), REFUSED.values(), ids=REFUSED)
def test_shares_that_are_none(written: object, problem: str) -> None:
    """What is wrong is said, with the sum."""
    with pytest.raises(Misread) as refused:
        parse_shares(written)

    assert refused.value.complaints[0][1] == problem


@pytest.mark.parametrize("written", ["inf", "nan", "", None, -1, 100])
def test_a_share_that_is_none(written: object) -> None:
    """Above 0, below 100, and a number."""
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(written)

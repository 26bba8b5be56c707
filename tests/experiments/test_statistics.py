"""The arithmetic of verdicts against published figures, against other ways to reckon, and against chance itself."""

from __future__ import annotations

from math import erfc, exp, pi, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.engine.statistics import (
    SPREAD,
    Count,
    always_valid,
    compare,
    difference,
    more_needed,
    wilson,
    z_test,
    z_value,
)

#: Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
WILSON = {
    "81 of 263": (Count(263, 81), 0.2553, 0.3662),
    "15 of 148": (Count(148, 15), 0.0624, 0.1605),
    "0 of 20": (Count(20, 0), 0.0000, 0.1611),
    "1 of 29": (Count(29, 1), 0.0061, 0.1718),
}


@pytest.mark.parametrize(("count", "low", "high"), WILSON.values(), ids=WILSON)
def test_wilson_as_published(count: Count, low: float, high: float) -> None:
    """To the four places that are printed."""
    assert wilson(count) == pytest.approx((low, high), abs=0.00005)


#: Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10.
NEWCOMBE = {
    "56/70 - 48/80": (Count(70, 56), Count(80, 48), 0.0524, 0.3339),
    "9/10 - 3/10": (Count(10, 9), Count(10, 3), 0.1705, 0.8090),
    "6/7 - 2/7": (Count(7, 6), Count(7, 2), 0.0582, 0.8062),
    "5/56 - 0/29": (Count(56, 5), Count(29, 0), -0.0381, 0.1926),
    "0/10 - 0/20": (Count(10, 0), Count(20, 0), -0.1611, 0.2775),
    "0/10 - 0/10": (Count(10, 0), Count(10, 0), -0.2775, 0.2775),
    "10/10 - 0/20": (Count(10, 10), Count(20, 0), 0.6791, 1.0000),
    "10/10 - 0/10": (Count(10, 10), Count(10, 0), 0.6075, 1.0000),
}


@pytest.mark.parametrize(("one", "other", "low", "high"), NEWCOMBE.values(), ids=NEWCOMBE)
def test_newcombe_as_published(one: Count, other: Count, low: float, high: float) -> None:
    """The difference's interval, to the four places that are printed."""
    assert difference(one, other) == pytest.approx((low, high), abs=0.00005)


@st.composite
def counted(draw: st.DrawFn) -> Count:
    exposed = draw(st.integers(1, 5_000))
    return Count(exposed, draw(st.integers(0, exposed)))


@given(counted(), counted())
def test_the_z_test_is_pearsons_chi_square(one: Count, other: Count) -> None:
    """The square of z is the statistic of the table of two by two, whose tail is an error function."""
    a, b, c, d = one.converted, one.exposed - one.converted, other.converted, other.exposed - other.converted
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    statistic = (a + b + c + d) * (a * d - b * c) ** 2 / margins if margins else 0.0

    assert z_value(one, other) ** 2 == pytest.approx(statistic, rel=1e-9, abs=1e-12)
    assert z_test(one, other) == pytest.approx(erfc(sqrt(statistic / 2)), rel=1e-9, abs=1e-15)


MIXED = {
    "even": (Count(1000, 120), Count(1000, 150)),
    "uneven": (Count(300, 30), Count(2700, 330)),
    "far apart": (Count(400, 40), Count(400, 90)),
    "alike": (Count(500, 50), Count(500, 51)),
}


@pytest.mark.parametrize(("one", "other"), MIXED.values(), ids=MIXED)
def test_the_mixture_is_the_integral_it_stands_for(one: Count, other: Count) -> None:
    """The likelihood ratio of z, averaged over normal differences by adding up small slices."""
    z, weight = z_value(one, other), sqrt(one.exposed * other.exposed / (one.exposed + other.exposed))
    step, total = SPREAD / 500, 0.0
    for slice_ in range(-5_000, 5_001):
        effect = slice_ * step
        density = exp(-((effect / SPREAD) ** 2) / 2) / (SPREAD * sqrt(2 * pi))
        total += exp(z * effect * weight - (effect * weight) ** 2 / 2) * density * step

    assert always_valid(one, other) == pytest.approx(min(1.0, 1 / total), rel=1e-6)


def looked_at(chance: Random, rates: tuple[float, ...], per_look: tuple[int, ...], looks: int) -> tuple[bool, bool]:
    """Whether the always-valid test, and the z-test, named a winner at any of the looks."""
    done, always, once = [0] * len(rates), False, False
    for look in range(1, looks + 1):
        for arm, (rate, more) in enumerate(zip(rates, per_look, strict=True)):
            done[arm] += sum(chance.random() < rate for _ in range(more))
        found = compare({str(arm): Count(look * per_look[arm], done[arm]) for arm in range(len(rates))})
        always, once = always or found.always_valid_p <= 0.05, once or found.p_value <= 0.05
    return always, once


#: Rates, leads per look and arm, looks, repetitions.
ALIKE = {
    "one in ten": ((0.1, 0.1), (25, 25), 60, 600),
    "one in fifty": ((0.02, 0.02), (40, 40), 60, 400),
    "half": ((0.5, 0.5), (5, 5), 100, 600),
    "a look at every few": ((0.1, 0.1), (3, 3), 300, 200),
    "uneven shares": ((0.1, 0.1), (45, 5), 60, 600),
    "three arms": ((0.1, 0.1, 0.1), (25, 25, 25), 60, 400),
    "two of three alike": ((0.15, 0.15, 0.05), (25, 25, 25), 40, 400),
}


@pytest.mark.parametrize(("rates", "per_look", "looks", "times"), ALIKE.values(), ids=ALIKE)
def test_arms_that_do_alike_seldom_name_a_winner(
    rates: tuple[float, ...], per_look: tuple[int, ...], looks: int, times: int
) -> None:
    """However often one looks: false winners of the always-valid test stay within the level of five per cent."""
    chance = Random(20260302)
    found = [looked_at(chance, rates, per_look, looks) for _ in range(times)]

    assert sum(always for always, _ in found) / times <= 0.05
    if len(rates) == 2:  # looked at as often, the test for one look errs again and again: so it may not decide
        assert sum(once for _, once in found) / times > 0.15


def test_arms_that_differ_are_told_apart() -> None:
    """A better letter wins: 10 against 15 per cent, within 3,000 leads an arm, in nine of ten experiments."""
    chance = Random(7)
    found = [looked_at(chance, (0.10, 0.15), (100, 100), 30)[0] for _ in range(100)]

    assert sum(found) >= 90


@given(counted(), counted())
def test_more_leads_are_just_enough(one: Count, other: Count) -> None:
    """With the leads that are asked for the verdict is certain, with a hundredth fewer it is not."""
    arms = {"a": one, "b": other}
    needed, leads = more_needed(arms, 0.05), one.exposed + other.exposed
    if needed is None:
        assert one.rate == other.rate or compare({k: v.times(9_000) for k, v in arms.items()}).always_valid_p > 0.05
        return

    def p(more: float) -> float:
        return compare({arm: count.times(1 + more / leads) for arm, count in arms.items()}).always_valid_p

    assert p(needed) <= 0.05
    assert needed == 0 or p(needed - max(2, 0.01 * (needed + leads))) > 0.05


def test_too_few_answers_prove_nothing() -> None:
    """Nine of nine against none of a thousand is no normal distribution."""
    assert always_valid(Count(9, 9), Count(1000, 0)) == 1.0


def test_a_tie_has_no_leader() -> None:
    """Nor has an experiment that nobody is in."""
    assert compare({"a": Count(10, 5), "b": Count(20, 10)}).leader is None
    assert compare({"a": Count(0, 0), "b": Count(0, 0)}).p_value == 1.0

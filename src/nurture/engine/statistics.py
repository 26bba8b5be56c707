"""Whether rates differ: intervals, a test for one look, and one for any number of looks. Pure arithmetic.

Cited: Wilson (1927) and Newcombe, Statistics in Medicine 17 (1998) 857-890, for intervals; Johari, Koomen, Pekelis and
Walsh, "Always Valid Inference", Operations Research 70 (2022), for p-values that stay valid however often one looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, exp, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
#: Of the mixture over which the always-valid test averages: the spread of differences that it looks for, in standard
#: deviations of one lead's answer. A fifth is what Cohen calls a small effect: six points about a rate of 10 %.
SPREAD = 0.2
#: Fewer answers than these, or fewer leads without one, are too few for the normal distribution: no p-value below 1.
FEWEST = 10
#: Times as many leads as there are now, beyond which no number is named.
_ENDLESS = 10_000


@dataclass(frozen=True)
class Count:
    """How many leads were exposed, and how many of them did what was hoped for."""

    exposed: float
    converted: float

    @property
    def rate(self) -> float:
        """Between 0 and 1; 0 while nobody is exposed."""
        return self.converted / self.exposed if self.exposed else 0.0

    def times(self, factor: float) -> Count:
        """As many leads more at the same rate."""
        return Count(self.exposed * factor, self.converted * factor)


@dataclass(frozen=True)
class Comparison:
    """The arm with the highest rate against each other one: the largest p times the number of the others.

    That is Bonferroni's correction (Dunn, 1961). Since either side of a pair errs half of the time, the chance that
    arms which do alike name any leader is at most the level, although the figures say who leads. `leader`: None
    where two lead.
    """

    leader: str | None
    p_value: float
    always_valid_p: float


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def wilson(count: Count, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate; (0, 1) while nobody is exposed."""
    if not count.exposed:
        return 0.0, 1.0
    n, rate, z = count.exposed, count.rate, _z(confidence)
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(one: Count, other: Count, confidence: float = 0.95) -> tuple[float, float]:
    """Newcombe's interval (his tenth method) of the rate of `one` less that of `other`."""
    (low, high), (other_low, other_high) = wilson(one, confidence), wilson(other, confidence)
    seen = one.rate - other.rate
    return (
        seen - sqrt((one.rate - low) ** 2 + (other_high - other.rate) ** 2),
        seen + sqrt((high - one.rate) ** 2 + (other.rate - other_low) ** 2),
    )


def z_value(one: Count, other: Count) -> float:
    """Of the two-proportion test with pooled variance; 0 where it says nothing."""
    if not one.exposed or not other.exposed:
        return 0.0
    pooled = (one.converted + other.converted) / (one.exposed + other.exposed)
    variance = pooled * (1 - pooled) * (1 / one.exposed + 1 / other.exposed)
    return (one.rate - other.rate) / sqrt(variance) if variance > 0 else 0.0


def z_test(one: Count, other: Count) -> float:
    """Two-sided p-value for one look at a size that was fixed before."""
    return 2 * _NORMAL.cdf(-abs(z_value(one, other)))


def always_valid(one: Count, other: Count) -> float:
    """Two-sided p-value of the mixture sequential probability ratio test, valid at every look.

    1 over the likelihood ratio of z, averaged over normally distributed differences (SPREAD), against none at all.
    """
    answers, leads = one.converted + other.converted, one.exposed + other.exposed
    if min(answers, leads - answers) < FEWEST or not one.exposed or not other.exposed:
        return 1.0
    weight = SPREAD**2 * one.exposed * other.exposed / leads
    evidence = z_value(one, other) ** 2 / 2 * weight / (1 + weight)
    return min(1.0, sqrt(1 + weight) * exp(-min(evidence, 700.0)))


def compare(arms: Mapping[str, Count]) -> Comparison:
    """The arm with the highest rate against the others."""
    best = max(count.rate for count in arms.values())
    leaders = [arm for arm, count in arms.items() if count.rate == best]
    if len(leaders) > 1:
        return Comparison(None, 1.0, 1.0)
    (leader,) = leaders
    others = [count for arm, count in arms.items() if arm != leader]
    once, always = (max(test(arms[leader], other) for other in others) for test in (z_test, always_valid))
    return Comparison(leader, min(1.0, len(others) * once), min(1.0, len(others) * always))


def more_needed(arms: Mapping[str, Count], level: float) -> int | None:
    """How many more leads, at the rates and the division seen, until the leader is certain; None: no number is."""
    if compare(arms).leader is None or any(not count.exposed for count in arms.values()):
        return None

    def certain(factor: float) -> bool:
        return compare({arm: count.times(factor) for arm, count in arms.items()}).always_valid_p <= level

    enough, few = 1.0, 1.0
    while not certain(enough):
        few, enough = enough, enough * 2
        if enough > _ENDLESS:
            return None
    while enough - few > 0.001 * few:
        middle = (few + enough) / 2
        few, enough = (few, middle) if certain(middle) else (middle, enough)
    return ceil((enough - 1) * sum(count.exposed for count in arms.values()))

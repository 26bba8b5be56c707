"""A small logistic regression with a penalty on large weights, and how well it tells successes from others."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from nurture.backtest.history import Array

#: Penalties that are tried; the one that does best on leads it has not seen is kept.
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
_FOLDS, _STEPS, _STILL = 5, 40, 1e-8


@dataclass(frozen=True)
class Fitted:
    """`weights` are per unit of a feature, in log odds; `bias` is that of a lead of which every feature is 0."""

    weights: Array
    bias: float
    penalty: float

    def chance(self, features: Array) -> Array:
        """The chance of each row, 0 to 1."""
        return _chance(features @ self.weights + self.bias)


def _chance(odds: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -40.0, 40.0)))  # type: ignore[no-any-return]


def fit(features: Array, success: Array, folds: Array) -> Fitted:
    """The weights that explain `success` (0 or 1) best; `folds`: any number a lead, to keep its rows together."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    varies = spread > 1e-9
    scale = np.where(varies, spread, 1.0)
    scaled = np.where(varies, (features - mean) / scale, 0.0)
    penalty = min(PENALTIES, key=lambda one: _loss_unseen(scaled, success, folds % _FOLDS, one))
    weights = _newton(scaled, success, penalty)
    own = np.where(varies, weights[1:] / scale, 0.0)
    return Fitted(own, float(weights[0] - own @ mean), penalty)


def _loss_unseen(features: Array, success: Array, folds: Array, penalty: float) -> float:
    """The mean log loss on the fold that was left out."""
    total = 0.0
    for fold in range(_FOLDS):
        out = folds == fold
        weights = _newton(features[~out], success[~out], penalty)
        chance = np.clip(_chance(features[out] @ weights[1:] + weights[0]), 1e-9, 1 - 1e-9)
        total -= float((success[out] * np.log(chance) + (1 - success[out]) * np.log(1 - chance)).sum())
    return total / len(success)


def _newton(features: Array, success: Array, penalty: float) -> Array:
    """Bias and weights by iteratively reweighted least squares; the bias is not penalised."""
    rows = np.hstack([np.ones((len(features), 1)), features])
    ridge = np.full(rows.shape[1], penalty)
    ridge[0] = 1e-6
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chance = _chance(rows @ weights)
        slope = rows.T @ (success - chance) - ridge * weights
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if float(np.abs(step).max()) < _STILL:
            break
    return weights


@dataclass(frozen=True)
class Auc:
    """How often a success is ranked above another lead: 0.5 is chance, 1 is always. With a 95 % interval."""

    value: float
    low: float
    high: float


def auc(ranking: Array, success: Array) -> Auc:
    """Mann and Whitney's statistic, ties half; the interval by Hanley and McNeil (1982)."""
    good, bad = int(success.sum()), int((1 - success).sum())
    _, place, counts = np.unique(ranking, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    value = float((ranks[success == 1].sum() - good * (good + 1) / 2) / (good * bad))
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = (value * (1 - value) + (good - 1) * (q1 - value**2) + (bad - 1) * (q2 - value**2)) / (good * bad)
    half = 1.96 * sqrt(max(spread, 0.0))
    return Auc(value, max(0.0, value - half), min(1.0, value + half))


def calibration(chance: Array, success: Array, bins: int = 5) -> list[tuple[int, float, float]]:
    """(leads, chance as told, share that succeeded) of equal parts of the leads, the least likely first."""
    parts = np.array_split(np.argsort(chance, kind="stable"), bins)
    return [(len(part), float(chance[part].mean()), float(success[part].mean())) for part in parts if len(part)]

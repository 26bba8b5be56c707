"""What is learnt from a past that somebody else recorded, and that nothing of the future is in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from nurture.backtest.forecast import forecast
from nurture.backtest.regression import auc, fit
from tests.backtest.worlds import house_of
from tests.backtest.xeducation import school
from tests.engine.world import MONDAY
from tests.intake.importing import needs_shared_data, shared_data


def test_weights_are_found_again() -> None:
    """Made with known weights, the answers give them back; what does not vary has none."""
    chance = np.random.default_rng(1)
    features = np.column_stack([chance.random((4000, 2)) < 0.4, np.ones(4000)]).astype(float)
    odds = -1.0 + 2.0 * features[:, 0] - 1.5 * features[:, 1]
    success = (chance.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)

    found = fit(features, success, np.arange(4000))

    assert found.weights == pytest.approx([2.0, -1.5, 0.0], abs=0.3)
    assert found.bias == pytest.approx(-1.0, abs=0.2)


def test_auc_counts_pairs() -> None:
    """Of the six pairs four are in order and one is a tie; the interval holds the value."""
    found = auc(np.array([1.0, 2.0, 2.0, 3.0, 0.0]), np.array([0, 1, 0, 1, 1]))

    assert found.value == pytest.approx((1 + 0.5 + 2 + 0) / 6)
    assert 0 <= found.low <= found.value <= found.high <= 1


@needs_shared_data
def test_x_education_is_foretold_without_leakage(tmp_path: Path) -> None:
    """Better than the score and near what others reached (0.856), not near 0.985, which columns of sales give."""
    path = shared_data() / "xeducation" / "leads_dev70.csv"
    stage = school(path, tmp_path, MONDAY, ages=(190, 100), most=2400)

    found = forecast(stage.machine.db, house_of(stage), MONDAY, "customer", timedelta(days=90), 5)

    stage.close()
    assert found.later
    assert 0.80 < found.auc.value < 0.93
    assert found.auc.value > found.score_auc.value
    weights = {one.feature.rule: one.weight for one in found.weights}
    assert weights["works"] > 1 > 0 > weights["landed on a page of ours"]
    assert found.calibration[-1][2] > 0.5 > 0.2 > found.calibration[0][2]  # who was told to be likely did it
    assert len(found.top) == 5
    assert all(stage in ("lead", "mql") for _, stage, _, _ in found.top)

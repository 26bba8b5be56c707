"""A forecast in plain sentences and tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nurture.backtest.forecast import Forecast, Weight
from nurture.backtest.regression import Auc
from nurture.backtest.words import article, count, share


def sentences(found: Forecast, success: str, within: str) -> list[str]:
    """What a reader should know first."""
    how = "later in time" if found.later else "at the same time, since the past is too short for a later one"
    told = [
        f"How likely a lead is to become {article(success)} within {within}: learnt from "
        f"{count(found.learnt_from, 'row')} of the past, tested on {count(found.tested_on, 'other lead')} "
        f"{how}, of whom {found.succeeded:,} did.",
        f"It ranks a success above another lead {_auc(found.auc)} of the time; the score does {_auc(found.score_auc)}.",
        "Nothing of this is stored, and nobody is moved by it. Fields are as they are today, since no history of "
        "them is kept: what is filled in only after a success makes it look better than it is.",
    ]
    told += [f"Left out: {part}." for part in found.left_out]
    gaps = [one for one in found.weights if one.history is not None]
    gaps.sort(key=lambda one: -abs((one.history or 0.0) - (one.feature.points or 0.0)))
    return told + [f"{_said(one)}." for one in gaps[:3]]


def _auc(value: Auc) -> str:
    return f"{share(value.value)} ({share(value.low)} to {share(value.high)})"


def _said(one: Weight) -> str:
    return (
        f"'{one.feature.rule}': {one.weight:+.2f} each; your points say {one.feature.points:g}, "
        f"history says about {one.history:.0f}"
    )


def weights(found: Forecast) -> list[dict[str, Any]]:
    """One row for each rule, the strongest first."""
    return [
        {
            "what": f"{one.feature.kind}: {one.feature.rule}",
            "weight": f"{one.weight:+.2f}",
            "your points": "" if one.feature.points is None else f"{one.feature.points:g}",
            "history says": "" if one.history is None else f"{one.history:.0f}",
            "leads": one.leads,
        }
        for one in found.weights
    ]


def table(found: Forecast) -> list[dict[str, Any]]:
    """One row for each fifth of the leads."""
    return [
        {"leads": leads, "chance": share(told), "succeeded": share(came)} for leads, told, came in found.calibration
    ]


def likeliest(found: Forecast) -> list[dict[str, Any]]:
    """One row for each lead."""
    return [
        {"lead": who, "stage": stage, "chance": share(chance), "score": score}
        for who, stage, chance, score in found.top
    ]


def plain(found: Forecast) -> dict[str, Any]:
    """Everything, for a program."""
    names = ("lead", "stage", "chance", "score")
    return {**asdict(found), "top": [dict(zip(names, row, strict=True)) for row in found.top]}

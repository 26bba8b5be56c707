"""What experiments and the holdout found."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nurture.cli.speech import Json, machine, say, tell_json, tell_table

if TYPE_CHECKING:
    from nurture.reading.counts import Row
    from nurture.reading.holdout import Lift

_WIDTH = 100
_FOOT = (
    "exposed: leads, each once, in the arm that it had first; with a winner, of those whose time is over. p is for one "
    "look at a size chosen before (two-proportion z-test); always-valid p holds however often one looks (mixture "
    "sequential test), and it alone decides."
)


def experiments(
    segment: Annotated[str | None, Parameter(name="SEGMENT", help="A live segment; all of them unless said.")] = None,
    /,
    *,
    json: Json = False,
) -> int:
    """Show each split and each message with arms: who was exposed, who did it, and whether one arm does better."""
    from nurture.reading import experiments as found

    with machine() as opened:
        rows = found.experiments(opened, segment)
    if json:
        tell_json(rows)
        return 0
    for row in rows:
        _tell(row)
    if not rows:
        say("No step has arms: write split: {nudge: 50, case: 50}, or variants: {a: 50, b: 50} beside an email.")
    elif any(row["p"] is not None for row in rows):
        say(fill(_FOOT, _WIDTH))
    return 0


def _tell(row: Row) -> None:
    from nurture.reading.experiments import rate

    confidence = f"{row['confidence']:g} % interval"
    arms = [
        {
            "arm": arm["arm"], "share": f"{arm['share']:g} %", "exposed": arm["exposed"], "did it": arm["converted"],
            "rate": rate(arm["rate"]) if arm["exposed"] else "",
            confidence: f"{rate(arm['low'])} to {rate(arm['high'])}" if arm["exposed"] else "",
        }
        for arm in row["arms"]
    ]  # fmt: skip
    say(f"{row['segment']}, {row['step']}: {row['kind']}; counted is who {row['counts']}")
    tell_table(arms, keep=("exposed", "did it"))
    if row["p"] is not None:
        say(f"p {_small(row['p'])}, always-valid p {_small(row['always valid p'])}")
    say(f"{fill(row['verdict'], _WIDTH)}\n")


def _small(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "below 0.0001"


def holdout(*, json: Json = False) -> int:
    """Show what marketing does: leads that got it against those held out, with an interval of the difference."""
    from nurture.reading.holdout import lift

    with machine() as opened:
        told = lift(opened)
    if json:
        tell_json({"share": told.share, "outcomes": told.rows, "left out": told.left_out})
        return 0
    if not told.share:
        say("Nobody is held out: write holdout: 5% in program.yaml, and publish.")
    if told.share or told.rows[0]["held out"]["leads"]:
        _tell_lift(told)
    return 0


def _tell_lift(told: Lift) -> None:
    from nurture.reading.experiments import rate
    from nurture.reading.holdout import points

    treated, held = (told.rows[0][side]["leads"] for side in ("treated", "held out"))
    rows = [
        {
            "outcome": row["outcome"],
            **{side: f"{row[side]['converted']:,} ({rate(row[side]['rate'])})" for side in ("treated", "held out")},
            "difference": f"{points(row['lift'])} points",
            "95 % interval": f"{points(row['low'])} to {points(row['high'])}",
        }
        for row in told.rows
    ]
    say(f"Since they first entered a sequence: {treated:,} leads treated, {held:,} held out")
    tell_table(rows)
    for row in told.rows:
        say(fill(f"{row['outcome']}: {row['verdict']}", _WIDTH))
    if told.left_out:
        are = "lead is" if told.left_out == 1 else "leads are"
        say(f"{told.left_out:,} {are} left out: the share was changed after they entered.")

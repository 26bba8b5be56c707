"""Numbers for whoever asks how it goes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nurture.cli.speech import Json, complain, machine, say, tell_json, tell_table

if TYPE_CHECKING:
    from nurture.reading.counts import Row


def report(*, json: Json = False) -> int:
    """Show the funnel of each segment, what sales said, and what went out by step and channel."""
    from nurture.reading import counts
    from nurture.reading.answers import answers, refused

    with machine() as opened:
        funnel, touches = counts.funnel(opened), counts.touches(opened)
        handoffs, kept_back = answers(opened), refused(opened)
    if json:
        tell_json({"funnel": funnel, "handoffs": handoffs, "refused": kept_back, "touches": touches})
        return 0
    tell_table(funnel, title="From lead to accepted hand-off", keep=("segment", "leads", "mql", "sal", "accepted"))
    say(f"{fill(counts.FUNNEL, 78)}\n")
    _tell_answers(handoffs, kept_back)
    if not touches:
        say("Nothing went out yet.")
    for segment, rows in groupby(touches, key=lambda row: str(row["segment"])):
        tell_table([_went_out(row) for row in rows], title=f"What went out: {segment}", keep=("sent",))
    return 0


def _tell_answers(handoffs: list[Row], kept_back: list[Row]) -> None:
    rows = [
        {
            **row,
            "milestone": str(row["milestone"]).replace("_", " "),
            "given back": _counted(
                {str(reason).replace("_", " "): count for reason, count in row["given back"].items()}
            ),
        }
        for row in handoffs
    ]
    kept = ("handed over", "accepted", "waiting")
    tell_table(rows, title="Hand-offs, and what sales said", keep=kept, empty="Nobody was handed to sales yet.")
    if kept_back:
        said = _counted({str(row["reason"]).replace("_", " "): row["times"] for row in kept_back})
        say(f"Refused at the gate, by reason: {said}.\n")


def _went_out(row: Row) -> Row:
    """What a step sent, and in one cell what it did not."""
    others = {word: row[word] for word in ("suppressed", "failed", "expired", "uncertain", "cancelled") if row[word]}
    shown = ("step", "channel", "sent", "clicked", "waiting")
    return {**{word: row[word] for word in shown}, "not sent": _counted(others)}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in counts.items())


def cohorts(
    segment: Annotated[str, Parameter(name="SEGMENT", help="A live segment.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Show who stands where in a live segment."""
    from nurture.reading import counts
    from nurture.reading.holds import holds

    with machine() as opened:
        rows, held = counts.cohorts(opened, segment), holds(opened, [segment])
    if json:
        tell_json(rows)
        for sentence in held:
            complain(sentence)
    else:
        tell_table(
            [{key: row[key] for key in row if key != "label"} for row in rows],
            title=segment,
            keep=("waiting", "due"),
        )
        for sentence in held:
            say(sentence)
    return 0

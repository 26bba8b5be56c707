"""Numbers for whoever asks how it goes."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from nurture.cli.speech import Json, machine, tell_json, tell_table


def report(*, json: Json = False) -> int:
    """Show the funnel of each segment, and what went out by step and channel."""
    from nurture.reading import counts

    with machine() as opened:
        funnel, touches = counts.funnel(opened), counts.touches(opened)
    if json:
        tell_json({"funnel": funnel, "touches": touches})
        return 0
    tell_table(funnel, title="From lead to accepted hand-off", keep=("segment", "leads", "mql", "sal", "accepted"))
    tell_table(touches, title="What went out", keep=("sent",), empty="Nothing went out yet.")
    return 0


def cohorts(
    segment: Annotated[str, Parameter(name="SEGMENT", help="A live segment.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Show who stands where in a live segment."""
    from nurture.reading import counts

    with machine() as opened:
        rows = counts.cohorts(opened, segment)
    if json:
        tell_json(rows)
    else:
        tell_table(
            [{key: row[key] for key in row if key != "label"} for row in rows],
            title=segment,
            keep=("waiting", "due"),
        )
    return 0


def uncertain(*, json: Json = False) -> int:
    """List messages that may or may not have arrived, by number."""
    from nurture.reading import counts

    with machine() as opened:
        rows = counts.uncertain(opened)
    if json:
        tell_json(rows)
    else:
        tell_table(rows, empty="Of every message it is known what became of it.")
    return 0

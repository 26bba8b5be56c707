"""The findings as tables of 100 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby

from rich.table import Table
from rich.text import Text

from nurture.demo.books import Entry
from nurture.demo.findings import HandoffRow, StepRow, minutes_to_notice
from nurture.demo.prefect_runs import COUNTED, Checked
from nurture.reading.counts import Row
from nurture.reading.experiments import rate as percent

_SHOWN = 14


def _table(*columns: str, numbers: int = 0) -> Table:
    """Words first, then `numbers` columns of numbers at the end."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        number = place >= len(columns) - numbers
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    return table


def _number(count: int) -> str:
    return f"{count:,}" if count else "[dim]·[/]"


def funnel(rows: Sequence[Row]) -> Table:
    """From lead to accepted hand-off, a row for each segment, as `nurture report` has it."""
    table = _table("segment", "leads", "MQL", "SAL", "accepted", numbers=4)
    for row in rows:
        figures = (row["leads"], row["mql"], row["sal"], row["accepted"])
        table.add_row(str(row["segment"]), *map(_number, figures))
    return table


def touches(rows: Sequence[StepRow]) -> Table:
    """What each step sent, and why it did not send the rest."""
    table = _table("step", "channel", "sent", "not sent, or not yet")
    table.columns[2].justify = "right"
    for segment, some in groupby(rows, key=lambda row: row.segment):
        table.add_row(f"[bold]{segment}[/]")
        for row in some:
            table.add_row(f"  {row.step}", row.kind, _number(row.states["sent"]), counted(row.reasons))
    return table


def by_channel(rows: Sequence[StepRow]) -> str:
    """`email 812, offer 340, audience 96`."""
    sent: Counter[str] = Counter()
    for row in rows:
        sent[row.kind] += row.states["sent"]
    return ", ".join(f"{kind} {count:,}" for kind, count in sent.most_common())


def counted(words: Counter[str]) -> str:
    """`suppressed: no_consent 12, waits: window 3`."""
    return ", ".join(f"{word} {count:,}" for word, count in words.most_common())


def experiments(rows: Sequence[Row]) -> Table:
    """Each arm with its rate and Wilson's interval; the verdict under them, in words."""
    table = _table("experiment", "arm", "leads", "did it", "rate", "95 % between", numbers=4)
    for row in rows:
        name = f"{row['segment']}/{row['step']}"
        for arm in row["arms"]:
            seen = f"{percent(arm['low'])} and {percent(arm['high'])}" if arm["exposed"] else ""
            rate = percent(arm["rate"]) if arm["exposed"] else ""
            table.add_row(name, arm["arm"], _number(arm["exposed"]), _number(arm["converted"]), rate, seen)
            name = ""
    return table


def owners(rows: Sequence[HandoffRow], tasks: Mapping[str, tuple[int, int]]) -> Table:
    """The team: how much each was given, what came of it, and how many tasks are done. `tasks`: asked and done."""
    table = _table(
        "owner", "handed over", "accepted", "given back", "waiting", "told after (min)", "tasks", "done", numbers=7
    )
    for owner in sorted({row.owner for row in rows} | tasks.keys()):
        mine = [row for row in rows if row.owner == owner]
        states = Counter(row.answer.partition(":")[0] for row in mine)
        typical = minutes_to_notice(mine)
        told = "" if typical is None else f"{typical:.0f}"
        figures = (len(mine), states["accepted"], states["rejected"], states["open"])
        table.add_row(owner.partition("@")[0], *map(_number, figures), told, *map(_number, tasks.get(owner, (0, 0))))
    return table


def handoffs(rows: Sequence[HandoffRow]) -> Table:
    """The latest hand-offs, one line each; `told` is how long after the milestone the notice left."""
    table = _table("opened", "lead", "milestone", "score", "owner", "told", "answer")
    table.columns[3].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    table.columns[1].max_width = 17
    for row in rows[-_SHOWN:]:
        owner = row.owner.partition("@")[0]
        milestone = row.milestone.replace("_", " ")
        lead, opened = Text(row.lead, overflow="ellipsis"), f"{row.opened:%d %b %H:%M}"
        table.add_row(opened, lead, milestone, str(row.score), owner, _after(row.told_after), _answer(row.answer))
    return table


def _answer(said: str) -> str:
    state, _, reason = said.partition(": ")
    if state == "rejected":
        return f"back: {reason.replace('_', ' ')}"
    return "[dim]waits[/]" if state == "open" else state


def _after(span: timedelta | None) -> str:
    if span is None:
        return "not yet"
    minutes = span.total_seconds() / 60
    return "at once" if minutes < 1 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def runs(checked: Sequence[Checked]) -> Table:
    """Each flow run as Prefect has it, beside our ledger."""
    table = _table("flow run", "in Prefect", "Prefect counts", "our ledger")
    for one in checked:
        name = Text(one.run.name.rpartition(" ")[0], no_wrap=True)
        table.add_row(name, one.state.capitalize(), _in_words(one.said), _in_words(one.ours))
    return table


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{word} {counts[word]:,}" for word in COUNTED if counts.get(word)) or "nothing"


def books(entries: Sequence[Entry]) -> Table:
    """Each comparison with its verdict."""
    table = _table("", "what", "outside", "in our ledger")
    for entry in entries:
        table.add_row("[green]=[/]" if entry.balances else "[bold red]≠[/]", entry.what, entry.outside, entry.inside)
    return table

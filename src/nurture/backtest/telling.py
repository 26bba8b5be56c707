"""A backtest in plain sentences and tables."""

from __future__ import annotations

from typing import Any

from nurture.backtest.judging import PATIENCE, Judged
from nurture.backtest.replay import Compared, Outcome
from nurture.backtest.words import article, count, share

#: Named leads and successes below which no threshold is called better: chance would choose it.
ENOUGH_NAMED, ENOUGH_SUCCESSES = 20, 10
#: Recall that a threshold may lose and still count as good.
_LOSS = 0.05
#: The stage or a later one, of one lead and of several.
_OR_LATER = {
    "sql": ("an SQL or further", "SQLs or further"),
    "opportunity": ("an opportunity or a customer", "opportunities or customers"),
    "customer": ("a customer", "customers"),
}
#: Why a threshold would have been better; and the same in a table, below the sentences that have said it.
_BALANCED, _SHARPEST = "best balance of precision and recall", "highest precision at nearly the same recall"
_MARKS = {_BALANCED: "best balance", _SHARPEST: "sharpest"}


def too_few(outcome: Outcome) -> bool:
    """Whether the rules name too few, or too few succeeded, to say which threshold would be better."""
    mql = outcome.ways.get("MQL")
    return mql is None or mql.named < ENOUGH_NAMED or mql.successes < ENOUGH_SUCCESSES


def better(outcome: Outcome) -> dict[int, list[str]]:
    """The thresholds that would have been better than the one that stands, and why: by F1, and by keeping recall.

    None where there are too few leads to say.
    """
    now = outcome.table.get(outcome.level or 0) or outcome.ways.get("MQL")
    if now is None or now.recall is None or too_few(outcome):
        return {}
    marks: dict[int, list[str]] = {}
    best = max(outcome.table, key=lambda level: outcome.table[level].f1)
    if outcome.table[best].f1 > now.f1:
        marks.setdefault(best, []).append(_BALANCED)
    keeps = [
        level
        for level, one in outcome.table.items()
        if (one.recall or 0.0) >= now.recall - _LOSS and (one.precision or 0.0) > (now.precision or 0.0)
    ]
    if keeps:
        sharpest = max(keeps, key=lambda level: outcome.table[level].precision or 0.0)
        marks.setdefault(sharpest, []).append(_SHARPEST)
    return marks


def sentences(found: Compared, names: list[str], success: str) -> list[str]:
    """What a reader should know first."""
    told = [
        f"{count(found.events, 'event')} of {count(found.leads, 'lead')}, from {found.since:%Y-%m-%d} to "
        f"{found.until:%Y-%m-%d}; success is to become {article(success)}."
    ]
    if found.came_so:
        told.append(_came_so(found.came_so, success))
    for name, outcome in zip(names, found.outcomes, strict=True):
        mql = outcome.ways.get("MQL")
        if mql is None:
            told.append(f"{name}: no 'mql:' in lifecycle.yaml, so nobody is named.")
            continue
        told.append(_judged(name, mql))
        if outcome is found.outcomes[0] and mql.named != found.ledger:
            told.append(_otherwise(name, mql.named, found.ledger or 0))
        if outcome.anew:
            told.append(
                f"{name}: {count(outcome.anew, 'time')} an MQL would have been named again, if given back by sales."
            )
        if too_few(outcome):
            told.append(
                f"{name}: {mql.named:,} named and {count(mql.successes, 'success', 'successes')} are too few to say "
                f"which threshold would be better; it takes {ENOUGH_NAMED} and {ENOUGH_SUCCESSES}."
            )
        for level, why in better(outcome).items():
            one = outcome.table[level]
            told.append(
                f"{name}: {outcome.number} {level} would have been better ({'; '.join(why)}): {one.named:,} named, "
                f"precision {share(one.precision)}, recall {share(one.recall)}."
            )
    today = sorted({part for outcome in found.outcomes for part in outcome.today})
    if today:
        told.append(f"Taken as of today, since no history of it is kept: {', '.join(today)}.")
    told += dict.fromkeys(f"Left out: {part}." for outcome in found.outcomes for part in outcome.left_out)
    return told


def _came_so(number: int, success: str) -> str:
    """Of those that nobody could have named in time."""
    one, several = _OR_LATER[success]
    who, left = f"{number:,} leads were {several} already when they came in", "They are"
    if number == 1:
        who, left = f"1 lead was {one} already when it came in", "It is"
    return f"{who}. {left} left out of the successes, and of who could be named."


def _otherwise(name: str, replayed: int, ledger: int) -> str:
    """Why the replay names another number of leads than were named in life."""
    return (
        f"{name}: replayed, they name {count(replayed, 'MQL')}; by the history of stages {ledger:,} really became one "
        "in that time. That can be: rules or fields have changed since, history was imported later than it happened, "
        "or leads were with sales, or customers, before."
    )


def _judged(name: str, mql: Judged) -> str:
    if not mql.named:
        return f"{name}: nobody would have been named an MQL before succeeding."
    later = "" if mql.days is None else f", half of them within {count(max(1, round(mql.days)), 'day')}"
    return (
        f"{name}: {count(mql.named, 'MQL')}, {mql.per_week:.1f} a week; {mql.came:,} of them ({share(mql.precision)}) "
        f"succeeded afterwards{later}; of {count(mql.successes, 'success', 'successes')} {mql.foreseen:,} "
        f"({share(mql.recall)}) had been named before; too early (no success within {PATIENCE} days): "
        f"{mql.too_early:,}; too late or never: {mql.too_late:,}."
    )


def rows(found: Compared, names: list[str]) -> list[dict[str, Any]]:
    """One row for each set of rules and way to sales."""
    return [
        {"rules": name, "way": way, **_cells(one)}
        for name, outcome in zip(names, found.outcomes, strict=True)
        for way, one in outcome.ways.items()
    ]


def thresholds(outcome: Outcome) -> list[dict[str, Any]]:
    """One row for each threshold, the better ones marked."""
    marks = better(outcome)
    return [
        {
            "threshold": f"{level}",
            **_cells(one),
            "F1": f"{one.f1:.2f}",
            "": ", ".join(["as it stands"] * (level == outcome.level) + [_MARKS[why] for why in marks.get(level, ())]),
        }
        for level, one in outcome.table.items()
    ]


def _cells(one: Judged) -> dict[str, Any]:
    return {
        "named": one.named,
        "a week": f"{one.per_week:.1f}",
        "precision": share(one.precision),
        "recall": share(one.recall),
        "days ahead": "–" if one.days is None else f"{one.days:.0f}",
        "too early": one.too_early,
        "too late": one.too_late,
    }


def plain(found: Compared, names: list[str]) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        "leads": found.leads,
        "events": found.events,
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "came_so": found.came_so,
        "named_in_life": found.ledger,
        "rules": {
            name: {
                "ways": {way: one.plain() for way, one in outcome.ways.items()},
                "number": outcome.number,
                "threshold": outcome.level,
                "thresholds": {level: one.plain() for level, one in outcome.table.items()},
                "better": {level: "; ".join(why) for level, why in better(outcome).items()},
                "too_few": too_few(outcome),
                "named_anew": outcome.anew,
                "as_of_today": list(outcome.today),
                "left_out": list(outcome.left_out),
            }
            for name, outcome in zip(names, found.outcomes, strict=True)
        },
    }

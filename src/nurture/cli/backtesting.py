"""`nurture backtest` and `nurture forecast`: the past under other rules, and its chances. Both only read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from nurture.cli.speech import Json, WrongUse, machine, say, tell_json, tell_table
from nurture.errors import FileFault

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.program.load import House

Success = Literal["sql", "opportunity", "customer"]
_KEPT = ("named", "too early", "too late")


def backtest(
    *,
    scoring: Annotated[Path | None, Parameter(help="A scoring.yaml to try; today's unless said.")] = None,
    lifecycle: Annotated[Path | None, Parameter(help="A lifecycle.yaml to try; today's unless said.")] = None,
    since: Annotated[str | None, Parameter(help="Count from this day on, such as 2026-01-01; all unless said.")] = None,
    until: Annotated[str | None, Parameter(help="Count up to this day; today unless said.")] = None,
    success: Annotated[Success, Parameter(help="What a lead was to become: sql, opportunity, customer.")] = "sql",
    thresholds: Annotated[str, Parameter(help="The thresholds to compare, such as 10..90.")] = "10..90",
    json: Json = False,
) -> int:
    """Replay the whole past under other rules, beside today's: hand-offs, precision, recall, better thresholds."""
    from nurture.backtest.numbers import need_numpy

    need_numpy()
    from nurture.backtest import telling
    from nurture.backtest.replay import Asked, compare, house_with

    lowest, highest = _bounds(thresholds)
    with machine() as opened:
        houses = [_house(opened)]
        names = ["today's rules"]
        if scoring or lifecycle:
            houses.append(house_with(houses[0], _text(scoring), _text(lifecycle)))
            names.append(" and ".join(str(path) for path in (scoring, lifecycle) if path))
        asked = Asked(opened.clock.now(), success, _day(since, "--since"), _day(until, "--until"), lowest, highest)
        found = compare(opened.db, houses, asked)
    if json:
        tell_json(telling.plain(found, names))
        return 0
    for sentence in telling.sentences(found, names, success):
        say(sentence)
    tell_table(telling.rows(found, names), title="What would have gone to sales", keep=_KEPT)
    tried = found.outcomes[-1]
    tell_table(
        telling.thresholds(tried),
        title=f"MQL thresholds of the {tried.number}, {names[-1]}",
        keep=_KEPT,
        spare=("a week",),
    )
    return 0


def _house(opened: Machine) -> House:
    return opened.live().house


def _text(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise FileFault(f"there is no file {path}; check its name, and the folder you are in") from None
    except OSError as problem:
        raise FileFault(f"{path}: cannot be read ({problem.strerror}); name a file that you may read") from None
    except UnicodeDecodeError:
        raise FileFault(f"{path}: is not UTF-8; save it as UTF-8") from None


def _day(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise WrongUse(f"{option}: '{text}' is not a day; write it as 2026-01-31") from None


def _bounds(text: str) -> tuple[int, int]:
    low, _, high = text.partition("..")
    if not (low.isdigit() and high.isdigit() and 1 <= int(low) <= int(high) <= 100):
        raise WrongUse(f"--thresholds: '{text}' are no thresholds; write the lowest and the highest as 10..90")
    return int(low), int(high)


def forecast(
    *,
    success: Annotated[Success, Parameter(help="What a lead is to become: sql, opportunity, customer.")] = "customer",
    within: Annotated[str, Parameter(help="How soon, such as '90 days'.")] = "90 days",
    top: Annotated[int, Parameter(help="How many of the likeliest leads to list.")] = 20,
    json: Json = False,
) -> int:
    """Say how likely leads are to succeed, learnt from the past; nothing is stored, and nobody is moved by it."""
    from nurture.backtest.numbers import need_numpy

    need_numpy()
    from nurture.backtest import chances
    from nurture.backtest.forecast import forecast as ask
    from nurture.durations import parse_duration

    try:
        span = parse_duration(within).roughly
    except ValueError as problem:
        raise WrongUse(f"--within: {problem}") from None
    with machine() as opened:
        found = ask(opened.db, _house(opened), opened.clock.now(), success, span, top)
    if json:
        tell_json(chances.plain(found))
        return 0
    for sentence in chances.sentences(found, success, within):
        say(sentence)
    tell_table(chances.weights(found), title="What history says of each rule", keep=("leads",))
    tell_table(chances.table(found), title="Chance as told, and what came of it (leads it had not seen)")
    tell_table(chances.likeliest(found), title="Likeliest, and not with sales yet", empty="Nobody is left to sales.")
    return 0

"""Whether the definitions were right: what came of each criterion, channel and rule."""

from __future__ import annotations

from datetime import UTC, datetime, time
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, day, machine, page_width, say, tell_json, tell_table

if TYPE_CHECKING:
    from nurture.reading.audit_report import Audit
    from nurture.reading.counts import Row

_WIDTH = 100
_FOOT = (
    "named: leads, each once for a criterion, the first time; SQL and won: afterwards. Of a lead whose stage a file "
    "brought nobody knows when, so all that happened counts as afterwards. Intervals are Wilson's, differences "
    "Newcombe's, both 95 %. A rule counts for a lead if it earned points before the lead was named or handed over; "
    "a fit rule if it holds now. What a lower threshold would have done tells nurture backtest."
)


def definitions(
    *,
    since: Annotated[str | None, Parameter(help="Only what was named since this day, such as 2026-01-01.")] = None,
    by: Annotated[str | None, Parameter(help="The field that tells channels apart; lead_source unless said.")] = None,
    json: Json = False,
) -> int:
    """Show which criterion names leads too early, how each channel and rule fared, and what a threshold would do."""
    from nurture.reading.audit_report import definition_audit

    first = day(since, "--since")
    with machine() as opened:
        found = definition_audit(opened, since=None if first is None else datetime.combine(first, time(), UTC), by=by)
    if json:
        tell_json(found.as_dict())
    else:
        _tell(found)
    return 0


def _tell(found: Audit) -> None:
    for title, key, rows in (
        ("MQLs", "mql", found.mql), ("Milestones handed over", "milestones", found.milestones),
        ("Refused by the gate", "gate", found.gate),
    ):  # fmt: skip
        _part(title, found.said[key], [_criterion(row) for row in rows], ("named", "SQL"))
    channels = [_channel(row) for row in found.channels]
    _part(f"Channels, by {found.by.replace('_', ' ')}", found.said["channels"], channels, ("leads", "customers"))
    rules = [_rule(row) for row in found.rules if row["leads"]]
    _part("Rules of scoring.yaml", found.said["rules"], rules, ("leads", "SQL"))
    _part("Scores at which a rule named them", found.said["scores"], [_band(row) for row in found.bands], ("named",))
    say(fill(_FOOT, page_width() or _WIDTH))


def _part(title: str, said: list[str], rows: list[Row], keep: tuple[str, ...]) -> None:
    say(title)
    for sentence in said:
        say(fill(sentence, page_width() or _WIDTH, initial_indent="  ", subsequent_indent="  "))
    if rows:
        tell_table(rows, keep=keep, spare=("95 % interval", "difference", "other no", "SAL", "won"))
    else:
        say("")


def _criterion(row: Row) -> Row:
    return {
        "criterion": row["criterion"], "named": row["named"], "handed": row["handed over"], "taken": row["accepted"],
        "early": row["premature"], "other no": row["not persona"] + row["inaccurate data"] + row["duplicate"],
        "SQL": row["sql"], "rate": _rate(row), "won": row["won"], "value": _money(row["value"]),
        "days": "" if row["median days"] is None else f"{row['median days']:.1f}",
    }  # fmt: skip


def _rate(row: Row) -> str:
    from nurture.reading.audit_words import percent

    if not (row.get("named") or row.get("leads")):
        return ""
    return f"{percent(row['rate'])}{' ?' if row.get('few') else ''}"


def _money(value: dict[str, float]) -> str:
    return ", ".join(f"{amount:,.0f} {currency}".rstrip() for currency, amount in sorted(value.items()) if amount)


def _channel(row: Row) -> Row:
    from nurture.reading.audit_words import percent

    interval = f"{percent(row['low'])} to {percent(row['high'])}"
    return {
        "channel": row["channel"], "leads": row["leads"], "MQL": row["mql"], "SAL": row["sal"], "SQL": row["sql"],
        "customers": row["customer"], "rate": _rate(row), "95 % interval": interval, "value": _money(row["value"]),
        "others": row["against the others"],
    }  # fmt: skip


def _rule(row: Row) -> Row:
    from nurture.reading.audit_words import percent

    return {
        "rule": row["rule"], "points": f"{row['points']:+g}", "leads": row["leads"], "SQL": row["sql"],
        "rate": _rate(row), "without": percent(row["rate without"]) if row["leads"] else "",
        "lift": f"{row['lift']:.2f}" if row["lift"] is not None and row["leads"] else "",
        "difference": f"{_points(row['low'])} to {_points(row['high'])}" if row["leads"] else "",
        "others": f"{row['against the others']}{' !' if row['contradicts'] else ''}",
    }  # fmt: skip


def _points(part: float) -> str:
    return f"{part * 100:+.1f}"


def _band(row: Row) -> dict[str, Any]:
    from nurture.reading.audit_words import percent

    return {
        "score": row["score"], "named": row["named"], "SQL": row["sql"], "rate": _rate(row), "won": row["won"],
        "a threshold there keeps": "" if row["keeps"] is None else f"{percent(row['keeps'])} of the SQLs",
        "with fewer MQLs": percent(row["fewer"]),
    }  # fmt: skip

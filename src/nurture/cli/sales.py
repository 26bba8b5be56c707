"""The salesperson's side, from a terminal."""

from __future__ import annotations

from datetime import datetime
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from cyclopts import CycloptsError, Parameter

from nurture.cli.leads import Encoding, File, MappingFile, RefusedTo, Source, mapping_of, tell_report
from nurture.cli.speech import Json, bar, day, machine, page_width, say, settings, tell_json, tell_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token
    from sqlalchemy import Connection

    from nurture.engine.answers import Outcome


def _number(_: Any, tokens: Sequence[Token]) -> int:
    from nurture.intake.answering import handoff_number

    try:
        return handoff_number(tokens[0].value)
    except ValueError as problem:
        raise ValueError(f"'{tokens[0].value}' {problem}") from None


Number = Annotated[int, Parameter(name="ID", help="The number of the hand-off.", converter=_number)]
By = Annotated[str | None, Parameter(name="--by", help="Who answers; else the hand-off's owner.")]
Note = Annotated[str | None, Parameter(help="What to know about it; kept, and shown at the lead's next hand-off.")]
Until = Annotated[str | None, Parameter(help="The first day on which the lead may be nurtured again: 2026-09-01.")]
Value = Annotated[float | None, Parameter(help="What the deal is worth.")]
Currency = Annotated[str | None, Parameter(help="Of the value, its ISO 4217 code, such as EUR.")]
Reason = Literal["inaccurate_data", "not_persona", "premature", "duplicate"]


def handoffs(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="", help="Answered ones too.")] = False,
    json: Json = False,
) -> int:
    """List the hand-offs that wait for an answer, with owner and reason."""
    from nurture.reading import counts

    with machine() as opened:
        rows = counts.handoffs(opened, open_only=not all, people=True)
        program, now = opened.live().house.program, opened.now()
    if json:
        tell_json(rows)
        return 0
    zones = {person.email: person.zone or program.zone for person in program.sales}
    tell_table(
        [_shown(row, zones.get(row["owner"], program.zone), now, answered=all) for row in rows],
        spare=("answered by", "fit", "company", "score", "deadline", "instead of")
        if all
        else ("fit", "company", "score", "instead of"),
        empty="No hand-off waits for an answer." if not all else "There are no hand-offs yet.",
    )
    return 0


def _shown(row: dict[str, Any], zone: str, now: datetime, *, answered: bool) -> dict[str, Any]:
    """A line of the table: the owner without the domain, the deadline on the owner's clock."""
    deadline = datetime.fromisoformat(row["deadline"]).astimezone(ZoneInfo(zone))
    overdue = "overdue" if row["state"] == "open" and deadline < now else ""
    line = {
        "id": row["id"], "who": row["who"], "company": row["company"],
        "milestone": row["milestone"].replace("_", " "), "owner": row["owner"].partition("@")[0],
        "score": row["score"], "fit": row["fit"],
        "deadline": f"{deadline:%d %b %H:%M}\N{NO-BREAK SPACE}{deadline:%Z}",
    }  # fmt: skip
    line |= {"instead of": row["instead of"]}
    if not answered:
        return line | {"overdue": overdue, "reminded": "yes" if row["reminded"] else ""}
    by, reason = row["answered by"].partition("@")[0], row["reason"].replace("_", " ")
    return line | {
        "state": overdue or row["progress"] or row["state"], "reason": reason, "answered by": by,
        "value": worth(row["value"], row["currency"]),
    }  # fmt: skip


def worth(value: float | None, currency: str | None) -> str:
    """`EUR 12,000`; empty for none."""
    if value is None:
        return ""
    number = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{currency}\N{NO-BREAK SPACE}{number}" if currency else number


def accept(number: Number, /, *, note: Note = None, by: By = None) -> int:
    """Accept a hand-off."""
    return _answer(number, "accepted", by, note=note)


def reject(
    number: Number,
    /,
    *,
    reason: Annotated[Reason | None, Parameter(help="Why, always said; it decides where the lead goes.")] = None,
    note: Note = None,
    until: Until = None,
    by: By = None,
) -> int:
    """Reject a hand-off, with the reason."""
    if reason is None:
        raise CycloptsError(msg=f"--reason says why, and where the lead goes: one of {', '.join(get_args(Reason))}")
    return _answer(number, "rejected", by, reason=reason, note=note, until=day(until, "--until"))


def met(number: Number, /, *, note: Note = None, by: By = None) -> int:
    """Say that the lead was met."""
    return _answer(number, "met", by, note=note)


def sql(number: Number, /, *, note: Note = None, by: By = None) -> int:
    """Say that the lead is sales qualified: means, fit, about to decide, met."""
    return _answer(number, "sql", by, note=note)


def opportunity(
    number: Number, /, *, value: Value = None, currency: Currency = None, note: Note = None, by: By = None
) -> int:
    """Say that there is a deal to be won."""
    return _answer(number, "opportunity", by, value=value, currency=currency, note=note)


def won(number: Number, /, *, value: Value = None, currency: Currency = None, note: Note = None, by: By = None) -> int:
    """Say that the deal is won, and what it is worth; the lead is a customer."""
    if value is None:
        raise CycloptsError(msg="--value says what the deal is worth: --value 12000 --currency EUR")
    return _answer(number, "won", by, value=value, currency=currency, note=note)


def lost(
    number: Number,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Why, as 'lost:' in lifecycle.yaml names it.")] = None,
    note: Note = None,
    until: Until = None,
    by: By = None,
) -> int:
    """Say that the deal is lost, and why; the reason decides where the lead goes."""
    if reason is None:
        raise CycloptsError(msg="--reason says why, and where the lead goes: --reason price")
    return _answer(number, "lost", by, reason=reason, note=note, until=day(until, "--until"))


def recycle(number: Number, /, *, note: Note = None, until: Until = None, by: By = None) -> int:
    """Give an accepted lead back into nurture."""
    return _answer(number, "recycled", by, note=note, until=day(until, "--until"))


def import_answers(
    file: File,
    /,
    *,
    mapping: MappingFile = None,
    encoding: Encoding = None,
    source: Source = None,
    refused_to: RefusedTo = None,
    json: Json = False,
) -> int:
    """Take what sales said of hand-offs from a file, each at its own instant; the same file again changes nothing."""
    from nurture.intake.answers import import_answers as take
    from nurture.rights.remembered import Remembered

    given = settings()
    with machine(given=given) as opened, bar(f"Answers of {file.name}") as progress:
        report = take(
            opened.db,
            file,
            now=opened.now(),
            zone=opened.live().house.program.zone,
            library=opened.library,
            mapping=mapping_of(mapping),
            encoding=encoding,
            source=source,
            refused_to=refused_to,
            progress=progress,
            remembered=Remembered(opened.keys),
        )
    return tell_report(report, json, given)


def report_handoffs(*, json: Json = False) -> int:
    """Show what sales made of hand-offs, by owner and by milestone: answers, their time, meetings, deals."""
    from nurture.reading.outcomes import WORDS, outcomes

    with machine() as opened:
        found = outcomes(opened)
    if json:
        tell_json(found)
        return 0
    if not found["owners"]:
        say("Nobody was handed to sales yet.")
        return 0
    for title, rows in (("By owner", found["owners"]), ("By milestone", found["milestones"])):
        tell_table([_summed(row) for row in rows], title=title, keep=("handed",), spare=("late", "waiting"))
    back = [
        {"who": row["who"].partition("@")[0], **{word: row["rejected"].get(word, 0) for word in get_args(Reason)}}
        for row in found["owners"]
        if row["rejected"]
    ]
    if back:
        tell_table(back, title="Given back")
    say(fill(WORDS, page_width() or 98))
    return 0


def _summed(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the report."""
    share, hours = row["accepted share"], row["median hours"]
    return {
        "who": row["who"].partition("@")[0].replace("_", " "), "handed": row["handed over"],
        "waiting": row["waiting"], "in time": row["in time"], "late": row["late"], "expired": row["expired"],
        "hours": "" if hours is None else f"{hours:.1f}",
        "accepted": "" if share is None else f"{row['accepted']}\N{NO-BREAK SPACE}({share:.0%})",
        "met": row["met"], "sql": row["sql"], "won": row["won"],
        "value": ", ".join(worth(value, currency or None) for currency, value in row["value"].items()),
    }  # fmt: skip


def _answer(number: int, answer: str, by: str | None, **more: Any) -> int:
    from sqlalchemy import select
    from sqlmodel import col

    from nurture import clock
    from nurture.engine import answers
    from nurture.errors import Refused
    from nurture.records import Handoff

    with machine() as opened:
        now = opened.now()

        def work(link: Connection) -> tuple[str, Outcome]:
            told = {"by": by, "now": now, "source": "command", "key": clock.unguessable(), **more}
            done = answers.answer(link, opened.library.live(link), number, answer, **told)
            return by or link.execute(select(col(Handoff.owner)).where(col(Handoff.id) == number)).scalar_one(), done

        who, done = opened.db.transact(work, door=True)
    if not done.news:
        at = f" on {done.at:%Y-%m-%d %H:%M}Z" if done.at else ""
        raise Refused(f"hand-off {number} is {done.progress or done.state} by {done.by}{at}; nothing was changed")
    reason = f" ({more['reason']})" if more.get("reason") else ""
    say(f"Hand-off {number} is {'an ' if answer == 'opportunity' else ''}{answer}{reason} by {who}.")
    return 0

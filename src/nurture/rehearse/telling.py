"""How a check that failed is told: expected against found, dated, and the diary of the leads concerned."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.story import tell
from nurture.program.check_expected import Expected
from nurture.records import Lead, Touch
from nurture.rehearse.finds import Find
from nurture.rehearse.judge import Judge
from nurture.rehearse.stage import Stage

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
#: Of one instant: what was done, then who came in by it, then the rest.
_ORDER = {"event": 0, "enrolled": 1}
_DETAILS = (
    "owner", "refused", "reason", "language", "rotation", "outcome", "subject", "contains", "links_to", "sender",
    "reply_to", "arm",
)  # fmt: skip
#: What an expectation without a lead speaks of: everybody.
ALL = "None"
_UNDATED = " " * len("Mon 2026-03-02 09:00:00+0200")


def spoken(expected: Expected) -> str:
    """An expectation in the words of the check, in one line."""
    at = f" at {_moment(expected.at)}" if expected.at is not None else ""
    if expected.never is not None:
        return f"never {spoken(expected.never)}"
    return f"{_said(expected)}{at}"


def _said(expected: Expected) -> str:
    value = getattr(expected, expected.kind)
    said = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    more = [f"{key} {detail}" for key in _DETAILS if (detail := getattr(expected, key)) is not None]
    more += [f"{word} {_moment(at)}" for word in ("due", "by") if (at := getattr(expected, word)) is not None]
    if expected.within is not None:
        more.append(f"from {_moment(expected.within.begins)} until {_moment(expected.within.until)}")
    if expected.count is not None:
        count = expected.count
        bounds = count if isinstance(count, int) else count.model_dump(exclude_none=True)
        more.append(f"count {bounds}")
    return f"{expected.kind} {said}{' (' + ', '.join(more) + ')' if more else ''}"


def _moment(at: datetime | timedelta) -> str:
    """As it is written in a check: `+1d`, or the instant."""
    if isinstance(at, datetime):
        return at.isoformat()
    seconds = round(at.total_seconds())
    unit, length = next(((unit, length) for unit, length in _UNITS if seconds % length == 0), ("s", 1))
    return f"+{seconds // length}{unit}" if seconds else "+0m"


def differences(judge: Judge, who: list[str]) -> list[str]:
    """What was expected of each of these leads, in order of time, beside what was found nearest to it."""
    lines = []
    for name in who:
        zone = _zone(judge.stage, judge.leads.get(name))
        lines.append(f"{'everybody' if name == ALL else name} ({zone.key})")
        rows: list[tuple[datetime | None, list[str]]] = []
        for expected in judge.check.expect:
            asked = expected.never or expected
            if judge.key(asked.lead) == name:
                rows.append(_compared(judge, expected, judge.leads.get(name), zone))
        last = datetime.max.replace(tzinfo=zone)
        lines += [line for _, told in sorted(rows, key=lambda row: row[0] or last) for line in told]
    return lines


def _compared(judge: Judge, expected: Expected, lead: int | None, zone: ZoneInfo) -> tuple[datetime | None, list[str]]:
    """(when it was expected, its line, and under it what was found)."""
    asked = expected.never or expected
    moment = asked.by if asked.at is None else asked.at
    at = None if moment is None else judge.check.when(moment)
    never = "never " if expected.never is not None else ""
    said = f"{_dated(at, zone)}  {never}{_said(asked)}"
    wrong = judge.verdict(expected)
    if wrong is None:
        return at, [f"  = {said}"]
    if lead is None or asked.count is not None:
        return at, [f"  - {said}", f"  + {_UNDATED}  {wrong}"]
    found = _nearest(judge.found(asked, lead), at) if asked.kind != "never" else []
    told = [f"  + {_dated(one.at, zone)}  {_of_a_state(asked, one)}" for one in found]
    return at, [f"  - {said}", *(told or [f"  + {_UNDATED}  nothing of the kind"])]


def _of_a_state(asked: Expected, found: Find) -> str:
    return f"{asked.kind} {found.what}" if asked.kind in ("score", "stage", "status", "fit") else found.what


def _nearest(found: list[Find], at: datetime | None) -> list[Find]:
    """What speaks of it most: of what fits, else of all, the one nearest in time, or the first three."""
    some = [one for one in found if one.fits] or found
    if at is None:
        return some[:3]
    return sorted(some, key=lambda one: abs(one.at - at) if one.at is not None else timedelta.max)[:1]


def _dated(at: datetime | None, zone: ZoneInfo) -> str:
    return _UNDATED if at is None else f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S%z}"


def _zone(stage: Stage, lead: int | None) -> ZoneInfo:
    with stage.machine.db.read() as link:
        own = None if lead is None else link.execute(select(col(Lead.zone)).where(col(Lead.id) == lead)).scalar()
    return ZoneInfo(own or stage.machine.live().house.program.zone)


def diary(stage: Stage, leads: dict[str, int], who: str, until: datetime) -> list[str]:
    """The days of one lead on its own clock."""
    number = leads.get(who)
    if number is None:
        return []
    machine = stage.machine
    with machine.db.read() as link:
        live = machine.live()
        story = tell(link, live, number, until)
        sent = select(col(Touch.sequence), col(Touch.step), col(Touch.content)).where(
            col(Touch.lead_id) == number, col(Touch.kind) == "offer", col(Touch.content).is_not(None)
        )
        pieces = {f"offer {row.sequence}/{row.step}:": row.content for row in link.execute(sent)}
    zone = ZoneInfo(story.zone or live.house.program.zone)
    lines = []
    for passage in story.enrolments:
        ended = passage.ended_at
        left = f"left {ended.astimezone(zone):%Y-%m-%d %H:%M:%S}: {passage.outcome}" if ended else ""
        lines.append((passage.started_at, "enrolled", f"{passage.sequence}; {left or f'stands on {passage.step}'}"))
    for happening in story.happenings:
        start = happening.what.partition(":")[0] + ":"
        named = f"{start[:-1]} ({pieces[start]}):" if start in pieces else start
        lines.append((happening.at, happening.kind, happening.what.replace(start, named, 1)))
    told = [
        f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}  {kind:9}  {what}"
        for at, kind, what in sorted(lines, key=lambda line: (line[0], _ORDER.get(line[1], 2)))
    ]
    refusals = [f"not enrolled in {refusal.sequence}: {refusal.reason}" for refusal in story.refusals]
    return [f"diary of {who} ({zone.key})", *told, *refusals]

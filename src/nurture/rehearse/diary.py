"""Dated diaries of a few leads of a rehearsal, each on the lead's own clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from nurture.engine.live import Live
from nurture.engine.story import tell
from nurture.rehearse.simulate import Rehearsal
from nurture.rehearse.witness import Witness

#: Leads whose diary is told unasked.
MOST = 5
#: What is told of one instant first, and last; steps and touches stand between, as one led to the other.
_FIRST, _LAST = ("event", "milestone", "stage"), 1_000_000


@dataclass(frozen=True)
class Line:
    """One line; `at` on the lead's clock."""

    at: datetime
    kind: str
    what: str


@dataclass(frozen=True)
class Diary:
    """A lead's weeks. `way`: how it left the segment; `refusals`: why it was not enrolled."""

    lead: int
    who: str
    zone: str
    way: str
    lines: list[Line]
    refusals: list[str]

    def text(self) -> str:
        """For people."""
        head = f"{self.who} ({self.zone}): {self.way}"
        said = [f"  {line.at:%a %Y-%m-%d %H:%M:%S}  {line.kind:9}  {line.what}" for line in self.lines]
        return "\n".join([head, *said, *(f"  not enrolled in {one}" for one in self.refusals)])

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        lines = [{"at": line.at.isoformat(), "kind": line.kind, "what": line.what} for line in self.lines]
        return {
            "lead": self.lead, "who": self.who, "zone": self.zone, "way": self.way, "lines": lines,
            "not enrolled": self.refusals,
        }  # fmt: skip


def telling(witness: Witness, slug: str) -> list[int]:
    """One lead for each way in which leads left `slug`, the commonest first, and one that is still inside."""
    query = (
        "SELECT coalesce(outcome, ''), lead_id, steps FROM (SELECT e.outcome, e.lead_id, count(*) AS steps "
        "FROM walked AS w JOIN enrolment AS e ON e.id = w.enrolment_id WHERE w.sequence = ? GROUP BY e.id) "
        "ORDER BY steps DESC, lead_id"
    )
    ways: dict[str, list[int]] = {}
    for outcome, lead, _ in witness.counts(query, slug):
        ways.setdefault(outcome, []).append(lead)
    ordered = sorted(ways, key=lambda outcome: (outcome == "", -len(ways[outcome]), outcome))
    return list(dict.fromkeys(ways[outcome][0] for outcome in ordered))[:MOST]


def diaries(done: Rehearsal, slug: str, leads: Sequence[int]) -> list[Diary]:
    """The diaries of `leads`."""
    machine = done.stage.machine
    live = machine.live()
    with machine.db.read() as link:
        return [_diary(link, live, done, slug, lead) for lead in leads]


def _diary(link: Connection, live: Live, done: Rehearsal, slug: str, lead: int) -> Diary:
    story = tell(link, live, lead, done.until)
    zone = ZoneInfo(story.zone or live.house.program.zone)
    found = sorted(_lines(story.happenings, done, lead, zone))
    passages = [passage for passage in story.enrolments if passage.sequence == slug]
    way = "was not enrolled"
    if passages:
        last = passages[-1]
        way = f"stands on {last.step}" if last.ended_at is None else f"left: {last.outcome}"
    return Diary(
        lead,
        story.lead["email"] or f"lead {lead}",
        zone.key,
        way,
        [Line(at.astimezone(zone), kind, what) for at, _, kind, what in dict.fromkeys(found)],
        [f"{refusal.sequence}: {refusal.reason}" for refusal in story.refusals if refusal.at >= done.start],
    )


def _lines(
    happenings: Sequence[Any], done: Rehearsal, lead: int, zone: ZoneInfo
) -> Iterator[tuple[datetime, int, str, str]]:
    """(instant, place among those of the same instant, kind, what)."""
    came: dict[tuple[str, str | None], int] = {}
    went: dict[tuple[str, str | None], int] = {}
    for place, move in enumerate(done.witness.walks(lead), 1):
        came[(move.sequence, move.step)] = went[(move.sequence, move.origin)] = 10 * place
        if move.step is None:
            yield move.at, _LAST, "leaves", f"{move.sequence}: {move.outcome}"
        elif move.origin is None:
            yield move.at, 10 * place, "enters", f"{move.sequence}, and stands on {move.step}"
        else:
            yield move.at, 10 * place, "step", f"{move.sequence}: {move.origin} → {move.step}"
    for wait in done.witness.waits(lead):
        until = f" until {wait.until.astimezone(zone):%a %Y-%m-%d %H:%M}" if wait.until else ", for a person"
        verb = "held" if wait.state == "held" else "deferred"
        after = came.get((wait.sequence, wait.step), _LAST) + 1
        yield wait.at, after, "waits", f"{wait.sequence}/{wait.step} {verb} ({wait.reason}){until}"
    for one in happenings:
        if not done.start <= one.at <= done.until or (one.kind == "touch" and ": planned" in one.what):
            continue  # what is still to come is among what waits
        place = 0 if one.kind in _FIRST else _LAST - 1
        if one.kind == "touch":
            sequence, _, step = one.what.partition(":")[0].rpartition(" ")[2].partition("/")
            place = went.get((sequence, step), came.get((sequence, step), _LAST) + 2) - 1
        yield one.at, place, one.kind, one.what

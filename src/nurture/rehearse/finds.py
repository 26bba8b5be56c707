"""What happened that an expectation may speak of: everything of its kind, each with whether it is as expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from sqlalchemy import select

from nurture.folding import fold
from nurture.program.check_expected import Expected
from nurture.program.checks import Check
from nurture.records import Enrolment, Handoff, Milestone, StageTransition, Task, Touch
from nurture.rehearse.letters import Letter
from nurture.rehearse.stage import Stage, plain

#: Two instants closer than this are the same one.
SAME = timedelta(seconds=1)


@dataclass(frozen=True)
class Find:
    """Something that happened; `fits`: but for its instant it is what was expected."""

    at: datetime | None
    what: str
    fits: bool


@dataclass
class Finds:
    """The tables at the end of a check, by lead."""

    check: Check
    stage: Stage
    slug: str
    _tables: dict[Any, dict[int, list[dict[str, Any]]]] = field(default_factory=dict)

    def of(self, expected: Expected, lead: int) -> list[Find]:
        """Everything of this lead that `expected` may speak of, in order."""
        kind = expected.kind
        if kind in _MESSAGES:
            return list(self._messages(expected, lead, kind))
        if kind in _ENDS:
            return list(self._ends(expected, lead, kind))
        return list(_OTHERS[kind](self, expected, lead))

    def rows(self, table: Any, lead: int) -> list[dict[str, Any]]:
        """The rows of a table that are this lead's."""
        if table not in self._tables:
            found: dict[int, list[dict[str, Any]]] = {}
            with self.stage.machine.db.read() as link:
                for row in link.execute(select(table.__table__).order_by(table.id)):
                    found.setdefault(row.lead_id, []).append(plain(row))
            self._tables[table] = found
        return self._tables[table].get(lead, [])

    @cached_property
    def _language(self) -> str:
        return self.stage.machine.live().house.program.language

    @cached_property
    def _payloads(self) -> Mapping[int, bytes]:
        kept = [parcel for way in self.stage.machine.ways.values() for parcel in getattr(way, "parcels", [])]
        return {parcel.touch_id: parcel.payload for parcel in kept}

    def _of_step(self, lead: int, written: str) -> Iterator[dict[str, Any]]:
        slug, _, name = written.rpartition("/")
        for touch in self.rows(Touch, lead):
            if touch["sequence"] == (slug or self.slug) and touch["step"] == name:
                yield touch

    def _messages(self, expected: Expected, lead: int, kind: str) -> Iterator[Find]:
        """Messages that left, by step, or offers by their key; those that did not leave do not fit."""
        named = str(getattr(expected, kind))
        mine = (t for t in self.rows(Touch, lead) if t["content"] == named and t["kind"] == "offer")
        for touch in mine if kind == "offer" else self._of_step(lead, named):
            at = touch["sending_at"] or touch["ended_at"] or touch["next_at"] or touch["planned_at"]
            said = f"{kind} {named}" + ("" if touch["state"] == "sent" else f": {_state(touch)}")
            odd = self._odd(expected, touch) if touch["state"] == "sent" else ""
            yield Find(at, said + odd, touch["state"] == "sent" and not odd)

    def _odd(self, expected: Expected, touch: Mapping[str, Any]) -> str:
        """In what a message that left differs from what was expected of it; empty: in nothing."""
        parts = (touch["variant"] or "").split(".")
        spoken = self._language if len(parts) < 3 or parts[-2] == touch["arm"] else parts[-2]
        if expected.language not in (None, spoken):
            return f" in {spoken}"
        if expected.arm not in (None, touch["arm"]):
            return f", arm {touch['arm']}"
        letter = Letter(self.stage.machine, touch, self._payloads.get(touch["id"], b""))
        if expected.subject is not None and letter.subject != expected.subject:
            return f", subject '{letter.subject}'"
        if expected.contains is not None and " ".join(expected.contains.split()) not in letter.text:
            return ", without these words"
        if expected.links_to is not None and not any(fnmatchcase(url, expected.links_to) for url in letter.links):
            return f", which links to {', '.join(letter.links)}"
        if expected.sender is not None and expected.sender not in (*letter.sender, "{} <{}>".format(*letter.sender)):
            return ", from {} <{}>".format(*letter.sender)
        if expected.reply_to not in (None, letter.reply_to):
            return f", reply to {letter.reply_to}"
        return ""

    def _ends(self, expected: Expected, lead: int, kind: str) -> Iterator[Find]:
        """Touches that ended in the state of this kind, with the reason; in doubt: since when."""
        named = str(getattr(expected, kind))
        for touch in self._of_step(lead, named):
            doubted = kind == "uncertain" and touch["id"] in self.stage.doubts
            ended = doubted or touch["state"] == kind
            at = self.stage.doubts[touch["id"]] if doubted else touch["ended_at"] or touch["sending_at"]
            why = expected.reason is None or (touch["reason"] or "").find(expected.reason) >= 0
            arm = expected.arm in (None, touch["arm"])
            yield Find(at, f"{named}: {_state(touch)}", ended and (doubted or why) and arm)

    def _deferred(self, expected: Expected, lead: int) -> Iterator[Find]:
        named = str(expected.deferred)
        touches = {touch["id"] for touch in self._of_step(lead, named)}
        until, when = (None if moment is None else self.check.when(moment) for moment in (expected.due, expected.at))
        for (touch, reason, to), at in self.stage.deferrals.items():
            if touch in touches:
                right = expected.reason in (None, reason) and (until is None or (to is not None and same(to, until)))
                meanwhile = when is None or (at <= when + SAME and (to is None or when <= to))
                put_off = f" until {self.show(to)}" if to is not None else ""
                yield Find(at, f"{named} deferred: {reason}{put_off}", right and meanwhile)

    def _audience(self, expected: Expected, lead: int) -> Iterator[Find]:
        change = expected.audience
        assert change is not None
        verb, name = ("add", change.add) if change.add else ("remove", change.remove)
        for at, who, audience, done in self.stage.audience:
            if (who, audience) == (lead, name):
                yield Find(at, f"audience {done} {audience}", done == verb)

    def _handoff(self, expected: Expected, lead: int) -> Iterator[Find]:
        if expected.refused is not None:
            for row in self.rows(Milestone, lead):
                if row["name"] == expected.handoff:
                    right = (row["outcome"], row["reason"]) == ("refused", expected.refused)
                    yield Find(row["reached_at"], _milestone(row), right)
            return
        for row in self.rows(Handoff, lead):
            if row["milestone"] == expected.handoff:
                said = f"hand-off {row['milestone']} to {row['owner']}"
                yield Find(row["opened_at"], said, expected.owner in (None, row["owner"]))

    def _milestones(self, expected: Expected, lead: int) -> Iterator[Find]:
        for row in self.rows(Milestone, lead):
            if row["name"] == expected.milestone:
                yield Find(row["reached_at"], _milestone(row), expected.outcome in (None, row["outcome"]))

    def _task(self, expected: Expected, lead: int) -> Iterator[Find]:
        slug, _, name = str(expected.task).rpartition("/")
        for row in self.rows(Task, lead):
            if (row["sequence"], row["step"]) == (slug or self.slug, name):
                right = expected.owner in (None, row["owner"]) and (expected.contains or "") in row["text"]
                yield Find(row["created_at"], f"task {expected.task} for {row['owner']}: {row['text']}", right)

    def _enrolled(self, expected: Expected, lead: int) -> Iterator[Find]:
        for row in self.rows(Enrolment, lead):
            if row["sequence"] == expected.enrolled:
                said = f"enrolled in {row['sequence']}, rotation {row['rotation']}"
                yield Find(row["started_at"], said, expected.rotation in (None, row["rotation"]))

    def _not_enrolled(self, expected: Expected, lead: int) -> Iterator[Find]:
        for at, who, slug, reason in sorted(self.stage.refusals):
            if (who, slug) == (lead, expected.not_enrolled):
                yield Find(at, f"not enrolled in {slug}: {reason}", expected.reason in (None, reason))

    def _left(self, expected: Expected, lead: int) -> Iterator[Find]:
        slug, _, outcome = str(expected.left).rpartition("/")
        for row in self.rows(Enrolment, lead):
            if row["sequence"] == (slug or self.slug) and row["ended_at"] is not None:
                right = row["outcome"] == outcome and expected.rotation in (None, row["rotation"])
                yield Find(row["ended_at"], f"left {row['sequence']}: {row['outcome']}", right)

    def stage_at(self, lead: int, at: datetime, now: str) -> str:
        """The stage at an instant; `now`: what it is at the end."""
        moves = self.rows(StageTransition, lead)
        before = [row for row in moves if row["at"] <= at]
        return str(before[-1]["to_stage"] if before else moves[0]["from_stage"] if moves else now)

    def passed(self, lead: int, written: str) -> bool:
        """Whether the lead ever came to this step."""
        slug, _, name = written.rpartition("/")
        mine = [row for row in self.rows(Enrolment, lead) if row["sequence"] == (slug or self.slug)]
        return any(f"/{name}/" in row["path"] for row in mine)

    def show(self, at: datetime | None) -> str:
        """An instant on the clock of the check's start."""
        return "some time" if at is None else at.astimezone(self.check.start.tzinfo).isoformat()


def same(one: datetime, other: datetime) -> bool:
    """Whether two instants are the same one."""
    return abs(one - other) < SAME


def _state(touch: Mapping[str, Any]) -> str:
    reason = f" ({touch['reason']})" if touch["reason"] else ""
    return f"{touch['state']}{reason}"


def _milestone(row: Mapping[str, Any]) -> str:
    why = f" ({row['reason']})" if row["reason"] else ""
    return f"milestone {row['name']}: {row['outcome']}{why}"


def words(value: Any) -> set[str]:
    """Tags as they are kept."""
    return {fold(word) for word in ([value] if isinstance(value, str) else value or ())}


_MESSAGES = ("email", "offer", "sms", "webhook")
_ENDS = ("suppressed", "expired", "failed", "uncertain", "cancelled")
_OTHERS: dict[str, Callable[[Finds, Expected, int], Iterator[Find]]] = {
    "task": Finds._task, "audience": Finds._audience, "handoff": Finds._handoff, "milestone": Finds._milestones,
    "enrolled": Finds._enrolled, "not_enrolled": Finds._not_enrolled, "left": Finds._left,
    "deferred": Finds._deferred,
}  # fmt: skip

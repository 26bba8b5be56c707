"""What a check expects, held against what the engine wrote down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.story import tell
from nurture.folding import canonical_email
from nurture.program.checks import Check, Expected, ScoreRange
from nurture.records import Enrolment, Handoff, Lead, Milestone, StageTransition, Touch
from nurture.rehearse.stage import Stage, plain

#: Two instants closer than this are the same one.
SAME = timedelta(seconds=1)
_OUTBOUND = ("email", "offer")


@dataclass
class Judge:
    """Judges one check. `seen`: scores and states looked at when the clock stood at their instant."""

    check: Check
    stage: Stage
    slug: str
    leads: dict[str, int]
    seen: dict[tuple[int, datetime], dict[str, Any]] = field(default_factory=dict)

    def looks(self) -> Iterator[tuple[datetime, int]]:
        """The instants at which a score or a status must be read, and of whom."""
        for expected in self.check.expect:
            if expected.kind in ("score", "status") and expected.lead in self._keys():
                at = self.check.when(expected.at if expected.at is not None else self.check.until)
                yield at, self.leads[self.key(expected.lead)]

    def look(self, lead: int) -> None:
        """Read what the lead's score and status are at this instant."""
        now = self.stage.clock.now()
        machine = self.stage.machine
        with machine.db.read() as link:
            story = tell(link, machine.live(), lead, now)
        self.seen[(lead, now)] = {"score": story.score, "status": story.lead["status"]}

    def verdict(self, expected: Expected) -> str | None:
        """None when it is as expected, else what was found instead."""
        who = (expected.never or expected).lead
        if who is not None and self.key(who) not in self.leads:
            return f"'{who}' is not among the leads of this check"
        if expected.never is not None:
            found = [at for at, _ in self._matches(expected.never) if self._in_time(expected.never, at)]
            return f"it happened at {self._show(found[0])}" if found else None
        if expected.kind in ("score", "status"):
            return self._state(expected)
        matches = list(self._matches(expected))
        if any(self._in_time(expected, at) for at, _ in matches):
            return None
        if not matches:
            return "it did not happen"
        return "it happened " + ", ".join(f"at {self._show(at)}" for at, _ in matches[:3])

    def _in_time(self, expected: Expected, at: datetime | None) -> bool:
        if expected.at is None or at is None:
            return True
        return abs(self.check.when(expected.at) - at) < SAME

    def _show(self, at: datetime | None) -> str:
        return "some time" if at is None else at.astimezone(self.check.start.tzinfo).isoformat()

    def _state(self, expected: Expected) -> str | None:
        at = self.check.when(expected.at if expected.at is not None else self.check.until)
        known = self.seen[(self.leads[self.key(expected.lead)], at)]
        if expected.kind == "status":
            return None if known["status"] == expected.status else f"it was {known['status']}"
        score = known["score"]
        right = expected.score.holds(score) if isinstance(expected.score, ScoreRange) else score == expected.score
        return None if right else f"it was {score}"

    def _matches(self, expected: Expected) -> Iterator[tuple[datetime | None, Any]]:
        lead = self.leads[self.key(expected.lead)]
        yield from getattr(self, f"_{expected.kind}")(expected, lead)

    def _email(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        for touch in self._touches(lead, str(expected.email)):
            name = (touch["variant"] or "").split(".")
            spoken = name[1] if len(name) > 2 else self._default()
            if touch["state"] == "sent" and expected.language in (None, spoken):
                yield touch["sending_at"], touch

    def _offer(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        for touch in self._all_touches(lead):
            if touch["state"] == "sent" and touch["content"] == expected.offer:
                yield touch["sending_at"], touch

    def _audience(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        change = expected.audience
        assert change is not None
        verb, name = ("add", change.add) if change.add else ("remove", change.remove)
        for at, who, audience, done in self.stage.audience:
            if (who, audience, done) == (lead, name, verb):
                yield at, None

    def _deferred(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        for touch in self._touches(lead, str(expected.deferred)):
            reasons = {reason for number, reason in self.stage.deferrals if number == touch["id"]}
            if reasons and (expected.reason is None or expected.reason in reasons):
                yield None, touch

    def _suppressed(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        for touch in self._touches(lead, str(expected.suppressed)):
            if touch["state"] == "suppressed" and expected.reason in (None, touch["reason"]):
                yield touch["ended_at"], touch

    def _handoff(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        if expected.refused is not None:
            for row in self._rows(Milestone, col(Milestone.lead_id) == lead):
                if (row["name"], row["outcome"], row["reason"]) == (expected.handoff, "refused", expected.refused):
                    yield row["reached_at"], row
            return
        for row in self._rows(Handoff, col(Handoff.lead_id) == lead):
            if row["milestone"] == expected.handoff and expected.owner in (None, row["owner"]):
                yield row["opened_at"], row

    def _stage(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        """The stage at an instant, or at the end."""
        at = self.check.when(expected.at if expected.at is not None else self.check.until)
        moves = [row for row in self._rows(StageTransition, col(StageTransition.lead_id) == lead) if row["at"] <= at]
        if moves:
            stage = moves[-1]["to_stage"]
        else:
            later = self._rows(StageTransition, col(StageTransition.lead_id) == lead)
            stage = later[0]["from_stage"] if later else self._rows(Lead, col(Lead.id) == lead)[0]["stage"]
        if stage == expected.stage:
            yield None, None

    def _left(self, expected: Expected, lead: int) -> Iterator[tuple[datetime | None, Any]]:
        mine = (col(Enrolment.lead_id) == lead) & (col(Enrolment.sequence) == self.slug)
        for row in self._rows(Enrolment, mine):
            if row["outcome"] == expected.left:
                yield row["ended_at"], row

    def _touches(self, lead: int, step: str) -> list[dict[str, Any]]:
        slug, _, name = step.rpartition("/")
        return [t for t in self._all_touches(lead) if t["sequence"] == (slug or self.slug) and t["step"] == name]

    def _all_touches(self, lead: int) -> list[dict[str, Any]]:
        return self._rows(Touch, col(Touch.lead_id) == lead)

    def _rows(self, table: Any, where: Any) -> list[dict[str, Any]]:
        with self.stage.machine.db.read() as link:
            return [plain(row) for row in link.execute(select(table.__table__).where(where).order_by(table.id))]

    def _default(self) -> str:
        return self.stage.machine.live().house.program.language

    def _keys(self) -> set[str | None]:
        named = {expected.lead for expected in self.check.expect if expected.lead}
        return {lead for lead in named if self.key(lead) in self.leads}

    def key(self, who: str | None) -> str:
        """The name that a lead of the check goes by."""
        return canonical_email(who) if who and "@" in who else str(who)

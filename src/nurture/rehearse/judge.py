"""What a check expects, held against what the engine wrote down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import and_, func, literal, select
from sqlmodel import col

from nurture.engine.story import letter
from nurture.folding import canonical_email
from nurture.language.scores import score
from nurture.program.check_expected import STATES, Bounds, Expected
from nurture.program.checks import Check
from nurture.records import Enrolment, Lead, LeadTag, Touch
from nurture.records.types import to_micros
from nurture.rehearse.finds import Find, Finds, same, words
from nurture.rehearse.stage import Stage

_STANDING = (
    select(
        col(Enrolment.lead_id), col(Enrolment.sequence), col(Enrolment.step),
        func.coalesce(col(Enrolment.due_at), col(Touch.next_at)).label("due"),
    )
    .join_from(
        Enrolment, Touch,
        and_(
            col(Touch.enrolment_id) == col(Enrolment.id), col(Touch.step) == col(Enrolment.step),
            col(Touch.occurrence) == col(Enrolment.occurrence),
        ),
        isouter=True,
    )
    .where(col(Enrolment.ended_at).is_(None))
)  # fmt: skip


@dataclass
class Judge:
    """Judges one check. `seen`: every lead as it was when the clock stood at an instant that is asked about."""

    check: Check
    stage: Stage
    slug: str
    leads: dict[str, int]
    seen: dict[datetime, dict[int, dict[str, Any]]] = field(default_factory=dict)

    @cached_property
    def finds(self) -> Finds:
        """What happened, read once, when it is over."""
        return Finds(self.check, self.stage, self.slug)

    def looks(self) -> set[datetime]:
        """The instants at which everybody must be looked at."""
        asked = [expected.never or expected for expected in self.check.expect]
        return {self._at(one) for one in asked if one.kind in STATES}

    def look(self) -> None:
        """Read what every lead is, and where it stands, at this instant."""
        now = self.stage.clock.now()
        known = select(Lead.__table__, score(literal(to_micros(now))).label("score"))  # type: ignore[attr-defined]
        with self.stage.machine.db.read() as link:
            people = {row.id: {**row._mapping, "tags": set(), "standing": {}} for row in link.execute(known)}
            for lead, tag in link.execute(select(col(LeadTag.lead_id), col(LeadTag.tag))):
                people[lead]["tags"].add(tag)
            for lead, slug, step, due in link.execute(_STANDING):
                people[lead]["standing"][slug] = (step, due)
        self.seen[now] = people

    def verdict(self, expected: Expected) -> str | None:
        """None when it is as expected, else what was found instead."""
        asked = expected.never or expected
        if asked.lead is not None and self.key(asked.lead) not in self.leads:
            return f"'{asked.lead}' is not among the leads of this check"
        if expected.never is not None:
            return self._never(expected.never)
        if expected.count is not None:
            return self._counted(expected)
        found = self.found(expected, self.leads[self.key(expected.lead)])
        if any(self.comes_true(expected, one) for one in found):
            return None
        if expected.kind in STATES:
            return f"it was {found[0].what}"
        return self._instead(found)

    def _instead(self, found: list[Find]) -> str:
        """What was found of this kind: as expected at another time, or not as expected."""
        right = [one for one in found if one.fits]
        if right:
            return "it happened " + ", ".join(f"at {self.finds.show(one.at)}" for one in right[:3])
        if found:
            return "it did not happen; found " + ", ".join(f"{o.what} at {self.finds.show(o.at)}" for o in found[:3])
        return "it did not happen"

    def _never(self, inner: Expected) -> str | None:
        who = list(self.leads.values()) if inner.lead is None else [self.leads[self.key(inner.lead)]]
        if inner.kind == "stands" and inner.at is None:
            came = any(self.finds.passed(lead, str(inner.stands)) for lead in who)
            return "it came there" if came else None
        found = [one for lead in who for one in self.found(inner, lead) if self.comes_true(inner, one)]
        return f"it happened at {self.finds.show(found[0].at)}" if found else None

    def _counted(self, expected: Expected) -> str | None:
        """How many times it came true for one lead, or for how many leads."""
        if expected.lead is not None:
            lead = self.leads[self.key(expected.lead)]
            number = sum(self.comes_true(expected, one) for one in self.found(expected, lead))
            said = f"it happened {number} {'time' if number == 1 else 'times'}"
        else:
            everybody = self.leads.values()
            number = sum(any(self.comes_true(expected, o) for o in self.found(expected, lead)) for lead in everybody)
            said = f"it came true for {number} of {len(self.leads)} leads"
        wanted = expected.count
        right = wanted.holds(number) if isinstance(wanted, Bounds) else number == wanted
        return None if right else said

    def comes_true(self, expected: Expected, found: Find) -> bool:
        """Whether `found` is what was expected, at a time at which it was."""
        at, when = found.at, self.check.when
        if not found.fits or at is None:
            return found.fits
        if expected.at is not None and expected.kind != "deferred":
            return same(at, when(expected.at))
        if expected.within is not None:
            return when(expected.within.begins) <= at < when(expected.within.until)
        return expected.by is None or at <= when(expected.by)

    def found(self, expected: Expected, lead: int) -> list[Find]:
        """Everything that `expected` may speak of; of a state, the one at the instant that is asked about."""
        if expected.kind not in STATES:
            return self.finds.of(expected, lead)
        at = self._at(expected)
        known = self.seen[at].get(lead)
        if known is None:
            return [Find(at, "not there yet", False)]
        what, fits = self._state(expected, lead, known, at)
        return [Find(at, what, fits)]

    def _state(self, expected: Expected, lead: int, known: dict[str, Any], at: datetime) -> tuple[str, bool]:
        match expected.kind:
            case "score":
                wanted = expected.score
                if known["score"] is None:
                    return "no score", False
                right = wanted.holds(known["score"]) if isinstance(wanted, Bounds) else known["score"] == wanted
                return str(known["score"]), right
            case "stage":
                stage = self.finds.stage_at(lead, at, known["stage"])
                return stage, stage == expected.stage
            case "status":
                return str(known["status"]), known["status"] == expected.status
            case "fit":
                return f"{letter(known['fit'])}", letter(known["fit"]) == expected.fit
            case "tags":
                wanted_tags = words(expected.tags)
                right = wanted_tags <= known["tags"] if wanted_tags else not known["tags"]
                return f"tagged {', '.join(sorted(known['tags'])) or 'with nothing'}", right
            case "field":
                own = {name: known["fields"].get(name, known.get(name)) for name in expected.field or {}}
                return ", ".join(f"{name} {value}" for name, value in own.items()), own == expected.field
        return self._standing(expected, known["standing"])

    def _standing(self, expected: Expected, standing: dict[str, tuple[str, datetime | None]]) -> tuple[str, bool]:
        slug, _, name = (expected.stands or "").rpartition("/")
        step, due = standing.get(slug or self.slug, (None, None))
        until = f", due {self.finds.show(due)}" if due is not None else ""
        right = step == (name or None)
        if right and expected.due is not None:
            right = due is not None and same(due, self.check.when(expected.due))
        return f"on {step}{until}" if step else "in no step of it", right

    def _at(self, expected: Expected) -> datetime:
        moment: datetime | timedelta = expected.at if expected.at is not None else self.check.until
        return self.check.when(moment)

    def key(self, who: str | None) -> str:
        """The name that a lead of the check goes by."""
        return canonical_email(who) if who and "@" in who else str(who)

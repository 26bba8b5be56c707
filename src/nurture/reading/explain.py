"""Why this lead got, did not get, scored, moved: the whole ledger of one person, at any instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.enrolling import holding_rule
from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.planning import exhausted
from nurture.engine.queueing import place
from nurture.engine.running import Run
from nurture.engine.story import ADJUSTED, Happening, Story, find_lead, tell
from nurture.language import conditions as c
from nurture.language.compiler import Scope, compile_condition
from nurture.program.load import Segment
from nurture.reading.arms import arms_of
from nurture.reading.basis import barred, bases, objections
from nurture.reading.counts import written
from nurture.reading.holds import lead_holds
from nurture.reading.identity import names
from nurture.reading.preferences import preferences
from nurture.reading.reasons import why
from nurture.reading.sentences import sentence
from nurture.records import Enrolment, Holding, Lead

#: Why a lead whose trigger came was not enrolled, in plain words.
REFUSALS = {
    "suppressed": "it is on the suppression list, which is stronger than everything",
    "objected": "it objects to profiling, which keeps it out of every sequence",
    "once_only": "it has been through this sequence before, and 'again' is never",
    "too_soon_again": "its last passage ended too recently for 'again'",
    "resting": "sales called it premature, and it rests",
    "objective_reached": "it has reached the objective already",
    "leave_holds": "it would leave at once: {leave}",
    "inside": "it is inside already, and nobody is in one sequence twice at once",
}


@dataclass
class Explained:
    """The story of one lead as of `at`, and why it is not in the sequences that it is not in."""

    story: Story
    at: datetime
    zone: str
    why_not: dict[str, str]
    barred: list[str]
    #: The basis for `mail` and `tracking`, or what became of it.
    bases: dict[str, str]
    #: Sentences on what it objects to, and on what it was asked to confirm.
    objections: list[str]
    #: Sentences on what it chose in the preference centre.
    preferences: list[str]
    #: Sentences on what is on hold now.
    holds: list[str]
    #: The leave rule in words, by sequence version.
    leave: dict[int, str]
    #: Enrolments that idle, since nothing is left to offer.
    exhausted: frozenset[int] = frozenset()
    #: Sentences on the arms of experiments that it got.
    arms: tuple[str, ...] = ()
    #: The gate's rules in words, by reason.
    gate: Mapping[str, str] = field(default_factory=dict)
    #: Whom it took in, and what it was called before.
    names: tuple[str, ...] = ()

    def text(self) -> str:
        """For people: dates in the lead's zone and in UTC."""
        arms = [["Arms", *(f"  {arm}" for arm in self.arms)]] if self.arms else []
        parts = [self._who(), self._score(), self._sequences(), *arms, self._timeline()]
        return "\n\n".join("\n".join(part) for part in parts)

    def as_dict(self) -> dict[str, Any]:
        """For programs: the same."""
        story = self.story
        return {
            "id": story.lead_id, "at": written(self.at), "zone": self.zone, "clock": self._clock(),
            "lead": story.lead, "names": list(self.names), "score": story.score, "fit": story.fit,
            "suppressed": self.barred,
            "basis": self.bases, "objections": self.objections, "preferences": self.preferences, "on hold": self.holds,
            "lines": [
                {
                    "rule": line.rule, "points": round(line.points, 6), "earned": line.earned,
                    "at": written(line.at), "capped": line.capped,
                }
                for line in story.lines
            ],
            "enrolments": [
                {
                    "segment": row.sequence, "step": row.step, "started": written(row.started_at),
                    "ended": written(row.ended_at), "outcome": row.outcome,
                    "left because": self._because(row), "next": written(row.due_at),
                    "exhausted": row.id in self.exhausted,
                }
                for row in story.enrolments
            ],
            "not enrolled": self.why_not,
            "arms": list(self.arms),
            "timeline": [
                {"at": written(h.at), "kind": h.kind, "what": h.what, "why": self._why(h)} for h in story.happenings
            ],
        }  # fmt: skip

    def _local(self, at: datetime) -> str:
        shown = format_datetime(at.astimezone(ZoneInfo(self.zone)), "EEE d MMM y, HH:mm:ss", locale="en")
        return str(shown)

    def _who(self) -> list[str]:
        story, lead = self.story, self.story.lead
        name = " ".join(filter(None, (lead["first_name"], lead["last_name"])))
        head = ", ".join(filter(None, (name, lead["company"], lead["email"])))
        facts = [f"stage {lead['stage']}", f"status {lead['status']}", f"fit {story.fit or 'not known yet'}"]
        facts += [f"owner {lead['owner']}"] if lead["owner"] else []
        lines = [f"{head or 'a lead without a name'} (lead {story.lead_id})", "  " + ", ".join(facts)]
        lines += [f"  {name}" for name in self.names]
        lines.append(f"  Clock: {self._clock()}")
        lines += [f"  {purpose.capitalize()}: {basis}" for purpose, basis in self.bases.items()]
        lines += [f"  {said}" for said in (*self.objections, *self.preferences)]
        lines += [f"  Never written to: {why}" for why in self.barred] or ["  Not on the suppression list"]
        return [*lines, *(f"  {held}" for held in self.holds)]

    def _clock(self) -> str:
        """Whose clock is used, and why."""
        given = self.story.lead["timezone"]
        if self.story.zone:
            return f"{self.zone}, the lead's own"
        why = f"'{given}' is not a time zone" if given else "the lead's own is not known"
        return f"{self.zone}, the program's: {why}"

    def _because(self, row: Any) -> str:
        """The rule by which the lead left, in words; empty where the outcome says it all."""
        rule = self.leave.get(row.version_id, "")
        return f"the leave rule held: {rule}" if row.outcome == "left" and rule else ""

    def _score(self) -> list[str]:
        if self.story.score is None:
            return ["Score unknown: the lead objects to profiling, so none is made"]
        lines = [f"Score {self.story.score} on {self._local(self.at)} ({self.zone})"]
        for line in self.story.lines:
            when = f"  {self._local(line.at)}" if line.at else ""
            was = f", {line.earned:+g} then" if line.at and round(line.earned, 1) != round(line.points, 1) else ""
            why = " (over the cap of its day)" if line.capped and not line.points else was
            rule = f"({line.rule}, no rule's doing)" if line.rule in ADJUSTED else line.rule
            lines.append(f"  {line.points:+8.2f}  {rule}{when}{why}")
        return [*lines, f"  {self.story.score:8.2f}  in all"] if self.story.lines else [*lines, "  nothing counts yet"]

    def _sequences(self) -> list[str]:
        lines = ["Sequences"]
        for row in self.story.enrolments:
            inside = row.ended_at is None or row.ended_at > self.at
            begun = f"  {row.sequence}: since {self._local(row.started_at)}"
            if not inside:
                why = self._because(row) or row.outcome
                lines.append(f"{begun}, left {self._local(row.ended_at)}: {why}")
            elif row.ended_at is not None:
                lines.append(f"{begun}, inside then")
            else:
                acts = f", acts {self._local(row.due_at)}" if row.due_at else ", waits for its touch"
                if row.id in self.exhausted:
                    acts = ": exhausted, the library has nothing left for it; it waits until content is added"
                lines.append(f"{begun}, on step '{row.step}' since {self._local(row.entered_at)}{acts}")
        return lines + [f"  {slug}: not enrolled: {why}" for slug, why in self.why_not.items()]

    def _why(self, h: Happening) -> str:
        """Why a message waits or did not go, why the gate refused; empty where that is plain."""
        if h.kind == "touch":
            return why(h.state or "", h.reason)
        return self.gate.get(h.reason or "", "") if h.kind == "milestone" and h.state == "refused" else ""

    def _timeline(self) -> list[str]:
        lines = [f"Timeline ({self.zone}; UTC)"]
        for h in self.story.happenings:
            utc = f"{h.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
            because = self._why(h)
            lines.append(f"  {self._local(h.at)}; {utc}  {h.kind}: {h.what}{': ' + because if because else ''}")
        return lines if self.story.happenings else [*lines, "  nothing yet"]


def explain(machine: Machine, who: str, at: datetime | None = None) -> Explained:
    """The story of `who` (e-mail, source:id or number) as of `at`. Raises NotFound, NotPublished."""
    now = at or machine.now()
    live = machine.live()
    with machine.db.read() as link:
        lead = find_lead(link, who)
        story = tell(link, live, lead, now)
        zone = story.zone or live.house.program.zone
        inside = {row.sequence for row in story.enrolments if row.ended_at is None or row.ended_at > now}
        why_not = {
            slug: _why_not(Run(link, live, now), segment, story)
            for slug, segment in live.segments.items()
            if slug not in inside
        }
        shut = barred(link, lead, story.lead["email"] or "", story.lead["phone"])
        basis, objected = bases(link, lead, now), objections(link, lead, now)
        chosen, leave = preferences(link, live.house.program, lead, zone, now), _leave_rules(link, live, story)
        idle = select(col(Enrolment.id)).where(col(Enrolment.lead_id) == lead, exhausted())
        without = frozenset(int(number or 0) for number in link.execute(idle).scalars())
        arms, called = tuple(arms_of(link, live, story, now)), tuple(names(link, lead, now))
    holds = lead_holds(machine, lead, inside)
    gate = {rule.reason: sentence(rule.refuse) for rule in live.house.lifecycle.gate}
    return Explained(
        story, now, zone, why_not, shut, basis, objected, chosen, holds, leave, without, arms, gate, called
    )  # fmt: skip


def _leave_rules(link: Connection, live: Live, story: Story) -> dict[int, str]:
    """The leave rule of each version that the lead was in."""
    versions = {row.version_id for row in story.enrolments}
    rules = {version: live.library.segment(link, version).spec.leave for version in versions}
    return {version: sentence(rule) for version, rule in rules.items() if rule is not None}


def _why_not(run: Run, segment: Segment, story: Story) -> str:
    """The clause that says no."""
    scope, spec = run.live.scope(segment), segment.spec
    missing = []
    for which, rule in (("segment", spec.segment), ("enrol", spec.enrol.when)):
        failing = _failing(run, rule, scope, story.lead_id)
        if failing:
            missing.append(f"{which} does not hold ({', '.join(f'{sentence(part)}: no' for part in failing)})")
    if missing:
        return " and ".join(missing)
    refused = next((row for row in story.refusals if row.sequence == segment.slug), None)
    if refused is not None:
        leave = _holding(run, spec.leave, scope, story.lead_id) if spec.leave is not None else ""
        return REFUSALS.get(refused.reason, str(refused.reason)).format(leave=leave)
    line = place(run, segment.slug, story.lead_id)
    if line is not None:
        number, came = line
        limit = f"{spec.enrol.limit:,} per day" if spec.enrol.limit else "a limit"
        return f"it waits in the queue of {limit}, number {number:,}, since {came:%Y-%m-%d %H:%M}Z"
    mine = (col(Holding.lead_id) == story.lead_id) & (col(Holding.rule) == holding_rule(segment.slug))
    since = run.link.execute(select(col(Holding.since)).where(mine, col(Holding.since) <= run.now)).scalar()
    passed = any(row.sequence == segment.slug for row in story.enrolments)
    if passed and spec.enrol.again == "never":
        return REFUSALS["once_only"]
    if since is not None:
        return f"its rule has held since {since:%Y-%m-%d %H:%M}Z, and only a transition into it enrols"
    return "its rule holds now, and the next tick decides"


def _holding(run: Run, rule: c.Condition, scope: Scope, lead: int) -> str:
    """`rule` in words: of an `any` the parts that hold, as far as any does still."""
    parts = rule.parts if isinstance(rule, c.Any_) else ()
    true = [part for part in parts if not _failing(run, part, scope, lead)]
    return " or ".join(map(sentence, true)) or sentence(rule)


def _failing(run: Run, rule: c.Condition, scope: Scope, lead: int) -> list[c.Condition]:
    """The parts of `rule` that do not hold for the lead."""
    parts = rule.parts if isinstance(rule, c.All) else (rule,)
    failing = []
    for part in parts:
        holds = select(col(Lead.id)).where(col(Lead.id) == lead, compile_condition(part, scope))
        if run(holds).first() is None:
            failing.append(part)
    return failing

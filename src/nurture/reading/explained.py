"""The story of one lead on a page: for people in sections of sentences, for programs as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from textwrap import fill
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from nurture.engine.score_lines import ScoreLine
from nurture.engine.story import ADJUSTED, Happening, Story
from nurture.reading.counts import written
from nurture.reading.reasons import why
from nurture.reading.with_sales import Said, WithSales

#: So many score lines are printed; what the others, the smallest, are worth is one line more.
_LINES = 30
#: Of an instant that is over.
_TODAY = (
    "Told as of {at:%Y-%m-%d %H:%M}Z; fields, fit, owner, tags and lists are as they are today, since no history "
    "of them is kept"
)


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
    #: Account, hand-offs, refusals, changes of stage and status.
    sales: WithSales = field(default_factory=WithSales)
    #: Whether `at` is over.
    past: bool = False

    def text(self, width: int | None = None) -> str:
        """For people: dates in the lead's zone and in UTC. `width`: where lines are broken; None: nowhere."""
        arms = [["Arms", *(f"  {arm}" for arm in self.arms)]] if self.arms else []
        parts = [
            self._who(), self._score(), self._with_sales(), self._sequences(),
            _section("Not enrolled", [f"{slug}: not enrolled: {why}" for slug, why in self.why_not.items()]),
            _section("Not sent", self._not_sent()),
            _section("Not handed over", map(self._dated, self.sales.refused)), *arms,
            _section("Stages and statuses", map(self._dated, self.sales.changes)), self._timeline(),
        ]  # fmt: skip
        return "\n\n".join("\n".join(_broken(line, width) for line in part) for part in parts if part)

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
                    "at": written(line.at), "capped": line.capped, "why": line.why,
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
            "not enrolled": self.why_not, "not sent": self._not_sent(),
            "not handed over": [self._as_data(said) for said in self.sales.refused],
            "account": self.sales.account,
            "handoffs": [[self._as_data(said) for said in told] for told in self.sales.handoffs],
            "changes": [self._as_data(said) for said in self.sales.changes],
            "arms": list(self.arms),
            "timeline": [
                {"at": written(h.at), "kind": h.kind, "what": h.what, "why": self._why(h)} for h in story.happenings
            ],
        }  # fmt: skip

    def _local(self, at: datetime) -> str:
        shown = format_datetime(at.astimezone(ZoneInfo(self.zone)), "EEE d MMM y, HH:mm:ss", locale="en")
        return str(shown)

    def _day(self, at: datetime) -> str:
        """`Mon 2 Mar`, with the year if it is another than that of the story."""
        day = at.astimezone(ZoneInfo(self.zone))
        form = "EEE d MMM" if day.year == self.at.astimezone(ZoneInfo(self.zone)).year else "EEE d MMM y"
        return str(format_datetime(day, form, locale="en"))

    def _minute(self, at: datetime) -> str:
        return f"{self._day(at)} {at.astimezone(ZoneInfo(self.zone)):%H:%M}"

    def _dated(self, said: Said) -> str:
        return said.what if said.at is None else f"{self._minute(said.at)}  {said.what}"

    def _as_data(self, said: Said) -> dict[str, str]:
        return {"at": written(said.at), "what": said.what}

    def _who(self) -> list[str]:
        story, lead = self.story, self.story.lead
        name = " ".join(filter(None, (lead["first_name"], lead["last_name"])))
        head = ", ".join(filter(None, (name, lead["company"], lead["email"])))
        facts = [
            f"stage {lead['stage']}",
            f"status {self.sales.status or lead['status']}",
            f"fit {story.fit or 'not known yet'}",
        ]
        facts += [f"owner {lead['owner']}"] if lead["owner"] else []
        facts += [f"country {lead['country']}"] if lead["country"] else []
        lines = [f"{head or 'a lead without a name'} (lead {story.lead_id})", "  " + ", ".join(facts)]
        lines += [f"  {_TODAY.format(at=self.at)}"] if self.past else []
        lines += [f"  {name}" for name in (*self.names, self.sales.account) if name]
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
        lines = [f"Score {self.story.score} on {self._local(self.at)} ({self.zone}); what is left of each, and why"]
        shown, rest = _largest([line for line in self.story.lines if line.rule not in ADJUSTED])
        told = [(line.points, self._earned(line)) for line in shown]
        if rest:
            told.append((sum(line.points for line in rest), f"of {len(rest):,} smaller ones (--json has all)"))
        adjusted = next((line.rule for line in self.story.lines if line.rule in ADJUSTED), ADJUSTED[0])
        missing = round(self.story.score - sum(round(points, 2) for points, _ in told), 2)  # of what is printed
        told += [(missing, f"({adjusted}, no rule's doing)")] if missing else []
        lines += [f"  {round(points, 2) + 0.0:8.2f}  {what}" for points, what in told]
        return [*lines, f"  {self.story.score:8.2f}  in all"] if self.story.lines else [*lines, "  nothing counts yet"]

    def _earned(self, line: ScoreLine) -> str:
        """`+15 downloaded a paper on Tue 3 Mar`."""
        if line.at is None:
            return f"({line.rule})" if line.bound else f"{line.earned:+g} {line.rule}"
        return f"{line.earned:+g} {line.rule} on {self._day(line.at)}{': ' + line.why if line.why else ''}"

    def _with_sales(self) -> list[str]:
        """Each hand-off with its answers; nothing where there is none."""
        lines = []
        for head, *rest in self.sales.handoffs:
            lines += [f"  {head.what}", *(f"    {self._dated(said)}" for said in rest)]
        return ["With sales", *lines] if lines else []

    def _not_sent(self) -> list[str]:
        """Each message that did not go out, or waits, with the reason; the same one again is counted."""
        kept = [h for h in self.story.happenings if h.kind == "touch" and h.state not in ("sent", None)]
        kept = [h for h in kept if h.state != "planned" or h.reason]
        last = {(h.what, self._why(h)): h.at for h in kept}
        times = Counter((h.what, self._why(h)) for h in kept)
        return [
            f"{self._minute(at)}  {what}{f', {times[what, why]} times' if times[what, why] > 1 else ''}"
            f"{': ' + why if why else ''}"
            for (what, why), at in last.items()
        ]

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
        return lines if self.story.enrolments else []

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


def _section(title: str, lines: Iterable[str]) -> list[str]:
    """A heading with its lines; nothing where there is nothing to say."""
    found = [f"  {line}" for line in lines]
    return [title, *found] if found else []


def _largest(lines: Sequence[ScoreLine]) -> tuple[list[ScoreLine], list[ScoreLine]]:
    """The lines that are printed, in their order, and those whose worth is given as one."""
    bounds = [line for line in lines if line.at is None]
    dated = sorted((line for line in lines if line.at is not None), key=lambda line: -abs(line.points))
    kept = {id(line) for line in (*bounds, *dated[:_LINES])}
    return [line for line in lines if id(line) in kept], dated[_LINES:]


def _broken(line: str, width: int | None) -> str:
    """`line` in rows of at most `width` columns, the further ones set in under the first."""
    if width is None or len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip())
    column = line.find("  ", indent)  # what stands after a date is set in under itself
    inner = column + 2 if 0 < column < width // 2 + 4 else indent + 4
    return fill(line, width, subsequent_indent=" " * inner, break_on_hyphens=False, break_long_words=False)

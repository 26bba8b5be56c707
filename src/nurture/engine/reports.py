"""What a run tells: steps as an operator sees them, and what was done on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nurture.engine.permit import Verdict
from nurture.engine.settle import SettleReport
from nurture.program.load import Segment

#: Told how many touches of a step are done, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class StepView:
    """A step as an operator sees it."""

    id: str
    label: str
    kind: str
    parents: list[str]


@dataclass
class Delivered:
    """How the touches of a run ended, by state; why, by reason; what ails the channel."""

    states: Counter[str] = field(default_factory=Counter)
    deferred: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    channel_down: str | None = None

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Note what the permit said; those that go out are counted by their receipts."""
        for verdict in verdicts:
            if verdict.state == "planned":
                self.deferred[verdict.reason or "later"] += 1
            elif verdict.state != "sending":
                self.states[verdict.state] += 1
            if verdict.state == "suppressed":
                self.suppressed[verdict.reason or ""] += 1

    @property
    def total(self) -> int:
        return self.states.total()


@dataclass
class StepReport:
    """What a run did on one step."""

    segment: str
    step: str
    due: int = 0
    planned: int = 0
    moved: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    failed: int = 0
    expired: int = 0
    uncertain: int = 0
    cancelled: int = 0
    retrying: int = 0
    handoffs: int = 0
    deferred: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    channel_down: str | None = None
    #: What settling after the sends changed: scores, milestones, hand-offs.
    settled: SettleReport = field(default_factory=SettleReport)

    def delivered(self, done: Delivered) -> None:
        """Add what a courier did."""
        states = done.states
        self.sent += states["sent"]
        self.failed += states["failed"]
        self.expired += states["expired"]
        self.uncertain += states["uncertain"]
        self.cancelled += states["cancelled"]
        self.retrying += states["retry_wait"]
        self.deferred += done.deferred
        self.deferred += Counter(not_started=states["planned"])  # permitted, and then something came before their turn
        self.suppressed += done.suppressed
        self.channel_down = done.channel_down or self.channel_down


@dataclass
class TickReport:
    """One tick of one segment."""

    segment: str
    at: datetime
    settled: SettleReport
    steps: list[StepReport] = field(default_factory=list)
    notices: int = 0

    @property
    def sent(self) -> int:
        return sum(step.sent for step in self.steps)


def merged_steps(versions: list[Segment]) -> list[StepView]:
    """The newest version's order, with steps of older versions put in where they stood."""
    views: dict[str, StepView] = {}
    order: list[str] = []
    for version in versions:
        place = 0
        for step in version.spec.steps:
            if step.id in order:
                place = order.index(step.id) + 1
                continue
            order.insert(place, step.id)
            place += 1
            views[step.id] = StepView(step.id, step.title, step.kind_word, [])
    for version in versions:
        for step in version.spec.steps:
            known = views[step.id].parents
            known += [parent for parent in version.spec.parents(step.id) if parent not in known]
    return [views[name] for name in order]

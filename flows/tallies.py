"""Counts of a tick, added up and said in a line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.shown import Shown
from nurture.engine.reports import StepReport
from nurture.engine.settle import SettleReport

WORDS = (
    "sent",
    "suppressed",
    "deferred",
    "retrying",
    "failed",
    "uncertain",
    "expired",
    "cancelled",
    "handoffs",
)


def sentence(report: StepReport) -> str:
    """`due 1,200: sent 1,183, deferred 17 (cap 12, priority 5), moved on 1,183, waiting 17`."""
    done = [told(word, getattr(report, word)) for word in WORDS]
    done += [told("moved on", report.moved.total()), told("waiting", waiting(report))]
    return f"due {report.due:,}: " + ", ".join(filter(None, done))


def waiting(report: StepReport) -> int:
    """Who was due and is still there: arrived to wait, or with a letter whose hour has not come."""
    return max(report.due - report.moved.total(), 0)


def told(word: str, count: int | Counter[str]) -> str:
    """A count, with its reasons where there are any; nothing for none."""
    if isinstance(count, int):
        return f"{word} {count:,}" if count else ""
    if not count.total():
        return ""
    reasons = ", ".join(f"{reason} {leads:,}" for reason, leads in count.most_common())
    return f"{word} {count.total():,} ({reasons})"


def in_words(counts: dict[str, int]) -> str:
    """`due 1,200, sent 1,183`: the zeros are left out."""
    return ", ".join(f"{word} {count:,}" for word, count in counts.items() if count)


@dataclass
class Tick:
    """What one run did: the settling, the last state of each step that ran, the notices that left."""

    segment: str
    settled: SettleReport
    steps: dict[str, State[Any]]
    notices: int = 0

    def __post_init__(self) -> None:
        for report in self.reports():
            self.settled.add(report.settled)

    def reports(self) -> list[StepReport]:
        """Of all steps that could report, failed ones included."""
        outcomes = [state.result(raise_on_failure=False) for state in self.steps.values()]
        counts = [outcome.counts if isinstance(outcome, Shown) else outcome for outcome in outcomes]
        return [report for report in counts if isinstance(report, StepReport)]

    def broken(self) -> dict[str, str]:
        """Step: why it failed."""
        bad = {step: state for step, state in self.steps.items() if not state.is_completed()}
        return {step: state.message or "failed" for step, state in bad.items()}

    def counts(self) -> dict[str, int]:
        """The tick in numbers, for programs; `entered` and `handoffs` also count what settling did."""
        total: Counter[str] = Counter()
        for report in self.reports():
            total.update(due=report.due, moved=report.moved.total(), waiting=waiting(report))
            for word in WORDS:
                count = getattr(report, word)
                total[word] += count if isinstance(count, int) else count.total()
        total["entered"] = self.settled.enrolled[self.segment]
        total["handoffs"] += self.settled.handoffs
        total["notices"] = self.notices
        return {word: total[word] for word in ("entered", "due", *WORDS, "moved", "waiting", "notices")}

    def line(self) -> str:
        """The tick in words, without `due`, which counts a lead at each step that it came by."""
        said = in_words({word: count for word, count in self.counts().items() if word != "due"})
        return said if self.steps else ", ".join(filter(None, ("nobody due", said)))

    def state(self) -> State[Any]:
        """The run's last state: red when a step is."""
        if not (broken := self.broken()):
            return Completed(message=self.line(), data=self.counts())
        why = f"failed: {', '.join(broken)}; the other steps served their cohorts ({self.line()})"
        return Failed(message=why, data=Shown(why, self.counts()))

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
    "planned",
    "sent",
    "retrying",
    "deferred",
    "suppressed",
    "failed",
    "uncertain",
    "expired",
    "cancelled",
    "handoffs",
)


def sentence(report: StepReport) -> str:
    """`due 1,200: sent 1,183, deferred 17 (cap 12, window 5), moved on 1,183`."""
    done = [told(word, getattr(report, word)) for word in WORDS]
    return f"due {report.due:,}: " + ", ".join([*filter(None, done), f"moved on {report.moved.total():,}"])


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
    return ", ".join(f"{word} {count:,}" for word, count in counts.items() if count) or "nothing to do"


@dataclass
class Tick:
    """What one run did: the settling, and the last state of each step that ran."""

    segment: str
    settled: SettleReport
    steps: dict[str, State[Any]]

    def reports(self) -> list[StepReport]:
        """Of all steps that could report, failed ones included."""
        outcomes = [state.result(raise_on_failure=False) for state in self.steps.values()]
        counts = [outcome.counts if isinstance(outcome, Shown) else outcome for outcome in outcomes]
        return [report for report in counts if report is not None and not isinstance(report, Exception)]

    def broken(self) -> dict[str, str]:
        """Step: why it failed."""
        bad = {step: state for step, state in self.steps.items() if not state.is_completed()}
        return {step: state.message or "failed" for step, state in bad.items()}

    def counts(self) -> dict[str, int]:
        """The tick in numbers, for programs."""
        total: Counter[str] = Counter()
        for report in self.reports():
            total.update(due=report.due, moved=report.moved.total())
            for word in WORDS:
                count = getattr(report, word)
                total[word] += count if isinstance(count, int) else count.total()
        total["handoffs"] += self.settled.handoffs
        enrolled = self.settled.enrolled[self.segment]
        return {
            "steps": len(self.steps),
            "enrolled": enrolled,
            **{word: total[word] for word in ("due", "moved", *WORDS)},
        }

    def line(self) -> str:
        """The tick in words, for the run's page."""
        return in_words(self.counts()) if self.steps else "nobody due"

    def state(self) -> State[Any]:
        """The run's last state: red when a step is."""
        if not (broken := self.broken()):
            return Completed(message=self.line(), data=self.counts())
        why = f"failed: {', '.join(broken)}; the other steps served their cohorts ({self.line()})"
        return Failed(message=why, data=Shown(why, self.counts()))

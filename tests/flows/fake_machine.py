"""A stand-in for the engine with a scripted sequence: what the flows may ask of it, and nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from nurture.engine.reports import StepReport, StepView
from nurture.engine.settle import SettleReport
from nurture.errors import NotPublished, SegmentBusy

START = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)


SEQUENCE = [
    StepView("welcome", "Welcome", "email", []),
    StepView("pause", "3 days", "wait", ["welcome"]),
    StepView("interested", "Interested?", "branch", ["pause"]),
    StepView("case_study", "Case study", "email", ["interested"]),
    StepView("retarget", "Retarget: social ads", "audience", ["interested"]),
    StepView("roi_guide", "ROI guide", "offer", ["retarget"]),
    StepView("demo", "Demo requested?", "wait_until", ["case_study", "roi_guide"]),
    StepView("to_sales", "Hand to sales", "handoff", ["demo"]),
    StepView("invite", "Demo invitation", "email", ["demo"]),
    StepView("done", "Sequence complete", "exit", ["to_sales", "invite"]),
]
NEXT = {"welcome": "pause", "case_study": "demo", "retarget": "roi_guide", "roi_guide": "demo",
        "to_sales": "done", "invite": "done"}  # fmt: skip
SENDING = ("email", "offer", "audience")


class FakeMachine:
    """`due`: who waits at the start; `breaks`, `down`: steps that fail; `errors`: raised once each."""

    def __init__(
        self,
        due: dict[str, int] | None = None,
        breaks: dict[str, str] | None = None,
        down: dict[str, str] | None = None,
        busy: bool = False,
        handoffs: int = 0,
        seconds: float = 0.0,
        sequence: list[StepView] | None = None,
    ) -> None:
        self.cohorts_due = dict(due or {})
        self.breaks, self.down, self.busy, self.opened = breaks or {}, down or {}, busy, handoffs
        self.seconds = seconds
        self.sequence = sequence or SEQUENCE
        self.attempts: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.reports: dict[str, StepReport] = {}
        self.drained = 0
        self.settled = False
        self.live = ["gulf-distributors", "saas-evaluators", "win-back"]

    def segments(self) -> list[str]:
        return self.live

    def now(self) -> datetime:
        return START

    def recover(self, now: datetime) -> dict[str, int]:
        return {}

    def settle(self, now: datetime) -> SettleReport:
        if self.settled:
            return SettleReport()
        self.settled, arrived = True, self.cohorts_due.get("welcome", 0)
        report = SettleReport(looked_at=arrived + 40, handoffs=self.opened)
        report.enrolled["saas-evaluators"] = arrived
        report.milestones["demo_requested"] = self.opened
        return report

    def steps(self, segment: str) -> list[StepView]:
        if segment not in self.segments():
            raise NotPublished(f"Nothing is live under '{segment}'; see `nurture publish`.")
        return self.sequence

    def due(self, segment: str, step_id: str, now: datetime) -> int:
        return self.cohorts_due.get(step_id, 0)

    @contextmanager
    def lease(self, segment: str, holder: str) -> Iterator[None]:
        if self.busy:
            raise SegmentBusy(f"{segment}: another run carries it since 09:00 UTC.")
        yield

    def run_step(
        self,
        segment: str,
        step_id: str,
        now: datetime,
        run_id: str,
        progress: Callable[[int, int], None] | None = None,
    ) -> StepReport:
        self.attempts.append(step_id)
        if self.errors.get(step_id):
            raise self.errors[step_id].pop(0)
        if step_id in self.breaks:
            raise RuntimeError(self.breaks[step_id])
        view = next(step for step in self.sequence if step.id == step_id)
        due = self.cohorts_due.pop(step_id, 0)
        for part in range(20):
            time.sleep(self.seconds / 20)
            if progress is not None:
                progress(due * (part + 1) // 20, due)
        report = StepReport(segment, step_id, due=due)
        if step_id in self.down:
            report.retrying, report.channel_down = due, self.down[step_id]
        else:
            report.moved = self._move(view, due)
            if view.kind in SENDING:
                report.failed = due // 400
                report.suppressed["no_consent"] = due // 90
                report.uncertain = int(due > 1000)
                report.sent = due - report.failed - due // 90 - report.uncertain
        self.reports[step_id] = report
        return report

    def _move(self, view: StepView, due: int) -> Counter[str]:
        if view.kind == "branch":
            moved = {"case_study": due // 3, "retarget": due - due // 3}
        elif view.kind == "wait_until":
            moved = {"to_sales": due // 8, "invite": due - due // 8}
        elif view.id == "pause":
            moved = {"interested": due}
        else:
            moved = {NEXT[view.id]: due} if view.id in NEXT else {}
        for target, count in moved.items():
            if target not in ("pause", "demo"):
                self.cohorts_due[target] = self.cohorts_due.get(target, 0) + count
        return +Counter(moved)

    def drain(self, now: datetime) -> int:
        told, self.opened = self.opened, 0
        self.drained += told
        return told

    def diagram(self, segment: str, counts: bool = True) -> str:
        lines = ["flowchart TD"]
        for step in self.sequence:
            done = self.reports.get(step.id)
            live = f"<br/>{done.due:,} today" if counts and done else ""
            lines.append(f'  {step.id}["{step.label}{live}"]')
            lines += [f"  {parent} --> {step.id}" for parent in step.parents]
        return "\n".join(lines)

    def cohorts(self, segment: str) -> list[dict[str, Any]]:
        rows = []
        for step in self.sequence:
            done = self.reports.get(step.id, StepReport(segment, step.id))
            rows.append({"step": step.label, "waiting": self.cohorts_due.get(step.id, 0), "due": done.due,
                         "sent": done.sent, "deferred": done.deferred.total(),
                         "suppressed": done.suppressed.total(),
                         "failed": done.failed, "next due": "2026-03-05T09:00:00Z"})  # fmt: skip
        return rows

    def uncertain(self) -> list[dict[str, Any]]:
        row = {"touch": 4711, "step": "Welcome", "since": "2026-03-02T09:05:11Z", "evidence": "no reply"}
        return [row for report in self.reports.values() if report.uncertain]

    def funnel(self) -> list[dict[str, Any]]:
        return [{"stage": stage, "leads": leads} for stage, leads in
                [("lead", 4120), ("engaged", 1630), ("mql", 412), ("sal", 96), ("sql", 41)]]  # fmt: skip

    def pending_handoffs(self) -> list[dict[str, Any]]:
        return [{"id": 17, "milestone": "demo_requested", "age seconds": 340, "owner": "Dana Reyes"}]

    def close(self) -> None:
        return None

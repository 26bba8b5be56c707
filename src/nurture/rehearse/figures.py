"""What a rehearsal comes to, in numbers: by step, by edge, how leads left, what had to wait. Ids, never names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.engine.control import state_of, wide
from nurture.engine.holds import holds
from nurture.reading.counts import written
from nurture.records import Handoff, Milestone, Refusal, Touch
from nurture.rehearse.simulate import Rehearsal
from nurture.rehearse.witness import Witness
from nurture.steps import MESSAGES, Step

#: Why the guard keeps messages back: they count as held, whether by itself for a while or for a person.
GUARDED = ("canary", "growth")
_CASE = re.compile(r"branch\.(\d+)\.then")


@dataclass
class StepFigures:
    """One step. Counters are by reason; `stood` and `standing`: leads on it at the start and at the end."""

    step: str
    kind: str
    stood: int = 0
    entered: int = 0
    sent: int = 0
    deferred: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    cancelled: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    #: Touches that wait still at the end, by reason; leads on it.
    waiting: Counter[str] = field(default_factory=Counter)
    standing: int = 0
    #: Leads for whom nothing was left to send.
    idle: int = 0


@dataclass
class Edge:
    """A way from one step to the next: the words for it in the YAML, and the leads that took it."""

    origin: str
    ways: list[str]
    step: str
    leads: int = 0

    def __str__(self) -> str:
        return f"{self.origin} → {self.step} ({', '.join(self.ways)})"


@dataclass
class Figures:
    """All of one rehearsal of one segment."""

    segment: str
    version: int
    start: datetime
    until: datetime
    ticks: int
    state: str | None
    steps: dict[str, StepFigures] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    never_steps: list[str] = field(default_factory=list)
    never_edges: list[Edge] = field(default_factory=list)
    entered: int = 0
    left: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    handoffs: list[dict[str, Any]] = field(default_factory=list)
    gate: Counter[str] = field(default_factory=Counter)
    capped: tuple[int, int] = (0, 0)
    first_sent: datetime | None = None
    last_sent: datetime | None = None
    holds: list[dict[str, Any]] = field(default_factory=list)
    #: What other segments sent meanwhile to anybody.
    beside: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return sum(step.sent for step in self.steps.values())

    def total(self, word: str) -> Counter[str]:
        """Of all steps: `deferred`, `held`, `suppressed`, `failed` or `waiting`, by reason."""
        return sum((getattr(step, word) for step in self.steps.values()), Counter())

    def as_dict(self) -> dict[str, Any]:
        """For programs: all of it."""
        steps = [{key: value for key, value in vars(step).items() if key != "idle"} for step in self.steps.values()]
        return {
            "segment": self.segment, "version": self.version, "from": written(self.start), "to": written(self.until),
            "ticks": self.ticks, "state": self.state or "running", "entered": self.entered, "sent": self.sent,
            "first sent": written(self.first_sent), "last sent": written(self.last_sent),
            "steps": [{**row, "exhausted": self.steps[row["step"]].idle} for row in steps],
            "edges": [_edge(edge) for edge in self.edges],
            "never reached": {"steps": self.never_steps, "edges": [_edge(edge) for edge in self.never_edges]},
            "left": self.left, "not enrolled": self.refused,
            "deferred": self.total("deferred"), "held": self.total("held"), "suppressed": self.total("suppressed"),
            "caps hit": {"letters": self.capped[0], "leads": self.capped[1]},
            "handoffs": self.handoffs, "refused by the gate": self.gate, "holds": self.holds,
            "sent by other segments": self.beside,
        }  # fmt: skip


def _edge(edge: Edge) -> dict[str, Any]:
    return {"from": edge.origin, "way": ", ".join(edge.ways), "to": edge.step, "leads": edge.leads}


def figures(done: Rehearsal, slug: str) -> Figures:
    """What the rehearsal `done` came to for one segment. Raises NotPublished."""
    machine = done.stage.machine
    live = machine.live()
    segment = live.segment(slug)
    steps = machine.steps(slug)
    with machine.db.read() as link:
        found = Figures(slug, segment.number, done.start, done.until, done.ticks, state_of(wide(link), slug))
        found.steps = {view.id: StepFigures(view.id, view.kind) for view in steps}
        _walks(found, done.witness)
        _waits(found, done.witness)
        _touches(found, link)
        _lifecycle(found, link)
    _edges(found, done.witness, segment.spec.steps, segment.spec.successors)
    reached = {name for name, step in found.steps.items() if step.entered or step.stood}
    found.never_steps = [step.id for step in segment.spec.steps if step.id not in reached]
    found.never_edges = [edge for edge in found.edges if not edge.leads]
    return found


def _step(found: Figures, name: object) -> StepFigures:
    return found.steps.setdefault(str(name), StepFigures(str(name), "gone"))


def _walks(found: Figures, witness: Witness) -> None:
    slug = found.segment
    for step, count in witness.counts("SELECT step, count(*) FROM stood WHERE sequence = ? GROUP BY 1", slug):
        _step(found, step).stood = count
    walked = "SELECT {} FROM walked WHERE sequence = ? AND {} GROUP BY 1"
    for step, count in witness.counts(walked.format("step, count(*)", "step IS NOT NULL"), slug):
        _step(found, step).entered = count
    for outcome, count in witness.counts(walked.format("outcome, count(*)", "step IS NULL"), slug):
        found.left[str(outcome)] = count
    came = "SELECT count(*) FROM walked WHERE sequence = ? AND origin IS NULL AND step IS NOT NULL"
    found.entered = witness.counts(came, slug)[0][0]
    here = "SELECT step, count(*) FROM enrolment WHERE sequence = ? AND ended_at IS NULL GROUP BY 1"
    for step, count in witness.counts(here, slug):
        _step(found, step).standing = count
    idle = (
        "SELECT step, count(*) FROM enrolment AS e WHERE sequence = ? AND ended_at IS NULL AND due_at IS NULL AND NOT "
        "EXISTS (SELECT 1 FROM touch AS t WHERE t.enrolment_id = e.id AND t.step = e.step "
        "AND t.occurrence = e.occurrence) GROUP BY 1"
    )
    for step, count in witness.counts(idle, slug):
        _step(found, step).idle = count


def _waits(found: Figures, witness: Witness) -> None:
    """Each touch once per reason, however often it was put off for it."""
    query = (
        "SELECT step, state, reason, count(DISTINCT touch_id) FROM put_off WHERE sequence = ? "
        "GROUP BY step, state, reason ORDER BY step, state, reason"
    )
    for step, state, reason, count in witness.counts(query, found.segment):
        kept = state == "held" or reason in GUARDED
        where = _step(found, step).held if kept else _step(found, step).deferred
        where[str(reason)] = max(where[str(reason)], count)
    query = (
        "SELECT count(DISTINCT touch_id), count(DISTINCT lead_id) FROM put_off WHERE sequence = ? AND reason = 'cap'"
    )
    letters, leads = witness.counts(query, found.segment)[0]
    found.capped = letters, leads


def _touches(found: Figures, link: Connection) -> None:
    query = (
        select(col(Touch.step), col(Touch.state), col(Touch.reason), func.count())
        .where(
            col(Touch.sequence) == found.segment, (col(Touch.ended_at) >= found.start) | col(Touch.ended_at).is_(None)
        )
        .group_by(col(Touch.step), col(Touch.state), col(Touch.reason))
        .order_by(col(Touch.step), col(Touch.state), col(Touch.reason))
    )
    for step, state, reason, count in link.execute(query):
        here = _step(found, step)
        if state in ("sent", "expired", "uncertain"):
            setattr(here, state, getattr(here, state) + count)
        elif state in ("suppressed", "failed", "cancelled"):
            getattr(here, state)[reason or state] += count
        else:
            here.waiting[reason or state] += count
    sent = (col(Touch.state) == "sent", col(Touch.ended_at) >= found.start, col(Touch.kind).in_(MESSAGES))
    ends = select(func.min(col(Touch.sending_at)), func.max(col(Touch.sending_at)))
    found.first_sent, found.last_sent = link.execute(ends.where(*sent, col(Touch.sequence) == found.segment)).one()
    others = select(col(Touch.sequence), func.count()).where(*sent, col(Touch.sequence) != found.segment)
    grouped = others.group_by(col(Touch.sequence)).order_by(col(Touch.sequence))
    found.beside.update({slug: count for slug, count in link.execute(grouped)})


def _lifecycle(found: Figures, link: Connection) -> None:
    mine = (col(Handoff.sequence) == found.segment, col(Handoff.opened_at) >= found.start)
    words = (col(Handoff.milestone), col(Handoff.owner), col(Handoff.state))
    opened = select(*words, func.count()).where(*mine).group_by(*words).order_by(*words)
    found.handoffs = [
        dict(zip(("milestone", "owner", "state", "leads"), row, strict=True)) for row in link.execute(opened)
    ]
    refused = (col(Milestone.outcome) == "refused", col(Milestone.reached_at) >= found.start)
    reasons = select(col(Milestone.reason), func.count()).where(*refused).group_by(col(Milestone.reason))
    found.gate.update({str(reason): count for reason, count in link.execute(reasons.order_by(col(Milestone.reason)))})
    no = (col(Refusal.sequence) == found.segment, col(Refusal.at) >= found.start)
    why = select(col(Refusal.reason), func.count()).where(*no).group_by(col(Refusal.reason))
    found.refused.update({reason: count for reason, count in link.execute(why.order_by(col(Refusal.reason)))})
    for one in holds(link, open_only=False, sequences=[found.segment]):
        if one.answered_at is None or one.asked_at >= found.start:
            found.holds.append({
                "hold": one.id, "kind": one.kind, "state": one.state, "asked": written(one.asked_at),
                "messages": one.waiting or one.audience, "answered": written(one.answered_at),
                "by": one.answered_by or "",
            })  # fmt: skip


def _edges(found: Figures, witness: Witness, steps: Sequence[Step], successors: Any) -> None:
    """Every edge of the live version's graph, with the leads that took it; two words that lead to one step are one."""
    query = "SELECT origin, step, count(*) FROM walked WHERE sequence = ? AND origin IS NOT NULL GROUP BY 1, 2"
    taken = {(str(origin), str(step)): count for origin, step, count in witness.counts(query, found.segment)}
    for step in steps:
        ways: dict[str, list[str]] = defaultdict(list)
        for way, target in successors(step).items():
            ways[target].append(_CASE.sub(lambda case: f"branch {int(case[1]) + 1}", way))
        found.edges += [Edge(step.id, words, target, taken.get((step.id, target), 0)) for target, words in ways.items()]

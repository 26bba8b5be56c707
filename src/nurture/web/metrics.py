"""What `/metrics` says: how the house stands, how the public doors answer, and this process. No person is in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nurture import clock
from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault, NotPublished
from nurture.reading.gauges import Backlog, EventTally, Gauges, look

log = logging.getLogger("nurture.web")
#: Seconds for which one look is shown to everybody.
FRESH = 10.0
#: Doors that have a name of their own; whatever else is asked for is `other`.
DOORS = frozenset({
    "u", "p", "c", "o", "f", "y", "q", "h", "hooks", "events", "leads", "nurture.js", "health", "",
})  # fmt: skip
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class RequestTimes:
    """How long the public doors take: a histogram by door and status, kept in this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "nurture_public_request_seconds", "Requests of the public app: seconds from head to last byte.",
            ("door", "status"), buckets=_SECONDS, registry=registry,
        )  # fmt: skip

    def took(self, path: str, status: int, seconds: float) -> None:
        """One request was answered; of its path the first part alone is looked at, since the rest is a key."""
        door = path.split("/", 2)[1] if path.startswith("/") else path
        self._seconds.labels(door if door in DOORS else "other", status).observe(seconds)


class Timed:
    """Times each request of an app."""

    def __init__(self, app: ASGIApp, times: RequestTimes) -> None:
        self.app, self.times = app, times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = clock.monotonic(), [500]

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self.times.took(scope["path"], status[0], clock.monotonic() - began)

        await self.app(scope, receive, watched)


@dataclass
class Pulse:
    """The house's figures, asked of the database every ten seconds at most."""

    machine: Machine
    _tally: EventTally = field(default_factory=EventTally)
    _seen: tuple[float, Gauges | None] = (float("-inf"), None)
    _lock: Lock = field(default_factory=Lock)

    def gauges(self) -> Gauges | None:
        """The last look, or a new one; None while the database does not answer."""
        with self._lock:
            at = clock.monotonic()
            if at - self._seen[0] >= FRESH:
                self._seen = (at, self._look(at))
            return self._seen[1]

    def _team(self, link: Connection) -> list[str]:
        try:
            return [person.email for person in self.machine.library.live(link).house.program.sales]
        except NotPublished:
            return []

    def _look(self, at: float) -> Gauges | None:
        try:
            with self.machine.db.read() as link:
                return look(link, self.machine.now(), self._tally, at, self._team(link))
        except DatabaseFault as fault:
            log.error("%s", fault)
            return None


class HouseCollector(Collector):
    """The figures in Prometheus' shape."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def describe(self) -> list[Metric]:
        """Nothing beforehand: the database is not asked at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = self._pulse.gauges()
        yield _one("nurture_database_up", "1: the database answers.", found is not None)
        if found is None:
            return
        yield _by("nurture_touches", "The newest 20,000 touches, by state.", "state", found.touches)
        yield _by("nurture_enrolments_live", "Leads inside a sequence.", "sequence", found.live)
        due = {sequence: backlog.count for sequence, backlog in found.due.items()}
        yield _by("nurture_due", "Leads and touches whose time has come, at most 40,000.", "sequence", due)
        oldest = {sequence: backlog.oldest for sequence, backlog in found.due.items()}
        yield _by("nurture_due_oldest_seconds", "How long the oldest of them has been due.", "sequence", oldest)
        yield _one("nurture_work", "Rows of the work list: leads to be looked at, now or later.", found.work)
        yield from _backlog("nurture_work_due", "leads that are to be looked at now", found.work_due)
        yield from _backlog("nurture_outbox", "notices that have not left, at most 20,000", found.outbox)
        yield _one("nurture_uncertain", "Messages that may or may not have arrived.", found.uncertain)
        yield _one("nurture_held", "Touches that a hold keeps back.", found.held)
        yield _one("nurture_holds", "Holds that wait for a person.", found.holds)
        yield _one("nurture_controls", "Pauses and stops that are in force.", found.controls)
        answers = {"open": found.handoffs, "late": found.late}
        yield _by("nurture_handoffs", "Hand-offs without an answer; late: past their deadline.", "state", answers)
        owners = GaugeMetricFamily(
            "nurture_handoffs_of_owner",
            "The newest 20,000 hand-offs by owner, counted as program.yaml lists sales, 0: has left; open, overdue, or "
            "expired: passed on unanswered.", labels=["owner", "state"],
        )  # fmt: skip
        for labels, count in sorted(found.owners.items()):
            owners.add_metric(labels, float(count))
        yield owners
        events = CounterMetricFamily("nurture_events", "Events written since this process began.", labels=["class"])
        for actor, count in found.events.items():
            events.add_metric([actor], count)
        yield events


@dataclass
class Metrics:
    """All that is exposed; `times` belongs into the public app of the same process."""

    pulse: Pulse
    registry: CollectorRegistry
    times: RequestTimes

    @classmethod
    def of(cls, machine: Machine) -> Metrics:
        """New ones for `machine`."""
        registry, pulse = CollectorRegistry(auto_describe=False), Pulse(machine)
        ProcessCollector(registry=registry)
        registry.register(HouseCollector(pulse))
        return cls(pulse, registry, RequestTimes(registry))

    def text(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self.registry)


def _one(name: str, means: str, value: float) -> Metric:
    return GaugeMetricFamily(name, means, value=float(value))


def _by(name: str, means: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, means, labels=[label])
    for word, value in sorted(values.items()):
        family.add_metric([word], float(value))
    return family


def _backlog(name: str, of: str, backlog: Backlog) -> Iterator[Metric]:
    yield _one(name, f"Waiting: {of}.", backlog.count)
    yield _one(f"{name}_oldest_seconds", f"How long the oldest has waited: {of}.", backlog.oldest)

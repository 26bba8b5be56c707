"""What a campaign does to whom, what comes of it, and the leads that it needs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.engine.world import MONDAY, PROGRAM, World, program, sequence

#: How much faster than the wall's the workers' clock runs: five minutes of pause are half a second.
SPEED = 600
CONNECTIONS = 4
_LEADS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Plan:
    """What is done to whom. Times in seconds."""

    url: str
    folder: Path
    touches: int
    kills: int
    segments: int = 3
    #: Workers that take leases, and workers that do not.
    orderly: int = 2
    disorderly: int = 1
    lease: float = 1.0
    #: No blow falls before everything is planned: of many leads all at once, nothing but planning would be struck.
    planned_first: bool = False
    kill_every: tuple[float, float] = (0.05, 0.35)
    #: One blow in so many is a pause of 1.4 leases instead.
    pause_one_in: int = 10
    lost: float = 0.01
    later: float = 0.02
    #: How long the relay takes for an answer after the dot: most of a worker's time is spent with bodies on the wire.
    thinks: tuple[float, float] = (0.002, 0.02)
    seed: int = 1
    #: The whole must be over by then.
    patience: float = 300
    #: Called so many times, spread over the kills: a restart of the server.
    restarts: int = 0
    restart: Callable[[], None] | None = None

    @property
    def slugs(self) -> list[str]:
        return [f"segment-{n}" for n in range(self.segments)]


@dataclass
class Outcome:
    """What came of it, as it is printed."""

    plan: Plan
    states: Counter[str]
    #: Message-IDs that the sink kept more than once.
    duplicates: list[str]
    #: What the books and the log do not say alike, in words.
    unexplained: list[str]
    lost: int
    kills: int = 0
    pauses: int = 0
    restarts: int = 0
    #: Workers that gave up by themselves: the database was away.
    failures: int = 0
    #: Bodies that had begun, by the journals of the dead, and had no reply.
    on_the_wire: int = 0
    listed: int = 0
    elapsed: float = 0.0

    @property
    def bound(self) -> int:
        """Most that may be in doubt: what each stopped worker had open, and the replies that were lost."""
        return (self.kills + self.pauses) * CONNECTIONS + self.lost

    @property
    def good(self) -> bool:
        uncertain = self.states["uncertain"]
        return not self.duplicates and not self.unexplained and uncertain <= self.bound and self.listed == uncertain

    def lines(self) -> Iterator[tuple[str, str]]:
        """(word, figure) for a table."""
        plan = self.plan
        yield "database", "SQLite" if plan.url.startswith("sqlite") else "PostgreSQL"
        yield "segments", f"{plan.segments}"
        yield "workers", f"{plan.orderly} with the segment's lease, {plan.disorderly} without"
        yield "touches", f"{plan.touches:,}"
        yield "kills", f"{self.kills:,}"
        yield "pauses", f"{self.pauses:,} of {1.4 * plan.lease:g} s (lease {plan.lease:g} s)"
        yield "on the wire at a kill", f"{self.on_the_wire:,}"
        yield "restarts of the server", f"{self.restarts}"
        yield "replies lost", f"{self.lost:,}"
        yield "sent", f"{self.states['sent']:,}"
        yield "duplicates", f"{len(self.duplicates)}"
        yield "unexplained", f"{len(self.unexplained)}"
        yield "uncertain", f"{self.states['uncertain']:,} (at most {self.bound:,}); listed: {self.listed:,}"
        yield "elapsed", f"{self.elapsed:.0f} s, {plan.touches / max(self.elapsed, 0.001):.0f} touches a second"
        yield "seed", f"{plan.seed}"


@dataclass(frozen=True)
class FastClock:
    """MONDAY at `begun` on the wall, and SPEED times as fast."""

    begun: float

    def now(self) -> datetime:
        return MONDAY + timedelta(seconds=(time.time() - self.begun) * SPEED)


def prepare(plan: Plan) -> None:
    """Publish the segments, and bring in as many leads as there shall be touches."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    steps = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 900 days}"
    files = program(
        {"program.yaml": PROGRAM + "guard: {canary: off, growth: off}\n"},
        **{
            slug: sequence(steps, when=f"{{did: {slug.replace('-', '_')}}}", max_late="800 days") for slug in plan.slugs
        },
    )
    world = World(plan.url, files)
    names = [f"lead{n}" for n in range(plan.touches)]
    for begin in range(0, plan.touches, _LEADS_AT_ONCE):
        part = names[begin : begin + _LEADS_AT_ONCE]
        world.crowd(part)
        for turn, slug in enumerate(plan.slugs):
            world.event_of(part[turn :: plan.segments], slug.replace("-", "_"))
    world.close()


def started() -> str:
    """Now, for the head of a report."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%MZ")

"""What happens to the hosts, and what must hold afterwards: nothing came twice, nothing is lost, doubt has its cause."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlmodel import col

from nurture.db import Database
from nurture.engine.delivery import BATCH
from nurture.engine.leases import LEASE
from nurture.errors import DatabaseFault
from nurture.records import Enrolment, Lease, Touch
from tests.faults.sink import came
from tests.hosts.installation import Installation
from tests.hosts.network import Host, until

ENDS = {"sent", "uncertain"}
#: Seconds for which a host is cut off or asleep: longer than its leases.
AWAY = LEASE.total_seconds() * 1.3
#: Seconds in which a host that is back tells what it still knows.
LATE = 20
#: Seconds within which, after a blow, another host has carried on and all is decided: two leases, and a run's start.
PATIENCE = 2 * LEASE.total_seconds() + 60


@dataclass(frozen=True)
class Scenario:
    """`blow` strikes the host that carries the segment, or the one that helps; `back` ends it."""

    slug: str
    said: str
    touches: int
    struck: str = "carrier"
    blow: Callable[[Host], None] | None = None
    back: Callable[[Host], None] | None = None


SCENARIOS = (
    Scenario("shared", "two hosts share a segment", 6_000),
    Scenario("cut", "the carrying host's cable is out for 78 s", 5_400, "carrier", Host.cut, Host.mend),
    Scenario("asleep", "the carrying host stands still for 78 s", 5_400, "carrier", Host.sleep, Host.wake),
    Scenario("helper", "the helping host's cable is out for 78 s", 5_400, "helper", Host.cut, Host.mend),
    Scenario("killed", "the carrying host dies for good", 5_400, "carrier", Host.kill),
)


@dataclass
class Found:
    """What came of a scenario."""

    scenario: Scenario
    #: By host: touches that were sent there.
    by_host: Counter[str] = field(default_factory=Counter)
    #: Seconds from the blow until another host carried the segment, and until everything was decided.
    taken_over: float | None = None
    decided: float | None = None
    uncertain: int = 0
    #: Of these, what the relay did take; the rest of the uncertain ones never left.
    uncertain_came: int = 0
    #: Uncertain when all was decided; later the struck host came back and told of some.
    uncertain_at_first: int = 0
    twice: int = 0
    broken: list[str] = field(default_factory=list)

    def row(self) -> list[str]:
        """Cells of the table."""
        shares = " + ".join(f"{number:,}" for _, number in sorted(self.by_host.items()))
        times = [f"{time:.0f} s" if time is not None else "" for time in (self.taken_over, self.decided)]
        doubt = f"{self.uncertain_at_first:,}, then {self.uncertain:,}" if self.scenario.back else f"{self.uncertain:,}"
        return [self.scenario.said, f"{self.scenario.touches:,}", shares, *times, f"{self.twice}", doubt]


HEADS = ("what happens", "letters", "sent by a + b", "taken over after", "all decided after", "twice", "uncertain")


class Trial:
    """Plays scenarios on an installation whose workers run."""

    def __init__(self, house: Installation, tell: Callable[[str], None]) -> None:
        self.house, self.tell = house, tell
        self.db = Database(house.url)

    def play(self, scenario: Scenario) -> Found:
        """Leads enter, a tick begins, the blow falls when both hosts are sending; then the books are compared."""
        found, slug = Found(scenario), scenario.slug
        self.house.enter(slug, scenario.touches)
        self.house.tick(slug)
        if until(lambda: len(self.sending(slug)) == 2, 300) is None:
            found.broken.append(f"the two hosts did not share the segment; sending: {sorted(self.sending(slug))}")
        carrier = self.carrier(slug)
        began = time.monotonic()
        if scenario.blow is not None and carrier is not None and not found.broken:
            self.strike(found, carrier)
        if until(lambda: self.is_decided(scenario), PATIENCE, 1) is None:
            found.broken.append(f"not all is decided: {dict(self.states(slug))}")
        if found.decided is None:
            found.decided, found.uncertain_at_first = time.monotonic() - began, self.states(slug)["uncertain"]
        if scenario.back is not None:
            time.sleep(LATE)
        self.judge(found)
        return found

    def strike(self, found: Found, carrier: str) -> None:
        """Let the blow fall and wait for the end, or for the host's return."""
        scenario, slug = found.scenario, found.scenario.slug
        host = next(one for one in self.house.hosts if (one.name == carrier) == (scenario.struck == "carrier"))
        assert scenario.blow is not None
        self.tell(f"  {host.name} is struck; {dict(self.states(slug))}")
        began = time.monotonic()
        scenario.blow(host)
        while (over := time.monotonic() - began) < (AWAY if scenario.back else PATIENCE):
            if found.taken_over is None and self.carrier(slug) not in (carrier, None):
                found.taken_over = over
            if found.decided is None and self.is_decided(scenario):
                found.decided, found.uncertain_at_first = over, self.states(slug)["uncertain"]
                if scenario.back is None:
                    break
            time.sleep(0.5)
        if scenario.back is not None:
            scenario.back(host)
            self.tell(f"  {host.name} is back; {dict(self.states(slug))}")

    # what the database says

    def states(self, slug: str) -> Counter[str]:
        """Touches of a segment by state."""
        query = select(col(Touch.state), func.count()).where(col(Touch.sequence) == slug).group_by(col(Touch.state))
        with self.db.read() as link:
            return Counter({state: number for state, number in link.execute(query)})

    def is_decided(self, scenario: Scenario) -> bool:
        """Whether every touch has ended and every lead stands on the next step."""
        try:
            states = self.states(scenario.slug)
            here = select(func.count()).where(col(Enrolment.sequence) == scenario.slug, col(Enrolment.step) == "rest")
            with self.db.read() as link:
                moved = link.execute(here).scalar_one()
        except DatabaseFault:
            return False
        return set(states) <= ENDS and states.total() == moved == scenario.touches

    def sending(self, slug: str) -> set[str]:
        """The hosts that have touches on their wires."""
        query = select(col(Touch.lease_owner)).where(col(Touch.sequence) == slug, col(Touch.state) == "sending")
        with self.db.read() as link:
            return {str(owner).partition(":")[0] for owner in link.execute(query.distinct()).scalars()}

    def carrier(self, slug: str) -> str | None:
        """The host in whose name the segment's lease is."""
        with self.db.read() as link:
            owner = link.execute(select(col(Lease.owner)).where(col(Lease.name) == f"segment:{slug}")).scalar()
        return owner.partition(":")[0] if owner is not None else None

    # what must hold

    def judge(self, found: Found) -> None:
        """Compare books and relay, letter by letter."""
        slug, broken = found.scenario.slug, found.broken
        with self.db.read() as link:
            columns = select(col(Touch.id), col(Touch.state), col(Touch.message_id))
            rows = link.execute(columns.where(col(Touch.sequence) == slug)).all()
        ours = {row.message_id: row.state for row in rows if row.message_id}
        copies = Counter(one.message_id for one in came(self.house.log) if one.message_id in ours)
        found.by_host = self.shares({row.id for row in rows})
        found.twice = sum(number > 1 for number in copies.values())
        found.uncertain = sum(row.state == "uncertain" for row in rows)
        found.uncertain_came = sum(ours[key] == "uncertain" for key in copies)
        broken += [f"{key} came {number} times" for key, number in copies.items() if number > 1]
        broken += [
            f"touch {row.id}: sent, and never came"
            for row in rows
            if row.state == "sent" and row.message_id not in copies
        ]
        broken += [f"{key} came, and the books say {ours[key]}" for key in copies if ours[key] not in ENDS]
        if len(rows) != found.scenario.touches:
            broken.append(f"{len(rows):,} touches for {found.scenario.touches:,} leads")
        most = 0 if found.scenario.blow is None else 2 * BATCH  # one on the wire, one whose permit was just given
        if found.uncertain > most:
            broken.append(f"{found.uncertain:,} are uncertain, more than the {most} of two batches")
        listed = self.listed({row.id for row in rows if row.state == "uncertain"})
        if listed != found.uncertain:
            broken.append(f"`nurture uncertain list` shows {listed:,} of {found.uncertain:,}")

    def shares(self, touches: set[int]) -> Counter[str]:
        """How many of these each host's processes have sent, by the runs that the touches name."""
        with self.db.read() as link:
            runs = link.execute(
                select(col(Touch.run_id), func.count()).where(col(Touch.id).in_(touches)).group_by(col(Touch.run_id))
            ).all()
        places = {run: self.place(str(run)) for run, _ in runs}
        found: Counter[str] = Counter()
        for run, number in runs:
            found[places[run]] += number
        return found

    def place(self, run: str) -> str:
        """The host whose worker's log names this run."""
        for host in self.house.hosts:
            if run in (host.folder / "worker.log").read_text(errors="replace"):
                return host.name
        return "?"

    def listed(self, touches: set[int]) -> int:
        """How many of these `nurture uncertain list` shows, on a host that lives."""
        host = next(one for one in self.house.hosts if one.lives)
        file = "uncertain.json"
        (host.folder / file).unlink(missing_ok=True)
        words = (sys.executable, "-m", "nurture", "uncertain", "list", "--json")
        host.run(*words, env=self.house.env(host), log=file)
        rows = json.loads((host.folder / file).read_text())
        return len(touches & {row["touch"] for row in rows})

"""The whole touch, from the event that enrols a lead to the row that says what became of its second letter.

A tick on 10,000 leads: they enter, get a letter of some 10 KB with 16 tracked links, come through a gate, get another.
The letters go to smtp-sink, which counts them, through the machine that a house runs, with its journal and no DKIM.
Beside it, in the same minute and into the same sink, smtp-source sends as many messages of the same size.
`bench_touch.py small` takes 2,000 leads; a number takes so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import common
import crowd
import relay
from letters import FILES, LEAD
from sqlalchemy import insert, select, text
from sqlmodel import col

from nurture.channels.base import Journal, Parcel, Receipt, Stop
from nurture.channels.recording import RecordingChannel
from nurture.channels.smtp import SmtpChannel
from nurture.records import Event, Lead
from nurture.rehearse.stage import Stage
from nurture.worklist import put_work

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
ROUNDS = 3


class Weighed(SmtpChannel):
    """The product's own channel, which also adds up the bytes of its messages."""

    messages = bytes_ = 0

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """Send them."""
        self.messages += len(batch)
        self.bytes_ += sum(len(parcel.payload) for parcel in batch)
        return super().deliver(batch, journal, stop)


def house(url: str, sink: relay.Sink, folder: Path, leads: int) -> tuple[Stage, Weighed]:
    """A published program, and so many leads who agreed to be written to and followed."""
    stage, channel = crowd.house(url, START, FILES), Weighed(sink.url)
    crowd.at_work(stage, folder, channel)
    everybody = range(1, leads + 1)
    with crowd.in_bulk(stage.machine.db) as bulk:
        bulk.leads(everybody, START, **LEAD)
        bulk.consents(everybody, START)
        bulk.consents(everybody, START, "tracking")
    return stage, channel


def enter(stage: Stage, leads: int, number: int) -> datetime:
    """Two days after the last round everybody does what enrols them; gives that instant."""
    stage.clock.at = START + timedelta(days=2 * number)
    stage.machine.tick("bench", stage.clock.now())
    now = stage.clock.at = stage.clock.at + timedelta(hours=3)
    deeds = [
        {
            "lead_id": n + 1, "name": "go", "occurred_at": now, "recorded_at": now, "ripe_at": now, "actor": "person",
            "data": {}, "source": "bench", "key": f"{number}:{n}",
        }
        for n in range(leads)
    ]  # fmt: skip

    def put(link: Any) -> None:
        link.execute(insert(Event), deeds)
        put_work(link, select(col(Lead.id)), now)

    stage.machine.db.transact(put)
    crowd.vacuum(stage.machine.db)
    return now


def tick(stage: Stage, leads: int, now: datetime) -> dict[str, float]:
    """One round: touches a second, microseconds of our CPU for each, of those what entering took, and of CPU beside."""
    machine = stage.machine
    began, used, beside = perf_counter(), process_time(), common.beside()
    entered = machine.settle(now)
    settled = process_time()
    report = machine.tick("bench", now)
    seconds, cpu = perf_counter() - began, process_time() - used
    assert entered.enrolled["bench"] == leads, entered
    assert report.sent == 2 * leads, report
    return {
        "touches/s": report.sent / seconds, "us of CPU": 1e6 * cpu / report.sent,
        "entering": 1e6 * (settled - used) / report.sent, "beside": 1e6 * (common.beside() - beside) / report.sent,
    }  # fmt: skip


def measure(kind: str, url: str, sink: relay.Sink, folder: Path, leads: int) -> list[dict[str, Any]]:
    """Rounds of both sides on one database; then one with a way out that accepts at once."""
    folder.mkdir()
    stage, channel = house(url, sink, folder, leads)
    numbers, ours = count(1), list[dict[str, float]]()

    def we() -> float:
        now, taken = enter(stage, leads, next(numbers)), sink.taken()
        ours.append(tick(stage, leads, now))
        assert sink.taken() - taken == 2 * leads, (sink.taken() - taken, leads)
        return ours[-1]["touches/s"]

    def they() -> float:
        ran = relay.source(sink, 2 * leads, channel.bytes_ // channel.messages)
        return relay.rate(ran, 2 * leads)["a second"]

    found = common.rounds(we, they, ROUNDS, warm=1)
    stage.machine.email = RecordingChannel("email")
    alone = tick(stage, leads, enter(stage, leads, next(numbers)))
    cost, entering, beside = (median(one[key] for one in ours[1:]) for key in ("us of CPU", "entering", "beside"))
    require_sound(stage, leads * next(numbers) * 2 - 2 * leads)
    stage.close()
    channel.close()
    return [
        {
            "database": kind, "leads": leads, "bytes": channel.bytes_ // channel.messages, "touches/s": found.ours,
            "smtp-source/s": found.theirs, "ratio": found.ratio, "us of CPU a touch": cost, "of it entering": entering,
            "letters beside": beside, "accepted at once": alone["us of CPU"],
        }
    ]  # fmt: skip


def require_sound(stage: Stage, touches: int) -> None:
    """Every touch was sent, each once, and every lead has come to the end."""
    with stage.machine.db.read() as link:
        states = {state: many for state, many in link.execute(text("SELECT state, count(*) FROM touch GROUP BY state"))}
        inside = link.execute(text("SELECT count(*) FROM enrolment WHERE ended_at IS NULL")).scalar()
    assert states == {"sent": touches}, (states, touches)
    assert not inside, inside


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(2_000, 10_000)
        rows: list[dict[str, Any]] = []
        with relay.sink(b.folder) as sink:
            for kind, url in b.databases("touch"):
                rows += measure(kind, url, sink, b.folder / kind, leads)
        b.table(
            f"whole touches a second beside smtp-source -d -s 10, medians of {ROUNDS} rounds in turn; goal 0.7",
            rows,
            "us of CPU: our process; entering: settling those who enter; letters beside: the process that makes them;",
            "accepted at once: our process without a relay, one round.",
        )


if __name__ == "__main__":
    main()

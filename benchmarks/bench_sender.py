"""The sender alone: prebuilt messages of 8 KB from the product's channel into smtp-sink, beside smtp-source.

Ours keeps its journal, asks the stop before each body and gets batches of 200, as the engine hands them over;
smtp-source keeps its connections (`-d`). smtplib and aiosmtplib (where it is installed) send the same messages over
one connection and over ten. All take turns; the ratio is the median of the rounds'. CPU is the sender's, by getrusage.
`bench_sender.py small` sends 4,000 messages a round; a number sends so many.
"""

from __future__ import annotations

import asyncio
import importlib.util
import resource
import smtplib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import common
import relay

from nurture.channels.base import Parcel
from nurture.channels.journal import FileJournal
from nurture.channels.smtp import SmtpChannel

SIZE, BATCH, ROUNDS = 8_192, 200, 3
#: What aiosmtplib has at a time.
SESSIONS = 10


@dataclass
class Side:
    """One sender: messages a second and microseconds of CPU for each, round by round."""

    send: Callable[[], tuple[float, float]]
    rates: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)


def messages(count: int) -> list[Parcel]:
    """So many letters of `SIZE` bytes, each to somebody else."""
    line = b"<p>A paragraph of a letter, as long as most are, with nothing in it that you would miss.</p>\r\n"
    made = []
    for number in range(count):
        to = f"lead{number}@bench.example"
        head = f"From: Bench <bench@bench.example>\r\nTo: {to}\r\nSubject: {number}\r\nContent-Type: text/html\r\n\r\n"
        body = head.encode() + line * ((SIZE - len(head)) // len(line))
        body += b"x" * (SIZE - len(body) - 2) + b"\r\n"
        made.append(Parcel(number, f"<{number}@bench.example>", "bench@bench.example", to, body))
    return made


def measured(work: Callable[[], None], count: int) -> tuple[float, float]:
    """Messages a second, and microseconds of this process's CPU for each."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), perf_counter()
    work()
    seconds, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return count / seconds, 1e6 * used / count


def ours(sink: relay.Sink, parcels: Sequence[Parcel], folder: Path, lines: int) -> None:
    """Through the channel, as the engine does it."""
    channel, journal = SmtpChannel(sink.url, connections=lines), FileJournal(folder / "journal")
    for first in range(0, len(parcels), BATCH):
        receipts = channel.deliver(parcels[first : first + BATCH], journal, lambda *_: False)
        assert {receipt.verdict for receipt in receipts} == {"accepted"}, receipts[0]
    channel.close()
    journal.close()


def by_smtplib(sink: relay.Sink, parcels: Sequence[Parcel]) -> None:
    """The standard library, one connection."""
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        for parcel in parcels:
            client.sendmail(parcel.sender, [parcel.to], parcel.payload)


def by_aiosmtplib(sink: relay.Sink, parcels: Sequence[Parcel]) -> None:
    """`SESSIONS` connections in one loop."""
    import aiosmtplib

    async def one(mine: Sequence[Parcel]) -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False) as client:
            for parcel in mine:
                await client.sendmail(parcel.sender, [parcel.to], parcel.payload)

    async def everybody() -> None:
        await asyncio.gather(*(one(parcels[place::SESSIONS]) for place in range(SESSIONS)))

    asyncio.run(everybody())


def sides(sink: relay.Sink, parcels: Sequence[Parcel], folder: Path) -> dict[str, Side]:
    """Who takes part; the slow ones send a fifth."""
    count, some = len(parcels), parcels[: len(parcels) // 5]

    def source(sessions: int) -> tuple[float, float]:
        rate = relay.rate(relay.source(sink, count, SIZE, sessions), count)
        return rate["a second"], rate["us of CPU"]

    found = {
        f"smtp-source -d -s {SESSIONS}": Side(lambda: source(SESSIONS)),
        "ours, 4 lines": Side(lambda: measured(lambda: ours(sink, parcels, folder, 4), count)),
        "smtp-source -d -s 1": Side(lambda: source(1)),
        "ours, 1 line": Side(lambda: measured(lambda: ours(sink, parcels, folder, 1), count)),
        "smtplib": Side(lambda: measured(lambda: by_smtplib(sink, some), len(some))),
    }
    if importlib.util.find_spec("aiosmtplib") is not None:
        found[f"aiosmtplib, {SESSIONS} connections"] = Side(
            lambda: measured(lambda: by_aiosmtplib(sink, some), len(some))
        )
    return found


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as bench:
        parcels = messages(bench.size(4_000, 20_000))
        with relay.sink(bench.folder) as sink:
            everyone = sides(sink, parcels, bench.folder)
            before, wanted = sink.taken(), 0
            for _ in range(ROUNDS):
                for name, side in everyone.items():
                    rate, used = side.send()
                    side.rates.append(rate)
                    side.cpus.append(used)
                    wanted += len(parcels) if name.startswith(("smtp-source", "ours")) else len(parcels) // 5
            assert sink.taken() - before == wanted, "not every message came"
        against = everyone[f"smtp-source -d -s {SESSIONS}"]
        rows = [
            {
                "sender": name,
                "messages a second": median(side.rates),
                "us of CPU each": median(side.cpus),
                "of smtp-source": median(m / o for m, o in zip(side.rates, against.rates, strict=True)),
            }
            for name, side in everyone.items()
        ]
        bench.table(f"{len(parcels):,} messages of {SIZE:,} bytes a round, {ROUNDS} rounds in turn", rows)


if __name__ == "__main__":
    main()

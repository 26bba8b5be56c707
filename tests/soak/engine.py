"""The engine and the public app in a process of their own: what they hold is weighed apart from the people they serve."""

from __future__ import annotations

import cProfile
import gc
import os
import resource
import threading
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from time import monotonic, time
from typing import Any, cast

from nurture.clock import VirtualClock
from nurture.db import Database
from nurture.demo.house import finish, reply
from nurture.demo.letters import Letter
from nurture.engine import holds, publishing
from nurture.engine.machine import Machine
from nurture.inbound.taking import take
from nurture.intake import import_events, import_leads
from nurture.opening import open_machine
from nurture.program.load import load
from nurture.reading.verify import verify
from nurture.records.types import from_micros, to_micros
from nurture.rights.forget import forget
from nurture.settings import Settings
from nurture.web.server import PublicServer

_SPAWN = get_context("spawn")


class SharedClock(VirtualClock):
    """A virtual clock that two processes read: its microseconds stand in memory that both have."""

    def __init__(self, micros: Synchronized[int]) -> None:
        self.micros = micros

    @property
    def at(self) -> datetime:
        return from_micros(self.micros.value)

    @at.setter
    def at(self, instant: datetime) -> None:
        self.micros.value = to_micros(instant)

    @staticmethod
    def starting(at: datetime) -> SharedClock:
        """A clock that stands at `at`."""
        return SharedClock(cast("Synchronized[int]", _SPAWN.Value("q", to_micros(at))))


@dataclass
class Engine:
    """The process, seen from outside; it answers as a Machine does where the demo's people ask one.

    `cpu`: seconds of CPU that its answers took; `started`: how many processes there were.
    """

    settings: Settings
    clock: SharedClock
    db: Database
    port: int
    cpu: float = 0.0
    started: int = 0

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin a process, and wait until it serves."""
        self._line, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(theirs, self.settings, self.clock.micros, self.port), daemon=True
        )
        self._process.start()
        theirs.close()
        self.started += 1
        self._answer()

    def close(self) -> None:
        """End it as `nurture serve` ends."""
        self.ask("close")
        self._process.join(30)

    def kill(self) -> None:
        """End it as the kernel does, a week ago: journals are dated by the real clock."""
        self._process.kill()
        self._process.join(30)
        week_ago = time() - 8 * 86_400
        for journal in (self.settings.home / "journal").glob("*"):
            os.utime(journal, (week_ago, week_ago))

    def ask(self, word: str, *given: Any) -> Any:
        """Have one method of `_Doors` called. Raises RuntimeError with the traceback of what it raised."""
        self._line.send((word, given))
        return self._answer()

    def _answer(self) -> Any:
        well, said, cpu = self._line.recv()
        self.cpu += cpu
        if not well:
            raise RuntimeError(said)
        return said

    def settle(self, now: datetime) -> None:
        self.ask("settle")

    def waiting(self, segment: str, now: datetime) -> bool:
        return bool(self.ask("waiting", segment))

    def tick(self, segment: str, now: datetime) -> None:
        self.ask("tick", segment)

    def drain(self, now: datetime) -> None:
        self.ask("drain")

    def next_due(self) -> datetime | None:
        return cast("datetime | None", self.ask("next_due"))


def _serve(line: Connection, settings: Settings, micros: Synchronized[int], port: int) -> None:
    machine = open_machine(settings, SharedClock(micros))
    machine.public_url = settings.public_url
    doors = _Doors(machine, settings.home)
    with PublicServer(machine, port, forms_per_minute=1_000_000, connections=1000):
        line.send((True, None, 0.0))
        word = ""
        while word != "close":
            word, given = line.recv()
            before = _cpu()
            try:
                said = (True, getattr(doors, word)(*given))
            except Exception:  # told whole to whoever asked
                said = (False, traceback.format_exc())
            line.send((*said, _cpu() - before))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class _Doors:
    """What is asked of the machine, each at the clock's instant."""

    machine: Machine
    home: Path
    _profile: cProfile.Profile = field(default_factory=cProfile.Profile)
    #: Of the day's ticks: how many, touches sent, seconds, and seconds of CPU.
    ended: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.machine.now()

    def settle(self) -> None:
        self.machine.settle(self.now)

    def waiting(self, segment: str) -> bool:
        return bool(self.machine.waiting(segment, self.now))

    def tick(self, segment: str) -> None:
        began, cpu = monotonic(), _cpu()
        report = self.machine.tick(segment, self.now)
        more = {"ticks": 1, "tick_seconds": monotonic() - began, "tick_cpu": _cpu() - cpu}
        for name, figure in (more | {"sent": sum(step.sent for step in report.steps)}).items():
            self.ended[name] = self.ended.get(name, 0) + figure

    def drain(self) -> None:
        self.machine.drain(self.now)

    def next_due(self) -> datetime | None:
        return self.machine.next_due()

    def events(self, file: Path, source: str) -> int:
        """Import an export of the website and act on it at once; how many were new."""
        known, rest = self.machine.live().house.program, self.machine.click_rest
        report = import_events(self.machine.db, file, now=self.now, source=source, click_rest=rest, known=known)
        self.machine.settle(self.now)
        self.machine.drain(self.now)
        return report.created

    def leads(self, file: Path, onto: str | None) -> int:
        """Import a file of leads; how many were new."""
        known = self.machine.live().house.program
        report = import_leads(self.machine.db, file, known=known, now=self.now, onto=onto)
        self.machine.settle(self.now)
        return report.created

    def reply(self, letter: Letter, automatic: bool) -> bool:
        return reply(self.machine, letter, automatic)

    def finish(self, task: int, by: str) -> None:
        finish(self.machine, task, by)

    def take_in(self, data: bytes) -> str:
        """A message that came back; what became of it."""
        outcome = take(self.machine, data).outcome
        self.machine.drain(self.now)
        return outcome

    def publish(self, files: dict[str, str]) -> int:
        """Make the files live, every segment; the program's number."""
        loaded = load(files).require()
        every, now, library = sorted(loaded.segments), self.now, self.machine.library
        done = self.machine.db.transact(lambda link: publishing.publish(link, library, loaded, every, now))
        return int(done.program_number or 0)

    def forget(self, who: str) -> None:
        forget(self.machine, self.home, who, by="soak", now=self.now)

    def release(self) -> int:
        """Say yes to every hold, repeating its number; how many touches go out."""
        now, zone = self.now, self.machine.live().house.program.zone
        with self.machine.db.read() as link:
            asked = [one for one in holds.holds(link) if one.state == "asked"]
        return sum(self._release(one.id, one.waiting, now, zone) for one in asked)

    def _release(self, number: int, count: int, now: datetime, zone: str) -> int:
        return self.machine.db.transact(lambda link: holds.release(link, number, count, "soak", now, zone), door=True)

    def verify(self) -> list[str]:
        """What `nurture verify` finds broken."""
        with self.machine.db.read() as link:
            found = verify(link, self.machine.library, self.now)
        return [f"{one.invariant}: {one.offenders[:3]}" for one in found.broken]

    def profile(self, file: Path | None) -> None:
        """Begin to note where time goes (None), or end it and write what was noted."""
        if file is None:
            self._profile.enable()
        else:
            self._profile.disable()
            self._profile.dump_stats(file)
            self._profile = cProfile.Profile()

    def objects(self) -> Counter[str]:
        """Live objects by type, the most frequent."""
        gc.collect()
        return Counter(dict(Counter(type(one).__name__ for one in gc.get_objects()).most_common(25)))

    def weigh(self) -> dict[str, float]:
        """What the process holds, and what its ticks have done since the last time."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        library = self.machine.library
        cache: Any = self.machine.db.engine._compiled_cache
        held = {
            "rss_mb": int(status["VmRSS"].split()[0]) / 1024, "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            "threads": threading.active_count(), "versions": len(library.segments) + len(library.houses),
            "plans": len(library.plans), "statements": len(cache),
        }  # fmt: skip
        told = {**dict.fromkeys(("ticks", "sent", "tick_seconds", "tick_cpu"), 0.0), **self.ended}
        self.ended.clear()
        return held | told

    def close(self) -> None:
        self.machine.close()

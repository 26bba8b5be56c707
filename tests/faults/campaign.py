"""Workers are killed and paused at random until every touch has ended; then the books are held against the sink's log.

A worker is a process, forked from a warm parent, that loops over its segments. Those that keep order take a segment's
lease (`Machine.tick`); the others call its parts without, so that several are on one segment. Their clock runs faster
than the wall's, so that pauses between tries pass; leases are the database's and the kernel's, and do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import func, select
from sqlmodel import col

from nurture import tokens
from nurture.channels.journal import read_journal
from nurture.channels.smtp import SmtpChannel
from nurture.db import Database
from nurture.engine.instance import Instance
from nurture.engine.live import Library
from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault, SegmentBusy
from nurture.records import Enrolment, Touch
from tests.faults.ground import ENDS, SECRET
from tests.faults.plan import CONNECTIONS, FastClock, Outcome, Plan
from tests.faults.sink import MailSink, came, listening
from tests.faults.warm import ROOT, shorten_leases


class Campaign:
    """Runs a plan: `Campaign(plan).run()` on a prepared database."""

    def __init__(self, plan: Plan, tell: Callable[[str], None] = lambda _: None) -> None:
        self.plan, self._tell = plan, tell
        self._chance = random.Random(plan.seed)
        self._log = plan.folder / "mail.log"
        self._errors = plan.folder / "workers.err"
        self._db, self._library = Database(plan.url), Library()
        self._workers: dict[int, int] = {}  # process to its turn
        self._asleep: dict[int, float] = {}  # process to when it wakes
        self._begun = time.time()
        self.kills = self.pauses = self.restarts = self.failures = 0

    def run(self) -> Outcome:
        """Until every touch has ended, or patience has."""
        shorten_leases(self.plan.lease)
        with _served(
            MailSink(self._log, self.plan.lost, self.plan.later, self.plan.seed, self.plan.thinks)
        ) as self._relay:
            begun = time.monotonic()
            with self._db.read() as link:
                self._library.live(link)
            self._db.dispose()  # no connection goes through a fork
            try:
                self._strike_until(begun + self.plan.patience)
            finally:
                self._end_all()
            elapsed = time.monotonic() - begun
        return self._judge(elapsed)

    def _strike_until(self, deadline: float) -> None:
        looked = 0.0
        blow = float("inf") if self.plan.planned_first else time.monotonic()
        while time.monotonic() < deadline:
            self._keep_up()
            present = time.monotonic()
            if present >= blow:
                self._blow()
                blow = present + self._chance.uniform(*self.plan.kill_every)
            self._wake(present)
            if present - looked > 0.5:
                looked = present
                states = self._states()
                if states.total() >= self.plan.touches:
                    if set(states) <= ENDS:
                        return
                    blow = min(blow, present)
            time.sleep(0.01)

    def _blow(self) -> None:
        """Strike one worker that is awake: kill it, or put it to sleep for longer than its lease."""
        if self.kills >= self.plan.kills or not (awake := sorted(self._workers.keys() - self._asleep.keys())):
            return
        pid = self._chance.choice(awake)
        if self._chance.randrange(self.plan.pause_one_in) == 0:
            os.kill(pid, signal.SIGSTOP)
            self._asleep[pid] = time.monotonic() + 1.4 * self.plan.lease
            self.pauses += 1
            return
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        turn = (self.restarts + 1) * self.plan.kills
        due = self.restarts < self.plan.restarts and self.kills * (self.plan.restarts + 1) >= turn
        if self.plan.restart is not None and due:
            self.plan.restart()
            self.restarts += 1
        if self.kills % 100 == 0:
            self._tell(f"{self.kills:,} kills, {time.time() - self._begun:.0f} s")

    def _wake(self, present: float) -> None:
        for pid in [pid for pid, until in self._asleep.items() if until <= present]:
            del self._asleep[pid]
            os.kill(pid, signal.SIGCONT)

    def _keep_up(self) -> None:
        """Bury the dead and put others in their places."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in self._workers:
                del self._workers[pid]
                self._asleep.pop(pid, None)
                self.failures += not os.WIFSIGNALED(status)
        wanted = self.plan.orderly + self.plan.disorderly
        for turn in set(range(wanted)) - set(self._workers.values()):
            pid = os.fork()
            if pid == 0:
                self._work(turn)
            self._workers[pid] = turn

    def _end_all(self) -> None:
        for pid in list(self._workers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers.clear()

    def _states(self) -> Counter[str]:
        """How many touches stand where; none while the database is away."""
        try:
            with self._db.read() as link:
                query = select(col(Touch.state), func.count()).group_by(col(Touch.state))
                return Counter({state: number for state, number in link.execute(query)})
        except DatabaseFault:
            return Counter()
        finally:
            self._db.dispose()

    # a worker

    def _work(self, turn: int) -> None:
        """Never returns: what goes wrong is written down, and another takes its place."""
        code = 1
        try:
            os.dup2(os.open(self._errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
            machine = self._machine()
            orderly = turn < self.plan.orderly
            while True:
                for slug in self._chance.sample(self.plan.slugs, self.plan.segments):
                    with contextlib.suppress(SegmentBusy):
                        if orderly:
                            machine.tick(slug, machine.now())
                        else:
                            _carry(machine, slug)
                time.sleep(0.02)
        except DatabaseFault as fault:
            sys.stderr.write(f"{fault}\n")
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)

    def _machine(self) -> Machine:
        """As `opening.open_machine` makes it, on the warm parent's compiled statements."""
        self._chance = random.Random(os.getpid())
        keys, clock = tokens.keys(SECRET), FastClock(self._begun)
        relay = SmtpChannel(self._relay, connections=CONNECTIONS)
        home = self.plan.folder / "home"
        return Machine(
            self._db, clock, keys, relay, relay, "https://campaign.example", journal_folder=home / "journal",
            instance=Instance.open(self._db, home, real_time=False), library=self._library,
        )  # fmt: skip

    # afterwards

    def _judge(self, elapsed: float) -> Outcome:
        with self._db.read() as link:
            rows = link.execute(select(col(Touch.id), col(Touch.state), col(Touch.message_id))).all()
            passages = link.execute(select(func.count()).select_from(Enrolment)).scalar_one()
        self._db.dispose()
        kept = [one for one in came(self._log) if one.kept]
        copies = Counter(one.message_id for one in kept)
        state_of = {message_id: state for _, state, message_id in rows if message_id}
        wrong = [f"touch {touch}: {state}" for touch, state, _ in rows if state not in ("sent", "uncertain")]
        wrong += [
            f"touch {touch}: sent, and the sink never saw it"
            for touch, state, message_id in rows
            if state == "sent" and message_id not in copies
        ]
        wrong += [
            f"{message_id}: kept by the sink, and the books say {state_of.get(message_id)}"
            for message_id in copies
            if state_of.get(message_id) not in ("sent", "uncertain")
        ]
        if not len(rows) == passages == self.plan.touches:
            wrong.append(f"{len(rows):,} touches and {passages:,} passages of {self.plan.touches:,} leads")
        return Outcome(
            self.plan,
            Counter(state for _, state, _ in rows),
            [message_id for message_id, number in copies.items() if number > 1],
            wrong,
            sum(not one.said for one in kept),
            self.kills,
            self.pauses,
            self.restarts,
            self.failures,
            sum(state == "started" for file in self._journals() for state in read_journal(file).values()),
            listed=self._listed(),
            elapsed=elapsed,
        )

    def _journals(self) -> list[Path]:
        return list((self.plan.folder / "home" / "journal").glob("*.log"))

    def _listed(self) -> int:
        """How many `nurture uncertain list --json` shows."""
        env = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "NURTURE_DATABASE_URL": self.plan.url,
            "NURTURE_HOME": str(self.plan.folder / "home"), "NURTURE_SECRET_KEY": SECRET,
        }  # fmt: skip
        command = [sys.executable, "-c", "from nurture.cli import main; raise SystemExit(main())"]
        told = subprocess.run([*command, "uncertain", "list", "--json"], env=env, capture_output=True, check=True)
        return len(json.loads(told.stdout))


def _carry(machine: Machine, slug: str) -> None:
    """A tick without the segment's lease."""
    now = machine.now()
    machine.recover(now)
    machine.settle(now)
    for step in machine.waiting(slug, now):
        machine.run_step(slug, step, machine.now(), f"campaign:{os.getpid()}")


@contextlib.contextmanager
def _served(sink: MailSink) -> Iterator[str]:
    """The sink in a process of its own; its URL."""
    listener = listening()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sink.serve(listener)
        os._exit(0)
    url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    try:
        yield url
    finally:
        time.sleep(0.2)  # what the last dead had sent is read to its end
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

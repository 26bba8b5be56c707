"""Is this installation fit to work: what `/health` of the private app answers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from nurture import clock
from nurture.doctor import services
from nurture.doctor.base import Check, ok, wrong
from nurture.doctor.house import database
from nurture.engine.instance import Instance
from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault, NotPublished, SettingsError
from nurture.web.metrics import Pulse

#: Seconds for which one look is shown to everybody, and that a notice may wait.
FRESH = 5.0
LONGEST_WAIT = 15 * 60.0


@dataclass
class Readiness:
    """`environment`: where PREFECT_API_URL stands if Prefect belongs to this installation."""

    machine: Machine
    pulse: Pulse
    environment: Mapping[str, str]
    _seen: tuple[float, list[Check]] = (float("-inf"), [])
    _lock: Lock = field(default_factory=Lock)

    def checks(self) -> list[Check]:
        """What was looked at, five seconds ago at most."""
        with self._lock:
            at = clock.monotonic()
            if at - self._seen[0] >= FRESH:
                self._seen = (at, self._look())
            return self._seen[1]

    def _look(self) -> list[Check]:
        checks = database(self.machine.db)
        if checks[0].verdict == "ok":
            checks += [self._instance(), self._program(), self._outbox()]
        checks.append(self._journal())
        if self.environment.get("PREFECT_API_URL"):
            found = services.prefect(self.environment)
            checks.append(found if found.verdict == "ok" else wrong(found.name, found.said))
        return [check for check in checks if check.verdict != "not checked"]

    def _instance(self) -> Check:
        """A fresh look: another process may have adopted the database, or a backup may have been restored."""
        if self.machine.instance is None:
            return ok("instance", "a rehearsal's database")
        try:
            told = Instance.open(self.machine.db, self.machine.instance.home).sentence()
        except (SettingsError, DatabaseFault) as fault:
            return wrong("instance", str(fault))
        return ok("instance", "the database is this installation's own") if told is None else wrong("instance", told)

    def _program(self) -> Check:
        try:
            live = self.machine.live()
        except (NotPublished, DatabaseFault) as problem:
            return wrong("program", str(problem))
        return ok("program", f"live segments: {len(live.segments)}")

    def _outbox(self) -> Check:
        found = self.pulse.gauges()
        if found is None:
            return wrong("outbox", "the database does not answer")
        waiting = found.outbox
        said = f"{waiting.count} wait, the oldest for {waiting.oldest:.0f} s" if waiting.count else "nothing waits"
        if waiting.oldest <= LONGEST_WAIT:
            return ok("outbox", said)
        return wrong("outbox", f"{said}; is the relay down, or does 'nurture serve' not send? see nurture doctor")

    def _journal(self) -> Check:
        folder = self.machine.journal_folder
        if folder is None:
            return ok("journal", "none is kept")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as problem:
            return wrong("journal", f"{folder} cannot be written ({problem.strerror}), so nothing can be sent")
        return ok("journal", "can be written")

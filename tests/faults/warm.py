"""A Python process with everything imported that forks a child for each task: a cold `nurture` takes a second to start.

`python -m tests.faults.warm` reads tasks from its standard input, one JSON object a line, and answers each. It has one
thread, so that its children may be forked safely. A child runs `nurture`'s own `main` with the given environment.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a child ended: `code` as a shell gives it, negative for a signal; what it said."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass
class Warm:
    """The parent, seen from a test. `folder`: where the children's words are kept."""

    folder: Path
    _serial: count[int] = field(default_factory=lambda: count(1))
    _children: dict[int, Path] = field(default_factory=dict)

    def __enter__(self) -> Warm:
        command = [sys.executable, "-m", "tests.faults.warm"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        self._process.communicate()

    def start(self, words: Sequence[str], env: Mapping[str, str], **options: Any) -> int:
        """Begin `nurture WORDS`; the child's number. `options` are those of `_become`."""
        said = self.folder / f"child-{next(self._serial)}"
        pid = int(self._ask(do="start", words=list(words), env=dict(env), said=str(said), options=options))
        self._children[pid] = said
        return pid

    def ended(self, pid: int) -> Ended:
        """Wait for the end of a child."""
        code = int(self._ask(do="wait", pid=pid))
        said = self._children.pop(pid)
        return Ended(code, said.with_suffix(".out").read_text(), said.with_suffix(".err").read_text())

    def run(self, words: Sequence[str], env: Mapping[str, str], **options: Any) -> Ended:
        """`nurture WORDS` from its beginning to its end."""
        return self.ended(self.start(words, env, **options))

    def until_stopped(self, pid: int) -> None:
        """Wait until a child has stopped itself."""
        while _state(pid) != "T":
            assert _state(pid) not in "ZX", "the child has ended instead"
            time.sleep(0.01)

    def learn(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        """Have the parent itself do `nurture WORDS`: what it builds and compiles for it, its children have."""
        assert self._ask(do="learn", words=list(words), env=dict(env)) == "0\n"

    def _ask(self, **task: Any) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _state(pid: int) -> str:
    """One letter of proc(5): R, S, T, Z …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def arm(wish: str | None, failure: type[BaseException] | None = None) -> None:
    """Set the named place to fail in this process, `POINT:ACTION:TURN` or None; `failure`: what `raise` raises.

    The variable is read once, when the module is imported; here it was imported long ago.
    """
    from nurture import failpoints

    os.environ.pop("NURTURE_FAILPOINT", None)
    if wish is not None:
        os.environ["NURTURE_FAILPOINT"] = wish
    failpoints._ARMED = failpoints._armed()
    failpoints._turns = count(1)
    if failure is not None:
        failpoints.Failpoint = failure  # type: ignore[assignment, misc]


def shorten_leases(seconds: float) -> None:
    """All leases of this process last so long."""
    from nurture.engine import delivery, leases, notices, verdicts

    delivery.LEASE = timedelta(seconds=seconds)  # type: ignore[attr-defined]  # what it took from verdicts
    verdicts.LEASE = leases.LEASE = notices._LEASE = timedelta(seconds=seconds)
    verdicts._statement.cache_clear()


def _still_the_heart() -> None:
    """No heart-beat comes before the worker falls asleep, so that it sleeps in no other transaction than the test says."""
    from nurture.engine import heart

    heart._BEATS = 1e-6  # type: ignore[assignment]


def _leave_it_to_the_journal() -> None:
    from nurture.engine import delivery

    delivery._PATIENCE = ()  # type: ignore[assignment]


def _become(task: Mapping[str, Any]) -> int:
    """What a child does.

    `options`: `lease` (seconds), `still` (no heart-beats), `hasty` (what cannot be recorded at once is left to the
    journal), `pages` (of an SQLite file).
    """
    os.environ |= task["env"]
    arm(task["env"].get("NURTURE_FAILPOINT"))
    options = task["options"]
    if "lease" in options:
        shorten_leases(options["lease"])
    if "still" in options:
        _still_the_heart()
    if "hasty" in options:
        _leave_it_to_the_journal()
    if "pages" in options:
        _limit_pages(options["pages"])
    if task["words"][0] == "carry":
        return _carry(task["words"][1])
    from nurture.cli import main

    return main(task["words"])


def _carry(segment: str) -> int:
    """What a tick does for one segment, without its lease: who keeps no order may still send nothing twice."""
    from nurture.opening import machine

    with machine() as opened:
        now = opened.now()
        opened.recover(now)
        opened.settle(now)
        while waiting := opened.waiting(segment, opened.now()):
            for step in waiting:
                opened.run_step(segment, step, opened.now(), f"carry:{os.getpid()}")
    return 0


def _limit_pages(number: int) -> None:
    """SQLite says that the disk is full beyond so many pages."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def limit(link: Any, _record: Any) -> None:
        link.execute(f"PRAGMA max_page_count={number}")

    event.listen(Engine, "connect", limit)


def _child(task: Mapping[str, Any]) -> None:
    """Never returns."""
    code = 70
    try:
        for number, suffix in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(task["said"] + suffix, os.O_WRONLY | os.O_CREAT, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = _become(task)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _warm_up() -> None:
    """Do once all that children will do, so that whatever is made at first use is there; then there is one thread."""
    import psycopg  # noqa: F401

    import nurture.web.metrics
    import nurture.web.server  # noqa: F401 - what `nurture serve` opens
    from nurture.db import migrate
    from tests.faults.ground import SECRET, prepare

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NURTURE_HOME": folder, "NURTURE_SECRET_KEY": SECRET}
        for kind in ("mail", "ads", "sales"):
            url = f"sqlite:///{folder}/{kind}.db"
            migrate(url)
            prepare(url, kind, "http://127.0.0.1:9/")
            env = {"NURTURE_DATABASE_URL": url, "NURTURE_HOME": f"{folder}/{kind}"}
            _learn(["tick", "mail" if kind == "sales" else kind, "--now", "2026-03-02T08:00:00Z", "--json"], env)


def _learn(words: list[str], env: Mapping[str, str]) -> int:
    """Do it in this very process, in silence; its exit code. There is one thread again at the end."""
    from nurture.cli import main

    os.environ |= env
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(words)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    return code


def _remember() -> None:
    """What is the same in every child and costs it most of its time: the authorities of TLS, the list of commands."""
    from nurture.cli import app

    ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
    app.build = cache(app.build)


def _serve() -> None:
    from tests.reuse import reusing

    _remember()
    with reusing():
        _warm_up()
        for line in sys.stdin:
            task = json.loads(line)
            if task["do"] == "wait":
                answer = os.waitstatus_to_exitcode(os.waitpid(task["pid"], 0)[1])
            elif task["do"] == "learn":
                answer = _learn(task["words"], task["env"])
            else:
                answer = os.fork()
                if answer == 0:
                    _child(task)
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _serve()

"""A PostgreSQL server that may be restarted, and that keeps what it has committed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from tests.postgres import Server, server


@contextmanager
def stubborn_server() -> Iterator[Server]:
    """Like `tests.postgres.server`, for those who restart it: it is stopped at the end whoever started it last."""
    with server() as running:
        yield running
        _pg_ctl(running, "stop")


def durable(running: Server, name: str) -> str:
    """The URL of a database whose commits outlive the server, as they do in production."""
    running._run(sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(name)))
    return running.url(name)


def restart(running: Server) -> None:
    """As after a power failure of the server's processes: nothing is shut down, the log is replayed."""
    _pg_ctl(running, "restart")


def _pg_ctl(running: Server, what: str) -> None:
    """The server was started with the options in postmaster.opts; `restart` repeats them."""
    data = running.folder / "data"
    binary = Path(shlex.split((data / "postmaster.opts").read_text())[0])
    owner = data.stat()
    command = [
        str(binary.with_name("pg_ctl")),
        what,
        "-D",
        str(data),
        "-m",
        "immediate",
        "-w",
        "-l",
        str(running.folder / "log.2"),
    ]
    subprocess.run(
        command, check=True, capture_output=True, cwd=running.folder, user=owner.st_uid, group=owner.st_gid,
        extra_groups=[], env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def end_connections(running: Server, name: str) -> int:
    """End every connection to a database, as an administrator or a failing network does; how many."""
    with running.connect() as link:
        found = link.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        return len(found.fetchall())

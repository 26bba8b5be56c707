"""What the trial's hosts share: PostgreSQL, Prefect's server and a relay in the hub; a program with leads about to enter."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from nurture.clock import SystemClock
from nurture.db import migrate
from tests import postgres
from tests.engine.world import PROGRAM, World, program, sequence
from tests.faults.servers import durable
from tests.faults.sink import MailSink
from tests.hosts.network import HUB, ROOT, Host, until

API = f"http://{HUB}:4200/api"
_DATABASE = f"nurture@{HUB}:5432"
_PORT = 2525
#: Seconds after which the relay answers a body: a send takes long enough to be struck.
_THINKS = (0.02, 0.06)


@dataclass
class Installation:
    """One house on several hosts."""

    folder: Path
    hosts: list[Host]
    url: str

    @property
    def log(self) -> Path:
        """What the relay took."""
        return self.folder / "mail.log"

    def env(self, host: Host) -> dict[str, str]:
        """A host's settings: database, relay and secret are the house's, the folders its own."""
        own = {
            "NURTURE_DATABASE_URL": self.url, "NURTURE_SMTP_URL": f"smtp+plain://{HUB}:{_PORT}",
            "NURTURE_SECRET_KEY": "one secret for all hosts of the house", "NURTURE_HOME": str(host.folder / "home"),
            "PREFECT_HOME": str(host.folder / "prefect"),
        }  # fmt: skip
        return _env() | own

    def worker(self, host: Host) -> subprocess.Popen[bytes]:
        """`python -m flows worker` on a host; it carries one run at a time, so that help comes from the other."""
        words = (sys.executable, "-m", "flows", "worker", "--limit", "1")
        return host.start(*words, env=self.env(host), log="worker.log")

    def enter(self, slug: str, touches: int) -> None:
        """So many leads are imported, and do what enrols them now."""
        people = [f"{slug}{number}@lead.example" for number in range(touches)]
        host, at = next(one for one in self.hosts if one.lives), SystemClock().now().isoformat()
        said = {
            "leads": ["email,consent", *(f"{one},contract" for one in people)],
            "events": ["email,event,time,id", *(f"{one},{event(slug)},{at},{one}" for one in people)],
        }
        for kind, rows in said.items():
            (file := host.folder / f"{kind}.csv").write_text("\n".join(rows))
            words = (sys.executable, "-m", "nurture", "import", kind, str(file), "--source", "trial")
            host.run(*words, env=self.env(host), log="import.log")

    def tick(self, slug: str) -> None:
        """Have a segment's deployment run now, whoever takes it."""
        found = httpx.get(f"{API}/deployments/name/nurture-segment/{slug}").raise_for_status().json()
        httpx.post(f"{API}/deployments/{found['id']}/create_flow_run", json={}).raise_for_status()


def event(slug: str) -> str:
    """What enrols in a segment."""
    return f"asked_{slug}"


@contextmanager
def installation(folder: Path, hosts: list[Host], slugs: list[str]) -> Iterator[Installation]:
    """Everything started, published and deployed; nothing due, no worker yet."""
    with ExitStack() as stack:
        postgres.CONFIGURATION.update({"listen_addresses": HUB, "autovacuum": "on", "max_connections": "120"})
        server = stack.enter_context(postgres.server())
        with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {HUB}/24 trust\n")
        with server.connect() as link:
            link.execute("SELECT pg_reload_conf()")
        durable(server, server.create(name="nurture"))
        server.create(name="prefect")
        url = f"postgresql+psycopg://{_DATABASE}/nurture"
        migrate(url)
        World(url, _files(slugs), SystemClock().now()).close()
        made = Installation(folder, hosts, url)
        stack.enter_context(_relay(made.log))
        stack.enter_context(_prefect(folder))
        hosts[0].run(sys.executable, "-m", "flows", "deploy", env=made.env(hosts[0]), log="deploy.log")
        yield made


def _files(slugs: list[str]) -> dict[str, str]:
    steps = "  - {id: letter, email: letter.j2}\n  - {id: rest, wait: 90 days}"
    guard = "guard: {canary: off, growth: off}\n"
    return program(
        {"program.yaml": PROGRAM + guard}, **{slug: sequence(steps, when=f"{{did: {event(slug)}}}") for slug in slugs}
    )


def _env() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PREFECT_API_URL": API, "LC_ALL": "C.UTF-8"}


@contextmanager
def _prefect(folder: Path) -> Iterator[None]:
    """`python -m flows server` on PostgreSQL, at the hub's address."""
    env = _env() | {
        "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_API_HOST": HUB, "PREFECT_UI_API_URL": API,
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{_DATABASE}/prefect",
    }  # fmt: skip
    log = folder / "prefect.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "flows", "server"], cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        if until(_answers, 180) is None:
            raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers() -> bool:
    try:
        return httpx.get(f"{API}/health").is_success
    except httpx.TransportError:
        return False


@contextmanager
def _relay(log: Path) -> Iterator[None]:
    """The sink, a process of its own."""
    listener = socket.create_server((HUB, _PORT), backlog=128)
    listener.setblocking(False)
    sink = MailSink(log, thinks=_THINKS)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sink.serve(listener)
        os._exit(0)
    listener.close()
    try:
        yield
    finally:
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

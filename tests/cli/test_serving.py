"""`nurture serve` as real processes: what listens, what follows a publication, what dies and comes again, and the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer

import httpx
import pytest

from nurture.channels.base import NoJournal, Parcel
from nurture.cli import children
from nurture.cli.children import Child
from nurture.cli.serving import _House
from nurture.cli.speech import settings
from nurture.opening import machine as machine_of
from tests.cli.conftest import Desk
from tests.steps.servers import Calls
from tests.steps.servers import serving as serving_calls

SERVE = [sys.executable, "-c", "import sys; from nurture.cli import main; sys.exit(main())", "serve"]
FORM = "forms: {demo: {event: demo_requested, title: Book a demo, fields: [first_name]}}\n"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def until(holds: Callable[[], object]) -> None:
    """Wait for it; fail when it does not come to pass."""
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


class Served:
    """A running `nurture serve` on ports of its own; `log` is what it says."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.ports = {app: free_port() for app in ("public", "private", "prefect")}
        listen = {f"NURTURE_{app.upper()}_LISTEN": f"127.0.0.1:{port}" for app, port in self.ports.items()}
        self.log = folder / "serve.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*SERVE, *words], cwd=folder, env=os.environ | listen, stdout=out, stderr=out, start_new_session=True
            )

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def get(self, app: str, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.ports[app]}{path}", timeout=20)

    def up(self) -> None:
        until(lambda: self.said("Stop with Ctrl-C") or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def family(self) -> set[int]:
        """It and all that came of it."""
        return set(children._family(self.process.pid))

    def end(self, sign: int = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        return self.process.wait(30)


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Served]:
    """It, surely ended."""
    served = Served(folder, *words)
    try:
        yield served
    finally:
        for pid in served.family() - {served.process.pid}:
            os.kill(pid, signal.SIGKILL)
        served.process.kill()
        served.process.wait(10)


def test_doors_from_before_the_first_publication_to_sigterm(desk: Desk) -> None:
    """503 until something is published, followed at once; it ends well, and its ports are free."""
    with serving(desk.folder, "--no-prefect") as served:
        served.up()
        assert served.get("public", "/f/demo").status_code == served.get("private", "/health").status_code == 503
        with (desk.folder / "templates" / "program.yaml").open("a") as program:
            program.write(FORM)
        assert desk.nurture("publish").code == 0

        assert served.get("public", "/f/demo").status_code == 200
        assert served.get("public", "/metrics").status_code == 404
        assert "nurture_database_up 1.0" in served.get("private", "/metrics").text
        assert served.family() == {served.process.pid}
        assert served.end() == 0

    assert served.said("Nothing is published yet")
    for port in served.ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


#: Variables and words, and what the complaint must say.
REFUSED: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "a port that is taken": ({"NURTURE_PUBLIC_LISTEN": "127.0.0.1:{taken}"}, ("--no-prefect",), "set NURTURE_PUBLIC_LISTEN"),
    "the private port": ({"NURTURE_PRIVATE_LISTEN": "127.0.0.1:{taken}"}, ("--only", "private"), "set NURTURE_PRIVATE_LISTEN"),
    "Prefect's port": ({"NURTURE_PREFECT_LISTEN": "127.0.0.1:{taken}"}, ("--only", "prefect"), "set NURTURE_PREFECT_LISTEN"),
    "no port": ({"NURTURE_PUBLIC_LISTEN": "localhost"}, (), "'localhost' is not ADDRESS:PORT"),
    "the port on the command line": ({}, ("--only", "public", "--port", "{taken}"), "set NURTURE_PUBLIC_LISTEN"),
    "an address of another machine": ({"NURTURE_PUBLIC_LISTEN": "192.0.2.1:8000"}, ("--only", "public"), "192.0.2.1:8000 cannot be used"),
    "the private app for everybody": ({"NURTURE_PRIVATE_LISTEN": "0.0.0.0:8322"}, (), "set NURTURE_PRIVATE_TOKEN"),
    "Prefect for everybody": ({"NURTURE_PREFECT_LISTEN": "[::]:4200"}, (), "set NURTURE_PREFECT_AUTH"),
    "a token that can be guessed": ({"NURTURE_PRIVATE_TOKEN": "sesame"}, ("--only", "private"), "at least 32"),
    "secrets that are nowhere": ({"NURTURE_SECRETS": "nowhere"}, (), "NURTURE_SECRETS: nowhere is not a folder"),
}  # fmt: skip


@pytest.mark.parametrize(("variables", "words", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_stands_in_the_way_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: tuple[str, ...], why: str
) -> None:
    """One sentence with the way out; nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name in ("PUBLIC", "PRIVATE", "PREFECT"):
            monkeypatch.setenv(f"NURTURE_{name}_LISTEN", "127.0.0.1:0")
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(taken=taken.getsockname()[1]))
        told = desk.nurture("serve", *(word.format(taken=taken.getsockname()[1]) for word in words))

    assert told.code == 1
    assert why in told.err
    assert "sesame" not in told.err


def test_secrets_are_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file says what its variable would; a variable that is set wins."""
    desk.write("secrets/nurture_database_url", "mysql://of-the-file\n")
    monkeypatch.setenv("NURTURE_SECRETS", "secrets")
    assert "begins with 'mysql'" in desk.nurture("migrate").err

    monkeypatch.setenv("NURTURE_DATABASE_URL", "sqlite:///own.db")
    assert desk.nurture("migrate").code == 0


def test_endpoints_follow_a_publication(desk: Desk) -> None:
    """A process that was there before calls what is live now, also an endpoint that had said 410 elsewhere."""
    program = (desk.folder / "templates" / "program.yaml").read_text()

    def publish(url: str) -> None:
        desk.write("templates/program.yaml", f"{program}webhooks: {{crm: {{url: '{url}', fields: [email]}}}}\n")
        assert desk.nurture("publish").code == 0

    def told() -> str:
        (receipt,) = machine.webhook.deliver([Parcel(1, "touch-1", "", "crm", b"{}")], NoJournal(), lambda _: False)
        return receipt.verdict

    assert desk.nurture("publish").code == 0
    with serving_calls(lambda: Calls([200, 410])) as old, serving_calls(Calls) as new, machine_of() as machine:
        said = [told()]
        publish(old.url)
        said += [told(), told(), told()]
        publish(new.url)
        said.append(told())

    assert said == ["not_started", "accepted", "not_started", "not_started", "accepted"]
    assert (len(old.calls), len(new.calls)) == (2, 1)


def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> tuple[Child, list[str]]:
    monkeypatch.setattr(children, "_PAUSE", 0.01)
    lines: list[str] = []
    child = Child("it", ["/bin/sh", "-c", program], {"OUT": str(tmp_path)}, lines.append)
    child._pause = 0.01
    return child, lines


def test_a_child_that_dies_is_started_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And it is said how it died, and what it said last; the pauses grow."""
    child, lines = watched(monkeypatch, tmp_path, 'echo "no way"; exit 3')
    until(lambda: child.look() or sum("started anew" in line for line in lines) >= 3)  # type: ignore[func-returns-value]
    child.ask_to_end()
    child.end(5)

    deaths = [line for line in lines if "started anew" in line]
    assert deaths[0] == "it ended with exit code 3 (no way); it is started anew in 0 s"
    assert "it: no way" in lines
    assert child._pause > 0.04


def test_a_child_that_is_asked_for_while_it_runs_runs_once_more(tmp_path: Path) -> None:
    """What is published while a deployment runs is deployed too; two such askings are one."""
    program = "echo >> $OUT/runs; until [ -e $OUT/go ]; do sleep 0.02; done"
    lines: list[str] = []
    child = Child("it", ["/bin/sh", "-c", program], {"OUT": str(tmp_path)}, lines.append, once=True)
    child.look()
    until((tmp_path / "runs").exists)
    child.again()
    child.again()
    (tmp_path / "go").touch()
    until(lambda: child.look() or child.done)  # type: ignore[func-returns-value]

    assert (tmp_path / "runs").read_text() == "\n\n"


class _Mumbling(StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"what?\r\n\r\n")


def test_who_is_not_prefect_ends_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else listens there, or the address is none: it does not answer, and that is all."""
    with TCPServer(("127.0.0.1", 0), _Mumbling) as other, ExitStack() as stack:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        for url in (f"http://127.0.0.1:{other.server_address[1]}/api", "http://127.0.0.1:port/api", "prefect/api"):
            monkeypatch.setenv("PREFECT_API_URL", url)
            assert not _House(settings(), {"worker"}, [], stack)._prefect_answers()
        other.shutdown()


def test_a_child_that_will_not_end_is_killed_with_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also one that went into a session of its own, as Prefect's runs do."""
    program = "trap '' TERM; setsid sleep 300 & echo $! > $OUT/pid; while :; do sleep 0.1; done"
    child, lines = watched(monkeypatch, tmp_path, program)
    child.look()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    own = int((tmp_path / "pid").read_text())
    pid = child.pid
    child.ask_to_end()
    child.end(0.2)

    assert lines == ["it did not end in time and is killed"]
    until(lambda: children._stat(own, 1) is None or _zombie(own))
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def _zombie(pid: int) -> bool:
    """Dead, and nobody of this container asks after it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


#: Starts a child as `nurture serve` does, whose end takes for ever, and says its number.
_PARENT = """
import os, subprocess, sys
child = "import signal, time; from flows import __main__ as flows; flows.GRACE = 0.1; signal.signal(signal.SIGTERM, lambda *_: None); flows.end_with_parent(); print(flush=True); time.sleep(300)"
env = os.environ | {"NURTURE_PARENT": str(os.getpid())}
process = subprocess.Popen([sys.executable, "-c", child], env=env, stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
process.wait()
"""


def test_a_child_whose_end_takes_for_ever_goes_with_its_parent() -> None:
    """As Prefect's worker may, when its server is killed with it."""
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], cwd=root, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    own = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: children._stat(own, 1) is None or _zombie(own))


@pytest.mark.slow
def test_the_whole_machine(desk: Desk) -> None:
    """Prefect's server, a deployment for the live segment, a worker, and all is ready; `kill -9` leaves none."""
    assert desk.nurture("publish").code == 0
    with serving(desk.folder) as served:
        served.up()
        until(lambda: served.said("worker: Worker 'ProcessWorker"))
        filters = {"deployments": {"tags": {"all_": ["segment"]}}}
        url = f"http://127.0.0.1:{served.ports['prefect']}/api/deployments/filter"
        (deployment,) = httpx.post(url, json=filters, timeout=20).json()
        assert (deployment["name"], deployment["paused"]) == ("evaluators", False)
        assert served.get("private", "/health").json()["ok"]

        family = served.family()
        served.process.kill()
        served.process.wait(10)
        until(lambda: all(children._stat(pid, 1) is None or _zombie(pid) for pid in family))

"""Hosts in network namespaces on one bridge, each with a name, an address, a boot and processes of its own (Linux, root).

The caller's process moves into the hub, where the bridge is: what it starts listens there. A host is a tree of processes
in a PID namespace of its own; whoever kills its first process kills the host.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HUB = "10.203.77.1"
_CLONE_NEWNET = 0x40000000
_TOOLS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}
#: What a host's first process does: takes a name and a boot's id, and lives.
_BOOT = 'hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && echo up && exec sleep infinity'


def lacking() -> str | None:
    """What this machine lacks for the trial, as a sentence; None: nothing."""
    if os.name != "posix" or not Path("/proc/self/ns/net").exists():
        return "network namespaces are Linux's"
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            return f"there is no `{tool}` here; apt-get install {package}"
    if os.geteuid() != 0:
        return "it makes network namespaces, which takes root"
    name = f"nurture-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made here ({made.stderr.strip()})"
    _run("ip", "netns", "del", name)
    return None


@dataclass
class Host:
    """One machine of the trial. `lives`: it has not been killed."""

    name: str
    address: str
    folder: Path
    link: str
    hub: str
    process: subprocess.Popen[str]
    first: int
    lives: bool = True

    def start(self, *words: str, env: Mapping[str, str], log: str) -> subprocess.Popen[bytes]:
        """A command of this host; what it says is kept in its folder."""
        inside = ["nsenter", "-t", str(self.first), "--net", "--uts", "--mount", "--pid", f"--wd={ROOT}", "--"]
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen([*inside, *words], env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def run(self, *words: str, env: Mapping[str, str], log: str) -> None:
        """The same, to its end. Raises RuntimeError."""
        if self.start(*words, env=env, log=log).wait():
            raise RuntimeError(f"{self.name}: {' '.join(words)}:\n{(self.folder / log).read_text()[-2000:]}")

    def kill(self) -> None:
        """All its processes at once, and no more come."""
        if self.lives:
            os.kill(self.first, signal.SIGKILL)
            self.process.kill()  # unshare stops itself when its child is stopped, and would wait for ever
            self.process.wait(60)
            self.lives = False

    def cut(self) -> None:
        """Take its cable out."""
        _run("ip", "-n", self.hub, "link", "set", self.link, "down")

    def mend(self) -> None:
        """Put its cable in again."""
        _run("ip", "-n", self.hub, "link", "set", self.link, "up")

    def sleep(self) -> None:
        """Stop all its processes, as a hypervisor does that moves it."""
        self._each(signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        self._each(signal.SIGCONT)
        self.process.send_signal(signal.SIGCONT)

    def _each(self, sign: signal.Signals) -> None:
        ours = Path(f"/proc/{self.first}/ns/pid").stat().st_ino
        for found in Path("/proc").glob("[0-9]*"):
            try:
                if (found / "ns/pid").stat().st_ino == ours:
                    os.kill(int(found.name), sign)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended meanwhile, or is no business of ours


@contextmanager
def network(folder: Path, names: list[str]) -> Iterator[list[Host]]:
    """A bridge with so many hosts; this process is in the hub meanwhile, and nothing is left at the end."""
    hub = f"nurture-{os.getpid()}-hub"
    with ExitStack() as stack:
        _namespace(stack, hub)
        _run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", hub, "addr", "add", f"{HUB}/24", "dev", "bridge")
        _run("ip", "-n", hub, "link", "set", "bridge", "up")
        stack.enter_context(_within(hub))
        yield [_host(stack, hub, folder, name, number) for number, name in enumerate(names, 2)]


def _namespace(stack: ExitStack, name: str) -> None:
    _run("ip", "netns", "add", name)
    stack.callback(_run, "ip", "netns", "del", name)
    _run("ip", "-n", name, "link", "set", "lo", "up")


@contextmanager
def _within(name: str) -> Iterator[None]:
    with Path("/proc/self/ns/net").open() as before, Path(f"/run/netns/{name}").open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _host(stack: ExitStack, hub: str, folder: Path, name: str, number: int) -> Host:
    space, address = f"{hub.removesuffix('hub')}{name}", f"{HUB.rpartition('.')[0]}.{number}"
    _namespace(stack, space)
    link = f"to-{name}"
    _run("ip", "link", "add", link, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", space)
    _run("ip", "-n", hub, "link", "set", link, "master", "bridge", "up")
    _run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
    _run("ip", "-n", space, "link", "set", "eth0", "up")
    own = folder / name
    own.mkdir()
    (own / "boot_id").write_text(f"{uuid.uuid4()}\n")
    command = ["nsenter", f"--net=/run/netns/{space}", "unshare", "--uts", "--mount", "--pid", "--fork"]
    command += ["--mount-proc", "--kill-child", "sh", "-c", _BOOT, "sh", name, str(own / "boot_id")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "up\n":
        raise RuntimeError(f"{name} did not start")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    host = Host(name, address, own, link, hub, process, int(children[0]))
    stack.callback(host.kill)
    return host


def until(found: Callable[[], object], seconds: float, step: float = 0.2) -> float | None:
    """Seconds until something was found; None: it was not within so many."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if found():
            return time.monotonic() - began
        time.sleep(step)
    return None


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")

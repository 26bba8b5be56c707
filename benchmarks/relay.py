"""Postfix's smtp-sink, which takes mail and throws it away, and smtp-source, which sends as fast as it can."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common import Child, Missing, child

PLACES = ("/usr/sbin", "/usr/lib/postfix/sbin", "/usr/local/sbin")


def tool(name: str) -> tuple[str, dict[str, str]]:
    """Where a tool of Postfix is, and the environment it needs. Raises Missing.

    `NURTURE_POSTFIX`: the root into which the package was unpacked without installing it.
    """
    if root := os.environ.get("NURTURE_POSTFIX"):
        found = Path(root) / "usr/sbin" / name
        if found.exists():
            return str(found), {"LD_LIBRARY_PATH": str(Path(root) / "usr/lib/postfix")}
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
    if path is None:
        raise Missing(
            f"{name} is not here; it comes with Postfix: apt-get install postfix (choose 'No configuration'), or unpack"
            " the package into a folder and set NURTURE_POSTFIX to it"
        )
    return path, {}


class Sink:
    """A running smtp-sink. `url` as NURTURE_SMTP_URL takes it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], said: Path) -> None:
        self.port, self.process, self._said = port, process, said
        self.url = f"smtp://127.0.0.1:{port}"

    def taken(self) -> int:
        """How many messages it has taken so far, by its own count."""
        with self._said.open("rb") as told:
            told.seek(max(0, self._said.stat().st_size - 200))
            found = re.findall(rb"mesg=(\d+)", told.read())
        return int(found[-1]) if found else 0

    def cpu(self) -> float:
        """Seconds of CPU it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """An smtp-sink on a free port of this machine, which counts into a file of `folder`."""
    program, environment = tool("smtp-sink")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = folder / f"sink-{port}"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with said.open("wb") as out:
        process = subprocess.Popen(
            [program, "-c", *user, "-m", "2000", f"127.0.0.1:{port}", "1024"],
            stdout=out, env={**os.environ, **environment},
        )  # fmt: skip
    try:
        _wait(port, process)
        yield Sink(port, process, said)
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        assert process.poll() is None, "smtp-sink did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("smtp-sink does not answer")


def source(at: Sink, messages: int, size: int, sessions: int = 10, *, reuse: bool = True) -> Child:
    """smtp-source into that sink, `size` bytes a message; connections are kept unless `reuse` is False."""
    program, environment = tool("smtp-source")
    before = at.taken()
    keep = ["-d"] if reuse else []
    words = [*keep, "-s", str(sessions), "-m", str(messages), "-l", str(size), f"127.0.0.1:{at.port}"]
    ran = child(program, *words, env=environment)
    assert at.taken() - before == messages, (at.taken() - before, messages)
    return ran


def rate(ran: Child, messages: int) -> Mapping[str, float]:
    """Messages a second, and microseconds of the sender's CPU for each."""
    return {"a second": messages / ran.seconds, "us of CPU": 1e6 * ran.cpu / messages}

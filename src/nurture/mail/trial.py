"""Letters tried on the worst leads in a process of its own, before a version becomes live.

The process has limits of its own: what a letter does there, whatever it was written to do, ends with it. In production
the same letters are rendered by long-lived workers within the budget of work that `mail.sandbox` keeps.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any

from nurture.errors import Refused
from nurture.language.problems import Problem
from nurture.mail.faults import TemplateFault, TooMuch
from nurture.mail.render import Brand, Renderer, RenderJob
from nurture.mail.templates import Templates
from nurture.tokens import Keys

#: Seconds of CPU for one letter, and bytes of memory for all of them beside what the process began with.
CPU, MEMORY = 1, 256 << 20
#: Seconds of the wall clock after which a process that does not answer is ended.
PATIENCE = 20
_BRAND = Brand("Trial", "Trial", "trial@trial.example", "Address")
_LONG = "<&\"'مﷺ W" * 60
_REMEDY = "make the letter simpler: fewer loops, shorter lists, no text that doubles itself"


def over_limits(versions: Sequence[Mapping[str, str]], fields: Mapping[str, str]) -> list[Problem]:
    """Letters that need more than one may have, by file and line; nothing is sent.

    `versions`: of each its files, name to text. `fields`: a lead's, with their kinds. Raises Refused where no process
    can be started.
    """
    found: list[Problem] = []
    passed_over: list[str] = []
    while True:
        asked = {"versions": [dict(files) for files in versions], "fields": dict(fields), "passed_over": passed_over}
        told, ended_in = _tried(json.dumps(asked).encode())
        found += told
        if ended_in is None:
            return sorted(set(found))
        what = f"it does not end within {PATIENCE} seconds and {MEMORY >> 20} MB, or takes its process with it"
        found.append(Problem(ended_in, 1, 1, f"{what} (template_limit)", _REMEDY))
        passed_over.append(ended_in)


def _tried(asked: bytes) -> tuple[list[Problem], str | None]:
    """What one process told, and the letter in which it ended if it did not come to the last."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LC_ALL") if name in os.environ}
    command = [sys.executable, "-m", "nurture.mail.trial"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            said, _ = process.communicate(asked, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    begun, told, over = "", [], False
    for line in said.splitlines():
        word, _, rest = line.decode().partition(" ")
        if word == "letter":
            begun = rest
        elif word == "problem":
            told.append(Problem(*json.loads(rest)))
        over = word == "over"
    if not over and not begun:
        raise Refused(f"The letters cannot be tried: the process for it ended with {process.returncode} at once.")
    return told, None if over else begun


def main() -> None:
    """In the process: read the files, say each letter before it is tried, and what is wrong with it."""
    asked = json.load(sys.stdin)
    signal.signal(signal.SIGXCPU, _too_slow)
    _limit_memory()
    done = set(asked["passed_over"])
    for files in asked["versions"]:
        renderer = Renderer(Templates(files), _BRAND, Keys(("trial " * 8,)), "https://trial.example")
        for name in sorted(renderer.templates.files.keys() - done):
            _tell("letter", name)
            for problem in _worst(renderer, name, asked["fields"]):
                _tell("problem", json.dumps(astuple(problem)))
            done.add(name)
    _tell("over")


def _worst(renderer: Renderer, name: str, fields: Mapping[str, str]) -> Iterator[Problem]:
    """The first limit that the letter goes over, if it does; other faults are told by `check`."""
    for lead in _leads(fields):
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + CPU
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        language = renderer.templates.language(name, "en")
        offer = dict.fromkeys(("key", "title", "summary", "url", "kind", "stage", "language"), _LONG)
        job = RenderJob(name, "", language, lead, 1, True, offer, date(2026, 12, 31), operational=True)
        try:
            renderer.render(job)
        except TemplateFault as fault:
            if fault.limit:
                yield Problem(fault.file, fault.line, 1, f"{fault.problem} (template_limit)", _REMEDY)
                return


def _leads(fields: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Of whom nothing is known; with long values that grow when they are escaped; with small and negative ones."""
    yield dict.fromkeys(fields)
    for text, number, flag, day in ((_LONG, 10**15, True, date(9999, 12, 31)), ("", -1.5, False, date(1, 1, 1))):
        yield {name: {"number": number, "flag": flag, "date": day}.get(kind, text) for name, kind in fields.items()}


def _limit_memory() -> None:
    sizes = Path("/proc/self/statm")
    if not sizes.exists():  # not Linux, which alone counts and limits memory so
        return
    now = int(sizes.read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def _tell(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def _too_slow(_signal: int, _frame: object) -> None:
    raise TooMuch(f"it takes more than {CPU} second of computing")


if __name__ == "__main__":
    main()

"""Letters tried on the worst leads in a process of its own, before a version becomes live.

The process has limits of its own: what a letter does there, whatever it was written to do, ends with it. A tick renders
the same letters in its own process, within the budget of work that `mail.sandbox` counts.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any

from nurture.errors import Refused
from nurture.language.problems import Problem
from nurture.mail.faults import TemplateFault, TooMuch
from nurture.mail.plain import PlainRenderer
from nurture.mail.render import Brand, Renderer, RenderJob
from nurture.mail.templates import Templates
from nurture.tokens import Keys

#: Seconds of CPU for one letter, and bytes of memory for all of them beside what the process began with.
CPU, MEMORY = 1, 256 << 20
#: Seconds of the wall clock for one letter, after which a process that does not answer is ended.
PATIENCE = 20
_BRAND = Brand("Trial", "Trial", "trial@trial.example", "Address")
_LONG = "<&\"'مﷺ W" * 60
_REMEDY = "make the letter simpler: fewer loops, shorter lists, no text that doubles itself"


def over_limits(
    versions: Sequence[Mapping[str, str]], fields: Mapping[str, str], plain: Collection[str] = ()
) -> list[Problem]:
    """Letters that need more than one may have, by file and line; nothing is sent.

    `versions`: of each its files, name to text. `fields`: a lead's, with their kinds. `plain`: which files are plain
    text, for text messages and tasks. What takes its process with it is passed over by the next one. Raises Refused
    where no process can be started.
    """
    found: list[Problem] = []
    asked = {"versions": [dict(files) for files in versions], "fields": dict(fields), "plain": list(plain)}
    passed_over: list[str] = []
    while True:
        told, begun, over = _tried(json.dumps({**asked, "passed_over": passed_over}).encode())
        found += told
        if over:
            return sorted(set(found))
        ended_in = begun[-1]
        what = f"it does not end within {PATIENCE} seconds and {MEMORY >> 20} MB, or takes its process with it"
        found.append(Problem(ended_in, 1, 1, f"{what} (template_limit)", _REMEDY))
        passed_over += begun


def _tried(asked: bytes) -> tuple[list[Problem], list[str], bool]:
    """What one process told, the letters that it began, and whether it came to its end."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LC_ALL") if name in os.environ}
    command = [sys.executable, "-P", "-m", "nurture.mail.trial"]  # -P: nothing is imported from the working directory
    with tempfile.TemporaryFile() as question:
        question.write(asked)
        question.seek(0)
        with subprocess.Popen(command, stdin=question, stdout=subprocess.PIPE, env=environment) as process:
            said = _said(process)
    begun: list[str] = []
    told, over = [], False
    for line in said.splitlines():
        word, _, rest = line.decode().partition(" ")
        if word == "letter":
            begun.append(rest)
        elif word == "problem":
            told.append(Problem(*json.loads(rest)))
        over = word == "over"
    if not over and not begun:
        raise Refused(f"The letters cannot be tried: the process for it ended with {process.returncode} at once.")
    return told, begun, over


def _said(process: subprocess.Popen[bytes]) -> bytes:
    """All that the process says; it is ended when it has said nothing for so long as one letter may take."""
    assert process.stdout is not None
    said, place = b"", process.stdout.fileno()
    while select.select([place], [], [], PATIENCE)[0]:
        if not (more := os.read(place, 65_536)):
            return said
        said += more
    process.kill()
    return said


def main() -> None:
    """In the process: read the files, say each letter before it is tried, and what is wrong with it."""
    asked = json.load(sys.stdin)
    signal.signal(signal.SIGXCPU, _too_slow)
    _limit_memory()
    done = set(asked["passed_over"])
    for files in asked["versions"]:
        letters = Renderer(Templates(files), _BRAND, Keys(("trial " * 8,)), "https://trial.example")
        texts = PlainRenderer(files, _BRAND)
        for name in sorted(letters.templates.files.keys() - done):
            _tell("letter", name)
            for problem in _worst(texts if name in asked["plain"] else letters, name, asked["fields"]):
                _tell("problem", json.dumps(astuple(problem)))
            done.add(name)
    _tell("over")


def _worst(renderer: Renderer | PlainRenderer, name: str, fields: Mapping[str, str]) -> Iterator[Problem]:
    """The first limit that the letter goes over, if it does; other faults are told by `check`."""
    for lead in _leads(fields):
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + CPU
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        language = renderer.templates.language(name, "en")
        today = date(2026, 12, 31)
        offer = dict.fromkeys(("key", "title", "summary", "url", "kind", "stage", "language"), _LONG)
        try:
            if isinstance(renderer, PlainRenderer):
                doors = {"unsubscribe_url": "https://trial.example/u/x", "preferences_url": "https://trial.example/p/x"}
                names = {"lead": lead, **doors, "today": today}
                renderer.render(name, "", language, names)
            else:
                renderer.render(RenderJob(name, "", language, lead, 1, True, offer, today, operational=True))
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

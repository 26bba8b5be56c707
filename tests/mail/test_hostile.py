"""Hostile templates through the marketer's doors: refused by check or publish, or harmless; never with a loss."""

from __future__ import annotations

import re
import resource
import signal
import stat
import sys
from pathlib import Path

import pytest

from nurture.cli.app import main
from nurture.errors import Refused
from nurture.mail import trial
from nurture.mail.check import problems
from nurture.mail.render import Renderer
from nurture.mail.templates import Templates
from tests.mail.hostile import HARMLESS, REFUSED, REFUSED_FOLDERS, TEMPLATE_LIMIT
from tests.mail.letters import BRAND, FIELDS, KEYS, URL, job
from tests.mail.programs import LAYOUT, folder, letter

#: Bytes that one look at a letter may take beside what the process has, and its seconds.
MEMORY, SECONDS = 512 << 20, 20


@pytest.fixture(autouse=True)
def bounded():
    """A bomb that goes off fails its test, and takes neither the machine nor the run with it."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    old = signal.signal(signal.SIGPROF, lambda *_: pytest.fail(f"took more than {SECONDS} s"))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, old)
    resource.setrlimit(resource.RLIMIT_AS, before)


def refused(place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What check says of a folder that it refuses: short lines with a place, and nothing of Python's in them."""
    assert main(["check", str(place)]) == 1
    said = capsys.readouterr().out
    for line in said.splitlines():
        assert re.match(rf"{re.escape(str(place))}/[\w./]+:\d+:\d+: .+; .+", line), line
        assert len(line) < 700
    assert not re.search(
        r"0x[0-9a-f]{6}|<class|<function|Traceback|root:|NURTURE_SECRET", said.replace("env['NURTURE_S", "")
    )
    return said


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_check_refuses_it(tmp_path, capsys, body):
    """With file and line; the process goes on."""
    said = refused(folder(tmp_path, body=body), capsys)

    assert "/saas/welcome.j2:1:" in said


@pytest.mark.parametrize("files", REFUSED_FOLDERS.values(), ids=REFUSED_FOLDERS.keys())
def test_check_refuses_the_folder(tmp_path, capsys, files):
    """Where it takes several files."""
    place = folder(tmp_path)
    for name, text in files.items():
        (place / name).write_text(text)

    assert ".j2:" in refused(place, capsys)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Where `nurture publish` works."""
    monkeypatch.setenv("NURTURE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NURTURE_TEMPLATES", str(tmp_path / "program"))
    monkeypatch.delenv("NURTURE_DATABASE_URL", raising=False)
    return tmp_path


@pytest.mark.parametrize("body", TEMPLATE_LIMIT.values(), ids=TEMPLATE_LIMIT.keys())
def test_publish_refuses_it(desk, capsys, body):
    """With file, line and `template_limit`; nothing is published, and the publisher lives to publish what was mended."""
    place = folder(desk, body=body)
    assert main(["check", str(place)]) == 0

    assert main(["publish"]) == 1
    said = capsys.readouterr()
    assert re.search(rf"{place}/saas/welcome\.j2:1:\d+: .*\(template_limit\); make the letter simpler", said.out)
    assert "Nothing was published: 1 problem." in said.err

    (place / "saas/welcome.j2").write_text(letter("<p>Hello</p>"))
    assert main(["publish"]) == 0


@pytest.mark.parametrize(("body", "shown"), HARMLESS.values(), ids=HARMLESS.keys())
def test_nothing_comes_of_it(body, shown):
    """It passes, and prints text."""
    templates = Templates({"_shared/letter.j2": LAYOUT, "saas/x.j2": letter(f"({body})")})
    assert problems(templates, "saas/x.j2", {**FIELDS, "items": "text"}) == []

    lead = {"first_name": "<b>{{ 7 * 7 }}", "items": None}
    assert shown in Renderer(templates, BRAND, KEYS, URL).render(job("x", lead=lead)).html


def test_there_are_sixty():
    """As many as were asked for."""
    assert len(REFUSED) + len(REFUSED_FOLDERS) + len(TEMPLATE_LIMIT) + len(HARMLESS) >= 100


def test_a_letter_that_takes_its_process_with_it(tmp_path, monkeypatch):
    """It is named, the others are tried in a new process, and ours is none the worse."""
    dying = tmp_path / "python"
    dying.write_text(
        "#!/bin/sh\nasked=$(cat)\n"
        'case "$asked" in *\'"passed_over": ["saas/bad.j2"]\'*) echo letter saas/good.j2; echo over; exit;; esac\n'
        "echo letter saas/bad.j2\nkill -9 $$\n"
    )
    dying.chmod(dying.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(dying))

    found = trial.over_limits([{"saas/bad.j2": "x"}], {})
    assert [(problem.file, "template_limit" in problem.problem) for problem in found] == [("saas/bad.j2", True)]

    dying.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(Refused, match="ended with 3"):
        trial.over_limits([{"saas/bad.j2": "x"}], {})

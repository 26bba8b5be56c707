"""Hostile templates through the marketer's doors: refused by check or publish, or harmless; never with a loss."""

from __future__ import annotations

import re
import resource
import signal
import stat
import sys
import tracemalloc
from datetime import date
from pathlib import Path

import pytest

from nurture.cli.app import main
from nurture.errors import Refused
from nurture.mail import trial
from nurture.mail.check import problems
from nurture.mail.faults import TemplateFault
from nurture.mail.plain import PlainRenderer
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


#: Plain texts that grow with a lead's field; none is ever held in full.
GROWING = {
    "printed by a loop": "{% for c in lead.notes %}{{ lead.notes }}{% endfor %}",
    "written in a loop": "{% for c in lead.notes %}" + "x" * 20_000 + "{% endfor %}",
    "written in a loop within a macro": (
        "{% macro m() %}{% for c in lead.notes %}" + "x" * 20_000 + "{% endfor %}{% endmacro %}{{ m() | length }}"
    ),
    "a little too long": "{% for c in lead.notes %}xxxxx{% endfor %}",
}


@pytest.mark.parametrize("text", GROWING.values(), ids=GROWING.keys())
def test_a_plain_text_has_its_bound(text):
    """Text messages and tasks, as letters: what goes over it is a limit, before the memory is taken."""
    renderer = PlainRenderer({"a/sms.j2": text}, BRAND)
    tracemalloc.start()
    with pytest.raises(TemplateFault) as fault:
        renderer.render("a/sms.j2", "en", "en", {"lead": {"notes": "y" * 5_000}})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert fault.value.limit
    assert most < 16 << 20


def test_a_text_message_is_tried_as_what_it_is():
    """Its bound is that of a text message, not that of a letter."""
    files = {"a/sms.j2": "{% for c in (lead.notes or '') %}" + "x" * 100 + "{% endfor %}"}

    assert [one.file for one in trial.over_limits([files], {"notes": "text"}, ["a/sms.j2"])] == ["a/sms.j2"]
    assert trial.over_limits([files], {"notes": "text"}) == []


def python(at: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`script` in the place of the process in which letters are tried; `$asked` is what it is asked."""
    at.write_text(f"#!/bin/sh\nasked=$(cat)\n{script}\n")
    at.chmod(at.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(at))


def test_each_letter_has_its_own_patience(tmp_path, monkeypatch):
    """Three letters that take half of it each are none of them too slow."""
    monkeypatch.setattr(trial, "PATIENCE", 2)
    python(tmp_path / "python", "for n in a b c; do echo letter $n; sleep 1; done; echo over", monkeypatch)

    assert trial.over_limits([{}], {}) == []


def test_the_trial_goes_on_after_the_letter_that_failed(tmp_path, monkeypatch):
    """Those before it are not tried again."""
    monkeypatch.setattr(trial, "PATIENCE", 0.5)
    python(
        tmp_path / "python",
        'case "$asked" in *\'"passed_over": []\'*) echo letter a; echo letter b; exec sleep 5;;\n'
        '*\'"passed_over": ["a", "b"]\'*) echo letter c;; *) echo \'problem ["tried again", 1, 1, "", ""]\';; esac\n'
        "echo over",
        monkeypatch,
    )

    assert [problem.file for problem in trial.over_limits([{}], {})] == ["b"]


def test_the_trial_imports_nothing_from_where_it_is_started(tmp_path, monkeypatch):
    """A folder with a file that is called as a library is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mrml.py").write_text("raise SystemExit(7)")
    (tmp_path / "jinja2.py").write_text("raise SystemExit(7)")

    assert trial.over_limits([{"a/x.j2": "hello"}], {}) == []


@pytest.mark.parametrize(
    "expression",
    ["x | date", "x | number", "x | money('EUR')", "1 | money(x)", "lead.day | date(x)", "lead.day | date('short', x)"],
)
def test_a_fault_names_no_value_of_a_lead(expression):
    """It is kept as the touch's reason, and logged."""
    renderer = PlainRenderer({"a/sms.j2": "{{ " + expression.replace("x", "lead.first_name", 1) + " }}"}, BRAND)
    with pytest.raises(TemplateFault) as fault:
        renderer.render("a/sms.j2", "en", "en", {"lead": {"first_name": "Ana Secret", "day": date(2026, 3, 2)}})

    assert "Secret" not in str(fault.value)

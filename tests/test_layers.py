"""Imports point downwards, every outside library has one home, and one file asks for the time.

The floors are those of docs/architecture.md, in the same words: a new module is entered in both places.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "nurture"

FLOORS = {
    0: "errors clock settings folding durations tokens failpoints locking",
    1: "records dialects db migrations zones windows worklist histories jsonsql watch",
    2: "language",
    3: "steps",
    4: "program mail channels",
    5: "engine",
    6: "intake inbound reading rehearse opening doctor rights crm backtest",
    7: "cli web demo",
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules.split()}
FLOOR_OF["__main__"] = 7

#: Who may import an outside library; what is not listed is anybody's.
HOMES = {
    "prefect": "flows",
    "httpx": "channels demo doctor flows",
    "httpcore": "channels",
    "dns": "doctor",
    "jinja2": "mail web",
    "yaml": "language program intake flows",  # mapping files; prefect.yaml
    "fastapi": "web",
    "starlette": "web",
    "cyclopts": "cli",
    "prometheus_client": "web",
    "random": "clock",
    "secrets": "clock",
}

#: The files of steps/ that are no kind of step: what kinds have in common. They know each other and no kind.
COMMON_TO_STEPS = {"base", "sending"}

#: Calls that ask the wall clock or chance; only clock.py may name them.
CLOCK_ONLY = {
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
}


def sources() -> list[Path]:
    return sorted([*(ROOT / "src" / PACKAGE).rglob("*.py"), *(ROOT / "flows").rglob("*.py")])


def home_of(path: PurePosixPath) -> str:
    """The room or the top-level module a file belongs to: `src/nurture/engine/settle.py` is engine's."""
    parts = path.with_suffix("").parts
    return parts[2] if parts[:2] == ("src", PACKAGE) else parts[0]


def dotted_name(path: PurePosixPath) -> str:
    """The file's name in an import: `src/nurture/steps/wait.py` is nurture.steps.wait."""
    parts = [part for part in path.with_suffix("").parts if part != "src"]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: PurePosixPath, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported name in full with its line: `from nurture import db` is nurture.db."""
    enclosing = dotted_name(path).split(".")
    if path.name != "__init__.py":
        enclosing = enclosing[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = enclosing[: len(enclosing) - level + 1] if level else []
                origin = ".".join([*start, *([module] if module else [])])
                yield from ((node.lineno, f"{origin}.{name.name}") for name in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def names_used(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every dotted name that an import brought, in full: after `import time as t`, `t.time` is time.time."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    first = name.name.split(".")[0]
                    known |= {name.asname: name.name} if name.asname else {first: first}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                known |= {name.asname or name.name: f"{module}.{name.name}" for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, *rest = ast.unparse(node).split(".")
            if first in known:
                yield node.lineno, ".".join([known[first], *rest])


def violations(path: PurePosixPath, source: str) -> list[str]:
    """What `source`, standing at `path` in the repository, imports or calls against the rules."""
    tree = ast.parse(source)
    found: list[tuple[int, str]] = []
    for line, name in imports_of(path, tree):
        found += [(line, problem) for problem in _import_problems(path, name)]
    if home_of(path) != "clock":
        for line, name in names_used(tree):
            if name in CLOCK_ONLY:
                found.append((line, f"asks {name}; take it from nurture.clock, or `now` as an argument"))
    return [f"{path}:{line}: {problem}" for line, problem in dict.fromkeys(sorted(found))]


def _import_problems(path: PurePosixPath, name: str) -> Iterator[str]:
    home, (library, *below) = home_of(path), name.split(".")
    if library in HOMES and home not in HOMES[library].split():
        yield f"imports {library}, whose home is {' or '.join(HOMES[library].split())}"
    if home == "flows":
        return
    if library in ("flows", "tests"):
        yield f"imports {name}; nothing in src knows of {library}"
    if library == PACKAGE and below and home != "__init__":
        target = below[0]
        if target in FLOOR_OF and FLOOR_OF[target] > FLOOR_OF.get(home, -1):
            yield f"imports {target} [{FLOOR_OF[target]}] from {home} [{FLOOR_OF.get(home, 'no floor')}]"
        if home == target == "steps" and path.name != "__init__.py":
            kind = below[1] if len(below) > 1 else "the package"
            if kind not in COMMON_TO_STEPS and dotted_name(path) != ".".join([PACKAGE, *below[:2]]):
                yield f"imports {kind} of steps; a kind of step knows no other"
    if library == PACKAGE and home == "__init__" and below:
        yield f"imports {name}; the package itself stays empty, so that a part costs only what it needs"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_house_rules_hold(path: Path) -> None:
    """A file imports only from its own floor or a lower one, and each outside library has one home."""
    found = violations(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text(encoding="utf-8"))

    assert not found, "\n" + "\n".join(found)


def test_every_module_has_a_floor() -> None:
    """A module without a floor could import anything: it is entered here and in docs/architecture.md."""
    entries = (ROOT / "src" / PACKAGE).iterdir()
    modules = {entry.stem for entry in entries if entry.suffix == ".py" or any(entry.glob("*.py"))}

    assert modules - {"__init__"} <= FLOOR_OF.keys()


def test_the_floors_are_those_of_the_architecture() -> None:
    """The page that people read and the table that fails the build say the same."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", page, re.MULTILINE)

    assert {int(floor): cell.replace("`", "").replace("/", "").strip() for floor, cell in rows} == FLOORS


def _planted_at(path: str) -> PurePosixPath:
    """The tables below leave out the way to the package."""
    return PurePosixPath(path if path.startswith("flows/") else f"src/{PACKAGE}/{path}")


PLANTED = [
    ("records/lead.py", "from nurture.engine import settle", "1: imports engine [5] from records"),
    ("db.py", "x = 1\nfrom nurture import steps", "2: imports steps [3] from db [1]"),
    ("db.py", "from . import web", "1: imports web [7] from db [1]"),
    ("mail/compose.py", "from ..engine.permit import ask", "1: imports engine [5] from mail [4]"),
    ("mail/__init__.py", "from ..web import app", "1: imports web [7] from mail [4]"),
    ("mail/a/b.py", "from ...web import app", "1: imports web [7] from mail [4]"),
    ("zones.py", "def f():\n    import nurture.cli.main", "2: imports cli [7] from zones [1]"),
    ("zones.py", "import importlib\nimportlib.import_module('nurture.cli')", "2: imports cli [7]"),
    ("stray.py", "import nurture.errors", "1: imports errors [0] from stray [no floor]"),
    ("__init__.py", "from nurture.db import Database", "1: imports nurture.db.Database; the package"),
    ("engine/move.py", "import flows.tick", "1: imports flows.tick; nothing in src"),
    ("engine/move.py", "from prefect import task", "1: imports prefect, whose home is flows"),
    ("engine/move.py", "import httpx", "1: imports httpx, whose home is channels or demo or doctor or flows"),
    ("engine/app.py", "from jinja2 import Template", "1: imports jinja2, whose home is mail or web"),
    ("settings.py", "import yaml", "1: imports yaml, whose home is language or program or intake or flows"),
    ("cli/main.py", "from fastapi.testclient import T", "1: imports fastapi, whose home is web"),
    ("web/app.py", "import cyclopts", "1: imports cyclopts, whose home is cli"),
    ("tokens.py", "import secrets", "1: imports secrets, whose home is clock"),
    ("demo/crowd.py", "from random import Random", "1: imports random, whose home is clock"),
    ("steps/wait.py", "from nurture.steps.send import Send", "1: imports send of steps"),
    ("steps/wait.py", "from .send import Send", "1: imports send of steps"),
    ("steps/wait.py", "from nurture.steps import send", "1: imports send of steps"),
    ("steps/base.py", "from nurture.steps import wait", "1: imports wait of steps"),
    ("cli/main.py", "from datetime import datetime\ndatetime.now()", "2: asks datetime.datetime.now"),
    ("db.py", "import datetime as dt\ndt.datetime.utcnow()", "2: asks datetime.datetime.utcnow"),
    ("db.py", "from datetime import datetime as D\nf = D.now", "2: asks datetime.datetime.now"),
    ("db.py", "from datetime import date\ndate.today()", "2: asks datetime.date.today"),
    ("db.py", "import time\n\ntime.time()", "3: asks time.time"),
    ("db.py", "from time import time as t\nt()", "2: asks time.time"),
    ("flows/tick.py", "from datetime import datetime\ndatetime.now()", "2: asks datetime.datetime.now"),
    ("db.py", "import uuid\nuuid.uuid4()", "2: asks uuid.uuid4"),
]


@pytest.mark.parametrize(("path", "source", "expected"), PLANTED)
def test_a_planted_violation_is_found(path: str, source: str, expected: str) -> None:
    """The test above is worth something: each rule, broken on purpose, is named with its file and line."""
    (found,) = violations(_planted_at(path), source)

    assert found.startswith(f"{_planted_at(path)}:{expected}")


ALLOWED = [
    ("db.py", "from nurture import records, __version__"),
    ("db.py", "from .errors import NurtureError"),
    ("engine/move.py", "from nurture.engine.permit import ask\nfrom . import settle"),
    ("steps/__init__.py", "from nurture.steps.wait import Wait"),
    ("steps/wait.py", "from nurture.steps.base import Step\nfrom nurture.steps import base"),
    ("clock.py", "import secrets, time\nfrom datetime import datetime\ndatetime.now()"),
    ("db.py", "import time\ntime.monotonic()\ntime.sleep(1)\nclock.now()"),
    ("db.py", "from datetime import datetime\ndatetime.fromisoformat('2026-01-01')"),
    ("db.py", "def f(time: Slot) -> int:\n    return time.time"),
    ("cli/main.py", "import cyclopts\nfrom nurture.web import app"),
    ("flows/tick.py", "from prefect import flow\nfrom nurture.cli import main"),
    ("channels/audience.py", "import httpx"),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    """Imports sideways and down, a library at home, and clocks that are not the wall's."""
    assert violations(_planted_at(path), source) == []

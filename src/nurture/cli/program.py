"""The marketer's commands: write, check, rehearse, publish, look."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nurture.cli.speech import Json, complain, counted, machine, say, settings, tell_json
from nurture.errors import FileFault, NotFound, Refused

if TYPE_CHECKING:
    from nurture.language.source import Problem
    from nurture.program.load import Loaded


def init(folder: Annotated[Path, Parameter(name="DIR", help="A folder that is new or empty.")]) -> int:
    """Write a starter program to edit: three segments with their letters and checks."""
    import shutil

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileFault(f"{folder}: is there already and not empty; name a new folder")
    shutil.copytree(_starter(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    say(
        f"{folder} holds a program of three segments; {folder}/README.md says how to write your own.\n"
        f"Next: export NURTURE_TEMPLATES={folder}, then nurture check, nurture test, nurture publish."
    )
    return 0


def _starter() -> Path:
    """The shipped program: inside the package, or in the repository that it was cloned with."""
    package = Path(__file__).parents[1]
    for place in (package / "starter", package.parents[1] / "templates"):
        if (place / "program.yaml").is_file():
            return place
    raise FileFault("this installation has no starter program; copy templates/ from the repository")


def check(
    folder: Annotated[Path | None, Parameter(name="DIR", help="The program; else NURTURE_TEMPLATES.")] = None,
    /,
    *,
    json: Json = False,
) -> int:
    """Print every problem of the program as file:line:column: problem; remedy."""
    from nurture.program.check import check as find
    from nurture.program.load import read_folder

    folder = folder or settings().templates
    problems = find(read_folder(folder))
    if json:
        tell_json([{**asdict(problem), "file": str(folder / problem.file)} for problem in problems])
    else:
        _tell(folder, problems)
    return 1 if problems else 0


def _tell(folder: Path, problems: list[Problem]) -> None:
    for problem in problems:
        say(f"{folder}/{problem}")


def run_tests(
    *paths: Annotated[Path, Parameter(name="PATH", help="Checks, or folders with checks; else all.")],
    json: Json = False,
) -> int:
    """Run the marketer's checks on a virtual clock; nothing is sent."""
    from nurture.program.check import check as find
    from nurture.program.load import read_folder
    from nurture.rehearse import run_checks

    folder = settings().templates
    problems = find(read_folder(folder))
    if problems:
        _tell(folder, problems)
        return 1
    done = run_checks(folder, list(paths) or None)
    if json:
        tell_json({"passed": done.passed, "failed": done.failed, "checks": [asdict(one) for one in done.outcomes]})
    else:
        say(done.text())
    return 1 if done.failed or not done.passed else 0


def publish(
    *segments: Annotated[str, Parameter(name="SEGMENT", help="Which; else all.")],
    json: Json = False,
) -> int:
    """Make the program live, after its checks; print what that means in leads."""
    from nurture.program.check import check as find
    from nurture.program.load import load, read_folder
    from nurture.rehearse.run import segment_checks

    given = settings()
    files = read_folder(given.templates)
    problems = find(files)
    if problems:
        _tell(given.templates, problems)
        complain(f"Nothing was published: {counted(len(problems), 'problem')}.")
        return 1
    loaded = load(files)
    slugs = [_known(slug, loaded) for slug in segments] or sorted(loaded.segments)
    done = segment_checks(files, slugs)
    if done.failed:
        say(done.text())
        complain(f"Nothing was published: {counted(done.failed, 'check')} failed.")
        return 1
    return _publish(loaded, slugs, done.passed, json)


def _publish(loaded: Loaded, slugs: list[str], passed: int, json: bool) -> int:
    from nurture.doctor.relay import relay_refusal
    from nurture.engine.publishing import publish as make_live

    with machine() as opened:
        now = opened.now()
        with opened.db.read() as link:
            refused = relay_refusal(link, settings())
        if refused is not None:
            raise Refused(f"Nothing was published. {refused}")
        made = opened.db.transact(lambda link: make_live(link, opened.library, loaded, slugs, now))
        left = sorted(set(opened.live().segments) - set(loaded.segments))
    if json:
        tell_json({**asdict(made), "checks": passed, "without a folder": left})
        return 0
    say(f"{counted(passed, 'check')} passed.")
    word = "is live" if made.program_changed else "is unchanged"
    say(
        f"program: version {made.program_number} {word}"
        + (f"; {counted(made.rescored, 'lead')} rescored" if made.rescored else "")
    )
    for effect in made.effects:
        say(str(effect))
    for slug in left:
        say(f"{slug}: has no folder any more, and goes on as it was published")
    return 0


def _known(slug: str, loaded: Loaded) -> str:
    from nurture.language.source import suggest

    if slug not in loaded.segments:
        raise NotFound(f"there is no segment '{slug}'; {suggest(slug, loaded.segments)}")
    return slug


def diagram(
    segment: Annotated[str, Parameter(help="The segment's folder.")],
    /,
    *,
    live: Annotated[bool, Parameter(negative="", help="As published, with who stands where.")] = False,
) -> int:
    """Print a sequence as a Mermaid flowchart."""
    from nurture.program.load import load, read_folder
    from nurture.reading import diagram as pictures

    if live:
        with machine() as opened:
            say(pictures.diagram(opened.live().segment(segment), pictures.standing(opened, segment)))
        _where_to_show()
        return 0
    loaded = load(read_folder(settings().templates)).require()
    say(pictures.diagram(loaded.segments[_known(segment, loaded)]))
    _where_to_show()
    return 0


def _where_to_show() -> None:
    """For a person at a terminal: what this text is for."""
    if sys.stdout.isatty():
        shown = "a ```mermaid block of a Markdown file on GitHub or GitLab, or mermaid.live"
        complain(f"This is Mermaid text; what shows it as a picture: {shown}.")


def definitions() -> int:
    """Print MQL, SAL, gate and milestones in plain sentences."""
    from nurture.program.load import load, read_folder
    from nurture.reading.definitions import definitions as sentences

    house = load(read_folder(settings().templates)).require().house
    assert house is not None
    say(sentences(house))
    return 0

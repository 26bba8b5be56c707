"""The marketer's commands: write, check, rehearse, publish, look."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nurture.cli.drawing import prepare_for_editors
from nurture.cli.speech import Json, complain, counted, machine, say, settings, tell_json
from nurture.errors import FileFault, NotFound, NotPublished, Refused

if TYPE_CHECKING:
    from nurture.engine.publishing import Published
    from nurture.language.source import Problem
    from nurture.program.load import Loaded


def init(folder: Annotated[Path, Parameter(name="DIR", help="A folder that is new or empty.")]) -> int:
    """Write a starter program to edit: four segments with their letters and checks."""
    import shutil

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileFault(f"{folder}: is there already and not empty; name a new folder")
    shutil.copytree(_starter(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    prepare_for_editors(folder)
    say(
        f"{folder} holds a program of four segments; {folder}/README.md says how to write your own.\n"
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
    junit: Annotated[Path | None, Parameter(help="Write the results there as JUnit XML, for build servers.")] = None,
    coverage: Annotated[bool, Parameter(negative="", help="Name the steps and ways that no check passes.")] = False,
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
    if junit is not None:
        from nurture.rehearse import junit as report

        report.write(done, junit)
    if json:
        missed = {"coverage": done.coverage.missed()} if coverage else {}
        checks = [asdict(one) for one in done.outcomes]
        tell_json({"passed": done.passed, "failed": done.failed, "checks": checks, **missed})
    else:
        say(done.text(_painted if sys.stdout.isatty() else str))
        if coverage:
            say(done.coverage.text())
    return 1 if done.failed or not done.passed else 0


def _painted(line: str) -> str:
    """Red for what is missing or wrong, green for what came instead or is well; for terminals."""
    mark = line.lstrip()[:2]
    colour = {"ok": "32", "+ ": "32", "FA": "31", "- ": "31"}.get(mark)
    return f"\x1b[{colour}m{line}\x1b[0m" if colour and "NO_COLOR" not in os.environ else line


def publish(
    *segments: Annotated[str, Parameter(name="SEGMENT", help="Which; else all.")],
    dry_run: Annotated[bool, Parameter(negative="", help="Print what it would mean, and change nothing.")] = False,
    yes: Annotated[
        bool, Parameter(negative="", help="Ask nothing; without a terminal nothing is asked anyway.")
    ] = False,
    json: Json = False,
) -> int:
    """Make the program live, after its checks; print what that means in leads."""
    from nurture.language.problems import ProgramError
    from nurture.program.check import check as find
    from nurture.program.load import load, read_folder
    from nurture.program.trial import tried
    from nurture.rehearse.run import segment_checks

    given = settings()
    files = read_folder(given.templates)
    problems = find(files)
    if problems:
        return _refuse(given.templates, problems)
    loaded = load(files)
    slugs = [_known(slug, loaded) for slug in segments] or sorted(loaded.segments)
    if too_much := tried(loaded, slugs):
        return _refuse(given.templates, too_much)
    done = segment_checks(files, slugs)
    if done.failed:
        say(done.text())
        complain(f"Nothing was published: {counted(done.failed, 'check')} failed.")
        return 1
    ask = not (dry_run or yes or json) and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        return _publish(loaded, slugs, done.passed, dry_run=dry_run, ask=ask, json=json)
    except ProgramError as refused:  # what only the published version can tell
        return _refuse(given.templates, refused.problems)


def _refuse(folder: Path, problems: list[Problem]) -> int:
    _tell(folder, problems)
    complain(f"Nothing was published: {counted(len(problems), 'problem')}.")
    return 1


def _publish(loaded: Loaded, slugs: list[str], passed: int, *, dry_run: bool, ask: bool, json: bool) -> int:
    """Foresee, ask, act: a person thinks outside of any transaction, so what then happens is told if it differs."""
    from nurture.cli.agreeing import made_void
    from nurture.doctor.relay import relay_refusal
    from nurture.engine.publishing import foresee
    from nurture.engine.publishing import publish as make_live

    with machine() as opened:
        with opened.db.read() as link:
            refused = relay_refusal(link, settings())
            void = made_void(link, opened.library, loaded)
        if refused is not None:
            raise Refused(f"Nothing was published. {refused}")
        foreseen = foresee(opened.db, loaded, slugs, opened.now()) if dry_run or ask else None
        if foreseen is not None and not json:
            say(f"{counted(passed, 'check')} passed.")
            say("\n".join([_means(foreseen, "would be live"), *void]))
        if ask and foreseen is not None and foreseen.changes and not _agreed():
            complain("Nothing was published.")
            return 1
        made = foreseen
        if made is None or not dry_run:
            now = opened.now()
            with suppress(NotPublished):
                opened.settle(now)  # in batches, so that the publication itself is short
            made = opened.db.transact(lambda link: make_live(link, opened.library, loaded, slugs, now))
            left = sorted(set(opened.live().segments) - set(loaded.segments))
        else:
            left = []
    if json:
        tell_json({**asdict(made), "checks": passed, "void": void, "without a folder": left, "dry run": dry_run})
        return 0
    if dry_run:
        say("Nothing was changed.")
        return 0
    if foreseen is None:
        say(f"{counted(passed, 'check')} passed.")
        say("\n".join([_means(made, "is live"), *void]))
    else:
        same = asdict(foreseen) == asdict(made)
        say("Published." if same else f"Published; meanwhile something had changed:\n{_means(made, 'is live')}")
    for slug in left:
        say(f"{slug}: has no folder any more, and goes on as it was published")
    return 0


def _agreed() -> bool:
    """Whether a person at the terminal says yes."""
    print("Publish this? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _means(made: Published, word: str) -> str:
    """What a publication means in leads, a line for each thing; `word`: is live, or would be."""
    state = word if made.program_changed else "is unchanged"
    rescored = f"; {counted(made.rescored, 'lead')} rescored" if made.rescored else ""
    lines = [f"program: version {made.program_number} {state}{rescored}"]
    for effect in made.effects:
        lines += [effect.headline(word), *(f"  {line}" for line in effect.details())]
    return "\n".join(lines)


def _known(slug: str, loaded: Loaded) -> str:
    from nurture.language.source import suggest

    if slug not in loaded.segments:
        raise NotFound(f"there is no segment '{slug}'; {suggest(slug, loaded.segments)}")
    return slug

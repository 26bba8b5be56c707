"""`nurture test`: every check of a program, one after the other, each on a stage of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nurture.errors import FileFault
from nurture.program.check_names import Names
from nurture.program.check_stories import is_check
from nurture.program.load import load, read_folder
from nurture.rehearse.coverage import Coverage
from nurture.rehearse.play import Outcome, run_check
from nurture.rehearse.players import players


@dataclass
class CheckRun:
    """All checks that ran."""

    outcomes: list[Outcome] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def passed(self) -> int:
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def failed(self) -> int:
        return len(self.outcomes) - self.passed

    def text(self, paint: Callable[[str], str] = lambda line: line) -> str:
        """For the terminal: a line per check; what differed, with the diary of the leads concerned."""
        lines = []
        for outcome in self.outcomes:
            lines.append(paint(f"{'ok  ' if outcome.ok else 'FAIL'} {outcome.file}: {outcome.sentence}"))
            lines += [f"     {paint(line)}".rstrip() for line in outcome.details()]
        lines.append(f"{self.passed} passed, {self.failed} failed")
        return "\n".join(lines)


def run_checks(
    folder: Path, paths: list[Path] | None = None, told: Callable[[Outcome], None] | None = None
) -> CheckRun:
    """Run the checks below `folder`, or those at or below `paths`. Raises ProgramError for a program with problems."""
    files = read_folder(folder)
    load(files).require()
    return _run(files, _chosen(folder, files, paths), told)


def segment_checks(files: Mapping[str, str], slugs: list[str]) -> CheckRun:
    """Run the checks of these segments, from files in memory."""
    names = [name for name in sorted(files) if name.split("/")[0] in slugs and is_check(name)]
    return _run(files, names)


def _run(files: Mapping[str, str], names: list[str], told: Callable[[Outcome], None] | None = None) -> CheckRun:
    loaded, run = load(files), CheckRun()
    for slug in sorted({name.split("/")[0] for name in names} & set(loaded.segments)):
        run.coverage.of(slug, loaded.segments[slug].spec)
    with players(files, Names.of(loaded.sources), len(names)) as play:
        for outcome, walked in play(names):
            if outcome is not None:
                run.outcomes.append(outcome)
                run.coverage.add(walked)
                if told is not None:
                    told(outcome)
    return run


def _chosen(folder: Path, files: Mapping[str, str], paths: list[Path] | None) -> list[str]:
    names = [name for name in sorted(files) if is_check(name)]
    if not paths:
        return names
    chosen = []
    for path in paths:
        segment = len(path.parts) == 1 and not path.exists() and f"{path}/sequence.yaml" in files
        try:
            wanted = str(path) if segment else path.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise FileFault(f"{path}: is not below {folder}; name a check, or a folder of checks, there") from None
        found = [name for name in names if wanted in (".", name) or name.startswith(f"{wanted}/")]
        if not found:
            raise FileFault(f"{path}: there is no check here; name a segment, or a check: <segment>/checks/*.yaml")
        chosen += found
    return list(dict.fromkeys(chosen))


__all__ = ["CheckRun", "Outcome", "run_check", "run_checks", "segment_checks"]

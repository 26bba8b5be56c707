"""`nurture test`: every check of a program, one after the other, each on a stage of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from nurture.engine.story import tell
from nurture.errors import FileFault, NurtureError
from nurture.language.source import Misread, ProgramError, Source, read_yaml
from nurture.program.load import load, read_folder
from nurture.rehearse.actor import Actor
from nurture.rehearse.judge import Judge
from nurture.program.checks import Check, Expected
from nurture.rehearse.stage import Stage, Theatre, set_stage


@dataclass
class Outcome:
    """One check: its sentence, and what differed as `file:line:column: …` lines."""

    file: str
    sentence: str
    differences: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences


@dataclass
class CheckRun:
    """All checks that ran."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def failed(self) -> int:
        return len(self.outcomes) - self.passed

    def text(self) -> str:
        """For the terminal: a line per check; what differed, with the diary of the leads concerned."""
        lines = []
        for outcome in self.outcomes:
            lines.append(f"{'ok  ' if outcome.ok else 'FAIL'} {outcome.file}: {outcome.sentence}")
            lines += [f"     {difference}" for difference in outcome.differences]
            lines += [f"       {line}" for line in outcome.diary]
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
    names = [name for name in sorted(files) if name.split("/")[0] in slugs and _is_check(name)]
    return _run(files, names)


def _run(files: Mapping[str, str], names: list[str], told: Callable[[Outcome], None] | None = None) -> CheckRun:
    run, theatre = CheckRun(), Theatre()
    try:
        for name in names:
            outcome = run_check(files, name, theatre=theatre)
            if outcome is not None:
                run.outcomes.append(outcome)
                if told is not None:
                    told(outcome)
    finally:
        theatre.close()
    return run


def _is_check(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 3 and parts[1] == "checks" and name.endswith(".yaml")


def _chosen(folder: Path, files: Mapping[str, str], paths: list[Path] | None) -> list[str]:
    names = [name for name in sorted(files) if _is_check(name)]
    if not paths:
        return names
    chosen = []
    for path in paths:
        try:
            wanted = path.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise FileFault(f"{path}: is not below {folder}; name a check, or a folder of checks, there") from None
        found = [name for name in names if wanted in (".", name) or name.startswith(f"{wanted}/")]
        if not found:
            raise FileFault(f"{path}: there is no check here; checks are <segment>/checks/*.yaml")
        chosen += found
    return list(dict.fromkeys(chosen))


def run_check(
    files: Mapping[str, str], name: str, url: str | None = None, theatre: Theatre | None = None
) -> Outcome | None:
    """One check; None for a file beside the checks that is none (an edited sequence).

    `url`: an empty database to play on. `theatre`: where other checks of the same files are played.
    """
    source = read_yaml(name, files[name])
    if isinstance(source.value, dict) and "check" not in source.value and "steps" in source.value:
        return None
    check = source.read(Check)
    if check is None:
        return Outcome(name, "cannot be read", [str(problem) for problem in source.problems])
    outcome = Outcome(name, check.check)
    publishes = any(event.publish is not None for event in check.events)
    if theatre is not None:
        stage = theatre.stage(check.start, own_library=publishes)
    else:
        stage = set_stage(check.start, url or "sqlite://")
    try:
        _play(check, stage, source, files, outcome)
    except ProgramError as problem:
        outcome.differences += [str(found) for found in problem.problems]
    except NurtureError as problem:
        outcome.differences.append(f"{name}:1:1: {problem}")
    finally:
        stage.close()
    return outcome


def _play(check: Check, stage: Stage, source: Source, files: Mapping[str, str], outcome: Outcome) -> None:
    slug, folder = source.file.split("/")[0], source.file.rpartition("/")[0]
    stage.publish({name: text for name, text in files.items() if "/checks/" not in name})
    actor = Actor(check, stage, slug, files, folder)
    try:
        actor.enter()
    except Misread as problem:
        for path, what, remedy in problem.complaints:
            source.complain(path, what, remedy)
        outcome.differences += [str(found) for found in source.problems]
        return
    judge = Judge(check, stage, slug, actor.leads)
    until = check.when(check.until)
    stops = actor.stops()
    for at in sorted({at for at, _ in judge.looks()}):
        stops.setdefault(at, lambda: None)
    looks: dict[datetime, set[int]] = {}
    for at, lead in judge.looks():
        looks.setdefault(at, set()).add(lead)
    marks = sorted(looks)
    stops = {at: action for at, action in stops.items() if at <= until}
    for mark in marks:
        stage.run(min(mark, until), {at: stops.pop(at) for at in list(stops) if at <= mark})
        for lead in looks[mark]:
            judge.look(lead)
    stage.run(until, stops)
    for index, trouble in actor.troubles:
        source.complain(("events", index), trouble, "mend the event, or the sequence")
    named: set[str] = set()
    for index, expected in enumerate(check.expect):
        found = judge.verdict(expected)
        if found is not None:
            source.complain(("expect", index), f"expected {_spoken(expected)}, but {found}", "see the diary below")
            named.add(str((expected.never or expected).lead))
    outcome.differences += [str(problem) for problem in source.problems]
    outcome.diary = [line for who in sorted(named) for line in _diary(stage, actor.leads, who, until)]


def _spoken(expected: Expected) -> str:
    if expected.never is not None:
        return f"never {_spoken(expected.never)}"
    value = getattr(expected, expected.kind)
    said = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    more = [f"{key} {getattr(expected, key)}" for key in ("owner", "refused", "reason", "language") if getattr(expected, key)]
    at = f" at {expected.at}" if expected.at is not None else ""
    return f"{expected.kind} {said}{' (' + ', '.join(more) + ')' if more else ''}{at}"


def _diary(stage: Stage, leads: dict[str, int], who: str, until: datetime) -> list[str]:
    number = leads.get(who)
    if number is None:
        return []
    machine = stage.machine
    with machine.db.read() as link:
        live = machine.live()
        story = tell(link, live, number, until)
    zone = ZoneInfo(story.zone or live.house.program.zone)
    lines = [f"diary of {who} ({zone.key})"]
    lines += [f"{h.at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}  {h.kind:9}  {h.what}" for h in story.happenings]
    for passage in story.enrolments:
        where = f"left {passage.ended_at.astimezone(zone):%Y-%m-%d %H:%M:%S}: {passage.outcome}" if passage.ended_at else f"stands on {passage.step}"
        lines.append(f"{passage.started_at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}  enrolled   {passage.sequence}; {where}")
    lines += [f"not enrolled in {refusal.sequence}: {refusal.reason}" for refusal in story.refusals]
    return lines

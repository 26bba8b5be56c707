"""`nurture test`: every check of a program, one after the other, each on a stage of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.story import tell
from nurture.errors import FileFault, NurtureError
from nurture.language.source import Misread, ProgramError, Source
from nurture.program.check_stories import Names, is_check, is_sequence, read_story
from nurture.program.checks import Check, Expected
from nurture.program.load import load, read_folder
from nurture.records import Touch
from nurture.rehearse.actor import Actor
from nurture.rehearse.judge import Judge
from nurture.rehearse.stage import Stage, Theatre, set_stage

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
#: Of one instant: what was done, then who came in by it, then the rest.
_ORDER = {"event": 0, "enrolled": 1}


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
    names = [name for name in sorted(files) if name.split("/")[0] in slugs and is_check(name)]
    return _run(files, names)


def _run(files: Mapping[str, str], names: list[str], told: Callable[[Outcome], None] | None = None) -> CheckRun:
    run, theatre, declared = CheckRun(), Theatre(), Names.of(load(files).sources)
    try:
        for name in names:
            outcome = run_check(files, name, theatre=theatre, names=declared)
            if outcome is not None:
                run.outcomes.append(outcome)
                if told is not None:
                    told(outcome)
    finally:
        theatre.close()
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


def run_check(
    files: Mapping[str, str],
    name: str,
    url: str | None = None,
    theatre: Theatre | None = None,
    names: Names | None = None,
) -> Outcome | None:
    """One check; None for a file beside the checks that is none (an edited sequence).

    `url`: an empty database to play on. `theatre`: where other checks of the same files are played.
    `names`: what the program of `files` declares.
    """
    source, check = read_story(name, files, names or Names.of(load(files).sources))
    if is_sequence(source):
        return None
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
            named.add(judge.key((expected.never or expected).lead))
    outcome.differences += [str(problem) for problem in source.problems]
    outcome.diary = [line for who in sorted(named) for line in _diary(stage, actor.leads, who, until)]


def _spoken(expected: Expected) -> str:
    if expected.never is not None:
        return f"never {_spoken(expected.never)}"
    value = getattr(expected, expected.kind)
    said = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    details = {key: getattr(expected, key) for key in ("owner", "refused", "reason", "language")}
    more = [f"{key} {detail}" for key, detail in details.items() if detail]
    at = f" at {_moment(expected.at)}" if expected.at is not None else ""
    return f"{expected.kind} {said}{' (' + ', '.join(more) + ')' if more else ''}{at}"


def _moment(at: datetime | timedelta) -> str:
    """As it is written in a check: `+1d`, or the instant."""
    if isinstance(at, datetime):
        return at.isoformat()
    seconds = round(at.total_seconds())
    unit, length = next(((unit, length) for unit, length in _UNITS if seconds % length == 0), ("s", 1))
    return f"+{seconds // length}{unit}" if seconds else "+0m"


def _diary(stage: Stage, leads: dict[str, int], who: str, until: datetime) -> list[str]:
    number = leads.get(who)
    if number is None:
        return []
    machine = stage.machine
    with machine.db.read() as link:
        live = machine.live()
        story = tell(link, live, number, until)
        sent = select(col(Touch.sequence), col(Touch.step), col(Touch.content)).where(
            col(Touch.lead_id) == number, col(Touch.kind) == "offer", col(Touch.content).is_not(None)
        )
        pieces = {f"offer {row.sequence}/{row.step}:": row.content for row in link.execute(sent)}
    zone = ZoneInfo(story.zone or live.house.program.zone)
    lines = []
    for passage in story.enrolments:
        ended = passage.ended_at
        left = f"left {ended.astimezone(zone):%Y-%m-%d %H:%M:%S}: {passage.outcome}" if ended else ""
        lines.append((passage.started_at, "enrolled", f"{passage.sequence}; {left or f'stands on {passage.step}'}"))
    for happening in story.happenings:
        start = happening.what.partition(":")[0] + ":"
        named = f"{start[:-1]} ({pieces[start]}):" if start in pieces else start
        lines.append((happening.at, happening.kind, happening.what.replace(start, named, 1)))
    told = [
        f"{at.astimezone(zone):%a %Y-%m-%d %H:%M:%S}  {kind:9}  {what}"
        for at, kind, what in sorted(lines, key=lambda line: (line[0], _ORDER.get(line[1], 2)))
    ]
    refusals = [f"not enrolled in {refusal.sequence}: {refusal.reason}" for refusal in story.refusals]
    return [f"diary of {who} ({zone.key})", *told, *refusals]

"""One check, played on a stage of its own and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nurture import clock
from nurture.errors import NurtureError
from nurture.language.source import Misread, ProgramError, Source
from nurture.program.check_edits import lay_over
from nurture.program.check_names import Names
from nurture.program.check_stories import is_sequence, read_story
from nurture.program.checks import Check
from nurture.program.load import load
from nurture.rehearse.actor import Actor, played
from nurture.rehearse.coverage import Coverage
from nurture.rehearse.judge import Judge
from nurture.rehearse.stage import Stage, Theatre, set_stage
from nurture.rehearse.telling import diary, differences, spoken


@dataclass
class Outcome:
    """One check: its sentence, and what differed as `file:line:column: …` lines."""

    file: str
    sentence: str
    differences: list[str] = field(default_factory=list)
    #: What was expected of the leads concerned (`=` it came, `-` it did not) and what was found instead (`+`), dated.
    diff: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.differences

    def details(self) -> list[str]:
        """What differed, in full."""
        return [*self.differences, *(["", *self.diff] if self.diff else []), *(["", *self.diary] if self.diary else [])]


def run_check(
    files: Mapping[str, str],
    name: str,
    url: str | None = None,
    theatre: Theatre | None = None,
    names: Names | None = None,
    coverage: Coverage | None = None,
) -> Outcome | None:
    """One check; None for a file beside the checks that is none (an edited sequence).

    `url`: an empty database to play on. `theatre`: where other checks of the same files are played.
    `names`: what the program of `files` declares. `coverage`: notes where its leads passed.
    """
    began = clock.monotonic()
    source, check = read_story(name, files, names or Names.of(load(files).sources))
    if is_sequence(source):
        return None
    if check is None:
        return Outcome(name, "cannot be read", [str(problem) for problem in source.problems])
    outcome = Outcome(name, check.check)
    laid = lay_over(files, source, (), name.split("/")[0])
    publishes = any(event.publish is not None for event in check.events)
    if theatre is not None:
        stage = theatre.stage(check.start, own_library=publishes or bool(laid.places))
    else:
        stage = set_stage(check.start, url or "sqlite://")
    try:
        _play(check, stage, source, laid.files, outcome)
        if coverage is not None:
            coverage.note(stage)
    except ProgramError as problem:
        outcome.differences += [str(found) for found in problem.problems]
    except NurtureError as problem:
        outcome.differences.append(f"{name}:1:1: {problem}")
    finally:
        stage.close()
    outcome.seconds = clock.monotonic() - began
    return outcome


def _play(check: Check, stage: Stage, source: Source, files: Mapping[str, str], outcome: Outcome) -> None:
    slug = source.file.split("/")[0]
    stage.publish(played(files))
    actor = Actor(check, stage, slug, files, source)
    try:
        actor.enter()
    except Misread as problem:
        for path, what, remedy in problem.complaints:
            source.complain(path, what, remedy)
        outcome.differences += [str(found) for found in source.problems]
        return
    judge = Judge(check, stage, slug, actor.leads)
    _carry_on(check, stage, actor, judge)
    for index, trouble in actor.troubles:
        source.complain(("events", index), trouble, "mend the event, or the sequence")
    named: dict[str, None] = {}
    for index, expected in enumerate(check.expect):
        found = judge.verdict(expected)
        if found is not None:
            source.complain(("expect", index), f"expected {spoken(expected)}, but {found}", "see the diary below")
            named[judge.key((expected.never or expected).lead)] = None
    outcome.differences += [str(problem) for problem in source.problems]
    outcome.diff = differences(judge, list(named)) if named else []
    until = check.when(check.until)
    outcome.diary = [line for who in sorted(named) for line in diary(stage, actor.leads, who, until)]


def _carry_on(check: Check, stage: Stage, actor: Actor, judge: Judge) -> None:
    """To the end of the check, with a look at everybody wherever one is asked for."""
    until, stops = check.when(check.until), actor.stops()
    looks = judge.looks()
    for at in looks:
        stops.setdefault(at, lambda: None)
    stops = {at: action for at, action in stops.items() if at <= until}
    spans = [(check.when(span.begins), check.when(span.until)) for span in check.down]

    def down(at: datetime) -> datetime:
        return max((end for begins, end in spans if begins <= at < end), default=at)

    for mark in sorted(looks):
        stage.run(min(mark, until), {at: stops.pop(at) for at in list(stops) if at <= mark}, down)
        judge.look()
    stage.run(until, stops, down)

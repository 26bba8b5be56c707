"""Before a version becomes live its letters are rendered for the worst leads, in a process with limits of its own."""

from __future__ import annotations

from collections.abc import Iterable

from nurture.language.problems import Problem
from nurture.mail.templates import Templates
from nurture.mail.trial import over_limits
from nurture.program.check_steps import mail_fields
from nurture.program.load import Loaded
from nurture.steps import Sms, Task


def tried(loaded: Loaded, slugs: Iterable[str]) -> list[Problem]:
    """Letters, text messages and texts of tasks that need more work, memory or room than one may have.

    Raises ProgramError.
    """
    house = loaded.require().house
    assert house is not None
    versions: list[dict[str, str]] = []
    plain: list[str] = []
    written: dict[str, tuple[str, int]] = {}
    for slug in slugs:
        segment = loaded.segments[slug]
        files = {**house.files, **segment.files}
        templates = Templates(segment.files)
        for index, step in enumerate(segment.spec.steps):
            if isinstance(step, Sms):
                plain += templates.variants(f"{slug}/{step.sms}")
            elif isinstance(step, Task):
                name = f"{slug}/{step.id} of sequence.yaml.j2"
                files[name], written[name] = step.task.text, (slug, index)
        versions.append(files)
    found = over_limits(versions, mail_fields(house.program.fields), [*plain, *written])
    return sorted(_placed(problem, loaded, written) for problem in found)


def _placed(problem: Problem, loaded: Loaded, written: dict[str, tuple[str, int]]) -> Problem:
    """A problem of a task's text is one of the sequence in which it is written."""
    if problem.file not in written:
        return problem
    slug, index = written[problem.file]
    line, column = loaded.sources[f"{slug}/sequence.yaml"].places["steps", index, "task", "text"]
    return Problem(f"{slug}/sequence.yaml", line, column, problem.problem, problem.remedy)

"""Before a version becomes live its letters are rendered for the worst leads, in a process with limits of its own."""

from __future__ import annotations

from collections.abc import Iterable

from nurture.language.problems import Problem
from nurture.mail.trial import over_limits
from nurture.program.check_steps import mail_fields
from nurture.program.load import Loaded


def tried(loaded: Loaded, slugs: Iterable[str]) -> list[Problem]:
    """Letters of these segments that need more work, memory or room than one letter may have. Raises ProgramError."""
    house = loaded.require().house
    assert house is not None
    versions = [{**house.files, **loaded.segments[slug].files} for slug in slugs]
    return over_limits(versions, mail_fields(house.program.fields))

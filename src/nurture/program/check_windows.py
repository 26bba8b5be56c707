"""What is wrong with quiet hours and send windows together: a sequence that could never write to anybody."""

from __future__ import annotations

from collections.abc import Iterable

from nurture.durations import Hours, parse_hours
from nurture.language.source import Path, Source
from nurture.windows import never_opens


def check_windows(program: Source, sequences: Iterable[Source]) -> None:
    """Note quiet hours that last all day, and windows that lie within them on every day."""
    quiet = _hours(program, ("quiet",))
    if quiet is None:
        return
    if quiet.start == quiet.end:
        what = f"quiet: {quiet} is the whole day: nobody would ever be written to"
        program.complain(("quiet",), what, "write another end, or leave it away")
        return
    for source in sequences:
        hours = _hours(source, ("send", "hours"))
        if hours is not None and hours.start != hours.end and never_opens(hours, quiet):
            what = f"'{hours}' never opens: it lies within the quiet hours of program.yaml, {quiet}"
            source.complain(("send", "hours"), what, "write hours outside of them")


def _hours(source: Source, path: Path) -> Hours | None:
    """What stands at `path`, if it can be read; what cannot was noted when the file was."""
    written = source.at(path)
    if not isinstance(written, str):
        return None
    try:
        return parse_hours(written)
    except ValueError:
        return None

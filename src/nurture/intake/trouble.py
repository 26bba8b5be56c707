"""Where refused rows go, and the end of every import's report."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nurture.errors import FileFault
from nurture.intake.columns import shown
from nurture.intake.report import ImportReport, Notes, counted
from nurture.intake.staging import Staging

_REFUSED = re.compile(r"\.refused(-\d+)?$")


@dataclass(frozen=True)
class Place:
    """The file that refused rows will be written to, if there are any."""

    path: Path

    def check(self, report: ImportReport) -> None:
        """Raise FileFault, before anything is applied, if there are refused rows and no way to write them."""
        if report.refused_count and not os.access(self.path.parent, os.W_OK):
            raise FileFault(
                f"{self.path}: cannot be written, and {counted(report.refused_count, 'row')} must be refused "
                f"(the first: {report.refused[0]}); say where with --refused-to FILE; nothing was imported"
            )


def place_for_refused(source: Path, said: Path | None) -> Place:
    """What was said, else NAME.refused.csv beside the file; none that is there: it may be half mended."""
    if said is not None:
        if said.exists() and said.samefile(source):
            raise FileFault(f"{said}: is the file that is imported; name another for the refused rows")
        return Place(said)
    stem = _REFUSED.sub("", source.stem)
    names = (f"{stem}.refused{'' if n == 1 else f'-{n}'}{source.suffix}" for n in count(1))
    return Place(next(path for path in map(source.with_name, names) if not path.exists()))


def finish(staging: Staging, place: Place, report: ImportReport, notes: Notes, unused: Iterable[str]) -> None:
    """Write the refused rows and complete the report."""
    report.refused.sort(key=lambda refusal: refusal.line)
    report.warnings += [*filter(None, [staging.table.overruled]), *notes.sentences()]
    left = list(unused)
    if left:
        report.warnings.append(f"{counted(len(left), 'column')} not used: {shown(left)}")
    if not staging.copied:
        return
    try:
        staging.write_refused(place.path)
        report.refused_file = place.path
    except OSError as problem:
        report.warnings.append(f"{place.path}: the refused rows could not be written there ({problem.strerror})")

"""What an import did, for a person and for a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nurture.intake.shapes import quoted

#: Refusals kept with their line; the rest is counted.
KEPT = 1000
_SHOWN = 10
_NOTES = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not applied; `column` is empty when the whole row is at fault."""

    line: int
    column: str
    problem: str
    #: What the cell holds, quoted; empty when that says nothing.
    value: str = ""

    @property
    def said(self) -> str:
        """The problem, after what has it."""
        return f"{self.value} {self.problem}" if self.value else self.problem

    def __str__(self) -> str:
        return f"line {self.line}{', ' + self.column if self.column else ''}: {self.said}"


@dataclass(slots=True)
class _Reason:
    """Rows refused for one reason: how many, the first few lines, what the first held, whether others held else."""

    value: str
    count: int = 0
    lines: list[int] = field(default_factory=list)
    others: bool = False

    def add(self, refusal: Refusal) -> None:
        self.count += 1
        self.lines = sorted([*self.lines, refusal.line])[:4]
        self.others = self.others or refusal.value != self.value

    @property
    def words(self) -> str:
        """Whose problem it is, to be put before it."""
        return f"{self.value}{' (or the like)' if self.others else ''} " if self.value else ""


@dataclass
class ImportReport:
    """Counts are of leads or events; `rows` is of rows. Everything that was read is in exactly one of them:
    rows = created + changed + unchanged + repeated + passed_over + refused."""

    #: leads or events.
    what: str
    file: Path
    #: Encoding and delimiter, in words.
    form: str = ""
    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    #: Rows merged into another row of the same person.
    repeated: int = 0
    #: Rows of kinds that the mapping file does not name.
    passed_over: int = 0
    refused: list[Refusal] = field(default_factory=list)
    refused_count: int = 0
    warnings: list[str] = field(default_factory=list)
    refused_file: Path | None = None

    #: By (column, problem).
    _reasons: dict[tuple[str, str], _Reason] = field(default_factory=dict, repr=False)

    def refuse(self, refusal: Refusal) -> None:
        """Count a refused row, and keep it if there is room."""
        self.refused_count += 1
        if len(self.refused) < KEPT:
            self.refused.append(refusal)
        reason = (refusal.column, refusal.problem)
        if reason in self._reasons or len(self._reasons) < KEPT:
            self._reasons.setdefault(reason, _Reason(refusal.value)).add(refusal)

    def text(self) -> str:
        """For people: counts, the first refusals, what to know, what to do."""
        lines = [f"{self.file}: {counted(self.rows, 'row')} ({self.form})"]
        lines += [
            f"  {word:<12}{number:>10,}"
            for word, number in self._counts()
            if number or word in ("created", "unchanged")
        ]
        lines += self._refusals()
        if self.refused_file is not None:
            lines.append(
                f"  Refused rows are in {self.refused_file} (UTF-8, whatever the file was); "
                "mend them and import that file the same way."
            )
        lines += [f"  Note: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _refusals(self) -> list[str]:
        """One line for each reason, the most frequent first."""
        reasons = sorted(self._reasons.items(), key=lambda reason: (-reason[1].count, reason[1].lines))
        told, shown = [], 0
        for (column, problem), reason in reasons[:_SHOWN]:
            listed = ", ".join(str(line) for line in reason.lines)
            more = f" and {reason.count - len(reason.lines):,} more" if reason.count > len(reason.lines) else ""
            where = f"line{'s' if reason.count > 1 else ''} {listed}{more}"
            told.append(f"    {where}{', ' + column if column else ''}: {reason.words}{problem}")
            shown += reason.count
        if shown < self.refused_count:
            told.append(f"    and {counted(self.refused_count - shown, 'row')} for other reasons")
        return told

    def as_dict(self) -> dict[str, Any]:
        """For programs: the same, as JSON can hold it."""
        return {
            "what": self.what, "file": str(self.file), "form": self.form, "rows": self.rows,
            **{word.replace(" ", "_"): number for word, number in self._counts()},
            "refusals": [{"line": r.line, "column": r.column, "problem": r.said} for r in self.refused],
            "refused_file": None if self.refused_file is None else str(self.refused_file),
            "warnings": self.warnings,
        }  # fmt: skip

    def _counts(self) -> list[tuple[str, int]]:
        return [
            ("created", self.created), ("changed", self.changed), ("unchanged", self.unchanged),
            ("repeated", self.repeated), ("passed over", self.passed_over), ("refused", self.refused_count),
        ]  # fmt: skip


def sentence(problems: Sequence[Refusal]) -> str:
    """All that is wrong with one row; the first problem follows its column's name elsewhere."""
    first, *others = problems
    told = (f"{other.column}: {quoted(other.value)} {other.problem}" for other in others)
    return "; ".join([first.problem, *told])


class Notes:
    """Remarks on rows that were applied nonetheless, one sentence each however many rows it concerns."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[int, int]] = {}
        self._more = 0

    def add(self, said: str, line: int) -> None:
        """`said` is true of `line`."""
        count, first = self._lines.get(said, (0, line))
        if count or len(self._lines) < _NOTES:
            self._lines[said] = (count + 1, min(first, line))
        else:
            self._more += 1

    def sentences(self) -> list[str]:
        """Each remark once, with its first line and the number of others; in order of the first lines."""
        told = []
        for said, (count, first) in sorted(self._lines.items(), key=lambda note: note[1][1]):
            others = f" and {counted(count - 1, 'other')}" if count > 1 else ""
            told.append(f"line {first}{others}: {said}")
        return [*told, f"{counted(self._more, 'more remark')} of these kinds"] if self._more else told


def counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"

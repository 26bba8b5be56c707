"""What is said of a mistake in the marketer's files: where it is, what it is, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nurture.errors import NurtureError

Path = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in the marketer's files; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.problem}; {self.remedy}"


class ProgramError(NurtureError):
    """The marketer's files have problems; nothing of them is live. Carries all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Misread(ValueError):
    """A value inside a field is wrong: where in it, what, and the way out; may carry several."""

    def __init__(self, complaints: Sequence[tuple[Path, str, str]]) -> None:
        self.complaints = list(complaints)
        super().__init__("; ".join(f"{what}; {remedy}" for _, what, remedy in self.complaints))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant."""
    return next(iter(difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)), None)


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or what is known."""
    known = sorted(set(known))
    near = nearest(word, known)
    if near:
        return f"did you mean '{near}'?"
    if not known:
        return "remove it"
    shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
    return f"known: {shown}"

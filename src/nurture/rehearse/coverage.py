"""Which steps and ways of a program no check passes through, told from the paths of its enrolments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from sqlalchemy import select
from sqlmodel import col

from nurture.program.sequence import Sequence
from nurture.records import Enrolment
from nurture.rehearse.stage import Stage


@dataclass
class Coverage:
    """The segments whose checks ran, and where leads passed in them."""

    segments: dict[str, Sequence] = field(default_factory=dict)
    entered: set[tuple[str, str]] = field(default_factory=set)
    taken: set[tuple[str, str, str]] = field(default_factory=set)

    def of(self, slug: str, sequence: Sequence) -> None:
        """Ask about this segment."""
        self.segments[slug] = sequence

    def note(self, stage: Stage) -> None:
        """Take in where the leads of a check have passed."""
        walked = select(col(Enrolment.sequence), col(Enrolment.path)).distinct()
        with stage.machine.db.read() as link:
            for slug, path in link.execute(walked):
                steps = [step for step in path.strip("/").split("/") if not step.startswith("<")]  # a goto's own mark
                self.entered |= {(slug, step) for step in steps}
                self.taken |= {(slug, one, other) for one, other in pairwise(steps)}

    def add(self, other: Coverage) -> None:
        """Take in where the leads of other checks have passed."""
        self.entered |= other.entered
        self.taken |= other.taken

    def missed(self) -> dict[str, list[str]]:
        """What no check passed through, by segment, in the order of the steps."""
        return {slug: found for slug in sorted(self.segments) if (found := list(self._missed(slug)))}

    def _missed(self, slug: str) -> Iterator[str]:
        sequence = self.segments[slug]
        for step in sequence.steps:
            if (slug, step.id) not in self.entered:
                yield f"step {step.id} is never entered"
                continue
            for word, target in sequence.successors(step).items():
                if (slug, step.id, target) not in self.taken:
                    named = "" if word == "next" else f" ({word.split('.')[0]})"
                    yield f"way {step.id} -> {target}{named} is never taken"

    def text(self) -> str:
        """For the terminal: a line for each segment."""
        missed = self.missed()
        steps = sum(len(sequence.steps) for sequence in self.segments.values())
        if not missed:
            return f"every one of {steps} steps is entered, and every way between them taken"
        return "\n".join(f"{slug}: {'; '.join(found)}" for slug, found in missed.items())

"""What a publication means in leads, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StepEffect:
    """What becomes of the leads that stand on one step of an older version.

    `now`: their wait is over at once; `sooner`, `later`: it ends at another instant than before; `keep`: nothing
    changes for them. `deleted`: the step is gone, and they go on to the step `to`, or to the end (None).
    """

    step: str
    version: int
    leads: int
    waits: bool = False
    now: int = 0
    sooner: int = 0
    later: int = 0
    keep: int = 0
    deleted: bool = False
    to: str | None = None

    def __str__(self) -> str:
        if self.deleted:
            there = f"go on to {self.to}" if self.to else "come to the end"
            return f"{_leads(self.leads)} on the deleted step {self.step} {there}"
        if not self.waits:
            return f"{_leads(self.leads)} on step {self.step} {'stays' if self.leads == 1 else 'stay'} there"
        said = {"now": "move now", "sooner": "move sooner", "later": "wait longer", "keep": "keep their time"}
        parts = [f"{getattr(self, name):,} {words}" for name, words in said.items() if getattr(self, name)]
        return f"{_leads(self.leads)} {'waits' if self.leads == 1 else 'wait'} in step {self.step}: {', '.join(parts)}"


@dataclass
class Effect:
    """What publishing one segment means: how many match, how many of them enter, what becomes of those inside.

    `inside`: all who are; `moved`: how many of them go on in the new version; `on_versions`: how many finish on which
    older one; `replanned`: messages that are planned anew; `sending`: leads whose message is being sent, who follow
    when it has ended; `called_off`: messages of deleted steps; `differences`: what was edited, in words.
    """

    slug: str
    number: int
    changed: bool
    matching: int = 0
    entering: int = 0
    existing: bool = False
    inside: int = 0
    first: bool = False
    on_edit: str = "pin"
    differences: list[str] = field(default_factory=list)
    steps: list[StepEffect] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    moved: int = 0
    ended: int = 0
    replanned: int = 0
    sending: int = 0
    called_off: int = 0
    on_versions: dict[int, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.headline("is live")

    def headline(self, word: str) -> str:
        """The segment, its version and who enters; `word`: is live, or would be."""
        if not self.changed:
            return f"{self.slug}: unchanged (version {self.number})"
        queue = f", {self.matching - self.entering:,} queue" if self.matching > self.entering else ""
        entering = (
            f"{self.entering:,} enter at the next tick{queue} (existing: true)"
            if self.existing
            else f"0 enrol now; {self.matching:,} matched before (existing: false)"
        )
        finish = [f"{count:,} inside finish on version {number}" for number, count in sorted(self.on_versions.items())]
        inside = [f"{self.moved:,} inside go on in it (on_edit: migrate)"] if self.moved else []
        return "; ".join([f"{self.slug}: version {self.number} {word}; {entering}", *finish, *inside])

    def details(self) -> list[str]:
        """One line for each edit, and for each group of leads whom it concerns."""
        found = [*self.differences, *(str(step) for step in self.steps)]
        if self.ended:
            found.append(f"{_leads(self.ended)} {'comes' if self.ended == 1 else 'come'} to the end of the sequence")
        if self.replanned:
            found.append(f"{_messages(self.replanned)} planned or put off {_are(self.replanned)} planned anew")
        if self.called_off:
            found.append(f"{_messages(self.called_off)} of deleted steps {_are(self.called_off)} called off")
        if self.sending:
            found.append(f"{_messages(self.sending)} {_are(self.sending)} being sent; their leads follow afterwards")
        if self.added and self.moved:
            found.append(f"new: {', '.join(self.added)}; who is past that place already does not go back")
        return found


def _leads(number: int) -> str:
    return f"{number:,} lead{'' if number == 1 else 's'}"


def _messages(number: int) -> str:
    return f"{number:,} message{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

"""sequence.yaml as a model, and the graph of its steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from nurture.durations import Duration, parse_duration
from nurture.language.conditions import When
from nurture.language.source import Written
from nurture.program.kinds import PerDay
from nurture.program.letters import WhoReads, WhoWrites
from nurture.program.models import SendRule
from nurture.program.utm import UtmOrOff
from nurture.steps import AnyStep, Step

Span = Annotated[Duration, BeforeValidator(parse_duration)]


class Again(Written):
    """A lead may pass again this long after its last passage ended, on a new transition."""

    after: Span


class Resend(Written):
    """Send it once more after this long, if nothing (a click, a bounce, a reply) shows that it left."""

    resend_once_after: Span


class Enrol(Written):
    """What brings a lead in: the transition into `when` while `segment` holds."""

    when: When
    existing: bool = False
    again: Again | Literal["never"] = "never"
    #: How many the rule lets in on one day of the program's clock; the others queue. None: no limit.
    limit: PerDay = None


class Sequence(Written):
    """sequence.yaml."""

    name: str
    objective: str | None = None
    priority: int = Field(default=50, ge=0, le=100)
    segment: When
    enrol: Enrol
    leave: When | None = None
    send: SendRule = SendRule()
    #: What its messages are about, of `topics:` in program.yaml; a message step may say another.
    topic: str | None = None
    #: Who writes, who reads the answers and what is written behind links; None: as program.yaml says.
    sender: WhoWrites | None = None
    reply_to: WhoReads | None = None
    utm: UtmOrOff | None = None
    #: What an edit means for those inside: they finish on their version, or go on in the new one.
    on_edit: Literal["pin", "migrate"] = "pin"
    #: What becomes of a message of which nobody knows whether it left.
    on_uncertain: Literal["hold"] | Resend = "hold"
    max_late: Span = Field(default_factory=lambda: parse_duration("24 hours"))
    steps: list[AnyStep] = Field(min_length=1)

    @property
    def repeats(self) -> bool:
        """Whether a lead may come to a step more than once in one enrolment."""
        return self.on_edit == "migrate" or any(step.kind_word == "goto" for step in self.steps)

    def step(self, step_id: str) -> Step:
        """The step of this id; KeyError when there is none."""
        return self._index()[step_id]

    def has(self, step_id: str) -> bool:
        return step_id in self._index()

    def following(self, step_id: str) -> str | None:
        """The next step in the list."""
        ids = [step.id for step in self.steps]
        place = ids.index(step_id) + 1
        return ids[place] if place < len(ids) else None

    def successors(self, step: Step) -> dict[str, str]:
        """Where leads go from `step`: the word for the way, and the step."""
        ways = dict(step.targets())
        following = self.following(step.id)
        if step.goes_on() and following:
            ways.setdefault("next", following)
        return ways

    def parents(self, step_id: str) -> list[str]:
        """The steps that lead here."""
        return [step.id for step in self.steps if step_id in self.successors(step).values()]

    def _index(self) -> dict[str, Step]:
        return {step.id: step for step in self.steps}

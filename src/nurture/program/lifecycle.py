"""lifecycle.yaml: what marketing and sales have agreed."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, cast

from pydantic import Field, model_validator

from nurture.folding import fold
from nurture.language.conditions import Any_, Condition, When
from nurture.language.source import Written
from nurture.program.kinds import LEVEL, Address, Span, WorkHours
from nurture.program.wording import Wording

STAGES = ("subscriber", "lead", "mql", "sal", "sql", "opportunity", "customer", "recycled", "disqualified")
REJECTIONS = ("inaccurate_data", "not_persona", "premature", "duplicate")
#: What a salesperson is doing about a lead, unless `statuses:` says otherwise; the house itself sets `needs_repair`.
STATUSES = (
    "new", "open", "in_progress", "open_deal", "unqualified", "attempted_to_contact", "connected", "bad_timing",
    "needs_repair",
)  # fmt: skip
#: By which way a lead comes to sales.
Entrance = Literal["marketing", "product", "service", "ready"]
#: Why deals are lost, and where the lead goes then, unless `lost:` says otherwise.
LOST: dict[str, Literal["recycled", "disqualified"]] = {
    "price": "recycled", "competitor": "recycled", "timing": "recycled", "no_decision": "recycled",
    "no_need": "disqualified", "unreachable": "recycled",
}  # fmt: skip


class Agreement(Written):
    """The older way to say who agreed to these definitions, and when."""

    agreed: datetime.date
    by: list[str]


class Signature(Written):
    """One who agreed to these definitions for a team; void once they change."""

    team: str
    name: str
    date: datetime.date


class Rule(Written):
    """A condition alone."""

    when: When


class Mql(Written):
    """What makes an MQL; re-armed when the score has fallen below `rearm_below`, or after recycling.

    `levels`: rows of a matrix over the dimensions, best first; an MQL is at the first whose condition holds. Without
    `when`, whoever is at a level is an MQL.
    """

    when: When | None = None
    levels: dict[Annotated[str, Field(pattern=LEVEL)], When] = {}
    rearm_below: int | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _says_something(self) -> Mql:
        if self.when is None and not self.levels:
            raise ValueError("neither 'when' nor 'levels' is said; write when: {score: {at_least: 50}}")
        return self

    @property
    def condition(self) -> Condition:
        """What makes an MQL, whichever way it was written."""
        return Any_(tuple(self.levels.values())) if self.when is None else cast(Condition, self.when)


class MilestoneRule(Written):
    """A milestone: reached on the transition into `when`, and again by each further event it speaks of."""

    when: When
    handoff: bool = False
    #: By which way the lead comes to sales: as an MQL, by using the product, as a customer who asks for more, or ready.
    entrance: Entrance = "marketing"
    #: What salespeople read instead of its name.
    label: Wording | None = None
    #: What a salesperson should do first.
    follow_up: Wording | None = None


class GateRule(Written):
    """Refuses a lead for `reason` when the condition is true; unknown values refuse nobody."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    refuse: When
    then: Literal["nurture", "repair", "disqualified"] = "nurture"
    #: Asked of leads that come by these ways alone; empty: of all.
    entrances: list[Entrance] = []


class Sla(Written):
    """How soon sales answers, in the owner's business hours, and what happens when it does not."""

    accept_within: WorkHours = 8.0
    #: After an acceptance; None: nobody promised when the lead is met.
    meet_within: WorkHours | None = None
    #: Whether the owner is reminded when half of the time has gone.
    remind: bool = True
    #: To how many others, one after another, a hand-off goes that nobody answered.
    reassign: int = Field(default=1, ge=0, le=10)
    #: Who is told of each missed deadline.
    escalate_to: Address | None = None


def _plain(word: str) -> str:
    return fold(word).replace("-", " ").replace("_", " ")


class Lifecycle(Written):
    """lifecycle.yaml."""

    agreed: list[Signature] = []
    definitions: Agreement | None = None
    #: What a salesperson is doing about a lead; empty: the usual words.
    statuses: list[str] = []
    #: What makes a lead of a subscriber.
    lead: Rule | None = None
    mql: Mql | None = None
    milestones: dict[str, MilestoneRule] = {}
    gate: list[GateRule] = []
    sla: Sla = Sla()
    #: How long a lead rests before it is nurtured again.
    recycle: dict[Literal["premature", "lost"], Span] = {}
    #: Why deals are lost, and where the lead goes then; empty: the usual words.
    lost: dict[str, Literal["recycled", "disqualified"]] = {}
    acceptance: Literal["by_gate", "by_sales"] = "by_gate"

    @property
    def known_statuses(self) -> tuple[str, ...]:
        """Every status that a lead may have."""
        return tuple(dict.fromkeys((*(self.statuses or STATUSES), "new", "needs_repair")))

    def status_named(self, word: str) -> str | None:
        """The status that `word` means, whatever its capitals, spaces and dashes; None: there is no such."""
        if word in self.known_statuses:
            return word
        return {_plain(status): status for status in self.known_statuses}.get(_plain(word))

    @property
    def lost_reasons(self) -> dict[str, Literal["recycled", "disqualified"]]:
        """Every reason for a lost deal, with where the lead goes."""
        return self.lost or LOST

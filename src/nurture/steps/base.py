"""What every kind of step says: when it acts, what it writes, where its leads go. All of it is SQL about a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, select, true
from sqlmodel import col

from nurture.dialects import greatest
from nurture.durations import Duration, parse_duration
from nurture.jsonsql import among
from nurture.language.compiler import Scope, compile_condition, moment
from nurture.language.conditions import Condition
from nurture.language.source import Written
from nurture.records import Enrolment, Lead
from nurture.records.types import CARRIED, micros
from nurture.zones import lead_zone

#: A duration in YAML.
Span = Annotated[Duration, BeforeValidator(parse_duration)]


@dataclass(frozen=True)
class Exit:
    """A way out of a step: to `target` (or to the end with `outcome`), for whom, and the instant of entry there."""

    target: str | None
    when: ColumnElement[bool]
    at: ColumnElement[int]
    outcome: str | None = None


@dataclass(frozen=True)
class Here:
    """A step of a published version, and what it may need to know. Cohort and instant are parameters (CARRIED, NOW).

    `following`: the step after this one in the list, or None. `library`: the offers, best first.
    """

    sequence: str
    version_id: int
    step: str
    following: str | None
    zone: str
    scope: Scope
    language: str
    library: Sequence[Mapping[str, Any]] = ()

    @property
    def cohort(self) -> ColumnElement[bool]:
        """The rows of `enrolment` that this run carries and that still stand here."""
        return and_(among(col(Enrolment.id), CARRIED), col(Enrolment.step) == self.step)

    @property
    def entered(self) -> ColumnElement[int]:
        return micros(col(Enrolment.entered_at))

    @property
    def due(self) -> ColumnElement[int]:
        """The instant at which the step acts for an enrolment; the next step is entered then, not when the tick ran."""
        return micros(col(Enrolment.due_at))

    @property
    def clock(self) -> ColumnElement[str]:
        """The zone of an enrolment's lead."""
        return zone_of_enrolment(self.zone)

    def holds(
        self, condition: Condition, at: SQLColumnExpression[int], recorded_by: SQLColumnExpression[Any] | None = None
    ) -> ColumnElement[bool]:
        """Whether `condition` holds for an enrolment's lead as of the instant `at`, however late the tick."""
        scope = replace(self.scope, enrolled=True, at=at, recorded_by=recorded_by)
        lead = select(1).where(col(Lead.id) == col(Enrolment.lead_id), compile_condition(condition, scope))
        return lead.correlate_except(Lead).exists()

    def moment(
        self, condition: Condition, at: SQLColumnExpression[int], recorded_by: SQLColumnExpression[Any]
    ) -> ColumnElement[int] | None:
        """When `condition`, which holds, came to hold by an event, not before the step was entered; None: who knows."""
        came = moment(condition, replace(self.scope, enrolled=True, at=at, recorded_by=recorded_by))
        if came is None:
            return None
        of_lead = select(came).where(col(Lead.id) == col(Enrolment.lead_id)).correlate_except(Lead).scalar_subquery()
        return greatest(func.coalesce(of_lead, self.due), self.entered)


@dataclass(frozen=True)
class Whose:
    """Of the lead that enters a step, as SQL: the zone of its clock, and its own fields."""

    zone: ColumnElement[str]
    fields: ColumnElement[Any]


def lead_of_enrolment(default: str) -> Whose:
    """Of an enrolment's lead; `default`: the program's zone."""
    mine = select(col(Lead.fields)).where(col(Lead.id) == col(Enrolment.lead_id)).correlate_except(Lead)
    return Whose(zone_of_enrolment(default), mine.scalar_subquery())


def zone_of_enrolment(default: str) -> ColumnElement[str]:
    """The zone of an enrolment's lead; `default`: the program's."""
    mine = select(lead_zone(default)).where(col(Lead.id) == col(Enrolment.lead_id))
    return mine.correlate_except(Lead).scalar_subquery()


class Step(Written):
    """One step of a sequence; its `id` is its name everywhere and for ever."""

    #: The word that spells the kind in YAML.
    kind_word: ClassVar[str]
    #: True for steps that an event may wake.
    listens: ClassVar[bool] = False
    #: True for steps that reach milestones, which sales' gate then decides.
    calls_sales: ClassVar[bool] = False
    #: True for steps that may have no step after them.
    ends: ClassVar[bool] = False

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    #: What the operator reads; the id when unsaid.
    label: str | None = None
    #: The step after this one, when it is not the next in the list.
    next: str | None = None

    @property
    def title(self) -> str:
        return self.label or self.id.replace("_", " ").replace("-", " ").capitalize()

    def targets(self) -> dict[str, str]:
        """Named ways out: the YAML key and the step it names."""
        return {"next": self.next} if self.next else {}

    def goes_on(self) -> bool:
        """Whether some lead leaves to the next step of the list."""
        return self.next is None

    def conditions(self) -> list[tuple[tuple[str | int, ...], Condition]]:
        """Every condition in the step, with its path in the YAML."""
        return []

    def due_on_entry(self, entered: ColumnElement[int], whose: Whose) -> ColumnElement[int]:
        """When a lead that enters at `entered` is acted on first."""
        return entered

    def writes(self, here: Here) -> list[Any]:
        """The statements that the step runs for its cohort before anybody leaves."""
        return []

    def exits(self, here: Here) -> list[Exit]:
        """The ways out, tried in order; a lead takes the first that holds."""
        return [Exit(self.next or here.following, true(), here.due)]

    def passing(self, here: Here) -> list[Exit]:
        """The ways out for a lead that has been here in this turn and does nothing of it again; the last takes all."""
        return self.exits(here)

    def stay(self, here: Here) -> ColumnElement[Any] | None:
        """The new `due_at` of those who took no way out; None: they wait for something else."""
        return None

"""program.yaml, lifecycle.yaml, scoring.yaml and offers.yaml as models."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from nurture.durations import Duration, Hours, parse_duration, parse_hours
from nurture.folding import canonical_email
from nurture.language.arms import Share
from nurture.language.conditions import Did, When
from nurture.language.schema import ADDRESS, BUSINESS_HOURS, CAP, COUNTRY, DAYS, ZONE
from nurture.language.source import Written
from nurture.program.consents import Consents
from nurture.program.endpoints import AudienceEndpoint, Texts, WebhookEndpoint
from nurture.program.forms import Choices, Form
from nurture.program.guard import Guard
from nurture.program.questions import Questions
from nurture.program.retention import Retention
from nurture.program.topics import Topics
from nurture.program.tracking import Tracking
from nurture.program.utm import Utm
from nurture.program.website import Website
from nurture.program.wording import Wording
from nurture.windows import Window
from nurture.zones import valid_zone

Span = Annotated[Duration, BeforeValidator(parse_duration)]
Clock = Annotated[Hours, BeforeValidator(parse_hours)]
STAGES = ("subscriber", "lead", "mql", "sal", "sql", "opportunity", "customer", "recycled", "disqualified")
REJECTIONS = ("inaccurate_data", "not_persona", "premature", "duplicate")
_LEVEL = r"^[a-z][a-z0-9_]{0,39}$"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(value: Any) -> str:
    if not isinstance(value, str) or not valid_zone(value):
        raise ValueError(f"'{value}' is not a time zone; write a name of the tz database such as Europe/Bucharest")
    return value


def _address(value: Any) -> str:
    try:
        return canonical_email(str(value))
    except ValueError as problem:
        raise ValueError(f"'{value}' {str(problem).rstrip('.')}; write one address") from None


def _country(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 2 or not value.isalpha() or not value.isupper():
        raise ValueError(f"'{value}' is not a country; write two capital letters such as RO")
    return value


def _days(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if words in (["workdays"], ["all"]):
        return tuple(words)
    if not isinstance(words, list) or not words:
        raise ValueError(f"'{value}' are not days; write workdays, all or [mon, tue]")
    odd = [word for word in words if word not in _DAYS]
    if odd:
        raise ValueError(f"'{odd[0]}' is no day; write workdays, all or a list of {', '.join(_DAYS)}")
    return tuple(words)


Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema(ZONE)]
Address = Annotated[str, BeforeValidator(_address), WithJsonSchema(ADDRESS)]
Country = Annotated[str, BeforeValidator(_country), WithJsonSchema(COUNTRY)]
Days = Annotated[tuple[str, ...], BeforeValidator(_days), WithJsonSchema(DAYS)]


class Sender(Written):
    """Who the messages come from."""

    name: str
    address: Address


class Caps(Written):
    """Marketing messages to one lead across all sequences; 0 would mean nobody is written to, so it is refused."""

    per_day: int | None = Field(default=None, ge=1)
    per_7_days: int | None = Field(default=None, ge=1)


class Salesperson(Written):
    """A member of the sales team: when reachable, and for whom."""

    name: str
    email: Address
    zone: Zone | None = None
    hours: Clock = Field(default_factory=lambda: parse_hours("09:00-17:00"))
    days: Days = ("workdays",)
    country: Country | None = None
    weight: int = Field(default=1, ge=1, le=10)
    #: Countries whose leads this person takes; empty: any.
    countries: list[Country] = []
    language: str | None = None


class ProgramFile(Written):
    """program.yaml."""

    name: str
    sender: Sender
    reply_to: Address | None = None
    #: What is written behind the links of letters; None: nothing.
    utm: Utm | None = None
    address: str = Field(min_length=10)
    zone: Zone
    language: str = "en"
    country: Country | None = None
    fields: dict[str, Literal["text", "number", "flag", "date"]] = {}
    closed_days: list[date] = []
    #: On every lead's own clock no marketing message goes out in these hours, whatever the sequence.
    quiet: Clock | None = None
    #: Of all leads, for as long as they live: they are enrolled and scored, and get no marketing.
    holdout: Share | None = None
    caps: Caps = Caps()
    #: What messages are about, by key; a lead may refuse some of it in the preference centre.
    topics: Topics = {}
    sales: list[Salesperson] = Field(min_length=1)
    forms: dict[str, Form] = {}
    #: What forms call a field, by name.
    labels: dict[str, Wording] = {}
    #: What may be answered where a form asks for a field, by its name.
    choices: dict[str, Choices] = {}
    questions: Questions = {}
    #: Who is asked twice, and how long a basis lasts.
    consents: Consents = Consents()
    audiences: dict[str, AudienceEndpoint] = {}
    webhooks: dict[str, WebhookEndpoint] = {}
    sms: Texts = Texts()
    website: Website = Website()
    tracking: Tracking = Tracking()
    guard: Guard = Guard()
    retention: Retention = Retention()


class SendRule(Written):
    """`send:` of a sequence: when messages may go out, on the lead's clock."""

    days: Days = ("all",)
    hours: Clock | None = None
    holidays: Literal["lead", "none"] = "lead"
    outside: Literal["next_opening", "keep_time"] = "next_opening"
    #: What becomes of a message to a lead that has had its share.
    over_cap: Literal["defer", "skip"] = "defer"

    def window(self, closed: list[date], quiet: Hours | None = None) -> Window:
        return Window(self.hours, self.days, self.holidays == "lead", self.outside, tuple(sorted(closed)), quiet)


class Agreement(Written):
    """Who agreed to these definitions, and when."""

    agreed: date
    by: list[str]


class Mql(Written):
    """What makes an MQL; re-armed when the score has fallen below `rearm_below`, or after recycling."""

    when: When
    rearm_below: int | None = Field(default=None, ge=0, le=100)


class MilestoneRule(Written):
    """A milestone: reached on the transition into `when`, and again by each further event it speaks of."""

    when: When
    handoff: bool = False
    #: What a salesperson should do first.
    follow_up: str | None = None


class GateRule(Written):
    """Refuses a lead for `reason` when the condition is true; unknown values refuse nobody."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    refuse: When
    then: Literal["nurture", "repair", "disqualified"] = "nurture"


class Sla(Written):
    """How soon sales answers, in the owner's business hours."""

    accept_within: Annotated[
        float, BeforeValidator(lambda value: _business_hours(value)), WithJsonSchema(BUSINESS_HOURS)
    ] = 8.0


def _business_hours(value: Any) -> float:
    text = str(value).strip()
    for unit, factor in (("business hours", 1.0), ("business hour", 1.0), ("hours", 1.0), ("hour", 1.0)):
        if text.endswith(unit):
            try:
                hours = float(text.removesuffix(unit)) * factor
            except ValueError:
                break
            if 0 < hours <= 400:
                return hours
    raise ValueError(f"'{value}' is not a span of business hours; write 4 business hours")


class Lifecycle(Written):
    """lifecycle.yaml."""

    definitions: Agreement | None = None
    mql: Mql | None = None
    milestones: dict[str, MilestoneRule] = {}
    gate: list[GateRule] = []
    sla: Sla = Sla()
    recycle: dict[Literal["premature"], Span] = {}
    acceptance: Literal["by_gate", "by_sales"] = "by_gate"


def _per_day(value: Any) -> int | None:
    words = str(value).split()
    if len(words) == 3 and words[1:] == ["per", "day"] and words[0].isdigit() and int(words[0]) > 0:
        return int(words[0])
    raise ValueError(f"'{value}' is not a number a day; write '2 per day'")


#: `2 per day`; None: as many as there are.
PerDay = Annotated[int | None, BeforeValidator(_per_day), WithJsonSchema(CAP)]


class EngagementRule(Written):
    """Points for each matching event by a person, fading by half every `half_life`."""

    rule: str
    when: When
    points: float
    cap: PerDay = None
    half_life: Span | None = None

    @field_validator("when")
    @classmethod
    def _an_event(cls, value: Any) -> Any:
        if not isinstance(value, Did) or value.negated or value.at_least > 1 or value.within or value.since:
            raise ValueError(
                "an engagement rule counts single events; write when: {did: page_viewed, where: {…}} and nothing else"
            )
        return value


class FitRule(Written):
    """Thirds of a letter, and points of the score, while the condition holds."""

    rule: str
    when: When
    thirds: int = 0
    points: float = 0


class AwarenessRule(Written):
    """A level of awareness and what makes it; best first, a lead is at the first whose condition holds."""

    level: str = Field(pattern=_LEVEL)
    when: When


class StageRule(Written):
    """A buying stage and what makes it; best first, a lead is at the first whose condition holds."""

    stage: str = Field(pattern=_LEVEL)
    when: When


class Scoring(Written):
    """scoring.yaml."""

    half_life: Span = Field(default_factory=lambda: parse_duration("30 days"))
    engagement: list[EngagementRule] = []
    fit: list[FitRule] = []
    awareness: list[AwarenessRule] = []
    buying_stage: list[StageRule] = []


class Piece(Written):
    """A piece of the content library."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")
    title: str
    summary: str = ""
    kind: str = "guide"
    stage: Literal["awareness", "consideration", "decision"]
    topics: list[str] = []
    language: str = "en"
    url: str = Field(pattern=r"^https?://")


class Offers(Written):
    """offers.yaml: the library, best first."""

    offers: list[Piece] = []

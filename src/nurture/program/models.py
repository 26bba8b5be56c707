"""program.yaml as a model; the other files of the house have one each beside it."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from nurture.durations import Hours
from nurture.language.arms import Share
from nurture.language.source import Written
from nurture.program.chat import Chats
from nurture.program.consents import Consents
from nurture.program.crm import Crm
from nurture.program.endpoints import AudienceEndpoint, Texts, WebhookEndpoint
from nurture.program.forms import Choices, Form
from nurture.program.guard import Guard
from nurture.program.kinds import Address, Clock, Country, Days, Zone
from nurture.program.questions import Questions
from nurture.program.retention import Retention
from nurture.program.sales import Salesperson
from nurture.program.topics import Topics
from nurture.program.tracking import Tracking
from nurture.program.utm import Utm
from nurture.program.website import Website
from nurture.program.wording import Wording
from nurture.windows import Window


class Sender(Written):
    """Who the messages come from."""

    name: str
    address: Address


class Caps(Written):
    """Marketing messages to one lead across all sequences; 0 would mean nobody is written to, so it is refused."""

    per_day: int | None = Field(default=None, ge=1)
    per_7_days: int | None = Field(default=None, ge=1)


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
    #: The CRM beside us: what it is told of leads, and what we hear from it.
    crm: Crm | None = None
    #: Where salespeople are told of hand-offs besides by mail, by name; the addresses are settings.
    chat: Chats = {}
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

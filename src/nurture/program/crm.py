"""`crm:` of program.yaml: which CRM stands beside us, and which side each field belongs to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from nurture.language.source import Written

Kind = Literal["hubspot", "salesforce", "webhook"]
#: What may be exchanged of a lead besides its fields.
TOLD = ("stage", "score", "fit", "status", "owner")
#: Ours alone: the CRM answers hand-offs, and the machines of stages and scores go on from there.
OURS_ALONE = ("email", "stage", "score", "fit")
#: What each CRM calls things where `fields` says nothing else. A webhook calls them as we do.
USUAL: dict[str, dict[str, str]] = {
    "hubspot": {
        "email": "email", "first_name": "firstname", "last_name": "lastname", "company": "company",
        "title": "jobtitle", "phone": "phone", "country": "country", "language": "hs_language",
        "owner": "hubspot_owner_id", "status": "hs_lead_status", "stage": "lifecyclestage",
    },
    "salesforce": {
        "email": "Email", "first_name": "FirstName", "last_name": "LastName", "company": "Company",
        "title": "Title", "phone": "Phone", "owner": "OwnerId", "status": "Status",
    },
    "webhook": {},
}  # fmt: skip
#: HubSpot's own words for stages; it has none for the others, and never moves a contact back.
HUBSPOT_STAGES = {
    "subscriber": "subscriber", "lead": "lead", "mql": "marketingqualifiedlead", "sal": "marketingqualifiedlead",
    "sql": "salesqualifiedlead", "opportunity": "opportunity", "customer": "customer",
}  # fmt: skip
Milestone = Literal["accepted", "met", "sql", "opportunity", "recycled"]


class Owns(Written):
    """Which fields belong to which side: what is ours is told and never heard, what is theirs heard and never told."""

    #: What is told and never heard.
    nurture: list[str] = ["first_name", "last_name", "company", "title"]
    #: What is heard and never told.
    crm: list[str] = ["owner", "phone", "status"]


class Reply(Written):
    """What a word of theirs says of a hand-off, with the reason."""

    #: Why sales does not want it.
    rejected: Literal["inaccurate_data", "not_persona", "premature", "duplicate"] | None = None
    #: Why it was lost, a word of lifecycle.yaml.
    lost: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Reply:
        if (self.rejected is None) == (self.lost is None):
            raise ValueError("neither 'rejected' nor 'lost' is said, or both; write {rejected: premature}")
        return self


#: A word alone, or a rejection or a loss with its reason.
Meaning = Annotated[
    Annotated[Milestone, Tag("word")] | Annotated[Reply, Tag("reason")],
    Discriminator(lambda said: "word" if isinstance(said, str) else "reason"),
]


class Deals(Written):
    """What their deals say of hand-offs; won and lost they say themselves."""

    #: Their stages of a deal to answers of ours, such as `contractsent: sql`; any other open stage: opportunity.
    stages: dict[str, Literal["met", "sql", "opportunity"]] = {}
    #: Their field in which the reason of a lost deal stands.
    lost_reason: str | None = None
    #: Their reasons to those of lifecycle.yaml.
    reasons: dict[str, str] = {}
    #: The reason of a deal that was lost without one, or with one that is not among `reasons`.
    otherwise: str = "no_decision"


class Crm(Written):
    """A CRM beside us: what it is told of leads, and what we hear from it."""

    #: `hubspot`, `salesforce`, or `webhook`: any system that takes signed calls.
    kind: Kind
    #: Where it is reached; HubSpot's own address unless said.
    url: str | None = Field(default=None, pattern=r"^https?://")
    #: Leads are told from this stage on, and followed wherever they go then.
    from_: Literal["lead", "mql", "sal", "sql"] = Field(default="mql", alias="from")
    #: Which fields belong to which side.
    owns: Owns = Owns()
    #: What they call a field of ours, where that is not its usual name: their name to ours.
    fields: dict[str, str] = {}
    #: What they call our stages: ours to theirs; a stage without a word is not told.
    stages: dict[str, str] = {}
    #: What a status of theirs says of the open hand-off, by their word.
    answers: dict[str, Meaning] = {}
    #: What their deals say of hand-offs.
    deals: Deals = Deals()

    def theirs(self, ours: str) -> str | None:
        """What they call a field of ours; None: nobody said."""
        named = next((name for name, field in self.fields.items() if field == ours), None)
        return named or (ours if self.kind == "webhook" else USUAL[self.kind].get(ours))

    @property
    def address(self) -> str:
        """Where it is reached, without a slash at the end."""
        return (self.url or "https://api.hubapi.com").rstrip("/")

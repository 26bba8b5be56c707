"""checks/*.yaml as models: leads, what happens, what is expected."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from nurture.language.source import Written
from nurture.program.check_expected import ONE_SHAPE, Expected, Moment, Span, Start
from nurture.program.topics import Prefers


class Edit(Written):
    """Parts of the program that a check changes for itself: mappings are merged, lists replaced, null takes away."""

    program: dict[str, Any] | None = None
    lifecycle: dict[str, Any] | None = None
    scoring: dict[str, Any] | None = None
    offers: dict[str, Any] | None = None
    #: Of the check's own segment.
    sequence: dict[str, Any] | None = None
    #: Of other segments, new ones among them.
    sequences: dict[str, dict[str, Any]] = {}
    #: File to text; beside the check's sequence unless the name has a folder.
    letters: dict[str, str] = {}


class Cohort(Written):
    """`{count: 1000, like: {email: "lead{n}@acme.example"}}`: leads alike, numbered from 1."""

    count: int = Field(ge=1, le=100_000)
    like: dict[str, Any]

    def leads(self) -> list[dict[str, Any]]:
        """Each of them as it would be written."""
        return [{k: _numbered(v, n) for k, v in self.like.items()} for n in range(1, self.count + 1)]


def _numbered(value: Any, number: int) -> Any:
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


class Answered(Written):
    """`handoff: {rejected: premature}`, `{won: 12000, currency: EUR}`, `{lost: price}`: one answer, and its parts."""

    rejected: Literal["inaccurate_data", "not_persona", "premature", "duplicate"] | None = None
    lost: str | None = None
    opportunity: float | None = Field(default=None, ge=0)
    won: float | None = Field(default=None, ge=0)
    recycled: Literal[True] | None = None
    currency: str | None = None
    note: str | None = None
    until: date | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Answered:
        said = [word for word in _ANSWERED if getattr(self, word) is not None]
        if len(said) != 1:
            raise ValueError(f"a hand-off has one answer, this says {', '.join(said) or 'none'}; say one of {_WORDS}")
        return self

    def parts(self) -> tuple[str, dict[str, Any]]:
        """The answer, and what else is said of it."""
        word = next(word for word in _ANSWERED if getattr(self, word) is not None)
        name = {"rejected": "reason", "lost": "reason", "opportunity": "value", "won": "value"}.get(word)
        more = {"currency": self.currency, "note": self.note, "until": self.until}
        return word, more | ({name: getattr(self, word)} if name else {})


_ANSWERED = ("rejected", "lost", "opportunity", "won", "recycled")
_WORDS = ", ".join(_ANSWERED)


class TagChange(Written):
    """`tags: {add: vip, remove: [cold]}`."""

    add: str | list[str] = []
    remove: str | list[str] = []


#: What can happen: to a lead, and to the program or everybody.
OF_A_LEAD = (
    "event", "opens", "clicks", "replies", "answers", "unsubscribes", "bounces", "complains", "set", "tags", "list",
    "consent",
    "prefers",
    "stage", "status", "suppress", "enrol", "unenrol", "handoff", "done",
)  # fmt: skip
OF_THE_HOUSE = ("publish", "pause", "resume", "stop", "start", "arrives", "relay")


class Event(Written):
    """One thing that happens."""

    at: Moment
    lead: str | None = None
    event: str | None = None
    data: dict[str, Any] = {}
    #: When we hear of the event, if later than `at`.
    recorded: Moment | None = None
    opens: str | None = None
    clicks: str | None = None
    replies: str | None = None
    answers: str | None = None
    by: Literal["person", "machine"] = "person"
    unsubscribes: Literal[True] | None = None
    bounces: str | None = None
    severity: Literal["hard", "soft"] = "hard"
    complains: str | None = None
    set: dict[str, Any] | None = None
    tags: TagChange | None = None
    list: str | None = None
    consent: Literal["withdrawn", "consent", "contract", "legitimate_interest", "soft_opt_in"] | None = None
    prefers: Prefers | None = None
    stage: str | None = None
    status: str | None = None
    suppress: Literal["address", "domain", "lead"] | None = None
    enrol: str | None = None
    unenrol: str | None = None
    handoff: (
        Annotated[
            Annotated[Literal["accepted", "met", "sql", "opportunity", "won", "recycled"], Tag("word")]
            | Annotated[Answered, Tag("mapping")],
            ONE_SHAPE,
        ]
        | None
    ) = None
    done: str | None = None
    publish: Annotated[Annotated[str, Tag("word")] | Annotated[Edit, Tag("mapping")], ONE_SHAPE] | None = None
    pause: str | None = None
    resume: str | None = None
    stop: str | None = None
    start: str | None = None
    arrives: dict[str, Any] | None = None
    relay: Literal["accepts", "refuses", "try_later", "unknown"] | None = None

    @property
    def kind(self) -> str:
        """Which event it is."""
        return next(kind for kind in (*OF_A_LEAD, *OF_THE_HOUSE) if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_thing(self) -> Event:
        kinds = (*OF_A_LEAD, *OF_THE_HOUSE)
        said = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(said) != 1:
            found = ", ".join(said) or "none"
            raise ValueError(f"an event says one thing, this says {found}; use one of {', '.join(kinds)}")
        if said[0] in OF_A_LEAD and self.lead is None:
            raise ValueError("'lead' is missing; say who")
        if said[0] == "answers" and self.data.keys() != {"question", "answer"}:
            raise ValueError("an answer names its question; add data: {question: …, answer: …}")
        if self.recorded is not None and said[0] != "event":
            raise ValueError(f"'recorded' with {said[0]}; only an event can be heard of later")
        return self


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _alike(value: Any) -> str:
    return "cohort" if isinstance(value, Cohort) or (isinstance(value, dict) and "like" in value) else "lead"


Lead = Annotated[Annotated[Cohort, Tag("cohort")] | Annotated[dict[str, Any], Tag("lead")], Discriminator(_alike)]


class Check(Edit):
    """One check."""

    check: str
    start: Start
    leads: Annotated[list[Lead], BeforeValidator(_listed), Field(min_length=1)]
    events: list[Event] = []
    #: While the engine does not run.
    down: Annotated[list[Span], BeforeValidator(_listed)] = []
    until: Moment
    expect: list[Expected] = Field(min_length=1)

    def when(self, moment: datetime | timedelta) -> datetime:
        """A moment of this check as an instant."""
        return (self.start + moment if isinstance(moment, timedelta) else moment).astimezone(UTC)

    def everybody(self) -> list[tuple[int, dict[str, Any]]]:
        """Every lead that is there at the start, with the place in the list that speaks of it."""
        everybody = []
        for index, entry in enumerate(self.leads):
            everybody += [(index, lead) for lead in (entry.leads() if isinstance(entry, Cohort) else [entry])]
        return everybody


__all__ = ["Answered", "Check", "Cohort", "Edit", "Event", "Expected", "TagChange"]

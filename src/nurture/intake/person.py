"""What a source says of one person, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from nurture.folding import fold

#: Columns that whoever brings facts may fill.
TEXTS = (
    "first_name",
    "last_name",
    "company",
    "title",
    "phone",
    "country",
    "language",
    "timezone",
    "status",
    "owner",
)
BUILT_IN = (*TEXTS, "zone", "stage")
#: Newcomers bring these as they are; later a machine decides (`moves`).
MACHINES = ("stage", "status")
#: Characters of an id, its source, a tag, a list's name: they stand in indexes, and PostgreSQL's take 2,704 bytes.
LONGEST_NAME = 200

folded = lru_cache(maxsize=16_384)(fold)

State = Literal["created", "changed", "unchanged"]


@dataclass(slots=True)
class Person:
    """What one source says of one person; what it does not say is absent, never empty."""

    email: str | None
    source: str | None = None
    source_id: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    #: Static lists that the person is put on, folded.
    lists: list[str] = field(default_factory=list)
    #: A basis, or `no`; None: nothing was said.
    mail: str | None = None
    tracking: str | None = None
    sms: str | None = None
    #: Of what it agrees to: `at`, `expires` (microseconds UTC), `source`, `text`; `lasts`: purpose to (months, days).
    #: A purpose's own name: the same of that one alone, and comes before what holds for all.
    terms: dict[str, Any] = field(default_factory=dict)
    #: Of the file it came from.
    lines: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, values: dict[str, Any], tags: Iterable[str] = (), lists: Iterable[str] = (), **more: Any) -> Person:
        """From one dict of built-in columns and custom fields; empty values are left out."""
        known = {name: value for name, value in values.items() if value not in (None, "")}
        columns = {name: known.pop(name) for name in BUILT_IN if name in known}
        stored, on = [folded(tag) for tag in tags], [folded(name) for name in lists]
        return cls(known.pop("email", None), columns=columns, fields=known, tags=stored, lists=on, **more)

    def body(self) -> list[Any]:
        """What `of_body` makes the person of again, as a row that is staged keeps it."""
        said = [self.mail, self.tracking, self.sms, self.terms]
        return [self.email, self.source, self.source_id, self.columns, self.fields, self.tags, self.lists, *said]

    @classmethod
    def of_body(cls, line: int, body: list[Any]) -> Person:
        """The person of a row that stood in line `line`."""
        person = cls(*body)
        person.lines.append(line)
        return person

    @property
    def oversized(self) -> str | None:
        """What is too long to be kept, in a sentence."""
        named = {"source": (self.source,), "id": (self.source_id,), "tag": self.tags, "list": self.lists}
        for what, texts in named.items():
            if any(len(text) > LONGEST_NAME for text in texts if text):
                return f"its {what} has more than {LONGEST_NAME} characters; shorten it"
        return None

    def absorb(self, later: Person) -> None:
        """Apply a later row of the same person on top."""
        self.email = self.email or later.email
        if self.source_id is None and later.source_id is not None:
            self.source, self.source_id = later.source, later.source_id
        self.columns |= later.columns
        self.fields |= later.fields
        self.tags += [tag for tag in later.tags if tag not in self.tags]
        self.lists += [name for name in later.lists if name not in self.lists]
        self.mail, self.tracking = later.mail or self.mail, later.tracking or self.tracking
        self.sms = later.sms or self.sms
        self.terms |= later.terms
        self.lines += later.lines


@dataclass(slots=True)
class Outcome:
    """What became of one person; `problem`: nothing was written; `notes`: something was left as it was."""

    person: Person
    state: State = "unchanged"
    lead_id: int | None = None
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    #: The lead has another address now than before.
    readdressed: bool = False
    has_address: bool = False
    #: There is a basis to write to the lead.
    may_mail: bool = False

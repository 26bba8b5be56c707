"""What is about a person: one description for the dossier, for forgetting and for whoever checks that nothing is left.

Tables that name a lead by `lead_id` are found in the schema itself; the few that name it otherwise stand in OTHERWISE.
Each table has a fate: its rows about a person are removed, or stay with columns emptied, so that the counts stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Table, cast, false, literal, null, or_, select
from sqlmodel import SQLModel, col

from nurture.records import Event, Inbound

TABLES: Mapping[str, Table] = SQLModel.metadata.tables


@dataclass(frozen=True)
class Person:
    """Everything by which somebody is known here; `lead` is None for whom there is no lead."""

    lead: int | None
    addresses: frozenset[str] = frozenset()
    #: Numbers in E.164.
    phones: frozenset[str] = frozenset()
    #: (source, its id there).
    ids: frozenset[tuple[str, str]] = frozenset()
    #: Rows of `inbound` that quote one of the addresses: SQL cannot tell a whole address from a part of another.
    quoted: frozenset[int] = frozenset()


Rows = Callable[[Person], ColumnElement[bool]]


@dataclass(frozen=True)
class Fate:
    """What becomes of rows about somebody who is forgotten: each column stays as it is, or is `emptied` to a value."""

    kept: frozenset[str]
    emptied: Mapping[str, Any] = field(default_factory=dict)


def _fate(kept: str, **emptied: Any) -> Fate:
    return Fate(frozenset(kept.split()), emptied)


def _unique(number: Any) -> ColumnElement[str]:
    """A key that tells nothing, and is no other row's."""
    return literal("forgotten:").concat(cast(number, String))


#: Tables that speak of no lead: the house's own, its programs, what operators decided for everybody.
NOBODY = frozenset(
    {
        "api_key", "enrolment_day", "erasure", "experiment", "hold", "lease", "meta", "opening", "program_version",
        "absence", "account", "crm_state", "mail_domain", "routing_share", "sequence_version", "volume", "zone_span",
    }
)  # fmt: skip

#: Tables whose rows stay when a person is forgotten, since reports count them; any other table's are removed.
FATES: dict[str, Fate] = {
    "lead": _fate(
        "id draw source stage status created_at changed_at forgotten_at",
        email=None, source_id=None, first_name=None, last_name=None, company=None, title=None, phone=None,
        country=None, language=None, timezone=None, zone=None, owner=None, fields={}, folded={}, rests_until=None,
        fit=None, fit_points=0.0, scored_zone=None, account=None, account_score=None,
    ),
    "event": _fate(
        "id lead_id name occurred_at recorded_at ripe_at settled_at actor touch_id source",
        classed_by=None, data={}, key=_unique(col(Event.id)),
    ),
    "consent": _fate(
        "id lead_id purpose basis source wording given_at expires_at withdrawn_at withdrawn_by confirmed_at",
        evidence={},
    ),
    "enrolment": _fate(
        "id lead_id sequence version_id rotation enrolled_by step occurrence path entered_at due_at deadline_at "
        "listening started_at ended_at outcome claim"
    ),
    "touch": _fate(
        "id lead_id enrolment_id sequence version_id step occurrence kind purpose content state reason due_at "
        "allowed_at next_at attempt lease_owner lease_until message_id tracked program_version_id variant arm "
        "planned_at sending_at ended_at resent_at run_id",
        address=None, payload_sha256=None,
    ),
    "audience_member": _fate("lead_id audience wanted told enrolment_id hashes changed_at"),
    "inbound": _fate(
        "id source received_at kind touch_id lead_id severity status outcome",
        digest=_unique(col(Inbound.id)), detail=None,
    ),
    "milestone": _fate("id lead_id name reached_at event_id outcome reason handoff_id"),
    "handoff": _fate(
        "id lead_id cycle milestone sequence state reason owner score fit stage_before opened_at deadline_at "
        "answered_at answered_by program_version_id entrance level routed_by next_at reminded_at escalated_at "
        "instead_of progress progress_at lost_reason value currency",
        note=None,
    ),
    "handoff_answer": _fate("id handoff_id lead_id answer at by reason value currency source key", note=None),
    "status_change": _fate("id lead_id from_status to_status at cause author"),
    "stage_transition": _fate("id lead_id from_stage to_stage at cause author program_version_id"),
    "task": _fate(
        "id lead_id enrolment_id sequence version_id step occurrence owner created_at due_at done_at done_by", text=""
    ),
    "lead_merge": _fate("id lead_id gone_id at by cause detail"),
    "audit": _fate("id at by act subject", detail=None),
    "outbox": _fate(
        "id kind row_id created_at next_at attempt lease_owner message_id done_at", last_error=None
    ),
    "suppression": _fate("id kind value reason source at"),
}  # fmt: skip

#: What a table is called by whoever exports it, where that is not its own name with an s.
_CALLED = {
    "audience_member": "audiences", "audit": "audit", "control": "controls", "enrolment_queue": "queue",
    "inbound": "inbound", "lead_alias": "aliases", "lead_list": "lists", "lead_merge": "merges", "lead_tag": "tags",
    "meta": "meta", "outbox": "outbox", "refusal": "refusals", "score_entry": "scores", "score_sum": "score_sums",
    "stage_transition": "transitions", "touch": "touches", "webhook_body": "webhook_bodies",
    "work": "work",
}  # fmt: skip


def called(table: str) -> str:
    """The word for a table's rows: `consents`, `transitions`."""
    return _CALLED.get(table, f"{table}s")


def by_lead() -> dict[str, str]:
    """Table to column, for every table whose rows name a lead by a column of their own."""
    found = {}
    for name, table in TABLES.items():
        for column in table.columns:
            if column.name == "lead_id" or any(key.column.table.name == "lead" for key in column.foreign_keys):
                found[name] = column.name
    return found


def _of_lead(table: str, column: str) -> Rows:
    return lambda person: _is(TABLES[table].c[column], person)


def _is(column: Any, person: Person) -> ColumnElement[bool]:
    return false() if person.lead is None else column == person.lead


def _theirs(table: str, person: Person, column: str = "id") -> Select[Any]:
    """The numbers of a person's rows in another table."""
    rows = TABLES[table].c
    return select(rows[column]).where(_is(rows.lead_id, person))


def _suppressions(person: Person) -> ColumnElement[bool]:
    row = TABLES["suppression"].c
    own = false() if person.lead is None else (row.kind == "lead") & (row.value == str(person.lead))
    return or_(
        own,
        (row.kind == "address") & row.value.in_(person.addresses),
        (row.kind == "phone") & row.value.in_(person.phones),
    )


def _aliases(person: Person) -> ColumnElement[bool]:
    row = TABLES["lead_alias"].c
    named = [(row.kind == "id") & (row.source == source) & (row.value == value) for source, value in person.ids]
    return or_(_is(row.lead_id, person), (row.kind == "email") & row.value.in_(person.addresses), *named)


def _inbound(person: Person) -> ColumnElement[bool]:
    """What came back from a person; also what was parked, where it quotes one of their addresses."""
    row = TABLES["inbound"].c
    return or_(_is(row.lead_id, person), row.touch_id.in_(_theirs("touch", person)), row.id.in_(sorted(person.quoted)))


def _audit(person: Person) -> ColumnElement[bool]:
    subject, touches = TABLES["audit"].c.subject, TABLES["touch"].c
    if person.lead is None:
        return false()
    merges = TABLES["lead_merge"].c
    named = select(literal("touch:").concat(cast(touches.id, String))).where(touches.lead_id == person.lead)
    before = select(literal("lead:").concat(cast(merges.gone_id, String))).where(merges.lead_id == person.lead)
    return or_(subject == f"lead:{person.lead}", subject.in_(named), subject.in_(before))


def _outbox(person: Person) -> ColumnElement[bool]:
    row = TABLES["outbox"].c
    of = {"handoff_": "handoff", "meeting_": "handoff", "task_notice": "task", "confirmation": "confirmation"}
    kinds = ((row.kind.startswith(kind, autoescape=True), table) for kind, table in of.items())
    return or_(*(kind & row.row_id.in_(_theirs(table, person)) for kind, table in kinds))


#: Tables that name a lead otherwise, or in more ways than by its number.
OTHERWISE: dict[str, Rows] = {
    "lead": lambda person: _is(TABLES["lead"].c.id, person),
    "suppression": _suppressions,
    "lead_alias": _aliases,
    "inbound": _inbound,
    "audit": _audit,
    "outbox": _outbox,
    "control": lambda person: TABLES["control"].c.scope == f"lead:{person.lead}",
    "visit": lambda person: TABLES["visit"].c.visitor_id.in_(_theirs("visitor", person)),
    "webhook_body": lambda person: TABLES["webhook_body"].c.touch_id.in_(_theirs("touch", person)),
    "confirmation": lambda person: or_(
        _is(TABLES["confirmation"].c.lead_id, person), TABLES["confirmation"].c.address.in_(person.addresses)
    ),
    "lead_merge": lambda person: or_(
        _is(TABLES["lead_merge"].c.lead_id, person), _is(TABLES["lead_merge"].c.gone_id, person)
    ),
}


def about() -> dict[str, Rows]:
    """Every table that may speak of a person, each with the condition on its rows; those others name come first."""
    named = {table: _of_lead(table, column) for table, column in by_lead().items()} | OTHERWISE
    return {table.name: named[table.name] for table in SQLModel.metadata.sorted_tables if table.name in named}


def unclassified() -> list[str]:
    """What this description does not know what to do with: tables of no kind, and columns without a fate."""
    known = about().keys() | NOBODY
    odd = [f"table {name}" for name in TABLES if name not in known]
    odd += [f"table {name} is in two kinds" for name in about().keys() & NOBODY]
    for name, fate in FATES.items():
        columns = {column.name for column in TABLES[name].columns}
        said = fate.kept | fate.emptied.keys()
        odd += [f"column {name}.{column}" for column in sorted(columns ^ said)]
    return odd


def removed() -> list[str]:
    """Tables whose rows about a forgotten person go, those that others name last."""
    return [name for name in reversed(about()) if name not in FATES]


def blank(table: str) -> dict[str, Any]:
    """The values that a kept row's emptied columns get."""
    return {name: null() if value is None else value for name, value in FATES[table].emptied.items()}

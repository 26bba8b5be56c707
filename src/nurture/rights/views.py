"""Leads and events as they can be imported again: with what names the person, tags, lists and consents beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal, select
from sqlmodel import SQLModel, col

from nurture.db import Database
from nurture.intake.person import TEXTS
from nurture.language.scores import score
from nurture.language.words import GRADE_OF
from nurture.records import Consent, Lead, LeadList, LeadTag
from nurture.records.types import to_micros
from nurture.rights.export import Row, Sheet, pages, plain
from nurture.rights.marks import EXPORTED
from nurture.rights.schema import TABLES

#: Purpose of a consent to the column that tells of it.
CONSENTS = {"mail": "consent", "tracking": "tracking_consent", "sms": "sms_consent"}
_LETTER_OF = {thirds: letter for letter, thirds in GRADE_OF.items()}


def sheet(db: Database, table: str, fields: Sequence[str], now: datetime) -> Sheet:
    """What is exported of `table`; `fields`: those that program.yaml declares, each a column of leads."""
    if table == "lead":
        return leads(db, fields, now)
    if table == "event":
        return events(db)
    return plain(db, table)


def leads(db: Database, fields: Sequence[str], now: datetime) -> Sheet:
    """Every lead that was not forgotten."""
    columns = [
        "number", "email", "source", "source_id", *TEXTS, "zone", "stage", *(f"fields.{name}" for name in fields),
        "other_fields", "tags", "lists", *CONSENTS.values(), "score", "fit", "created_at", "changed_at", EXPORTED,
    ]  # fmt: skip
    return Sheet(columns, _leads(db, fields, now))


def _leads(db: Database, fields: Sequence[str], now: datetime) -> Iterator[Row]:
    for page in pages(db, TABLES["lead"]):
        shown = [row for row in page if row["forgotten_at"] is None]
        ids = [row["id"] for row in shown]
        with db.read() as link:
            tags, lists = _listed(link, LeadTag, "tag", ids), _listed(link, LeadList, "list", ids)
            agreed, points = _agreed(link, ids, now), _scores(link, ids, now)
        for row in shown:
            number, own = row["id"], row["fields"]
            yield {
                "number": number,
                **{name: row[name] for name in ("email", "source", "source_id", *TEXTS, "zone", "stage")},
                **{f"fields.{name}": own.get(name) for name in fields},
                "other_fields": {name: value for name, value in own.items() if name not in fields} or None,
                "tags": tags[number] or None,
                "lists": lists[number] or None,
                **agreed[number],
                "score": points.get(number),
                "fit": _LETTER_OF.get(row["fit"]),
                "created_at": row["created_at"],
                "changed_at": row["changed_at"],
                EXPORTED: "leads",
            }


def _listed(link: Connection, table: type[SQLModel], name: str, ids: Sequence[int]) -> dict[int, list[str]]:
    rows = TABLES[str(table.__tablename__)].c
    found: dict[int, list[str]] = defaultdict(list)
    query = select(rows.lead_id, rows[name]).where(rows.lead_id.in_(ids)).order_by(rows.lead_id, rows[name])
    for lead, value in link.execute(query):
        found[lead].append(value)
    return found


def _agreed(link: Connection, ids: Sequence[int], now: datetime) -> dict[int, dict[str, str | None]]:
    """By lead and column: a basis that is valid, `no` where there was one, None where there was never any."""
    found: dict[int, dict[str, str | None]] = defaultdict(lambda: dict.fromkeys(CONSENTS.values()))
    query = select(
        col(Consent.lead_id), col(Consent.purpose), col(Consent.basis), col(Consent.expires_at),
        col(Consent.withdrawn_at),
    )  # fmt: skip
    for row in link.execute(query.where(col(Consent.lead_id).in_(ids)).order_by(col(Consent.id))):
        valid = row.withdrawn_at is None and (row.expires_at is None or row.expires_at > now)
        said = found[row.lead_id]
        column = CONSENTS[row.purpose]
        if valid and said[column] in (None, "no"):
            said[column] = row.basis
        elif said[column] is None:
            said[column] = "no"
    return found


def _scores(link: Connection, ids: Sequence[int], now: datetime) -> dict[int, Any]:
    query = select(col(Lead.id), score(literal(to_micros(now)))).where(col(Lead.id).in_(ids))
    return {int(number or 0): points for number, points in link.execute(query)}


def events(db: Database) -> Sheet:
    """Every event of whoever was not forgotten, with the address or id of its lead as it is now."""
    own = [column.name for column in TABLES["event"].columns]
    return Sheet([*own, "email", "lead_source", "lead_source_id", EXPORTED], _events(db))


def _events(db: Database) -> Iterator[Row]:
    """Event and lead are read by one statement: a merge between two would leave events of nobody."""
    event, lead = TABLES["event"], TABLES["lead"]
    whose = [lead.c.email, lead.c.source.label("lead_source"), lead.c.source_id.label("lead_source_id")]
    query = select(event, *whose).join(lead, lead.c.id == event.c.lead_id).where(lead.c.forgotten_at.is_(None))
    for page in pages(db, event, query=query):
        for row in page:
            yield {**row, EXPORTED: "events"}

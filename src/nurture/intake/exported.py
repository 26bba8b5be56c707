"""Rows of our own exports: every value comes back as it was, in its own type and under its own source."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nurture.intake import values
from nurture.intake.agreements import NO
from nurture.intake.columns import Kind, Plan
from nurture.intake.mapping import ConsentColumn
from nurture.intake.person import TEXTS, Person
from nurture.intake.reader import Record
from nurture.intake.report import Refusal
from nurture.program.lifecycle import Lifecycle
from nurture.records.types import to_micros
from nurture.rights.marks import EXPORTED

_FIELD = "fields."
#: Columns that tell of a lead and cannot be brought back: they follow from the rest, or count from one here.
_DERIVED = ("number", "zone", "other_fields", "score", "fit", "created_at", "changed_at", EXPORTED)
_CONSENTS = {"consent": "mail", "tracking_consent": "tracking", "sms_consent": "sms"}
_READ: dict[str, Callable[[str], str]] = {
    "country": values.country, "language": values.language, "owner": values.email,
}  # fmt: skip
_DAYS = values.Dates()


def plan(names: Sequence[str], fields: Mapping[str, Kind]) -> Plan:
    """Which columns of an export are read; of the others it is said that they are not used."""
    own = {"email": "email", "id": "source_id", **{name: name for name in TEXTS}}
    own |= {name: f"{_FIELD}{name}" for name in fields}
    found = Plan({ours: column for ours, column in own.items() if column in names})
    found.consent = ConsentColumn("consent")
    used = {*found.columns.values(), *_CONSENTS, *_DERIVED, "source", "stage", "tags", "lists"}
    found.unused = [name for name in names if name not in used and not name.startswith("other_fields.")]
    return found


def person(record: Record, fields: Mapping[str, Kind], lifecycle: Lifecycle) -> tuple[Person, list[Refusal]]:
    """What a row of `nurture export leads` says, and every cell that was changed into something unreadable."""
    cells, found, problems = record.cells, Person(None), list[Refusal]()

    def take(column: str, put: Callable[[Any], None]) -> None:
        value = cells.get(column)
        if value is None or value == "":
            return
        try:
            put(value)
        except ValueError as problem:
            problems.append(Refusal(record.line, column, str(problem), str(value)))

    take("email", lambda value: setattr(found, "email", values.email(value)))
    take("source_id", lambda value: setattr(found, "source_id", values.line_of_text(str(value))))
    found.source = str(cells.get("source") or "") or None
    for name in TEXTS:
        read = _READ.get(name, values.line_of_text) if name != "status" else lambda text: values.status(text, lifecycle)
        take(name, lambda value, name=name, read=read: found.columns.update({name: read(str(value))}))  # type: ignore[misc]
    take("stage", lambda value: found.columns.update(stage=values.stage(value)))
    take("zone", lambda value: found.columns.update(zone=values.zone(value)))
    for name, kind in fields.items():
        take(f"{_FIELD}{name}", lambda value, name=name, kind=kind: found.fields.update({name: _typed(kind, value)}))  # type: ignore[misc]
    take("tags", lambda value: found.tags.extend(map(values.tag, _several(value))))
    take("lists", lambda value: found.lists.extend(map(values.tag, _several(value))))
    for column, purpose in _CONSENTS.items():
        take(column, lambda value, purpose=purpose: setattr(found, purpose, _basis(value)))  # type: ignore[misc]
    if not problems and found.email is None and found.source_id is None:
        problems.append(Refusal(record.line, "email", "is empty, and no other column says who this is"))
    return found, problems


def event(record: Record) -> list[Any] | None:
    """[e-mail, id of the lead, name, microseconds, key, data, [source, source of the lead, actor, why]].

    None: an event of the house itself, whose keys are numbers of rows there. Raises ValueError, KeyError, TypeError.
    """
    cells = record.cells
    if cells["actor"] == "system":
        return None
    data = cells.get("data")
    if data is None:  # a nested object of NDJSON came as dotted names
        data = json.loads(record.text)["data"] if record.text.startswith("{") else {}
    else:
        data = json.loads(data)
    more = [cells["source"], cells.get("lead_source") or None, cells["actor"], cells.get("classed_by") or None]
    at = to_micros(_DAYS.instant(cells["occurred_at"]))
    email = cells.get("email") or None
    whose = None if email else str(cells.get("lead_source_id") or "") or None
    if email is None and whose is None:
        raise ValueError("names nobody")
    own = cells["source"] == "unsubscribe"  # its keys are numbers of leads there
    return [email, whose, cells["name"], at, f"exported:{email or whose}:{at}" if own else cells["key"], data, more]


def _typed(kind: Kind, value: Any) -> Any:
    if kind == "text":
        return str(value)
    if kind == "date":
        return _DAYS.day(str(value))
    if kind == "flag":
        return value if isinstance(value, bool) else values.flag(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        number = json.loads(value, parse_constant=str)
    except ValueError:
        return values.number(value)  # somebody's spreadsheet has written it anew
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("is not a number")
    return number


def _several(value: Any) -> list[str]:
    """A list as JSON, or as a person would write it."""
    if isinstance(value, list):
        return [str(one) for one in value]
    if value.startswith("["):
        return [str(one) for one in json.loads(value)]
    return [part for part in (part.strip() for part in value.split(";")) if part]


def _basis(value: str) -> str:
    if value not in (NO, *values.BASES):
        raise ValueError(f"is none of {', '.join(values.BASES)}, {NO}")
    return value

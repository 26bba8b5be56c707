"""The mapping file: what a source calls things, in a page of YAML."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nurture.errors import FileFault
from nurture.intake.values import BASES

_MAX_BYTES = 1 << 20
_MAX_ALIASES = 50


@dataclass(frozen=True)
class ConsentColumn:
    """Which column says whether a person may be written to (or followed), and in which words."""

    column: str
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    basis: str | None = None


@dataclass(frozen=True)
class EventName:
    """One name for all rows, or a column of names with their meaning here."""

    fixed: str | None = None
    column: str | None = None
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapping:
    """A mapping file, read. Everything is optional; columns are named as in the file's header."""

    source: str | None = None
    id: str | None = None
    #: Our field to their column.
    fields: dict[str, str] = field(default_factory=dict)
    #: Cells that mean: not answered.
    unanswered: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    #: Formats of strptime, tried in order; none: ISO 8601.
    dates: tuple[str, ...] = ()
    #: Of dates that name none.
    zone: str | None = None
    consent: ConsentColumn | None = None
    tracking: ConsentColumn | None = None
    sms: ConsentColumn | None = None
    event: EventName | None = None
    #: `email` or `id`, and the column that has it.
    lead: tuple[str, str] | None = None
    at: str | None = None
    #: Our name in the event's data to their column; None: whatever is left.
    data: dict[str, str] | None = None
    #: Whether an id that is known with another address tells of a change of address.
    changed_addresses: bool = False

    @property
    def columns(self) -> list[str]:
        """Every column that it names."""
        named = [self.id, self.at, *self.fields.values(), *(self.data or {}).values(), *self.ignore]
        named += [part.column for part in (self.consent, self.tracking, self.sms, self.event) if part]
        return [name for name in [*named, self.lead and self.lead[1]] if name]


def read_mapping(path: Path) -> Mapping:
    """The mapping file at `path`; raises FileFault naming the key and the way out."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise FileFault(f"{path}: cannot be read ({problem.strerror}); check its name and rights") from None
    if len(data) > _MAX_BYTES:
        raise FileFault(f"{path}: has more than 1 MB; a mapping file is a page")
    try:
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, _Plain))
        if aliases > _MAX_ALIASES:
            raise FileFault(f"{path}: has {aliases} aliases; a mapping file needs none")
        read = yaml.load(data, _Plain)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        raise FileFault(f"{path}{where}: is not YAML as we read it: {said}; mend that line") from None
    return _Reading(path).mapping({} if read in (None, "") else read)


class _Plain(yaml.CSafeLoader):
    """YAML in which every word is text: `no:` is a key, `Yes` and 01 are what they look like."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key, _ in reversed(node.value) if keys.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice.value}' is said twice", twice.start_mark)
        return super().construct_mapping(node, deep)


class _Reading:
    """Turns plain YAML into a Mapping, naming the file and the key in every complaint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fault(self, said: str) -> FileFault:
        return FileFault(f"{self.path}: {said}")

    def mapping(self, raw: Any) -> Mapping:
        self._keys("the file", raw, Mapping.__dataclass_fields__)
        zone = self._text(raw, "zone")
        if zone is not None and zone not in zoneinfo.available_timezones():
            raise self.fault(f"zone: '{zone}' is not a time zone; write one like Europe/London")
        return Mapping(
            source=self._text(raw, "source"),
            id=self._text(raw, "id"),
            fields=self._pairs(raw, "fields"),
            unanswered=self._list(raw, "unanswered"),
            ignore=self._list(raw, "ignore"),
            dates=self._dates(raw),
            zone=zone,
            consent=self._consent(raw, "consent"),
            tracking=self._consent(raw, "tracking"),
            sms=self._consent(raw, "sms"),
            event=self._event(raw),
            lead=self._lead(raw),
            at=self._text(raw, "at"),
            data=self._pairs(raw, "data") if "data" in raw else None,
            changed_addresses=self._flag(raw, "changed_addresses"),
        )

    def _keys(self, where: str, raw: Any, known: Sequence[str] | dict[str, Any]) -> None:
        if not isinstance(raw, dict):
            raise self.fault(f"{where} must be 'key: value' lines; keys are {', '.join(known)}")
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(str(key), list(known), 1)
                hint = f"did you mean '{near[0]}'?" if near else f"keys are {', '.join(known)}"
                raise self.fault(f"{where} has '{key}', which is not known here; {hint}")

    def _text(self, raw: dict[str, Any], key: str) -> str | None:
        value = raw.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.fault(f"{key}: must be one word or name")
        return value

    def _flag(self, raw: dict[str, Any], key: str) -> bool:
        value = raw.get(key, "no")
        if value not in ("yes", "no"):
            raise self.fault(f"{key}: is yes or no")
        return bool(value == "yes")

    def _list(self, raw: dict[str, Any], key: str) -> tuple[str, ...]:
        value = raw.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(part, str) for part in values):
            raise self.fault(f"{key}: must be a list like [Select, unknown]")
        return tuple(values)

    def _pairs(self, raw: dict[str, Any], key: str) -> dict[str, str]:
        value = raw.get(key) or {}
        if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
            raise self.fault(f"{key}: must be pairs of our name and their column, like {{path: Page URL}}")
        return value

    def _dates(self, raw: dict[str, Any]) -> tuple[str, ...]:
        forms = self._list(raw, "dates")
        for form in forms:
            if "%" not in form:
                raise self.fault(f"dates: '{form}' is no date format; write one like \"%d/%m/%Y %H:%M\"")
        return forms

    def _consent(self, raw: dict[str, Any], key: str) -> ConsentColumn | None:
        value = raw.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return ConsentColumn(value)
        self._keys(key, value, ConsentColumn.__dataclass_fields__)
        column, basis = self._text(value, "column"), self._text(value, "basis")
        if column is None:
            raise self.fault(f"{key}: names no column; write {key}: {{column: NAME}}")
        if basis is not None and basis not in BASES:
            raise self.fault(f"{key}: basis '{basis}' is not one of {', '.join(BASES)}")
        yes, no = (frozenset(word.casefold() for word in self._list(value, word)) for word in ("yes", "no"))
        return ConsentColumn(column, yes, no, basis)

    def _event(self, raw: dict[str, Any]) -> EventName | None:
        value = raw.get("event")
        if value is None:
            return None
        if isinstance(value, str):
            return EventName(fixed=value)
        self._keys("event", value, ["column", "names"])
        column = self._text(value, "column")
        if column is None:
            raise self.fault("event: write a name, or {column: NAME, names: {OPEN: email_opened}}")
        return EventName(column=column, names={k.casefold(): v for k, v in self._pairs(value, "names").items()})

    def _lead(self, raw: dict[str, Any]) -> tuple[str, str] | None:
        value = raw.get("lead")
        if value is None:
            return None
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("email", "id"):
            raise self.fault("lead: must be {email: COLUMN} or {id: COLUMN}")
        key, column = next(iter(value.items()))
        if not isinstance(column, str):
            raise self.fault(f"lead: {key} must name one column")
        return key, column

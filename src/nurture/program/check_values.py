"""What may be wrong with a value that somebody wrote, by its kind: a country, a stage, a status, a domain, a date …"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from functools import cache
from typing import Any

from babel import Locale

from nurture.language.source import Path, Source, nearest, suggest
from nurture.language.words import DOMAIN_KINDS
from nurture.program.lifecycle import STAGES, Lifecycle


def declare(name: str, known: Collection[str], where: str) -> str:
    """What was probably meant, else what is known, and where a new one is declared."""
    if not known:
        return f"declare it under {where}"
    said = suggest(name, known)
    return said if nearest(name, known) else f"{said}; or declare it under {where}"


def statuses_of(lifecycle: Source) -> Sequence[str] | None:
    """The statuses that a lead may have, as `Lifecycle.known_statuses` says it; None: they cannot be read."""
    written = lifecycle.at(("statuses",))
    if written is None:
        return None if lifecycle.value is None else Lifecycle().known_statuses
    words = [word for word in written if isinstance(word, str)] if isinstance(written, list) else None
    return None if words is None else Lifecycle(statuses=words).known_statuses


def check_status(source: Source, path: Path, value: Any, known: Sequence[str] | None) -> None:
    """Note each status of `value`, one or a list, that lifecycle.yaml does not have."""
    for index, word in enumerate(value if isinstance(value, list) else [value]):
        if isinstance(word, str) and known is not None and word not in known:
            place = (*path, index) if isinstance(value, list) else path
            source.complain(place, f"there is no status '{word}'", declare(word, known, "statuses: in lifecycle.yaml"))


Fault = tuple[str, str] | None


def country_fault(value: Any) -> Fault:
    """Countries are kept as ISO codes, so nothing else ever compares equal."""
    if value in _countries() or not isinstance(value, str):
        return None
    by_name = {name.casefold(): code for code, name in _countries().items()} | {"uk": "GB", "usa": "US"}
    meant = by_name.get(value.casefold()) or (value.upper() if value.upper() in _countries() else None)
    return (
        f"'{value}' is not the code of a country",
        f"did you mean '{meant}'?" if meant else "write RO, GB …",
    )


@cache
def _countries() -> dict[str, str]:
    names = Locale("en").territories
    odd = ("EU", "EZ", "UN", "ZZ", "QO", "XA", "XB")
    return {code: name for code, name in names.items() if len(code) == 2 and code.isalpha() and code not in odd}


def _stage_fault(value: Any) -> Fault:
    return None if value in STAGES else (f"there is no stage '{value}'", suggest(str(value), STAGES))


def _domain_fault(value: Any) -> Fault:
    """What stands behind the @."""
    if not isinstance(value, str):
        return f"'{value}' is not text", "write acme.example"
    alone = value.rpartition("@")[2].strip("*.")
    if alone != value or "." not in value or " " in value:
        return f"'{value}' is not a domain", f"write {alone if '.' in alone else 'acme.example'}"
    return None


def _kind_fault(value: Any) -> Fault:
    return (
        None if value in DOMAIN_KINDS else (f"there is no kind of domain '{value}'", suggest(str(value), DOMAIN_KINDS))
    )


def _number_fault(value: Any) -> Fault:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number else (f"'{value}' is not a number", "write it in digits, without quotes")


def _flag_fault(value: Any) -> Fault:
    return None if isinstance(value, bool) else (f"'{value}' is not true or false", "write true or false")


def date_fault(value: Any) -> Fault:
    """A date of the calendar as ISO text, or what is wrong with it."""
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return f"'{value}' is not a date", "write 2026-03-02"
    return None


#: Kind of a value to what may be wrong with one.
FAULTS = {
    "country": country_fault,
    "stage": _stage_fault,
    "domain": _domain_fault,
    "domain_kind": _kind_fault,
    "number": _number_fault,
    "flag": _flag_fault,
    "date": date_fault,
}


def value_fault(kind: str, value: Any) -> Fault:
    """What is wrong with `value` for a field of this kind."""
    if kind == "text":
        return None if isinstance(value, str) else (f"'{value}' is not text", f'write "{value}"')
    return FAULTS[kind](value) if kind in FAULTS else None

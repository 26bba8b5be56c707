"""What conditions ask of a lead's address: its domain, whose kind of domain that is, and the account that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlmodel import col

from nurture.dialects import domain_of
from nurture.folding import fold
from nurture.language import conditions as c
from nurture.records import Lead, MailDomain


def of_the_address(
    test: c.Field, operators: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]]
) -> ColumnElement[bool]:
    """`domain`, which means what stands under it as well, `domain_kind` as it was looked up, and `account`."""
    domain = domain_of(col(Lead.email))
    kind = select(col(MailDomain.kind)).where(col(MailDomain.domain) == domain).correlate(Lead).scalar_subquery()
    value: Any = {"domain": domain, "domain_kind": kind, "account": col(Lead.account)}[test.name]
    if test.operator == "known":
        known: ColumnElement[bool] = value.is_not(None) if test.value else value.is_(None)
        return known
    several = isinstance(test.value, tuple)
    names = tuple(fold(str(name)) for name in (test.value if several else (test.value,)))
    if test.name != "domain":
        return operators[test.operator](value, names if several else names[0])
    inside = or_(domain.in_(names), *(domain.endswith(f".{name}", autoescape=True) for name in names))
    return ~inside if test.operator == "not" else inside

"""What an invariant is: a name, queries that find who breaks it, what that means and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, literal, select

from nurture.engine.live import Library


@dataclass(frozen=True)
class Context:
    """What queries are built from. Statements may use NOW, the machine's present instant."""

    link: Connection
    library: Library
    now: datetime


@dataclass(frozen=True)
class Invariant:
    """`queries` give rows of (what it is, its number, its lead or NULL, what is wrong with it)."""

    name: str
    means: str
    remedy: str
    queries: Callable[[Context], Iterable[Select[Any]]]


def offender(what: str, number: Any, lead: Any, said: Any) -> Select[Any]:
    """The four columns of a query; `said` may be an expression."""
    wrong = literal(said) if isinstance(said, str) else said
    return select(literal(what).label("what"), number.label("number"), lead.label("lead"), wrong.label("said"))

"""Running statements: each is built once per published version and run many times with an instant and a claim.

Building a statement costs ten times what running it costs, so a plan (one statement, or a tuple of them) is kept by
its name for as long as its version is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, select
from sqlmodel import col

from nurture.dialects import FEW
from nurture.engine.live import Live
from nurture.records import Work
from nurture.records.types import CLAIM, to_micros

P = TypeVar("P")

#: The leads of a settle run, as a SELECT of ids.
CLAIMED: Select[Any] = select(col(Work.lead_id)).prefix_with(FEW).where(col(Work.claim) == CLAIM)


@dataclass(frozen=True)
class Run:
    """One transaction's worth of statements: the connection, what is published, the instant, the claim."""

    link: Connection
    live: Live
    now: datetime
    claim: str = ""
    #: The enrolments that a movement carries, as `jsonsql.listed` writes them; None: a statement that asks for them
    #: raises.
    carried: str | None = None

    def __call__(self, statement: Any, **more: Any) -> Any:
        """Run `statement` with NOW, CLAIM, CARRIED if there is any, and `more` as its parameters."""
        at = {"at_now": to_micros(self.now), "at_claim": self.claim, **more}
        if self.carried is not None:
            at["at_carried"] = self.carried
        # psycopg tells how many rows an INSERT wrote only while its cursor is open
        return self.link.execute(statement, at, execution_options={"preserve_rowcount": True})

    def plan(self, name: tuple[Any, ...], build: Callable[[], P]) -> P:
        """What `build` makes, made once; `name` says all that it depends on besides the house's version."""
        key, plans = (self.live.house.id, *name), self.live.library.plans
        if key not in plans:
            plans[key] = build()
        made: P = plans[key]
        return made

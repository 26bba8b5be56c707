"""Goodbyes in the middle of a batch: a permit is given for two hundred at once, and somebody may say no meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import String, cast, literal, or_, select
from sqlmodel import col

from nurture import clock
from nurture.db import Database
from nurture.engine.permit import is_over
from nurture.records import Control, Enrolment, Touch
from nurture.records.types import CLAIM

#: Seconds for which it is known who has said goodbye.
_FRESH = 0.005
#: Few are held by name: PostgreSQL reads them once, and not again for each touch.
_HELD = (literal("lead:") + cast(col(Touch.lead_id), String)).in_(select(col(Control.scope)))
_GONE = (
    select(col(Touch.id))
    .join_from(Touch, Enrolment, col(Enrolment.id) == col(Touch.enrolment_id))
    .where(col(Touch.lease_owner) == CLAIM, col(Touch.state) == "sending", or_(is_over(), _HELD))
)


@dataclass
class Goodbyes:
    """Who said goodbye since the permit of this batch, or was paused or stopped by name: no body begins for them.

    Several lines may ask at once; one of them asks the database, and the others wait for what it hears.
    """

    db: Database
    owner: str
    #: Since when it is known, and who.
    _known: tuple[float, frozenset[int]] = (-1.0, frozenset())
    _seen: object = None
    _asking: Lock = field(default_factory=Lock)

    def now(self) -> frozenset[int]:
        """The touches concerned; asked of the database anew after a few milliseconds."""
        if clock.monotonic() - self._known[0] > _FRESH:
            self._ask(clock.monotonic() - _FRESH)
        return self._known[1]

    def _ask(self, since: float) -> None:
        with self._asking:
            if self._known[0] >= since:  # another line has asked meanwhile
                return
            asked, seen = clock.monotonic(), self.db.written()
            if seen == self._seen:
                self._known = asked, self._known[1]
                return
            with self.db.read() as link:
                found = link.execute(_GONE, {"at_claim": self.owner}).scalars()
                self._known = asked, frozenset(touch for touch in found if touch is not None)
            self._seen = seen

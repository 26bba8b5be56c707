"""On what basis leads may be written to and followed, as stored and as a source says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, literal, select, update
from sqlmodel import SQLModel

from nurture.intake.shapes import quoted
from nurture.records.types import Instant
from nurture.steps.sms import e164

if TYPE_CHECKING:
    from nurture.intake.person import Person

#: Said instead of a basis: do not.
NO = "no"
#: What a lead may agree to: letters, text messages, that we see which links it opens.
PURPOSES = ("mail", "sms", "tracking")
_LEAD = SQLModel.metadata.tables["lead"]
_CONSENT = SQLModel.metadata.tables["consent"]


class Agreements:
    """The consents of some leads; what is said is collected and written at once.

    A withdrawal stands: what a file says later does not bring a consent back, since the file may be older.
    """

    def __init__(self, link: Connection, lead_ids: Sequence[int], now: datetime) -> None:
        self.link, self.now = link, now
        self.active: dict[tuple[int, str], set[str]] = {}
        self.withdrawn: set[tuple[int, str]] = set()
        self._given: dict[tuple[str, str], list[int]] = {}
        self._taken: list[tuple[int, str]] = []
        if not lead_ids:
            return
        for row in link.execute(select(_CONSENT).where(_CONSENT.c.lead_id.in_(lead_ids))):
            if row.withdrawn_at is not None:
                self.withdrawn.add((row.lead_id, row.purpose))
            elif row.expires_at is None or row.expires_at > now:
                self.active.setdefault((row.lead_id, row.purpose), set()).add(row.basis)

    def may_mail(self, lead_id: int) -> bool:
        """Whether there is a basis to write to the lead."""
        return bool(self.active.get((lead_id, "mail")))

    def stays_withdrawn(self, lead_id: int, person: Person) -> bool:
        """Whether `person` says yes where the lead has said no."""
        return any(said not in (None, NO) and self._closed(lead_id, purpose) for purpose, said in _said(person))

    def differ(self, lead_id: int, person: Person) -> bool:
        """Whether anything would be written."""
        return any(self._news(lead_id, purpose, said) for purpose, said in _said(person))

    def say(self, lead_id: int, person: Person) -> None:
        """Take in what `person` says, to be written."""
        for purpose, said in _said(person):
            if said is None or not self._news(lead_id, purpose, said):
                continue
            if said == NO:
                self._taken.append((lead_id, purpose))
                self.active.pop((lead_id, purpose))
                self.withdrawn.add((lead_id, purpose))
                continue
            self.active.setdefault((lead_id, purpose), set()).add(said)
            self._given.setdefault((purpose, said), []).append(lead_id)

    def write(self, origin: str) -> None:
        """Write what was said; `origin` is the source that the consents name."""
        for purpose in PURPOSES:
            leads = [lead_id for lead_id, which in self._taken if which == purpose]
            if leads:
                open_ = (
                    _CONSENT.c.lead_id.in_(leads) & (_CONSENT.c.purpose == purpose) & _CONSENT.c.withdrawn_at.is_(None)
                )
                self.link.execute(update(_CONSENT).where(open_).values(withdrawn_at=self.now))
        for (purpose, basis), leads in self._given.items():
            columns = {"purpose": purpose, "basis": basis, "source": origin}
            stated = [literal(value) for value in columns.values()]
            rows = select(_LEAD.c.id, *stated, literal(self.now, Instant())).where(_LEAD.c.id.in_(leads))
            self.link.execute(_CONSENT.insert().from_select(["lead_id", *columns, "given_at"], rows))

    def _closed(self, lead_id: int, purpose: str) -> bool:
        return (lead_id, purpose) in self.withdrawn and not self.active.get((lead_id, purpose))

    def _news(self, lead_id: int, purpose: str, said: str | None) -> bool:
        active = self.active.get((lead_id, purpose), set())
        if said == NO:
            return bool(active)
        return said is not None and said not in active and not self._closed(lead_id, purpose)


def _said(person: Person) -> list[tuple[str, str | None]]:
    return [(purpose, getattr(person, purpose)) for purpose in PURPOSES]


def unreached(person: Person) -> str | None:
    """A remark, where somebody agrees to text messages and has no phone that they could come to."""
    phone = person.columns.get("phone")
    if person.sms in (None, NO) or e164(phone) is not None:
        return None
    said = f"{quoted(phone)} has no country code (write +40…)" if phone else "there is no phone"
    return f"agreed to text messages, but {said}: they will be suppressed(no_phone)"

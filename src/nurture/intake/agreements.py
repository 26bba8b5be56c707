"""On what basis leads may be written to and followed, as stored and as a source says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, literal, select, update
from sqlmodel import SQLModel

from nurture.errors import FileFault
from nurture.intake import values
from nurture.intake.mapping import ConsentColumn
from nurture.intake.shapes import quoted, squeeze
from nurture.program.consents import Consents, Lifetime
from nurture.records.types import Instant, from_micros, to_micros
from nurture.steps.sms import e164

if TYPE_CHECKING:
    from nurture.intake.person import Person

#: Said instead of a basis: do not.
NO = "no"
#: Said instead of a basis for a whole file: import without one.
NO_BASIS = "none"
#: What a lead may agree to: letters, text messages, that we see which links it opens.
PURPOSES = ("mail", "sms", "tracking")
#: Columns that say more of all that a row agrees to, and what a person's terms call it.
TERMS = {"consent_at": "at", "consent_source": "source", "consent_text": "text", "consent_expires": "expires"}
_LEAD = SQLModel.metadata.tables["lead"]
_CONSENT = SQLModel.metadata.tables["consent"]


class Agreements:
    """The consents of some leads; what is said is collected and written at once.

    A withdrawal stands: what a file says later does not bring a consent back, since the file may be older.
    """

    def __init__(self, link: Connection, lead_ids: Sequence[int], now: datetime) -> None:
        self.link, self.now = link, now
        self.active: dict[tuple[int, str], set[str]] = {}
        #: When each basis was given last, as far as we know.
        self.latest: dict[tuple[int, str, str], datetime] = {}
        self.withdrawn: set[tuple[int, str]] = set()
        self._given: dict[tuple[str, str], list[int]] = {}
        self._dated: list[dict[str, Any]] = []
        self._taken: list[tuple[int, str]] = []
        if not lead_ids:
            return
        for row in link.execute(select(_CONSENT).where(_CONSENT.c.lead_id.in_(lead_ids))):
            which = (row.lead_id, row.purpose, row.basis)
            self.latest[which] = max(row.given_at, self.latest.get(which, row.given_at))
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
        return any(self._news(lead_id, purpose, said, _terms(person, purpose)) for purpose, said in _said(person))

    def say(self, lead_id: int, person: Person) -> None:
        """Take in what `person` says, to be written."""
        for purpose, said in _said(person):
            terms = _terms(person, purpose)
            if said is None or not self._news(lead_id, purpose, said, terms):
                continue
            if said == NO:
                self._taken.append((lead_id, purpose))
                self.active.pop((lead_id, purpose))
                self.withdrawn.add((lead_id, purpose))
                continue
            row = self._row(terms, purpose)
            if row["expires_at"] is None or row["expires_at"] > self.now:
                self.active.setdefault((lead_id, purpose), set()).add(said)
            which = (lead_id, purpose, said)
            self.latest[which] = max(row["given_at"], self.latest.get(which, row["given_at"]))
            if terms:
                self._dated.append({"lead_id": lead_id, "purpose": purpose, "basis": said, "evidence": {}, **row})
            else:
                self._given.setdefault((purpose, said), []).append(lead_id)

    def write(self, origin: str) -> None:
        """Write what was said; `origin` is the source that the consents name."""
        for purpose in PURPOSES:
            leads = [lead_id for lead_id, which in self._taken if which == purpose]
            if leads:
                open_ = (
                    _CONSENT.c.lead_id.in_(leads) & (_CONSENT.c.purpose == purpose) & _CONSENT.c.withdrawn_at.is_(None)
                )
                gone = {"withdrawn_at": self.now, "withdrawn_by": origin}
                self.link.execute(update(_CONSENT).where(open_).values(**gone))
        for (purpose, basis), leads in self._given.items():
            columns = {"purpose": purpose, "basis": basis, "source": origin}
            stated = [literal(value) for value in columns.values()]
            rows = select(_LEAD.c.id, *stated, literal(self.now, Instant())).where(_LEAD.c.id.in_(leads))
            self.link.execute(_CONSENT.insert().from_select(["lead_id", *columns, "given_at"], rows))
        if self._dated:
            self.link.execute(_CONSENT.insert(), [{**row, "source": row["source"] or origin} for row in self._dated])

    def _row(self, terms: Mapping[str, Any], purpose: str) -> dict[str, Any]:
        """What a row of a consent says besides its basis."""
        given_at = from_micros(terms["at"]) if "at" in terms else self.now
        expires_at = from_micros(terms["expires"]) if "expires" in terms else None
        if expires_at is None and purpose in terms.get("lasts", ()):
            expires_at = Lifetime(*terms["lasts"][purpose]).end(given_at)
        said = {"source": terms.get("source"), "wording": terms.get("text")}
        return {"given_at": given_at, "expires_at": expires_at, **said}

    def _closed(self, lead_id: int, purpose: str) -> bool:
        return (lead_id, purpose) in self.withdrawn and not self.active.get((lead_id, purpose))

    def _news(self, lead_id: int, purpose: str, said: str | None, terms: Mapping[str, Any]) -> bool:
        active = self.active.get((lead_id, purpose), set())
        if said == NO:
            return bool(active)
        if said is None or self._closed(lead_id, purpose):
            return False
        latest = self.latest.get((lead_id, purpose, said))
        if latest is not None and "at" in terms:  # of a later day than the one we know, or known already
            return from_micros(terms["at"]) > latest
        return said not in active


def term(name: str, text: str, dates: values.Dates) -> int | str:
    """The cell of one of TERMS: an instant in microseconds, or text. Raises ValueError, and TwoWays for the file."""
    return values.line_of_text(text) if name in ("consent_source", "consent_text") else to_micros(dates.instant(text))


def keep_lasting(person: Person, consents: Consents) -> None:
    """How long the person's bases last, as `consents:` of program.yaml says."""
    lasts = {purpose: consents.expires.get(said) for purpose, said in _said(person) if said not in (None, NO)}  # type: ignore[call-overload]
    known = {purpose: (one.months, one.days) for purpose, one in lasts.items() if one is not None}
    if known:
        person.terms["lasts"] = known


def _said(person: Person) -> list[tuple[str, str | None]]:
    return [(purpose, getattr(person, purpose)) for purpose in PURPOSES]


def _terms(person: Person, purpose: str) -> dict[str, Any]:
    """What the person says of its consent to `purpose`: what holds for all, and over it what is said of this one."""
    return {**person.terms, **person.terms.get(purpose, {})}


def unasked(path: Path, addresses: int | None) -> FileFault:
    """That a file of addresses says nothing of consent; how many addresses, if they were counted."""
    whose = "its" if addresses is None else f"{addresses:,}"
    return FileFault(
        f"{path}: {whose} leads have e-mail addresses, "
        "and nothing says that they may be written to.\n"
        "  A column says it:    name it 'consent', or in a mapping file  consent: {column: NAME}\n"
        f"  It holds for all:    --consent {' | '.join(values.BASES)}\n"
        f"  They may not:        --consent {NO_BASIS}  (scored and handed over, never mailed)\n"
        "Nothing was imported."
    )


def stated(column: ConsentColumn, text: str, yes: str) -> str | None:
    """The basis that a cell states, `no`, or None where it is silent; `yes`: what a yes means. Raises ValueError."""
    if not text:
        return None
    word, yes = text.casefold(), column.basis or yes
    if column.yes or column.no:
        if word in column.yes or word in column.no:
            return yes if word in column.yes else NO
        if column.yes and column.no:
            raise ValueError("is neither in the mapping file's yes nor in its no")
        return NO if column.yes else yes
    named = next((basis for basis in values.BASES if squeeze(basis) == squeeze(text)), None)
    return named or (yes if values.flag(text) else NO)


def unreached(person: Person) -> str | None:
    """A remark, where somebody agrees to text messages and has no phone that they could come to."""
    phone = person.columns.get("phone")
    if person.sms in (None, NO) or e164(phone) is not None:
        return None
    said = f"{quoted(phone)} has no country code (write +40…)" if phone else "there is no phone"
    return f"agreed to text messages, but {said}: they will be suppressed(no_phone)"

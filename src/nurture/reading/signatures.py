"""Whose signature under the definitions still stands, and what has changed under those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.dialects import text_in
from nurture.program.agreed import Agreed, Signed, digest, read_agreed, signatures
from nurture.program.load import House
from nurture.reading.definitions import sections
from nurture.reading.parts import differences
from nurture.records import ProgramVersion

STANDS, VOID, UNPUBLISHED = "stands", "void", "not published yet"
#: Where the digests differ, and the sentences do not.
_ELSE = "something has changed that these sentences do not tell"


@dataclass(frozen=True)
class Edition:
    """Definitions that were published, and the first program version that had them so."""

    number: int
    published_at: datetime
    #: None: today's language no longer reads them.
    agreed: Agreed | None


@dataclass(frozen=True)
class Standing:
    """A signature and what it is worth: it counts from the first published version in which it stands.

    A version of the day of its date that says something else, published later, is signed with it: days have no order
    within.
    """

    signed: Signed
    #: stands, void or not published yet.
    state: str
    version: int | None = None
    published_at: datetime | None = None


@dataclass(frozen=True)
class Latest:
    """The program version that is live."""

    id: int
    number: int
    published_at: datetime


def latest(link: Connection) -> Latest | None:
    """What is live; None before the first publication."""
    columns = (col(ProgramVersion.id), col(ProgramVersion.number), col(ProgramVersion.published_at))
    row = link.execute(select(*columns).order_by(col(ProgramVersion.number).desc()).limit(1)).one_or_none()
    return None if row is None else Latest(int(row.id or 0), row.number, row.published_at)


def editions(link: Connection) -> list[Edition]:
    """Each wording of the definitions that was ever published, oldest first: a row for each, however many versions."""
    files = col(ProgramVersion.files)
    texts = select(
        text_in(files, "lifecycle.yaml").label("lifecycle"), text_in(files, "scoring.yaml").label("scoring"),
        col(ProgramVersion.number).label("number"), col(ProgramVersion.published_at).label("published_at"),
    ).subquery()  # fmt: skip
    first = func.min(texts.c.number)
    query = select(texts.c.lifecycle, texts.c.scoring, first, func.min(texts.c.published_at)).group_by(
        texts.c.lifecycle, texts.c.scoring
    )
    return [
        Edition(number, at, read_agreed(_text(lifecycle), _text(scoring)))
        for lifecycle, scoring, number, at in link.execute(query.order_by(first))
    ]


def _text(written: str | None) -> str:
    """A file as the loader takes it: one that is not there, or blank, says nothing."""
    return written if written is not None and written.strip() else "{}"


def standings(house: House, published: Sequence[Edition], draft_at: datetime | None = None) -> list[Standing]:
    """What each signature of `house` is worth under the definitions of `house`.

    `draft_at`: now, if `house` may still be published: on the day of its date a signature counts from then on.
    """
    wanted, zone = digest(house.lifecycle, house.scoring), ZoneInfo(house.program.zone)
    found = []
    for signed in signatures(house.lifecycle):
        under = _under(signed, published, zone)
        same = next((one for one in under if one.agreed and one.agreed.digest == wanted), None)
        if same is not None:
            found.append(Standing(signed, STANDS, same.number, same.published_at))
        elif not under or (draft_at is not None and draft_at.astimezone(zone).date() <= signed.date):
            found.append(Standing(signed, UNPUBLISHED))
        else:
            found.append(Standing(signed, VOID, under[-1].number, under[-1].published_at))
    return found


def _under(signed: Signed, published: Sequence[Edition], zone: ZoneInfo) -> list[Edition]:
    """The editions that a signature was given for: the first in which it stands, and all others of its day."""
    theirs = [one for one in published if one.agreed and signed in signatures(one.agreed.lifecycle)]
    return theirs[:1] + [one for one in theirs[1:] if one.published_at.astimezone(zone).date() <= signed.date]


def changed_since(version: int, house: House, published: Sequence[Edition]) -> list[str]:
    """What `house` defines otherwise than program version `version` did, a sentence each; none: nothing."""
    then = next((one.agreed for one in published if one.number == version), None)
    if then is None:
        return [_ELSE]
    if then.digest == digest(house.lifecycle, house.scoring):
        return []
    before, after = sections(then.lifecycle, then.scoring), sections(house.lifecycle, house.scoring)
    return differences(before, after) or [_ELSE]


def made_void(old: House, new: House, published: Sequence[Edition], now: datetime | None = None) -> list[Signed]:
    """Signatures that stand in both and are worth something in `old` alone: what publishing `new` `now` costs."""
    valid = {one.signed for one in standings(old, published) if one.state == STANDS}
    return [one.signed for one in standings(new, published, now) if one.state == VOID and one.signed in valid]

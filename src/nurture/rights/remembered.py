"""Who was forgotten is remembered by a digest alone: HMAC-SHA256 under the installation's secret (the pepper).

Whoever reads the database cannot list addresses from it, nor try them out; we can tell a known one when it comes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.records import Erasure
from nurture.rights.schema import Person
from nurture.tokens import Keys

#: What the digests are keyed for.
_NAME = "erasure"


def id_name(source: str, source_id: str) -> str:
    """An id of another system, as its digest is made of."""
    return f"{source} {source_id}"


def phone_name(phone: str) -> str:
    """A number in E.164, as its digest is made of."""
    return f"tel:{phone}"


def names(person: Person) -> list[str]:
    """What somebody was known by, as digests are made of it."""
    found = [*person.addresses, *(id_name(*own) for own in person.ids), *(phone_name(one) for one in person.phones)]
    return sorted(found)


@dataclass(frozen=True)
class Remembered:
    """The digests of the forgotten, under the machine's keys."""

    keys: Keys

    def digest(self, name: str) -> str:
        """Of a canonical address, `source id` or `tel:number`; by the newest secret."""
        return self.keys.digests(_NAME, name)[0]

    def digests(self, name: str) -> list[str]:
        """The same by every secret that is still known."""
        return self.keys.digests(_NAME, name)

    def since(self, link: Connection, wanted: Iterable[str]) -> dict[str, datetime]:
        """Those of `wanted` (addresses, `source id`, `tel:number`) that were forgotten, and when last."""
        if link.execute(select(col(Erasure.id)).limit(1)).first() is None:
            return {}
        whose = {digest: name for name in set(wanted) for digest in self.digests(name)}
        if not whose:
            return {}
        query = select(col(Erasure.digest), func.max(col(Erasure.at))).where(col(Erasure.digest).in_(whose))
        found: dict[str, datetime] = {}
        for digest, at in link.execute(query.group_by(col(Erasure.digest))):
            found[whose[digest]] = max(at, found.get(whose[digest], at))
        return found

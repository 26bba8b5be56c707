"""Keys of websites and systems that tell us things: a row each, and the key sealed from the row's number.

Nothing secret is stored: `nk_` and the sealed number is the key, and what signs its calls is derived from its name.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from nurture.engine import audit
from nurture.errors import NotFound, Refused
from nurture.records import ApiKey
from nurture.tokens import BadToken, Keys

#: site: stands in a page for all to read. server: a secret of another system.
KINDS = ("site", "server")
PREFIX = "nk_"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
#: Sources of the house's own facts; what comes with a key is known by the key's name.
_OURS = frozenset(
    {"check", "click", "confirmation", "import", "mail", "mailbox", "nurture", "objection", "sales", "unsubscribe"}
)


@dataclass(frozen=True)
class Known:
    """A key that is valid: its row's number, its name, its kind."""

    id: int
    name: str
    kind: str


def add(link: Connection, name: str, kind: str, by: str, now: datetime) -> int:
    """Make a key; the number of its row. Raises Refused for a name that cannot be used or has been."""
    if kind not in KINDS:
        raise Refused(f"'{kind}' is no kind of key; write {' or '.join(KINDS)}")
    if not _NAME.fullmatch(name) or name in _OURS:
        raise Refused(
            f"'{name}' cannot name a key: it is the source of the facts that come with it; write up to 60 small "
            f"letters, digits, - and _, and none of {', '.join(sorted(_OURS))}"
        )
    if link.execute(select(col(ApiKey.id)).where(col(ApiKey.name) == name)).first() is not None:
        raise Refused(f"there is, or was, a key '{name}'; choose another name, so that facts keep one source")
    row = {"name": name, "kind": kind, "created_at": now, "created_by": by}
    number: Any = link.execute(insert(ApiKey).values(**row).returning(col(ApiKey.id))).scalar_one()
    audit.note(link, "key_added", f"key:{name}", by, now, {"kind": kind})
    return int(number)


def revoke(link: Connection, name: str, by: str, now: datetime) -> bool:
    """End a key; False if that was done before. Raises NotFound."""
    mine = col(ApiKey.name) == name
    if link.execute(select(col(ApiKey.id)).where(mine)).first() is None:
        raise NotFound(f"there is no key '{name}'; 'nurture key list' lists them")
    done = link.execute(update(ApiKey).where(mine, col(ApiKey.revoked_at).is_(None)).values(revoked_at=now))
    if done.rowcount:
        audit.note(link, "key_revoked", f"key:{name}", by, now)
    return bool(done.rowcount)


def listed(link: Connection) -> list[dict[str, Any]]:
    """Every key there has been, the oldest first; `revoked` is empty while it is valid."""
    rows = link.execute(select(ApiKey.__table__).order_by(col(ApiKey.id)))  # type: ignore[attr-defined]
    return [
        {"name": row.name, "kind": row.kind, "created": _said(row.created_at), "by": row.created_by,
         "revoked": _said(row.revoked_at)}
        for row in rows
    ]  # fmt: skip


def written(keys: Keys, number: int) -> str:
    """The key of this row, as it is sent."""
    return PREFIX + keys.seal("key", number)


def opened(link: Connection, keys: Keys, text: str) -> Known | None:
    """Whose key `text` is; None for one that is unknown or revoked."""
    if not text.startswith(PREFIX):
        return None
    try:
        number, _ = keys.open("key", text.removeprefix(PREFIX))
    except BadToken:
        return None
    return _valid(link, col(ApiKey.id) == number)


def named(link: Connection, name: str) -> Known | None:
    """The valid key of this name."""
    return None if not _NAME.fullmatch(name) else _valid(link, col(ApiKey.name) == name)


def signings(keys: Keys, name: str) -> list[bytes]:
    """What may sign the calls of a server key (Standard Webhooks), 32 bytes each: by every secret, the newest first."""
    return keys.signings(f"events {name}")


def secret(keys: Keys, name: str) -> str:
    """The newest as Standard Webhooks writes a symmetric secret."""
    return f"whsec_{base64.b64encode(signings(keys, name)[0]).decode()}"


def _valid(link: Connection, which: Any) -> Known | None:
    query = select(col(ApiKey.id), col(ApiKey.name), col(ApiKey.kind)).where(which, col(ApiKey.revoked_at).is_(None))
    row = link.execute(query).one_or_none()
    return None if row is None else Known(row.id, row.name, row.kind)


def _said(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}Z"

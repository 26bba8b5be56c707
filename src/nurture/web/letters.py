"""Where the links of a letter that was sent lead: read from the bytes of the version it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from nurture.engine.live import Library
from nurture.mail.faults import MessageFault
from nurture.mail.templates import Templates
from nurture.mail.utm import tagged
from nurture.program.load import House, Segment
from nurture.program.utm import tags

#: Pairs of a program's and a sequence's version whose letters stay compiled; beyond it, all are compiled anew.
_KEPT = 50


class Letters:
    """The templates of the versions that touches were made of, compiled once each."""

    def __init__(self, library: Library, public_url: str) -> None:
        self._library, self._ours = library, public_url
        self._templates: dict[tuple[int, int], Templates] = {}

    def target(self, link: Connection, touch: Any, place: int) -> str | None:
        """The address behind link `place` of the letter that `touch` was; None if there is none to follow."""
        if touch.variant is None:
            return None
        house, segment = self.house(link, touch), self._library.segment(link, touch.version_id)
        templates = self._of(house, segment)
        try:
            found = templates.link_target(touch.variant, place)
        except (LookupError, MessageFault):
            return None
        utm = tags(house.program.utm, segment.spec.utm, house.program.name, segment.slug, touch.step)
        found = tagged(found, utm, self._ours)
        return found if followable(found) else None

    def piece(self, link: Connection, touch: Any) -> Mapping[str, Any] | None:
        """The piece of the library that `touch` offered, as it stood then."""
        return self.house(link, touch).piece(touch.content) if touch.kind == "offer" else None

    def house(self, link: Connection, touch: Any) -> House:
        """The program version that the letter was rendered with."""
        version = touch.program_version_id
        return self._library.house(link, version) if version is not None else self._library.live(link).house

    def _of(self, house: House, segment: Segment) -> Templates:
        key = (house.id, segment.id)
        known = self._templates.get(key)
        if known is None:
            if len(self._templates) >= _KEPT:
                self._templates = {}  # another thread may be reading the old one
            known = self._templates[key] = Templates({**house.files, **segment.files})
        return known


def followable(url: str) -> bool:
    """Whether a visitor may be sent there: the web, and nothing that could end the header early."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(c in url for c in "\r\n\0")

"""A message as its reader has it: parsed from the bytes that the relay kept, nothing looked up elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser
from typing import cast
from urllib.parse import urlsplit

from nurture.channels.mailbox import Kept

_TASK = re.compile(r"nurture done (\d+)")


@dataclass(frozen=True)
class Link:
    """What can be clicked: where it leads, and its words."""

    url: str
    text: str

    @property
    def door(self) -> str:
        """`c`, `o`, `f`, `u` or `h` for a door of the house; empty for a page elsewhere."""
        parts = urlsplit(self.url)
        first = parts.path.split("/")[1] if parts.path.count("/") > 1 else ""
        return first if parts.hostname == "127.0.0.1" else ""


@dataclass(frozen=True)
class Letter:
    """One received message. `sequence`: what its List-Id begins with; `automatic`: a notice of the house."""

    to: str
    message_id: str
    at: datetime
    subject: str
    sequence: str
    automatic: bool
    links: tuple[Link, ...]
    unsubscribe: str | None
    reply_to: str
    #: Number of the task that it asks a salesperson to do.
    task: int | None = None

    @property
    def tracked(self) -> bool:
        """Whether its links are followed by the house: only with the reader's consent."""
        return any(link.door == "c" for link in self.links)

    def doors(self, *kinds: str) -> list[Link]:
        """Its links of these kinds, in order."""
        return [link for link in self.links if link.door in kinds]


def opened(kept: Kept) -> Letter:
    """The message, read as a mail program reads it."""
    message = message_from_bytes(kept.payload)
    reader, task = _Links(), None
    for part in message.walk():
        if part.get_content_type() == "text/html":
            html = cast(bytes, part.get_payload(decode=True)).decode()
            task = _TASK.search(html)
            reader.feed(html)
    return Letter(
        to=kept.to[0],
        message_id=message["Message-ID"],
        at=parsedate_to_datetime(message["Date"]).astimezone(UTC),
        subject=str(make_header(decode_header(message["Subject"]))),
        sequence=message.get("List-Id", "").strip("<>").partition(".")[0],
        automatic="Auto-Submitted" in message,
        links=tuple(reader.found),
        unsubscribe=message.get("List-Unsubscribe", "").strip("<> ") or None,
        reply_to=parseaddr(message.get("Reply-To", ""))[1],
        task=int(task[1]) if task else None,
    )


def message_id(kept: Kept) -> str:
    """Its Message-ID alone."""
    head = kept.payload.partition(b"\r\n\r\n")[0]
    return str(message_from_bytes(head)["Message-ID"])


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Link] = []
        self._open: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (url := dict(attrs).get("href")) and "hidden" not in dict(attrs):
            self._open = (url, [])

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            url, words = self._open
            self.found.append(Link(url, " ".join("".join(words).split())))
            self._open = None

"""What a message that a rehearsal kept says to its reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cached_property
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from nurture.engine.machine import Machine
from nurture.mail.templates import Templates
from nurture.program.load import House
from nurture.tokens import BadToken

_HREF = re.compile(r'href="([^"]+)"(?! hidden)')
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Letter:
    """One message as it left. `touch`: its row; `payload`: its bytes."""

    machine: Machine
    touch: Any
    payload: bytes

    @cached_property
    def _message(self) -> EmailMessage:
        return message_from_bytes(self.payload, policy=policy.default)

    @property
    def subject(self) -> str:
        """The subject."""
        return str(self._message["Subject"] or "")

    @property
    def sender(self) -> tuple[str, str]:
        """(name, address) of From."""
        return parseaddr(str(self._message["From"] or ""))

    @property
    def reply_to(self) -> str:
        """The address of Reply-To, else of From."""
        return parseaddr(str(self._message["Reply-To"] or self._message["From"] or ""))[1]

    @cached_property
    def _html(self) -> str:
        part = self._message.get_body(("html",))
        return "" if part is None else str(part.get_content())

    @cached_property
    def text(self) -> str:
        """What is read, in one line: of both parts; of what is no mail, all of it."""
        if not self._message["From"]:
            return " ".join(self.payload.decode("utf-8", "replace").split())
        part = self._message.get_body(("plain",))
        plain = "" if part is None else str(part.get_content())
        return " ".join(f"{plain} {unescape(_TAG.sub(' ', self._html))}".split())

    @cached_property
    def links(self) -> list[str]:
        """Where its links lead; a link of our own as its path, without the token."""
        return [self._target(unescape(link)) for link in _HREF.findall(self._html)]

    def _target(self, link: str) -> str:
        if not link.startswith(f"{self.machine.public_url}/"):
            return link
        path = urlsplit(link).path
        kind, _, token = path[1:].partition("/")
        if kind == "f":
            return path
        if kind == "o":
            piece = self._house.piece(str(self.touch["content"]))
            return str(piece["url"]) if piece else path
        if kind != "c":
            return f"/{kind}"
        try:
            _, place = self.machine.keys.open("click", token)
            return self._templates.link_target(str(self.touch["variant"]), place)
        except (BadToken, LookupError):
            return path

    @cached_property
    def _house(self) -> House:
        with self.machine.db.read() as link:
            return self.machine.library.house(link, self.touch["program_version_id"])

    @cached_property
    def _templates(self) -> Templates:
        with self.machine.db.read() as link:
            segment = self.machine.library.segment(link, self.touch["version_id"])
        return Templates({**self._house.files, **segment.files})

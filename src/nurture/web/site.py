"""What the doors share: the machine, who is asking, and the rows that tokens name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.notices import Claimed
from nurture.errors import DatabaseFault, NotPublished
from nurture.records import Lead, Touch
from nurture.tokens import BadToken, Purpose
from nurture.web.pages import Sign
from nurture.web.visitors import MovingWindow
from nurture.web.words import spoken, wished

log = logging.getLogger("nurture.web")
Fetch = Callable[[str], bytes]
#: Of the touch and its lead, what the pages say.
_TOUCH = (
    col(Touch.id), col(Touch.lead_id), col(Touch.version_id), col(Touch.variant), col(Touch.kind),
    col(Touch.content), col(Touch.step),
    col(Touch.address), col(Touch.tracked), col(Touch.program_version_id), col(Lead.language),
    col(Lead.email), col(Lead.forgotten_at),
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """The public app's surroundings."""

    machine: Machine
    #: Forms that one visitor may send.
    forms_by_visitor: MovingWindow
    #: Forms that may name one e-mail address.
    forms_by_address: MovingWindow
    #: Forms of one visitor that are sent back to be mended.
    forms_refused: MovingWindow
    #: Fetches what proves a service's report; None: over the network.
    fetch: Fetch | None = None

    def live(self, link: Connection) -> Live:
        """What is published. Raises NotPublished."""
        return self.machine.library.live(link)

    def opened(self, purpose: Purpose, token: str) -> tuple[int, int]:
        """(row, item) of a token; 404 for one that is not ours."""
        try:
            return self.machine.keys.open(purpose, token)
        except BadToken:
            raise HTTPException(404) from None

    def touch(self, link: Connection, touch: int) -> Any:
        """The touch with its lead's language and address; 404 if it is gone."""
        query = select(*_TOUCH).join(Lead, col(Lead.id) == col(Touch.lead_id)).where(col(Touch.id) == touch)
        row = link.execute(query).one_or_none()
        if row is None:
            raise HTTPException(404)
        return row

    def surroundings(self, request: Request) -> tuple[str, Sign]:
        """(language, sign) of a page about nothing in particular; it never fails."""
        language = wished(request.headers.get("accept-language"))
        try:
            program = self.machine.live().house.program
        except (NotPublished, DatabaseFault):
            return spoken(language), Sign()
        return spoken(language, program.language), Sign.of(program)

    def afterwards(self, claimed: Claimed | None = None) -> BackgroundTask:
        """Have salespeople and platforms told once the answer is on its way; a tick does what this cannot.

        `claimed`: what the door took when it wrote it.
        """

        def drain() -> None:
            try:
                self.machine.drain(self.machine.now(), claimed)
            except Exception:
                log.exception("notices wait for the next tick")

        return BackgroundTask(drain)


def masked(address: str | None) -> str:
    """`an…@acme.example`: enough for who owns it."""
    local, at, domain = (address or "").partition("@")
    return f"{local[:2]}…{at}{domain}" if at else "…"

"""The notice to a salesperson: drained from the outbox at least once, always with the same Message-ID."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any

from sqlalchemy import Connection, literal, select, update
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Channel, Journal, Parcel
from nurture.clock import Clock
from nurture.db import Database
from nurture.engine import chatting, confirming, consents, tasks
from nurture.engine.heart import Heart
from nurture.engine.live import Library, Live
from nurture.engine.parcels import brand_of
from nurture.engine.reader import Reader, member
from nurture.engine.recording import BACKOFF
from nurture.engine.story import tell
from nurture.engine.telling_sales import (
    ACCEPT,
    ANSWERS,
    FIRST,
    KINDS,
    PAGE,
    base_kind,
    letter_names,
    notice_names,
    recipient,
    wanted,
)
from nurture.engine.workers import Journals, claim_of
from nurture.failpoints import reach
from nurture.mail import plain_notice
from nurture.mail.addresses import ascii_domain, one_address
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.faults import MessageFault
from nurture.mail.render import NOTICE, Renderer
from nurture.records import Handoff, Outbox
from nurture.records.types import EPOCH
from nurture.tokens import Keys

log = logging.getLogger("nurture.notices")
#: Notices to sales have a built-in form, sent where the program's own cannot be made; how `last_error` then begins.
SALES = ("handoff_notice", tasks.NOTICE)
PLAINLY = "sent in its built-in form: "
_FOR_EVER = float("inf")
#: A claimed notice is another's after this long, unless its holder puts that off.
_LEASE = timedelta(minutes=2)
#: What a door has claimed is, if it does not come to send it.
_DOOR_LEASE = timedelta(seconds=10)
#: Seconds that chats may take of one round: who drains the outbox has mail to send again soon.
_CHAT_SECONDS = 10.0
#: One thread of a process tells chats at a time, so that a slow one holds up no other.
_CHATTING = Lock()


@dataclass(frozen=True)
class Claimed:
    """Rows of the outbox that one worker has taken, as (id, kind, row, attempt): nobody else sends them meanwhile."""

    owner: str
    rows: list[tuple[int, str, int, int]]
    #: `clock.monotonic()` before they were taken, and for how long they were.
    asked: float
    lease: timedelta


@dataclass
class Desk:
    """Sends what the outbox holds for salespeople."""

    db: Database
    library: Library
    channel: Channel
    journal: Journal
    clock: Clock
    keys: Keys
    public_url: str
    worker: str
    journals: Journals
    heart: Heart
    #: Looked at before each notice: an operator's stop of everything.
    stopped: Callable[[], bool]
    signer: Signer | None
    chat: Channel

    def drain(self, limit: int = 100) -> int:
        """Send every mail that is due, then tell the chats; how many mails left. What a dead worker had claimed is due
        at once.
        """
        self._take_over()
        sent = self._round(limit, ~chatting.CHATS, _FOR_EVER)
        if _CHATTING.acquire(blocking=False):  # else another thread is at it, and takes what this one would
            try:
                self._round(1, chatting.CHATS, _CHAT_SECONDS)
            finally:
                _CHATTING.release()
        return sent

    def _round(self, limit: int, which: Any, seconds: float) -> int:
        """Send what is due of `which`, claimed `limit` at a time, beginning nothing after `seconds`; how many left."""
        sent, until = 0, clock.monotonic() + seconds
        while clock.monotonic() < until and not self.stopped() and self._anything_due(which):
            now = self.clock.now()
            claimed = self.db.transact(lambda link, now=now: self._claim(link, now, _LEASE, limit, which), door=True)  # type: ignore[misc]
            if not claimed.rows:
                break
            sent += self.send(claimed)
        return sent

    def claim_new(self, link: Connection, since: datetime) -> Claimed:
        """What this transaction itself has put into the outbox, at `since`: a door that has waited for the database to
        write it need not wait a second time to take it. If the door then fails, anybody has it in ten seconds.
        """
        return self._claim(link, since, _DOOR_LEASE, 100, col(Outbox.created_at) >= since, ~chatting.CHATS)

    def send(self, claimed: Claimed) -> int:
        """Send what is claimed; how many left."""
        sent = 0
        if claimed.rows:
            reach("notice_claimed")
        renew = partial(self._renew, claimed.owner)
        with self.heart.keep(renew, claimed.lease.total_seconds(), claimed.asked) as beat:
            for row in claimed.rows:
                if beat.sure() and not self.stopped():
                    sent += self._send(*row)
        return sent

    def _anything_due(self, which: Any) -> bool:
        """Asked before writing: most rounds find nothing, and need not wait for a tick that writes much."""
        due = select(literal(1)).where(col(Outbox.next_at) <= self.clock.now(), which).limit(1)
        with self.db.read() as link:
            return link.execute(due).first() is not None

    def _take_over(self) -> None:
        """Notices that a dead worker had claimed are due now."""
        claimed = _open_row() & col(Outbox.lease_owner).is_not(None)
        with self.db.read() as link:
            owners = link.execute(select(col(Outbox.lease_owner)).where(claimed).distinct()).scalars().all()
        dead, now = self.journals.dead_among(owner for owner in owners if owner), self.clock.now()
        if dead:
            free = update(Outbox).where(claimed, col(Outbox.lease_owner).in_(dead))
            self.db.transact(lambda link: link.execute(free.values(next_at=now, lease_owner=None)), door=True)

    def _renew(self, owner: str) -> bool:
        """Put off when others may have what is claimed; False when nothing is left of it."""
        until = self.clock.now() + _LEASE
        put_off = update(Outbox).where(_open_row(), col(Outbox.lease_owner) == owner).values(next_at=until)
        return self.db.transact(lambda link: link.execute(put_off).rowcount, door=True) > 0

    def _claim(self, link: Connection, due_at: datetime, lease: timedelta, limit: int, *where: Any) -> Claimed:
        owner, until, asked = claim_of(self.worker), self.clock.now() + lease, clock.monotonic()
        due = select(col(Outbox.id)).where(col(Outbox.next_at) <= due_at, *where).order_by(col(Outbox.next_at))
        due = due.limit(limit).with_for_update(skip_locked=True)
        claim = update(Outbox).where(col(Outbox.id).in_(due)).values(lease_owner=owner, next_at=until)
        columns = (col(Outbox.id), col(Outbox.kind), col(Outbox.row_id), col(Outbox.attempt))
        taken = link.execute(claim.returning(*columns))
        rows = [(int(outbox or 0), kind, row, attempt) for outbox, kind, row, attempt in taken]
        if any(base_kind(kind) in KINDS for _, kind, _, _ in rows):
            chatting.also_by_chat(link, self.library.live(link), rows, due_at)
        return Claimed(owner, sorted(rows), asked, lease)

    def _send(self, outbox: int, kind: str, row: int, attempt: int) -> int:
        now, why = self.clock.now(), None
        try:
            try:
                parcel = self._parcel(outbox, kind, row, now)
            except MessageFault as fault:
                if kind != tasks.NOTICE and base_kind(kind) not in KINDS:
                    raise
                why = f"{PLAINLY}{fault}"[:200]
                log.error("notice goes out in its built-in form kind=%s row=%d problem=%s", kind, row, fault)
                parcel = self._parcel(outbox, kind, row, now, plain=True)
            if parcel is None:
                self._note(outbox, {"done_at": now, "next_at": None, "last_error": "not wanted any more"})
                return 0
        except MessageFault as fault:
            later = now + timedelta(hours=1)
            self._note(
                outbox,
                {"attempt": attempt + 1, "last_error": str(fault)[:200], "next_at": later, "lease_owner": None},
            )
            log.error("notice cannot be rendered kind=%s row=%d problem=%s", kind, row, fault)
            return 0
        way = self.chat if chatting.is_chat(kind) else self.channel
        receipt = way.deliver([parcel], self.journal, lambda *_: False)[0]
        if receipt.verdict == "accepted":
            reach("notice_sent")
            self._note(
                outbox, {"done_at": self.clock.now(), "next_at": None, "message_id": parcel.key, "last_error": why}
            )
            reach("notice_noted")
            return 1
        pause = timedelta(seconds=receipt.wait) if receipt.wait is not None else BACKOFF * 3 ** min(attempt, 4)
        self._note(
            outbox,
            {"attempt": attempt + 1, "last_error": receipt.detail[:200], "next_at": now + pause, "lease_owner": None},
        )
        log.warning("notice not accepted kind=%s row=%d verdict=%s", kind, row, receipt.verdict)
        return 0

    def _note(self, outbox: int, values: dict[str, object]) -> None:
        self.db.transact(
            lambda link: link.execute(update(Outbox).where(col(Outbox.id) == outbox).values(**values)), door=True
        )

    def _parcel(self, outbox: int, kind: str, number: int, now: datetime, *, plain: bool = False) -> Parcel | None:
        """The message of a row; None: it is not wanted any more. `plain`: as it is built in. Raises MessageFault."""
        with self.db.read() as link:
            live = self.library.live(link)
            if kind == tasks.NOTICE:
                told = tasks.notice(link, live, number, self.keys, self.public_url, now, built_in=plain)
            elif kind == consents.LETTER:
                asked = confirming.letter(link, live, number, self.keys, self.public_url, now)
                if asked is None:
                    return None
                told = asked
            elif chatting.is_chat(kind):
                return chatting.parcel(link, live, outbox, kind, number, self.keys, self.public_url, now)
            else:
                found = self._handoff(link, live, kind, number, now, plain)
                if found is None:
                    return None
                told = found
        program = live.house.program
        sender = one_address(program.sender.address, "From")
        message_id = self.keys.message_id(outbox, ascii_domain(sender), "n")
        payload = compose(
            told.rendered,
            from_name=told.from_name or program.name,
            from_address=sender,
            to=told.to,
            message_id=message_id,
            date=now,
            reply_to=told.reply_to,
            automatic=True,
            signer=self.signer,
        )
        return Parcel(-outbox, message_id, sender, one_address(told.to), payload)

    def _handoff(
        self, link: Connection, live: Live, kind: str, handoff: int, now: datetime, plain: bool
    ) -> tasks.Notice | None:  # fmt: skip
        """The letter that tells of a hand-off; None: what it would say is so no more. `plain`: as it is built in."""
        row = link.execute(select(Handoff.__table__).where(col(Handoff.id) == handoff)).one()  # type: ignore[attr-defined]
        house = live.house
        to = recipient(house, kind, row)
        if to is None or not wanted(kind, row):
            return None
        story, person = tell(link, live, row.lead_id, now), member(house, to)
        names = letter_names(link, house, story, row, person, self.keys, self.public_url, now, kind)
        names["plain"] = Reader.of(house, person).filled("plain", brand=house.program.name)
        file = plain_notice.TEMPLATE if plain else NOTICE if base_kind(kind) == FIRST else plain_notice.REMINDER
        built_in = plain or (file == plain_notice.REMINDER and not house.templates.variants(file))
        templates = plain_notice.built_in() if built_in else house.templates
        renderer = Renderer(templates, brand_of(house), self.keys, self.public_url)
        rendered = renderer.notice(names, Reader.of(house, person).language, file)
        return tasks.Notice(to, rendered, story.lead["email"] if to == row.owner else row.owner)


def _open_row() -> Any:
    """What is not done, as the index on `next_at` finds it: among all that ever was sent there are few."""
    return col(Outbox.next_at) >= EPOCH


__all__ = ["ACCEPT", "ANSWERS", "PAGE", "PLAINLY", "SALES", "Claimed", "Desk", "notice_names"]

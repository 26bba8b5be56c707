"""Notices by chat: each has a row of the outbox of its own beside that of the mail, and says the same in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.channels.base import Parcel
from nurture.channels.chat_cards import CARDS, Message
from nurture.dialects import upsert
from nurture.engine.live import Live
from nurture.engine.reader import member
from nurture.engine.story import tell as tell_story
from nurture.engine.telling_sales import KINDS, base_kind, letter_names, recipient, wanted
from nurture.mail.direction import isolated
from nurture.program.chat import place_of
from nurture.program.load import House
from nurture.records import Handoff, Outbox
from nurture.tokens import Keys

#: After this nobody is told by chat any more; the mail has long said it.
LATEST = timedelta(days=1)
_WORD = "_chat"
#: The rows of chats, of either kind of message.
CHATS: Any = col(Outbox.kind).contains(_WORD, autoescape=True)


def is_chat(kind: str) -> bool:
    """Whether a row of the outbox goes by chat."""
    return base_kind(kind).endswith(_WORD)


def beside(kind: str) -> str:
    """The chat's kind of a mail's: of `handoff_reminder:2` it is `handoff_reminder_chat:2`."""
    base, colon, count = kind.partition(":")
    return f"{base.removesuffix('_notice')}{_WORD}{colon}{count}"


def _of_the_mail(kind: str) -> str:
    base, colon, count = kind.partition(":")
    name = base.removesuffix(_WORD)
    return f"{name if name in KINDS else f'{name}_notice'}{colon}{count}"


def also_by_chat(link: Connection, live: Live, rows: Sequence[tuple[int, str, int, int]], now: datetime) -> None:
    """A row for the chat of each mail, (id, kind, row, attempt), that was just claimed for somebody who has one."""
    house = live.house
    told = [(kind, row) for _, kind, row, attempt in rows if attempt == 0 and base_kind(kind) in KINDS]
    if not house.program.chat or not told:
        return
    owners = select(col(Handoff.id), col(Handoff.owner)).where(col(Handoff.id).in_({row for _, row in told}))
    handoffs = {found.id: found for found in link.execute(owners)}
    values = [
        {"kind": beside(kind), "row_id": row, "created_at": now, "next_at": now, "attempt": 0}
        for kind, row in told
        if row in handoffs and _place(house, recipient(house, kind, handoffs[row])) is not None
    ]
    if values:
        link.execute(upsert(link)(Outbox).on_conflict_do_nothing(), values)


def _place(house: House, email: str | None) -> str | None:
    if email is None:
        return None
    person = member(house, email)
    return place_of(house.program.chat, person.chat if person else None)


def parcel(
    link: Connection, live: Live, outbox: int, kind: str, handoff: int, keys: Keys, public_url: str, now: datetime
) -> Parcel | None:  # fmt: skip
    """What a chat is told by a row of the outbox; None: it is not wanted any more, or there is no such place now."""
    house, of_mail = live.house, _of_the_mail(kind)
    table = Handoff.__table__  # type: ignore[attr-defined]
    row = link.execute(select(table).where(col(Handoff.id) == handoff)).one()
    made = link.execute(select(col(Outbox.created_at)).where(col(Outbox.id) == outbox)).scalar_one()
    email = recipient(house, of_mail, row)
    place = _place(house, email)
    first_answered = KINDS[base_kind(of_mail)] == "first" and row.state != "open"
    if place is None or email is None or first_answered or not wanted(of_mail, row) or now - made > LATEST:
        return None
    story = tell_story(link, live, row.lead_id, now)
    names = letter_names(link, house, story, row, member(house, email), keys, public_url, now, of_mail)
    body = CARDS[house.program.chat[place].kind](message(names))
    return Parcel(-outbox, keys.message_id(outbox, "chat", "n"), "", place, body)


def message(names: Mapping[str, Any]) -> Message:
    """A notice in short, of the names that a letter may print."""
    say, handoff, lead, notice = names["say"], names["handoff"], names["lead"], names["notice"]

    def kept(text: object) -> str:
        return isolated(str(text), say["dir"])

    whom = " · ".join(map(kept, filter(None, (names["who"], lead["title"], lead["company"]))))
    score = say["score_unknown"] if names["score"] is None else f"{names['score']} {say['of']}"
    facts = [
        (say["owner"], names["owner"]["name"]),
        (say["deadline"], handoff["deadline"]),
        (say["score"], score),
        (say["fit"], names["fit"] or say["fit_unknown"]),
        *((say["level"], level) for level in filter(None, [handoff["level"]])),
        *((fact["label"], fact["value"]) for fact in names["facts"] if fact["name"] in ("email", "phone", "country")),
    ]
    parts = [
        (say["next"], [names["suggestion"]]),
        (say["why"], [f"{one['points']:+d}  {kept(one['rule'])}" for one in names["reasons"][:4]]),
        (say["timeline"], [f"{one['when']}  {kept(one['what'])}" for one in names["timeline"][-4:]]),
        (say["earlier"], [_before(one, kept) for one in names["earlier"][:2]]),
    ]
    if names["account"]:
        people = [f"{kept(one['who'])}: {kept(one['what'])}" for one in names["account"]["people"][:3]]
        parts.append((names["account"]["title"], people))
    short = notice["kind"] != "first"
    rejecting = [(say.get(reason, reason), url) for reason, url in handoff["reject_urls"].items()]
    answerable = handoff["open"] and notice["kind"] != "escalation"  # that one goes to somebody else than the owner
    take = [(say["take"], handoff["accept_url"])] if answerable else []
    return Message(
        title=f"{notice['title']}: {whom}" if short else f"{handoff['title']}: {whom}",
        text=f"{notice['text']} {handoff['reason']}",
        facts=tuple(facts[:4] if short else facts),
        parts=tuple((heading, tuple(lines)) for heading, lines in (parts[:1] if short else parts) if lines),
        buttons=(*take, (say["see"], handoff["page_url"]), *(rejecting if take else [])),
        foot=f"{handoff['handed']} #{handoff['id']}",
        rtl=say["dir"] == "rtl",
    )


def _before(one: Mapping[str, Any], kept: Any) -> str:
    note = f" “{kept(one['note'])}”" if one["note"] else ""
    return f"{one['when']}, {kept(one['by'])}: {one['what']}{note}"

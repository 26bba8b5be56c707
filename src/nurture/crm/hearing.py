"""What the CRM says of leads: fields that are theirs, and answers to hand-offs. Whatever is ours is left as it is.

Changes are written some at a time, so that nobody waits long; the cursor behind a page comes with its last ones. The
same page again changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture import clock
from nurture.crm import state
from nurture.crm.base import Change, Turn, Vendor, readable
from nurture.crm.memory import Memory
from nurture.crm.record import Taken, take
from nurture.crm.telling import key_of
from nurture.db import Database
from nurture.dialects import upsert
from nurture.engine import settle
from nurture.engine.live import Library, Live
from nurture.engine.renaming import EMAIL
from nurture.engine.running import Run
from nurture.failpoints import reach
from nurture.intake.values import email as canonical
from nurture.language.scores import score
from nurture.records import CrmLink, Lead, LeadAlias, Work
from nurture.records.types import CLAIM
from nurture.worklist import put_work

#: From when on is read at first: what was before is history, and is asked for by name (`crm pull --since`).
FIRST = timedelta(hours=1)
#: Changes of one transaction: on SQLite a door waits for the one under way.
AT_ONCE = 20
_LEAD = Lead.__table__.c  # type: ignore[attr-defined]
_LINK = CrmLink.__table__.c  # type: ignore[attr-defined]


@dataclass
class Heard:
    """What was heard. `unknown`: records of nobody we know. `noted`: what was not believed, and how often.

    `leads`: those for whom something follows.
    """

    read: int = 0
    unknown: int = 0
    changed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    leads: set[int] = field(default_factory=set)

    def add(self, part: Heard) -> None:
        """The other's as well."""
        self.read, self.unknown, self.changed = (
            self.read + part.read, self.unknown + part.unknown, self.changed + part.changed,
        )  # fmt: skip
        self.answers += part.answers
        self.noted += part.noted
        self.leads |= part.leads


def pull(
    db: Database, library: Library, vendor: Vendor, now: datetime, turn: Turn, heard: Heard, *,
    since: datetime | None = None,
) -> Heard:  # fmt: skip
    """Read on in each feed, page by page, until there is no more or our turn is over. Raises Unwell."""
    for feed in vendor.feeds:
        name = state.of_feed(feed)
        with db.read() as link:
            was = state.state(link, name)
        cursor = was.cursor if was is not None and since is None else None
        cursor = cursor or vendor.since(since or now - FIRST)
        while turn.goes_on():
            with readable("the CRM"):
                page = vendor.changes(feed, cursor, now)
            reach("crm_heard")
            part = Heard(noted=Counter({"a record that cannot be read": page.odd} if page.odd else {}))
            for begin in range(0, len(page.changes), AT_ONCE):
                some = page.changes[begin : begin + AT_ONCE]
                part.add(db.transact(lambda link, some=some: apply(link, library.live(link), some, now)))  # type: ignore[misc]
            heard.add(part)
            done = {} if page.more else {"done_at": now}

            def finish(link: Connection, part: Heard = part, name: str = name, kept: str = page.kept,
                       done: dict[str, Any] = done) -> None:  # fmt: skip
                settle_them(link, library.live(link), part.leads, now)
                state.went_well(link, name, cursor=kept, **done)

            db.transact(finish)
            cursor = page.cursor
            if not page.more:
                break
    return heard


def apply(link: Connection, live: Live, changes: Sequence[Change], now: datetime) -> Heard:
    """Take in changes, in order; whoever calls settles `leads` in the end."""
    crm = live.house.program.crm
    assert crm is not None
    heard = Heard(read=len(changes))
    for change in changes:
        row = _lead(link, live, change, now)
        if row is None or row["forgotten_at"] is not None:
            heard.unknown += 1
            continue
        memory = Memory(row["heard"])
        done = take(link, live, crm, change, row, memory, now)
        heard.changed += done.changed
        heard.answers += done.answers
        heard.noted.update(done.notes)
        if done.changed or done.answers.total():
            heard.leads.add(row["id"])
        _keep(link, change, row, memory, done, now)
    return heard


def settle_them(link: Connection, live: Live, leads: Collection[int], now: datetime) -> None:
    """Everything that follows for these leads, now."""
    if leads:
        run = Run(link, live, now, f"crm:{clock.unguessable()}")
        put_work(link, sorted(leads), now)
        run(update(Work).where(col(Work.lead_id).in_(leads)).values(claim=CLAIM))
        settle.settle(run)


def _lead(link: Connection, live: Live, change: Change, now: datetime) -> Any:
    """The lead that a change is about, with its link: by their id, by our key, by the address, or by the deal alone."""
    lead, mine = Lead.__table__, CrmLink.__table__  # type: ignore[attr-defined]
    columns = [
        *(one for one in _LEAD if one.name != "account"),
        *(_LINK[name] for name in ("our_key", "their_id", "deal_id", "told", "heard", "note")),
    ]
    query = select(*columns, score().label("score")).select_from(lead.outerjoin(mine, _LINK.lead_id == _LEAD.id))
    ways = [(change.their_id, _LINK.their_id == change.their_id), (change.key, _LINK.our_key == change.key)]
    if not any((change.their_id, change.key, change.email)):
        ways.append((change.deal_id, _LINK.deal_id == change.deal_id))
    if (email := _address(change)) is not None:
        former = select(col(LeadAlias.lead_id)).where(col(LeadAlias.kind) == EMAIL, col(LeadAlias.value) == email)
        ways += [(email, _LEAD.email == email), (email, _LEAD.id.in_(former))]
    for named, way in ways:
        if named:
            found = Run(link, live, now)(query.where(way).order_by(_LEAD.id, _LINK.our_key)).mappings().all()
            if found:
                return next((row for row in found if row["our_key"] == key_of(row["id"], row["draw"])), found[0])
    return None


def _address(change: Change) -> str | None:
    """As leads are kept under it; None for what is no address."""
    try:
        return canonical(change.email.strip()) if change.email else None
    except ValueError:
        return None


def _keep(link: Connection, change: Change, row: Any, memory: Memory, done: Taken, now: datetime) -> None:
    """What is kept of the record, if anything is new."""
    by_key = change.key is not None and change.key == row["our_key"]
    their_id = change.their_id if change.their_id and (by_key or row["their_id"] is None) else row["their_id"]
    kept = {
        "their_id": their_id, "deal_id": done.follows or row["deal_id"] or change.deal_id, "heard": memory.kept(),
        "note": "; ".join(done.notes) or (None if memory.fresh else row["note"]),
    }  # fmt: skip
    if row["our_key"] is not None and all(row[name] == value for name, value in kept.items()):
        return
    key = row["our_key"] or key_of(row["id"], row["draw"])
    values = {**kept, "heard_at": now}
    new = upsert(link)(CrmLink).values(our_key=key, lead_id=row["id"], attempt=0, **values)
    link.execute(new.on_conflict_do_update(index_elements=["our_key"], set_=values))

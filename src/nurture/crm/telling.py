"""What the CRM should know of leads, against what it was told last: only the difference is told.

Nobody is scanned who did not change: leads are found by an index on their last change, and by what they did since; once
a day everybody is looked at. A call that was made and not noted is made again, and says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, or_, select, text, union
from sqlmodel import col

from nurture.crm import state
from nurture.crm.base import Entry, Told, Turn, Unwell, Vendor, readable
from nurture.crm.memory import MADE
from nurture.db import Database
from nurture.dialects import upsert
from nurture.engine.live import Library, Live
from nurture.engine.running import Run
from nurture.engine.story import letter
from nurture.failpoints import reach
from nurture.language.scores import score
from nurture.program.crm import HUBSPOT_STAGES, Crm
from nurture.program.lifecycle import STAGES
from nurture.records import CrmLink, Event, Lead
from nurture.records.crm import TELLABLE
from nurture.records.people import EVENTS_BY_TIME

#: A change may be seen so much later than its instant says: a tick is long, a transaction waits.
SLACK = timedelta(hours=1)
#: What fades is told anew after so long at the latest.
WHOLE = timedelta(days=1)
#: How long what was refused waits, doubled at each further refusal, up to a day.
_AGAIN, _REFUSED, _LONGEST = timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)
_ROWS = 1_000
_LINK = CrmLink.__table__.c  # type: ignore[attr-defined]
_COLUMNS = (
    "id", "draw", "email", "first_name", "last_name", "company", "title", "phone", "country", "language", "timezone",
    "stage", "status", "owner", "source", "fit", "fields",
)  # fmt: skip


@dataclass
class Report:
    """What a push did. `left`: leads that were not told any more for want of time."""

    looked_at: int = 0
    told: int = 0
    left: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def reached(crm: Crm) -> list[str]:
    """The stages from which on leads are told."""
    return list(STAGES[STAGES.index(crm.from_) : STAGES.index("customer") + 1])


def push(
    db: Database, library: Library, vendor: Vendor, now: datetime, turn: Turn, report: Report, *, dry: bool = False,
    whole: bool = False,
) -> Report:  # fmt: skip
    """Tell whoever changed, and add to `report`. `whole`: look at everybody. Raises Unwell."""
    with db.read() as link:
        live = library.live(link)
        was = state.state(link, state.PUSH)
    since = None
    if not whole and was is not None and was.done_at is not None and was.whole_at is not None:
        since = was.done_at - SLACK if was.whole_at > now - WHOLE else None
    crm = live.house.program.crm
    assert crm is not None
    batch: list[Entry] = []
    for entry in _due(db, live, crm, since, now, report):
        batch.append(entry)
        if len(batch) == vendor.most:
            _tell(db, vendor, batch, now, turn, report, dry=dry)
            batch = []
    _tell(db, vendor, batch, now, turn, report, dry=dry)
    if not dry and not report.left:
        seen = {"done_at": now} | ({"whole_at": now} if since is None else {})
        db.transact(lambda link: state.went_well(link, state.PUSH, **seen))
    return report


def _tell(
    db: Database, vendor: Vendor, batch: Sequence[Entry], now: datetime, turn: Turn, report: Report, *, dry: bool
) -> None:  # fmt: skip
    """Tell one batch as far as our turn goes, and note what became of it, also where the CRM could not be asked on."""
    if dry:
        report.told += len(batch)
        return
    if not batch or report.left or not turn.goes_on():
        report.left += len(batch)
        return
    outcomes: dict[str, Told] = {}
    stopped: Unwell | None = None
    try:
        with readable("the CRM"):
            for key, outcome in vendor.tell(batch, turn):
                outcomes[key] = outcome
    except Unwell as problem:
        stopped = problem
    reach("crm_told")
    told = [(entry, outcomes[entry.key]) for entry in batch if entry.key in outcomes]
    db.transact(lambda link: _note(link, told, now))
    report.told += sum(one.error is None for _, one in told)
    report.refused.update(one.error for _, one in told if one.error is not None)
    report.left += len(batch) - len(told)
    if stopped is not None:
        raise stopped


def _due(
    db: Database, live: Live, crm: Crm, since: datetime | None, now: datetime, report: Report
) -> Iterator[Entry]:  # fmt: skip
    """Whoever's record should say something else than what was told."""
    with db.read() as link:
        numbers = sorted(Run(link, live, now)(_changed(crm, since, now)).scalars())
    for begin in range(0, len(numbers), _ROWS):
        with db.read() as link:
            rows = Run(link, live, now)(_whole(numbers[begin : begin + _ROWS])).mappings().all()
        for row in _own(rows):
            entry = entry_of(crm, row)
            report.looked_at += 1
            refused = row["tried"] == entry.digest and row["next_at"] is not None and row["next_at"] > now
            if row["closed_at"] is None and row["told"] != entry.digest and not refused:
                yield entry


def _own(rows: Iterable[Any]) -> Iterator[Any]:
    """One row a lead: of the records of two leads that were merged the one that goes by its own key."""
    found: dict[int, Any] = {}
    for row in rows:
        if row["id"] not in found or row["our_key"] == key_of(row["id"], row["draw"]):
            found[row["id"]] = row
    yield from found.values()


def _changed(crm: Crm, since: datetime | None, now: datetime) -> Any:
    """The numbers of leads that may have changed since then; of all where `since` is None."""
    known = select(1).where(col(CrmLink.lead_id) == col(Lead.id)).correlate(Lead).exists()
    ours = and_(
        col(Lead.forgotten_at).is_(None), or_(col(Lead.stage).in_(reached(crm)), known), text(f"({TELLABLE})")
    )  # fmt: skip
    linked = select(col(CrmLink.lead_id)).join(Lead, col(Lead.id) == col(CrmLink.lead_id))
    linked = linked.where(col(Lead.forgotten_at).is_(None))
    if since is None:
        return union(select(col(Lead.id)).where(ours), linked)
    parts = [
        select(col(Lead.id)).where(ours, col(Lead.changed_at) >= since),
        linked.where(col(CrmLink.next_at) <= now),
    ]
    if "score" in crm.owns.nurture:
        active = select(col(Event.lead_id)).where(col(Event.occurred_at) >= since, text(EVENTS_BY_TIME))
        parts.append(select(col(Lead.id)).where(ours, col(Lead.id).in_(active)))
    return union(*parts)


def _whole(numbers: Sequence[int]) -> Any:
    said = [_LINK[name] for name in ("our_key", "their_id", "told", "tried", "next_at", "closed_at")]
    lead = Lead.__table__  # type: ignore[attr-defined]
    joined = lead.outerjoin(CrmLink.__table__, _LINK.lead_id == lead.c.id)  # type: ignore[attr-defined]
    columns = [lead.c[name] for name in _COLUMNS]
    return (
        select(*columns, *said, score().label("score"))
        .select_from(joined)
        .where(lead.c.id.in_(numbers))
        .order_by(lead.c.id, _LINK.our_key)
    )


def key_of(lead: int, draw: int) -> str:
    """Our name for a lead over there: its number, and the random one drawn at its creation, so that no other
    installation's lead has the same."""
    return f"{lead}-{draw}"


def entry_of(crm: Crm, row: Any) -> Entry:
    """What the record of a lead should say; what we do not know of it is left out."""
    said = {**row["fields"], **row, "fit": letter(row["fit"]), "stage": stage_word(crm, row["stage"])}
    values = {name: said[name] for name in crm.owns.nurture if said.get(name) not in (None, "")}
    return Entry(row["id"], row["our_key"] or key_of(row["id"], row["draw"]), row["their_id"], row["email"], values)


def stage_word(crm: Crm, stage: str) -> str | None:
    """Their word for a stage of ours; None: it is not told."""
    if crm.stages:
        return crm.stages.get(stage)
    return HUBSPOT_STAGES.get(stage) if crm.theirs("stage") == "lifecyclestage" else stage


def _note(link: Connection, told: Sequence[tuple[Entry, Told]], now: datetime) -> None:
    """What became of each entry, beside its lead; somebody forgotten or merged meanwhile is not written of."""
    numbers = [entry.lead_id for entry, _ in told]
    living = select(col(Lead.id)).where(col(Lead.id).in_(numbers), col(Lead.forgotten_at).is_(None))
    there = set(link.execute(living).scalars())
    tried = select(col(CrmLink.our_key), col(CrmLink.attempt)).where(col(CrmLink.lead_id).in_(numbers))
    attempts: dict[str, int] = {key: attempt for key, attempt in link.execute(tried)}
    for entry, one in told:
        if entry.lead_id not in there:
            continue
        values = _values(entry, one, attempts.get(entry.key, 0), now)
        fresh = {"attempt": 0, "heard": {MADE: True} if one.made else {}}
        row = upsert(link)(CrmLink).values(our_key=entry.key, lead_id=entry.lead_id, **(fresh | values))
        link.execute(row.on_conflict_do_update(index_elements=["our_key"], set_=values))


def _values(entry: Entry, one: Told, attempt: int, now: datetime) -> dict[str, Any]:
    if one.error is None:
        known = {"their_id": one.their_id} if one.their_id else {}
        return {
            **known, "told": entry.digest, "told_at": now, "tried": None, "next_at": None, "attempt": 0,
            "last_error": None,
        }  # fmt: skip
    wait = min((_AGAIN if one.again else _REFUSED) * 2 ** min(attempt, 10), _LONGEST)
    return {
        "tried": entry.digest, "attempt": attempt + 1, "last_error": one.error,
        "next_at": None if one.closed else now + wait, **({"closed_at": now} if one.closed else {}),
    }  # fmt: skip

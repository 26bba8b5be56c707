"""What two leads have, subject by subject, as one lead's: called by `merging`, under the locks of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, literal, select, update
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col

from nurture.channels.audience import hashed
from nurture.dialects import new_rows
from nurture.engine import scoring
from nurture.engine.consents import out_of_audiences
from nurture.engine.control import STOPPED
from nurture.engine.ending import end, ending
from nurture.engine.handoffs import WITH_SALES
from nurture.engine.objecting import has_consent, shut_out
from nurture.engine.renaming import MERGED, said_no
from nurture.engine.running import Run
from nurture.engine.suppressing import suppress
from nurture.records import (
    AudienceMember,
    Consent,
    Control,
    Enrolment,
    Handoff,
    Lead,
    Milestone,
    Objection,
    Outbox,
    Preference,
    Suppression,
    Touch,
)
from nurture.records.types import NOW_AT

#: Who withdrew a consent or answered a hand-off that the other lead's stood against.
BY = "merge"


def rename(link: Connection, table: str, keep: int, gone: int) -> int:
    """The rows of `table` that name the lead `gone` name `keep`; how many."""
    column = SQLModel.metadata.tables[table].c.lead_id
    return link.execute(update(column.table).where(column == gone).values(lead_id=keep)).rowcount


def unite(link: Connection, table: str, keep: int, gone: int) -> None:
    """Rows of `table` that `keep` has not got; where both have one, that of `keep` stands."""
    rows = SQLModel.metadata.tables[table]
    others = [column for column in rows.c if column.name != "lead_id"]
    theirs = select(literal(keep), *others).where(rows.c.lead_id == gone)
    link.execute(new_rows(rows, ["lead_id", *(column.name for column in others)], theirs))
    link.execute(delete(rows).where(rows.c.lead_id == gone))


def passages(run: Run, keep: int, gone: int) -> list[str]:
    """One live passage of a sequence stays: the earlier begun, unless something is being sent in the other alone.

    The sequences of which a passage ended. What a worker has in hand and has not sent goes back: it is judged anew.
    """
    both = (keep, gone)
    in_hand = and_(col(Touch.lead_id).in_(both), col(Touch.state) == "claimed")
    back = {"state": "planned", "reason": MERGED, "next_at": NOW_AT, "lease_owner": None, "lease_until": None}
    sending = select(1).where(col(Touch.enrolment_id) == col(Enrolment.id), col(Touch.state) == "sending")
    live = (
        select(col(Enrolment.id), col(Enrolment.sequence), sending.correlate(Enrolment).exists().label("sending"))
        .where(col(Enrolment.lead_id).in_(both), col(Enrolment.ended_at).is_(None))
        .order_by(col(Enrolment.started_at), col(Enrolment.id))
        .with_for_update(of=Enrolment)
    )
    inside: dict[str, list[Any]] = defaultdict(list)
    for row in run(live):
        inside[row.sequence].append(row)
    over = []
    for rows in inside.values():
        over += [row.id for row in sorted(rows, key=lambda row: not row.sending)[1:]]
    run(update(Touch).where(in_hand).values(**back))
    end(run, ending(col(Enrolment.id).in_(over), MERGED))
    _count_anew(run.link, Enrolment, "sequence", "rotation", "started_at", keep, gone)
    return sorted(slug for slug, rows in inside.items() if len(rows) > 1)


def handoffs(run: Run, keep: int, gone: int) -> list[int]:
    """At most one open hand-off, the older, and none where sales works on the lead already; which were closed.

    The others are answered as duplicates, and whoever was not told of one yet is not told any more.
    """
    both = col(Handoff.lead_id).in_((keep, gone))
    taken = (
        select(col(Handoff.id))
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .where(both, col(Handoff.state) == "accepted", col(Lead.stage).in_(WITH_SALES))
    )
    has_it = run(taken.limit(1)).first() is not None
    open_ = select(col(Handoff.id)).where(both, col(Handoff.state) == "open")
    asked = list(run(open_.order_by(col(Handoff.opened_at), col(Handoff.id))).scalars())
    closed = asked if has_it else asked[1:]
    answer = {"state": "rejected", "reason": "duplicate", "answered_at": NOW_AT, "answered_by": BY, "next_at": None}
    run(update(Handoff).where(col(Handoff.id).in_(closed)).values(**answer))
    of_them = and_(col(Outbox.kind).startswith("handoff_", autoescape=True), col(Outbox.row_id).in_(closed))
    untold = and_(of_them, col(Outbox.done_at).is_(None))
    run(update(Outbox).where(untold).values(done_at=NOW_AT, next_at=None, lease_owner=None, last_error=MERGED))
    _count_anew(run.link, Handoff, "lead_id", "cycle", "opened_at", keep, gone)
    return closed


def _count_anew(
    link: Connection, table: type[SQLModel], within: str, number: str, since: str, keep: int, gone: int
) -> None:
    """The rows of both become `keep`'s, numbered from 1 in the order in which they began, within each `within`."""
    rows = SQLModel.metadata.tables[str(table.__tablename__)]
    both = rows.c.lead_id.in_((keep, gone))
    found = link.execute(select(rows.c.id, rows.c[within]).where(both).order_by(rows.c[since], rows.c.id)).all()
    if not found:
        return
    link.execute(update(rows).where(both).values({"lead_id": keep, number: -rows.c.id}))  # out of each other's way
    turns: dict[Any, int] = defaultdict(int)
    numbered = []
    for row, place in found:
        group = keep if within == "lead_id" else place
        turns[group] += 1
        numbered.append({"the_row": row, "the_number": turns[group]})
    link.execute(
        update(rows).where(rows.c.id == bindparam("the_row")).values({number: bindparam("the_number")}), numbered
    )


def milestones(run: Run, keep: int, gone: int) -> int:
    """All milestones of both. Two that time turned at one instant are kept a microsecond apart."""
    twin = aliased(Milestone)
    same = select(1).where(
        col(twin.lead_id) == keep, col(twin.name) == col(Milestone.name), col(twin.event_id) == col(Milestone.event_id)
    )  # fmt: skip
    clash = and_(col(Milestone.lead_id) == gone, same.correlate(Milestone).exists())
    while run(update(Milestone).where(clash).values(event_id=col(Milestone.event_id) - 1)).rowcount:
        pass
    return rename(run.link, "milestone", keep, gone)


def consents(run: Run, keep: int, gone: int) -> list[str]:
    """All consents of both; a purpose from which either has withdrawn, and to which it agreed to no more, is withdrawn.

    Which purposes were.
    """
    both = col(Consent.lead_id).in_((keep, gone))
    withdrawn = func.count(col(Consent.withdrawn_at))
    closed = (
        select(col(Consent.purpose))
        .where(both)
        .group_by(col(Consent.lead_id), col(Consent.purpose))
        .having(withdrawn == func.count())
    )
    valid = and_(both, col(Consent.withdrawn_at).is_(None), col(Consent.purpose).in_(closed))
    lost = run(select(col(Consent.purpose)).where(valid).distinct()).scalars().all()
    taken = {"withdrawn_at": NOW_AT, "withdrawn_by": BY}
    run(
        update(Consent).where(both, col(Consent.withdrawn_at).is_(None), col(Consent.purpose).in_(lost)).values(**taken)
    )
    rename(run.link, "consent", keep, gone)
    return sorted(lost)


def suppressions(link: Connection, keep: int, gone: int, addresses: Sequence[str]) -> bool:
    """Whoever said no, as either lead or under either address, is not written to; whether one did."""
    noes = said_no(link, (keep, gone), addresses)
    link.execute(delete(Suppression).where(col(Suppression.kind) == "lead", col(Suppression.value) == str(gone)))
    rows = [{"kind": "lead", "value": str(keep), "reason": why, "source": by, "at": at} for why, by, at in noes]
    suppress(link, rows)
    return bool(noes)


def audiences(run: Run, keep: int, gone: int, address: str | None) -> None:
    """In an audience if either is; what the platform was told of either counts, so that it is taken back.

    `address`: that of `gone`, under which the platform may know it.
    """
    columns = select(AudienceMember.__table__).where(col(AudienceMember.lead_id).in_((keep, gone)))  # type: ignore[attr-defined]
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in run(columns):
        rows[row.audience].append(row)
    run(delete(AudienceMember).where(col(AudienceMember.lead_id).in_((keep, gone))))
    for name, mine in rows.items():
        first = max(mine, key=lambda row: (row.wanted, row.lead_id == keep))
        told = [row.told for row in mine]
        whole = {
            "lead_id": keep, "audience": name, "wanted": first.wanted, "enrolment_id": first.enrolment_id,
            "told": True if True in told else None if None in told else False,
            "changed_at": max(row.changed_at for row in mine),
        }  # fmt: skip
        if hashes := sorted({one for row in mine for one in _known_by(row, keep, address)}):
            whole["hashes"] = hashes
        run.link.execute(AudienceMember.__table__.insert().values(**whole))  # type: ignore[attr-defined]


def _known_by(row: Any, keep: int, address: str | None) -> list[str]:
    """Digests of addresses that the platform may know and that are not the present one."""
    theirs = [hashed(address)] if row.lead_id != keep and row.told is not False and address else []
    return [*(row.hashes or ()), *theirs]


def preferences(link: Connection, keep: int, gone: int) -> None:
    """The stricter of what both chose: fewer letters, the longer pause."""
    columns = select(Preference.__table__).where(col(Preference.lead_id).in_((keep, gone)))  # type: ignore[attr-defined]
    rows = link.execute(columns).all()
    link.execute(delete(Preference).where(col(Preference.lead_id).in_((keep, gone))))
    if rows:
        whole = {name: _most(rows, name) for name in ("every_days", "paused_until", "changed_at")}
        link.execute(Preference.__table__.insert().values(lead_id=keep, **whole))  # type: ignore[attr-defined]


def _most(rows: Sequence[Any], name: str) -> Any:
    return max((value for row in rows if (value := getattr(row, name)) is not None), default=None)


def objections(link: Connection, keep: int, gone: int) -> None:
    """What either objected to; of the same said by both the later one, which no yes in between outweighs."""
    mine = col(Objection.lead_id).in_((keep, gone))
    said = select(Objection.__table__).where(mine).order_by(col(Objection.at))  # type: ignore[attr-defined]
    latest = {row["kind"]: {**row, "lead_id": keep} for row in link.execute(said).mappings()}
    link.execute(delete(Objection).where(mine))
    if latest:
        link.execute(Objection.__table__.insert(), list(latest.values()))  # type: ignore[attr-defined]


def heed(run: Run, keep: int) -> None:
    """What follows from objections and a withdrawn yes to mail that are `keep`'s now, as if it had said them itself.

    A yes to mail that the mailbox confirmed since an objection leaves the sequences, as it opened them again.
    """
    mine = col(Lead.id) == keep
    kinds = set(run(select(col(Objection.kind)).where(col(Objection.lead_id) == keep)).scalars())
    taken_back = select(1).where(
        col(Consent.lead_id) == keep, col(Consent.purpose) == "mail", col(Consent.withdrawn_at).is_not(None)
    )
    if kinds or run(select(col(Lead.id)).where(mine, taken_back.exists(), ~has_consent("mail"))).first() is not None:
        out_of_audiences(run, keep)
    if "profiling" in kinds:
        if run(select(col(Lead.id)).where(mine, shut_out())).first() is not None:
            end(run, ending(col(Enrolment.lead_id) == keep, "objected"))
        scoring.forget(run, keep)


def controls(link: Connection, keep: int, gone: int) -> None:
    """A pause or stop of either is one of the lead's; a stop is stronger."""
    scopes = [f"lead:{lead}" for lead in (keep, gone)]
    columns = (col(Control.state), col(Control.at), col(Control.by))
    rows = link.execute(select(*columns).where(col(Control.scope).in_(scopes)).order_by(col(Control.at))).all()
    link.execute(delete(Control).where(col(Control.scope).in_(scopes)))
    if rows:
        first = next((row for row in rows if row.state == STOPPED), rows[0])
        whole = {"scope": scopes[0], "state": first.state, "at": first.at, "by": first.by}
        link.execute(Control.__table__.insert().values(**whole))  # type: ignore[attr-defined]

"""What the permit said of each claimed touch, written: under way with its hash and address, put off, or ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, String, bindparam, func, select, update
from sqlmodel import col

from nurture.dialects import database_clock, upsert
from nurture.engine.parcels import Made
from nurture.engine.permit import Verdict
from nurture.engine.recording import ENDED, let_go
from nurture.engine.telling import drop_bodies, keep_bodies
from nurture.jsonsql import among, listed, rows_of
from nurture.records import AudienceMember, Touch
from nurture.records.types import Instant, instant, micros, to_micros
from nurture.steps import Audience, Sending, Webhook
from nurture.worklist import put_work

#: How long a claim stands after its last heart-beat before another worker may take it over, by the database's clock.
LEASE = timedelta(minutes=1)


def lease_end() -> ColumnElement[datetime]:
    """Until when a claim that is made now stands."""
    return instant(micros(database_clock()) + LEASE // timedelta(microseconds=1))


#: In the places of a row: what is written of a touch, whatever the verdict.
_BOTH = {"touch": BigInteger(), "tracked": Integer()}
_LETTER = {"payload_sha256": String(), "message_id": String(), "address": String(), "variant": String()}
_OTHER = {
    "state": String(),
    "reason": String(),
    "next_at": BigInteger(),
    "ended_at": BigInteger(),
    "allowed_at": BigInteger(),
}


@lru_cache
def _statement(sending: bool) -> Any:
    """Writes the verdicts that the parameter `rows` lists: that a touch goes out now, or any other."""
    said = rows_of(**_BOTH, **(_LETTER if sending else _OTHER)).c
    mine = (
        col(Touch.id) == said.touch,
        # coalesce: found by their numbers, not among all that anybody has claimed
        func.coalesce(col(Touch.lease_owner), "") == bindparam("the_owner"),
        col(Touch.state) == "claimed",
    )
    both: dict[str, Any] = {"tracked": said.tracked == 1, "program_version_id": bindparam("the_house")}
    if sending:
        now = bindparam("at_now", type_=Instant())
        ends: dict[str, Any] = {"reason": None, "next_at": None, "ended_at": None, "lease_until": lease_end()}
        letter = {name: said[name] for name in _LETTER}
        return update(Touch).where(*mine).values(state="sending", sending_at=now, **ends, **both, **letter)
    other: dict[str, Any] = {name: said[name] for name in ("state", "reason")}
    other |= {name: instant(said[name]) for name in ("next_at", "ended_at")}
    allowed = instant(func.coalesce(said.allowed_at, micros(col(Touch.allowed_at))))
    free = {"lease_owner": None, **dict.fromkeys(_LETTER)}
    return update(Touch).where(*mine).values(allowed_at=allowed, **other, **free, **both)


def write(
    link: Connection, house: int, step: Sending, owner: str, verdicts: Sequence[Verdict], made: Made, now: datetime
) -> None:
    """Write the verdict of each touch that `owner` has claimed; `house`: the program version it is judged by."""
    going: list[list[Any]] = []
    others: list[list[Any]] = []
    for verdict in verdicts:
        touch, ended = verdict.touch, verdict.state in ENDED
        both = [touch, int(touch in made.tracked)]
        if verdict.state == "sending":
            letter = made.parcels[touch]
            going.append([*both, letter.sha256, letter.key, letter.to, made.variants.get(touch)])
        else:
            again = None if verdict.next_at is None else to_micros(verdict.next_at)
            allowed = again if verdict.state == "planned" else None
            others.append(
                [
                    *both,
                    verdict.state,
                    verdict.reason,
                    None if ended else again,
                    to_micros(now) if ended else None,
                    allowed,
                ]
            )
    for sending, rows in ((True, going), (False, others)):
        if rows:
            more = {"at_now": now} if sending else {}
            link.execute(_statement(sending), {"rows": listed(rows), "the_owner": owner, "the_house": house, **more})
    if isinstance(step, Audience):
        _want(link, step, [verdict.touch for verdict in verdicts if verdict.state == "sending"], now)
    if isinstance(step, Webhook):
        keep_bodies(link, [made.parcels[verdict.touch] for verdict in verdicts if verdict.state == "sending"])
        drop_bodies(link, [verdict.touch for verdict in verdicts])
    let_go(link, [v.touch for v in verdicts if v.state in ENDED and v.state != "cancelled"])
    if called_off := [verdict.touch for verdict in verdicts if verdict.state == "cancelled"]:
        put_work(link, select(col(Touch.lead_id)).where(among(col(Touch.id), called_off)).distinct(), now)


def _want(link: Connection, step: Audience, touches: list[int], now: datetime) -> None:
    """Membership as wanted, written with the intent; the platform is told right after."""
    wanted = step.audience.verb == "add"
    rows = [
        {
            "lead_id": lead, "audience": step.audience.name, "wanted": wanted, "enrolment_id": enrolment,
            "changed_at": now,
        }
        for lead, enrolment in link.execute(
            select(col(Touch.lead_id), col(Touch.enrolment_id)).where(col(Touch.id).in_(touches))
        )
    ]  # fmt: skip
    if rows:
        insert = upsert(link)(AudienceMember)
        changed = {name: insert.excluded[name] for name in ("wanted", "enrolment_id", "changed_at")}
        link.execute(insert.on_conflict_do_update(index_elements=["lead_id", "audience"], set_=changed), rows)


def give_back(link: Connection, owner: str) -> None:
    """What was claimed and cannot be sent now is planned as before."""
    mine = (col(Touch.lease_owner) == owner) & (col(Touch.state) == "claimed")
    link.execute(update(Touch).where(mine).values(state="planned", lease_owner=None, lease_until=None))


def keep_claim(link: Connection, owner: str) -> None:
    """What `owner` has claimed and not begun stays its own for another `LEASE`."""
    mine = (col(Touch.lease_owner) == owner) & (col(Touch.state) == "claimed")
    link.execute(update(Touch).where(mine).values(lease_until=lease_end()))

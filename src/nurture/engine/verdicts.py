"""What the permit said of each claimed touch, written: under way with its hash and address, put off, or ended."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update
from sqlmodel import col

from nurture.dialects import database_clock, upsert
from nurture.engine.parcels import Made
from nurture.engine.permit import Verdict
from nurture.engine.recording import ENDED, let_go
from nurture.engine.telling import drop_bodies, keep_bodies
from nurture.jsonsql import among
from nurture.records import AudienceMember, Touch
from nurture.records.types import Instant, instant, micros
from nurture.steps import Audience, Sending, Webhook
from nurture.worklist import put_work

#: How long a claim stands after its last heart-beat before another worker may take it over, by the database's clock.
LEASE = timedelta(minutes=1)


def lease_end() -> ColumnElement[datetime]:
    """Until when a claim that is made now stands."""
    return instant(micros(database_clock()) + LEASE // timedelta(microseconds=1))


@lru_cache
def _statement(sending: bool) -> Any:
    """Writes one verdict: that it goes out now, or any other."""
    mine = (
        col(Touch.id) == bindparam("the_touch"),
        col(Touch.lease_owner) == bindparam("the_owner"),
        col(Touch.state) == "claimed",
    )
    both: dict[str, Any] = {"tracked": bindparam("new_tracked"), "program_version_id": bindparam("new_house")}
    made = ("payload_sha256", "message_id", "address", "variant")
    letter: dict[str, Any] = {name: bindparam(f"new_{name}") for name in made}
    now = bindparam("at_now", type_=Instant())
    if sending:
        ends: dict[str, Any] = {"reason": None, "next_at": None, "ended_at": None, "lease_until": lease_end()}
        return update(Touch).where(*mine).values(state="sending", sending_at=now, **ends, **both, **letter)
    allowed = func.coalesce(bindparam("new_allowed", type_=Instant()), col(Touch.allowed_at))
    other: dict[str, Any] = {name: bindparam(f"new_{name}") for name in ("state", "reason", "next_at", "ended_at")}
    free = {"lease_owner": None, **dict.fromkeys(letter)}
    return update(Touch).where(*mine).values(allowed_at=allowed, **other, **free, **both)


def write(
    link: Connection, house: int, step: Sending, owner: str, verdicts: Sequence[Verdict], made: Made, now: datetime
) -> None:
    """Write the verdict of each touch that `owner` has claimed; `house`: the program version it is judged by."""
    going: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for verdict in verdicts:
        touch = verdict.touch
        row = {
            "the_touch": touch, "the_owner": owner, "new_tracked": touch in made.tracked, "new_house": house,
        }  # fmt: skip
        if verdict.state == "sending":
            letter = made.parcels[touch]
            row |= {
                "new_payload_sha256": hashlib.sha256(letter.payload).hexdigest(), "new_message_id": letter.key,
                "new_address": letter.to, "new_variant": made.variants.get(touch), "at_now": now,
            }  # fmt: skip
            going.append(row)
        else:
            ended = verdict.state in ENDED
            row |= {
                "new_state": verdict.state, "new_reason": verdict.reason,
                "new_next_at": None if ended else verdict.next_at, "new_ended_at": now if ended else None,
                "new_allowed": verdict.next_at if verdict.state == "planned" else None,
            }  # fmt: skip
            others.append(row)
    for sending, rows in ((True, going), (False, others)):
        if rows:
            link.execute(_statement(sending), rows)
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

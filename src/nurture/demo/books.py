"""Do the books balance? What the outside world holds is compared with what our ledger says, item by item."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.channels.mailbox import Kept
from nurture.demo import findings
from nurture.demo.ads import AdPlatform
from nurture.demo.audience import Audience
from nurture.demo.letters import message_id
from nurture.demo.prefect_runs import Checked
from nurture.demo.sales import SalesTeam
from nurture.records import AudienceMember, Handoff, Lead, Outbox, Touch

_UNDECIDED = ("claimed", "sending", "uncertain")


@dataclass(frozen=True)
class Entry:
    """One comparison: what is counted, outside and inside, and whether the two are the same things."""

    what: str
    outside: str
    inside: str
    balances: bool


def balance(
    link: Connection,
    mail: Sequence[Kept],
    ads: AdPlatform,
    audience: Audience,
    sales: SalesTeam,
    runs: Sequence[Checked],
) -> list[Entry]:
    """Every comparison."""
    entries = [_mail(link, mail), _audiences(link, ads), _clicks(link, audience), _goodbyes(link, audience)]
    entries += [_answers(link, sales), _undecided(link)]
    if runs:
        entries.append(_runs(runs))
    return entries


def _mail(link: Connection, mail: Sequence[Kept]) -> Entry:
    """Message-ID by Message-ID: nothing lost, nothing twice, nothing that the ledger does not know."""
    kept = Counter(message_id(message) for message in mail)
    touches = set(
        link.execute(
            select(col(Touch.message_id)).where(col(Touch.state) == "sent", col(Touch.kind).in_(("email", "offer")))
        ).scalars()
    )
    done = select(col(Outbox.message_id)).where(col(Outbox.done_at).is_not(None))
    notices = set(link.execute(done).scalars())
    same = set(kept) == touches | notices and max(kept.values(), default=1) == 1
    inside = f"{len(touches):,} touches sent + {len(notices):,} notices"
    return Entry("mails, by Message-ID", f"{kept.total():,} kept by the relay", inside, same)


def _audiences(link: Connection, ads: AdPlatform) -> Entry:
    told = select(col(AudienceMember.audience), col(Lead.email)).join(Lead, col(Lead.id) == col(AudienceMember.lead_id))
    ours: dict[str, set[str]] = {}
    for audience, email in link.execute(told.where(col(AudienceMember.told).is_(True))):
        ours.setdefault(audience, set()).add(hashlib.sha256((email or "").encode()).hexdigest())
    theirs = {audience: members for audience, members in ads.members.items() if members}
    outside, inside = (sum(map(len, members.values())) for members in (theirs, ours))
    return Entry("members of audiences", f"{outside:,} on the platform", f"{inside:,} told", ours == theirs)


def _clicks(link: Connection, audience: Audience) -> Entry:
    noted = findings.clicks(link)
    made = audience.clicks
    same = made["person"] + made["lone"] == noted["person"] and made["machine"] == noted["machine"]
    late = f" and {made['lone']:,} late" if made["lone"] else ""
    outside = f"{made['person']:,} people{late}, {made['machine']:,} scanners"
    inside = f"{noted['person']:,} counted; {noted['machine']:,} kept out"
    return Entry("tracked links followed", outside, inside, same)


def _goodbyes(link: Connection, audience: Audience) -> Entry:
    left, noted = audience.deeds["unsubscribed"], findings.events(link, "unsubscribed")
    return Entry("unsubscribed", f"{left:,} people", f"{noted:,} suppressed", left == noted)


def _answers(link: Connection, sales: SalesTeam) -> Entry:
    query = select(func.count()).where(col(Handoff.state).in_(("accepted", "rejected")))
    noted = link.execute(query).scalar_one()
    given = sales.answers.total()
    return Entry(
        "answers of the sales team",
        f"{given:,} buttons pressed",
        f"{noted:,} hand-offs answered",
        given == noted,
    )


def _undecided(link: Connection) -> Entry:
    query = select(func.count()).where(col(Touch.state).in_(_UNDECIDED))
    count = link.execute(query).scalar_one()
    return Entry("touches in doubt", "none may be left", f"{count:,}", count == 0)


def _runs(runs: Sequence[Checked]) -> Entry:
    completed = sum(run.state == "COMPLETED" for run in runs)
    sent = sum(run.said.get("sent", 0) for run in runs), sum(run.ours.get("sent", 0) for run in runs)
    outside = f"{completed} of {len(runs)} Completed, sent {sent[0]:,}"
    return Entry("Prefect flow runs", outside, f"sent {sent[1]:,}", all(run.agrees for run in runs))

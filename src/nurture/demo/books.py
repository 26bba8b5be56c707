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
from nurture.demo.crm import Crm
from nurture.demo.house import DemoHouse
from nurture.demo.letters import message_id
from nurture.demo.prefect_runs import Checked
from nurture.demo.sales import SalesTeam
from nurture.demo.texts import TextPlatform
from nurture.records import AudienceMember, Handoff, Lead, Outbox, Task, Touch

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
    house: DemoHouse,
    audience: Audience,
    sales: SalesTeam,
    runs: Sequence[Checked],
) -> list[Entry]:
    """Every comparison."""
    entries = [_mail(link, mail), _texts(link, house.texts), _calls(link, house.crm), _audiences(link, house.ads)]
    entries += [_clicks(link, audience), _goodbyes(link, audience), _answers(link, sales), _tasks(link, sales)]
    entries.append(_undecided(link))
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


def _texts(link: Connection, texts: TextPlatform) -> Entry:
    """Number by number: those that were taken, and those that do not exist."""
    numbers: dict[str, Counter[str]] = {"sent": Counter(), "failed": Counter()}
    told = select(col(Touch.state), col(Touch.address)).where(col(Touch.kind) == "sms", col(Touch.state).in_(numbers))
    for state, number in link.execute(told):
        numbers[state][number or ""] += 1
    theirs = Counter(text.to for text in texts.taken), Counter(texts.refused)
    same = all(map(_but_for_forgotten, theirs, numbers.values())) and not texts.strangers
    outside, inside = f"{len(texts.taken):,} taken", f"{numbers['sent'].total():,} touches sent"
    if texts.refused:
        outside += f", {len(texts.refused):,} to no number"
        inside += f", {numbers['failed'].total():,} failed"
    return Entry("text messages, by number", outside, inside, same)


def _but_for_forgotten(theirs: Counter[str], ours: Counter[str]) -> bool:
    """Whether the same went to each number; the number of who was forgotten is not known here any more."""
    known = Counter({number: count for number, count in ours.items() if number})
    return known <= theirs and (theirs - known).total() == ours[""]


def _calls(link: Connection, crm: Crm) -> Entry:
    """Id by id: each call was signed with our key, and one that came twice counts once."""
    sent = select(col(Touch.id)).where(col(Touch.kind) == "webhook", col(Touch.state) == "sent")
    ours = {f"touch-{touch}" for touch in link.execute(sent).scalars()}
    again = f", {len(crm.later):,} at a second try" if crm.later else ""
    outside, inside = f"{len(crm.told):,} signatures right{again}", f"{len(ours):,} touches sent"
    return Entry("calls to the CRM, by id", outside, inside, set(crm.told) == ours and not crm.forged)


def _tasks(link: Connection, sales: SalesTeam) -> Entry:
    done = link.execute(select(func.count()).where(col(Task.done_at).is_not(None))).scalar_one()
    return Entry(
        "tasks of the sales team", f"{sales.tasks_done:,} said to be done", f"{done:,} done", done == sales.tasks_done
    )


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

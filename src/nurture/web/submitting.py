"""A form that was sent: lead, consents, event and all that follows, in one transaction."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal, or_, select
from sqlmodel import col

from nurture import clock
from nurture.engine import consents, doors, statuses, visitors
from nurture.engine.live import Live
from nurture.engine.notices import Claimed
from nurture.engine.objecting import has_consent
from nurture.engine.renaming import first_address
from nurture.engine.running import Run
from nurture.failpoints import reach
from nurture.intake.write import put_lead
from nurture.program.forms import Form
from nurture.program.wording import in_language
from nurture.records import Consent, Event, Lead, Objection, Suppression
from nurture.rights.remembered import Remembered
from nurture.web.fields import line, ticked
from nurture.web.form_visits import Visit
from nurture.web.site import Site
from nurture.web.words import WORDS

#: Boxes under a form: the purpose of the consent that a tick is.
BOXES = {"consent": "mail", "tracking": "tracking"}
_HEX = re.compile(r"[0-9a-f]{32}")
#: Rows of a table are numbered up to here; what is swallowed gets a number that none has.
_NO_ROW = 1 << 62


@dataclass(frozen=True)
class Submission:
    """What came: typed answers, everything as it was sent, and what the browser says of its person."""

    visit: Visit
    typed: Mapping[str, Any]
    said: Mapping[str, str]
    #: Network address and User-Agent as keyed digests, and the page.
    evidence: Mapping[str, Any]
    #: Global Privacy Control.
    opted_out: bool


@dataclass(frozen=True)
class Stored:
    """What became of it: the event's number, and what is to be told to whom (sales, or the mailbox)."""

    event: int
    to_tell: Claimed | None


def hexadecimal(said: Mapping[str, str], name: str) -> str:
    """A number of 32 hexadecimal digits that a page sent along; "" for anything else."""
    given = said.get(name, "").strip()
    return given if _HEX.fullmatch(given) else ""


def swallowed() -> Stored:
    """What a machine that fills in everything is told: it looks like any other, and is nothing."""
    return Stored(_NO_ROW + int(clock.unguessable()[:15], 16), to_tell=None)


def store(site: Site, sent: Submission) -> Stored:
    """Everything, settled before it returns. The same page sent twice by one person is one event."""
    now, visit = site.machine.now(), sent.visit
    form, source = visit.form, f"form:{visit.key}"
    values = {**dict(sent.typed), **_given(form, sent.said), **_fixed(form)}
    once = hexadecimal(sent.said, "once") or clock.unguessable()

    def work(link: Connection) -> Stored:
        live = site.live(link)
        browser = hexadecimal(sent.said, "visitor")
        if browser and (address := values.get("email")):
            first_address(link, browser, address, now)
        lead, _ = put_lead(link, values, now=now, source=source, tags=form.marks)
        doors.lock_lead(link, lead, now)
        status = form.hidden.get("status")
        if status is not None:
            mine, author = col(Lead.id) == lead, f"form {visit.key}"
            moves = statuses.status_moves(mine, str(status), cause="set by the form", author=author)
            statuses.move_status(Run(link, live, now), moves)
        key = f"{once}:{lead}"
        touch = visit.touch.id if visit.touch is not None and visit.touch.lead_id == lead else None
        doors.add_event(link, lead, form.event, now, source=source, key=key, data=_data(visit), touch=touch)
        asked = _agreed(site, link, live, lead, sent, source, now)
        if browser:
            visitors.stitch(link, live, browser, lead, now)
        if sent.opted_out:
            consents.object_to(link, live, lead, "sharing", now, source=visitors.GPC)
        handed = doors.settle_one(link, live, lead, now).handoffs > 0
        event = select(col(Event.id)).where(col(Event.source) == source, col(Event.key) == key)
        claimed = site.machine.claim_notices(link, now) if handed or asked else None
        stored = Stored(int(link.execute(event).scalar_one() or 0), claimed)
        reach("form_stored")
        return stored

    stored = site.machine.db.transact(work, door=True)
    reach("form_committed")
    return stored


def _proof(sent: Submission, ticked: Mapping[str, str]) -> dict[str, Any]:
    """What proves the tick; with the browser that its second yes makes ours to follow."""
    browser = hexadecimal(sent.said, "visitor") if "tracking" in ticked else ""
    return {**sent.evidence, **({"visitor": browser} if browser else {})}


def _data(visit: Visit) -> dict[str, str]:
    """What the event says: sales reads the form's title in the program's language."""
    title = in_language(visit.form.title, visit.house.program.language) or visit.title
    data = {"form": visit.key, "title": title}
    return {**data, "offer": str(visit.piece["key"])} if visit.piece is not None else data


def _fixed(form: Form) -> dict[str, Any]:
    """What the form itself sets; a lead's status is set apart, since it is not only a newcomer's."""
    stage = {"stage": form.stage} if form.stage is not None else {}
    return stage | {name: value for name, value in form.hidden.items() if name != "status"}


def _given(form: Form, said: Mapping[str, str]) -> dict[str, str]:
    """Parameters of the page's address, as fields; one that cannot be kept is left out."""
    found = {}
    for parameter, name in form.from_query.items():
        try:
            found[name] = line(said.get(parameter, "").strip())
        except ValueError:
            continue
    return {name: text for name, text in found.items() if text}


def _agreed(
    site: Site, link: Connection, live: Live, lead: int, sent: Submission, source: str, now: datetime
) -> bool:  # fmt: skip
    """Keep the ticks under the form, or ask the mailbox whether they were its own; True if it is asked.

    Who said no to us before, or was forgotten, must say yes from the mailbox: anybody can write another's address into
    a form.
    """
    visit, program = sent.visit, live.house.program
    say = WORDS[visit.language]
    boxes = {purpose: box for box, purpose in BOXES.items() if ticked(sent.said, box)}
    if not boxes:
        return False
    wording = {purpose: consents.worded(visit.language, say[box]) for purpose, box in boxes.items()}
    row = link.execute(select(col(Lead.email), col(Lead.country)).where(col(Lead.id) == lead)).one()
    twice = (
        program.consents.asks_twice(row.country, visit.form.double_opt_in)
        or _said_no(Run(link, live, now), lead, row.email, boxes)
        or bool(Remembered(site.machine.keys).since(link, [row.email]))
    )
    if twice:
        number = consents.ask_to_confirm(
            link, live, lead, purposes=list(boxes), address=row.email, source=source, wording=wording,
            evidence=_proof(sent, boxes), language=visit.language, now=now,
        )  # fmt: skip
        return number is not None
    for purpose in boxes:
        consents.give(
            link, lead, purpose, "consent", source=source, now=now, wording=wording[purpose],
            evidence=sent.evidence, expires_at=program.consents.end("consent", now),
        )  # fmt: skip
    return False


def _said_no(run: Run, lead: int, email: str | None, ticked: Collection[str]) -> bool:
    """Whether the lead or its address is on the suppression list, or it objected, or took a ticked purpose back."""
    listed = select(col(Suppression.id)).where(
        or_(
            (col(Suppression.kind) == "lead") & (col(Suppression.value) == str(lead)),
            (col(Suppression.kind) == "address") & (col(Suppression.value) == email),
        )
    )
    objected = select(col(Objection.at)).where(col(Objection.lead_id) == lead, col(Objection.kind) == "profiling")
    taken_back = select(col(Consent.purpose)).where(
        col(Consent.lead_id) == col(Lead.id), col(Consent.withdrawn_at).is_not(None)
    )
    closed = (literal(purpose).in_(taken_back.correlate(Lead)) & ~has_consent(purpose) for purpose in ticked)
    withdrawn = select(col(Lead.id)).where(col(Lead.id) == lead, or_(*closed))
    return any(run(query.limit(1)).first() is not None for query in (listed, objected, withdrawn))

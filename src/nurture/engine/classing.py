"""Who opened or followed something: a person or a machine, and why; and what is undone when it was no person after all.

The reasons are those of docs/tracking.md. What a User-Agent says is believed only where it names a machine: that it
names a browser proves nothing, so instants and the link that no person sees speak as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from crawlerdetect import CrawlerDetect
from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture.mail.render import TRAP_PLACE
from nurture.records import Event

#: A second distinct link this soon after another, or a hit this soon after delivery, is a scanner's.
BURST = timedelta(seconds=10)
#: Who follows the link that no person sees was a machine so long before and after.
TRAP = timedelta(minutes=10)
SOON = "sooner after delivery than a person reads"
TRAPPED = "a link that no person sees was followed"
#: What people do in a message: other events of it are nobody's class.
DONE = ("email_clicked", "offer_viewed", "email_opened")

_CRAWLERS = CrawlerDetect()
#: Characters of a User-Agent that are looked at.
_LOOKED_AT = 512
_IMAGE_PROXY = re.compile(r"GoogleImageProxy|ggpht\.com|YahooMailProxy")
#: Gmail's look at what is delivered; Edge itself has called itself `Edg/` since 2020 and never ended so.
_GMAIL_SCAN = re.compile(r"Edge/12\.\d+ Mozilla/5\.0$")
#: What every browser of the last twenty years says of how it draws a page.
_BROWSER = re.compile(r"AppleWebKit/|Gecko/\d|Trident/|MSIE |Presto/")
#: Who presents itself: an address to read about it, or `compatible;`, which of browsers Internet Explorer alone said.
_PRESENTS_ITSELF = re.compile(r"https?://|compatible;(?! MSIE)", re.IGNORECASE)
_GATEWAY = re.compile(
    r"barracuda|proofpoint|mimecast|zscaler|forcepoint|symantec|messagelabs|ironport|fortimail|bitdefender|safelinks"
    r"|ms-office|microsoft office protocol discovery",
    re.IGNORECASE,
)


def agent_reason(agent: str) -> str | None:
    """Why a User-Agent is a machine's, or None."""
    agent = agent.strip()[:_LOOKED_AT]
    if not agent:
        return "no User-Agent"
    if agent == "Mozilla/5.0":
        return "a User-Agent of one word: Apple's Mail Privacy Protection, or a scanner"
    if _IMAGE_PROXY.search(agent):
        return "an image proxy"
    if _GMAIL_SCAN.search(agent):
        return "Gmail's scan at delivery"
    if _CRAWLERS.is_crawler(agent):
        return "User-Agent of a crawler"
    if _GATEWAY.search(agent):
        return "User-Agent of a security gateway"
    if _PRESENTS_ITSELF.search(agent):
        return "a User-Agent that presents itself as a program"
    return None if _BROWSER.search(agent) else "no browser's User-Agent"


def too_soon(at: datetime, sending_at: datetime | None) -> str | None:
    """The reason, if a message was looked at before or just after it left."""
    return SOON if sending_at is not None and at - sending_at < BURST else None


def trapped(link: Connection, touch: int, at: datetime) -> str | None:
    """The reason, if the link that no person sees was followed in this message within ten minutes before `at`."""
    hits = select(col(Event.data)).where(
        col(Event.touch_id) == touch, col(Event.name) == "email_clicked", col(Event.actor) == "machine",
        col(Event.occurred_at) > at - TRAP,
    )  # fmt: skip
    return TRAPPED if any(data.get("place") == TRAP_PLACE for data in link.execute(hits).scalars()) else None


def unmask(link: Connection, touch: int, since: datetime, until: datetime, why: str) -> bool:
    """What a person seemed to do in a message between these instants was a machine's; True if there was any.

    The caller holds the lead and puts it on the work list: the next settling takes back what was earned.
    """
    return machines(link, select(col(Event.id)).where(
        col(Event.touch_id) == touch, col(Event.name).in_(DONE), col(Event.actor) == "person",
        col(Event.occurred_at) >= since, col(Event.occurred_at) <= until,
    ), why)  # fmt: skip


def machines(link: Connection, events: Any | Sequence[int], why: str) -> bool:
    """Class these events as a machine's; settling looks at them anew. True if there was any."""
    values = {"actor": "machine", "classed_by": why, "settled_at": None}
    done = update(Event).where(col(Event.id).in_(events)).values(**values).execution_options(synchronize_session=False)
    return bool(link.execute(done).rowcount)

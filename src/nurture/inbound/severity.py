"""Whom a bounce speaks about: the address (hard), a passing trouble there (soft), or us (sender).

An address is given up only when the number says so and the words do not say otherwise: mailbox full and blocked
senders come with 5.1.1 too. Numbers: RFC 3463 and the registry that RFC 5248 opened.
"""

from __future__ import annotations

import re
from typing import Literal

Severity = Literal["hard", "soft", "sender"]

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
#: An enhanced status where RFC 2034 puts it: right after the reply code.
_AFTER_REPLY = re.compile(r"(?<!\d)[245]\d\d[ -]+#?'?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_ADDRESS = re.compile(r"<?[^\s<>@,;:]{1,128}@[^\s<>@,;:]{1,250}>?")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_LISTS = re.compile(r"spamhaus|spamcop|barracudacentral|dnsbl|\brbl\b", re.IGNORECASE)
#: Said of the sender, its host, or the message.
_US = re.compile(
    r"block(ed)? ?list|black ?list|\bblocked\b|\bbanned\b|spam|unsolicited|\bUBE\b|reputation|polic(y|ies)\b"
    r"|\bSPF\b|\bDKIM\b|\bDMARC\b|unauthenticated|authentication|sender (address )?\s*(is )?(rejected|denied|verif)"
    r"|(?<!recipient address rejected: )access denied|not (permitted|authori[sz]ed|allowed)|too many connections"
    r"|frequency|rate.?limit|throttl|virus|content (rejected|refused|denied)"
    r"|(message|mail|size)\W.{0,40}(too (big|large|long)|exceed\w* .{0,30}size|size exceed|exceeds? .{0,30}limit)",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(mailbox|mail box|inbox|account|user|storage|disk)\W.{0,60}\b(full|quota)\b"
    r"|(over|exceed\w*|out of|reached)\W.{0,40}(quota|storage|disk space)|quota (is )?exceed"
    r"|insufficient .{0,20}(storage|space)|\boverquota\b",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"user (is )?unknown|unknown (user|recipient|address|mailbox|local.?part)|address unknown|recipient unknown"
    r"|no such (user|mailbox|recipient|person|address|account|domain)|no mailbox|no .{0,20}account (by|with|here)"
    r"|(user|mailbox|account|address|recipient|domain|host)\b.{0,60}\b(does ?n[o']t|do not|not) exist"
    r"|(user|mailbox|account|address|recipient|domain( name)?|host)\b.{0,40} not (found|known|listed|valid)"
    r"|invalid (final )?(recipient|user|mailbox|address|delivery address|domain)|not a valid (user|mailbox|recipient)"
    r"|no valid recipient|bad destination|no longer (on|available|valid|in use|with)|unrouteable|host unknown"
    r"|not our customer",
    re.IGNORECASE,
)


def status_in(given: str, text: str) -> str | None:
    """The RFC 3463 status: `given` (a report's field) unless it says nothing, else the first good one in `text`."""
    said = _STATUS.search(given)
    if said and said[0][1:] not in (".0.0", ".5.0"):
        return said[0]
    near = _AFTER_REPLY.search(text)
    loose = _STATUS.search(text)
    found = near[1] if near else loose[0] if loose else None
    return found or (said[0] if said else None)


def severity(status: str | None, text: str) -> Severity:
    """Whom a failure with this status and these words speaks about; what cannot be told is soft."""
    words = _ADDRESS.sub(" ", " ".join(text.split()))
    plain = _URL.sub(" ", words)
    if _LISTS.search(words) or _US.search(plain):
        return "sender"
    if _FULL.search(plain):
        return "soft"
    grade, subject, detail = (int(part) for part in status.split(".")) if status else (5, 0, 0)
    if subject == 7 or subject == 6 or (subject, detail) in ((1, 7), (1, 8), (2, 3), (3, 4)):
        return "sender"
    if grade != 5:
        return "soft"
    if subject == 1 and detail not in (0, 9):
        return "hard"
    if _NOBODY.search(plain):
        return "hard"
    return "sender" if subject == 5 else "soft"

"""Mailjet's Event API: a JSON object, or a list where events are grouped, guarded by HTTP Basic in its address.

https://dev.mailjet.com/email/guides/webhooks/ ("Event API: real-time notifications"). Matched by the token that
`X-MJ-CustomID` gave and `CustomID` tells; Mailjet's own MessageID says nothing to us. Its `sent` is told once the
recipient's server has accepted the message.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import Kind, Report, Vendor, bounce, instant, listed, tokens, words
from nurture.inbound.hooks.signing import password
from nurture.inbound.severity import Severity

_KINDS: dict[str, Kind] = {
    "sent": "delivered", "open": "opened", "click": "clicked", "bounce": "bounce", "blocked": "rejected",
    "spam": "complaint", "unsub": "unsubscribe",
}  # fmt: skip
#: `error_related_to` and `error` of what speaks about us.
_OURS = ("spam", "content", "mailjet", "system")
_OUR_ERRORS = (
    "spam",
    "content blocked",
    "policy issue",
    "preblocked",
    "sender blocked",
    "connection issue",
    "protocol error",
)


def report(event: Any) -> Report | None:
    """One event. What is greylisted is tried again: a delay."""
    kind: Kind | None = _KINDS.get(event["event"])
    if kind is None:
        return None
    error = words(event.get("error"))
    text = " ".join(part for part in (error, words(event.get("comment"))) if part) or words(event.get("smtp_reply"))
    why: dict[str, Any] = {"detail": text}
    if kind == "bounce":
        said: Severity = "hard" if event.get("hard_bounce") is True else "soft"
        if event.get("error_related_to") in _OURS or error in _OUR_ERRORS:
            said = "sender"
        kind = "deferred" if error == "greylisted" else kind
        why = bounce(said, None, text) if kind == "bounce" else why
    return Report(
        kind,
        "",
        instant(event["time"]),
        words(event.get("email")),
        tokens=tokens(event.get("CustomID")),
        agent=event.get("agent"),
        link=event.get("url"),
        **why,
    )


VENDOR = Vendor("mailjet", password, lambda posted: listed(posted.json), report)

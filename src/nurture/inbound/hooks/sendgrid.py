"""SendGrid's Event Webhook: a JSON list, signed with ECDSA over timestamp and body.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event ("Event Webhook Reference") and
…/tracking-events/getting-started-event-webhook-security-features. The secret is the verification key (base64).
Matched by the token among the unique arguments, which stand in each event, else by `smtp-id`, our Message-ID.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Vendor,
    bounce,
    instant,
    listed,
    message_ids,
    tokens,
    words,
)
from nurture.inbound.hooks.signing import ecdsa
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "processed": "sent", "delivered": "delivered", "deferred": "deferred", "bounce": "bounce", "dropped": "rejected",
    "open": "opened", "click": "clicked", "spamreport": "complaint", "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
}  # fmt: skip
#: `bounce_classification` of what speaks about us.
_OURS = ("Content", "Reputation", "Frequency or Volume Too High", "Technical Failure")


def check(posted: Posted, secret: str) -> None:
    """The signature, then the instant that it covers."""
    stamp = posted.header("x-twilio-email-event-webhook-timestamp")
    signature = posted.header("x-twilio-email-event-webhook-signature")
    ecdsa(secret, signature, stamp.encode() + posted.body)
    posted.recent(instant(stamp))


def report(event: Any) -> Report | None:
    """One event; groups that somebody joins again are ignored: with us a person says so itself."""
    kind = _KINDS.get(event["event"])
    if kind is None:
        return None
    reason = words(event.get("reason") or event.get("response"))
    why: dict[str, Any] = {"detail": reason}
    if kind == "bounce":
        said: Severity = "soft" if event.get("type") == "blocked" else "hard"
        said = "sender" if event.get("bounce_classification") in _OURS else said
        why = bounce(said, event.get("status"), reason)
    return Report(
        kind,
        words(event.get("sg_event_id")),
        instant(event["timestamp"]),
        words(event.get("email")),
        message_ids(event.get("smtp-id")),
        tokens(event.get(NAME)),
        machine="Apple's Mail Privacy Protection, says SendGrid" if event.get("sg_machine_open") is True else None,
        agent=event.get("useragent"),
        link=event.get("url"),
        **why,
    )


VENDOR = Vendor("sendgrid", check, lambda posted: listed(posted.json), report)

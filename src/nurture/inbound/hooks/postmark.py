"""Postmark's webhooks: one JSON object each, guarded by HTTP Basic or a header with a token.

https://postmarkapp.com/developer/webhooks/webhooks-overview, …/bounce-webhook, …/delivery-webhook,
…/open-tracking-webhook, …/click-webhook, …/spam-complaint-webhook, …/subscription-change-webhook; bounce types:
…/developer/api/bounce-api. Postmark puts a Message-ID of its own in place of ours: matched by the token in the metadata
that comes back.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import Kind, Report, Vendor, bounce, instant, listed, tokens, words
from nurture.inbound.hooks.signing import password
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "Delivery": "delivered", "Bounce": "bounce", "SpamComplaint": "complaint", "Open": "opened", "Click": "clicked",
    "SubscriptionChange": "unsubscribe",
}  # fmt: skip
#: Types of a Bounce that are none: what became of the message in the end is told in another one.
_NO_BOUNCE: dict[str, Kind | None] = {
    "Transient": "deferred", "Subscribe": None, "Unsubscribe": "unsubscribe", "SpamComplaint": "complaint",
    "AutoResponder": "automatic", "AddressChange": "automatic", "ChallengeVerification": "automatic",
    "OpenRelayTest": None, "TemplateRenderingFailed": "rejected", "SMTPApiError": "rejected", "InboundError": None,
}  # fmt: skip
_SEVERITY: dict[str, Severity] = {
    "HardBounce": "hard", "BadEmailAddress": "hard", "SoftBounce": "soft", "DnsError": "soft", "Blocked": "sender",
    "SpamNotification": "sender", "VirusNotification": "sender", "DMARCPolicy": "sender",
}  # fmt: skip
#: Why an address was put on the suppression list, and what that says.
_SUPPRESSED: dict[str, Kind] = {
    "HardBounce": "bounce",
    "SpamComplaint": "complaint",
    "ManualSuppression": "unsubscribe",
}


def report(event: Any) -> Report | None:
    """One event."""
    kind: Kind | None = _KINDS.get(event["RecordType"])
    if kind == "bounce":
        kind = _NO_BOUNCE.get(event["Type"], "bounce")
    elif event["RecordType"] == "SubscriptionChange":
        # what stands on the list of the house itself, or comes off it, was said by nobody
        by_us = event.get("Origin") not in ("Recipient", None)
        reason = event.get("SuppressionReason")
        kind = (
            _SUPPRESSED.get(reason)
            if event["SuppressSending"] and not (by_us and reason == "ManualSuppression")
            else None
        )
    if kind is None:
        return None
    text = words(event.get("Details")) or words(event.get("Description"))
    said = _SEVERITY.get(event.get("Type", ""), "hard" if event.get("SuppressionReason") == "HardBounce" else None)
    at = next((event[name] for name in ("BouncedAt", "DeliveredAt", "ReceivedAt", "ChangedAt") if name in event), None)
    return Report(
        kind,
        f"{event['RecordType']}:{event['ID']}" if "ID" in event else "",
        instant(at),
        words(event.get("Recipient") or event.get("Email")),
        tokens=tokens((event.get("Metadata") or {}).get(NAME)),
        agent=event.get("UserAgent"),
        link=event.get("OriginalLink"),
        **(bounce(said, None, text) if kind == "bounce" else {"detail": text}),
    )


VENDOR = Vendor("postmark", password, lambda posted: listed(posted.json), report)

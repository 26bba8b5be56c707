"""Unisender Go's webhooks: a JSON object of events by user, proved by an MD5 that stands in it.

https://godocs.unisender.ru/web-api-ref#webhook-format: `auth` is the MD5 of the body as it is sent with the API key in
place of it. The secret is that key. Metadata by SMTP: https://godocs.unisender.ru/smtp-api (`X-UNISENDER-GO`). Matched
by the token in the metadata. Instants are in UTC.
"""

from __future__ import annotations

import hashlib
from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Unsigned,
    Vendor,
    bounce,
    instant,
    tokens,
    words,
)
from nurture.inbound.hooks.signing import equal
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "sent": "sent", "delivered": "delivered", "opened": "opened", "clicked": "clicked",
    "unsubscribed": "unsubscribe", "spam": "complaint", "soft_bounced": "bounce", "hard_bounced": "bounce",
}  # fmt: skip
_OURS = ("err_spam_rejected", "err_blacklisted", "err_too_large", "err_spam_removed", "err_destination_misconfigured")
#: Unisender Go's own lists held it back.
_NOT_TRIED = (
    "err_unsubscribed", "err_skip_letter", "err_spam_skipped", "err_lost", "err_not_allowed", "err_not_available",
    "err_internal", "err_unable_to_send", "skip_dup_unreachable", "skip_dup_temp_unreachable",
    "skip_dup_mailbox_full",
)  # fmt: skip


def check(posted: Posted, secret: str) -> None:
    """The key is put into the very bytes that came, since it is those that were counted."""
    try:
        given = posted.json["auth"]
    except (ValueError, KeyError, TypeError):
        raise Unsigned("no auth") from None
    if not isinstance(given, str) or len(given) != 32 or posted.body.count(given.encode()) != 1:
        raise Unsigned("no auth")
    made = hashlib.md5(posted.body.replace(given.encode(), secret.encode()), usedforsecurity=False)
    equal(given.casefold(), made.hexdigest())


def events(posted: Posted) -> list[Any]:
    """The events of all users."""
    try:
        return [event for user in posted.json["events_by_user"] for event in user["events"]]
    except (KeyError, TypeError):
        raise ValueError("holds no events_by_user") from None


def report(event: Any) -> Report | None:
    """One event; that a domain is blocked for a while says nothing of a message."""
    if event["event_name"] != "transactional_email_status":
        return None
    told = event["event_data"]
    kind: Kind | None = _KINDS.get(told["status"])
    if kind is None:
        return None
    more = told.get("delivery_info") or {}
    outcome = words(more.get("delivery_status"))
    text = words(more.get("destination_response")) or outcome
    why: dict[str, Any] = {"detail": text}
    if kind == "bounce" and outcome in _NOT_TRIED:
        kind = "rejected"
    elif kind == "bounce" and outcome == "err_will_retry":
        kind = "deferred"
    elif kind == "bounce":
        said: Severity = "hard" if told["status"] == "hard_bounced" else "soft"
        why = bounce("sender" if outcome in _OURS else said, None, text)
    metadata = told.get("metadata")
    return Report(
        kind,
        "",
        instant(told.get("event_time")),
        words(told.get("email")),
        tokens=tokens(metadata.get(NAME) if isinstance(metadata, dict) else None),
        agent=more.get("user_agent"),
        link=told.get("url") if kind == "clicked" else None,
        **why,
    )


VENDOR = Vendor("unisender", check, events, report)

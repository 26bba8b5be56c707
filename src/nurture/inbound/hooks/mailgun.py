"""Mailgun's webhooks: a JSON object each, whose own HMAC-SHA256 stands in it.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads and …/securing-webhooks. The
secret is the HTTP webhook signing key. Mailgun keeps our Message-ID and tells it; the token among the variables comes
back too.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Unsigned,
    Vendor,
    bounce,
    instant,
    message_ids,
    tokens,
    words,
)
from nurture.inbound.hooks.signing import equal, keyed
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "accepted": "sent", "delivered": "delivered", "failed": "bounce", "opened": "opened", "clicked": "clicked",
    "complained": "complaint", "unsubscribed": "unsubscribe", "rejected": "rejected",
}  # fmt: skip
#: Reasons of a permanent failure at Mailgun itself: it knew before, or asked nobody.
_NOT_TRIED = ("suppress-bounce", "suppress-complaint", "suppress-unsubscribe", "old")


def check(posted: Posted, secret: str) -> None:
    """The signature covers instant and token, and not what is told beside them: it is as good as a password."""
    try:
        signed = posted.json["signature"]
        stamp, token, given = (str(signed[name]) for name in ("timestamp", "token", "signature"))
    except (ValueError, KeyError, TypeError):
        raise Unsigned("no signature") from None
    equal(given, keyed(secret, (stamp + token).encode(), "sha256").hex())
    posted.recent(instant(stamp))


def events(posted: Posted) -> list[Any]:
    """The one event of a request."""
    told = posted.json.get("event-data")
    if not isinstance(told, dict):
        raise ValueError("holds no event-data")
    return [told]


def report(event: Any) -> Report | None:
    """One event. A temporary failure is tried again by Mailgun: a delay."""
    kind: Kind | None = _KINDS.get(event["event"])
    if kind is None:
        return None
    status = event.get("delivery-status") or {}
    text = words(status.get("message")) or words(status.get("description")) or words(event.get("reason"))
    code = words(status.get("code"))
    why: dict[str, Any] = {"detail": text}
    if kind == "bounce" and event.get("severity") == "temporary":
        kind = "deferred"
    elif kind == "bounce" and event.get("reason") in _NOT_TRIED:
        kind = "rejected"
    elif kind == "bounce":
        said: Severity | None = "sender" if event.get("reason") == "espblock" else "hard"
        why = bounce(said, status.get("enhanced-code"), f"{code} {text}".strip())
    headers, envelope = (event.get("message") or {}).get("headers") or {}, event.get("envelope") or {}
    client = event.get("client-info") or {}
    bot = words(client.get("bot"))
    return Report(
        kind,
        words(event.get("id")),
        instant(event["timestamp"]),
        words(event.get("recipient")),
        message_ids(headers.get("message-id")),
        tokens((event.get("user-variables") or {}).get(NAME), envelope.get("sender")),
        machine=f"a bot, says Mailgun: {bot[:40]}" if bot else None,
        agent=client.get("user-agent"),
        link=event.get("url"),
        **why,
    )


VENDOR = Vendor("mailgun", check, events, report)

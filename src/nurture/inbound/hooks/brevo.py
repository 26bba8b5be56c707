"""Brevo's transactional webhooks: a JSON object, or a list where they are batched; HTTP Basic or a bearer token.

https://developers.brevo.com/docs/transactional-webhooks, …/secured-webhooks, …/batched-webhooks. Matched by the token
that `X-Mailin-custom` gave, else by `message-id`. Of its instants only `ts_epoch` is in UTC.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Report,
    Vendor,
    bounce,
    instant,
    listed,
    message_ids,
    parsed,
    tokens,
    words,
)
from nurture.inbound.hooks.signing import password
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "request": "sent", "sent": "sent", "delivered": "delivered", "deferred": "deferred", "hard_bounce": "bounce",
    "soft_bounce": "bounce", "invalid_email": "bounce", "blocked": "rejected", "error": "rejected",
    "spam": "complaint", "complaint": "complaint", "unsubscribe": "unsubscribe", "unsubscribed": "unsubscribe",
    "opened": "opened", "unique_opened": "opened", "uniqueOpened": "opened", "proxy_open": "opened",
    "unique_proxy_open": "opened", "click": "clicked",
    # as batched webhooks spell them
    "hardBounce": "bounce", "softBounce": "bounce", "invalid": "bounce", "proxyOpen": "opened",
    "uniqueProxyOpen": "opened",
}  # fmt: skip
_SAID: dict[str, Severity] = {
    "hard_bounce": "hard", "hardBounce": "hard", "invalid_email": "hard", "invalid": "hard", "soft_bounce": "soft",
    "softBounce": "soft",
}  # fmt: skip


def report(event: Any) -> Report | None:
    """One event."""
    name = event["event"]
    kind = _KINDS.get(name)
    if kind is None:
        return None
    text = words(event.get("reason"))
    return Report(
        kind,
        "",
        instant(event.get("ts_epoch")),
        words(event.get("email")),
        message_ids(event.get("message-id")),
        tokens(_token(words(event.get("X-Mailin-custom")))),
        machine="an image proxy, says Brevo" if "proxy" in name.casefold() else None,
        agent=event.get("user_agent"),
        link=event.get("link"),
        **(bounce(_SAID[name], None, text) if kind == "bounce" else {"detail": text}),
    )


def _token(custom: str) -> str | None:
    """Our token in what came back; whatever else stands there is another's."""
    try:
        told = parsed(custom)
    except ValueError:
        return None
    return told.get(NAME) if isinstance(told, dict) else None


VENDOR = Vendor("brevo", password, lambda posted: listed(posted.json), report)

"""Mandrill's webhooks (Mailchimp Transactional): a form whose field `mandrill_events` is a JSON list.

https://mailchimp.com/developer/transactional/docs/webhooks/ and …/guides/track-respond-activity-webhooks/
("Authenticating webhook requests"): HMAC-SHA1 over the address as it was entered and the fields in order, in base64.
The secret is the webhook's key. Mandrill tells its own id only: matched by the token in the metadata.
"""

from __future__ import annotations

import base64
from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Unsigned,
    Vendor,
    bounce,
    instant,
    listed,
    own_id,
    parsed,
    tokens,
    words,
)
from nurture.inbound.hooks.signing import equal, keyed
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "send": "sent", "delivered": "delivered", "deferral": "deferred", "hard_bounce": "bounce", "soft_bounce": "bounce",
    "open": "opened", "click": "clicked", "spam": "complaint", "unsub": "unsubscribe", "reject": "rejected",
}  # fmt: skip


def check(posted: Posted, secret: str) -> None:
    """The signature."""
    given = posted.header("x-mandrill-signature")
    try:
        fields = sorted(posted.form)
    except ValueError:
        raise Unsigned("no form") from None
    signed = posted.url + "".join(name + value for name, value in fields)
    equal(given, base64.b64encode(keyed(secret, signed.encode(), "sha1")).decode())


def events(posted: Posted) -> list[Any]:
    """The list in the form."""
    told = dict(posted.form).get("mandrill_events")
    if told is None:
        raise ValueError("holds no mandrill_events")
    return listed(parsed(told))


def report(event: Any) -> Report | None:
    """One event; lists that are kept in step (`type` instead of `event`) say nothing of a message."""
    kind = _KINDS.get(event.get("event", ""))
    if kind is None:
        return None
    message = event["msg"]
    text = words(message.get("diag")) or words(message.get("bounce_description")) or words(event.get("diag"))
    metadata = message.get("metadata")
    return Report(
        kind,
        own_id([event["event"], event.get("_id"), event.get("ts"), event.get("url")]),
        instant(event["ts"]),
        words(message.get("email")),
        tokens=tokens(metadata.get(NAME) if isinstance(metadata, dict) else None),
        agent=event.get("user_agent"),
        link=event.get("url"),
        **(
            bounce("hard" if event["event"] == "hard_bounce" else "soft", None, text)
            if kind == "bounce"
            else {"detail": text}
        ),
    )


VENDOR = Vendor("mandrill", check, events, report)

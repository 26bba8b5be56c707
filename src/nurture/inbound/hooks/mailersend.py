"""MailerSend's webhooks: a JSON object each, HMAC-SHA256 over the body in the header `Signature`.

https://developers.mailersend.com/api/v1/webhooks.html ("Payload example", "Security"); tags by SMTP:
https://developers.mailersend.com/smtp-relay.html. MailerSend puts a Message-ID of its own in place of ours: matched by
the token among the tags, or among the headers that it tells.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import Kind, Posted, Report, Vendor, bounce, instant, listed, tokens, words
from nurture.inbound.hooks.signing import equal, keyed

_KINDS: dict[str, Kind] = {
    "activity.sent": "sent", "activity.delivered": "delivered", "activity.deferred": "deferred",
    "activity.soft_bounced": "bounce", "activity.hard_bounced": "bounce", "activity.opened": "opened",
    "activity.opened_unique": "opened", "activity.clicked": "clicked", "activity.clicked_unique": "clicked",
    "activity.unsubscribed": "unsubscribe", "activity.spam_complaint": "complaint",
}  # fmt: skip


def check(posted: Posted, secret: str) -> None:
    """The signature."""
    equal(posted.header("signature"), keyed(secret, posted.body, "sha256").hex())


def report(event: Any) -> Report | None:
    """One event."""
    kind = _KINDS.get(event["type"])
    if kind is None:
        return None
    told = event["data"]
    mail, more = told["email"], told.get("morph") or {}
    text = words(more.get("readable_reason")) or words(more.get("reason"))
    tags = mail.get("tags") if isinstance(mail.get("tags"), list) else []
    headers = mail.get("headers")
    given = headers.items() if isinstance(headers, dict) else []
    tags += [value for name, value in given if str(name).casefold() == "x-mailersend-tags"]
    said = "hard" if event["type"].endswith("hard_bounced") else "soft"
    return Report(
        kind,
        words(told.get("id")),
        instant(told["created_at"]),
        words(mail["recipient"]["email"]),
        tokens=tokens(*tags),
        agent=more.get("user_agent"),
        link=more.get("url"),
        **(bounce("hard" if said == "hard" else "soft", None, text) if kind == "bounce" else {"detail": text}),
    )


VENDOR = Vendor("mailersend", check, lambda posted: listed(posted.json), report)

"""Scaleway Transactional Email through its Topics and Events, which speak the language of Amazon SNS.

https://www.scaleway.com/en/docs/transactional-email/reference-content/webhook-events-payloads/ and
…/api-cli/use-webhooks-with-sns-topics. Matched by our Message-ID among
`email_headers`, as name and value or as a mapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nurture.inbound.hooks import sns
from nurture.inbound.hooks.shape import Kind, Report, Vendor, bounce, instant, message_ids, tokens, words
from nurture.inbound.severity import Severity

_KINDS: dict[str, Kind] = {
    "email_queued": "sent", "email_delivered": "delivered", "email_deferred": "deferred", "email_dropped": "bounce",
    "email_spam": "bounce", "email_mailbox_not_found": "bounce", "email_blocklisted": "rejected",
}  # fmt: skip
_SAID: dict[str, Severity] = {"email_spam": "sender", "email_dropped": "hard", "email_mailbox_not_found": "hard"}


def report(event: Any) -> Report | None:
    """One event. `email_spam`: the server took it for spam, which no person said."""
    kind = _KINDS.get(event["type"])
    if kind is None:
        return None
    text = words(event.get("email_response_message")) or words(event.get("email_error"))
    said = f"{words(event.get('email_response_code'))} {text}".strip()
    return Report(
        kind,
        words(event.get("id")),
        instant(event.get("created_at")),
        words(event.get("email_to")),
        message_ids(*(value for name, value in _headers(event.get("email_headers")) if name == "message-id")),
        tokens(*(value for name, value in _headers(event.get("email_headers")) if name == "return-path")),
        **(bounce(_SAID[event["type"]], None, said) if kind == "bounce" else {"detail": text}),
    )


def _headers(told: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(told, dict):
        for name, value in told.items():
            yield str(name).casefold(), value[0] if isinstance(value, list) and value else value
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict):
            yield str(one.get("name") or one.get("key")).casefold(), one.get("value")


VENDOR = Vendor(
    "scaleway",
    sns.checker(
        r"messaging\.s3\.[a-z]{2}-[a-z]{3}\.scw\.cloud/[0-9a-zA-Z/_-]{1,120}\.pem",
        r"sns\.mnq\.[a-z]{2}-[a-z]{3}\.scaleway\.com/?",
    ),
    sns.told,
    report,
)

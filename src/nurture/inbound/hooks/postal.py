"""Postal's webhooks: a JSON object each, signed with the installation's RSA key.

https://docs.postalserver.io/developer/webhooks; signatures: `lib/postal/http.rb` and `lib/postal/signer.rb` of
https://github.com/postalserver/postal: RSA-SHA256 over the body in X-Postal-Signature-256, since Postal 3.2.0 of March
2024. X-Postal-Signature (RSA-SHA1, "for legacy use") proves nothing here. The secret is the public key, as PEM or as
`postal default-dkim-record` prints it. Postal keeps our Message-ID and tells it.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Vendor,
    bounce,
    instant,
    listed,
    message_ids,
    words,
)
from nurture.inbound.hooks.signing import public_key, rsa

_KINDS: dict[str, Kind] = {
    "MessageSent": "delivered", "MessageDelayed": "deferred", "MessageDeliveryFailed": "bounce",
    "MessageHeld": "rejected", "MessageBounced": "bounce", "MessageLinkClicked": "clicked",
    "MessageLoaded": "opened",
}  # fmt: skip


def check(posted: Posted, secret: str) -> None:
    """The newer signature alone: whoever could forge the older one would leave the newer one out."""
    rsa(public_key(secret), posted.header("x-postal-signature-256"), posted.body, SHA256())


def report(event: Any) -> Report | None:
    """One event; what came in from outside is no message of ours."""
    kind: Kind | None = _KINDS.get(event["event"])
    if kind is None:
        return None
    told = event["payload"]
    returned = "original_message" in told
    message = told["original_message"] if returned else told["message"]
    if message.get("direction") == "incoming":
        return None
    text = words(told.get("output")).strip() or words(told.get("details"))
    hard = told.get("status") == "HardFail"
    return Report(
        "bounce" if returned else kind,
        words(event.get("uuid")),
        instant(event.get("timestamp")),
        words(message.get("to")),
        message_ids(message.get("message_id")),
        agent=told.get("user_agent"),
        link=told.get("url"),
        **(bounce("hard" if hard else None, None, text) if returned or kind == "bounce" else {"detail": text}),
    )


VENDOR = Vendor("postal", check, lambda posted: listed(posted.json), report)

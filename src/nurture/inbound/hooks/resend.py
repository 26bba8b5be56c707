"""Resend's webhooks: a JSON object each, signed by Svix (the scheme of Standard Webhooks).

https://resend.com/docs/webhooks/introduction, …/event-types, …/emails/bounced, …/verify-webhooks-requests;
https://docs.svix.com/receiving/verifying-payloads/how-manual. The secret is the signing secret (`whsec_…`). Matched by
the token in our header `X-Nurture`, which comes back among `headers`, or by `message_id` where it is told.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from nurture.inbound.hooks.shape import (
    Kind,
    Posted,
    Report,
    Unproven,
    Unsigned,
    Vendor,
    bounce,
    instant,
    listed,
    message_ids,
    tokens,
    words,
)
from nurture.inbound.severity import Severity
from nurture.mail.echo import ECHOES

_KINDS: dict[str, Kind] = {
    "email.sent": "sent", "email.delivered": "delivered", "email.delivery_delayed": "deferred",
    "email.bounced": "bounce", "email.complained": "complaint", "email.opened": "opened", "email.clicked": "clicked",
    "email.failed": "rejected", "email.suppressed": "rejected",
}  # fmt: skip
_SAID: dict[str, Severity] = {"Permanent": "hard", "Transient": "soft", "Undetermined": "soft"}


def _header(posted: Posted, name: str) -> str:
    return posted.headers.get(f"svix-{name}") or posted.header(f"webhook-{name}")


def check(posted: Posted, secret: str) -> None:
    """One of the signatures in the header; there are two while a secret is changed."""
    name, stamp, given = (_header(posted, part) for part in ("id", "timestamp", "signature"))
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise Unproven("the secret that was configured is none of Svix's") from None
    made = hmac.new(key, b".".join((name.encode(), stamp.encode(), posted.body)), hashlib.sha256).digest()
    right = f"v1,{base64.b64encode(made).decode()}".encode()
    if not any([hmac.compare_digest(one.encode(), right) for one in given.split(" ")]):
        raise Unsigned("the signature does not fit")
    posted.recent(instant(stamp))


def report(event: Any) -> Report | None:
    """One event. What Resend's own list held back was not tried."""
    kind: Kind | None = _KINDS.get(event["type"])
    if kind is None:
        return None
    told = event["data"]
    failure = told.get("bounce") or told.get("failed") or told.get("suppressed") or {}
    text = words(failure.get("message")) or words(failure.get("reason"))
    why: dict[str, Any] = {"detail": text}
    if kind == "bounce" and (failure.get("subType") == "Suppressed" or "suppression list" in text):
        kind = "rejected"
    elif kind == "bounce":
        said = " ".join(map(words, failure.get("diagnosticCode") or [])) or text
        why = bounce(_SAID.get(failure.get("type", ""), "hard"), None, said)
    ours = ECHOES["resend"][0].casefold()
    click = told.get("click") or {}
    return Report(
        kind,
        "",
        instant(event.get("created_at")),
        words(told["to"][0]),
        message_ids(told.get("message_id")),
        tokens(*(one.get("value") for one in told.get("headers") or [] if one.get("name", "").casefold() == ours)),
        agent=click.get("userAgent"),
        link=click.get("link"),
        **why,
    )


def request_id(posted: Posted) -> str | None:
    """Svix's id of the message, the same at each of its attempts."""
    return _header(posted, "id")


VENDOR = Vendor("resend", check, lambda posted: listed(posted.json), report, request_id)

"""Twilio: what became of a text message, and what people write back.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status, …/guides/webhook-request and
https://www.twilio.com/docs/usage/security#validating-requests: HMAC-SHA1 over the address as it was called and the
fields in order, in base64. The secret is the account's auth token. Reports are matched by the token in the address
that each message names; of what comes in, a STOP ends it: Twilio signs whose phone said so.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nurture.inbound.hooks.shape import Kind, Posted, Report, Unsigned, Vendor, tokens, words
from nurture.inbound.hooks.signing import equal, keyed
from nurture.inbound.severity import Severity

_KINDS: dict[str, Kind] = {"sent": "sent", "delivered": "delivered", "undelivered": "bounce", "failed": "bounce"}
#: https://www.twilio.com/docs/api/errors: no such number, a number that takes none.
_HARD = ("30005", "30006", "21211", "21217", "21401", "21407", "21421", "21614")
_SOFT = ("30003", "30008", "30017", "30022", "30023")
_UNSUBSCRIBED = "21610"
#: https://help.twilio.com/articles/223134027: what stops all further messages, alone in a message.
_STOP = ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout")


def check(posted: Posted, secret: str) -> None:
    """The signature."""
    given = posted.header("x-twilio-signature")
    try:
        fields = sorted(set(posted.form))
    except ValueError:
        raise Unsigned("no form") from None
    signed = posted.url + "".join(name + value for name, value in fields)
    equal(given, base64.b64encode(keyed(secret, signed.encode(), "sha1")).decode())


def events(posted: Posted) -> list[Any]:
    """The one event of a request."""
    told = dict(posted.form)
    if "MessageSid" not in told and "SmsSid" not in told:
        raise ValueError("names no message")
    return [{**told, "t": "".join(parse_qs(urlsplit(posted.url).query).get("t", [])[:1])}]


def report(event: Any) -> Report | None:
    """One event. Numbers below 30000 are Twilio's own refusals, made before anything was sent."""
    sid, state = event.get("MessageSid") or event["SmsSid"], words(event.get("MessageStatus"))
    if not state or state == "received":
        stop = event.get("OptOutType") == "STOP" or words(event.get("Body")).strip().casefold() in _STOP
        return Report("unsubscribe" if stop else "reply", f"{sid}:in", recipient=event["From"])
    kind: Kind | None = _KINDS.get(state)
    code = words(event.get("ErrorCode"))
    if kind is None:
        return None
    severity: Severity | None = None
    if kind == "bounce":
        kind = "unsubscribe" if code == _UNSUBSCRIBED else kind
        severity = "hard" if code in _HARD else "soft" if code in _SOFT else "sender"
    return Report(
        kind,
        f"{sid}:{state}",
        recipient=event.get("To"),
        tokens=tokens(event["t"]),
        severity=severity if kind == "bounce" else None,
        status=code or None,
        detail=words(event.get("ErrorMessage")) or state,
    )


VENDOR = Vendor(
    "twilio",
    check,
    events,
    report,
    touches=("sms",),
    answer=(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "application/xml"),
)

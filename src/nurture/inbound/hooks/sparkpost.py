"""SparkPost's event webhooks: a JSON list of `{"msys": {…: event}}`, guarded by HTTP Basic or a bearer token.

https://developers.sparkpost.com/api/webhooks ("Webhooks") and https://support.sparkpost.com/docs/tech-resources/webhook-event-reference;
bounce classes: https://support.sparkpost.com/docs/deliverability/bounce-classification-codes. Matched by the token in
the recipient's metadata, or in `msg_from`, the envelope's sender where it is ours.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks.shape import Kind, Posted, Report, Vendor, bounce, instant, listed, tokens, words
from nurture.inbound.hooks.signing import password
from nurture.inbound.severity import Severity
from nurture.mail.echo import NAME

_KINDS: dict[str, Kind] = {
    "injection": "sent", "delivery": "delivered", "delay": "deferred", "bounce": "bounce", "out_of_band": "bounce",
    "spam_complaint": "complaint", "list_unsubscribe": "unsubscribe", "link_unsubscribe": "unsubscribe",
    "open": "opened", "initial_open": "opened", "amp_open": "opened", "amp_initial_open": "opened", "click": "clicked",
    "amp_click": "clicked", "policy_rejection": "rejected", "generation_failure": "rejected",
    "generation_rejection": "rejected",
}  # fmt: skip
_HARD, _OURS = ("10", "30"), ("50", "51", "52", "53", "54", "25", "26")
#: Classes that are no failure: 60 an automatic answer, 80 a subscription.
_ANSWERS: dict[str, Kind] = {"60": "automatic", "90": "unsubscribe"}


def events(posted: Posted) -> list[Any]:
    """What is told, without the ping of an empty `msys`."""
    return [inner for outer in listed(posted.json) for inner in (outer["msys"].values() if _told(outer) else [outer])]


def _told(event: Any) -> bool:
    return isinstance(event, dict) and isinstance(event.get("msys"), dict)


def report(event: Any) -> Report | None:
    """One event."""
    kind: Kind | None = _KINDS.get(event["type"])
    if kind is None:
        return None
    text = words(event.get("raw_reason")) or words(event.get("reason"))
    why: dict[str, Any] = {"detail": text}
    if kind == "bounce":
        which = words(event.get("bounce_class"))
        kind = _ANSWERS.get(which, kind)
        said: Severity = "hard" if which in _HARD else "sender" if which in _OURS else "soft"
        why = bounce(said, None, f"{words(event.get('error_code'))} {text}") if kind == "bounce" else why
    metadata = event.get("rcpt_meta")
    return Report(
        kind,
        words(event.get("event_id")),
        instant(event["timestamp"]),
        words(event.get("raw_rcpt_to") or event.get("rcpt_to")),
        tokens=tokens(metadata.get(NAME) if isinstance(metadata, dict) else None, event.get("msg_from")),
        machine="fetched ahead, says SparkPost"
        if (event.get("user_agent_parsed") or {}).get("is_prefetched")
        else None,
        agent=event.get("user_agent"),
        link=event.get("target_link_url"),
        **why,
    )


VENDOR = Vendor("sparkpost", password, events, report)

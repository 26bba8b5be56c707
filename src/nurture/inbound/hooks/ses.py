"""Amazon SES through SNS: event publishing and feedback notifications, which differ in the name of one field.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html and …/notification-contents.html
SES puts a Message-ID of its own into what it sends and tells ours among `headers` and in `commonHeaders`; `mail.source`
is the envelope's sender, with its token. We send to one recipient at a time.
"""

from __future__ import annotations

from typing import Any

from nurture.inbound.hooks import sns
from nurture.inbound.hooks.shape import Kind, Report, Vendor, bounce, instant, message_ids, tokens, words
from nurture.inbound.severity import Severity

_KINDS: dict[str, Kind] = {
    "Send": "sent", "Delivery": "delivered", "DeliveryDelay": "deferred", "Bounce": "bounce", "Complaint": "complaint",
    "Open": "opened", "Click": "clicked", "Reject": "rejected", "Rendering Failure": "rejected",
    "Subscription": "unsubscribe",
}  # fmt: skip
_SAID: dict[str, Severity] = {"Permanent": "hard", "Transient": "soft"}
_OURS = ("ContentRejected", "AttachmentRejected", "MessageTooLarge")
#: SES's own lists held it back.
_NOT_TRIED = ("Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient")
_SNS = r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"


def report(event: Any) -> Report | None:
    """One event."""
    name = event.get("eventType") or event["notificationType"]
    kind: Kind | None = _KINDS.get(name)
    mail = event["mail"]
    told = event.get({"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}.get(name, name.lower())) or {}
    why: dict[str, Any] = {"detail": words(told.get("reason") or told.get("errorMessage") or told.get("smtpResponse"))}
    whose = told.get("bouncedRecipients") or told.get("complainedRecipients") or told.get("delayedRecipients") or [{}]
    if kind == "bounce":
        about, sub = whose[0], told.get("bounceSubType")
        kind = "rejected" if sub in _NOT_TRIED else kind
        said = "sender" if sub in _OURS else _SAID.get(told.get("bounceType", ""))
        why = bounce(said, about.get("status"), about.get("diagnosticCode") or sub)
        why = why if kind == "bounce" else {"detail": sub}
    if kind == "complaint" and told.get("complaintFeedbackType") == "not-spam":
        return None
    if name == "Subscription":
        gone = (told.get("newTopicPreferences") or {}).get("unsubscribeAll") is True
        kind = kind if gone else None
    if kind is None:
        return None
    headers = [one.get("value") for one in mail.get("headers") or [] if one.get("name", "").casefold() == "message-id"]
    return Report(
        kind,
        "",
        instant(told.get("timestamp") or mail.get("timestamp")),
        words(whose[0].get("emailAddress") or (mail.get("destination") or [""])[0]),
        message_ids(*headers, (mail.get("commonHeaders") or {}).get("messageId")),
        tokens(mail.get("source")),
        agent=told.get("userAgent") if kind in ("opened", "clicked") else None,
        link=told.get("link"),
        **why,
    )


VENDOR = Vendor(
    "ses",
    sns.checker(rf"{_SNS}/SimpleNotificationService-[0-9a-zA-Z]{{1,80}}\.pem", rf"{_SNS}/"),
    sns.told,
    report,
    sns.request_id,
)

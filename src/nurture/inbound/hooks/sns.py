"""Notifications of Amazon SNS over HTTPS, as SES and Scaleway use them.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html,
…/http-subscription-confirmation-json.html, …/http-notification-json.html and …/sns-message-delivery-retries.html. The
secret is the ARN of the topic, or several with spaces between: a signature proves that SNS wrote, not for whom.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from nurture.inbound.hooks.shape import Posted, Unproven, Unsigned, instant, parsed
from nurture.inbound.hooks.signing import rsa

log = logging.getLogger("nurture.hooks")
#: urlsplit would drop tabs and newlines, and judge another address than the one that is called.
_ADDRESS = re.compile(r"[!-~]{1,2000}")
#: SNS tries for an hour at most, and each attempt carries the instant of the first.
PATIENCE = timedelta(hours=1, minutes=5)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def checker(certificates: str, subscriptions: str) -> Callable[[Posted, str], None]:
    """A check whose certificates and confirmations are fetched from hosts of these patterns alone."""
    return partial(_check, re.compile(certificates), re.compile(subscriptions))


def _check(certificates: re.Pattern[str], subscriptions: re.Pattern[str], posted: Posted, secret: str) -> None:
    """Topic first, so that nobody else's has us fetch anything; then instant and signature."""
    try:
        told = posted.json
        kind, topic, where = told["Type"], told["TopicArn"], told["SigningCertURL"]
        if topic not in secret.split():
            raise Unsigned("of another topic")
        lines = [f"{name}\n{told[name]}\n" for name in _SIGNED[kind] if told.get(name) is not None]
        version, signature, stamp = told["SignatureVersion"], told["Signature"], told["Timestamp"]
    except (ValueError, KeyError, TypeError):
        raise Unsigned("no message of SNS") from None
    posted.recent(instant(stamp), PATIENCE)
    digest = {"1": SHA1(), "2": SHA256()}.get(str(version))
    if digest is None or not isinstance(where, str) or not isinstance(signature, str) or not _of(certificates, where):
        raise Unsigned("its certificate is not from where it should be")
    try:
        key = load_pem_x509_certificate(posted.fetch(where)).public_key()
    except ValueError:
        raise Unproven("the certificate cannot be read") from None
    rsa(key, signature, "".join(lines).encode(), digest)  # type: ignore[arg-type]
    if kind == "SubscriptionConfirmation":
        _confirm(posted, str(told.get("SubscribeURL")), subscriptions, topic)


def _confirm(posted: Posted, url: str, hosts: re.Pattern[str], topic: str) -> None:
    """Say yes to a topic that the operator has named."""
    if not _of(hosts, url, query=True):
        raise Unsigned("its subscription is not where it should be")
    try:
        posted.fetch(url)
    except Unproven:
        log.warning("subscription to topic %s cannot be confirmed from here; open this address: %r", topic, url)
        raise
    log.info("subscription to topic %s is confirmed", topic)


def _of(hosts: re.Pattern[str], url: str, *, query: bool = False) -> bool:
    """Whether it is an https address of these hosts, with nothing behind its path unless that is a `query`."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.port is None and parts.username is None
    except ValueError:
        return False
    if not _ADDRESS.fullmatch(url) or "#" in url or ("?" in url and not query):
        return False
    return plain and hosts.fullmatch(f"{parts.hostname}{parts.path}") is not None


def told(posted: Posted) -> list[Any]:
    """What a notification says; nothing of a confirmation, or of the words that SES tries a topic with."""
    if posted.json["Type"] != "Notification":
        return []
    message = str(posted.json["Message"]).strip()
    if message.startswith("Successfully validated SNS topic"):
        return []
    said = parsed(message)
    if not isinstance(said, dict):
        raise ValueError("tells no event")
    return [said]


def request_id(posted: Posted) -> str | None:
    """SNS's id of the message, the same at each of its attempts."""
    return str(posted.json["MessageId"])

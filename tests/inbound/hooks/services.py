"""Services that report: each writes its events as it would, and signs them with a key made here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a secret of thirty characters."
PASSWORD = "acorn:a password of thirty letters"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:reports"
SCALEWAY_TOPIC = "arn:scw:sns:fr-par:project-1:reports"
SVIX = "whsec_" + base64.b64encode(SECRET.encode()).decode()
URL = "http://links.test/hooks/"
CERTIFICATES = {
    "ses": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
    "scaleway": "https://messaging.s3.fr-par.scw.cloud/fr-par/sns/SimpleNotificationService-01.pem",
}
CONFIRM = {
    "ses": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
    "scaleway": "https://sns.mnq.fr-par.scaleway.com/?Action=ConfirmSubscription&Token=1",
}


@cache
def ecdsa_key() -> ec.EllipticCurvePrivateKey:
    """SendGrid's."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Postal's, and that of SNS's certificate."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate() -> bytes:
    """SNS's, in PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(rsa_key().public_key())
    made = made.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=365))
    return made.sign(rsa_key(), SHA256()).public_bytes(Encoding.PEM)


def _public(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def secrets() -> dict[str, str]:
    """What an operator configures for each service."""
    plain = ("mailgun", "mandrill", "mailersend", "unisender", "twilio")
    return {
        **dict.fromkeys(plain, SECRET), **dict.fromkeys(("postmark", "sparkpost", "mailjet", "brevo"), PASSWORD),
        "resend": SVIX, "ses": f"{TOPIC}-old {TOPIC}", "scaleway": SCALEWAY_TOPIC,
        "sendgrid": base64.b64encode(_public(ecdsa_key())).decode(),
        "postal": "v=DKIM1; t=s; h=sha256; p=" + base64.b64encode(_public(rsa_key())).decode() + ";",
    }  # fmt: skip


@dataclass
class Call:
    """A request as the service makes it."""

    body: bytes
    headers: dict[str, str]
    query: str = ""


def call(vendor: str, events: Sequence[Any], at: datetime, *, request: str = "req-1") -> Call:
    """`events` in one request, where the service puts several into one; signed at `at`."""
    return _WRITERS[vendor](list(events), at, request)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")


def _basic(events: list[Any], at: datetime, request: str) -> Call:
    login = base64.b64encode(PASSWORD.encode()).decode()
    return Call(_json(events[0] if len(events) == 1 else events), {"authorization": f"Basic {login}"})


def _sendgrid(events: list[Any], at: datetime, request: str) -> Call:
    stamp, body = str(int(at.timestamp())), _json(events) + b"\r\n"
    signature = ecdsa_key().sign(stamp.encode() + body, ec.ECDSA(SHA256()))
    return Call(body, {
        "x-twilio-email-event-webhook-timestamp": stamp,
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
    })  # fmt: skip


def _mailgun(events: list[Any], at: datetime, request: str) -> Call:
    stamp = str(int(at.timestamp()))
    made = hmac.new(SECRET.encode(), (stamp + request).encode(), "sha256").hexdigest()
    return Call(
        _json({"signature": {"timestamp": stamp, "token": request, "signature": made}, "event-data": events[0]}), {}
    )


def _mandrill(events: list[Any], at: datetime, request: str) -> Call:
    form = {"mandrill_events": json.dumps(events)}
    made = _sha1(f"{URL}mandrill", form)
    return Call(
        urlencode(form).encode(), {"x-mandrill-signature": made, "content-type": "application/x-www-form-urlencoded"}
    )


def _twilio(events: list[Any], at: datetime, request: str) -> Call:
    form = {name: value for name, value in events[0].items() if name != "t"}
    query = f"?t={events[0]['t']}" if events[0]["t"] else ""
    made = _sha1(f"{URL}twilio{query}", form)
    return Call(
        urlencode(form).encode(),
        {"x-twilio-signature": made, "content-type": "application/x-www-form-urlencoded"},
        query,
    )


def _sha1(url: str, form: dict[str, str]) -> str:
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), "sha1").digest()).decode()


def _mailersend(events: list[Any], at: datetime, request: str) -> Call:
    body = _json(events[0]).replace(b"/", b"\\/")  # as MailerSend writes it
    return Call(body, {"signature": hmac.new(SECRET.encode(), body, "sha256").hexdigest()})


def _resend(events: list[Any], at: datetime, request: str) -> Call:
    stamp, body = str(int(at.timestamp())), _json(events[0])
    made = hmac.new(SECRET.encode(), b".".join((request.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(bytes(32)).decode()} v1,{base64.b64encode(made).decode()}"
    return Call(body, {"svix-id": request, "svix-timestamp": stamp, "svix-signature": signature})


def _postal(events: list[Any], at: datetime, request: str) -> Call:
    body = _json(events[0])
    return Call(body, {
        "x-postal-signature": base64.b64encode(rsa_key().sign(body, padding.PKCS1v15(), SHA1())).decode(),
        "x-postal-signature-256": base64.b64encode(rsa_key().sign(body, padding.PKCS1v15(), SHA256())).decode(),
    })  # fmt: skip


def _unisender(events: list[Any], at: datetime, request: str) -> Call:
    user = {"user_id": 456, "project_id": "1", "events": events}
    told = {"auth": SECRET, "events_by_user": [user]}
    made = hashlib.md5(_json(told), usedforsecurity=False).hexdigest()
    return Call(_json({**told, "auth": made}), {})


def notification(vendor: str, at: datetime, request: str, *, version: str = "2", **told: str) -> Call:
    """A message of SNS, signed; `told` adds to it or replaces what is usual."""
    usual = {
        "Type": "Notification", "MessageId": request, "TopicArn": TOPIC if vendor == "ses" else SCALEWAY_TOPIC,
        "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", "SignatureVersion": version,
        "SigningCertURL": CERTIFICATES[vendor],
    }  # fmt: skip
    said = {**usual, **told}
    signed = ("Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type")
    text = "".join(f"{name}\n{said[name]}\n" for name in signed if name in said)
    digest = SHA256() if version == "2" else SHA1()
    said["Signature"] = base64.b64encode(rsa_key().sign(text.encode(), padding.PKCS1v15(), digest)).decode()
    return Call(_json(said), {"x-amz-sns-message-type": said["Type"], "content-type": "text/plain; charset=UTF-8"})


def _sns(vendor: str) -> Callable[[list[Any], datetime, str], Call]:
    return lambda events, at, request: notification(
        vendor, at, request, Message=json.dumps(events[0]) + "\n", Subject="x"
    )


_WRITERS: dict[str, Callable[[list[Any], datetime, str], Call]] = {
    **dict.fromkeys(("postmark", "sparkpost", "mailjet", "brevo"), _basic),
    "sendgrid": _sendgrid, "mailgun": _mailgun, "mandrill": _mandrill, "twilio": _twilio, "mailersend": _mailersend,
    "resend": _resend, "postal": _postal, "unisender": _unisender, "ses": _sns("ses"), "scaleway": _sns("scaleway"),
}  # fmt: skip
#: Services that put several events into one request.
BATCHES = ("sendgrid", "sparkpost", "mandrill", "mailjet", "brevo", "unisender")
#: How long after it was signed a request is too old, for services that say when.
STALE = {"sendgrid": 301, "mailgun": 301, "resend": 301, "ses": 3901, "scaleway": 3901}

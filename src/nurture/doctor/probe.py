"""The probe: one message through the relay to a mailbox of one's own, and what its signature covered on arrival."""

from __future__ import annotations

import json
from datetime import datetime
from email import message_from_bytes
from email.utils import parseaddr
from pathlib import Path

from nurture import clock
from nurture.channels.base import NoJournal, Parcel
from nurture.db import Database
from nurture.dialects import upsert
from nurture.doctor.names import tags
from nurture.doctor.relay import probe_key
from nurture.errors import FileFault, Refused, SettingsError
from nurture.mail.addresses import one_address
from nurture.mail.compose import compose
from nurture.mail.dkim import load_signer
from nurture.mail.faults import BadHeader
from nurture.mail.render import Rendered
from nurture.opening import mail_channel
from nurture.program.load import House
from nurture.records import Meta
from nurture.settings import Settings

#: What a signature must cover: RFC 8058 section 4 for the list headers, RFC 6376 section 5.4.1 for the others.
COVERED = ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")
_SUBJECT = "A probe of the relay"
_TEXT = "Save this message with all its headers as a file, and run: nurture doctor --probe-result FILE.eml"


def send(settings: Settings, house: House, to: str, now: datetime) -> str:
    """Send the probe as a marketing message would go; what the relay said. Raises Refused, SettingsError."""
    if settings.smtp_url is None:
        raise SettingsError("NURTURE_SMTP_URL is not set; there is no relay to probe")
    sender = house.program.sender
    domain = sender.address.rpartition("@")[2]
    message_id = f"<probe.{clock.unguessable()}@{domain}>"
    try:
        payload = compose(
            Rendered(_SUBJECT, f"<p>{_TEXT}</p>", _TEXT), from_name=sender.name, from_address=sender.address, to=to,
            message_id=message_id, date=now, list_id=f"probe.{domain}",
            unsubscribe_url=f"{settings.public_url.rstrip('/')}/u/probe",
            signer=load_signer(settings.dkim_selector, settings.dkim_key_file, settings.dkim_domain),
        )  # fmt: skip
        parcel = Parcel(0, message_id, sender.address, one_address(to), payload)
    except BadHeader as problem:
        raise Refused(f"--probe: {problem}; write one address") from None
    channel = mail_channel(settings)
    try:
        receipt = channel.deliver([parcel], NoJournal(), lambda *_: False)[0]
    finally:
        channel.close()
    if receipt.verdict != "accepted":
        raise Refused(f"the probe was not accepted: {receipt.detail}")
    return receipt.detail


def read(file: Path, house: House) -> list[str]:
    """The headers that no signature of the sender's domain covers. Raises FileFault."""
    try:
        message = message_from_bytes(file.read_bytes())
    except OSError as problem:
        raise FileFault(f"{file}: cannot be read ({problem.strerror}); save the message there") from None
    domain = house.program.sender.address.rpartition("@")[2].lower()
    _, author = parseaddr(str(message.get("From", "")))
    if author.rpartition("@")[2].lower() != domain or _SUBJECT not in str(message.get("Subject", "")):
        raise FileFault(f"{file}: is not the probe from {domain}; save that message with all its headers")
    best: list[str] = list(COVERED)
    for text in message.get_all("DKIM-Signature", []):
        found = tags("".join(str(text).splitlines()))
        signed = {name.strip().lower() for name in found.get("h", "").split(":")}
        if aligned(found.get("d", "").lower(), domain):
            best = min(best, [name for name in COVERED if name.lower() not in signed], key=len)
    return best


def aligned(signer: str, domain: str) -> bool:
    """Whether the signing domain is the sender's, or one above or below it with more than one label."""
    return "." in signer and (signer == domain or domain.endswith(f".{signer}") or signer.endswith(f".{domain}"))


def keep(db: Database, settings: Settings, missing: list[str], now: datetime) -> None:
    """Remember the verdict on this relay."""
    said = json.dumps({"missing": missing, "at": now.isoformat()})
    db.transact(
        lambda link: link.execute(
            upsert(link)(Meta)
            .values(key=probe_key(settings), value=said)
            .on_conflict_do_update(index_elements=["key"], set_={"value": said})
        ),
        door=True,
    )

"""A message as SMTP says it: its envelope in three commands, its body with dots doubled (RFC 5321)."""

from __future__ import annotations

import io
import re

from nurture.channels.base import Parcel, Receipt, receipt

_ENDS = re.compile(rb"\r\n|\r|\n")
_PART = r"[^\s<>@,;:()\"\\\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+"
_ADDRESS = re.compile(f"{_PART}@{_PART}")


def envelope(parcel: Parcel, offers: frozenset[str], most: int | None) -> tuple[bytes, bytes, bytes] | Receipt:
    """MAIL, RCPT and DATA as they are said, or why the message cannot go this way.

    `offers`: the server's extensions. `most`: bytes that it takes; 0: it does not say; None: it asks for no size.
    """
    for address in (parcel.to, parcel.sender) if parcel.sender else (parcel.to,):
        if not _ADDRESS.fullmatch(address):
            return receipt(parcel, "refused", "MAIL: not one address in the envelope")
    size, options = len(parcel.payload), ""
    if most is not None:
        if 0 < most < size:
            return receipt(parcel, "refused", f"MAIL: {size} bytes, the server takes {most}")
        options = f" SIZE={size}"
    if not parcel.payload.isascii():
        if "8bitmime" not in offers:
            return receipt(parcel, "refused", "MAIL: the server takes no 8-bit messages")
        options += " BODY=8BITMIME"
    if needs_utf8(parcel):
        if "smtputf8" not in offers:
            return receipt(parcel, "refused", "MAIL: the server takes no SMTPUTF8 (RFC 6531)")
        options += " SMTPUTF8"
    mail, rcpt = f"MAIL FROM:<{parcel.sender}>{options}\r\n", f"RCPT TO:<{parcel.to}>\r\n"
    return mail.encode(), rcpt.encode(), b"DATA\r\n"


def stuffed(payload: bytes) -> bytes:
    """`payload` as it follows DATA: only CRLF ends a line, leading dots doubled (RFC 5321 section 4.5.2)."""
    ends = io.IncrementalNewlineDecoder(None, translate=False)
    ends.decode(payload.decode("latin-1"), True)
    if ends.newlines not in (None, "\r\n"):
        payload = _ENDS.sub(b"\r\n", payload)
    if payload.rfind(b"\r\n.") >= 0:  # rarely; looked for from behind, which takes a quarter of the time
        payload = payload.replace(b"\r\n.", b"\r\n..")
    first = b"." if payload.startswith(b".") else b""
    last = b"" if payload.endswith(b"\r\n") else b"\r\n"
    return first + payload + last if first or last else payload


def needs_utf8(parcel: Parcel) -> bool:
    """Whether an address or a header has letters beyond ASCII (RFC 6531)."""
    if not (parcel.to.isascii() and parcel.sender.isascii()):
        return True
    return not parcel.payload.isascii() and not parcel.payload.partition(b"\r\n\r\n")[0].isascii()

"""A text as the body of a message's part: 7-bit clean lines that end in CRLF (RFC 2045 sections 2.7 and 6)."""

from __future__ import annotations

import binascii
from struct import unpack_from

#: Bytes of a line without its CRLF (RFC 5322 section 2.1.1), and where lines are folded if they can be.
LONGEST_LINE, USUAL_LINE = 998, 76
_NOT_TEXT = bytes(code for code in (*range(32), 127) if code not in b"\t\r\n")


def encoded(text: str, *, tame: bool = False) -> tuple[bytes, bytes]:
    """(transfer encoding, lines ended by CRLF without the last one's). `tame`: `is_tame` is known to hold."""
    data = text.encode("utf-8", "replace")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.replace(b"\n", b"\r\n")
    if data.isascii() and (tame or _fits(data)):
        return b"7bit", data
    if (len(data) - len(text)) * 6 > len(data):  # where much is not ASCII, quoting would triple it
        return b"base64", _base64(data)
    return b"quoted-printable", _quoted(data)


def is_tame(text: str) -> bool:
    """Whether `text` has neither a line that is too long nor a control character: in ASCII it travels as it is."""
    return _fits(text.replace("\n", "\r\n").encode("utf-8", "replace"))


def short_lines(data: bytes) -> bool:
    """Whether no line is longer than LONGEST_LINE; looks at one line's end in about a thousand bytes."""
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE + 2)
        if end < 0:
            return False
        start = end + 1
    return True


def _fits(data: bytes) -> bool:
    return short_lines(data) and len(data.translate(None, _NOT_TEXT)) == len(data)


def _base64(data: bytes) -> bytes:
    """Base64 in lines of 76; all whole lines are cut in one call."""
    signs = binascii.b2a_base64(data, newline=False)
    whole, rest = divmod(len(signs), USUAL_LINE)
    lines = unpack_from(f"{USUAL_LINE}s" * whole, signs)
    return b"\r\n".join((*lines, signs[-rest:]) if rest else lines)


def _quoted(data: bytes) -> bytes:
    quoted = binascii.b2a_qp(data)  # takes its line ends from the first that it sees
    return quoted if b"\r\n" in data else quoted.replace(b"\n", b"\r\n")

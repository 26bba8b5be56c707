"""A message read by the letter of RFC 5322, 2045 and 2047, sharing nothing with the writer or the standard library."""

from __future__ import annotations

import re
from base64 import b64decode

_FIELD = re.compile(rb"([!-9;-~]+):((?:[ \t]*[^\r\n]*)(?:\r\n[ \t][^\r\n]*)*)\r\n")
_WORD = re.compile(rb"=\?utf-8\?b\?([A-Za-z0-9+/=]*)\?=")
_BETWEEN = re.compile(rb"(?<=\?=)[ \t]+(?==\?)")
_SOFT = re.compile(rb"=\r\n")
_HEX = re.compile(rb"=([0-9A-F]{2})")


def fields(payload: bytes) -> list[tuple[str, str]]:
    """Name and value of each header, unfolded and decoded, in order. Raises ValueError for what is no header."""
    top, separator, _ = payload.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("there is no empty line")
    top += b"\r\n"
    found, place = [], 0
    while place < len(top):
        field = _FIELD.match(top, place)
        if field is None:
            raise ValueError(f"no header: {top[place : place + 60]!r}")
        found.append((field[1].decode("ascii"), _value(field[2])))
        place = field.end()
    return found


def _value(raw: bytes) -> str:
    unfolded = _BETWEEN.sub(b"", raw.replace(b"\r\n", b"").removeprefix(b" "))
    return _WORD.sub(lambda word: b64decode(word[1], validate=True), unfolded).decode("utf-8")


def parts(payload: bytes) -> list[tuple[str, str]]:
    """Type and text of each part of a multipart message. Raises ValueError for what is none."""
    kind = dict(fields(payload))["Content-Type"]
    boundary = re.fullmatch(r'multipart/alternative; boundary="([^"]+)"', kind)
    if boundary is None:
        raise ValueError(f"not in parts: {kind}")
    line = b"--" + boundary[1].encode()
    body = b"\r\n" + payload.partition(b"\r\n\r\n")[2]
    before, *pieces, after = body.split(b"\r\n" + line)
    if before or after != b"--\r\n" or not all(piece.startswith(b"\r\n") for piece in pieces):
        raise ValueError("the parts do not begin and end as they should")
    return [_part(piece.removeprefix(b"\r\n")) for piece in pieces]


def _part(piece: bytes) -> tuple[str, str]:
    about, data = dict(fields(piece)), piece.partition(b"\r\n\r\n")[2]
    encoding = about["Content-Transfer-Encoding"]
    if encoding == "base64":
        data = b64decode(data.replace(b"\r\n", b""), validate=True)
    elif encoding == "quoted-printable":
        data = _HEX.sub(lambda pair: bytes([int(pair[1], 16)]), _SOFT.sub(b"", data))
    elif encoding != "7bit" or not data.isascii():
        raise ValueError(f"{encoding} is not what this part is")
    return about["Content-Type"], data.decode("utf-8")

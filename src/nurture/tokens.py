"""Tokens in links: a row's number, encrypted, authenticated and bound to one purpose.

AES-SIV (RFC 5297) is deterministic and misuse-resistant: the same link always carries the same token, nothing is
stored per link, and a token of another purpose, a flipped bit or a guess fails its 128-bit tag.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

Purpose = Literal[
    "click", "unsubscribe", "offer", "handoff", "bounce", "open", "preferences", "confirm", "question", "form", "key"
]

#: Characters of a token: base64 of 26 bytes.
TOKEN = 35
#: Characters of a token that goes into a mail address: base32 of the same 26 bytes.
ADDRESS_TOKEN = 42
#: Places of a letter's links from here on are sealed with its number; below they may stand behind it.
FIRST_SEALED = 0xFF00
_PLACE = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_PLAIN = struct.Struct(">QH")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class BadToken(Exception):
    """The token was not made by us for this purpose."""


@dataclass(frozen=True)
class Keys:
    """The installation's secret, and older ones that still open what they closed.

    `secrets`: at least 32 characters each, the newest first.
    """

    secrets: tuple[str, ...]

    def seal(self, purpose: Purpose, row: int, item: int = 0) -> str:
        """35 URL-safe characters for `row` (63 bits) and `item` (16 bits)."""
        return b2a_base64(self._encrypt(purpose, row, item)).translate(_URL_SAFE, b"=\n").decode()

    def seal_for_address(self, purpose: Purpose, row: int) -> str:
        """42 lower-case letters and digits for `row`: relays may change the case of a local part (RFC 5321 2.4)."""
        return base64.b32encode(self._encrypt(purpose, row, 0)).rstrip(b"=").decode().lower()

    def click(self, row: int, place: int) -> str:
        """The token of the link at `place` of a letter: what is sealed is the same for all of them (5 times as quick).

        Whoever changes the place gets another link of the letter that is theirs. Places from `FIRST_SEALED` mean more
        than that, and are sealed.
        """
        return f"{self.seal('click', row)}.{place}" if place < FIRST_SEALED else self.seal("click", row, place)

    def open(self, purpose: Purpose, token: str) -> tuple[int, int]:
        """(row, item) of a token sealed for `purpose`, of a click's in either form; raises BadToken."""
        token, dot, place = token.partition(".")
        if not dot:
            return self._open(purpose, token)
        row, item = self._open(purpose, token)
        if purpose != "click" or item or not _PLACE.fullmatch(place) or int(place) >= FIRST_SEALED:
            raise BadToken(purpose)
        return row, int(place)

    def _open(self, purpose: Purpose, token: str) -> tuple[int, int]:
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise BadToken(purpose) from None
        if len(sealed) != 26 or base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != token:
            raise BadToken(purpose)
        return self._decrypt(purpose, sealed)

    def open_from_address(self, purpose: Purpose, token: str) -> int:
        """The row of a token sealed for an address, in whatever case it came back; raises BadToken."""
        try:
            sealed = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except ValueError:
            raise BadToken(purpose) from None
        if len(sealed) != 26 or base64.b32encode(sealed).rstrip(b"=").decode() != token.upper():
            raise BadToken(purpose)
        return self._decrypt(purpose, sealed)[0]

    def _decrypt(self, purpose: Purpose, sealed: bytes) -> tuple[int, int]:
        for secret in self.secrets:
            try:
                row, item = _PLAIN.unpack(_cipher(secret).decrypt(sealed, [purpose.encode()]))
            except InvalidTag:
                continue
            return row, item
        raise BadToken(purpose)

    def _encrypt(self, purpose: Purpose, row: int, item: int) -> bytes:
        return _cipher(self.secrets[0]).encrypt(_PLAIN.pack(row, item), [purpose.encode()])

    def message_id(self, touch: int, domain: str, prefix: str = "t") -> str:
        """`<t.…@domain>`, the same for every attempt at one touch; tells nothing to who reads it."""
        digest = _digest(self.secrets[0]).copy()
        digest.update(f"message-id {prefix} {touch}".encode())
        return f"<{prefix}.{base64.b32encode(digest.finalize()[:20]).decode().lower()}@{domain}>"

    def signing(self, name: str) -> bytes:
        """A 32-byte key of its own for signing what goes to `name` (an audience endpoint)."""
        return self.signings(name)[0]

    def signings(self, name: str) -> list[bytes]:
        """The same of every secret, the newest first: each of them may have signed what comes from `name`."""
        salt = f"signing {name}".encode()
        return [hmac.new(secret.encode(), salt, hashlib.sha256).digest() for secret in self.secrets]

    def digests(self, name: str, text: str) -> list[str]:
        """HMAC-SHA256 of `text`, hexadecimal, under a key of its own for `name`; by older secrets after the newest."""
        said = text.encode("utf-8", "surrogatepass")
        return [hmac.new(key, said, hashlib.sha256).hexdigest() for key in self.signings(name)]


@lru_cache(maxsize=16)
def _cipher(secret: str) -> AESSIV:
    """Made once, since its key costs thrice what sealing does; each call copies its state, so threads may share it."""
    return AESSIV(hashlib.sha512(b"nurture link tokens " + secret.encode()).digest())


@lru_cache(maxsize=16)
def _digest(secret: str) -> HMAC:
    """HMAC-SHA256 under `secret`, to be copied."""
    return HMAC(secret.encode(), SHA256())


def keys(secret: str, older: Sequence[str] = ()) -> Keys:
    """The keys of an installation from its secret and the ones it had before."""
    return Keys((secret, *older))

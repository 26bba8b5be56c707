"""Tokens in links: a row's number, encrypted, authenticated and bound to one purpose.

AES-SIV (RFC 5297) is deterministic and misuse-resistant: the same link always carries the same token, nothing is
stored per link, and a token of another purpose, a flipped bit or a guess fails its 128-bit tag.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

Purpose = Literal[
    "click", "unsubscribe", "offer", "handoff", "bounce", "open", "preferences", "confirm", "question", "form", "key"
]

#: Characters of a token that goes into a mail address: base32 of the same 26 bytes.
ADDRESS_TOKEN = 42


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
        return base64.urlsafe_b64encode(self._encrypt(purpose, row, item)).rstrip(b"=").decode()

    def seal_for_address(self, purpose: Purpose, row: int) -> str:
        """42 lower-case letters and digits for `row`: relays may change the case of a local part (RFC 5321 2.4)."""
        return base64.b32encode(self._encrypt(purpose, row, 0)).rstrip(b"=").decode().lower()

    def open(self, purpose: Purpose, token: str) -> tuple[int, int]:
        """(row, item) of a token sealed for `purpose`; raises BadToken."""
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
                row, item = struct.unpack(">QH", self._cipher(secret).decrypt(sealed, [purpose.encode()]))
            except InvalidTag:
                continue
            return row, item
        raise BadToken(purpose)

    def _encrypt(self, purpose: Purpose, row: int, item: int) -> bytes:
        return self._cipher(self.secrets[0]).encrypt(struct.pack(">QH", row, item), [purpose.encode()])

    def message_id(self, touch: int, domain: str, prefix: str = "t") -> str:
        """`<t.…@domain>`, the same for every attempt at one touch; tells nothing to who reads it."""
        digest = hmac.new(self.secrets[0].encode(), f"message-id {prefix} {touch}".encode(), hashlib.sha256).digest()
        return f"<{prefix}.{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"

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

    def _cipher(self, secret: str) -> AESSIV:
        return AESSIV(hashlib.sha512(b"nurture link tokens " + secret.encode()).digest())


def keys(secret: str, older: Sequence[str] = ()) -> Keys:
    """The keys of an installation from its secret and the ones it had before."""
    return Keys((secret, *older))

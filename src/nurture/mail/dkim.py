"""DKIM signatures (RFC 6376; Ed25519: RFC 8463), relaxed/simple, by a signer of our own.

The usual library spends 8 ms on a message in pure Python; here the time is that of the signature itself. Every header
of the message is signed, and each is named once more than it stands, so that nobody can add a second one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from nurture.errors import SettingsError

#: Bits of an RSA key: receivers ask for the first at least and must understand up to the second (RFC 8301).
RSA_BITS = (2048, 4096)
_FIELDS = re.compile(rb"\r\n(?![ \t])")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
#: Characters of a folded line of the signature.
_WIDTH = 72
_PADDING, _PREHASHED = padding.PKCS1v15(), utils.Prehashed(SHA256())


class Signer:
    """Signs with one key under `selector`; `domain`: None takes that of each message's sender."""

    def __init__(self, selector: str, domain: str | None, key: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self.selector, self.domain = selector, domain
        self.algorithm = "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"
        self._key = key

    def __reduce__(self) -> tuple[Any, ...]:
        """For a process of ours that signs as well; the key goes with it."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return _again, (self.selector, self.domain, pem)

    def header(self, top: bytes, body: bytes, sender_domain: str, at: datetime) -> bytes:
        """The DKIM-Signature header, folded, without its line end; the same arguments give the same bytes.

        `top`: the headers, parted by CRLF, without the empty line; of other control characters they hold tabs alone.
        `sender_domain`: ASCII. `at`: aware.
        """
        names, fields = [], []
        for line in _FIELDS.split(top):  # relaxed, section 3.4.2: small names; values unfolded, runs of space one space
            name, _, value = line.partition(b":")
            names.append(name := name.rstrip().lower())
            fields.append(name + b":" + b" ".join(value.split()))
        start, between = _opening(self.algorithm, self.domain or sender_domain, self.selector, tuple(names))
        digest = b64encode(sha256(_simple(body)).digest())
        unsigned = b"%b%d%b%b;\r\n b=" % (start, int(at.timestamp()), between, digest)
        fields.append(b"dkim-signature:" + b" ".join(unsigned.split()[1:]))
        value = b64encode(self._sign(sha256(b"\r\n".join(fields)).digest()))
        return unsigned + b"\r\n ".join([value[place : place + _WIDTH] for place in range(0, len(value), _WIDTH)])

    def _sign(self, digest: bytes) -> bytes:
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(digest)
        return self._key.sign(digest, _PADDING, _PREHASHED)


def _simple(body: bytes) -> bytes:
    """A body as section 3.4.3 has it: no empty lines at the end, but one line end."""
    end = len(body)
    while body[end - 2 : end] == b"\r\n":
        end -= 2
    return body if end == len(body) - 2 else body[:end] + b"\r\n"


@lru_cache(maxsize=64)
def _opening(algorithm: str, domain: str, selector: str, names: Sequence[bytes]) -> tuple[bytes, bytes]:
    """What stands before the time and between it and the body's hash."""
    lines = [" h="]
    words = [f"{name}:{name}" for name in (name.decode("ascii") for name in names)]
    for number, word in enumerate(words):
        word += ";" if number == len(words) - 1 else ":"
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append(" ")
        lines[-1] += word
    start = f"DKIM-Signature: v=1; a={algorithm}; c=relaxed/simple; d={domain};\r\n s={selector}; t="
    return start.encode(), (";\r\n" + "\r\n".join(lines) + "\r\n bh=").encode()


def load_signer(selector: str | None, key_file: Path | None, domain: str | None = None) -> Signer | None:
    """The signer of these settings; None when nothing is set. Raises SettingsError, which never shows the key."""
    if selector is None and key_file is None and domain is None:
        return None
    if selector is None or key_file is None:
        missing = "NURTURE_DKIM_SELECTOR" if selector is None else "NURTURE_DKIM_KEY_FILE"
        raise SettingsError(f"{missing} is not set and other DKIM settings are; set selector and key file, or none")
    for variable, value in (("NURTURE_DKIM_SELECTOR", selector), ("NURTURE_DKIM_DOMAIN", domain)):
        if value is not None and (not _NAME.fullmatch(value) or len(value) > 190):
            raise SettingsError(f"{variable}: '{value}' is not a name in DNS; write letters, digits, '-' and '.'")
    try:
        pem = key_file.read_bytes()
    except OSError as problem:
        raise SettingsError(f"NURTURE_DKIM_KEY_FILE: {key_file}: {problem.strerror}; give a readable file") from None
    return Signer(selector, domain and domain.lower(), _key(pem, key_file))


def _again(selector: str, domain: str | None, pem: bytes) -> Signer:
    return Signer(selector, domain, _key(pem, Path()))


def _key(pem: bytes, file: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    where = f"NURTURE_DKIM_KEY_FILE: {file}"
    remedy = f"make one with 'openssl genrsa -out {file.name} 2048' or 'openssl genpkey -algorithm ed25519'"
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SettingsError(f"{where} is locked with a passphrase; give one without, readable by us alone") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{where} holds no private key in PEM form; {remedy}") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(f"{where} holds a key that is neither RSA nor Ed25519; {remedy}")
    if not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        bounds = f"{RSA_BITS[0]} to {RSA_BITS[1]}"
        raise SettingsError(f"{where} holds an RSA key of {key.key_size} bits, receivers want {bounds}; {remedy}")
    return key

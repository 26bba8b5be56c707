"""How services prove themselves; each raises Unsigned. Every comparison takes the same time whatever differs."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nurture.inbound.hooks.shape import Posted, Unproven, Unsigned


def equal(given: str, right: str) -> None:
    """Raises Unsigned unless both are the same."""
    if not hmac.compare_digest(given.encode(), right.encode()):
        raise Unsigned("the signature does not fit")


def password(posted: Posted, secret: str) -> None:
    """`USER:PASSWORD` as HTTP Basic (RFC 7617); a secret without a colon as a bearer token (RFC 6750)."""
    scheme, _, given = posted.header("authorization").partition(" ")
    if scheme.casefold() == "bearer":
        equal(given.strip(), secret)
        return
    try:
        equal(base64.b64decode(given.strip(), validate=True).decode(), secret)
    except (binascii.Error, UnicodeDecodeError):
        raise Unsigned("no password") from None


def keyed(secret: str, message: bytes, digest: str) -> bytes:
    """HMAC of `message`."""
    return hmac.new(secret.encode(), message, digest).digest()


def decoded(text: str) -> bytes:
    """Base64, as signatures come."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unsigned("the signature is no base64") from None


@lru_cache(maxsize=32)
def public_key(text: str) -> EllipticCurvePublicKey | RSAPublicKey:
    """A public key as services show it: PEM, or its base64 alone, perhaps behind `p=` of a DKIM record."""
    bare = text.rpartition("p=")[2] if "v=DKIM1" in text else text
    bare = "".join(line for line in bare.replace("\\n", "\n").splitlines() if "-----" not in line)
    try:
        key = load_der_public_key(base64.b64decode("".join(bare.split()).rstrip(";"), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise Unproven("the key that was configured cannot be read") from None
    if not isinstance(key, EllipticCurvePublicKey | RSAPublicKey):
        raise Unproven("the key that was configured is of no kind that is used")
    return key


def ecdsa(secret: str, signature: str, message: bytes) -> None:
    """ECDSA with SHA-256."""
    key = public_key(secret)
    if not isinstance(key, EllipticCurvePublicKey):
        raise Unproven("the key that was configured is not an elliptic curve's")
    _verified(lambda: key.verify(decoded(signature), message, ECDSA(SHA256())))


def rsa(key: EllipticCurvePublicKey | RSAPublicKey, signature: str, message: bytes, digest: SHA1 | SHA256) -> None:
    """RSA, PKCS #1 v1.5."""
    if not isinstance(key, RSAPublicKey):
        raise Unproven("the key is not an RSA key")
    _verified(lambda: key.verify(decoded(signature), message, padding.PKCS1v15(), digest))


def _verified(verify: Callable[[], None]) -> None:
    try:
        verify()
    except InvalidSignature:
        raise Unsigned("the signature does not fit") from None

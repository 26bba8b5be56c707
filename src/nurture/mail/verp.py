"""Addresses that say which message came back: `LOCAL+TOKEN@DOMAIN`, a variable envelope return path (VERP).

The token is sealed for one purpose, so that a bounce cannot pass for an unsubscribe, and survives a relay that changes
the case of the local part. `base` is the setting NURTURE_BOUNCE_ADDRESS, such as bounces@in.acme.example.
"""

from __future__ import annotations

from nurture.tokens import BadToken, Keys, Purpose


def bounce_address(base: str, keys: Keys, touch: int) -> str:
    """The envelope sender of a touch's message: what comes back there is about that touch."""
    return _address(base, keys.seal_for_address("bounce", touch))


def unsubscribe_address(base: str, keys: Keys, touch: int) -> str:
    """The address of a List-Unsubscribe mailto (RFC 2369 3.2): mail that reaches it unsubscribes the touch's lead."""
    return _address(base, keys.seal_for_address("unsubscribe", touch))


def touch_of(address: str, keys: Keys, purpose: Purpose = "bounce") -> int | None:
    """The touch that an address of ours names for `purpose`; None for every other address."""
    token = address.strip().strip("<>").rpartition("@")[0].rpartition("+")[2]
    try:
        return keys.open_from_address(purpose, token)
    except BadToken:
        return None


def _address(base: str, token: str) -> str:
    local, _, domain = base.rpartition("@")
    return f"{local}+{token}@{domain}"

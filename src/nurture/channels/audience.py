"""Retargeting audiences: who is in and who is out, told to a signed HTTP endpoint.

Membership is a wanted state, so a call may be repeated. Only SHA-256 of the canonical address leaves, as the ad
platforms take it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256

from nurture.channels.calls import SignedCalls
from nurture.channels.places import unfit


def membership(
    audience: str, *, add: Iterable[str] = (), remove: Iterable[str] = (), remove_hashes: Iterable[str] = ()
) -> bytes:
    """The payload that wants these canonical addresses in and out; the same bytes for the same wish.

    `remove_hashes`: addresses of which only what the platform has is known.
    """
    out = sorted([*map(hashed, remove), *remove_hashes])
    wish = {"audience": audience, "add": sorted(map(hashed, add)), "remove": out}
    return json.dumps(wish, separators=(",", ":"), sort_keys=True).encode()


def hashed(email: str) -> str:
    """SHA-256 of a canonical address, in hex."""
    return sha256(email.encode()).hexdigest()


class AudienceChannel(SignedCalls):
    """`endpoints`: audience name to URL. `sign`: name to the key that signs what goes there (`Keys.signing`)."""

    name = "audience"
    noun = "audience"


__all__ = ["AudienceChannel", "hashed", "membership", "unfit"]

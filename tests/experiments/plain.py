"""The deal read another way: plain Python integers, one lead at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

P = 2_147_483_647


def place(name: str, key: int) -> int:
    """The place, 0 to 9999, of the lead with this key in the experiment `name`."""
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()
    a, b = int(digest[:16], 16) % (P - 1) + 1, int(digest[16:32], 16) % P
    return (a * key + b) % P % 10_000


def arm(name: str, key: int, shares: Mapping[str, float]) -> str:
    """Its arm; `shares` in per cent."""
    drawn = place(name, key)
    for one, share in sorted(shares.items()):
        places = round(share * 100)
        if drawn < places:
            return one
        drawn -= places
    raise AssertionError(f"the shares leave place {drawn} over")

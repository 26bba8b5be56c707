"""Whether a text names somebody: by a whole address or number, never by a part of another's."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What people write between the digits of a number.
_BETWEEN = r"[ ().\-/]{0,3}"
#: Nothing of a longer address stands before it (in JSON a letter may: that of \n), and no domain goes on behind it.
_BEFORE, _BEHIND = r"(?:(?<![\w.+-])|(?<=\\[nrt]))", r"(?![\w-]|\.\w)"


def naming(names: Iterable[str]) -> re.Pattern[str] | None:
    """Finds any of `names` (addresses, numbers in E.164 however they are spaced) in whatever case; None: no names."""
    ways = [_address(name) if "@" in name else _number(name) for name in names if name]
    return re.compile("|".join(ways), re.IGNORECASE) if ways else None


def _address(address: str) -> str:
    return f"{_BEFORE}{re.escape(address)}{_BEHIND}"


def _number(number: str) -> str:
    """`+40…`, `0040…` or `40…`, and no digit of a longer number around it."""
    return rf"(?<!\w)(?:00)?{_BETWEEN.join(re.escape(digit) for digit in number.lstrip('+'))}(?!\w)"

"""One line of what the doctor says: never `ok` for what was not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "wrong", "not checked"]


@dataclass(frozen=True)
class Check:
    """What was looked at, and what it is like; `wrong` with the way out, `not checked` with the reason."""

    name: str
    verdict: Verdict
    said: str


def ok(name: str, said: str) -> Check:
    """Looked at, and as it should be."""
    return Check(name, "ok", said)


def wrong(name: str, said: str) -> Check:
    """Looked at, and not as it should be; `said` ends with the way out."""
    return Check(name, "wrong", said)


def unchecked(name: str, why: str) -> Check:
    """Not looked at."""
    return Check(name, "not checked", why)

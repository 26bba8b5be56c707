"""What was heard of a record last: each field and each deal with its instant, and which deal a hand-off follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nurture.records.types import to_micros

#: In what was heard of a record that we have made: whatever its status says since was said after that.
MADE = "made"


class Memory:
    """`kept`: as the database has it."""

    def __init__(self, kept: Mapping[str, Any] | None) -> None:
        whole = dict(kept or {})
        #: Whether anything was news.
        self.fresh = False
        self.made = bool(whole.get(MADE))
        self._said: dict[str, list[Any]] = dict(whole.get("said", {}))
        self._follows: list[Any] | None = whole.get("follows")

    def knows(self, name: str) -> bool:
        """Whether it was heard of at all."""
        return name in self._said

    def news(self, name: str, said: str, at: datetime) -> bool:
        """Whether this is something else than was heard last, and no older; from now on it is what was heard."""
        was, now = self._said.get(name), to_micros(at)
        if was is not None and now < was[1]:
            return False
        self._said[name] = [said, now]
        news = was is None or was[0] != said
        self.fresh |= news
        return news

    def followed(self, handoff: int) -> str | None:
        """The deal that answered this hand-off first."""
        return self._follows[1] if self._follows is not None and self._follows[0] == handoff else None

    def follow(self, handoff: int, deal: str) -> None:
        """From now on this deal is followed."""
        self._follows = [handoff, deal]

    def kept(self) -> dict[str, Any]:
        """For the database."""
        more = {"follows": self._follows} if self._follows is not None else {}
        return {**({MADE: True} if self.made else {}), "said": self._said, **more}

"""The tokens of one touch's links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nurture.tokens import Keys, Purpose


class Seal(Protocol):
    """Makes the tokens of one touch."""

    def __call__(self, purpose: Purpose, item: int = 0) -> str: ...

    def click(self, place: int) -> str:
        """That of the link at `place`."""
        ...


@dataclass(frozen=True, slots=True)
class Sealer:
    """The tokens of `touch`."""

    keys: Keys
    touch: int

    def __call__(self, purpose: Purpose, item: int = 0) -> str:
        return self.keys.seal(purpose, self.touch, item)

    def click(self, place: int) -> str:
        return self.keys.click(self.touch, place)

"""The tokens of one touch's links."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from nurture.tokens import FIRST_SEALED, Keys, Purpose


class Seal(ABC):
    """Makes the tokens of one touch."""

    @abstractmethod
    def __call__(self, purpose: Purpose, item: int = 0) -> str: ...

    def click(self, place: int) -> str:
        """That of the link at `place`, of the form that `Keys.click` gives it."""
        return f"{self('click')}.{place}" if place < FIRST_SEALED else self("click", place)


@dataclass(slots=True)
class Sealer(Seal):
    """The tokens of `touch`, each sealed once."""

    keys: Keys
    touch: int
    _made: dict[tuple[Purpose, int], str] = field(default_factory=dict)

    def __call__(self, purpose: Purpose, item: int = 0) -> str:
        if (token := self._made.get((purpose, item))) is None:
            token = self._made[purpose, item] = self.keys.seal(purpose, self.touch, item)
        return token

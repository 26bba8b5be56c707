"""`utm:` of program.yaml and of a sequence: what is written behind a letter's links for web analytics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from nurture.folding import fold
from nurture.language.source import Written

Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Utm(Written):
    """The parameters of Urchin's old names, which every analytics tool reads; None: as said elsewhere."""

    source: Word | None = None
    medium: Word | None = None
    campaign: Word | None = None
    content: Word | None = None


def _is_word(value: object) -> str:
    return "off" if isinstance(value, str) else "on"


#: A mapping, or `off`.
UtmOrOff = Annotated[
    Annotated[Utm, Tag("on")] | Annotated[Literal["off"], Tag("off")],
    Discriminator(_is_word),
]


def tags(house: Utm | None, sequence: Utm | Literal["off"] | None, brand: str, slug: str, step: str) -> dict[str, str]:
    """The parameters of one step's letter by name without `utm_`; none where nobody asks for any, or `off` is said.

    Unsaid, the source is the brand, the medium email, the campaign the segment and the content the step.
    """
    if sequence == "off" or (house is None and sequence is None):
        return {}
    said: Mapping[str, str] = {
        name: value for utm in (house, sequence) if utm is not None for name, value in utm if value is not None
    }
    source = "-".join(fold(brand).split())
    return {"source": source, "medium": "email", "campaign": slug, "content": step, **said}

"""Where salespeople are told of hand-offs besides by mail: the `chat:` part of program.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nurture.language.source import Written


class Chat(Written):
    """A channel of the sales team; its address is a secret, and stands in NURTURE_CHAT_URLS under the same name."""

    kind: Literal["slack", "teams"]
    #: Whether it is for whoever of the team names no other.
    everybody: bool = False


def _everybodys(places: dict[str, Chat]) -> dict[str, Chat]:
    """At most one place is for everybody. Raises ValueError."""
    shared = [name for name, place in places.items() if place.everybody]
    if len(shared) > 1:
        raise ValueError(f"'{shared[0]}' and '{shared[1]}' are both for everybody; say everybody: true of one")
    return places


#: By a name that NURTURE_CHAT_URLS can write.
Chats = Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], Chat], AfterValidator(_everybodys)]


def place_of(places: dict[str, Chat], chosen: str | None) -> str | None:
    """The name of the place for who has `chosen` one, or none."""
    if chosen is not None:
        return chosen if chosen in places else None
    return next((name for name, place in places.items() if place.everybody), None)

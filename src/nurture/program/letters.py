"""Who a sequence's letters come from, and who reads the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Tag

from nurture.program.kinds import Address
from nurture.program.models import ProgramFile, Sender

if TYPE_CHECKING:
    from nurture.program.sequence import Sequence


def _is_word(value: object) -> str:
    return "word" if isinstance(value, str) else "who"


#: `{name, address}`, or `owner`: whoever of the sales team has the lead.
WhoWrites = Annotated[
    Annotated[Sender, Tag("who")] | Annotated[Literal["owner"], Tag("word")],
    Discriminator(_is_word),
]
#: An address, or `owner`.
WhoReads = Annotated[
    Annotated[Address, Tag("who")] | Annotated[Literal["owner"], Tag("word")],
    Discriminator(lambda value: "word" if value == "owner" else "who"),
]


@dataclass(frozen=True)
class Voice:
    """Whose letter it is."""

    name: str
    address: str
    reply_to: str | None


def voice(program: ProgramFile, sequence: Sequence, owner: str | None) -> Voice:
    """Who writes to a lead whom `owner` has (an address), and who reads what it answers.

    Where the owner is not of the sales team, the program's sender writes and its `reply_to` reads.
    """
    person = next((one for one in program.sales if owner is not None and one.email == owner), None)
    sender = program.sender if sequence.sender is None else sequence.sender
    reads = program.reply_to if sequence.reply_to is None else sequence.reply_to
    if sender == "owner":
        sender = program.sender if person is None else Sender(name=person.name, address=person.email)
    if reads == "owner":
        reads = program.reply_to if person is None else person.email
    return Voice(sender.name, sender.address, reads)

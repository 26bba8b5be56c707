"""What a page for people is made of, before it is text or HTML: sections of paragraphs, lists and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

#: A cell of which nothing is asked.
ANY = "any"


@dataclass(frozen=True)
class Text:
    """A paragraph; `label` tells it from others of its section when two versions are compared."""

    label: str
    text: str


@dataclass(frozen=True)
class Items:
    """A list of (label, text); `numbered` where the order counts."""

    items: tuple[tuple[str, str], ...]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first cell of each names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block: TypeAlias = Text | Items | Table


@dataclass(frozen=True)
class Section:
    """One heading of the page."""

    title: str
    blocks: tuple[Block, ...]

    def said(self) -> Iterator[tuple[str, str]]:
        """Every statement under its label."""
        for block in self.blocks:
            match block:
                case Text(label, text):
                    yield label, text
                case Items(items):
                    yield from items
                case Table(header, rows):
                    for first, *cells in rows:
                        pairs = sorted(zip(header[1:], cells, strict=True))
                        said = [f"{name} {cell}" for name, cell in pairs if cell != ANY]
                        yield f"{header[0]} {first}", ", ".join(said)

    @property
    def order(self) -> tuple[str, ...]:
        """The labels of what is read from the top, in their order: of numbered lists, and of tables."""
        found: list[str] = []
        for block in self.blocks:
            if isinstance(block, Items) and block.numbered:
                found += [label for label, _ in block.items]
            elif isinstance(block, Table):
                found += [row[0] for row in block.rows]
        return tuple(found)


def differences(old: list[Section], new: list[Section]) -> list[str]:
    """What `new` says otherwise than `old`, a sentence each."""
    before = {(section.title, label): text for section in old for label, text in section.said()}
    after = {(section.title, label): text for section in new for label, text in section.said()}
    found = []
    for (title, label), text in after.items():
        name = f"{title}, {label}" if label else title
        was = before.get((title, label))
        if was is None:
            found.append(f"{name}: new: {text}" if text else f"{name}: new")
        elif was != text:
            found.append(f"{name}: “{was}” became “{text}”")
    for (title, label), text in before.items():
        if (title, label) not in after:
            found.append(f"{title}, {label}: gone" + (f" (was: {text})" if text else ""))
    orders = {section.title: section.order for section in old}
    for section in new:
        was_first = orders.get(section.title, ())
        if section.order != was_first and sorted(section.order) == sorted(was_first):
            found.append(f"{section.title}: asked in another order now: {', '.join(section.order)}")
    return found

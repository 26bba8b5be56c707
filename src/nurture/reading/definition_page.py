"""The page of definitions for a meeting: whose signature stands, what is agreed; as text, HTML or data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import zip_longest
from textwrap import fill, wrap
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date

from nurture.program.agreed import Signed, digest
from nurture.program.load import House
from nurture.reading.counts import written
from nurture.reading.definition_html import html
from nurture.reading.definitions import sections
from nurture.reading.parts import Block, Items, Section, Table, Text
from nurture.reading.signatures import STANDS, VOID, Edition, Standing, changed_since, standings

#: Columns of a page where no terminal says how wide it is, and of a cell that is made narrower.
WIDTH, _NARROWEST = 100, 12


@dataclass(frozen=True)
class Page:
    """Definitions with their signatures. `number`: of the live program version, None for a draft."""

    brand: str
    zone: str
    digest: str
    number: int | None
    published_at: datetime | None
    #: The live version beside a draft, if anything is live.
    live: int | None
    standings: list[Standing]
    #: Version to what has changed since: those under which a void signature was given, and the live one under a draft.
    changes: dict[int, list[str]]
    sections: list[Section]

    @property
    def title(self) -> str:
        return f"Definitions of {self.brand}"

    def _day(self, at: datetime | None) -> str:
        return "" if at is None else format_date(at.astimezone(ZoneInfo(self.zone)), "d MMMM y", locale="en")

    def edition(self) -> str:
        """Which version this is, in a sentence."""
        mark = f"Their mark is {self.digest[:12]}."
        if self.number is not None:
            return f"Version {self.number} of the program, live since {self._day(self.published_at)}. {mark}"
        if self.live is None:
            return f"A draft: nothing is published yet. {mark}"
        same = not self.changes.get(self.live)
        state = f"the definitions of version {self.live}, which is live, are the same" if same else (
            f"version {self.live}, which is live, says otherwise"
        )  # fmt: skip
        return f"A draft: {state}. {mark}"

    def signed(self) -> list[str]:
        """A sentence for each signature."""
        return [self._standing(one) for one in self.standings] or [
            "Nobody has signed them: name who did under agreed: in lifecycle.yaml, and publish."
        ]

    def _standing(self, one: Standing) -> str:
        who = f"{person(one.signed)} on {format_date(one.signed.date, 'd MMMM y', locale='en')}"
        if one.state == STANDS:
            return f"{who}: stands since version {one.version}, published on {self._day(one.published_at)}"
        if one.state == VOID:
            return f"{who}: VOID, given for version {one.version}, which said otherwise; sign anew with a new date"
        return f"{who}: not published yet; it counts from the publication on"

    def differences(self) -> list[tuple[str, list[str]]]:
        """What has changed, under the version since which it has."""
        return [(f"What has changed since version {version}", said) for version, said in self.changes.items() if said]

    def text(self, width: int = WIDTH) -> str:
        """For a terminal: Markdown of at most so many columns."""
        lines = [f"# {self.title}", fill(self.edition(), width), ""]
        lines += [_item("- ", said, width) for said in self.signed()]
        for title, said in self.differences():
            lines += ["", f"## {title}", *(_item("- ", one, width) for one in said)]
        for section in self.sections:
            lines += ["", f"## {section.title}"]
            for place, block in enumerate(section.blocks):
                apart = place > 0 and isinstance(block, Text) and not isinstance(section.blocks[place - 1], Text)
                lines += [*([""] if apart else []), *_lines(block, width)]
        return "\n".join(lines)

    def html(self) -> str:
        """For a screen or a printer."""
        return html(self)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "brand": self.brand, "digest": self.digest, "version": self.number, "published": written(self.published_at),
            "live version": self.live,
            "signatures": [
                {
                    "team": one.signed.team, "name": one.signed.name, "date": one.signed.date.isoformat(),
                    "state": one.state, "version": one.version, "published": written(one.published_at),
                }
                for one in self.standings
            ],
            "changes": {str(version): said for version, said in self.changes.items()},
            "sections": [
                {"title": section.title, "blocks": [_as_dict(block) for block in section.blocks]}
                for section in self.sections
            ],
        }  # fmt: skip


def page(house: House, published: Sequence[Edition], *, live: House | None, number: int | None, since: datetime | None,
         draft_at: datetime | None = None) -> Page:  # fmt: skip
    """The page of `house`; `live`, `number`, `since`: what is published; `draft_at`: now, if `house` is not that."""
    found, draft = standings(house, published, draft_at), draft_at is not None
    versions = [one.version for one in found if one.state == VOID and one.version is not None]
    changes = {version: changed_since(version, house, published) for version in dict.fromkeys(versions)}
    if draft and number is not None and live is not None:
        first = next((one.number for one in published
                      if one.agreed and one.agreed.digest == digest(live.lifecycle, live.scoring)), number)  # fmt: skip
        changes.pop(first, None)
        changes[number] = changed_since(first, house, published)
    return Page(
        house.program.name, house.program.zone, digest(house.lifecycle, house.scoring), None if draft else number,
        None if draft else since, number if draft else None, found, changes, sections(house.lifecycle, house.scoring),
    )  # fmt: skip


def person(signed: Signed) -> str:
    """`Lena Pop for marketing`."""
    return f"{signed.name} for {signed.team}" if signed.team else signed.name


def _lines(block: Block, width: int) -> list[str]:
    match block:
        case Text(_, text):
            return [fill(text, width, break_on_hyphens=False)]
        case Items(items, numbered):
            marks = [f"{place}. " if numbered else "- " for place in range(1, len(items) + 1)]
            return [_item(mark, _labelled(*one), width) for mark, one in zip(marks, items, strict=True)]
        case Table():
            return ["", *_aligned(block, width)]


def _labelled(label: str, text: str) -> str:
    return f"{label}: {text}" if text else label


def _item(mark: str, text: str, width: int) -> str:
    return fill(text, width, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False)


def _aligned(table: Table, page: int) -> Iterator[str]:
    """A Markdown table; the widest columns are wrapped where the page is too narrow for them."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.header))]
    while sum(widths) + 3 * len(widths) + 1 > page and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    for number, row in enumerate(rows):
        cells = [wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            yield f"| {' | '.join(part.ljust(width) for part, width in zip(line, widths, strict=True))} |"
        if not number:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"


def _as_dict(block: Block) -> dict[str, Any]:
    return {"kind": type(block).__name__.lower(), **asdict(block)}

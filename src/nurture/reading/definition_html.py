"""The page of definitions as HTML that stands alone, for a screen or a printer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from nurture.reading.parts import Block, Items, Table, Text

if TYPE_CHECKING:
    from nurture.reading.definition_page import Page

_FRAME = Path(__file__).with_name("definitions.html")


def html(page: Page) -> str:
    """Everything that the text says, and a line for each team to sign on."""
    return Template(_FRAME.read_text("utf-8")).substitute(title=escape(page.title), body="\n".join(_body(page)))


def _body(page: Page) -> Iterator[str]:
    yield f"<h1>{escape(page.title)}</h1>"
    yield f'<p class="edition">{escape(page.edition())}</p>'
    yield _list("ul", (escape(said) for said in page.signed()))
    for title, said in page.differences():
        yield f"<h2>{escape(title)}</h2>"
        yield _list("ul", map(escape, said))
    for section in page.sections:
        yield f"<h2>{escape(section.title)}</h2>"
        yield from map(_block, section.blocks)
    teams = dict.fromkeys(one.signed.team for one in page.standings) or ["marketing", "sales"]
    lines = "".join(f"<tr><td>for {escape(team or 'both teams')}</td><td>name</td><td>date</td></tr>" for team in teams)
    yield f'<table class="lines">{lines}</table>'


def _block(block: Block) -> str:
    match block:
        case Text(_, text):
            return f"<p>{escape(text)}</p>"
        case Items(items, numbered):
            return _list("ol" if numbered else "ul", (_labelled(label, text) for label, text in items))
        case Table(header, rows):
            head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
            body = "".join(
                f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
                for first, *cells in rows
            )
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _labelled(label: str, text: str) -> str:
    return f"<b>{escape(label)}</b>{': ' + escape(text) if text else ''}"


def _list(tag: str, items: Iterable[str]) -> str:
    return f"<{tag}>{''.join(f'<li>{item}</li>' for item in items)}</{tag}>"

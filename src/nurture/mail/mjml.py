"""A letter that was written in MJML, as HTML that mail programs show alike.

Jinja2 comes first and MJML after it, for each letter: so a loop may make sections, and what a lead's data say stays
escaped text throughout (mrml hands entities on as they are). mrml recurses, and a document nested thousands deep
would take the process with it, so its tags are counted before.
"""

from __future__ import annotations

import re

import mrml

from nurture.mail.faults import TooMuch

#: Blocks (`<mj-…>`) and tags of one letter; with 1,500 blocks in each other mrml was seen to end the process.
MOST_BLOCKS, MOST_TAGS = 400, 2_000
#: Fonts are named, never fetched: mrml would link to a foreign server that learns who reads.
_OPTIONS = mrml.RenderOptions(fonts={})
_NO_FILES = mrml.ParserOptions(include_loader=mrml.noop_loader())
#: In order: what is never read, what is a link, a table, a picture, and any other block.
_OUTLINE = tuple(
    (re.compile(pattern, re.DOTALL), meant)
    for pattern, meant in (
        (r"<mj-head\b.*?</mj-head>|<!--.*?-->|</?mjml\b[^>]*>", ""),
        (r"<mj-(?:button|navbar-link|social-element)\b", '<div style="margin-top:1em;margin-bottom:1em"><a'),
        (r"</mj-(?:button|navbar-link|social-element)>", "</a></div>"),
        (r"<(/?)mj-table\b", r"<\1table"),
        (r"<mj-(?:image|divider|spacer|carousel-image)\b[^>]*?/>", ""),
        (r"<mj-(?:text|raw|accordion-title|accordion-text)\b", '<div style="margin-top:1em;margin-bottom:1em"'),
        (r"<(/?)mj-[a-z-]+", r"<\1div"),
    )
)
_TABLE = '<table border="0" cellpadding="0" cellspacing="0" role="presentation"'


def is_mjml(text: str) -> bool:
    """Whether a letter is MJML: its first tag is `<mjml`."""
    return text.lstrip()[:5] == "<mjml"


def to_html(text: str, direction: str) -> str:
    """The HTML of a rendered MJML document. Raises ValueError for one that cannot be read, TooMuch for a large one."""
    if text.count("<mj") > MOST_BLOCKS or text.count("<") - text.count("</") > MOST_TAGS:
        raise TooMuch(f"a letter in MJML may have {MOST_BLOCKS} blocks and {MOST_TAGS} tags; this one has more")
    try:
        html: str = mrml.to_html(text, parser_options=_NO_FILES, render_options=_OPTIONS).content
    except OSError as problem:
        raise ValueError(f"the MJML cannot be read: {problem}") from None
    return mirrored(html) if direction == "rtl" else html


def outline(text: str) -> str:
    """The same letter as little HTML, for its text part: blocks one after the other, without the tables of a layout."""
    for pattern, meant in _OUTLINE:
        text = pattern.sub(meant, text)
    return text


def mirrored(html: str) -> str:
    """`html` with `dir` on its body and on each table of the layout: Outlook mirrors columns by nothing else."""
    return html.replace(_TABLE, f'{_TABLE} dir="rtl"').replace("<body ", '<body dir="rtl" ', 1)

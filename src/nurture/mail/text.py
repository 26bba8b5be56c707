"""The plain part of a message, made from its HTML: hidden text left out, a link as `text (address)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig
from inscriptis.model.css import CssParse
from inscriptis.model.tag import CustomHtmlTagHandlerMapping

#: What the reader of styles knows (its methods are called `attr_display` and so on), whatever its vendor's prefix.
_SHAPES = frozenset(
    prefix + name.removeprefix("attr_").replace("_", "-")
    for name in vars(CssParse)
    if name.startswith("attr_") and name != "attr_style"
    for prefix in ("", "-webkit-")
)
_EMPTY_LINES = re.compile(r"\n{3,}")


def _open_link(state: Any, attributes: Mapping[str, str]) -> None:
    target = attributes.get("href", "")
    state.link_target = target if target.startswith(("https://", "http://")) else ""


def _close_link(state: Any) -> None:
    if state.link_target:
        state.tags[-1].write(f" ({state.link_target})")


def _shaping(style: str) -> str:
    """Of a style what shapes a text: the rest would be read for each element, to no end."""
    return ";".join(part for part in style.split(";") if part.partition(":")[0].strip().lower() in _SHAPES)


_CONFIG = ParserConfig(
    css=CSS_PROFILES["strict"],
    custom_html_tag_handler_mapping=CustomHtmlTagHandlerMapping({"a": _open_link}, {"a": _close_link}),
)
# Centred or right-aligned cells would be padded with spaces as wide as the longest paragraph.
_CONFIG.attribute_handler.attribute_mapping = {
    "style": lambda style, element: CssParse.attr_style(_shaping(style), element)
}


def plain_text(html: str) -> str:
    """Lines without trailing spaces, never two empty ones in a row, one newline at the end."""
    return tidy(get_text(html, _CONFIG))


def tidy(text: str) -> str:
    """`text` without trailing spaces and runs of empty lines, with one newline at the end."""
    lines = (line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"

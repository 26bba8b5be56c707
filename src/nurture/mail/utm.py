"""Parameters for web analytics behind the links of a letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape
from urllib.parse import quote

_HAS_ITS_OWN = re.compile(r"(?i)[?&;#]utm_[a-z]+=")
_IN_HTML = re.compile(
    r"""(?i)(<(?!link\b|base\b)[a-z][a-z0-9:-]*\b[^<>]*?\shref\s*=\s*)(?:"(https?://[^"<>]*)"|'(https?://[^'<>]*)')"""
)
_IN_TEXT = re.compile(r"(?i)\bhttps?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]")


def tagged(url: str, tags: Mapping[str, str], ours: str = "") -> str:
    """`url` with `tags` (names without `utm_`) behind what it asks already and before its fragment.

    Left as it is where it has a parameter of the kind itself, and where it leads to `ours`, the public address.
    """
    if not tags or _HAS_ITS_OWN.search(url) or (ours and _within(url, ours)):
        return url
    page, hash_, fragment = url.partition("#")
    more = "&".join(f"utm_{name}={quote(value, safe='')}" for name, value in tags.items())
    joint = "?" if "?" not in page else "" if page.endswith(("?", "&")) else "&"
    return f"{page}{joint}{more}{hash_}{fragment}"


def tag_html(html: str, tags: Mapping[str, str], ours: str) -> str:
    """`html` with every link of its tagged."""

    def tag(found: re.Match[str]) -> str:
        written = found[2] or found[3] or ""
        url = unescape(written)
        new = tagged(url, tags, ours)
        return found[0] if new == url else f'{found[1]}"{escape(new)}"'

    return _IN_HTML.sub(tag, html)


def tag_text(text: str, tags: Mapping[str, str], ours: str) -> str:
    """`text` with every address in it tagged."""
    return _IN_TEXT.sub(lambda found: tagged(found[0], tags, ours), text)


def _within(url: str, ours: str) -> bool:
    return url.startswith(ours) and url[len(ours) : len(ours) + 1] in ("", "/", "?", "#")

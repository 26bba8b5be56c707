"""What is wrong with a letter's MJML, by file and line: mrml itself passes over most of it in silence."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial

from nurture.language.problems import Problem, suggest
from nurture.mail.mjml import to_html
from nurture.mail.mjml_tags import DEFAULTS, EVERY, TAGS
from nurture.mail.templates import Templates

_QUOTED = r"""(?:[^<>"']|"[^"]*"|'[^']*')*"""
_OPENING = re.compile(rf"<(mjml|mj-[A-Za-z0-9-]*)(?=[\s/>])({_QUOTED})>")
_NAME = re.compile(r"<(mjml|mj-[A-Za-z0-9-]*)(?=[\s/>]|$)")
_ATTRIBUTE = re.compile(r"""([^\s=/"'<>]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_PIECE = re.compile(rf"<!--.*?-->|<(/?)([A-Za-z][A-Za-z0-9:-]*)({_QUOTED})>|[^<]+|<", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_AT = re.compile(r'\bat="(\d+)"')
_CONDITIONS = (["if"], ["elif"], ["else"], ["endif"])
_CLASSES = {"mj-all": EVERY, "mj-class": EVERY | {"name"}}
_INCLUDE = ("'mj-include' would read a file past check", 'write {% include "…" %}')


def strange(templates: Templates, name: str) -> Iterator[Problem]:
    """Tags and attributes in the file `name` that MJML does not have, wherever they stand."""
    text, line_of = _plain(templates, name)
    for found in _OPENING.finditer(text):
        tag, line = found[1], line_of(found.start())
        if tag == "mj-include":
            yield Problem(name, line, 1, *_INCLUDE)
        elif tag not in TAGS and tag not in _CLASSES:
            yield Problem(name, line, 1, f"MJML has no tag '{tag}'", suggest(tag, TAGS))
        else:
            allowed = TAGS[tag].attributes if tag in TAGS else _CLASSES[tag]
            for attribute in _ATTRIBUTE.finditer(found[2]):
                if attribute[1] not in allowed:
                    place = line_of(found.start(2) + attribute.start())
                    what = f"'{attribute[1]}' is no attribute of {tag}"
                    yield Problem(name, place, 1, what, suggest(attribute[1], allowed))


def _plain(templates: Templates, name: str) -> tuple[str, Callable[[int], int]]:
    """The file without what is Jinja2's, an `x` for each value; and the line of a place in that text."""
    parts: list[str] = []
    starts, lines = [0], [1]
    length = 0
    for line, kind, value in templates.sandbox.lex(templates.files[name]):
        if kind not in ("data", "variable_begin"):
            continue
        parts.append(value if kind == "data" else "x")
        starts.append(length)
        lines.append(line)
        length += len(parts[-1])
    text = _COMMENT.sub(lambda it: re.sub(r"[^\n]", " ", it[0]), "".join(parts))

    def line_of(place: int) -> int:
        index = bisect_right(starts, place) - 1
        return lines[index] + text.count("\n", starts[index], place)

    return text, line_of


class Marked:
    """The same templates, each MJML tag of theirs with its place: `<mj-text at="7">` is the seventh of `places`.

    `flat`: without their conditions, so that what any lead would see stands there one after the other.
    """

    def __init__(self, templates: Templates, flat: bool = False) -> None:
        self.places: list[tuple[str, int]] = []
        self._flat = flat
        self.whole = False
        self.templates = Templates({name: self._marked(templates, name) for name in templates.files})

    def _marked(self, templates: Templates, name: str) -> str:
        text = templates.files[name]
        if "<mj" not in text:
            return text
        parts: list[str] = []
        begun = 0
        for line, kind, value in templates.sandbox.lex(text):
            parts.append(_NAME.sub(partial(self._at, name, line), value) if kind == "data" else value)
            if kind == "block_begin":
                begun = len(parts) - 1
            elif kind == "block_end" and self._flat and "".join(parts[begun + 1 : -1]).split()[:1] in _CONDITIONS:
                del parts[begun:]
        return "".join(parts)

    def _at(self, name: str, line: int, found: re.Match[str]) -> str:
        self.places.append((name, line + found.string.count("\n", 0, found.start())))
        return f'{found[0]} at="{len(self.places) - 1}"'

    def misplaced(self, text: str) -> list[Problem]:
        """What stands where MJML does not take it, in a document that was rendered from these templates.

        `whole` says afterwards whether every tag was closed.
        """
        found: dict[Problem, None] = {}
        stack: list[tuple[str, int]] = []
        self.whole = False
        here, skipped_to = 0, 0
        for piece in _PIECE.finditer(text):
            if piece.start() < skipped_to:
                continue
            closing, tag, rest = piece[1], piece[2], piece[3]
            parent = stack[-1][0] if stack else ""
            if tag is None:
                if stack and piece[0].strip() and not piece[0].startswith("<!--"):
                    found[self._problem(here, f"text stands in '{parent}'", "put it into mj-text")] = None
            elif closing:
                if tag != parent:
                    at = stack[-1][1] if stack else here
                    return [*found, self._problem(at, f"'{parent or tag}' is not closed", f"write </{parent or tag}>")]
                stack.pop()
            elif not tag.startswith("mj"):
                found[self._problem(here, f"<{tag}> stands in '{parent}'", "put it into mj-text or mj-raw")] = None
                skipped_to = max(text.find(f"</{tag}>", piece.end()) + len(f"</{tag}>"), piece.end())
            else:
                mark = _AT.search(rest)
                here = int(mark[1]) if mark else here
                if wrong := _wrong_place(tag, parent):
                    found[self._problem(here, *wrong)] = None
                if rest.endswith("/"):
                    continue
                if tag in TAGS and TAGS[tag].text:
                    end = text.find(f"</{tag}>", piece.end())
                    if end < 0:
                        return [*found, self._problem(here, f"'{tag}' is not closed", f"write </{tag}>")]
                    found |= dict.fromkeys(self._unreadable(here, tag, text[piece.end() : end]))
                    skipped_to = end + len(f"</{tag}>")
                    continue
                stack.append((tag, here))
        if stack:
            found[self._problem(stack[-1][1], f"'{stack[-1][0]}' is not closed", f"write </{stack[-1][0]}>")] = None
        self.whole = not stack
        return list(found)

    def _unreadable(self, at: int, tag: str, inner: str) -> Iterator[Problem]:
        if tag in ("mj-style", "mj-title", "mj-preview"):
            return
        try:
            to_html(f"<mjml><mj-body><mj-raw>{inner}</mj-raw></mj-body></mjml>", "ltr")
        except ValueError:
            what = f"the HTML in this '{tag}' cannot be read"
            yield self._problem(at, what, "close every tag in it, put attributes in quotes and write &amp; for &")

    def _problem(self, at: int, what: str, remedy: str) -> Problem:
        file, line = self.places[at]
        return Problem(file, line, 1, what, remedy)


def _wrong_place(tag: str, parent: str) -> tuple[str, str] | None:
    if not parent:
        return None if tag == "mjml" else (f"'{tag}' stands outside of mjml", "put it into mj-body")
    if parent == "mj-attributes":
        return None if tag in DEFAULTS else (f"'{tag}' cannot stand in 'mj-attributes'", suggest(tag, DEFAULTS))
    allowed = TAGS[parent].children if parent in TAGS else frozenset()
    if tag in allowed:
        return None
    homes = sorted(name for name, one in TAGS.items() if tag in one.children)
    remedy = f"put it into {' or '.join(homes[:3])}" if homes else "remove it"
    return f"'{tag}' cannot stand in '{parent}'", remedy

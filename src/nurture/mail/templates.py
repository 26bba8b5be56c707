"""The message files of one version: which variant speaks a language, compiled once, with its static links."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from babel import Locale, UnknownLocaleError
from jinja2 import Template, TemplateError, TemplateSyntaxError

from nurture.mail import syntax
from nurture.mail.faults import TemplateFault, TooMuch
from nurture.mail.sandbox import Sandbox
from nurture.tokens import FIRST_SEALED

#: Its macros can be used in every message without importing them.
MACROS = "_shared/macros.j2"
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_VARIANT = re.compile(rf"\.({_TAG.pattern})\.j2$")
#: The places from here on are kept for what is not a static link.
_MOST_LINKS = FIRST_SEALED


@lru_cache(maxsize=256)
def locale(tag: str) -> Locale:
    """CLDR's locale for a BCP 47 tag, or that of its language, or English's."""
    for name in (tag, tag.replace("_", "-").split("-")[0]):
        try:
            return Locale.parse(name.replace("_", "-"), sep="-")
        except (ValueError, UnknownLocaleError):
            continue
    return Locale.parse("en")


@dataclass(frozen=True)
class Compiled:
    """One variant, ready to be rendered."""

    name: str
    template: Template
    #: Macros and such that it may use without importing them.
    given: Mapping[str, Any]
    #: Static link to its place, in the order of the files that the variant is made of.
    places: Mapping[str, int]
    #: Names and filters that its files say.
    said: frozenset[str]


class Templates:
    """`files`: name relative to the templates' folder to text; what does not end in .j2 is passed over.

    `escaped`: for HTML; what is no HTML is not.
    """

    def __init__(self, files: Mapping[str, str], *, escaped: bool = True) -> None:
        self.files = {name: text for name, text in files.items() if name.endswith(".j2")}
        self.sandbox = Sandbox(self.files)
        self.sandbox.autoescape = escaped
        self._compiled: dict[str, Compiled | TemplateFault] = {}
        self._variants: dict[str, dict[str, str]] = {}
        self._lock = Lock()
        for name in sorted(self.files):
            if found := _VARIANT.search(name):
                message = name[: found.start()] + ".j2"
                self._variants.setdefault(message, {})[_folded(found[1])] = name

    def variants(self, message: str) -> list[str]:
        """Every file that may be sent for `message`: itself, if it exists, and its languages."""
        return [message] * (message in self.files) + list(self._variants.get(message, {}).values())

    def variant(self, message: str, language: str, fallback: str) -> str:
        """The file for a lead that speaks `language` (`ar-EG`, then `ar`), else `fallback`, else `message`.

        Raises TemplateFault when there is none at all.
        """
        spoken = self._variants.get(message, {})
        for tag in (*_widening(language), *_widening(fallback)):
            if tag in spoken:
                return spoken[tag]
        if message not in self.files:
            raise TemplateFault(message, 1, "there is no such message")
        return message

    def language(self, variant: str, fallback: str) -> str:
        """The language that a variant is written in: its own, or `fallback`."""
        found = _VARIANT.search(variant)
        if found and variant in self._variants.get(variant[: found.start()] + ".j2", {}).values():
            return found[1].replace("_", "-")
        return fallback

    def made_of(self, variant: str) -> list[str]:
        """`variant` and all that it extends, includes or imports, each once, in a fixed order.

        Raises jinja2's TemplateSyntaxError, also for a file that leads back to itself.
        """
        order: dict[str, None] = {}

        def visit(name: str, way: tuple[str, ...]) -> None:
            if name in order or name not in self.files:
                return
            order[name] = None
            for line, other in syntax.references(self.sandbox.read(name)):
                if other in (*way, name):
                    raise TemplateSyntaxError(f"leads back to itself by '{other}'", line, name)
                visit(other, (*way, name))

        visit(variant, ())
        visit(MACROS, ())
        return list(order)

    def compiled(self, variant: str) -> Compiled:
        """`variant`, compiled at the first call; raises TemplateFault with file and line, each time."""
        ready = self._compiled.get(variant)
        if ready is None:
            with self._lock:
                try:
                    ready = self._compile(variant)
                except TemplateFault as fault:
                    ready = fault
                self._compiled[variant] = ready
        if isinstance(ready, TemplateFault):
            raise TemplateFault(ready.file, ready.line, ready.problem)
        return ready

    def links(self, variant: str) -> list[str]:
        """The static links of a variant; a tracked link carries the index in this list."""
        return list(self.compiled(variant).places)

    def link_target(self, variant: str, n: int) -> str:
        """Where the tracked link `n` of `variant` leads; raises LookupError."""
        targets = self.links(variant)
        if not 0 <= n < len(targets):
            raise LookupError(f"{variant} has no link {n}")
        return targets[n]

    def _compile(self, variant: str) -> Compiled:
        if variant not in self.files:
            raise TemplateFault(variant, 1, "there is no such message")
        try:
            places: dict[str, int] = {}
            files = self.made_of(variant)
            for name in files:
                self.sandbox.load(name)
                for url in self._links(name):
                    places.setdefault(url, len(places))
            given: Mapping[str, Any] = {}
            if MACROS in self.files:
                given = _exported(self.sandbox.load(MACROS))
            template = self.sandbox.load(variant)
        except TemplateSyntaxError as problem:
            raise TemplateFault(problem.name or variant, problem.lineno, problem.message or "") from None
        except (TemplateError, TooMuch, ArithmeticError, TypeError, ValueError) as problem:
            raise TemplateFault(MACROS, 1, f"beside its macros: {problem}") from None
        if len(places) > _MOST_LINKS:
            raise TemplateFault(variant, 1, f"holds more than {_MOST_LINKS} links")
        said = frozenset[str]().union(*(syntax.said(self.sandbox.read(name)) for name in files))
        return Compiled(variant, template, given, places, said)

    def _links(self, name: str) -> Iterator[str]:
        return syntax.links(self.sandbox.ready(name))


def _exported(macros: Template) -> Mapping[str, Any]:
    return {name: value for name, value in vars(macros.module).items() if not name.startswith("_")}


def _folded(tag: str) -> str:
    return tag.replace("_", "-").casefold()


def _widening(tag: str) -> Iterator[str]:
    """`ar-eg`, `ar`."""
    parts = _folded(tag).split("-") if tag else []
    while parts:
        yield "-".join(parts)
        parts.pop()

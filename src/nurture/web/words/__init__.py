"""What the house itself says on its pages, by language; the program's own words come from its files.

One file a subject, each with the same keys in each language; a key is one subject's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nurture.web.words import common, confirm, form, handoff, leaving, offer, preferences, private, question
from nurture.web.words.names import field_name, kind_name

__all__ = ["FALLBACK", "WORDS", "field_name", "kind_name", "spoken", "wished"]

FALLBACK = "en"
_SUBJECTS = (common, confirm, form, handoff, leaving, offer, preferences, private, question)


def _gathered(name: str) -> Mapping[str, str]:
    return MappingProxyType({key: said for subject in _SUBJECTS for key, said in getattr(subject, name).items()})


WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": _gathered("ENGLISH"), "ar": _gathered("ARABIC")})


def spoken(*tags: str | None) -> str:
    """The first of `tags` (`ar-EG`) that the house speaks, as a language; else English."""
    for tag in tags:
        language = (tag or "").replace("_", "-").split("-")[0].casefold()
        if language in WORDS:
            return language
    return FALLBACK


def wished(header: str | None) -> str | None:
    """The first language of an Accept-Language header that the house speaks."""
    for part in (header or "").split(",")[:20]:
        language = part.split(";")[0].strip().split("-")[0].casefold()
        if language in WORDS:
            return language
    return None

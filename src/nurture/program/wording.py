"""A text that people read on a page: plain, or one for each language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from nurture.language.source import Misread

_SCHEMA = {
    "anyOf": [
        {"type": ["string", "number"]},
        {"type": "object", "additionalProperties": {"type": ["string", "number"]}, "minProperties": 1},
    ],
    "examples": ["Thank you.", {"en": "Thank you.", "ar": "شكرًا"}],
}


def _wording(value: Any) -> str | dict[str, str]:
    if isinstance(value, dict):
        if not value:
            raise ValueError("there is no text; write {en: …, ar: …}")
        return {str(tag): _text(text, str(tag)) for tag, text in value.items()}
    return _text(value, "")


def _text(value: Any, tag: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        place = (tag,) if tag else ()
        raise Misread([(place, f"'{value}' is no text", "write it in words, or {en: …, ar: …}")])
    return str(value)


#: `Thank you.`, or `{en: Thank you., ar: شكرًا}`.
Wording = Annotated[str | dict[str, str], BeforeValidator(_wording), WithJsonSchema(_SCHEMA)]


def in_language(text: str | dict[str, str] | None, *tags: str | None) -> str:
    """`text` in the first of `tags` (`ar-EG`) that it has; else as it was written first; "" for None."""
    if text is None or isinstance(text, str):
        return text or ""
    plain = {tag.replace("_", "-").casefold(): said for tag, said in text.items()}
    for tag in tags:
        wanted = (tag or "").replace("_", "-").casefold()
        for known in (wanted, wanted.split("-")[0]):
            if known in plain:
                return plain[known]
    return next(iter(text.values()))


def choice_words(
    choices: Mapping[str, Mapping[str, str | dict[str, str]]], lead: Mapping[str, Any], *tags: str | None
) -> dict[str, str]:
    """Field to what a lead chose in it, in the words of that choice; fields without choices are not in it."""
    known = {name: said.get(str(lead.get(name))) for name, said in choices.items()}
    return {name: in_language(said, *tags) for name, said in known.items() if said}


def languages_of(text: Any) -> list[str]:
    """The tags that a text as it is written has; none for a plain one."""
    return [str(tag) for tag in text] if isinstance(text, dict) else []

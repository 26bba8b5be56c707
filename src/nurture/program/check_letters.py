"""What is wrong with the files of letters as such: names that nothing reads, languages without a footer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from babel import Locale, UnknownLocaleError

from nurture.language.conditions import All, Any_, Condition, Field, parse_condition
from nurture.language.source import Misread, Problem
from nurture.mail.check import parts_of, words_of
from nurture.mail.templates import Templates


def spoken(tag: str) -> bool:
    """Whether a tag is that of a language: `de`, not the library's `ger`, which no lead's language is called."""
    try:
        known = Locale.parse(tag.replace("_", "-"), sep="-")
    except (ValueError, UnknownLocaleError):
        return False
    return known.language == tag.replace("_", "-").partition("-")[0].lower()


def odd_variants(templates: Templates, named: Iterable[str]) -> Iterator[Problem]:
    """`confirm.ger.j2` beside `confirm.j2`: no lead's language is called so, and nobody would ever get it."""
    named = set(named)
    for name in templates.files:
        stem, _, tag = name.removesuffix(".j2").rpartition(".")
        if name in named or not stem or "/" in tag or f"{stem}.j2" not in {*templates.files, *named} or spoken(tag):
            continue
        meant = _meant(tag)
        own = stem.rpartition("/")[2]
        remedy = f"did you mean '{own}.{meant}.j2'?" if meant else "write a tag such as en, ar or pt-BR"
        yield Problem(name, 1, 1, f"'{tag}' is not the tag of a language, and nobody gets this letter", remedy)


def _meant(tag: str) -> str | None:
    """The tag of the one language whose English name begins so."""
    names = {code: name.casefold() for code, name in Locale("en").languages.items() if len(code) == 2}
    found = [code for code, name in names.items() if name.startswith(tag.casefold())]
    return found[0] if len(found) == 1 else None


def unused(templates: Templates, slug: str, named: Iterable[str]) -> Iterator[Problem]:
    """Letters in a segment's folder that none of its steps sends, and no letter is made of."""
    named = list(named)
    used: set[str] = set()
    for message in named:
        for variant in templates.variants(message):
            parts = parts_of(templates, variant)
            if not parts:  # told where the letter is read
                return
            used.update(parts)
    for name in templates.files:
        stem, _, tag = name.removesuffix(".j2").rpartition(".")
        odd = f"{stem}.j2" in {*templates.files, *named} and "/" not in tag and not spoken(tag)
        if name.startswith(f"{slug}/") and name not in used and not odd:
            yield Problem(name, 1, 1, "no step sends this letter", "name it in a step, or remove the file")


def wordless(templates: Templates, named: Iterable[str], language: str) -> Iterator[Problem]:
    """Languages of letters that the layout's table of words lacks: their footer would be in English."""
    lacking: dict[tuple[str, int, str], str] = {}
    for message in named:
        for variant in templates.variants(message):
            tag = templates.language(variant, language)
            for file, line, tags in words_of(templates, variant):
                if tag not in tags and spoken(tag):
                    lacking.setdefault((file, line, tag), variant)
    for (file, line, tag), variant in lacking.items():
        what = f"the words under every letter are not written in '{tag}', the language of {variant}"
        yield Problem(file, line, 1, what, f'add a line "{tag}": {{…}} to words')


def surely_known(segment: Any) -> frozenset[str]:
    """Fields that every lead has for whom a `segment:` is true as it is written; none where it cannot be read.

    A lead may lose one while it is inside; `leave: segment_left` ends its passage then.
    """
    try:
        return _known_where(parse_condition(segment))
    except Misread:
        return frozenset()


def _known_where(condition: Condition) -> frozenset[str]:
    """An unknown value makes a comparison false, so what compares true is known."""
    match condition:
        case All(parts):
            return frozenset().union(*map(_known_where, parts))
        case Any_(parts):
            return frozenset.intersection(*map(_known_where, parts))
        case Field(name, operator, value) if operator != "known" or value is True:
            return frozenset({name})
    return frozenset()

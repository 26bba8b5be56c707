"""A country as people write it into a form of somebody's own page: in its own language, or in theirs."""

from __future__ import annotations

import pickle
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.languages import get_official_languages
from babel.localedata import exists, resolve_locale_filename

from nurture.folding import fold
from nurture.intake import values


def country(text: str) -> str:
    """ISO 3166 alpha-2, from the code or a name (Deutschland, Rumänien, مصر). Raises ValueError."""
    try:
        return values.country(text)
    except ValueError:
        code = _names().get(fold(text))
        if code is None:
            raise
        return code


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Codes by folded name, in every language that is official somewhere; a country's own language goes first.

    A name that means one country here and another there is left out. The files of CLDR are read past Babel's cache,
    which would keep them all.
    """
    codes = {code for code in map(str, Locale.parse("en").territories) if len(code) == 2 and _is_ours(code)}
    official = {code: get_official_languages(code, de_facto=True) for code in codes}
    own: dict[str, set[str]] = defaultdict(set)
    anywhere: dict[str, set[str]] = defaultdict(set)
    for language in sorted({language for spoken in official.values() for language in spoken if exists(language)}):
        named = pickle.loads(Path(resolve_locale_filename(language)).read_bytes()).get("territories", {})
        for code, name in named.items():
            if code in codes:
                anywhere[fold(name)].add(code)
                if language in official[code]:
                    own[fold(name)].add(code)
    return {name: min(meant) for found in (anywhere, own) for name, meant in found.items() if len(meant) == 1}


def _is_ours(code: str) -> bool:
    try:
        return values.country(code) == code
    except ValueError:
        return False

"""What one cell means. Every function raises ValueError with words that follow the column's name."""

from __future__ import annotations

import math
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache

from babel import Locale
from babel.core import get_global

from nurture.folding import canonical_email, fold, has_controls
from nurture.program.lifecycle import STAGES, Lifecycle

BASES = ("consent", "contract", "legitimate_interest", "soft_opt_in")
_STAGE_WORDS = {
    "marketingqualifiedlead": "mql",
    "salesacceptedlead": "sal",
    "salesqualifiedlead": "sql",
}
_YES = {"yes", "y", "true", "t", "1", "on"}
_NO = {"no", "n", "false", "f", "0", "off"}

#: Codes of CLDR that are no country's, and names it does not have.
_NO_COUNTRIES = {"EU", "EZ", "UN", "ZZ", "QO", "XA", "XB"}
_ALSO_CALLED = {
    "korea": "KR", "republic of korea": "KR", "czech republic": "CZ", "turkey": "TR", "great britain": "GB",
    "england": "GB", "scotland": "GB", "united states of america": "US", "the united states": "US",
    "the netherlands": "NL", "ivory coast": "CI", "viet nam": "VN", "uae": "AE",
    "hong kong": "HK", "macau": "MO",
    "russian federation": "RU", "burma": "MM", "swaziland": "SZ", "macedonia": "MK", "palestine": "PS",
}  # fmt: skip

#: Local parts that need no more than lower case; anything else takes the long way.
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*", re.ASCII)
_PLAIN_DOMAIN = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ \u00a0\u202f]\d{3})+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
#: Half of the world writes thousands so; before three digits a point may be either (not after a zero).
_POINTED = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+", re.ASCII)
_ISO = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
#: Day and month (or month and day), year, and perhaps a time.
_OF_ITS_OWN = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})(?!\d)(?:(,? |T)(\d{1,2}:\d{2})(:\d{2})?( ?[AaPp][Mm])?)?(.*)",
    re.ASCII | re.DOTALL,
)
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?", re.ASCII)


def email(text: str) -> str:
    """The canonical address, as `folding.canonical_email` gives it; usual ones without its cost."""
    local, _, domain = text.rpartition("@")
    if len(local) <= 64 and len(text) < 254 and _PLAIN_LOCAL.fullmatch(local) and _PLAIN_DOMAIN.fullmatch(domain):
        return f"{local.lower()}@{_domain(domain)}"
    return canonical_email(text)


@lru_cache(maxsize=65_536)
def _domain(domain: str) -> str:
    return canonical_email(f"x@{domain}").removeprefix("x@")


def number(text: str) -> int | float:
    """`1234`, `1,234.5`, `1 234`; money signs, `K`, decimal commas and points every three digits are not guessed at."""
    if _POINTED.fullmatch(text):
        whole = text.replace(".", "")
        if text.count(".") > 1:
            raise ValueError(f"is not a number; write {whole}")
        raise ValueError(f"may mean {whole} or {float(text):g}; write the one that is meant")
    if not _NUMBER.fullmatch(text):
        raise ValueError("is not a number; write 1234 or 1,234.50")
    plain = re.sub(r"[,\s]", "", text)
    value = float(plain)
    if not math.isfinite(value):
        raise ValueError("is too large for a number")
    return int(plain) if plain.lstrip("+-").isdigit() else value


def flag(text: str) -> bool:
    """Yes or no, in the words of most exports."""
    word = text.casefold()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("is neither yes nor no")


def stage(text: str) -> str:
    """A stage of the lifecycle."""
    word = fold(text).replace(" ", "").replace("_", "")
    found = _STAGE_WORDS.get(word, word)
    if found not in STAGES:
        raise ValueError(f"is not a stage; stages are {', '.join(STAGES)}")
    return found


def status(text: str, lifecycle: Lifecycle) -> str:
    """A status of the lifecycle, however it is spelled."""
    found = lifecycle.status_named(text)
    if found is None:
        known = ", ".join(lifecycle.known_statuses)
        raise ValueError(f"is not a status; statuses are {known} (statuses: of lifecycle.yaml)")
    return found


@lru_cache(maxsize=16_384)
def line_of_text(text: str) -> str:
    """Text for one line: spaces collapsed, no control characters (a header could be split with one)."""
    tidy = " ".join(text.split())
    if not tidy.isprintable() and has_controls(tidy):
        raise ValueError("holds a control character; remove it")
    return tidy


@lru_cache(maxsize=4096)
def tag(text: str) -> str:
    """A tag as it is stored."""
    return fold(text)


@lru_cache(maxsize=1024)
def country(text: str) -> str:
    """ISO 3166 alpha-2, from the code (two or three letters) or the English name."""
    code = _countries().get(fold(text))
    if code is None:
        raise ValueError("is not a country (ISO code or English name)")
    return code


@cache
def _countries() -> dict[str, str]:
    english = {str(code): name for code, name in Locale("en").territories.items()}
    codes = {code for code in english if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES}
    names = {fold(name): code for code, name in english.items() if code in codes}
    older: dict[str, list[str]] = get_global("territory_aliases")  # type: ignore[assignment]
    aliases = {fold(old): new[0] for old, new in older.items() if len(new) == 1 and new[0] in codes}
    return names | aliases | {fold(code): code for code in codes} | _ALSO_CALLED


@lru_cache(maxsize=1024)
def zone(text: str) -> str:
    """The IANA name of a time zone."""
    found = _zones().get(text.casefold())
    if found is None:
        raise ValueError("is not a time zone of the IANA list (like Europe/Bucharest)")
    return found


@cache
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in zoneinfo.available_timezones()}


@lru_cache(maxsize=1024)
def language(text: str) -> str:
    """A BCP 47 tag in its usual spelling, from a tag or the English name of a language."""
    names = Locale("en").languages
    parts = _TAG.fullmatch(text)
    if parts and parts[1].lower() in names:
        script, region = parts[2], parts[3]
        return "-".join(filter(None, (parts[1].lower(), script and script.title(), region and region.upper())))
    named = _language_names().get(fold(text))
    if named is None:
        raise ValueError("is not a language (a tag like ar or pt-BR)")
    return named


@cache
def _language_names() -> dict[str, str]:
    return {fold(name): code.replace("_", "-") for code, name in Locale("en").languages.items()}


class TwoWays(ValueError):
    """A date that is not ISO 8601 and may read in two ways, if not here then elsewhere in its file: no row of
    the file can be trusted without a format."""


@dataclass(frozen=True)
class Dates:
    """How a file writes dates: `formats` of strptime (none: ISO 8601), and the zone of those without one."""

    formats: tuple[str, ...] = ()
    zone: str | None = None

    def instant(self, text: str) -> datetime:
        """The instant, in UTC. Ten or thirteen digits are seconds or milliseconds since 1970."""
        read = self._read(text)
        if read.tzinfo is None:
            if self.zone is None:
                raise ValueError("has no time zone; say 'zone: Europe/London' (for example) in the mapping file")
            read = read.replace(tzinfo=_zone(self.zone))
        try:
            return read.astimezone(UTC)
        except OverflowError:
            raise ValueError("is not a date of our time") from None

    def day(self, text: str) -> str:
        """The calendar day as ISO text, as written: no zone moves it."""
        return self._read(text).date().isoformat()

    def _read(self, text: str) -> datetime:
        for form in self.formats:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        if self.formats:
            raise ValueError(f"does not look like {' or '.join(self.formats)}")
        return _iso(text)


@lru_cache(maxsize=16)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


def _iso(text: str) -> datetime:
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text) * (1000 if len(text) == 10 else 1))
    parts = _ISO.fullmatch(text)
    if parts is None:
        own = _OF_ITS_OWN.fullmatch(text)
        if own is not None:
            raise TwoWays(_way_out(own))
        raise ValueError(
            "is not a date like 2026-03-02T09:00:00+02:00; say its form in a mapping file, "
            'for example dates: "%d %b, %Y %H:%M:%S"'
        )
    year, month, day, hour, minute, second, fraction, offset = parts.groups()
    try:
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")), _offset(offset),
        )  # fmt: skip
    except ValueError:
        raise ValueError("is not a date of the calendar") from None


def _way_out(own: re.Match[str]) -> str:
    """What to say of a date whose form the mapping file must give: which one would read it."""
    first, mark, second, year, apart, minutes, seconds, half, rest = own.groups()
    time = ""
    if minutes:
        time = f"{apart}{'%I' if half else '%H'}:%M{':%S' if seconds else ''}{half[:-2] + '%p' if half else ''}"
    day_first, month_first = (
        f"{order}{mark}%{'Y' if len(year) == 4 else 'y'}{time}" for order in (f"%d{mark}%m", f"%m{mark}%d")
    )
    if not rest and int(first) > 12 >= int(second):
        return f'has the day first; say so in a mapping file: dates: "{day_first}"'
    if not rest and int(second) > 12 >= int(first):
        return f'has the month first; say so in a mapping file: dates: "{month_first}"'
    return f'may be day or month first; say which in a mapping file, for example dates: "{day_first}"'


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text[0].isalpha():
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if text[0] == "-" else span)

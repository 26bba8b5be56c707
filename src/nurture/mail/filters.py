"""The filters a template may use: those of Jinja2 that only look at plain values, and `date`, `number` and `money`."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any

from babel import Locale
from babel.dates import format_time
from babel.numbers import format_decimal, is_currency, parse_pattern
from jinja2 import pass_context
from jinja2.runtime import Undefined

from nurture.mail.calendars import CALENDARS
from nurture.mail.faults import TooMuch

#: Of Jinja2's own. Not among them: what formats or pads (`format center indent xmlattr wordwrap`), what
#: reaches into objects (`attr map select groupby tojson pprint`), what lifts escaping (`safe`), `random`.
FROM_JINJA = frozenset({
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "join", "last",
    "length", "lower", "replace", "round", "striptags", "title", "trim", "truncate", "upper", "urlencode",
    "wordcount",
})  # fmt: skip
#: Characters that one expression may make.
LONGEST = 65_536
#: Our own, which write what they are given as the reader's country does.
LOCAL = frozenset({"date", "number", "money"})
NAMES = FROM_JINJA | LOCAL
_WIDTHS = ("short", "medium", "long", "full")

#: CLDR's numbering systems and their zero; Babel takes their signs, but leaves the digits Latin.
_ZEROS = {
    "arab": "٠", "arabext": "۰", "beng": "০", "deva": "०", "mymr": "၀", "tibt": "༠",
    "adlm": "𞥐", "cakm": "𑄶", "nkoo": "߀", "olck": "᱐",
}  # fmt: skip
_DIGITS = {name: {ord("0") + n: chr(ord(zero) + n) for n in range(10)} for name, zero in _ZEROS.items()}

#: Marks a filter that must not be computed when the template is compiled.
at_run_time = pass_context


def allowed(jinja: dict[str, Callable[..., Any]], moment: ContextVar[Any]) -> dict[str, Callable[..., Any]]:
    """The allowed filters by name; `moment` holds the locale of the rendering under way."""

    @at_run_time
    def date_(_context: Any, value: Any, width: str = "medium", calendar: str = "gregorian") -> str:
        """A day, or a day and a time in the zone it came with, in the message's language (CLDR)."""
        if value is None or isinstance(value, Undefined):
            return str(value or "")
        if not isinstance(value, date):
            raise ValueError(f"'date' is for dates, not for {_kind(value)}")
        if width not in _WIDTHS:
            raise ValueError(f"'date' knows {', '.join(_WIDTHS)}, and no other width")
        if calendar not in CALENDARS:
            raise ValueError(f"'date' knows the calendars {', '.join(CALENDARS)}, and no other")
        locale = moment.get().locale
        shown = CALENDARS[calendar](value, width, locale)
        if isinstance(value, datetime):
            shown += f", {format_time(value, 'short', tzinfo=value.tzinfo, locale=locale)}"
        return native(shown, locale)

    @at_run_time
    def number(_context: Any, value: Any, decimals: int | None = None) -> str:
        """A number with the grouping, decimal sign and digits of the message's language (CLDR)."""
        if value is None or isinstance(value, Undefined):
            return str(value or "")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"'number' is for numbers, not for {_kind(value)}")
        if decimals is not None:
            value = round(value, max(0, min(6, decimals)))
        locale = moment.get().locale
        return native(format_decimal(value, locale=locale, numbering_system="default"), locale)

    @at_run_time
    def money(_context: Any, value: Any, currency: str, decimals: int | None = None) -> str:
        """An amount with the sign of its currency (ISO 4217), as the message's language writes it (CLDR)."""
        if value is None or isinstance(value, Undefined):
            return str(value or "")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"'money' is for numbers, not for {_kind(value)}")
        if not is_currency(currency):
            raise ValueError("'money' knows currencies such as EUR (ISO 4217), and this is none")
        locale = moment.get().locale
        pattern = parse_pattern(locale.currency_formats["standard"].pattern)
        if decimals is not None:
            pattern.frac_prec = (max(0, min(6, decimals)),) * 2
        shown = pattern.apply(
            value, locale, currency=currency, currency_digits=decimals is None, numbering_system="default"
        )
        return native(shown, locale)

    return {name: jinja[name] for name in FROM_JINJA} | {
        "date": date_,
        "number": number,
        "money": money,
        "round": _bounded_round(jinja["round"]),
        "replace": _bounded_replace(jinja["replace"]),
        "join": _bounded_join(jinja["join"]),
    }


def native(shown: str, locale: Locale) -> str:
    """`shown` with the digits that are usual in `locale`: ٢٠٢٦ in Egypt, 2026 in Dubai (CLDR)."""
    return shown.translate(_DIGITS.get(locale.default_numbering_system, {}))


def _kind(value: Any) -> str:
    """What a value is, for faults: the value itself may be a lead's, and a fault is kept and logged."""
    return f"a value of the type {type(value).__name__}"


def _bounded_round(rule: Callable[..., Any]) -> Callable[..., Any]:
    def round_(value: Any, precision: int = 0, method: str = "common") -> Any:
        return rule(value, max(-6, min(6, int(precision))), method)

    return round_


def _bounded_replace(rule: Callable[..., Any]) -> Callable[..., Any]:
    def replace(context: Any, text: Any, old: str, new: str, count: int | None = None) -> Any:
        text = "" if text is None else str(text) if not isinstance(text, str) else text
        if len(text) + text.count(str(old)) * len(str(new)) > LONGEST:
            raise TooMuch(f"'replace' would make more than {LONGEST} characters")
        return rule(context, text, old, new, count)

    replace.__dict__.update(rule.__dict__)
    return replace


def _bounded_join(rule: Callable[..., Any]) -> Callable[..., Any]:
    def join(context: Any, items: Any, between: str = "") -> Any:
        items = [] if items is None else list(items)
        if sum(len(str(item)) for item in items) + len(items) * len(str(between)) > LONGEST:
            raise TooMuch(f"'join' would make more than {LONGEST} characters")
        return rule(context, items, between)

    join.__dict__.update(rule.__dict__)
    return join

"""The fields of a form: how each is asked for, and what the answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from nurture.folding import canonical_email
from nurture.intake import values
from nurture.program.forms import Form
from nurture.program.load import House
from nurture.program.wording import in_language
from nurture.web.countries import country
from nurture.web.words import field_name

#: Characters of one answer.
LONGEST = 200
#: A field that people do not see; who fills it in is a machine.
HONEYPOT = "fax_again"
#: What a browser may fill in by itself.
_AUTOFILL = {
    "email": "email", "first_name": "given-name", "last_name": "family-name", "company": "organization",
    "title": "organization-title", "phone": "tel", "country": "country",
}  # fmt: skip
_TYPES = {"email": "email", "phone": "tel"}
#: Told again to who holds a letter's link; the rest is not a forwarded letter's business.
TOLD_AGAIN = ("email", "first_name", "last_name", "company", "title", "country")


@dataclass(frozen=True)
class Asked:
    """One field as the page shows it."""

    name: str
    label: str
    #: `select`, `checkbox`, or a type of <input>.
    kind: str
    autocomplete: str
    required: bool
    choices: tuple[tuple[str, str], ...] = ()


def asked(house: House, form: Form, language: str, questions: Sequence[str], *, address: bool = True) -> list[Asked]:
    """`questions` as fields of a page; the e-mail address first, unless it is known whose answers these are."""
    return [_asked(house, form, name, language) for name in ([*(["email"] if address else []), *questions])]


def _asked(house: House, form: Form, name: str, language: str) -> Asked:
    kind = house.fields.get(name, "text")
    shown = {"number": "number", "date": "date", "flag": "checkbox"}.get(kind) or _TYPES.get(name, "text")
    choices: tuple[tuple[str, str], ...] = ()
    if name in house.program.choices:
        shown = "select"
        choices = tuple((key, in_language(said, language)) for key, said in house.program.choices[name].items())
    elif name == "country":
        shown, choices = "select", _countries(language)
    required = name == "email" or name in form.required
    return Asked(name, _label(house, name, language), shown, _AUTOFILL.get(name, "off"), required, choices)


def _label(house: House, name: str, language: str) -> str:
    """As the program calls the field in this language, else as the house does."""
    said = house.program.labels.get(name)
    return in_language(said, language, house.program.language) if said is not None else field_name(name, language)


@lru_cache(maxsize=8)
def _countries(language: str) -> tuple[tuple[str, str], ...]:
    found = []
    for code, name in Locale.parse(language).territories.items():
        try:
            if len(code) == 2 and values.country(code) == code:
                found.append((code, str(name)))
        except ValueError:
            continue
    return tuple(sorted(found, key=lambda choice: choice[1]))


def understood(
    house: House, form: Form, said: Mapping[str, str], questions: Sequence[str], *, address: bool = True
) -> tuple[dict[str, Any], dict[str, str]]:
    """(typed answers, what to mend as a key of the house's words); what the form never asks is not looked at.

    `questions`: what was asked of this visitor; what is required counts among these alone.
    """
    typed: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in form.answered if address else form.answered[1:]:
        text = said.get(name, "").strip()
        if not text:
            continue
        read, complaint = _reader(house, name)
        try:
            typed[name] = read(text)
        except ValueError:
            wrong[name] = complaint
    if address and "email" not in typed and "email" not in wrong:
        wrong["email"] = "email_missing"
    missing = [name for name in form.required if name in questions and name not in typed and name not in wrong]
    wrong |= dict.fromkeys(missing, "answer_missing")
    if "timezone" in typed:
        typed["zone"] = typed["timezone"]
    return typed, wrong


def _reader(house: House, name: str) -> tuple[Callable[[str], Any], str]:
    own: dict[str, tuple[Callable[[str], Any], str]] = {
        "email": (canonical_email, "email_wrong"),
        "country": (country, "country_wrong"),
        "language": (values.language, "text_wrong"),
        "timezone": (values.zone, "text_wrong"),
    }
    if name in house.program.choices:
        return _one_of(house.program.choices[name]), "choice_wrong"
    if name in own:
        return own[name]
    typed: dict[str, tuple[Callable[[str], Any], str]] = {
        "number": (values.number, "number_wrong"),
        "date": (values.Dates().day, "date_wrong"),
        "flag": (values.flag, "text_wrong"),
    }
    return typed.get(house.fields.get(name, "text"), (line, "text_wrong"))


def _one_of(choices: Mapping[str, Any]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("is not one of the choices")
        return text

    return read


def ticked(said: Mapping[str, str], box: str) -> bool:
    """Whether a box is ticked: what a checkbox sends, or a word that means yes; anything else is no."""
    try:
        return values.flag(said.get(box, "").strip())
    except ValueError:
        return False


def line(text: str) -> str:
    """Text of one line, as long as an answer may be. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"has more than {LONGEST} characters")
    text.encode()  # half of a surrogate pair is no text
    return values.line_of_text(text)


def field_words(name: str, value: Any, kind: str, language: str) -> tuple[str, str]:
    """What a field is called, and its value as people of this language read it."""
    shown = str(value)
    if name == "country":
        shown = str(Locale.parse(language).territories.get(shown, shown))
    elif name == "language":
        shown = str(Locale.parse(language).languages.get(shown.split("-")[0], shown))
    elif kind == "number" and isinstance(value, int | float):
        shown = str(format_decimal(value, locale=language))
    elif kind == "date":
        shown = str(format_date(date.fromisoformat(shown[:10]), "d MMM y", locale=language))
    elif kind == "flag":
        shown = "✓"
    return field_name(name, language), shown

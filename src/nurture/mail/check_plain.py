"""Everything wrong with a text message, or with what salespeople are asked, that can be known before anyone gets it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from jinja2 import TemplateSyntaxError, nodes

from nurture.language.problems import Problem
from nurture.mail.absent import absences
from nurture.mail.faults import TemplateFault
from nurture.mail.plain import PlainRenderer
from nurture.mail.render import Brand
from nurture.mail.segments import length
from nurture.mail.syntax import no_field

#: A name that needs UCS-2, as many do.
_SAMPLES: dict[str, Any] = {"number": 1234, "flag": True, "date": date(2026, 3, 2), "list": ["one", "two"]}
_NAME = "Ștefan-Alexandru Ünal"
#: As long as those that are made for a lead, of a short public address.
_AWAY, _CHOICES = (f"https://go.sample.example/{door}/{'x' * 35}" for door in "up")
_STOP = re.compile(r"\bSTOP\b")


@dataclass(frozen=True)
class Wanted:
    """What a text must be besides right: `marketing` says who writes and how to stop; `longest` segments, if any."""

    marketing: bool = False
    longest: int | None = None


def problems(
    files: Mapping[str, str], message: str, fields: Mapping[str, str], *, brand: Brand, language: str,
    wanted: Wanted, known: Collection[str] = (),
) -> list[Problem]:  # fmt: skip
    """What is wrong with `message` and its language variants. `known`: fields that every lead has who gets it."""
    renderer = PlainRenderer(files, brand)
    found: dict[Problem, None] = {}
    for variant in renderer.templates.variants(message):
        wrong = list(_read(renderer, variant, fields, known))
        found |= dict.fromkeys(wrong or _tried(renderer, variant, fields, brand, language, wanted))
    return sorted(found)


def _read(
    renderer: PlainRenderer, variant: str, fields: Mapping[str, str], known: Collection[str]
) -> Iterator[Problem]:  # fmt: skip
    """What reading shows: fields that no lead has, and those that some lead lacks."""
    templates, wrong = renderer.templates, False
    try:
        for name in templates.made_of(variant):
            for node in templates.sandbox.read(name).find_all((nodes.Getattr, nodes.Getitem)):
                field = _field(node)
                if field is not None and field not in fields:
                    wrong = True
                    yield Problem(name, node.lineno, 1, *no_field(field, fields))
    except TemplateSyntaxError as odd:
        yield Problem(odd.name or variant, odd.lineno, 1, odd.message or "is broken", "mend this line")
        return
    if not wrong:
        yield from absences(templates, variant, known)


def _field(node: Any) -> str | None:
    """Which field of the lead is meant, if one is."""
    if not isinstance(node.node, nodes.Name) or node.node.name != "lead":
        return None
    name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
    return name if isinstance(name, str) else None


def _tried(
    renderer: PlainRenderer, variant: str, fields: Mapping[str, str], brand: Brand, language: str, wanted: Wanted
) -> Iterator[Problem]:  # fmt: skip
    """What rendering shows, for a lead of whom nothing is known and for one of whom everything is."""
    spoken = renderer.templates.language(variant, language)
    for lead in (dict.fromkeys(fields), full_lead(fields)):
        names = {"lead": lead, "unsubscribe_url": _AWAY, "preferences_url": _CHOICES, "today": date(2026, 3, 2)}
        try:
            text = renderer.render(variant, spoken, spoken, names).text
        except TemplateFault as fault:
            yield Problem(fault.file, fault.line, 1, fault.problem, "mend this line")
            return
    if wanted.marketing:
        yield from _manners(variant, text, brand)
    long = length(text)
    if wanted.longest is not None and long.segments > wanted.longest:
        what = (
            f"'{variant.rpartition('/')[2]}' takes {long} for a lead with every field, and {wanted.longest} are allowed"
        )
        yield Problem(variant, 1, 1, what, "shorten it, or write sms: {longest: …} in program.yaml")


def full_lead(fields: Mapping[str, str]) -> dict[str, Any]:
    """A lead with every field."""
    return {name: _SAMPLES.get(kind, _NAME) for name, kind in fields.items()}


def _manners(variant: str, text: str, brand: Brand) -> Iterator[Problem]:
    """Marketing says who writes and how it ends (GDPR article 21, ePrivacy directive article 13(4))."""
    said, own = text.casefold(), variant.rpartition("/")[2]
    if brand.name.casefold() not in said and brand.sender_name.casefold() not in said:
        yield Problem(variant, 1, 1, f"'{own}' does not say who writes", "print {{ brand }}")
    if _STOP.search(text) is None and _AWAY not in text:
        remedy = "end it with 'Reply STOP to end', or print {{ unsubscribe_url }}"
        yield Problem(variant, 1, 1, f"'{own}' does not say how to stop it", remedy)

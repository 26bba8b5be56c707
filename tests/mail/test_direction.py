"""Subjects of two directions, and amounts of money: characters, since a header has no markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.mail.direction import isolated, led
from tests.mail.letters import job, message, renderer

FSI, PDI, LRM, RLM = "\u2068", "\u2069", "\u200e", "\u200f"
SUBJECTS = {
    "Latin in English": ("en", "{{ lead.company }}: two days", "Acme", "Acme: two days"),
    "Arabic in English": ("en", "{{ lead.company }}: two days", "شركة", f"{LRM}{FSI}شركة{PDI}: two days"),
    "Latin in Arabic": ("ar", "{{ lead.company }}: مرحبا", "Acme", f"{FSI}Acme{PDI}: مرحبا"),
    "Arabic in Arabic": ("ar", "{{ lead.company }}: مرحبا", "شركة", "شركة: مرحبا"),
    "Latin first in Arabic": ("ar", "Brightdesk مرحبا", "Acme", f"{RLM}Brightdesk مرحبا"),
    "digits in Arabic": ("ar", "{{ 3 }} أسطر", "Acme", "3 أسطر"),
    "a turn in the data": ("ar", "مرحبا {{ lead.company }}!", "Acme\u202e\u2067", f"مرحبا {FSI}Acme{PDI}!"),
}


@pytest.mark.parametrize(("language", "subject", "company", "expected"), SUBJECTS.values(), ids=SUBJECTS.keys())
def test_a_subject(language, subject, company, expected):
    """What runs the other way is isolated, and the whole begins in the letter's direction; the body has no such signs."""
    if (language, company) == ("en", "شركة"):
        expected = expected.removeprefix(LRM)  # an isolate says nothing of the direction, and English comes next
    letter = message("<p>{{ lead.company }}</p>", subject)
    made = renderer(x=letter, x__ar=letter).render(job("x", language=language, lead={"company": company}))

    assert made.subject == expected
    assert f"<p>{company}</p>" in made.html
    assert FSI not in made.html


@given(st.text(), st.sampled_from(["ltr", "rtl"]))
def test_isolating_is_safe(value, direction):
    """It ends what it begins, twice is once, and letters are neither lost nor added."""
    once = isolated(value, direction)
    assert once.count(FSI) == once.count(PDI) <= 1
    assert isolated(once, direction) == once
    kept = [sign for sign in value if not ("\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069")]
    assert once.strip(FSI + PDI) == "".join(kept)
    assert led(led(once, direction), direction) == led(once, direction)


MONEY = {
    ("en", "1234.5 | money('EUR')"): "€1,234.50",
    ("en", "1234.5 | money('JPY')"): "¥1,234",
    ("en", "1234 | money('EUR', 0)"): "€1,234",
    ("de", "1234.5 | money('EUR')"): "1.234,50\xa0€",
    ("ar", "1234 | money('EUR', 0)"): "\u200f1,234\xa0€",
    ("ar-EG", "1234 | money('EUR', 0)"): "\u200f١٬٢٣٤\xa0€",
    ("en", "lead.employees | money('EUR')"): "",
}


@pytest.mark.parametrize(("language", "amount"), MONEY.keys())
def test_money(language, amount):
    """With the sign, the grouping and the digits of the letter's language."""
    letter = message(f"({{{{ {amount} }}}})")
    made = renderer(x=letter, x__ar=letter, x__de=letter).render(job("x", language=language))

    assert f"({MONEY[language, amount]})" in made.html

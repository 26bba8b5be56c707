"""What letters share is worked out once, and each is still what it would be alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.mail.bodies import encoded, is_tame
from nurture.mail.compose import compose
from nurture.mail.render import Rendered, Renderer, RenderJob
from nurture.mail.seals import Sealer
from nurture.mail.skeletons import FULL_FIRST, QuickRenderer
from nurture.mail.templates import Templates
from nurture.tokens import FIRST_SEALED
from tests.mail.letters import BRAND, KEYS, URL

FRAME = '{{% block subject %}}Hi{{% endblock %}}<p>{body}</p><a href="{{{{ unsubscribe_url }}}}">x</a>'
DAY = date(2026, 3, 2)
COMPANY = "{{ lead.company }}"


def job(number: int, company: str = "Acme") -> RenderJob:
    """A letter to somebody of `company`."""
    return RenderJob("x.j2", "", "en", {"company": company}, number, True, None, DAY, opens=True)


def bytes_of(rendered: Rendered) -> bytes:
    """The message as it travels."""
    return compose(
        rendered, from_name="Lena", from_address="lena@acme.example", to="ana@lead.example",
        message_id="<t.1@acme.example>", date=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip


#: Body to the companies whose letters are written.
BODIES: dict[str, tuple[str, list[str]]] = {
    "usual": (f"For {COMPANY}.", ["Acme", "Firm & Sons", "Jörg", "東京"]),
    "a line that a value makes too long": ("y" * 590 + COMPANY, ["a" * length for length in range(1, 200)]),
    "a line that is too long": ("y" * 999 + COMPANY, ["A", "Jörg"]),
    "a line of many values": (COMPANY * 8, ["A", "a" * 100, "a" * 130, "&  &"]),
    "a control character": ("a\x0cb" + COMPANY, ["A", "Jörg"]),
    "lines of their own": (f"a\n{COMPANY}\n{'y' * 990}\n{COMPANY}{COMPANY}", ["A", "a" * 250]),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_known_of_a_letter_does_not_change_how_it_travels(name: str) -> None:
    """Whether its lines are short enough is known from the skeleton; else quoted-printable breaks them."""
    body, companies = BODIES[name]
    templates = Templates({"x.j2": FRAME.format(body=body)})
    slow, quick = Renderer(templates, BRAND, KEYS, URL), QuickRenderer(templates, BRAND, KEYS, URL)
    for number in range(FULL_FIRST + 4):
        quick.render(job(number))

    for number, company in enumerate(companies, 100):
        one = job(number, company)
        assert bytes_of(quick.render(one)) == bytes_of(slow.render(one)), company


def test_a_usual_letter_is_not_looked_at_again() -> None:
    """Else nothing would be won."""
    quick = QuickRenderer(Templates({"x.j2": FRAME.format(body=COMPANY)}), BRAND, KEYS, URL)
    made = [quick.render(job(number)).tame for number in range(FULL_FIRST + 4)]

    assert made[-1]
    assert not made[0]


@given(st.text(st.sampled_from("ab \t\n\r\x0b\x0cé"), max_size=40), st.integers(0, 3), st.integers(990, 1001))
@settings(max_examples=60, deadline=None)
def test_tame_text_travels_as_any_other(text: str, place: int, length: int) -> None:
    """Whoever knows that a text is tame gets the same bytes without the look."""
    whole = f"{text[:place]}{'y' * length}\n{text[place:]}"

    for one in (text, whole):
        assert not is_tame(one) or encoded(one, tame=True) == encoded(one)


TOMORROW = {"today": DAY + timedelta(days=1)}
COLLEAGUE = {"sender": ("Sam", "sam@acme.example")}
AMERICAN = {"language": "en-US"}
PART = {"part.j2": "{{ today | date }} {{ sender.name }}"}
#: Body, what is otherwise of a second letter, and whether what was learnt of the first holds for it.
OTHERS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "no day is said": (COMPANY, TOMORROW, True),
    "the word in a sentence": (f"today {COMPANY}", TOMORROW, True),
    "the day is printed": (f"{{{{ today | date }}}} {COMPANY}", TOMORROW, False),
    "the day is compared": ("{% if today.day == 3 %}third{% endif %}", TOMORROW, False),
    "another file says the day": ('{% include "part.j2" %}', TOMORROW, False),
    "no sender is said": (COMPANY, COLLEAGUE, True),
    "the sender is printed": (f"{COMPANY} {{{{ sender.name }}}}", COLLEAGUE, False),
    "the sender's address is set": ("{% set s = sender %}{{ s.address }}", COLLEAGUE, False),
    "another file says the sender": ('{% include "part.j2" %}', COLLEAGUE, False),
    "nothing is written as in a country": (COMPANY, AMERICAN, True),
    "a number": ("{{ 1234.5 | number }}", AMERICAN, False),
    "a day in a block": ("{% filter upper %}{{ today | date('short') }}{% endfilter %}", AMERICAN, False),
    "an amount": ("{{ 12 | money('EUR') }}", AMERICAN, False),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_learnt_holds_where_a_letter_cannot_differ(name: str) -> None:
    """What no file of a letter says makes no other letter of it: the day, who writes, the reader's country."""
    body, other, holds = OTHERS[name]
    templates = Templates({"x.j2": FRAME.format(body=body), **PART})
    slow, quick = Renderer(templates, BRAND, KEYS, URL), QuickRenderer(templates, BRAND, KEYS, URL)
    usual = replace(job(1), sender=("Lena", "lena@acme.example"), language="en-GB")
    for number in range(FULL_FIRST + 4):
        quick.render(replace(usual, touch_id=number))
    second = replace(usual, touch_id=99, **other)

    assert (quick.kind(second) is quick.kind(usual)) == holds
    assert quick.render(second) == slow.render(second)


def test_a_batch_is_rendered_as_its_letters_are() -> None:
    """One job for all of them, with each one's lead and touch; none of them is kept."""
    templates = Templates({"x.j2": FRAME.format(body=COMPANY)})
    slow, quick = Renderer(templates, BRAND, KEYS, URL), QuickRenderer(templates, BRAND, KEYS, URL)
    shared = job(0)
    kind = quick.kind(shared)
    leads: list[dict[str, Any]] = [{"company": company} for company in ("Acme", "a  b", "Jörg", "&") * 5]

    made = [quick.render_for(kind, shared, lead, Sealer(KEYS, 100 + n)) for n, lead in enumerate(leads)]

    assert made == [slow.render(job(100 + n, lead["company"])) for n, lead in enumerate(leads)]


def test_a_touch_s_tokens_are_sealed_once() -> None:
    """They are those of the keys."""
    seal = Sealer(KEYS, 7)

    assert seal("unsubscribe") == KEYS.seal("unsubscribe", 7) == seal("unsubscribe")
    assert [seal.click(place) for place in (0, 3, FIRST_SEALED)] == [KEYS.click(7, n) for n in (0, 3, FIRST_SEALED)]
    assert seal("question", 2) == KEYS.seal("question", 7, 2) != seal("question", 3)

"""Letters from skeletons are those of the templates, byte for byte, whatever a lead is called."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from random import Random
from typing import Any

import pytest

from nurture.mail.faults import TemplateFault
from nurture.mail.render import Renderer, RenderJob
from nurture.mail.skeletons import FULL_FIRST, QuickRenderer
from nurture.mail.templates import Templates
from tests.mail.letters import BRAND, KEYS, URL

FRAME = '{{% block subject %}}For {{{{ lead.company or "you" }}}}{{% endblock %}}{body}<a href="{{{{ unsubscribe_url }}}}">x</a>'
#: Usual values, and such as change what stands around them.
NAMES: list[Any] = [
    None, "", "Ana", "Bo", "RO", "Acme & Söhne", "O'Neil", "<b>", "x  y", " lead", "trail ", "a\nb", "a\u00a0b", "&amp;",
    "AT&T", "AT&", "lt;", "http://elsewhere.example/", "100%", "%s", "{{ x }}", "שלום", "z" * 300, "\u202ex",
    "zqNurtureMark0001", "a.b", "a@b.example", 'say "x"',
]  # fmt: skip
NUMBERS: list[Any] = [None, 0, 1, 50, 51, 12.5, -1, float("inf"), float("nan")]
DAYS: list[Any] = [None, date(2025, 1, 1), date(2026, 3, 2), date(2026, 5, 5)]
#: Body to whether plain leads get it from a skeleton.
BODIES: dict[str, tuple[str, bool]] = {
    "a greeting": ("<p>Hi {{ lead.first_name or 'there' }}, of {{ lead.company }}.</p>", True),
    "a branch by value": ("{% if lead.country == 'RO' %}Salut{% elif lead.country in ['DE', 'AT'] %}Hallo{% endif %}", True),
    "a branch by number": ("{% if lead.employees and lead.employees > 50 %}big {{ lead.employees }}{% endif %}", True),
    "filters": ("<p>{{ lead.first_name | upper }}, {{ lead.company | default('you', true) | title }}</p>", True),
    "a date": ("{% if lead.since and lead.since < today %}since {{ lead.since | date('long') }}{% endif %}", True),
    "what is joined": ("<p>{{ 'Hi ' ~ lead.first_name ~ '!' }}</p>", True),
    "what is reckoned": ("{% if lead.employees %}{{ lead.employees * 2 + 1 }}{% endif %}", True),
    "a macro": (
        "{% macro m(a, k='b') %}{% if k == 'b' %}<b>{{ a }}</b>{% else %}{{ a }}{% endif %}{% endmacro %}"
        "{{ m(lead.first_name) }}{{ m(lead.company, 'i') }}", True,
    ),
    "a loop": ("{% for one in [lead.first_name, lead.company] %}<li>{{ loop.index }} {{ one }}</li>{% endfor %}", True),
    "links": ('<a href="https://a.example/">a</a> <a href="{{ form_url("demo") }}">f</a>', True),
    "an attribute": ('<a href="https://a.example/?n={{ lead.first_name | urlencode }}">{{ lead.first_name }}</a>', True),
    "an address": ("<p>https://a.example/{{ lead.first_name }} and more</p>", True),
    "a text part": ("{% block text %}Dear {{ lead.first_name }},\n\n{{ lead.company }}  \n{{ unsubscribe_url }}{% endblock %}", True),
    "hidden": ("<p hidden>{{ lead.first_name }}</p><p>x</p>", True),
    "preformatted": ("<pre>  {{ lead.first_name }}\n {{ lead.company }}</pre>", True),
    "two in a row": ("<p>{{ lead.first_name }}{{ lead.company }}</p>", True),
    "one like the other": ("{% if lead.first_name == lead.company %}same{% else %}not{% endif %}", True),
    "a question about a date": ("{% if lead.since | date('long') %}since {{ lead.since | date }}{% endif %}", True),
    "one of a list": ("{% if lead.country is in [lead.company | upper, 'RO'] %}in{% endif %}", True),
    "whether a captured block is there": (
        "{% set s %}{{ lead.company | replace('AT&T', '') | trim }}{% endset %}{% if s %}A{% else %}B{% endif %}", True,
    ),
    "an address in the text": (
        "{% block text %}https://a.example/?n={{ lead.first_name | urlencode }} {{ unsubscribe_url }}{% endblock %}", True,
    ),
    "sums of sums": (
        "{% macro f(a, d) %}{% if d > 0 %}{{ f(a + a, d - 1) }}{% else %}{{ a }}{% endif %}{% endmacro %}"
        "{{ f(lead.employees or 0, 12) }}", False,
    ),
    "what has changed": (
        "{% macro m(a) %}{{ a }}{% endmacro %}{% for one in [lead.first_name, lead.company] %}"
        "{% if loop.changed(m(one)) %}N{% endif %}{% endfor %}", False,
    ),
    "a style": ('<p style="color:{{ lead.country }}">x</p>', False),
    "an entity": ("<p>&{{ lead.first_name }};</p>", False),
    "a tag": ("<{{ lead.country }}>x", False),
    "columns": ("<table><tr><td>{{ lead.first_name }}</td><td>b</td></tr><tr><td>cc</td><td>d</td></tr></table>", False),
    "a captured block that is compared": (
        "{% set s %}{{ lead.first_name }}{% endset %}{% if s == 'Ana' %}ANA{% else %}{{ s }}{% endif %}", False,
    ),
    "a macro that is compared": (
        "{% macro m(a) %}{{ a }}{% endmacro %}{% if m(lead.first_name) == 'Ana' %}ANA{% endif %}", False,
    ),
    "a filtered block": ("{% filter upper %}{{ lead.first_name }}{% endfilter %}", False),
    "searched": ("{% if 'n' in (lead.first_name or '') %}n{% endif %}", False),
    "the whole lead": ("{{ lead }}", False),
}  # fmt: skip


def job(number: int, **lead: Any) -> RenderJob:
    """A letter to a lead with `lead`."""
    known = {"first_name": "Ana", "company": "Acme", "country": "DE", "employees": 60, "since": date(2025, 1, 1)}
    tags = {"source": "letter"} if number % 2 else {}
    return RenderJob(
        "x.j2", "", "en", known | lead, number, number % 3 > 0, None, date(2026, 3, 2), tags=tags, opens=True
    )


def both(body: str) -> tuple[Renderer, QuickRenderer]:
    templates = Templates({"x.j2": FRAME.format(body=body)})
    return Renderer(templates, BRAND, KEYS, URL), QuickRenderer(templates, BRAND, KEYS, URL)


def told(renderer: Renderer, one: RenderJob) -> Any:
    """The letter, or what is wrong with it."""
    try:
        return renderer.render(one)
    except TemplateFault as fault:
        return fault.file, fault.line, fault.problem


@pytest.mark.parametrize("name", BODIES)
def test_the_same_bytes(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """For leads with values of every kind, after enough usual ones for skeletons to be found."""
    body, _ = BODIES[name]
    slow, quick = both(body)
    chance = Random(name)

    def lead() -> dict[str, Any]:
        texts = {field: chance.choice(NAMES) for field in ("first_name", "company", "country")}
        whole = {**texts, "employees": chance.choice(NUMBERS), "since": chance.choice(DAYS)}
        return {field: value for field, value in whole.items() if chance.random() < 0.4}

    for number in range(70):
        one = job(number, **lead())

        assert told(quick, one) == told(slow, one)
    assert not caplog.records  # no skeleton was found wrong afterwards


@pytest.mark.parametrize("name", BODIES)
def test_what_comes_from_a_skeleton(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once eight such letters were made in full, those that can do without the template do."""
    body, expected = BODIES[name]
    _, quick = both(body)
    for number in range(FULL_FIRST + 5):
        quick.render(job(6 * number))
    monkeypatch.setattr(Renderer, "write", None)

    if expected:
        assert "Firm" in quick.render(job(600, company="Firm 7")).subject
    else:
        with pytest.raises(TypeError):
            quick.render(job(600, company="Firm 7"))


#: Files whose subject is printed by another, or whose marks MJML uses up: never from a skeleton.
WHOLES = {
    "a subject by a macro": {
        "x.j2": "{% macro hi(n) %}Hi {{ n }}!{% endmacro %}{% block subject %}{{ hi(lead.first_name) }} news{% endblock %}"
        '<a href="{{ unsubscribe_url }}">x</a>'
    },
    "a subject around another": {
        "base.j2": '{% block subject %}Hi {{ lead.first_name }}!{% endblock %}<a href="{{ unsubscribe_url }}">x</a>',
        "x.j2": '{% extends "base.j2" %}{% block subject %}{{ super() }} news{% endblock %}',
    },
    "a class of MJML": {
        "base.j2": '<mjml><mj-head><mj-attributes><mj-class name="RO" color="red"/></mj-attributes></mj-head><mj-body>'
        '<mj-section><mj-column><mj-text mj-class="{{ lead.country }}">x</mj-text><mj-text><a href="{{ unsubscribe_url }}">'
        "x</a></mj-text></mj-column></mj-section></mj-body></mjml>",
        "x.j2": '{% extends "base.j2" %}{% block subject %}S{% endblock %}',
    },
}


@pytest.mark.parametrize("name", WHOLES)
def test_what_changes_on_its_way_is_rendered_in_full(name: str) -> None:
    """A name in another script, a country that is a class: what stood there first is no guide."""
    slow, quick = (make(Templates(WHOLES[name]), BRAND, KEYS, URL) for make in (Renderer, QuickRenderer))
    for number in range(FULL_FIRST + 4):
        quick.render(job(number))
    one = job(99, first_name="محمد", country="RO")

    assert quick.render(one) == slow.render(one)


@pytest.mark.parametrize(
    "used", ['{% include "part.j2" without context %}', '{% import "part.j2" as part %}{{ part.cta }}']
)
def test_a_link_in_another_file_is_of_its_own_letter(used: str) -> None:
    """Jinja2 keeps what a file prints without knowing the lead; it would be the first letter's link."""
    part = '{% set cta %}<a href="https://a.example/">go</a>{% endset %}{{ cta }}'
    templates = Templates({"x.j2": FRAME.format(body=used), "part.j2": part})
    quick = QuickRenderer(templates, BRAND, KEYS, URL)

    for number in range(1, FULL_FIRST + 4):
        tracked = job(3 * number + 1)
        assert f"/c/{KEYS.click(tracked.touch_id, 0)}" in quick.render(tracked).html


#: What is printed to companies to which it gives something else than text, such as few have.
COMPUTED = {
    "an element": ("{% set br %}<br>{% endset %}<p>{{ lead.company | replace(' + ', br) }}</p>", "Foo + Bar"),
    "an address": (
        "{% block text %}{{ lead.company | replace('~', 'https://') }}{% endblock %}",
        "~a.example",
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_a_filter_makes_of_a_few_is_rendered_in_full(name: str) -> None:
    """A text part shows elements as lines, and tags addresses: only the full rendering does."""
    body, company = COMPUTED[name]
    slow, quick = both(body)
    for number in range(FULL_FIRST + 25):
        quick.render(job(6 * number + 1))
    one = job(601, company=company)

    assert quick.render(one) == slow.render(one)


def test_a_file_that_is_imported_belongs_to_no_thread() -> None:
    """Steps are carried side by side, with one renderer: a module that Jinja2 keeps would be whose letter came first."""
    part = '{% set cta %}<a href="https://a.example/">go</a>{% endset %}'
    templates = Templates({"x.j2": FRAME.format(body='{% import "part.j2" as part %}{{ part.cta }}'), "part.j2": part})
    renderer, often = Renderer(templates, BRAND, KEYS, URL), sys.getswitchinterval()

    def foreign(number: int) -> bool:
        return f"/c/{KEYS.click(3 * number + 1, 0)}" not in renderer.render(job(3 * number + 1)).html

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as threads:
            assert not any(threads.map(foreign, range(300)))
    finally:
        sys.setswitchinterval(often)


def test_no_lead_is_kept() -> None:
    """Skeletons outlive letters, and who was forgotten may have been the one that was watched."""
    _, quick = both("<p>{{ lead.first_name | upper }} {{ lead.employees }}</p>")
    for number in range(FULL_FIRST + 4):
        quick.render(job(6 * number, first_name="Unforgettable"))
    kind = next(iter(quick._kinds.values()))
    skeleton: Any = kind.walk(job(0, first_name="Another").lead)

    kept = [hole._watch.lead for hole, *_ in skeleton.holes]
    assert kept
    assert not any(kept)


def test_a_fault_is_told_as_ever() -> None:
    """With its file and line, for the lead that has it alone."""
    body = "\n{% if lead.employees > 50 %}big{% endif %}"
    _, quick = both(body)
    for number in range(20):
        quick.render(job(number))

    with pytest.raises(TemplateFault) as fault:
        quick.render(job(21, employees="many"))
    assert (fault.value.file, fault.value.line) == ("x.j2", 2)
    assert quick.render(job(22, employees=51)).html.startswith("For")


def test_a_skeleton_that_was_wrong_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it is compared with now and then is the letter that leaves."""
    slow, quick = both("<p>{{ lead.first_name }}</p>")
    for number in range(0, 6 * (FULL_FIRST + 1), 6):
        quick.render(job(number))
    kind = next(iter(quick._kinds.values()))
    skeleton: Any = kind.walk(job(0).lead)
    skeleton.html.pieces = tuple(piece.replace("<p>", "<b>") for piece in skeleton.html.pieces)

    with caplog.at_level(logging.WARNING, "nurture.mail"):
        made = [quick.render(job(6 * number)) for number in (50, 51)]

    assert made == [slow.render(job(300)), slow.render(job(306))]
    assert "other bytes" in caplog.text

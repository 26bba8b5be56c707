"""Variants, links, the two parts, and what a template sees."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from nurture.mail.faults import TemplateFault
from nurture.mail.render import FORM_PLACE
from nurture.mail.templates import Templates
from tests.mail.letters import FILES, KEYS, URL, job, message, renderer

VARIANTS = [
    ("ar", "en", "saas/welcome.ar.j2"),
    ("ar-EG", "en", "saas/welcome.ar.j2"),
    ("ar_EG", "en", "saas/welcome.ar.j2"),
    ("AR", "en", "saas/welcome.ar.j2"),
    ("pt-BR", "en", "saas/welcome.pt-BR.j2"),
    ("pt-br", "en", "saas/welcome.pt-BR.j2"),
    ("pt", "en", "saas/welcome.j2"),
    ("de", "ar", "saas/welcome.ar.j2"),
    ("de", "en", "saas/welcome.j2"),
    ("", "en", "saas/welcome.j2"),
]


@pytest.mark.parametrize(("language", "fallback", "expected"), VARIANTS)
def test_the_variant_that_speaks_the_lead_s_language(language, fallback, expected):
    """The lead's region, its language, the fallback's, the plain file."""
    templates = Templates(FILES | {"saas/welcome.pt-BR.j2": FILES["saas/welcome.j2"]})

    assert templates.variant("saas/welcome.j2", language, fallback) == expected


def test_an_arm_has_its_own_languages():
    """`nudge.a.j2` is an arm, `nudge.a.ar.j2` its Arabic; an arm is no language."""
    templates = Templates(dict.fromkeys(["_shared/x.j2", "s/nudge.a.j2", "s/nudge.a.ar.j2", "s/nudge.j2"], ""))

    assert templates.variant("s/nudge.a.j2", "ar", "en") == "s/nudge.a.ar.j2"
    assert templates.variant("s/nudge.j2", "a", "en") == "s/nudge.j2"
    assert templates.variants("s/nudge.a.j2") == ["s/nudge.a.j2", "s/nudge.a.ar.j2"]


def test_a_message_in_one_language_alone_needs_no_plain_file():
    """Only `hello.ar.j2`: found by the lead's or the program's language, else it is a fault."""
    templates = Templates({"s/hello.ar.j2": ""})

    assert templates.variant("s/hello.j2", "de", "ar") == "s/hello.ar.j2"
    with pytest.raises(TemplateFault, match=r"s/hello\.j2:1: there is no such message"):
        templates.variant("s/hello.j2", "de", "en")


LINKS = [
    "https://brightdesk.example/tour?a=1&b=2",
    "https://brightdesk.example/pricing",
    "https://brightdesk.example/start",
    "https://brightdesk.example/",
]


def test_tracked_links_carry_touch_and_place():
    """Every static link, also one handed to a macro; a stylesheet is none; the door finds the way back."""
    made = renderer()
    rendered = made.render(job())

    assert rendered.links == made.templates.links("saas/welcome.j2") == LINKS
    for place, target in enumerate(LINKS):
        assert f'"{URL}/c/{KEYS.click(42, place)}"' in rendered.html.replace("'", '"')
        assert made.templates.link_target(rendered.variant, place) == target
    assert "https://brightdesk.example/" not in rendered.html
    assert "https://fonts.example/a.css" in rendered.html
    assert f"{URL}/f/demo?t={KEYS.click(42, FORM_PLACE)}" in rendered.html
    for wrong in (-1, len(LINKS), FORM_PLACE):
        with pytest.raises(LookupError):
            made.templates.link_target("saas/welcome.j2", wrong)


def test_without_consent_links_stay_as_written():
    """No token of a click anywhere; unsubscribing still works."""
    html = renderer().render(job(tracked=False)).html

    assert "/c/" not in html
    assert "?t=" not in html
    assert 'href="https://brightdesk.example/tour?a=1&amp;b=2"' in html
    assert f'href="{URL}/f/demo"' in html
    assert f"{URL}/u/{KEYS.seal('unsubscribe', 42)}" in html


def test_places_hang_on_the_bytes_alone():
    """The same files give the same places, whatever is added around them."""
    alone = Templates(FILES).links("saas/welcome.j2")
    among = Templates(dict(reversed(FILES.items())) | {"saas/other.j2": FILES["saas/welcome.j2"]})

    assert among.links("saas/welcome.j2") == alone


@pytest.mark.parametrize("tracked", [True, False])
def test_an_offer_leads_to_its_page(tracked):
    """`offer.url` is ours with and without tracking: what it counts is the door's matter."""
    offer = {"title": 'Prices & "plans"', "kind": "guide", "url": "https://x.example/", "summary": ""}
    rendered = renderer().render(job("offer", tracked=tracked, offer=offer))

    url = f"{URL}/o/{KEYS.seal('offer', 42)}"
    assert f'href="{url}"' in rendered.html
    assert rendered.subject == 'Prices & "plans"'
    assert rendered.text == f'Read "Prices & "plans"" by Ana & co: {url}\n'


def test_the_text_is_made_from_the_html():
    """Hidden words left out, links in brackets, no padding."""
    text = renderer().render(job(tracked=False)).text

    assert "Hidden words" not in text
    assert "Take the tour (https://brightdesk.example/tour?a=1&b=2)\nor" in text or (
        "Take the tour (https://brightdesk.example/tour?a=1&b=2) or look at prices" in text
    )
    assert "Hi Ana, it is Mar 2, 2026." in text
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert "\n\n\n" not in text


def test_data_is_escaped_in_html_and_plain_elsewhere():
    """A name is text, whatever it holds; it is never compiled."""
    evil = "<script>{{ brand }}</script> & {% raw %}"
    rendered = renderer().render(job(lead={"first_name": evil, "company": evil}))

    assert "<script>" not in rendered.html
    assert "&lt;script&gt;{{ brand }}&lt;/script&gt; &amp; {% raw %}" in rendered.html
    assert rendered.subject == f"{evil}: set up in two days"


def test_an_empty_field_prints_nothing():
    """None is what a lead lacks."""
    html = renderer(x=message("[{{ lead.company }}|{{ lead.first_name ~ lead.company }}]")).render(job("x")).html

    assert "[|Ana]" in html


DATES = [
    ("en", "Mar 2, 2026", "1,234.5"),
    ("ar", "02‏/03‏/2026", "1,234.5"),
    ("ar-EG", "٠٢‏/٠٣‏/٢٠٢٦", "١٬٢٣٤٫٥"),
    ("ar-AE", "02‏/03‏/2026", "1,234.5"),
]


@pytest.mark.parametrize(("language", "day", "number"), DATES, ids=[row[0] for row in DATES])
def test_dates_and_numbers_in_the_message_s_language(language, day, number):
    """The reader's own digits (CLDR), where it reads its own language."""
    rendered = renderer().render(job(language=language))

    assert day in rendered.html
    assert ('dir="rtl"' in rendered.html) == language.startswith("ar")
    assert f'lang="{rendered.language}"' in rendered.html
    assert (number in rendered.html) == language.startswith("ar")


@pytest.mark.parametrize(
    ("expression", "language", "shown"),
    [
        ("lead.last_purchase | date('long')", "ro", "1 decembrie 2026"),
        ("lead.last_purchase | date('short')", "fa", "۲۰۲۶/۱۲/۱"),
        ("lead.employees | number", "de", "12.345"),
        ("lead.employees | number(2)", "fa", "۱۲٬۳۴۵"),
        ("lead.company | date", "en", ""),
        ("lead.company | number", "en", ""),
        ("today.year", "en", "2026"),
    ],
)
def test_filters_speak_the_message_s_language(expression, language, shown):
    """Babel's forms; nothing for None."""
    made = renderer(**{"x": message("-"), f"x__{language}": message("[{{ " + expression + " }}]")})
    lead = {"last_purchase": date(2026, 12, 1), "employees": 12345}

    assert f"[{shown}]" in made.render(job("x", language=language, lead=lead)).html


def test_an_instant_is_shown_in_the_zone_it_came_with():
    """A deadline in the salesperson's own time."""
    at = datetime(2026, 3, 2, 9, 30, tzinfo=ZoneInfo("Europe/Bucharest"))
    rendered = renderer(notice="{% block subject %}Lead{% endblock %}<p>{{ handoff.deadline | date }}</p>").notice(
        {"handoff": {"deadline": at}}, "de", "saas/notice.j2"
    )

    assert "02.03.2026, 09:30" in rendered.html
    assert rendered.links == []


def test_a_fault_names_file_and_line():
    """Where the message broke, in the marketer's words."""
    made = renderer(x=message("\n\n{{ lead.compnay }}"))

    with pytest.raises(TemplateFault) as caught:
        made.render(job("x"))

    assert str(caught.value) == "saas/x.j2:3: nothing here is called 'compnay'"


FAULTS = [
    (
        "no subject",
        '{% extends "_shared/letter.j2" %}{% block subject %} {% endblock %}',
        "the subject is empty",
    ),
    ("no block", "<p>{{ unsubscribe_url }}</p>", "the subject is empty"),
    (
        "no unsubscribe",
        "{% block subject %}x{% endblock %}<p>{{ address }}</p>",
        "there is no unsubscribe link",
    ),
    ("no offer", message("{{ offer.title }}"), "has no 'title'"),
    ("a broken tag", message("{% if %}"), "Expected an expression"),
    ("a word for a number", message("{{ lead.first_name | number }}"), "'number' is for numbers"),
    ("nothing to divide by", message("{{ 1 / 0 }}"), "division by zero"),
    (
        "too long",
        message("{% for a in lead.tags %}{{ lead.company }}{% endfor %}"),
        "longer than 1048576 bytes",
    ),
]


@pytest.mark.parametrize(("text", "says"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_what_cannot_be_rendered_is_one_message_s_fault(text, says):
    """TemplateFault and nothing else."""
    lead = {"tags": ["x"] * 300, "company": "x" * 5000}

    with pytest.raises(TemplateFault, match=says):
        renderer(x=text).render(job("x", lead=lead))


def test_an_operational_message_may_have_no_unsubscribe_link():
    """A receipt is not marketing."""
    text = "{% block subject %}x{% endblock %}<p>Your guide</p>"

    assert "Your guide" in renderer(x=text).render(job("x", operational=True)).html


def test_a_macro_file_prints_nothing_of_a_lead():
    """What stands beside its macros is computed once, for nobody."""
    files = FILES | {"_shared/macros.j2": FILES["_shared/macros.j2"] + "{{ lead.first_name }}"}
    templates = Templates(files)

    for _ in range(2):
        with pytest.raises(TemplateFault, match=r"_shared/macros\.j2:1: beside its macros: 'lead' is undefined"):
            templates.compiled("saas/welcome.j2")


@pytest.mark.parametrize("second", ["saas/a.j2", "saas/b.j2"])
def test_a_file_that_leads_back_to_itself(second):
    """Found before anything is rendered."""
    files = FILES | {
        "saas/a.j2": "\n{% include '" + second + "' %}",
        "saas/b.j2": "{% include 'saas/a.j2' %}",
    }

    with pytest.raises(TemplateFault, match=r"leads back to itself by 'saas/a\.j2'"):
        Templates(files).compiled("saas/a.j2")

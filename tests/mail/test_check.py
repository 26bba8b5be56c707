"""What `check` can say about a message before anyone gets it."""

from __future__ import annotations

import pytest

from nurture.mail.check import problems
from nurture.mail.templates import Templates
from tests.mail.letters import FIELDS, FILES, message

NO_ADDRESS = FILES["_shared/letter.j2"].replace("{{ address }}", "")
NO_UNSUBSCRIBE = FILES["_shared/letter.j2"].replace("{{ unsubscribe_url }}", "#")


def said(files: dict[str, str], name: str = "saas/x.j2", **options: object) -> list[str]:
    return [str(p) for p in problems(Templates(FILES | files), name, FIELDS, forms={"demo"}, **options)]  # type: ignore[arg-type]


ROWS = [
    (
        "a field misspelt",
        "\n{{ lead.compnay }}",
        "saas/x.j2:2:1: no lead has a field 'compnay'; did you mean 'company'?",
    ),
    (
        "what the house thinks of the lead",
        "{{ lead.score }}",
        "saas/x.j2:1:1: no message may say the lead's 'score'; conditions may ask for it; take it out of the text",
    ),
    ("a field by item", "{{ lead['nope'] }}", "saas/x.j2:1:1: no lead has a field 'nope'; "),
    (
        "a name misspelt",
        "\n\n{{ adress }}",
        "saas/x.j2:3:1: there is no name 'adress'; did you mean 'address'?",
    ),
    (
        "a filter misspelt",
        "{{ today | dat }}",
        "saas/x.j2:1:1: there is no filter 'dat'; did you mean 'date'?",
    ),
    (
        "a forbidden filter",
        "{{ brand | safe }}",
        "saas/x.j2:1:1: the filter 'safe' is not allowed; allowed are",
    ),
    ("a method", "{{ brand.upper() }}", "saas/x.j2:1:1: '.upper()' calls a method; use a filter"),
    (
        "a form that is not",
        "{{ form_url('dmeo') }}",
        "saas/x.j2:1:1: there is no form 'dmeo'; did you mean 'demo'?",
    ),
    (
        "a file that is not",
        "{% include '_shared/footr.j2' %}",
        "saas/x.j2:1:1: there is no template '_shared/footr.j2'",
    ),
    ("a tag left open", "\n{% if lead.company %}", "saas/x.j2:2:1: "),
    (
        "only for some leads",
        "{% if not lead.company %}{{ 1 / 0 }}{% endif %}",
        "for a lead of whom nothing is known: division by zero",
    ),
    (
        "only for others",
        "{% if lead.employees %}{{ 1 / 0 }}{% endif %}",
        "for a lead with every field: division by zero",
    ),
    ("an offer in a letter", "{{ offer.title }}", "a NoneType has no 'title'"),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_problem_has_place_and_remedy(body, expected):
    """One line for each, with file and line."""
    found = said({"saas/x.j2": message(body)})

    assert len(found) == 1
    assert expected in found[0]


def test_all_problems_at_once():
    """Not only the first."""
    found = said({"saas/x.j2": message("{{ lead.a }}\n{{ b }}\n{{ brand | c }}")})

    assert [line.split(":")[1] for line in found] == ["1", "2", "3"]


def test_variants_are_looked_at_too():
    """A problem of the Arabic file is reported there."""
    found = said({"saas/welcome.ar.j2": message("{{ lead.nome }}")}, "saas/welcome.j2")

    assert len(found) == 1
    assert found[0].startswith("saas/welcome.ar.j2:1:1: no lead has a field 'nome'")


@pytest.mark.parametrize(
    ("letter", "kind", "expected"),
    [
        (NO_ADDRESS, "marketing", "the message has no postal address; print {{ address }} in the layout"),
        (NO_UNSUBSCRIBE, "marketing", "there is no unsubscribe link; print {{ unsubscribe_url }}"),
        (NO_UNSUBSCRIBE, "offer", "there is no unsubscribe link; print {{ unsubscribe_url }}"),
        (NO_ADDRESS, "operational", "the message has no postal address; print {{ address }} in the layout"),
        (NO_UNSUBSCRIBE, "operational", None),
    ],
)
def test_marketing_says_who_we_are_and_how_to_leave(letter, kind, expected):
    """The law's two lines, in what is really rendered."""
    found = said({"_shared/letter.j2": letter, "saas/x.j2": message("x")}, kind=kind)

    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0]


def test_a_block_that_hides_the_address_is_found():
    """The layout has it, the message writes over it."""
    letter = FILES["_shared/letter.j2"].replace("{{ address }}", "{% block foot %}{{ address }}{% endblock %}")
    found = said({"_shared/letter.j2": letter, "saas/x.j2": message("x") + "{% block foot %}{% endblock %}"})

    assert "no postal address" in found[0]


@pytest.mark.parametrize("name", ["saas/welcome.j2"])
def test_a_good_message_has_no_problems(name):
    """Silence."""
    assert said({}, name) == []
    assert said({}, "saas/offer.j2", kind="offer") == []


def test_a_notice_has_its_own_names():
    """Sales see the hand-off; `unsubscribe_url` is no name of theirs."""
    notice = "{% block subject %}{{ handoff.reason }}{% endblock %}{{ suggestion }} {{ reasons | length }}"

    assert said({"_shared/notice.j2": notice}, "_shared/notice.j2", kind="notice") == []
    found = said({"_shared/notice.j2": notice + "{{ unsubscribe_url }}"}, "_shared/notice.j2", kind="notice")
    assert "there is no name 'unsubscribe_url'" in found[0]


def test_a_message_that_is_not_there():
    """With what was probably meant."""
    assert said({}, "saas/welcom.j2") == [
        "saas/welcom.j2:1:1: there is no such message; did you mean 'saas/welcome.j2'?"
    ]

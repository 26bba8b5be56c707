"""Fields that some lead lacks: `nurture check` names every careless use by file, line and field, and no careful one."""

from __future__ import annotations

import pytest

from nurture.cli.app import main
from nurture.mail.check import problems
from nurture.mail.templates import Templates
from tests.mail.letters import FIELDS, FILES, message
from tests.mail.programs import folder

GAP = "'lead.company' may be absent for some lead"
CARELESS = {
    "printed": "{{ lead.company }}",
    "printed by item": "{{ lead['company'] }}",
    "printed by a name that is set": "{% set c = lead.company %}{{ c }}",
    "the lead under another name": "{% set l = lead %}{{ l.company }}",
    "in a branch that neither a full nor an empty lead reaches": (
        "{% if lead.employees and not lead.tags %}{{ lead.company }}{% endif %}"
    ),
    "in an else": "{% if lead.company %}x{% else %}{{ lead.company }}{% endif %}",
    "after the end of its if": "{% if lead.company %}x{% endif %}{{ lead.company }}",
    "behind an or that proves nothing": "{% if lead.company or lead.first_name %}{{ lead.company }}{% endif %}",
    "behind another field": "{% if lead.first_name %}{{ lead.company }}{% endif %}",
    "last of an or": "{{ lead.first_name or lead.company }}",
    "first of an and": "{{ lead.company and 'x' }}",
    "an if in a line": "{{ lead.company if lead.first_name else 'x' }}",
    "handed to a filter": "{{ lead.company | upper }}",
    "handed to default without true": "{{ lead.company | default('x') }}",
    "joined by ~": "{{ 'x' ~ lead.company }}",
    "joined from a list": "{{ ['a', lead.company] | join(', ') }}",
    "from a list in a loop": "{% for x in ['a', lead.company] %}{{ x }}{% endfor %}",
    "from a table": "{% set t = {'a': lead.company} %}{{ t.a }}",
    "compared by size": "{% if lead.company > 'x' %}{% endif %}",
    "searched": "{% if 'x' in lead.company %}{% endif %}",
    "taken apart": "{{ lead.company[0] }}",
    "reckoned with": "{{ lead.company + 'x' }}",
    "in a loop": "{% for t in [1, 2] %}{{ lead.company }}{% endfor %}",
    "in a block of text": "{% set x %}{{ lead.company }}{% endset %}",
    "within with": "{% with c = lead.company %}{{ c }}{% endwith %}",
    "within filter": "{% filter upper %}{{ lead.company }}{% endfilter %}",
    "handed to a macro of the file": "{% macro m(a) %}<b>{{ a }}</b>{% endmacro %}{{ m(lead.company) }}",
    "handed to a macro by name": "{% macro m(a) %}<b>{{ a }}</b>{% endmacro %}{{ m(a=lead.company) }}",
    "by default of a macro": "{% macro m(a=lead.company) %}<b>{{ a }}</b>{% endmacro %}{{ m() }}",
    "handed to a macro of the house": "{{ button(lead.company, 'https://a.example') }}",
    "handed to an imported macro": (
        "{% from '_shared/macros.j2' import button as b %}{{ b(lead.company, 'https://a.example') }}"
    ),
    "handed to a module's macro": (
        "{% import '_shared/macros.j2' as m %}{{ m.button(lead.company, 'https://a.example') }}"
    ),
    "the lead handed to a macro": "{% macro m(l) %}{{ l.company }}{% endmacro %}{{ m(lead) }}",
    "in the body of a call": "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ lead.company }}{% endcall %}",
    "set in one branch": "{% set c = 'x' %}{% if lead.employees %}{% set c = lead.company %}{% endif %}{{ c }}",
    "known once, set anew": (
        "{% set c = lead.first_name %}{% if c %}{% set c = lead.company %}{{ c }}{% endif %}"
    ),
    "is defined proves nothing": "{% if lead.company is defined %}{{ lead.company }}{% endif %}",
    "not equal proves nothing": "{% if lead.company != 'x' %}{{ lead.company }}{% endif %}",
}  # fmt: skip

CAREFUL = {
    "or": "{{ lead.company or 'x' }}",
    "or of many": "{{ lead.first_name or lead.company or 'x' }}",
    "or nothing, on purpose": "{{ lead.company or '' }}",
    "default with true": "{{ lead.company | default('x', true) }} {{ lead.company | d('x', boolean=true) }}",
    "if": "{% if lead.company %}{{ lead.company }}{% endif %}",
    "if in a line": "{{ lead.company if lead.company else 'x' }}",
    "if not, else": "{% if not lead.company %}x{% else %}{{ lead.company }}{% endif %}",
    "if and": "{% if lead.employees and lead.employees >= 200 %}{{ lead.employees | number }}{% endif %}",
    "both of an and": "{% if lead.company and lead.first_name %}{{ lead.company ~ lead.first_name }}{% endif %}",
    "either of an or, else": (
        "{% if not lead.company or not lead.first_name %}x{% else %}{{ lead.company ~ lead.first_name }}{% endif %}"
    ),
    "elif": "{% if not lead.company %}x{% elif lead.company == 'a' %}{{ lead.company }}{% else %}{{ lead.company }}{% endif %}",
    "is not none": "{% if lead.company is not none %}{{ lead.company }}{% endif %}",
    "is none, else": "{% if lead.company is none %}x{% else %}{{ lead.company }}{% endif %}",
    "is a string": "{% if lead.company is string %}{{ lead.company }}{% endif %}",
    "compared with nothing": "{% if lead.company != none %}{{ lead.company }}{% endif %}",
    "equal": "{% if lead.company == 'Acme' %}{{ lead.company }}{% endif %}",
    "one of": "{% if lead.company in ['Acme', 'Bits'] %}{{ lead.company }}{% endif %}",
    "equality of what may be absent": "{% if lead.company == 'Acme' %}x{% endif %}",
    "a set name that is guarded": "{% set c = lead.company %}{% if c %}{{ c }}{% endif %}",
    "a set name with a fallback": "{% set c = lead.company or 'x' %}{{ c }}",
    "a set name and the field guarded": "{% set c = lead.company %}{% if lead.company %}{{ c }}{% endif %}",
    "a set condition": "{% set both = lead.company and lead.first_name %}{% if both %}{{ lead.company }}{% endif %}",
    "set in both branches": (
        "{% if lead.company %}{% set c = lead.company %}{% else %}{% set c = 'x' %}{% endif %}{{ c }}"
    ),
    "a macro that guards": "{% macro m(a) %}{{ a or 'x' }}{% endmacro %}{{ m(lead.company) }}",
    "a macro under a guard": "{% if lead.company %}{{ button(lead.company, 'https://a.example') }}{% endif %}",
    "a loop over what may be absent": "{% for t in lead.tags %}{{ t }}{% endfor %}",
    "a loop that looks": "{% for x in [lead.company, 'a'] %}{% if x %}{{ x }}{% endif %}{% endfor %}",
    "a loop with a condition": "{% for x in [lead.company, 'a'] if x %}{{ x }}{% endfor %}",
    "an entry by a name": "{% for f in ['company'] %}{% if lead[f] %}{{ lead[f] }}{% endif %}{% endfor %}",
    "the address, which nobody lacks": "{{ lead.email }}",
}  # fmt: skip


def said(body: str, **more: str) -> list[str]:
    """The problems of one letter."""
    files = FILES | {"saas/x.j2": message(body)} | more
    return [str(problem) for problem in problems(Templates(files), "saas/x.j2", FIELDS)]


@pytest.mark.parametrize("body", CARELESS.values(), ids=CARELESS.keys())
def test_a_careless_use_is_named(body):
    """Once, with the line of the letter (also for what a macro does with it) and a remedy."""
    found = said("\n\n" + body)

    assert len(found) == 1
    assert found[0].startswith(f"saas/x.j2:3:1: {GAP}, and ")
    assert 'write lead.company or "…"' in found[0]


@pytest.mark.parametrize("body", CAREFUL.values(), ids=CAREFUL.keys())
def test_a_careful_use_is_no_problem(body):
    """No false alarm."""
    assert said(body) == []


def test_in_whatever_file_it_stands():
    """The layout, an included file, a subject, a preheader, a hand-written text."""
    layout = FILES["_shared/letter.j2"].replace("</body>", "\n{{ lead.company }}</body>")
    assert said("x", **{"_shared/letter.j2": layout})[0].startswith(f"_shared/letter.j2:8:1: {GAP}")
    found = said("{% include 'saas/part.j2' %}", **{"saas/part.j2": "\n{{ lead.company }}"})
    assert found[0].startswith(f"saas/part.j2:2:1: {GAP}")
    whole = message("x", subject="{{ lead.company }}") + "{% block text %}\n{{ lead.first_name }}{% endblock %}"
    found = said("", **{"saas/x.j2": whole})
    assert [line.split(":")[1] for line in found] == ["1", "2"]
    assert GAP in found[0]
    assert "'lead.first_name'" in found[1]


def test_an_if_around_a_block_guards_what_fills_it():
    """A layout may ask before it shows a block; the subject is shown on its own as well, and is not guarded."""
    layout = FILES["_shared/letter.j2"].replace(
        "</body>", "{% if lead.company %}{% block firm %}{% endblock %}{% endif %}</body>"
    )
    letter = message("x") + "{% block firm %}{{ lead.company }}{% endblock %}"
    assert said("", **{"_shared/letter.j2": layout, "saas/x.j2": letter}) == []
    layout = "{% if lead.company %}" + FILES["_shared/letter.j2"] + "{% endif %}"
    letter = message("x", subject="{{ lead.company }}")
    assert GAP in said("", **{"_shared/letter.j2": layout, "saas/x.j2": letter})[0]


def test_macros_that_call_each_other_without_end():
    """The look at a letter ends, whatever its macros do."""
    calls = "".join(f"{{% macro m{n}() %}}{{{{ m{n + 1}() }}}}{{{{ m{n + 1}() }}}}{{% endmacro %}}" for n in range(60))
    found = said(calls + "{% macro m60() %}x{% endmacro %}{{ m0() }}")

    assert "too entangled" in found[0]


LEADS = {
    "{industry: [saas, fintech]}": True,
    "{industry: {not: retail}}": True,
    "{industry: {known: true}, stage: lead}": True,
    "{all: [{industry: saas}, {stage: lead}]}": True,
    "{any: [{industry: saas}, {industry: fintech}]}": True,
    "{any: [{industry: saas}, {stage: lead}]}": False,
    "{not: {industry: saas}}": False,
    "{industry: {known: false}}": False,
    "{stage: lead}": False,
}


@pytest.mark.parametrize(("segment", "known"), LEADS.items(), ids=LEADS.keys())
def test_what_the_segment_asks_for_is_known(tmp_path, capsys, segment, known):
    """`segment: {industry: saas}`: who gets this sequence's letters has an industry."""
    place = folder(tmp_path, body="<p>{{ lead.industry }}</p>", segment=segment)

    assert main(["check", str(place)]) == (0 if known else 1)
    assert ("'lead.industry' may be absent" in capsys.readouterr().out) is not known

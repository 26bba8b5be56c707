"""Hostile templates: none computes without end, none reaches Python, none writes markup from data."""

from __future__ import annotations

import time

import pytest

from nurture.mail.faults import TemplateFault
from tests.mail.letters import job, message, renderer

LOOP = "{% for a in lead.tags %}"
END = "{% endfor %}"

HOSTILE = {
    # what Jinja2's own sandbox computes: memory and time without end
    "multiplied text": "{{ 'x' * 1000000000 }}",
    "multiplied list": "{{ [0] * 300000000 }}",
    "text times a name": "{% set n = 1000000000 %}{{ lead.first_name * n }}",
    "power": "{{ 10 ** 1000000000 }}",
    "power of a power": "{{ 10 ** 60 ** 60 }}",
    "power by name": "{% set n = 99999999 %}{{ n ** n }}",
    "growing number": "{% set a = 10 ** 30 %}" + "{% set a = a * a %}" * 30 + "{{ a }}",
    "percent format": "{{ '%0500000000d' % 1 }}",
    "range": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "lipsum": "{{ lipsum(n=1000000) }}",
    "cycler": "{{ cycler('a') }}",
    "namespace": "{% set n = namespace(a=1) %}{% set n.a = 2 %}",
    "format": "{{ '%0500000000d' | format(1) }}",
    "center": "{{ 'x' | center(1000000000) }}",
    "indent": "{{ 'x' | indent(1000000000) }}",
    "xmlattr": "{{ {'a': 1} | xmlattr }}",
    "map": "{{ lead.tags | map('upper') | list }}",
    "attr": "{{ lead | attr('__class__') }}",
    "wordwrap": "{{ 'x' | wordwrap(1) }}",
    "doubling": "{% set a = 'xxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "doubling by plus": "{% set a = 'xxxxxxxx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "doubling by block": "{% set a = 'xxxxxxxx' %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40,
    "doubling by list": "{% set a = [1] %}" + "{% set a = a + a %}" * 40,
    "doubling by replace": "{% set a = 'xxxxxxxx' %}" + "{% set a = a | replace('x', 'xxxxxxxxxx') %}" * 12,
    "doubling by join": "{% set a = 'xxxxxxxx' %}" + "{% set a = [a, a, a, a] | join(a) %}" * 12,
    "doubling by filter": "{% set a = 'xxxxxxxx' %}" + "{% set a = [a, a] | join | urlencode %}" * 40,
    "nested loops": LOOP * 5 + "x" + END * 5,
    "nested silent loops": LOOP * 5 + "{% if a %}{% endif %}" + END * 5,
    "recursive macro": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "macro of macros": "{% macro f(n) %}" + "{% if n %}{{ f(n - 1) }}{% endif %}" * 2 + "{% endmacro %}{{ f(60) }}",
    "recursive loop": "{% for a in lead.tags recursive %}{{ loop(lead.tags) }}{% endfor %}",
    "self-inclusion": "{% include 'saas/x.j2' %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep list": "{{ " + "[" * 300 + "1" + "]" * 300 + " }}",
    "many minus": "{{ " + "-" * 5000 + "1 }}",
    "a huge file": "x" * 300_000,
    # what leads out of the template
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "class by item": "{{ ''['__class__']['__mro__'] }}",
    "class by filter": "{{ ''|attr('__class__') }}",
    "method of text": "{{ lead.first_name.upper() }}",
    "format method": "{{ '{:>500000000}'.format(1) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "method by item": "{{ lead['items']() }}",
    "method in a variable": "{% set f = lead.first_name.upper %}{{ f() }}",
    "globals of a macro": "{{ button.__globals__ }}",
    "name of a macro": "{{ button._func }}",
    "globals of form_url": "{{ form_url.__globals__ }}",
    "self": "{{ self.__init__.__globals__ }}",
    "context of self": "{{ self._TemplateReference__context }}",
    "loop": LOOP + "{{ loop.__init__ }}" + END,
    "environment": "{{ environment }}",
    "env": "{{ env('HOME') }}",
    "get_flashed": "{{ config }}{{ request }}",
    "date's methods": "{{ today.replace(year=1) }}",
    "date's strftime": "{{ today.strftime('%Y' ) }}",
    "undefined's methods": "{{ nothing.__class__ }}",
    "private filter": "{{ 'https://x.example' | _link }}",
    "dynamic template": "{% include lead.first_name %}",
    "dynamic parent": "{% import lead.first_name as m %}",
    "another file": "{% include '../../etc/passwd' %}",
    "an absolute file": "{% include '/etc/passwd' %}",
    "splat": "{{ button(*lead.tags) }}",
    "double splat": "{{ button(**{'text': 1, 'url': 2}) }}",
    # what lifts escaping
    "safe": "{{ lead.first_name | safe }}",
    "autoescape off": "{% autoescape false %}{{ lead.first_name }}{% endautoescape %}",
    "do": "{% do lead.update({}) %}",
    "mutation": "{{ lead.tags.append('x') }}",
    "unknown call": "{{ (lead.first_name or 'x')() }}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_a_fault_and_soon(body):
    """TemplateFault with a place, in less than a second, and nothing of Python's in what it says."""
    began = time.process_time()

    with pytest.raises(TemplateFault) as caught:
        renderer(x=message(body)).render(job("x", lead={"tags": ["a"] * 60}))

    assert time.process_time() - began < 1
    assert caught.value.file == "saas/x.j2"
    assert len(str(caught.value)) < 700


USEFUL = {
    "{{ 3 * 4 + 2 ** 3 - 7 % 4 }}": "17",
    "{{ 'a' + 'b' ~ 1 }}": "ab1",
    "{{ lead.tags | join(', ') }}": "one, two",
    "{% for t in lead.tags %}{{ t }}{% if not loop.last %};{% endif %}{% endfor %}": "one;two",
    "{% for t in lead.company %}x{% else %}none{% endfor %}": "none",
    "{% for t in lead.tags %}{{ loop.cycle('a', 'b') }}{% endfor %}": "ab",
    "{% set a = {'en': {'why': 'so'}} %}{{ a[language].why }}": "so",
    "{{ lead.first_name | default('x') | upper | replace('A', 'b') | truncate(2, true, '', 0) }}": "bN",
    "{{ 'one' in lead.tags }} {{ lead.company is none }} {{ lead.tags is defined }}": "True True True",
    "{{ lead['first_name'][0] }}": "A",
    "{% macro m(a) %}<b>{{ a }}</b>{% endmacro %}{{ m('<') }}": "<b>&lt;</b>",
    "{% call(x) wrapped() %}{{ x }}{% endcall %}": "[in]",
    "{% import '_shared/macros.j2' as m %}{{ m.button('a', 'b') }}": '<a class="button" href="b">a</a>',
    "{% set x %}<i>{{ lead.email }}</i>{% endset %}{{ x }}": "<i>ana@acme.example</i>",
    "{{ 2.567 | round(1) }} {{ '7' | int }} {{ lead.tags | length }}": "2.6 7 2",
    "{% with a = 1 %}{{ a }}{% endwith %}": "1",
    "{% filter upper %}x{% endfilter %}": "X",
    "{{ '<' ~ 'b' | e }}": "&lt;b",
    "{{ 7 | round(-1000000000) }} {{ 7.5 | round(1000000000, 'ceil') }}": "0 7.5",
}


@pytest.mark.parametrize(("body", "shown"), USEFUL.items(), ids=USEFUL.keys())
def test_what_a_marketer_needs_works(body, shown):
    """The language that is left is enough for letters."""
    body = "{% macro wrapped() %}[{{ caller('in') }}]{% endmacro %}(" + body + ")"
    html = renderer(x=message(body)).render(job("x", lead={"tags": ["one", "two"]})).html

    assert f"({shown})" in html


FIELDS_LIKE_METHODS = ["items", "keys", "values", "get", "pop", "copy", "update"]


@pytest.mark.parametrize("field", FIELDS_LIKE_METHODS)
def test_a_field_may_be_called_like_a_method(field):
    """`lead.items` is the lead's field, never Python's method."""
    html = renderer(x=message("({{ lead." + field + " }})")).render(job("x", lead={field: "mine"})).html

    assert "(mine)" in html


def test_a_lead_cannot_exhaust_a_good_template():
    """An enormous field costs this message, not the worker."""
    began = time.process_time()
    with pytest.raises(TemplateFault, match="longer than"):
        renderer().render(job(lead={"first_name": "x" * 5_000_000}))

    assert time.process_time() - began < 1

"""Templates that were written to do harm, each with what becomes of it: by name, a letter's body or a folder's files."""

from __future__ import annotations

from tests.mail.programs import LAYOUT, letter

DEEP = 3000
LIST = "[" + ",".join("1" * 1 for _ in range(200)) + "]"

#: Refused by `nurture check` where the letter stands: the body of saas/welcome.j2.
REFUSED = {
    # Memory and time that Jinja2's own sandbox would spend
    "text times a billion": "{{ 'x' * 1000000000 }}",
    "list times a billion": "{{ [0] * 300000000 }}",
    "text times a number from data": "{{ 'x' * (lead.employees or 1000000000) }}",
    "a power": "{{ 10 ** 1000000000 }}",
    "a tower of powers": "{{ 9 ** 9 ** 9 }}",
    "a number that squares itself": "{% set a = 10 ** 30 %}" + "{% set a = a * a %}" * 30 + "{{ a }}",
    "a wide percent format": "{{ '%0500000000d' % 1 }}",
    "a wide format filter": "{{ '%0500000000d' | format(1) }}",
    "a wide str.format": "{{ '{:>500000000}'.format(1) }}",
    "range in range": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "range by slice": "{% for a in ('x' * 99999999)[:99999999] %}x{% endfor %}",
    "lipsum": "{{ lipsum(n=1000000) }}",
    "center": "{{ 'x' | center(1000000000) }}",
    "indent": "{{ 'x' | indent(1000000000) }}",
    "wordwrap": "{{ 'x' | wordwrap(1) }}",
    "pprint": "{{ lead | pprint }}",
    "tojson": "{{ lead | tojson }}",
    "batch": "{{ [1] | batch(1000000000, 'x') | first }}",
    "slice filter": "{{ [1] | slice(1000000000) | first }}",
    "random": "{{ [1, 2] | random }}",
    # Doubling
    "doubling by ~": "{% set a = 'xxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "doubling by +": "{% set a = 'xxxxxxxx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "doubling a list": "{% set a = [1] %}" + "{% set a = a + a %}" * 40,
    "doubling by a block set": "{% set a = 'xxxxxxxx' %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40,
    "doubling by replace": "{% set a = 'xxxxxxxx' %}" + "{% set a = a | replace('x', 'xxxxxxxxxx') %}" * 12,
    "doubling by join": "{% set a = 'xxxxxxxx' %}" + "{% set a = [a, a, a, a] | join(a) %}" * 12,
    "doubling by urlencode": "{% set a = '%%%%' %}" + "{% set a = [a, a] | join | urlencode %}" * 40,
    "doubling by escape": "{% set a = '&&&&' %}" + "{% set a = (a ~ '') | escape | replace('&', '&&&&&') %}" * 20,
    "doubling in a loop": f"{{% for i in {LIST} %}}{{% set a %}}{{{{ a or 'x' }}}}{{% endset %}}{{% endfor %}}{{{{ a }}}}",
    "doubling by macros": (
        "".join(f"{{% macro m{n}() %}}{{{{ m{n + 1}() }}}}{{{{ m{n + 1}() }}}}{{% endmacro %}}" for n in range(40))
        + "{% macro m40() %}x{% endmacro %}{{ m0() }}"
    ),
    "doubling by blocks": (
        "{% block b0 %}x{% endblock %}"
        + "".join(f"{{% block b{n} %}}{{{{ self.b{n - 1}() }}}}{{{{ self.b{n - 1}() }}}}{{% endblock %}}" for n in range(1, 30))
    ),
    # Loops and recursion
    "five loops in each other": f"{{% for a in {LIST} %}}" * 5 + "x" + "{% endfor %}" * 5,
    "five silent loops": f"{{% for a in {LIST} %}}" * 5 + "{% if a %}{% endif %}" + "{% endfor %}" * 5,
    "a loop around a long silent body": (
        f"{{% for a in {LIST} %}}{{% for b in {LIST} %}}" + "{% if a == b %}{% endif %}" * 800 + "{% endfor %}" * 2
    ),
    "a macro with a long silent body": (
        "{% macro m() %}" + "{% if 1 == 2 %}{% endif %}" * 800 + "{% endmacro %}"
        f"{{% for a in {LIST} %}}{{{{ m() }}}}{{% endfor %}}"
    ),
    "a long search, often": (
        "{% set a = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' %}"
        + "{% set a = a ~ a %}" * 9 + f"{{% for i in {LIST} %}}" + "{% if 'aab' in a %}{% endif %}" * 50 + "{% endfor %}"
    ),
    "a macro that calls itself": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "a macro that counts down": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "a caller that calls": "{% macro f() %}{{ caller() }}{{ f() }}{% endmacro %}{% call f() %}x{% endcall %}",
    "a recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "a block within itself": "{% block loop_ %}{{ self.loop_() }}{% endblock %}",
    "a letter that includes itself": "{% include 'saas/welcome.j2' %}",
    # Deep and large
    "brackets 3,000 deep": "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}",
    "a list 3,000 deep": "{{ " + "[" * DEEP + "1" + "]" * DEEP + " }}",
    "minus 5,000 times": "{{ " + "-" * 5000 + "1 }}",
    "not 5,000 times": "{{ " + "not " * 5000 + "1 }}",
    "if 1,000 deep": "{% if 1 %}" * 1000 + "{% endif %}" * 1000,
    "a file of a megabyte": "x" * 1_000_000,
    "output of more than a megabyte": f"{{% for a in {LIST} %}}" + "x" * 10_000 + "{% endfor %}",
    # Out of the template, into Python: the classics
    "the classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "the classes by item": "{{ ''['__class__']['__mro__'][1] }}",
    "the classes by attr": "{{ '' | attr('__class__') }}",
    "the classes by map": "{{ [''] | map(attribute='__class__') | list }}",
    "the classes in pieces": "{{ ''['__cla' ~ 'ss__'] }}",
    "the classes in escapes": "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "str.format reaches out (CVE-2016-10745)": "{{ '{0.__class__.__init__.__globals__}'.format(lead) }}",
    "format_map reaches out (CVE-2019-10906)": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "a stored format (CVE-2024-56326)": "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "format by attr (CVE-2025-27516)": "{{ ('{0.__class__}' | attr('format'))(1) }}",
    "xmlattr with a space (CVE-2024-22195)": "{{ {'a b': 1} | xmlattr }}",
    "a name that is code (CVE-2024-56201)": "{% include 'saas/x\\n__import__(1)' %}",
    "the environment of the process (CVE-2025-49136)": "{{ env('HOME') }}{{ env['NURTURE_SECRET_KEY'] }}",
    "Flask's config": "{{ config }}{{ request.application.__globals__ }}",
    "cycler's globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner's globals": "{{ joiner.__init__.__globals__ }}",
    "namespace's globals": "{{ namespace.__init__.__globals__ }}",
    "a macro's globals": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
    "form_url's globals": "{{ form_url.__globals__ }}",
    "self": "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context }}",
    "loop": "{% for a in [1] %}{{ loop.__init__ }}{% endfor %}",
    "an undefined's class": "{{ nothing.__class__.__init__ }}",
    "a chain of undefined": "{{ lead.nothing.more.of.this }}",
    "a method of a text": "{{ (lead.first_name or '').upper() }}",
    "a method under another name": "{% set f = brand.upper %}{{ f() }}",
    "a method by item": "{{ lead['items']() }}",
    "a method of a date": "{{ today.strftime('%Y') }}",
    "a change of the lead": "{% do lead.update({'email': 'x'}) %}",
    "a change of a list": "{% set a = [] %}{{ a.append(1) }}",
    "an inner filter of ours": "{{ 'https://x.example' | _link }}{{ 1 | _cost }}",
    "arguments by star": "{% macro m(a) %}{% endmacro %}{{ m(*[1]) }}",
    "regular expressions": "{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' | regex_replace('(a+)+$', '') }}",
    # Files
    "a file out of the folder": "{% include '../../../etc/passwd' %}",
    "a file by its whole path": "{% include '/etc/passwd' %}",
    "the program's settings": "{% include 'program.yaml' %}",
    "another segment's letter": "{% include 'other/welcome.j2' %}",
    "a file that data name": "{% include lead.first_name %}",
    "a layout that data name": "{% import lead.first_name as m %}",
    "a file out of the folder by import": "{% from '../secret.j2' import a %}",
    "a file that MJML includes": "<mj-include path=\"/etc/passwd\" />",
    # Escaping
    "safe": "{{ lead.first_name | safe }}",
    "autoescape off": "{% autoescape false %}{{ lead.first_name or '' }}{% endautoescape %}",
    "Markup": "{{ Markup('<b>') }}",
}  # fmt: skip

#: The same, where it takes more than one file: name to text beside the usual ones.
REFUSED_FOLDERS = {
    "a layout that extends the letter": {"_shared/letter.j2": '{% extends "saas/welcome.j2" %}'},
    "two files that import each other": {
        "saas/welcome.j2": letter("{% import 'saas/a.j2' as a %}"),
        "saas/a.j2": "{% import 'saas/b.j2' as b %}",
        "saas/b.j2": "{% import 'saas/a.j2' as a %}",
    },
    "a bomb beside the shared macros": {"_shared/macros.j2": "{% set a = 'xxxx' %}" + "{% set a = a ~ a %}" * 40},
    "a subject of two lines": {"saas/welcome.j2": letter("x", subject="Hello\nBcc: all@acme.example")},
    "MJML 3,000 sections deep": {
        "_shared/letter.j2": (
            "<mjml><mj-body>{% block subject %}{% endblock %}{% block body %}{% endblock %}</mj-body></mjml>"
        ),
        "saas/welcome.j2": letter("<mj-section>" * 3000 + "</mj-section>" * 3000),
    },
    "MJML with a stranger's tag": {
        "_shared/letter.j2": "<mjml><mj-body>{% block body %}{% endblock %}</mj-body></mjml>",
        "saas/welcome.j2": letter("<mj-script>x</mj-script>"),
    },
    "HTML 100,000 tags deep": {
        "_shared/letter.j2": LAYOUT + "{% set t %}{% for a in " + LIST + " %}" + "<div>" * 500 + "{% endfor %}{% endset %}{{ t }}"
    },
}  # fmt: skip

#: Passed by `check`, and refused by `nurture publish` in the process of its own: harm that only some lead brings about.
TEMPLATE_LIMIT = {
    "a loop over each letter of a name, thrice": (
        "{% for a in lead.first_name %}{% for b in lead.first_name %}{% if a == b %}{% endif %}{% endfor %}{% endfor %}"
    ),
    "a name that replaces itself": (
        "{% if lead.first_name %}{% set a = lead.first_name | replace('<', lead.first_name) %}"
        "{{ a | replace('<', a) }}{% endif %}"
    ),
    "a name joined with itself": (
        "{% if lead.first_name %}{% set a = lead.first_name %}"
        + "{% set a = a ~ a %}" * 9 + "{{ a }}{% endif %}"
    ),
}  # fmt: skip

#: Passed by `check`, since nothing comes of it; and what is printed for a lead whose first name is `<b>{{ 7 * 7 }}`.
HARMLESS = {
    "data that look like a template": ("{{ lead.first_name or '' }}", "(&lt;b&gt;{{ 7 * 7 }})"),
    "data within an attribute": ("<a title=\"{{ lead.first_name or '' }}\">x</a>", '(<a title="&lt;b&gt;{{ 7 * 7 }}">x</a>)'),
    "raw": ("{% raw %}{{ 7 * 7 }}{% endraw %}", "({{ 7 * 7 }})"),
    "text that says safe": ("{{ '<b>' ~ (lead.first_name or '') }}", "(&lt;b&gt;&lt;b&gt;{{ 7 * 7 }})"),
    "a field that is called like a method": ("{{ lead['items'] or 'none' }}", "(none)"),
    "a direction that is turned by data": ("<bdi>{{ '\u202e' ~ (lead.first_name or '') }}</bdi>", "(<bdi>\u202e&lt;b&gt;{{ 7 * 7 }}</bdi>)"),
    "a comment in a comment": ("{# {# {{ 7 * 7 }} #}", "()"),
    "a slice out of bounds": ("{{ 'abc'[0:99999999999] }}", "(abc)"),
    "a text a thousand wide, cut": ("{{ 'x' | truncate(1000000000) }}", "(x)"),
    "rounded to a billion places": ("{{ 7 | round(-1000000000) }}", "(0)"),
}  # fmt: skip

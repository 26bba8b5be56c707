"""The program that is measured: two letters as a marketer writes them, with a gate between."""

from __future__ import annotations

from common import ROOT

_SHARED = ROOT / "templates" / "_shared"
PARAGRAPH = (
    "Our paper tells how a team like yours went about it, and has the figures that your colleague in finance will ask"
    " for, on one page."
)
#: 16 links, four kinds of personal parts; with its text part it is a message of some 10 KB.
_LETTER = """{% extends "_shared/letter.j2" %}
{% block subject %}{{ lead.first_name or "Welcome" }}, WHAT to try this week{% endblock %}
{% block preheader %}For {{ lead.company or "your team" }}.{% endblock %}
{% block body %}<p>Hi {{ lead.first_name or "there" }},</p>
LINKS{% if lead.country == "RO" %}<p>Our office in Cluj is open again.</p>{% else %}<p>Write to us.</p>{% endif %}
{% endblock %}
"""
_LINKS = "".join(
    f'<p><a href="https://bench.example/read/{number}">Read page {number} for {{{{ lead.company or "you" }}}}</a></p>\n'
    for number in range(16)
)
HOUSE = """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: Europe/Bucharest
fields: {industry: text}
sales: [{name: Sam, email: sam@bench.example}]
guard: {canary: off, growth: off}
"""
SCORING = """
engagement:
  - {rule: went, when: {did: go}, points: 10}
  - {rule: clicked, when: {did: clicked}, points: 5, cap: 5 per day}
"""
STEPS = """
name: Bench
segment: {industry: saas}
enrol: {when: {did: go, within: 1 hour}, again: {after: 1 hour}}
send: {days: all}
steps:
  - {id: hello, email: hello.j2, repeat: true}
  - {id: gate, branch: [{if: {score: {at_least: 90}}, then: done}]}
  - {id: second, email: second.j2, repeat: true}
  - {id: done, exit: completed}
"""


def letter(what: str) -> str:
    """A letter's template."""
    paragraph = f"<p>{PARAGRAPH}</p>\n"
    return _LETTER.replace("WHAT", what).replace("LINKS", paragraph + _LINKS + paragraph * 5)


FILES = {
    "program.yaml": HOUSE,
    "scoring.yaml": SCORING,
    "bench/sequence.yaml": STEPS,
    "bench/hello.j2": letter("one thing"),
    "bench/second.j2": letter("two things"),
    **{f"_shared/{file.name}": file.read_text("utf-8") for file in sorted(_SHARED.glob("*.j2"))},
}
#: Columns of the leads whom these letters are written to.
LEAD = {
    "first_name": "'Lead ' || n", "company": "'Firm ' || (n % 97) || ' & Sons'",
    "country": "CASE WHEN n % 3 = 0 THEN 'DE' ELSE 'RO' END", "zone": "'Europe/Bucharest'",
    "fields": '\'{"industry": "saas"}\'', "folded": '\'{"industry": "saas"}\'',
}  # fmt: skip

"""Letters that are rendered beside Jinja2's sandbox, each with the template that the other side makes its text part of.

The rich one extends a shared one and has a loop over five offers, conditions, and 18 links besides those in its foot.
"""

from __future__ import annotations

import letters

_OFFERS = '[("Starter", 49, 1), ("Team", 190, 10), ("Office", 490, 50), ("House", 990, 250), ("Group", 2490, 1000)]'
_YOURS = (
    "Our paper tells how a software house like yours went about it, and has the figures that your colleague in"
    " finance will ask for, on one page."
)
_RICH = """{% extends "_shared/letter.j2" %}
{% block subject %}{{ lead.first_name or "Welcome" }}, five offers
{%- if lead.country %} for {{ lead.country }}{% else %} for you{% endif %}{% endblock %}
{% block preheader %}Chosen for {{ lead.company or "your team" }}.{% endblock %}
{% block body %}
<p>Hi {{ lead.first_name or "there" }},</p>
<p>{% if lead.industry == "saas" %}YOURS{% else %}Our paper has the figures.{% endif %}</p>
{% for offer in OFFERS %}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 12px;"><tr>
<td style="padding:14px 18px;border:1px solid #dcd8d0;border-radius:6px;"><p style="margin:0 0 4px;font-weight:700;">
{{ loop.index }}. {{ offer[0] }}{% if not loop.last %} for {{ lead.company or "your team" }}{% endif %}</p>
<p style="margin:0;">{{ offer[1] }} euro for {{ offer[2] }} {% if offer[2] > 1 %}people{% else %}person{% endif %}
{%- if lead.country == "RO" %}, with our office in Cluj{% endif %}:
<a href="https://bench.example/offers" style="color:#0b5f5a;">read more</a></p></td></tr></table>
{% endfor %}
LINKS{% if lead.last_name %}<p>A word to {{ lead.last_name }}: write to us.</p>{% else %}<p>Write to us.</p>{% endif %}
{% endblock %}
"""
_RICH_TEXT = """{{ brand }}
Hi {{ lead.first_name or "there" }},

{% if lead.industry == "saas" %}YOURS{% else %}Our paper has the figures.{% endif %}

{% for offer in OFFERS %}
{{- loop.index }}. {{ offer[0] }}{% if not loop.last %} for {{ lead.company or "your team" }}{% endif %}

{{ offer[1] }} euro for {{ offer[2] }} {% if offer[2] > 1 %}people{% else %}person{% endif %}
{%- if lead.country == "RO" %}, with our office in Cluj{% endif %}
{{- ": read more" }} ({{ "https://bench.example/offers" | tracked }})

{% endfor -%}
LINKS{% if lead.last_name %}A word to {{ lead.last_name }}: write to us.{% else %}Write to us.{% endif %}
FOOT"""
_PLAIN_TEXT = """{{ brand }}
Hi {{ lead.first_name or "there" }},

PARAGRAPH
LINKSPARAGRAPH
PARAGRAPH
PARAGRAPH
PARAGRAPH
PARAGRAPH
{% if lead.country == "RO" %}Our office in Cluj is open again.{% else %}Write to us.{% endif %}
FOOT"""
_FOOT = """
You receive this because you asked us for material or told us of your interest.
Unsubscribe ({{ unsubscribe_url }}). One click, no questions.
Choose what we send you, and how often ({{ preferences_url }})

{{ address }}
"""
_READ = "Read page {number} for {{{{ lead.company or 'you' }}}}"


def _links(count: int) -> str:
    """So many paragraphs of HTML with a link each."""
    return "".join(
        f'<p><a href="https://bench.example/read/{number}" style="color:#0b5f5a;text-decoration:underline;">'
        f"{_READ.format(number=number)}</a></p>\n"
        for number in range(count)
    )


def _text_links(count: int) -> str:
    """The same in the text part."""
    return "".join(
        f"{_READ.format(number=number)} ({{{{ 'https://bench.example/read/{number}' | tracked }}}})\n\n"
        for number in range(count)
    )


def _made(form: str, links: str) -> str:
    offered = form.replace("YOURS", _YOURS).replace("OFFERS", _OFFERS).replace("FOOT", _FOOT)
    return offered.replace("PARAGRAPH", f"{letters.PARAGRAPH}\n").replace("LINKS", links)


FILES = {name: text for name, text in letters.FILES.items() if name.endswith(".j2")}
FILES["bench/rich.j2"] = _made(_RICH, _links(13))
#: By file, the text part that it gets, as a template.
TEXTS = {
    "bench/rich.j2": _made(_RICH_TEXT, _text_links(13)),
    "bench/hello.j2": _made(_PLAIN_TEXT, _text_links(16)),
}

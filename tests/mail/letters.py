"""A small program's messages, and a lead."""

from __future__ import annotations

from datetime import date
from typing import Any

from nurture.mail.render import Brand, Renderer, RenderJob
from nurture.mail.templates import Templates
from nurture.tokens import keys

KEYS = keys("a secret of at least thirty-two characters")
BRAND = Brand("Brightdesk & Co", "Lena at Brightdesk", "lena@brightdesk.example", "Strada Lungă 12, Brașov")
URL = "https://go.brightdesk.example"

LETTER = """{%- from "_shared/macros.j2" import button -%}
<html lang="{{ language }}" dir="{{ dir }}"><head><title>{% block subject %}{{ brand }}{% endblock %}</title>
<link href="https://fonts.example/a.css" rel="stylesheet"></head><body>
<div style="display:none">{% block preheader %}{% endblock %}</div>
<table><tr><td align="center"><a href="https://brightdesk.example/">{{ brand }}</a></td></tr>
<tr><td>{% block body %}{% endblock %}</td></tr></table>
<p><a href="{{ unsubscribe_url }}">Unsubscribe</a> {{ address }}</p></body></html>
"""
MACROS = '{% macro button(text, url) %}<a class="button" href="{{ url }}">{{ text }}</a>{% endmacro %}'
WELCOME = """{% extends "_shared/letter.j2" %}
{% block subject %}{{ lead.company or "Your team" }}: set up in two days{% endblock %}
{% block preheader %}Hidden words{% endblock %}
{% block body %}
<p>Hi {{ lead.first_name or "there" }}, it is {{ today | date }}.</p>
<p>Take <a href="https://brightdesk.example/tour?a=1&amp;b=2">the tour</a>
or <a href='https://brightdesk.example/pricing'>look at prices</a>.</p>
{{ button("Start", "https://brightdesk.example/start") }}
{{ button("Book a demo", form_url("demo")) }}
{% endblock %}
"""
WELCOME_AR = """{% extends "_shared/letter.j2" %}
{% block subject %}مرحبا{% endblock %}
{% block body %}<p>{{ today | date }} {{ 1234.5 | number }}</p>{% endblock %}
"""
OFFER = """{% extends "_shared/letter.j2" %}
{% block subject %}{{ offer.title }}{% endblock %}
{% block body %}{{ button("Read the " ~ offer.kind, offer.url) }}{% endblock %}
{% block text %}
Read "{{ offer.title }}" by {{ lead.first_name or "you" }} & co: {{ offer.url }}
{% endblock %}
"""
FILES = {
    "_shared/letter.j2": LETTER,
    "_shared/macros.j2": MACROS,
    "saas/welcome.j2": WELCOME,
    "saas/welcome.ar.j2": WELCOME_AR,
    "saas/offer.j2": OFFER,
    "saas/sequence.yaml": "name: SaaS",
}
FIELDS = {
    "email": "text",
    "first_name": "text",
    "company": "text",
    "language": "text",
    "employees": "number",
    "last_purchase": "date",
    "tags": "list",
}


def message(body: str, subject: str = "Hello") -> str:
    """A message with this body."""
    return (
        '{% extends "_shared/letter.j2" %}{% block subject %}' + subject + "{% endblock %}"
        "{% block body %}" + body + "{% endblock %}"
    )


def renderer(**more: str) -> Renderer:
    """A renderer of FILES and `more`: file name (dots as `__`, folder saas) to text."""
    files = FILES | {f"saas/{name.replace('__', '.')}.j2": text for name, text in more.items()}
    return Renderer(Templates(files), BRAND, KEYS, URL)


def job(name: str = "welcome", **fields: Any) -> RenderJob:
    """A job for Ana."""
    lead = dict.fromkeys(FIELDS) | {"first_name": "Ana", "email": "ana@acme.example"} | fields.pop("lead", {})
    usual: dict[str, Any] = {
        "message": f"saas/{name}.j2",
        "language": "en",
        "fallback": "en",
        "lead": lead,
        "touch_id": 42,
        "tracked": True,
        "offer": None,
        "today": date(2026, 3, 2),
    }
    return RenderJob(**(usual | fields))

"""A whole small program in a folder, for `nurture check` and `nurture publish`."""

from __future__ import annotations

from pathlib import Path

PROGRAM = """name: Brightdesk
sender: {name: Lena at Brightdesk, address: lena@brightdesk.example}
reply_to: hello@brightdesk.example
address: Brightdesk SRL, Strada Lungă 12, Brașov
zone: Europe/Bucharest
language: en
fields: {industry: text, employees: number, last_purchase: date}
sales:
  - {name: Mihai Ionescu, email: mihai@brightdesk.example}
  - {name: Sarah Whitfield, email: sarah@elsewhere.example}
forms:
  demo: {event: demo_requested, fields: [first_name], title: Book a demo}
"""
SEQUENCE = """name: SaaS
segment: {segment}
enrol: {{when: {{did: whitepaper_downloaded}}}}
{more}
steps:
  - {{id: welcome, email: welcome.j2}}
  - {{id: done, exit: completed}}
"""
LAYOUT = """<html lang="{{ language }}" dir="{{ dir }}"><head><title>{% block subject %}{% endblock %}</title></head><body>
<div style="display:none">{% block preheader %}{% endblock %}</div>
{% block body %}{% endblock %}
<p><a href="{{ unsubscribe_url }}">Unsubscribe</a> {{ address }}</p></body></html>
"""
NOTICE = """<html><head><title>{% block subject %}{{ handoff.milestone }}{% endblock %}</title></head>
<body>{{ address }} {{ suggestion }}</body></html>
"""


def letter(body: str, subject: str = "Hello", layout: str = "_shared/letter.j2") -> str:
    """A letter with this body."""
    return (
        f'{{% extends "{layout}" %}}{{% block subject %}}{subject}{{% endblock %}}'
        f"{{% block body %}}{body}{{% endblock %}}"
    )


def folder(
    at: Path,
    body: str = "<p>Hello</p>",
    segment: str = "{stage: lead}",
    more: str = "",
    program: str = "",
    **files: str,
) -> Path:
    """A program whose one sequence, saas, sends one letter. `files`: further ones, `saas__welcome_ar_j2` and such."""
    at = at / "program"
    texts = {
        "program.yaml": PROGRAM + program,
        "_shared/letter.j2": LAYOUT,
        "_shared/notice.j2": NOTICE,
        "saas/sequence.yaml": SEQUENCE.format(segment=segment, more=more),
        "saas/welcome.j2": letter(body),
    }
    texts |= {name.replace("__", "/").replace("_j2", ".j2"): text for name, text in files.items()}
    for name, text in texts.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text)
    return at

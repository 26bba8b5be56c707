"""Letters to sales as they are built in, in each language that the house speaks.

The plain notice is sent where the program's own cannot be made, so that sales is told: it prints what every hand-off
has, and uses neither macros nor filters that a value could break. The reminder tells of a hand-off that waits, to its
owner or to who sees to it; `_shared/reminder.j2` of a program goes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from nurture.mail.templates import Templates

TEMPLATE = "plain_notice.j2"
REMINDER = "_shared/reminder.j2"
_FONT = "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'Noto Sans Arabic', sans-serif"
_HEAD = """<!doctype html>
<html lang="{{ say.lang }}" dir="{{ say.dir }}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light">
<title>{% block subject %}SUBJECT{% endblock %}</title></head>
<body dir="{{ say.dir }}" style="margin:0;padding:24px 12px;background-color:#f2f0eb;">
<div style="max-width:560px;margin:0 auto;padding:28px 26px;background-color:#ffffff;font-family:FONT;font-size:15px;line-height:1.6;color:#22302f;">
"""  # noqa: E501
_BUTTON = (
    "display:inline-block;padding:12px 24px;border-radius:6px;background-color:#0b5f5a;color:#ffffff;"
    "font-size:16px;font-weight:600;text-decoration:none;"
)
_NOTICE = """HEAD<p style="font-size:18px;"><bdi>{{ who }}</bdi></p>
<p>{% if lead.company %}{{ say.field_company }}: <bdi>{{ lead.company }}</bdi><br>{% endif %}
{% if lead.email %}{{ say.field_email }}:
<a href="mailto:{{ lead.email | urlencode | replace("%40", "@") }}"><bdi>{{ lead.email }}</bdi></a><br>{% endif %}
{% if lead.phone %}{{ say.field_phone }}: <a href="tel:{{ lead.phone }}"><bdi>{{ lead.phone }}</bdi></a><br>{% endif %}
<bdi>{{ handoff.milestone | replace("_", " ") }}</bdi>{% if score %}<br>
{{ say.score }}: {{ score }} {{ say.of }}{% endif %}</p>
<p>{{ notice.text }}</p>
<p><a href="{{ handoff.accept_url }}" style="BUTTON">{{ say.take }}</a></p>
<p><a href="{{ handoff.page_url }}">{{ say.see }}</a></p>
<p style="color:#5f6b69;">{{ plain }} <code dir="ltr">nurture doctor</code> {{ say.doctor }}</p>
</div></body></html>
"""
_REMINDER = """{% set mine = handoff.open and notice.kind != "escalation" %}HEAD<p style="margin:0 0 4px;font-weight:700;color:#8a5a00;">{{ notice.title }}</p>
<p style="margin:0;font-size:22px;line-height:1.3;font-weight:700;color:#16302e;"><bdi>{{ who }}</bdi></p>
<p style="margin:2px 0 16px;">{% if lead.title %}<bdi>{{ lead.title }}</bdi>{% endif %}
{%- if lead.title and lead.company %} · {% endif %}{% if lead.company %}<bdi>{{ lead.company }}</bdi>{% endif %}</p>
<p style="margin:0 0 10px;">{{ notice.text }}</p>
<p style="margin:0 0 20px;color:#5f6b69;">{{ handoff.reason }}</p>
{% if mine %}<p style="margin:0 0 18px;"><a href="{{ handoff.accept_url }}" style="BUTTON">{{ say.take }}</a>
<span style="display:inline-block;padding:12px 6px;"><a href="{{ handoff.page_url }}" style="color:#0b5f5a;">{{ say.see }}</a></span></p>
{% else %}<p style="margin:0 0 18px;"><a href="{{ handoff.page_url }}" style="BUTTON">{{ say.see }}</a></p>{% endif %}
<p style="margin:0;">{{ say.next }}: <bdi>{{ suggestion }}</bdi></p>
<p style="margin:14px 0 0;">{% if lead.email %}<a href="mailto:{{ lead.email | urlencode | replace("%40", "@") }}" style="color:#0b5f5a;"><bdi>{{ lead.email }}</bdi></a><br>{% endif %}
{% if lead.phone %}<a href="tel:{{ lead.phone }}" style="color:#0b5f5a;"><bdi dir="ltr">{{ lead.phone }}</bdi></a><br>{% endif %}
{{ say.owner }}: <bdi>{{ owner.name }}</bdi></p>
{% if mine %}<p style="margin:22px 0 6px;padding-top:16px;border-top:1px solid #e4e1da;color:#5f6b69;">{{ say.not_you }}</p>
<p style="margin:0;">{% for reason in handoff.reject_urls %}<a href="{{ handoff.reject_urls[reason] }}" style="display:inline-block;margin:4px;padding:7px 12px;border:1px solid #cfcabd;border-radius:6px;color:#22302f;text-decoration:none;">{{ say[reason] if reason in say else reason }}</a> {% endfor %}</p>{% endif %}
<p style="margin:16px 0 0;font-size:13px;color:#5f6b69;">{{ handoff.handed }}</p>
</div></body></html>
"""  # noqa: E501
_SUBJECTS = {
    TEMPLATE: '{{ handoff.milestone | replace("_", " ") }}: {{ who | truncate(100, true, "…") }}',
    REMINDER: '{{ notice.title }}: {{ who | truncate(70, true, "…") }}'
    '{% if lead.company %}{{ say.comma }}{{ lead.company | truncate(50, true, "…") }}{% endif %}',
}


def _written(name: str, text: str) -> str:
    head = _HEAD.replace("SUBJECT", _SUBJECTS[name]).replace("FONT", _FONT)
    return text.replace("HEAD", head).replace("BUTTON", _BUTTON)


#: File to text, as a program would have it; `who`: the lead's name or address.
FILES: Mapping[str, str] = {TEMPLATE: _written(TEMPLATE, _NOTICE), REMINDER: _written(REMINDER, _REMINDER)}


@cache
def built_in() -> Templates:
    """These letters, each compiled once."""
    return Templates(FILES)

"""The notice of a hand-off as it is built in: sent where the program's own cannot be made, so that sales is told.

It prints what every hand-off has, and uses neither macros nor filters that a value could break.
"""

from __future__ import annotations

from collections.abc import Mapping

TEMPLATE = "plain_notice.j2"
_NOTICE = """<!doctype html>
<html lang="en" dir="ltr"><head><meta charset="utf-8">
<title>{% block subject %}{{ handoff.milestone | replace("_", " ") -}}
: {{ who | truncate(100, true, "…") }}{% endblock %}</title></head>
<body style="font-family:sans-serif;font-size:15px;line-height:1.5;color:#22302f;">
<p style="font-size:18px;"><bdi>{{ who }}</bdi></p>
<p>{% if lead.company %}Company: <bdi>{{ lead.company }}</bdi><br>{% endif %}
{% if lead.email %}E-mail:
<a href="mailto:{{ lead.email | urlencode | replace("%40", "@") }}">{{ lead.email }}</a><br>{% endif %}
{% if lead.phone %}Phone: <a href="tel:{{ lead.phone }}">{{ lead.phone }}</a><br>{% endif %}
Milestone: {{ handoff.milestone | replace("_", " ") }}{% if score %}<br>
Score: {{ score }} of 100{% endif %}</p>
<p>{{ owner.name }}, please answer by {{ handoff.deadline }}: <a href="{{ handoff.accept_url }}">I take this lead</a>,
or <a href="{{ handoff.page_url }}">see everything</a>.</p>
<p style="color:#5f6b69;">This is the plain notice: the one that {{ brand }} writes could not be made for this lead.
<code>nurture doctor</code> says why.</p>
</body></html>
"""
#: File to text, as a program would have it; `who`: the lead's name or address.
FILES: Mapping[str, str] = {TEMPLATE: _NOTICE}

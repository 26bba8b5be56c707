"""The letter that asks whether a yes was meant, as it is built in; `_shared/confirm.j2` of a program goes before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

TEMPLATE = "_shared/confirm.j2"
_LETTER = """<!doctype html>
<html lang="{{ language }}" dir="{{ dir }}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light">
<title>{% block subject %}SUBJECT{% endblock %}</title></head>
<body dir="{{ dir }}" style="margin:0;padding:24px;background-color:#f2f0eb;">
<div style="max-width:560px;margin:0 auto;padding:28px 32px;background-color:#ffffff;font-family:FONT;font-size:16px;line-height:LEADING;color:#22302f;">
<p style="margin:0 0 18px;font-weight:700;"><bdi>{{ brand }}</bdi></p>
<p style="margin:0 0 12px;">ASKED</p>
<ul style="margin:0 0 22px;padding-inline-start:22px;">{% for line in agreed %}<li style="margin:0 0 6px;"><bdi>{{ line }}</bdi></li>{% endfor %}</ul>
<p style="margin:0 0 22px;"><a href="{{ confirm_url }}" style="display:inline-block;padding:13px 26px;border-radius:6px;background-color:#0b5f5a;color:#ffffff;font-weight:600;text-decoration:none;">BUTTON</a></p>
<p style="margin:0 0 12px;">UNTIL</p>
<p style="margin:0;">NOT_YOU</p>
</div>
<p style="max-width:560px;margin:16px auto 0;font-family:FONT;font-size:13px;color:#5f6b69;"><bdi>{{ address }}</bdi></p>
</body></html>
"""  # noqa: E501
_ENGLISH = {
    "SUBJECT": "Please confirm: letters from {{ brand }}",
    "ASKED": "Somebody, most likely you, gave us this address and said yes to:",
    "BUTTON": "Yes, that was me",
    "UNTIL": "The link works until {{ until | date }}. Before your yes we send no letters.",
    "NOT_YOU": "If it was not you, do nothing, and no letters follow.",
    "FONT": "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
    "LEADING": "1.6",
}
_ARABIC = {
    "SUBJECT": "نرجو التأكيد: رسائل {{ brand }}",
    "ASKED": "أعطانا شخص ما، ولعله أنتم، هذا العنوان ووافق على ما يلي:",
    "BUTTON": "نعم، هذا أنا",
    "UNTIL": "يعمل الرابط حتى {{ until | date }}. قبل موافقتكم لن نرسل أي رسائل.",
    "NOT_YOU": "إن لم تكونوا أنتم فلا تفعلوا شيئًا، ولن تصلكم رسائل منا.",
    "FONT": "'Segoe UI', 'Geeza Pro', Tahoma, 'Noto Sans Arabic', Arial, sans-serif",
    "LEADING": "1.8",
}


def _written(words: Mapping[str, str]) -> str:
    letter = _LETTER
    for name, text in words.items():
        letter = letter.replace(name, text)
    return letter


def letter_names(address: str, agreed: list[str], confirm_url: str, until: date) -> dict[str, Any]:
    """What the letter may print besides the brand; `agreed`: the texts said yes to, `until`: the link's last day."""
    return {"confirm_url": confirm_url, "agreed": agreed, "email": address, "until": until}


#: File to text, as a program would have them.
BUILT_IN: Mapping[str, str] = {TEMPLATE: _written(_ENGLISH), "_shared/confirm.ar.j2": _written(_ARABIC)}

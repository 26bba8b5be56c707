"""A form as HTML to be put into one's own page: it works without a script, and looks as that page does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nurture.web.form_visits import Visit
from nurture.web.pages import fragment


def snippet(visit: Visit, address: str, fields: Mapping[str, Any]) -> str:
    """The HTML: labels, the honeypot, the boxes for consent, and an empty field that the website's snippet fills in."""
    return fragment(
        "snippet",
        visit.language,
        address=address,
        asked=fields["asked"],
        boxes=fields["boxes"],
        honeypot=fields["honeypot"],
        button=fields["button"],
    )

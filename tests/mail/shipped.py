"""Every letter of templates/ as the bytes that travel: all languages, for a lead of whom all is known and nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from nurture.engine.parcels import brand_of
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.render import Rendered, Renderer, RenderJob
from nurture.mail.templates import Templates
from nurture.mail.verp import unsubscribe_address
from nurture.mail.words import ENGLISH
from nurture.program.load import House, load, read_folder
from nurture.steps import Email, Offer
from nurture.tokens import keys

KEYS = keys("a secret of at least thirty-two characters")
FOLDER = Path(__file__).parents[2] / "templates"
URL = "https://go.brightdesk.example"
BOUNCES = "bounces@in.brightdesk.example"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KNOWN: dict[str, Any] = {
    "email": "ana.pop@acme.example",
    "first_name": "Ștefania",
    "last_name": "Pop-O'Neill",
    "company": "Acme & Söhne <GmbH>",
    "title": "Head of Support",
    "phone": "+40 21 000 0000",
    "country": "RO",
    "industry": "saas",
    "employees": 120,
    "role": "support",
    "use_case": "ticketing",
    "last_purchase": date(2025, 6, 1),
}
NOBODY: dict[str, Any] = {"email": "info@acme.example"}
NOTICE = {
    "handoff": {
        "id": 7,
        "milestone": "demo_requested",
        "title": "Demo requested",
        "handed": "Handed over Mon 2 Mar, 11:00 by Brightdesk.",
        "open": True,
        "entrance": "themselves, ready to talk",
        "level": None,
        "routed_by": "takes RO, next in turn",
        "reason": "Ștefania Pop reached “demo requested”.",
        "opened": "Mon 2 Mar, 11:00",
        "deadline": "Mon 2 Mar, 13:00",
        "accept_url": f"{URL}/h/a",
        "page_url": f"{URL}/h/b",
        "reject_urls": {"premature": f"{URL}/h/c", "duplicate": f"{URL}/h/d"},
    },
    "notice": {"kind": "first", "title": "New for you", "text": "Mihai Ionescu, this one is yours."},
    "who": "Ștefania Pop-O'Neill",
    "facts": [{"name": "email", "label": "E-mail", "value": "ana.pop@acme.example"}],
    "earlier": [{"when": "3 Mar 2025", "by": "Mihai Ionescu", "what": "rejected: Too early", "note": "no <budget>"}],
    "account": {"title": "Others of Acme", "people": [{"who": "Ben", "title": None, "what": "taken by Mihai Ionescu"}]},
    "say": ENGLISH,
    "score": 71,
    "fit": "A",
    "reasons": [{"points": 30, "rule": "Asked for a demo", "when": "Mon 2 Mar, 11:00"}],
    "timeline": [{"when": "Mon 2 Mar, 11:00", "what": "demo_requested"}],
    "sent": [],
    "suggestion": "Call within the hour.",
    "owner": {"name": "Mihai Ionescu", "email": "mihai@brightdesk.example"},
}


@dataclass(frozen=True)
class Shipped:
    """One message: what was meant, and its bytes."""

    rendered: Rendered
    to: str
    payload: bytes


@cache
def shipped(signer: Signer | None = None) -> dict[str, Shipped]:
    """By variant and lead, `saas-evaluators/welcome.j2 known`; the notice to sales among them."""
    loaded = load(read_folder(FOLDER)).require()
    house = loaded.house
    assert house is not None
    made: dict[str, Shipped] = {}
    touch = 0
    for segment in loaded.segments.values():
        templates = Templates({**house.files, **segment.files})
        renderer = Renderer(templates, brand_of(house), KEYS, URL)
        for step in segment.spec.steps:
            for variant, language, offer in _variants(step, segment.slug, templates, house):
                for who, lead in (("known", KNOWN), ("nobody", NOBODY)):
                    touch += 1
                    rendered = renderer.render(_job(variant, language, lead, offer, touch, house))
                    made[f"{variant} {who}"] = _letter(rendered, lead["email"], touch, segment.slug, house, signer)
    made["_shared/notice.j2 known"] = _notice(house, signer)
    return made


def _variants(
    step: object, slug: str, templates: Templates, house: House
) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    messages = step.letters() if isinstance(step, Email) else [step.message] if isinstance(step, Offer) else []
    for message in messages:
        message = message if message.startswith("_shared/") else f"{slug}/{message}"
        for variant in templates.variants(message):
            language = templates.language(variant, house.program.language)
            pieces = [piece for piece in house.library if piece["language"] == language]
            yield variant, language, pieces[0] if isinstance(step, Offer) else None


def _job(
    variant: str, language: str, lead: dict[str, Any], offer: dict[str, Any] | None, touch: int, house: House
) -> RenderJob:
    message = variant.replace(f".{language}.j2", ".j2")
    fields = {**dict.fromkeys((*house.fields, "title", "phone", "stage", "status", "owner", "source")), **lead}
    return RenderJob(message, language, house.program.language, fields, touch, True, offer, NOW.date())


def _letter(rendered: Rendered, to: str, touch: int, slug: str, house: House, signer: Signer | None) -> Shipped:
    payload = compose(
        rendered,
        from_name=house.program.sender.name,
        from_address=house.program.sender.address,
        to=to,
        reply_to=house.program.reply_to,
        message_id=KEYS.message_id(touch, "brightdesk.example"),
        date=NOW,
        list_id=f"{slug}.brightdesk.example",
        unsubscribe_url=f"{URL}/u/{KEYS.seal('unsubscribe', touch)}",
        unsubscribe_to=unsubscribe_address(BOUNCES, KEYS, touch),
        signer=signer,
    )
    return Shipped(rendered, to, payload)


def _notice(house: House, signer: Signer | None) -> Shipped:
    lead = {**dict.fromkeys(house.fields), **KNOWN}
    rendered = Renderer(Templates(house.files), brand_of(house), KEYS, URL).notice({**NOTICE, "lead": lead}, "en")
    payload = compose(
        rendered,
        from_name=house.program.name,
        from_address=house.program.sender.address,
        to="mihai@brightdesk.example",
        reply_to=KNOWN["email"],
        message_id=KEYS.message_id(7, "brightdesk.example", "n"),
        date=NOW,
        automatic=True,
        signer=signer,
    )
    return Shipped(rendered, "mihai@brightdesk.example", payload)

"""/f: what a form that comes back keeps, countries by their names, and what who agreed before is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Consent
from nurture.web.words import WORDS
from tests.web.factories import Visitor, lead_called
from tests.web.test_forms_asked import ONE_DATABASE, RAE, by_letter


@ONE_DATABASE
def test_a_form_that_comes_back_keeps_what_its_page_sent_along(machine: Machine, visit: Visitor) -> None:
    """The browser's number, and what the form keeps of the page's address; nothing else that came."""
    said = {"email": "kim@", "visitor": "c" * 32, "utm_source": "fair", "campaign": "x"}

    page = visit.post("/f/start", data=said)

    assert page.status_code == 422
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    assert hidden.items() >= {("visitor", "c" * 32), ("utm_source", "fair")}
    assert set(hidden) == {"once", "lang", "visitor", "utm_source"}
    assert 'name="visitor"' not in visit.post("/f/start", data={**said, "visitor": "c"}).text


COUNTRIES = {
    "its own language": ("Deutschland", "DE"),
    "another's": ("Rumänien", "RO"),
    "without capitals": ("  rumänien ", "RO"),
    "Arabic": ("مصر", "EG"),
    "one of several of its own": ("Suisse", "CH"),
    "a code": ("ro", "RO"),
}


@ONE_DATABASE
@pytest.mark.parametrize(("said", "code"), COUNTRIES.values(), ids=COUNTRIES.keys())
def test_a_country_is_known_by_its_names(machine: Machine, visit: Visitor, said: str, code: str) -> None:
    """A field of somebody's own page may be typed."""
    assert visit.post("/f/demo", data={"email": "kim@person.example", "country": said}).status_code == 303
    assert lead_called(machine, "kim@person.example").country == code


AGREED: dict[str, tuple[str, dict[str, Any], bool]] = {
    "both stand": ("en", {}, True),
    "in Arabic": ("ar", {}, True),
    "one was taken back": ("en", {"withdrawn_at": True}, False),
}


@pytest.mark.parametrize(("language", "changed", "said"), AGREED.values(), ids=AGREED.keys())
def test_who_agreed_before_need_not_tick_again(
    machine: Machine, visit: Visitor, language: str, changed: dict[str, bool], said: bool
) -> None:
    """It is told once, to who came by their own letter; a stranger, or another's address, learns nothing."""
    if changed:
        mine = (col(Consent.lead_id) == lead_called(machine, RAE).id) & (col(Consent.purpose) == "tracking")
        machine.db.transact(lambda link: link.execute(update(Consent).where(mine).values(withdrawn_at=machine.now())))
    words, link = WORDS[language]["agreed_before"], by_letter(machine, RAE, "demo")
    token = link.partition("?t=")[2]

    page = visit.get(f"{link}&lang={language}").text

    assert page.count(words) == int(said)
    assert "checked" not in page
    mistakes = {"t": token, "lang": language, "first_name": "x" * 201}
    assert words not in visit.get(f"/f/demo?lang={language}").text
    assert (words in visit.post("/f/demo", data={**mistakes, "email": RAE}).text) == said
    assert words not in visit.post("/f/demo", data={**mistakes, "email": "noura@acme.example"}).text

"""nurture.js on a page of somebody's own website, which is another origin."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select
from sqlmodel import col

from nurture.records import Event, Objection, Visit
from nurture.records import Visitor as Browsing
from tests.web.browser.house import House, address, site_page
from tests.web.browser.screen import Screen, screen
from tests.web.factories import letter_to, links_in

pytestmark = pytest.mark.xdist_group("browser")
GPC = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
DNT = "Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => '1'})"


def visits(house: House, visitor: str) -> list[Any]:
    """What a browser that nobody knows did, oldest first."""
    mine = select(Visit.__table__).join(Browsing, col(Browsing.id) == col(Visit.visitor_id))  # type: ignore[attr-defined]
    with house.machine.db.read() as link:
        return list(link.execute(mine.where(col(Browsing.key) == visitor).order_by(col(Visit.id))))


def told(seen: Screen, address: str) -> dict[str, Any]:
    """Open a page with the snippet; what it told, once that was answered."""
    with seen.page.expect_response(lambda answer: "/events?key=" in answer.url) as answer:
        seen.page.goto(address)
    assert answer.value.status == 202
    said: dict[str, Any] = json.loads(answer.value.request.post_data or "")
    return said


def embedded(house: House, page: Page, form: str) -> str:
    """The HTML that a marketer copies from a form's page."""
    page.goto(f"{house.url}/f/{form}/embed")
    return page.locator("#snippet").input_value()


def test_a_stranger_becomes_known_by_a_form(browser: Browser, house: House) -> None:
    """Visits stay apart until the form, which carries the browser's number, says whose they are."""
    with screen(browser) as seen:
        page, who = seen.page, "vera@person.example"
        at = site_page(house, "stranger", embedded(house, page, "start"))
        said = told(seen, f"{at}?utm_source=ads&session=secret")
        seen.loaded.clear()

        assert re.fullmatch("[0-9a-f]{32}", said["visitor"])
        assert page.locator("[name=visitor]").input_value() == said["visitor"]
        (before,) = visits(house, said["visitor"])
        assert before.data == {"path": "/stranger.html", "title": "Prices", "utm_source": "ads"}
        assert house.lead(who) is None

        page.get_by_role("textbox", name="E-mail").fill(who)
        page.get_by_role("checkbox").nth(1).check()
        page.get_by_role("button").click()

        expect(page.locator("h1")).to_have_text("Your request has arrived")
        assert "page_viewed" in [row.name for row in house.rows(Event, who)]
        assert not any(row.name == "page_viewed" for row in visits(house, said["visitor"]))
        assert [url for kind, url in seen.loaded if kind not in ("document", "ping")] == []
        assert seen.complaints == []


def test_nothing_is_kept_or_told_without_a_yes(browser: Browser, house: House) -> None:
    """No consent, or Do Not Track: nothing in the browser, nothing on the wire but the script."""
    at = site_page(house, "shy")
    shy = house.folder / "shy.html"
    shy.write_text(shy.read_text().replace(' data-consent="granted"', ""))
    with screen(browser) as seen:
        seen.page.goto(at)
        seen.page.evaluate("window.nurture.track('page_viewed', {path: '/'})")
        assert (seen.page.evaluate("localStorage.length"), len(seen.loaded)) == (0, 2)

        with seen.page.expect_response(lambda answer: "/events?key=" in answer.url):
            seen.page.evaluate("window.nurture.consent()")
        assert seen.page.evaluate("localStorage.length") == 1
        number = seen.page.evaluate("localStorage.nurture")
        assert told(seen, at)["visitor"] == number, "the next page knows of the yes"
        seen.page.evaluate("window.nurture.consent(false)")
        assert seen.page.evaluate("localStorage.length") == 0
        seen.loaded.clear()
        seen.page.goto(at)
        assert [kind for kind, _ in seen.loaded] == ["document", "script"]
    with screen(browser) as seen:
        seen.page.add_init_script(DNT)
        seen.page.goto(at)
        seen.page.evaluate("window.nurture.consent()")
        assert (seen.page.evaluate("localStorage.length"), len(seen.loaded)) == (0, 2)


def test_a_letters_link_says_who_came_and_global_privacy_control_is_heeded(browser: Browser, house: House) -> None:
    """The token leaves the address at once; the visit is the lead's, who objects to sharing."""
    who = address("follower", "en")
    site_page(house, "prices")
    link = next(link for link in links_in(letter_to(house.machine, who)) if "/c/" in link)
    with screen(browser) as seen:
        seen.page.add_init_script(GPC)
        said = told(seen, link)

        assert said["gpc"] is True
        assert said["token"]
        assert seen.page.url == f"{house.site}/prices.html"
        assert "page_viewed" in [row.name for row in house.rows(Event, who)]
        assert [row.kind for row in house.rows(Objection, who)] == ["sharing"]
        assert seen.complaints == []

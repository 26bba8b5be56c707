"""What people come for, with clicks and keys alone; what became of it is read from the records."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from nurture.engine.notices import ANSWERS, PAGE
from nurture.records import Confirmation, Consent, Event, Handoff, Preference, RefusedTopic
from nurture.web.words import WORDS
from tests.web.browser.house import House, address
from tests.web.browser.screen import screen

pytestmark = pytest.mark.xdist_group("browser")
EN, AR = WORDS["en"], WORDS["ar"]


def tabbed_to(page: Page, name: str) -> None:
    """Reach what is called so by the Tab key alone."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if name in (
            focused.get_attribute("name") or "",
            focused.inner_text().strip(),
            focused.get_attribute("id") or "",
        ):
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def heading(page: Page, text: str) -> None:
    expect(page.locator("h1")).to_have_text(text)


def test_unsubscribing_and_coming_back(browser: Browser, house: House) -> None:
    """A key out; a click on what the page offers, and a key in again."""
    with screen(browser) as seen:
        page, who = seen.page, address("follower", "ar")
        page.goto(house.letter("u", "unsubscribe", "follower", "ar"))
        heading(page, AR["stop_title"])
        tabbed_to(page, AR["stop_button"])
        page.keyboard.press("Enter")
        heading(page, AR["stopped_title"])
        assert house.barred(who)

        page.get_by_role("link").click()
        heading(page, AR["prefs_gone_title"])
        tabbed_to(page, AR["prefs_again"])
        page.keyboard.press("Space")

        heading(page, AR["prefs_title"])
        assert not house.barred(who)
        assert seen.complaints == []


def test_other_letters_and_fewer_of_them(browser: Browser, house: House) -> None:
    """One topic less, one message a week, in Arabic: the page answers in Arabic and says what holds."""
    with screen(browser) as seen:
        page, who = seen.page, address("chooser", "en")
        page.goto(house.letter("p", "preferences", "chooser", "en"))
        page.get_by_label("Events & webinars").uncheck()
        page.get_by_label(EN["prefs_pace_7"]).check()
        page.get_by_label(EN["prefs_language"]).select_option("ar")
        page.get_by_role("button", name=EN["prefs_save"]).click()

        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        said = page.get_by_role("status").inner_text()
        assert AR["prefs_saved"] in said
        assert AR["prefs_pace_7"] in said
        assert "أخبار المنتج" in said
        assert house.lead(who).language == "ar"
        assert [row.every_days for row in house.rows(Preference, who)] == [7]
        assert [row.topic for row in house.rows(RefusedTopic, who)] == ["events"]


def test_a_form_filled_in_wrong_mended_and_gone_on_with(browser: Browser, house: House) -> None:
    """Keys alone: the mistake is said at its field, what was right stays, thanks, the next step, thanks."""
    with screen(browser, "ar") as seen:
        page, who = seen.page, "wanda@person.example"
        page.goto(f"{house.url}/f/start")
        tabbed_to(page, "email")
        page.keyboard.type("wanda at person")
        page.keyboard.press("Tab")
        page.keyboard.type("وندا")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(AR["mend"])
        wrong = page.locator("#email")
        expect(wrong).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#{wrong.get_attribute('aria-describedby')}")).to_have_text(AR["email_wrong"])
        expect(page.locator("#first_name")).to_have_value("وندا")

        tabbed_to(page, "email")
        page.keyboard.press("Control+A")
        page.keyboard.type(who)
        page.keyboard.press("Enter")
        heading(page, AR["thanks_title"])
        tabbed_to(page, "role")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.type("دراسة")
        page.keyboard.press("Enter")

        heading(page, AR["thanks_title"])
        expect(page.locator("select")).to_have_count(0)
        assert house.lead(who).fields == {"role": "student", "use_case": "دراسة"}
        assert [row.name for row in house.rows(Event, who)] == ["trial_requested", "trial_detailed"]
        assert seen.complaints == []


def test_a_second_yes(browser: Browser, house: House) -> None:
    """Nothing counts until the mailbox's owner has pressed the button."""
    with screen(browser) as seen:
        page, who = seen.page, "yes1.en@person.example"
        page.goto(house.confirmation("en", 1))
        heading(page, EN["confirm_title"])
        assert house.rows(Consent, who) == []
        page.get_by_role("button", name=EN["confirm_button"]).click()

        heading(page, EN["confirmed_title"])
        assert [row.confirmed_at is None for row in house.rows(Confirmation, who)] == [False]
        assert [row.purpose for row in house.rows(Consent, who)] == ["mail"]


def test_a_question_answered_and_answered_otherwise(browser: Browser, house: House) -> None:
    """The letter's link, the button, the other answer, the button."""
    with screen(browser) as seen:
        page, who = seen.page, address("answerer", "en")
        page.goto(house.letter("q", "question", "answerer", "en", 1))
        page.get_by_role("button").click()
        heading(page, EN["q_thanks"])
        assert house.lead(who).fields["intent"] == "studying"
        page.get_by_role("link", name="We look for a tool").click()
        assert house.lead(who).fields["intent"] == "studying"
        page.get_by_role("button").click()

        heading(page, EN["q_thanks"])
        assert house.lead(who).fields["intent"] == "buying"


def test_a_salesperson_gives_a_lead_back(browser: Browser, house: House) -> None:
    """From the page with everything, with the reason; the letter's own link then says that it was done."""
    with screen(browser) as seen:
        page, who = seen.page, "asks1.en@person.example"
        page.goto(house.handoff("en", PAGE, 1))
        page.get_by_role("radio", name=EN["premature"]).check()
        page.get_by_role("button", name=EN["h_give_back"]).click()
        expect(page.get_by_role("status")).to_contain_text(EN["premature"])

        (row,) = house.rows(Handoff, who)
        assert (row.state, row.reason, row.answered_by) == ("rejected", "premature", "mia@acorn.example")
        page.goto(house.handoff("en", next(iter(ANSWERS)), 1))
        expect(page.get_by_role("status")).to_contain_text(EN["h_was_rejected"])
        expect(page.get_by_role("button")).to_have_count(0)

"""Every page that a person may see, on a phone and on a desktop, in English and in Arabic."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from nurture.engine.notices import ACCEPT, PAGE
from nurture.tokens import Purpose
from tests.web.browser.house import LANGUAGES, House
from tests.web.browser.screen import NARROWEST, SIZES, screen

pytestmark = pytest.mark.xdist_group("browser")
#: A folder for pictures of all pages; nothing: none are taken.
PICTURES = os.environ.get("PICTURES")
Way = Callable[[Page, House, str], object]


def letter(door: str, purpose: Purpose, reader: str = "reader", item: int = 0, step: str = "hello") -> Way:
    """Follow a letter's link."""
    return lambda page, house, language: page.goto(house.letter(door, purpose, reader, language, item, step))


def at(path: str) -> Way:
    """Go to an address of the public app."""
    return lambda page, house, language: page.goto(f"{house.url}{path.format(language=language)}")


def pressed(way: Way, button: str = "button") -> Way:
    """Go there and press a button."""

    def go(page: Page, house: House, language: str) -> None:
        way(page, house, language)
        page.locator(button).first.click()
        page.wait_for_load_state()

    return go


def filled(form: str, **said: str) -> Way:
    """Fill in a form and send it."""

    def go(page: Page, house: House, language: str) -> None:
        page.goto(f"{house.url}/f/{form}?lang={language}")
        for name, text in said.items():
            page.fill(f"#{name}", text)
        page.locator("main button").click()
        page.wait_for_load_state()

    return go


def too_often(page: Page, house: House, language: str) -> None:
    for _ in range(2):
        page.goto(f"{house.strict}/f/demo?lang={language}")
        page.fill("#email", "often@person.example")
        page.locator("main button").click()
        page.wait_for_load_state()


def confirmation(page: Page, house: House, language: str) -> None:
    page.goto(house.confirmation(language))


def mended(page: Page, house: House, language: str) -> None:
    """The preference centre with a day that is over."""
    page.goto(house.letter("p", "preferences", "reader", language))
    page.fill("#until", "2020-01-01")
    page.locator("main button").first.click()
    page.wait_for_load_state()


def handoff(item: int) -> Way:
    return lambda page, house, language: page.goto(house.handoff(language, item))


PAGES: dict[str, Way] = {
    "front": at("/"),
    "offer": letter("o", "offer", step="piece"),
    "unsubscribe": letter("u", "unsubscribe"),
    "unsubscribed": pressed(letter("u", "unsubscribe", "leaver")),
    "unsubscribed already": letter("u", "unsubscribe", "leaver"),
    "preferences": letter("p", "preferences"),
    "preferences kept": pressed(letter("p", "preferences", "done")),
    "preferences to mend": mended,
    "preferences of who left": letter("p", "preferences", "leaver"),
    "confirm": confirmation,
    "confirmed": pressed(confirmation),
    "question": letter("q", "question", item=1),
    "question answered": pressed(letter("q", "question", item=1, reader="done")),
    "form": at("/f/demo?lang={language}"),
    "form with errors": filled("guide", email="nobody"),
    "thanks": filled("guide", email="thanked@person.example", company="Büro"),
    "thanks with a next step": filled("start", email="further@person.example"),
    "embed": at("/f/guide/embed?lang={language}"),
    "hand-off": handoff(PAGE),
    "hand-off to accept": handoff(ACCEPT),
    "not found": at("/nothing"),
    "too often": too_often,
    "private index": lambda page, house, _: page.goto(house.private),
}
RIGHT_TO_LEFT = {"en": "ltr", "ar": "rtl"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_fit_for_everybody(browser: Browser, house: House, name: str, language: str) -> None:
    """axe-core finds nothing serious, a phone scrolls one way, language and direction are said, nothing is loaded."""
    with screen(browser, language) as seen:
        PAGES[name](seen.page, house, language)

        wrong = {}
        for size, pixels in SIZES.items():
            seen.page.set_viewport_size(pixels)
            wrong[size] = [*seen.axe(), *([f"{seen.too_wide} pixels too wide"] if seen.too_wide > 0 else [])]
            if PICTURES:
                seen.page.screenshot(
                    path=Path(PICTURES) / f"{name}.{language}.{size}.png".replace(" ", "-"), full_page=True
                )
        seen.page.set_viewport_size(NARROWEST)
        html = seen.page.locator("html")

        assert wrong == {"phone": [], "desktop": []}
        assert seen.too_wide <= 0
        assert (html.get_attribute("lang"), html.get_attribute("dir")) == (language, RIGHT_TO_LEFT[language])
        assert seen.complaints == []
        assert {kind for kind, _ in seen.loaded} == {"document"}
        assert all(url.startswith(("http://127.0.0.1:",)) for _, url in seen.loaded)


@pytest.mark.parametrize("name", ["preferences to mend", "form with errors", "hand-off", "question"])
def test_in_the_dark_everything_can_be_read(browser: Browser, house: House, name: str) -> None:
    """Contrast of the dark colours."""
    with screen(browser, color_scheme="dark") as seen:
        PAGES[name](seen.page, house, "en")

        assert seen.axe(runOnly=["color-contrast"]) == []


def test_what_is_wrong_is_found(browser: Browser) -> None:
    """The measure itself: a field without a name, pale letters, and a page too wide."""
    with screen(browser) as seen:
        seen.page.set_content("<p style='color:#ccc;width:600px'>Pale</p><input type=text>")

        assert {line.partition(":")[0] for line in seen.axe()} >= {"label", "color-contrast", "html-has-lang"}
        assert seen.too_wide > 0

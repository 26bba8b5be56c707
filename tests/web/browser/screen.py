"""What a page may not do in a browser, and axe-core's opinion of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
#: A page twice as large on a small phone scrolls one way still (WCAG 2.2, 1.4.10).
NARROWEST: ViewportSize = {"width": 320, "height": 640}
#: Milliseconds for which a page is waited for: a busy machine may take many seconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
SIZES = {"phone": PHONE, "desktop": DESKTOP}
#: Chromium without a screen says so in its own, and would be taken for the machine that it is.
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
LOCALES = {"en": "en-GB", "ar": "ar-EG"}
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
_RUN = """options => axe.run(document, {resultTypes: ["violations"], preload: false, ...options}).then(found =>
  found.violations.filter(one => ["serious", "critical"].includes(one.impact)).map(one =>
    `${one.id}: ${one.nodes.map(node => node.html.slice(0, 160)).join(" | ")}`))"""


@dataclass
class Screen:
    """A page in a browser of its own, and what it loaded and complained of."""

    page: Page
    loaded: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """Whatever a console shows in red, but that a page which says so was not found."""
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded"):
            self.complaints.append(message.text)

    def asked(self, request: Request) -> None:
        self.loaded.append((request.resource_type, request.url))

    def axe(self, **options: Any) -> list[str]:
        """What is serious or critical."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        found: list[str] = self.page.evaluate(_RUN, options)
        return found

    @property
    def too_wide(self) -> int:
        """Pixels by which the page is wider than the screen."""
        measured = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(measured))


@contextmanager
def screen(browser: Browser, language: str = "en", size: str = "phone", **more: Any) -> Iterator[Screen]:
    """Somebody's browser, new, speaking `language`."""
    context = browser.new_context(viewport=SIZES[size], locale=LOCALES[language], user_agent=AGENT, **more)
    context.set_default_timeout(PATIENCE)
    seen = Screen(context.new_page())
    seen.page.on("console", seen.heard)
    seen.page.on("pageerror", lambda problem: seen.complaints.append(str(problem)))
    seen.page.on("request", seen.asked)
    try:
        yield seen
    finally:
        context.close()

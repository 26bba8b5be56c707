"""A browser for the simulated audience: it fetches pages, and fills in the forms that it finds on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_ACCEPT = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


class NotServed(Exception):
    """A page that should be there is not: a dead link in a message, or a fault of the public app."""


@dataclass
class Form:
    """A form on a page: where it goes, what stands in it, and its boxes that can be ticked."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)

    def filled(self, answers: Mapping[str, str], tick: tuple[str, ...] = ()) -> dict[str, str]:
        """What would be sent: answers only to what is asked, and the boxes that are ticked."""
        given = {name: value for name, value in answers.items() if name in self.values and value}
        return {**self.values, **given, **{name: self.boxes[name] for name in tick if name in self.boxes}}


class Browser:
    """One connection to the public app. Raises NotServed for an answer that a person could not use."""

    def __init__(self) -> None:
        self._http = httpx.Client(headers={"user-agent": _AGENT, "accept": _ACCEPT}, timeout=30)

    def follow(self, url: str) -> str | None:
        """Open a link; where it leads on to, if it does."""
        response = self._checked(self._http.get(url))
        return response.headers.get("location") if response.is_redirect else None

    def forms(self, url: str) -> list[Form]:
        """The forms of a page."""
        response = self._checked(self._http.get(url))
        reader = _Forms(url)
        reader.feed(response.text)
        return reader.found

    def send(self, form: Form, said: Mapping[str, str]) -> None:
        """Press the form's button."""
        self.post(form.action, said)

    def post(self, url: str, said: Mapping[str, str]) -> None:
        """Send a form, or the one click of a mail program."""
        self._checked(self._http.post(url, data=dict(said)))

    def close(self) -> None:
        self._http.close()

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_error:
            raise NotServed(f"{response.request.method} {response.request.url} was answered {response.status_code}")
        return response


class _Forms(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.found: list[Form] = []
        self._choosing = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(urljoin(self.page, said.get("action") or self.page)))
        elif not self.found:
            return
        elif tag == "input" and said.get("type") == "checkbox":
            self.found[-1].boxes[said["name"]] = said.get("value") or "on"
        elif tag == "input" and "name" in said:
            self.found[-1].values[said["name"]] = said.get("value", "")
        elif tag == "select":
            self._choosing = said["name"]
            self.found[-1].values[self._choosing] = ""
        elif tag == "option" and self._choosing and "selected" in said:
            self.found[-1].values[self._choosing] = said.get("value", "")

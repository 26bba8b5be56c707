"""What holds at every door: headers, limits, plain words for whatever goes wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from nurture.engine.machine import Machine
from nurture.errors import DatabaseGone
from nurture.web.pages import direction
from nurture.web.words import WORDS, spoken, wished
from tests.web.factories import (
    FORM,
    Visitor,
    answers_in,
    everything,
    handed_over,
    letter_to,
    links_in,
    opened,
)

KEPT_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
}


def doors(machine: Machine, visit: Visitor) -> Iterator[tuple[str, str]]:
    """(method, address) of every kind of answer that there is."""
    letters = [letter_to(machine, "rae@acme.example", step) for step in ("hello", "piece")]
    ours = [link for letter in letters for link in links_in(letter) if link.startswith("/")]
    ours += answers_in(handed_over(machine, visit)).values()
    for link in [*ours, "/", "/health", "/f/demo", "/f/demo/thanks", "/nothing", "/u/x", "/c/x", "/f/none"]:
        yield from (("GET", link), ("HEAD", link), ("DELETE", link))
    yield from (("POST", link) for link in ours if link.startswith(("/u/", "/h/")))
    yield from (("POST", "/f/demo"), ("POST", "/"), ("GET", f"/{'x' * 3000}"))


def test_every_answer_carries_the_houses_headers(machine: Machine, visit: Visitor) -> None:
    """Nothing loads, nothing frames us, nothing is kept, no address goes along, no cookie is set."""
    for method, link in doors(machine, visit):
        answer = visit(method, link)

        assert answer.status_code < 500, (method, link)
        assert KEPT_EVERYWHERE.items() <= answer.headers.items(), (method, link)
        policy = answer.headers["content-security-policy"]
        for part in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert "set-cookie" not in answer.headers


def test_pages_run_nothing_and_load_nothing(machine: Machine, visit: Visitor) -> None:
    """No script, no picture, no attribute of style, and the one stylesheet is the one the policy names."""
    for method, link in doors(machine, visit):
        page = visit(method, link).text

        assert not re.search(r"<script|<img|<link|\sstyle=|\son\w+=|javascript:", page), (method, link)


STATUSES = {
    "no such page": ("GET", "/nothing", 404),
    "no such page, sent to": ("POST", "/nothing", 404),
    "a slash too much": ("GET", "/f/demo/", 404),
    "an unsubscribe link with a slash": ("POST", "/u/x/", 404),
    "no such form": ("GET", "/f/none", 404),
    "deleting": ("DELETE", "/", 405),
    "sending to the front page": ("POST", "/", 405),
    "putting a form": ("PUT", "/f/demo", 405),
    "asking for options": ("OPTIONS", "/f/demo", 405),
    "documentation": ("GET", "/docs", 404),
    "a schema": ("GET", "/openapi.json", 404),
    "metrics": ("GET", "/metrics", 404),
    "a way out of the folder": ("GET", "/../../etc/passwd", 404),
    "a long address": ("GET", f"/f/{'x' * 2100}", 414),
    "a long query": ("GET", f"/f/demo?t={'x' * 2100}", 414),
    "the front page": ("GET", "/", 200),
    "health": ("GET", "/health", 200),
    "a form": ("GET", "/f/demo", 200),
    "a form with something behind it": ("GET", "/f/demo?utm_source=x&t=y&lang=zz", 200),
}


@pytest.mark.parametrize(("method", "path", "status"), STATUSES.values(), ids=STATUSES.keys())
def test_statuses(machine: Machine, visit: Visitor, method: str, path: str, status: int) -> None:
    """Each as it should be, by browser and by script, and nothing changes."""
    before = everything(machine)

    page = visit(method, path)
    told = visit(method, path, headers={"accept": "application/json"})

    assert (page.status_code, told.status_code) == (status, status)
    if status >= 400:
        assert list(told.json()) == ["detail"]
        assert "Traceback" not in page.text + told.text
    assert everything(machine) == before


def test_headers_beyond_16_kib_are_refused(visit: Visitor) -> None:
    """431, before anything looks at them."""
    assert visit.get("/", headers={"x-large": "x" * 17_000}).status_code == 431


def test_a_body_beyond_64_kib_is_refused_at_every_door(machine: Machine, visit: Visitor) -> None:
    """413, and neither the lead is unsubscribed nor the hand-off answered."""
    way = next(link for link in links_in(letter_to(machine, "rae@acme.example")) if link.startswith("/u/"))
    take = answers_in(handed_over(machine, visit))["accept"]
    before = everything(machine)

    answers = [visit.post(link, headers=FORM, content=b"x" * 70_000) for link in (way, take, "/f/demo")]

    assert [answer.status_code for answer in answers] == [413, 413, 413]
    assert everything(machine) == before


def test_a_forwarded_address_is_not_believed(machine: Machine) -> None:
    """Whoever writes another address into a header is still the one who connects."""
    visit = Visitor(machine, forms_per_minute=1)
    first = visit.post("/f/demo", data={"email": "a@b.example"}, headers={"x-forwarded-for": "198.51.100.1"})
    second = visit.post("/f/demo", data={"email": "a@b.example"}, headers={"x-forwarded-for": "198.51.100.2"})

    assert (first.status_code, second.status_code) == (303, 429)


@pytest.mark.parametrize("path", ["/", "/f/demo", "/f/demo/thanks"])
def test_before_the_first_publication(database_url: str, path: str) -> None:
    """503 in plain words, and when to come again; health is well."""
    with opened(database_url, files=None) as machine:
        visit = Visitor(machine)

        answer = visit.get(path)

        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "Nothing has been published here so far" in answer.text
        assert visit.get("/health").json() == {"ok": True}
        token = machine.keys.seal("unsubscribe", 1)
        assert visit.post(f"/u/{token}").status_code == 404


def test_a_database_that_is_gone(machine: Machine, visit: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, so that a provider tries its unsubscribe again; no word about hosts or drivers."""

    def gone(*_: object, **__: object) -> None:
        raise DatabaseGone("postgresql://db.internal: the database does not answer")

    way = next(link for link in links_in(letter_to(machine, "rae@acme.example")) if link.startswith("/u/"))
    monkeypatch.setattr(machine.db, "read", gone)

    answers = [visit.post(way), visit.get("/health"), visit.get("/f/demo")]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert "internal" not in "".join(answer.text for answer in answers)


def test_a_click_leads_on_while_the_database_takes_no_writes(
    machine: Machine, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader gets the page; the count is what suffers."""

    def locked(*_: object, **__: object) -> None:
        raise DatabaseGone("locked")

    link = next(link for link in links_in(letter_to(machine, "rae@acme.example")) if link.startswith("/c/"))
    monkeypatch.setattr(machine.db, "transact", locked)

    assert visit.get(link).status_code == 302


def test_a_fault_of_ours_is_said_without_its_cause(
    machine: Machine, visit: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 with the house's headers; what it was is for the log."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(machine.db, "read", broken)
    monkeypatch.setattr(machine, "live", lambda: opened)  # not even the brand is known

    answer = visit.get("/f/demo", headers={"accept": "application/json"})

    assert answer.status_code == 500
    assert KEPT_EVERYWHERE.items() <= answer.headers.items()
    assert answer.json() == {"detail": "fault"}


def test_every_language_says_everything() -> None:
    """No page has a hole in one language, and every placeholder is there."""
    english = WORDS["en"]

    for words in WORDS.values():
        assert words.keys() == english.keys()
        for key, text in words.items():
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", english[key]), key


def test_an_unknown_page_is_not_found_in_the_visitors_language(visit: Visitor) -> None:
    """Who asks for Arabic is told so in Arabic."""
    page = visit.get("/nothing", headers={"accept": "text/html", "accept-language": "ar-EG,ar;q=0.9,en;q=0.5"})

    assert '<html lang="ar" dir="rtl">' in page.text


TAGS = {"ar-EG": "ar", "AR": "ar", "en_GB": "en", "de": "en", "": "en", None: "en"}


@pytest.mark.parametrize(("tag", "expected"), TAGS.items(), ids=map(str, TAGS))
def test_a_language_that_the_house_does_not_speak_is_english(tag: str | None, expected: str) -> None:
    """What the program says in its own files stays in its own language."""
    assert spoken(tag) == expected


def test_the_first_language_that_we_speak_is_taken() -> None:
    """A header of rubbish is none."""
    assert wished("fr-FR, ar;q=0.8, en;q=0.5") == "ar"
    assert wished(";;,,=") is None
    assert (direction("ar"), direction("fa"), direction("en"), direction("xx")) == (
        "rtl",
        "rtl",
        "ltr",
        "ltr",
    )

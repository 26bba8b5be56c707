"""The snippet, what pages tell with it, and who came by a letter's link."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from nurture.engine.machine import Machine
from nurture.program.website import Website
from nurture.records import Consent, Event, Objection, Touch, Visit
from nurture.records import Visitor as Browser
from nurture.web import origins
from nurture.web.website import passed_on
from tests.web.factories import (
    BROWSER,
    Visitor,
    events,
    everything,
    lead_called,
    letter_to,
    links_in,
    make_lead,
    opened,
    send,
)
from tests.web.sited import BROWSER_KEY, SITED, Page, key

RAE = "rae@acme.example"


@pytest.fixture(scope="module")
def sited(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, str]]:
    """A database in which Rae has her first letter, the key of its website, and the letter's links."""
    path = tmp_path_factory.mktemp("site") / "sited.db"
    shutil.copyfile(migrated_sqlite, path)
    with opened(f"sqlite:///{path}", files=SITED) as machine:
        make_lead(machine)
        make_lead(machine, "plain@acme.example", tracking="no")
        send(machine)
        letters = {who: letter_to(machine, who) for who in (RAE, "plain@acme.example")}
        return path, key(machine, "www", "site"), letters


@pytest.fixture
def machine(sited: Any, tmp_path: Path) -> Iterator[Machine]:
    url = f"sqlite:///{shutil.copyfile(sited[0], tmp_path / 'nurture.db')}"
    with opened(url, files=None, minutes=40) as made:
        yield made


@pytest.fixture
def page(sited: Any, visit: Visitor) -> Page:
    return Page(visit, sited[1])


def rows(machine: Machine, table: Any) -> list[Any]:
    with machine.db.read() as link:
        return list(link.execute(select(table.__table__).order_by(*table.__table__.primary_key)))


def followed(sited: Any, visit: Visitor, who: str = RAE) -> str:
    """Where the letter's first tracked link leads to."""
    link = next(link for link in links_in(sited[2][who]) if link.startswith("/c/"))
    return visit.get(link).headers["location"]


def token(sited: Any, visit: Visitor) -> str:
    return followed(sited, visit).partition("?nurture=")[2]


def test_the_snippet_is_small_plain_and_for_everybody(visit: Visitor) -> None:
    """At most 2 KiB, kept by caches, loadable by pages of any host, and nothing of it is made into code."""
    answer = visit.get("/nurture.js")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert len(answer.content) <= 2048
    assert "max-age" in answer.headers["cache-control"]
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert not any(word in answer.text for word in ("eval", "Function(", "innerHTML", "cookie", "document.write"))
    again = visit.get("/nurture.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_browser_may_ask_beforehand(visit: Visitor) -> None:
    """Any page, without cookies and without a secret."""
    answer = visit("OPTIONS", "/events", headers={"origin": "https://acorn.example"})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "authorization" not in answer.headers["access-control-allow-headers"].casefold()


def test_a_page_view_of_somebody_unknown(machine: Machine, page: Page) -> None:
    """It stays apart: no lead, no event."""
    answer = page.tells(data={"path": "/price", "title": "Price", "utm_source": "ads"})

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert answer.headers["access-control-allow-origin"] == "*"
    (seen,) = rows(machine, Visit)
    assert (seen.name, seen.source, seen.actor) == ("page_viewed", "www", "person")
    assert seen.data == {"path": "/price", "title": "Price", "utm_source": "ads"}
    assert events(machine, "page_viewed") == []


#: What is sent beside the page's own words, and how many visits are kept.
SENT: dict[str, tuple[dict[str, Any], int]] = {
    "a page view": ({"event": "page_viewed"}, 1),
    "how long it was looked at": ({"event": "page_left", "data": {"path": "/", "seconds": 12}}, 1),
    "what program.yaml allows": ({"event": "video_watched"}, 1),
    "what it does not": ({"event": "demo_requested"}, 0),
    "a goodbye": ({"event": "unsubscribed"}, 0),
    "a known lead's deed": ({"visitor": None, "email": RAE}, 0),
    "for two at once": ({"visitor": None, "lead": {"source": "test", "id": "1"}}, 0),
    "no visitor": ({"visitor": ""}, 0),
    "no key of ours as visitor": ({"visitor": "x" * 32}, 0),
    "from the future": ({"at": "2030-01-01T00:00:00Z"}, 0),
}


@pytest.mark.parametrize(("more", "kept"), SENT.values(), ids=SENT.keys())
def test_what_a_page_may_tell(machine: Machine, page: Page, more: dict[str, Any], kept: int) -> None:
    """The answer is the same whatever becomes of it."""
    one = {"event": "page_viewed", "visitor": BROWSER_KEY, **more}
    answer = page.visit.post(f"/events?key={page.key}", content=json.dumps([one]))

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert (len(rows(machine, Visit)), len(events(machine, one["event"]))) == (kept, 0)


def test_a_browser_speaks_for_itself_alone(machine: Machine, page: Page) -> None:
    """Visits of two browsers in one request are nobody's."""
    both = [{"event": "page_viewed", "visitor": browser * 32} for browser in "ab"]

    assert page.visit.post(f"/events?key={page.key}", content=json.dumps(both)).status_code == 202
    assert rows(machine, Visit) == []


def test_a_letters_link_takes_along_who_followed_it(machine: Machine, visit: Visitor, sited: Any) -> None:
    """To a page of ours, of a letter that is tracked; everywhere else the address is the letter's own."""
    places = [link for link in links_in(sited[2][RAE]) if link.startswith("/c/")]
    tour, price = (visit.get(link).headers["location"] for link in places)

    assert tour == f"https://acorn.example/tour?nurture={places[0].removeprefix('/c/')}"
    assert price == f"https://acorn.example/price?from=mail&x=1&nurture={places[1].removeprefix('/c/')}"
    assert "https://acorn.example/tour" in links_in(sited[2]["plain@acme.example"])


PASSED = {
    "https://acorn.example/": "https://acorn.example/?nurture=T",
    "https://Acorn.example": "https://Acorn.example?nurture=T",
    "https://acorn.example/a?b=1#c": "https://acorn.example/a?b=1&nurture=T#c",
    "https://acorn.example/a?": "https://acorn.example/a?nurture=T",
    "https://www.acorn.example/": "https://www.acorn.example/",
    "https://acorn.example:8443/": "https://acorn.example:8443/",
    "https://acorn.example@evil.example/": "https://acorn.example@evil.example/",
    "https://evil.example/acorn.example": "https://evil.example/acorn.example",
}


@pytest.mark.parametrize(("target", "expected"), PASSED.items())
def test_only_pages_of_ours_are_told(target: str, expected: str) -> None:
    """By the host that program.yaml names, to the letter; behind the question, before the fragment."""
    assert passed_on(target, Website(hosts=["acorn.example"]), "T") == expected


def test_who_came_by_a_letter_is_known(machine: Machine, page: Page, sited: Any) -> None:
    """What the browser did before is the lead's, what it does after at once, and it is scored."""
    page.tells(data={"path": "/before"})
    page.tells(data={"path": "/tour"}, token=token(sited, page.visit))
    page.tells(data={"path": "/after"})

    seen = events(machine, "page_viewed")
    assert [(row.data["path"], row.lead_id) for row in seen] == [
        (path, lead_called(machine, RAE).id) for path in ("/before", "/tour", "/after")
    ]
    assert all(row.settled_at is not None for row in seen)
    assert rows(machine, Visit) == []


def a_machine(machine: Machine, page: Page, told: str) -> None:
    page.tells(token=told, headers={"user-agent": "Googlebot/2.1"})


def a_month_later(machine: Machine, page: Page, told: str) -> None:
    long_ago = update(Touch).values(sending_at=machine.now().replace(month=1))
    machine.db.transact(lambda link: link.execute(long_ago))
    page.tells(token=told)


def with_another_token(machine: Machine, page: Page, told: str) -> None:
    page.tells(token=machine.keys.seal("unsubscribe", 1))
    page.tells(token=told[:-1] + ("A" if told[-1] != "A" else "B"))
    page.tells(token=7)


def after_a_no(machine: Machine, page: Page, told: str) -> None:
    machine.db.transact(lambda link: link.execute(update(Consent).values(withdrawn_at=machine.now())))
    page.tells(token=told)


@pytest.mark.parametrize("how", [a_machine, a_month_later, with_another_token, after_a_no])
def test_who_is_not_believed_to_be_the_letters_reader(machine: Machine, page: Page, sited: Any, how: Any) -> None:
    """The visit is kept as a stranger's."""
    how(machine, page, token(sited, page.visit))

    assert [browser.lead_id for browser in rows(machine, Browser)] == [None]
    assert events(machine, "page_viewed") == []


def test_a_machine_is_told_apart(machine: Machine, page: Page) -> None:
    """As at every door, by its User-Agent; its visits score nobody."""
    page.tells(headers={"user-agent": "python-requests/2.32"})
    page.tells(headers={"user-agent": BROWSER})

    assert [(row.actor, row.classed_by) for row in rows(machine, Visit)] == [
        ("machine", "User-Agent of a crawler"),
        ("person", None),
    ]


@pytest.mark.parametrize("how", [{"headers": {"sec-gpc": "1"}}, {"gpc": True}], ids=["header", "script"])
def test_a_browser_that_objects_to_the_sale_of_its_data(
    machine: Machine, page: Page, sited: Any, how: dict[str, Any]
) -> None:
    """Its lead objects to sharing; visits go on."""
    page.tells(token=token(sited, page.visit))
    assert rows(machine, Objection) == []
    page.tells(**how)

    assert [(row.kind, row.source) for row in rows(machine, Objection)] == [("sharing", "Sec-GPC")]
    assert len(events(machine, "page_viewed")) == 2


def test_a_visit_that_is_told_twice_counts_once(machine: Machine, page: Page, sited: Any) -> None:
    """Before and after it is known whose it is."""
    for told in (None, None, token(sited, page.visit), None):
        page.tells(id="one", token=told)

    assert len(events(machine, "page_viewed")) == 1


def test_too_many_from_one_network(machine: Machine, sited: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 and when to come again; others are not concerned."""
    monkeypatch.setattr(origins, "BY_VISITOR", 2)
    page = Page(Visitor(machine), sited[1])
    answers = [page.tells() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert len(rows(machine, Visit)) == 2


def test_nothing_is_kept_of_a_refused_request(machine: Machine, page: Page) -> None:
    """Too large, no key, no JSON, no facts: each with its status, in this order."""
    before = everything(machine)
    large, junk = "x" * 65_537, "{"
    asked = {
        413: page.visit.post(f"/events?key={page.key}", content=large),
        401: page.visit.post("/events?key=nk_none", content=junk),
        422: page.visit.post(f"/events?key={page.key}", content=junk),
        403: page.visit.post("/leads", headers={"authorization": f"Bearer {page.key}"}, content=junk),
    }

    larger = page.visit.post("/events", headers={"authorization": f"Bearer {page.key}"}, content=large)
    assert larger.status_code == 413
    assert {status: answer.status_code for status, answer in asked.items()} == {status: status for status in asked}
    assert everything(machine) == before


def test_events_of_pages_are_settled_as_they_come(machine: Machine, page: Page, sited: Any) -> None:
    """No work is left behind for a tick."""
    page.tells(token=token(sited, page.visit))
    page.tells()

    assert all(row.settled_at for row in rows(machine, Event) if row.name == "page_viewed")

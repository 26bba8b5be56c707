"""/c and /o: where a letter's links lead, and who is counted."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlmodel import col

from nurture.channels.recording import RecordingChannel
from nurture.engine.machine import Machine
from nurture.records import Lead
from nurture.web.letters import followable
from tests.web.factories import (
    BROWSER,
    FILES,
    Visitor,
    events,
    everything,
    later,
    letter_to,
    links_in,
    make_lead,
    opened,
    put_live,
    send,
    touch_of,
)

RAE, NOURA = "rae@acme.example", "noura@acme.example"
TOUR, PRICE = "https://acorn.example/tour", "https://acorn.example/price?from=mail&x=1"


def clicks(machine: Machine, address: str = RAE) -> list[str]:
    """The tracked links of the first letter."""
    return [link for link in links_in(letter_to(machine, address)) if link.startswith("/c/")]


def offered(machine: Machine, address: str = RAE) -> str:
    """The offer's link of the second letter."""
    return next(link for link in links_in(letter_to(machine, address, "piece")) if link.startswith("/o/"))


def test_every_link_of_a_letter_leads_somewhere(machine: Machine, visit: Visitor) -> None:
    """No link in any letter is dead."""
    assert isinstance(machine.email, RecordingChannel)
    for address in (RAE, NOURA):
        for step in ("hello", "piece"):
            for link in links_in(letter_to(machine, address, step)):
                assert visit.get(link).status_code in (200, 302), link


def test_a_link_leads_to_what_the_letter_said(machine: Machine, visit: Visitor) -> None:
    """302 to the address in the published file, and nothing of ours goes along."""
    tour, price = (visit.get(link) for link in clicks(machine))

    assert (tour.status_code, tour.headers["location"]) == (302, TOUR)
    assert (price.status_code, price.headers["location"]) == (302, PRICE)
    assert tour.headers["referrer-policy"] == "no-referrer"


def test_a_query_is_ignored(machine: Machine, visit: Visitor) -> None:
    """Nobody can bend a redirect by writing behind it."""
    answer = visit.get(f"{clicks(machine)[0]}?url=https://evil.example&next=//evil.example")

    assert answer.headers["location"] == TOUR


def test_the_language_variant_has_its_own_links(machine: Machine, visit: Visitor) -> None:
    """Noura's first link is not Rae's."""
    answer = visit.get(clicks(machine, NOURA)[0])

    assert answer.headers["location"] == "https://acorn.example/ar/%D8%AC%D9%88%D9%84%D8%A9"


def test_an_edit_does_not_move_the_links_of_letters_that_are_out(machine: Machine, visit: Visitor) -> None:
    """A newer version has another link in front; the old letter's links lead where they led."""
    old = clicks(machine)
    later(machine)
    files = dict(FILES)
    files["readers/hello.j2"] = files["readers/hello.j2"].replace(
        '<a href="https://acorn.example/tour">',
        '<a href="https://acorn.example/new">New</a> <a href="https://t.example/">',
    )
    files["_shared/letter.j2"] = files["_shared/letter.j2"].replace(
        "<body>", '<body><a href="https://acorn.example/top">Top</a>'
    )
    put_live(machine, files)

    assert [visit.get(link).headers["location"] for link in old] == [TOUR, PRICE]


VISITORS = {
    "a person": ({"user-agent": BROWSER}, "person", None),
    "a crawler": ({"user-agent": "Barracuda Sentinel (EE)"}, "machine", "User-Agent of a crawler"),
    "a library": ({"user-agent": "python-requests/2.32"}, "machine", "User-Agent of a crawler"),
    "nobody in particular": ({"user-agent": ""}, "machine", "no User-Agent"),
    "a prefetch": (
        {"user-agent": BROWSER, "sec-purpose": "prefetch;prerender"},
        "machine",
        "fetched ahead of a click",
    ),
}


@pytest.mark.parametrize(("headers", "actor", "why"), VISITORS.values(), ids=VISITORS.keys())
def test_who_clicked(machine: Machine, visit: Visitor, headers: dict[str, str], actor: str, why: str | None) -> None:
    """A click is recorded with its class, rests, and is counted for a person only."""
    visit.get(clicks(machine)[1], headers=headers)

    (event,) = events(machine, "email_clicked")
    assert (event.actor, event.classed_by, event.touch_id) == (actor, why, touch_of(machine, RAE).id)
    assert event.ripe_at - event.occurred_at == machine.click_rest


def test_two_links_within_seconds_are_a_scanners(machine: Machine, visit: Visitor) -> None:
    """The second link unmasks the first."""
    for link in clicks(machine):
        visit.get(link)

    assert [event.actor for event in events(machine, "email_clicked")] == ["machine", "machine"]


def test_a_head_is_answered_and_not_recorded(machine: Machine, visit: Visitor) -> None:
    """HEAD never counts, at any door."""
    before = everything(machine)
    links = [*clicks(machine), offered(machine), "/", "/health", "/f/demo", "/f/demo/thanks"]
    form = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/f/"))

    statuses = [visit("HEAD", link).status_code for link in [*links, form]]

    assert statuses == [302, 302, 200, 200, 200, 200, 200, 200]
    assert everything(machine) == before


def test_the_offer_is_shown_in_its_language_and_counted(machine: Machine, visit: Visitor) -> None:
    """Title, summary, and one large link to the piece."""
    english, arabic = visit.get(offered(machine)), visit.get(offered(machine, NOURA))

    assert "https://acorn.example/guide" in links_in(english.text)
    assert '<html lang="ar" dir="rtl">' in arabic.text
    assert "الدليل" in arabic.text
    seen = events(machine, "offer_viewed")
    assert [(event.actor, event.data["offer"]) for event in seen] == [
        ("person", "guide"),
        ("person", "guide-ar"),
    ]


def test_an_offer_taken_off_the_library_is_still_there_for_who_got_it(machine: Machine, visit: Visitor) -> None:
    """The page is made from the version of then."""
    later(machine)
    put_live(machine, {**FILES, "offers.yaml": "offers: []\n"})

    assert visit.get(offered(machine)).status_code == 200


def test_without_a_tracking_consent_nothing_is_recorded(database_url: str) -> None:
    """Their links are plain, and the offer's page keeps quiet about them."""
    with opened(database_url) as machine:
        make_lead(machine, tracking="no")
        send(machine)
        send(machine)
        visit, before = Visitor(machine), everything(machine)

        assert clicks(machine) == []
        assert TOUR in links_in(letter_to(machine, RAE))
        assert visit.get(offered(machine)).status_code == 200
        assert everything(machine) == before


TARGETS = {
    "https://acorn.example/a": True,
    "http://acorn.example": True,
    "javascript:alert(1)": False,
    "data:text/html,x": False,
    "//acorn.example/x": False,
    "https:///x": False,
    "mailto:a@b.example": False,
    "https://a.example/\r\nSet-Cookie: x=1": False,
    "https://[broken/": False,
}


@pytest.mark.parametrize(("url", "expected"), TARGETS.items(), ids=TARGETS.keys())
def test_only_the_web_is_followed(url: str, expected: bool) -> None:
    """Whatever stands in a file, a visitor is sent to http and https alone."""
    assert followable(url) is expected


def test_a_language_that_changes_later_moves_no_link(machine: Machine, visit: Visitor) -> None:
    """What was sent in Arabic stays Arabic."""
    old = [visit.get(link).headers["location"] for link in clicks(machine, NOURA)]
    machine.db.transact(lambda link: link.execute(update(Lead).where(col(Lead.email) == NOURA).values(language="en")))

    assert [visit.get(link).headers["location"] for link in clicks(machine, NOURA)] == old
    assert "الدليل" in visit.get(offered(machine, NOURA)).text

"""Visitors: what a browser did becomes its lead's, whatever came first, and nobody is followed who did not agree."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, update
from sqlmodel import col

from nurture.engine import consents, visitors
from nurture.engine.visitors import Seen
from nurture.records import Consent, Event, Objection, Visit, Visitor, Work
from tests.engine.conftest import Make
from tests.engine.world import HOUR, World, new_database, program, sequence, world

BROWSER = "ab" * 16
_serial = itertools.count(1)


def files(consent: str = "required") -> dict[str, str]:
    made = program(s=sequence("  - {id: hi, email: hi.j2}\n  - {id: done, exit: completed}"))
    return made | {"program.yaml": made["program.yaml"] + f"website: {{consent: {consent}}}\n"}


def stitch(here: World, who: str, browser: str = BROWSER) -> int:
    live = here.machine.library.live
    number: int = here.do(lambda link: visitors.stitch(link, live(link), browser, here.ids[who], here.now))
    return number


def visit(here: World, *keys: str, browser: str = BROWSER, **more: Any) -> visitors.Taken:
    """The browser looks at a page for each of `keys`, now."""
    seen = [Seen(browser, "page_viewed", here.now, {"path": f"/{key}"}, "www", key) for key in keys]
    live = here.machine.library.live
    taken: visitors.Taken = here.do(lambda link: visitors.take(link, live(link), seen, here.now, **more))
    return taken


def log(here: World, who: str) -> list[tuple[str, int]]:
    """(key, hours after the start) of each page that the lead looked at, in order of arrival."""
    rows = here.rows(Event, col(Event.lead_id) == here.ids[who], col(Event.source) == "www")
    return [(row.key, int((row.occurred_at - here.start) / HOUR)) for row in rows]


def test_what_a_browser_did_becomes_its_leads(make: Make) -> None:
    """With the instants of then, recorded and ripe now; what it does later is the lead's at once."""
    here = make(files())
    here.lead("ana")
    assert visit(here, "a", "b").leads == []
    assert here.rows(Event) == []

    here.at(3 * HOUR)
    assert stitch(here, "ana") == 2
    here.at(5 * HOUR)
    assert visit(here, "b", "c").leads == [here.ids["ana"]]

    assert log(here, "ana") == [("a", 0), ("b", 0), ("c", 5)]
    first = here.rows(Event)[0]
    assert (first.recorded_at, first.ripe_at) == (here.start + 3 * HOUR, here.start + 3 * HOUR)
    assert first.data == {"path": "/a"}
    assert here.rows(Visit) == []
    (browser,) = here.rows(Visitor)
    assert (browser.first_seen_at, browser.last_seen_at) == (here.start, here.start + 5 * HOUR)


def test_a_browser_that_two_people_use(make: Make) -> None:
    """Each keeps what was theirs when it was told whose it is; nobody is merged."""
    here = make(files())
    here.lead("ana")
    here.lead("bo")
    visit(here, "a")
    stitch(here, "ana")
    visit(here, "b")
    stitch(here, "bo")
    visit(here, "c", "a")

    assert [key for key, _ in log(here, "ana")] == ["a", "b"]
    assert [key for key, _ in log(here, "bo")] == ["c"]


def test_a_browser_of_somebody_who_did_not_agree_is_nobodys(make: Make) -> None:
    """It was Ana's; Bo, who agreed to nothing, is told apart from her and not followed."""
    here = make(files())
    here.lead("ana")
    here.lead("bo", tracking="no")
    stitch(here, "ana")

    assert stitch(here, "bo") == 0
    visit(here, "a")

    assert (log(here, "ana"), log(here, "bo")) == ([], [])
    assert [row.lead_id for row in here.rows(Visitor)] == [None]
    assert len(here.rows(Visit)) == 1


def withdraw(here: World, who: str) -> None:
    tracking = (col(Consent.lead_id) == here.ids[who]) & (col(Consent.purpose) == "tracking")
    here.do(lambda link: link.execute(update(Consent).where(tracking).values(withdrawn_at=here.now)))


def object_to(here: World, who: str) -> None:
    live = here.machine.library.live
    here.do(lambda link: consents.object_to(link, live(link), here.ids[who], "profiling", here.now, "test"))


#: What program.yaml asks for, what the lead said of tracking, what it does later, how many of two visits are kept.
FOLLOWED: dict[str, tuple[str, str | None, Any, int]] = {
    "agreed": ("required", "consent", None, 2),
    "said nothing": ("required", None, None, 0),
    "withdrew": ("required", "consent", withdraw, 0),
    "objected": ("required", "consent", object_to, 0),
    "said nothing, and need not": ("implied", None, None, 2),
    "withdrew what it need not give": ("implied", "consent", withdraw, 0),
    "objected, where it need not agree": ("implied", None, object_to, 0),
}


def test_who_is_followed(make: Make) -> None:
    """By what program.yaml asks; whoever takes it back leaves nothing from then on."""
    here, found = make(), {}
    for asked in ("required", "implied"):
        here.publish(files(asked))
        for name, (when, tracking, then, _) in FOLLOWED.items():
            if when != asked:
                continue
            browser = f"{next(_serial):032x}"
            here.lead(name, email=f"lead{next(_serial)}@lead.example", tracking=tracking)
            if then is None:
                visit(here, f"{name} 1", browser=browser)
            stitch(here, name, browser)
            if then is not None:
                then(here, name)
                visit(here, f"{name} 1", browser=browser)
            visit(here, f"{name} 2", browser=browser)
            found[name] = len(log(here, name))

    assert found == {name: kept for name, (*_, kept) in FOLLOWED.items()}


@pytest.mark.parametrize("first", ["visit", "stitch"])
def test_a_browser_that_says_no_to_the_sale_of_its_data(make: Make, first: str) -> None:
    """Global Privacy Control is an objection to sharing, as soon as it is known whose it is."""
    here = make(files())
    here.lead("ana")
    steps: dict[str, Callable[[], Any]] = {
        "visit": lambda: visit(here, "a", opted_out=True),
        "stitch": lambda: stitch(here, "ana"),
    }
    steps.pop(first)()
    assert here.rows(Objection) == []
    for step in steps.values():
        step()

    assert [(row.lead_id, row.kind, row.source) for row in here.rows(Objection)] == [
        (here.ids["ana"], "sharing", "Sec-GPC")
    ]


def test_sec_gpc_is_heeded_of_a_lead_that_is_not_followed(make: Make) -> None:
    """To object is no tracking: the browser stays nobody's, and the audiences are closed."""
    here = make(files())
    here.lead("ana", tracking="no")
    visit(here, "a", opted_out=True)
    assert stitch(here, "ana") == 0

    assert [(row.lead_id, row.kind) for row in here.rows(Objection)] == [(here.ids["ana"], "sharing")]
    assert [row.lead_id for row in here.rows(Visitor)] == [None]


def test_two_tell_at_the_same_time(make: Make) -> None:
    """Visits arrive while a form says whose they are: none is lost, none is left behind."""
    here = make(files())
    here.lead("ana")
    start = threading.Barrier(4)

    def browse(name: str) -> None:
        start.wait()
        for number in range(5):
            visit(here, f"{name}{number}")

    def tell() -> None:
        start.wait()
        stitch(here, "ana")

    threads = [threading.Thread(target=browse, args=(name,)) for name in "abc"] + [threading.Thread(target=tell)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(key for key, _ in log(here, "ana")) == sorted(f"{name}{n}" for name in "abc" for n in range(5))
    assert here.rows(Visit) == []


def test_told_whose_it_is_between_two_looks(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was nobody's when the visits began to be written, and somebody's at the end: the lead is looked at."""
    here = make(files())
    here.lead("ana")
    stitch(here, "ana")
    here.tick()
    assert here.rows(Work) == []
    monkeypatch.setattr(visitors, "_owners", lambda *_: set())

    assert visit(here, "a").leads == [here.ids["ana"]]
    assert [row.lead_id for row in here.rows(Work)] == [here.ids["ana"]]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest) -> Any:
    """A world for many small stories, each with a lead and a browser of its own."""
    with world(new_database(request), files()) as made:
        yield made


def told_again(here: World, one: Seen, link: Connection) -> None:
    visitors.take(link, here.machine.library.live(link), [one], here.now)


@settings(max_examples=15)
@given(st.lists(st.one_of(st.integers(0, 5), st.just("stitch")), max_size=10))
def test_any_order_gives_the_same_log(shared: World, story: list[int | str]) -> None:
    """Visits, repetitions and being told whose they are, in any order: each visit once, with its own instant."""
    name, browser = f"lead{next(_serial)}", f"{next(_serial):032x}"
    shared.at(shared.now + timedelta(hours=1))
    shared.lead(name)
    instants = {number: shared.now - timedelta(minutes=number) for number in range(6)}
    for act in [*story, "stitch"]:
        if act == "stitch":
            stitch(shared, name, browser)
        else:
            one = Seen(browser, "page_viewed", instants[int(act)], {}, "www", f"{name}:{act}")
            shared.do(partial(told_again, shared, one))

    rows = shared.rows(Event, col(Event.lead_id) == shared.ids[name])
    told = {int(act) for act in story if act != "stitch"}
    assert sorted((row.key, row.occurred_at) for row in rows) == sorted((f"{name}:{n}", instants[n]) for n in told)

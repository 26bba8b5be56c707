"""What a lead chose holds for every marketing message, to the instant: topics, a pause, a pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import preferences
from nurture.engine.preferences import Wish
from nurture.reading.explain import explain
from nurture.records import Event, Preference, RefusedTopic, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, PROGRAM, World, program, sequence
from tests.engine.world import world as worlds

TOPICS = "topics: {product: Product news, events: {en: Events, ar: الفعاليات}}\n"
SEND = '{days: all, hours: "09:00-17:00"}'
#: A letter each: of the sequence's topic, of another, one that is awaited, a piece, a text.
STEPS = """\
  - {id: news, email: news.j2}
  - {id: fair, email: fair.j2, topic: events}
  - {id: receipt, email: receipt.j2, kind: operational}
  - {id: piece, offer: {stage: awareness}, topic: events}
  - {id: text, sms: text.j2, topic: events}
  - {id: over, exit: done}"""
PIECE = "offers: [{key: guide, title: A guide, stage: awareness, url: 'https://acme.example/guide'}]"


def files(steps: str = STEPS, caps: str = "", **more: str) -> dict[str, str]:
    """A program with topics, whose sequence is about `product`."""
    keys = {"topic": "product", "send": SEND} | more
    house = {"program.yaml": PROGRAM + TOPICS + caps, "offers.yaml": PIECE}
    made = program(house, drip=sequence(steps, **keys))
    texts = {name: "Acme: reply STOP to end." for name in made if name.endswith("text.j2")}
    return made | texts


def wish(world: World, name: str, **asked: Any) -> preferences.Chosen:
    """What a lead asks for by the page, now."""
    live = world.machine.live()
    asked = asked | ({"paused_until": MONDAY + asked["paused_until"]} if "paused_until" in asked else {})
    done: preferences.Chosen = world.do(
        lambda link: preferences.choose(link, live, world.ids[name], Wish(**asked), world.now)
    )
    return done


def sent(world: World, name: str) -> list[tuple[str, datetime]]:
    """(step, when) of what a lead got, in order."""
    mine = col(Touch.lead_id) == world.ids[name]
    rows = [(row.step, row.sending_at) for row in world.rows(Touch, mine) if row.state == "sent"]
    return sorted(rows, key=lambda pair: pair[1])


def test_a_refused_topic_is_passed_over_and_the_rest_goes_on(make: Make) -> None:
    """The sequence's topic, a step's own; offers and texts alike. What the lead awaits has no topic to refuse."""
    world = make(files())
    for name in ("all", "no-news", "no-events", "neither"):
        world.lead(name, phone="+40721123456", sms="consent")
        world.event(name, "signed_up")
    wish(world, "no-news", topics={"product": False})
    wish(world, "no-events", topics={"events": False, "product": True})
    wish(world, "neither", topics={"events": False, "product": False})
    world.run(3 * DAY)

    everything = ["news", "fair", "receipt", "piece", "text"]
    assert [step for step, _ in sent(world, "all")] == everything
    assert [step for step, _ in sent(world, "no-news")] == everything[1:]
    assert [step for step, _ in sent(world, "no-events")] == ["news", "receipt"]
    assert [step for step, _ in sent(world, "neither")] == ["receipt"]
    assert world.touch("neither", "news").reason == "topic"
    assert set(world.stands().values()) == {"done"}


def test_a_pause_puts_off_and_makes_nothing_late(make: Make) -> None:
    """To the instant at which it ends, weeks beyond `max_late`; a shut window then waits on; a receipt waits for none."""
    receipt = "  - {id: receipt, email: receipt.j2, kind: operational}"
    world = make(files(f"{receipt}\n  - {{id: rest, wait: 2 hours}}\n  - {{id: news, email: news.j2}}"))
    for name in ("free", "planned", "later", "night"):
        world.lead(name)
        world.event(name, "signed_up")
    wish(world, "planned", paused_until=40 * DAY)  # before the letter was planned
    world.run(1.5 * HOUR)
    wish(world, "later", paused_until=5 * DAY)
    wish(world, "night", paused_until=5 * DAY - 5 * HOUR)  # 05:00 in Bucharest
    world.at(2 * HOUR).tick()

    assert world.touch("planned", "news").reason == "pause"
    assert world.touch("planned", "news").next_at == MONDAY + 40 * DAY
    assert world.touch("later", "news").allowed_at == MONDAY + 5 * DAY
    world.run(45 * DAY)
    news = {name: [("receipt", MONDAY), ("news", MONDAY + after)] for name, after in {
        "free": 2 * HOUR, "planned": 40 * DAY, "later": 5 * DAY, "night": 5 * DAY - HOUR,
    }.items()}  # fmt: skip
    assert {name: sent(world, name) for name in world.ids} == news


def test_a_pause_that_ended_while_nobody_worked_is_not_held_against_the_letter(make: Make) -> None:
    """Planned long ago or not at all: lateness counts from the end of the pause, and from nothing before."""
    steps = "  - {id: rest, wait: 30 minutes}\n  - {id: news, email: news.j2}"
    world = make(files(steps, max_late="6 hours"), MONDAY - 2 * HOUR)  # eight in Bucharest
    for name in ("asleep", "waiting", "waiting-late", "unplanned", "unplanned-late"):
        world.lead(name)
    wish(world, "asleep", paused_until=10 * DAY)
    for name in ("asleep", "waiting", "waiting-late"):
        world.event(name, "signed_up")
    world.tick().at(HOUR * 2 / 3).tick()  # planned for nine o'clock, or for when the pause is over
    planned = {
        name: (world.touch(name, "news").reason, world.touch(name, "news").next_at) for name in ("asleep", "waiting")
    }
    assert planned == {"asleep": ("pause", MONDAY + 10 * DAY), "waiting": ("window", MONDAY - HOUR)}
    wish(world, "waiting", paused_until=10 * DAY)
    wish(world, "unplanned", paused_until=10 * DAY)
    for name in ("unplanned", "unplanned-late"):
        world.event(name, "signed_up", settle=True)
    world.at(MONDAY + 10 * DAY + 3 * HOUR).tick().tick()

    assert world.touches() == {
        "asleep": [("news", "sent", None)],
        "waiting": [("news", "sent", None)], "waiting-late": [("news", "expired", "late")],
        "unplanned": [("news", "sent", None)], "unplanned-late": [("news", "expired", "late")],
    }  # fmt: skip


PACES: dict[str, tuple[dict[str, str], int | None, list[timedelta]]] = {
    "none set": ({}, None, [timedelta(), timedelta(), timedelta()]),
    "one a week": ({}, 7, [timedelta(), 7 * DAY, 14 * DAY]),
    "one a month": ({}, 30, [timedelta(), 30 * DAY, 60 * DAY]),
    "the window is shut when a week is over": (
        {"send": '{days: [mon, wed], hours: "09:00-10:01"}'}, 6, [timedelta(), 7 * DAY - HOUR, 14 * DAY - HOUR],
    ),
    "the cap reaches further": ({"caps": "caps: {per_7_days: 1}\n"}, 2, [timedelta(), 7 * DAY, 14 * DAY]),
    "the pace reaches further": ({"caps": "caps: {per_day: 1}\n"}, 2, [timedelta(), 2 * DAY, 4 * DAY]),
    "what is over the cap is not sent": (
        {"caps": "caps: {per_day: 1}\n", "send": '{days: all, over_cap: skip}'}, 1, [timedelta()],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "every", "at"), PACES.values(), ids=PACES)
def test_a_pace_is_kept_to_the_instant(
    sqlite_url: str, keys: dict[str, str], every: int | None, at: list[timedelta]
) -> None:
    """So many days of 24 hours after the last marketing message, then cap and window; a receipt neither waits nor counts."""
    steps = "\n".join(f"  - {{id: s{n}, email: s{n}.j2}}" for n in range(3))
    receipt = "  - {id: receipt, email: receipt.j2, kind: operational}\n"
    with worlds(sqlite_url, files(f"{receipt}{steps}\n  - {{id: over, exit: done}}", **keys)) as world:
        world.lead("ana")
        if every is not None:
            wish(world, "ana", every_days=every)
        world.event("ana", "signed_up")
        if every is not None and len(at) > 1:  # put off once, to when it goes
            assert world.tick().touch("ana", "s1").next_at == MONDAY + at[1]
        world.run(70 * DAY)

        received = dict(sent(world, "ana"))
        assert received.pop("receipt") == MONDAY
        assert list(received.values()) == [MONDAY + after for after in at]
        reasons = {row.reason for row in world.rows(Touch) if row.state == "suppressed"}
        assert reasons == ({"cap"} if "skip" in keys.get("send", "") else set())


def test_a_pace_that_ends_beyond_the_openings_that_are_known(sqlite_url: str) -> None:
    """Openings are known for some weeks; what goes after them is looked at again as the pace ends, and not later."""
    steps = "  - {id: s0, email: s0.j2}\n  - {id: s1, email: s1.j2}"
    with worlds(sqlite_url, files(steps, send='{days: [mon], hours: "09:00-17:00"}')) as world:
        world.lead("ana")
        wish(world, "ana", every_days=90)
        world.event("ana", "signed_up")
        world.run(130 * DAY)

        # ninety days end on a Sunday, and the clocks of Bucharest went forward meanwhile
        assert sent(world, "ana") == [("s0", MONDAY), ("s1", MONDAY + 91 * DAY - 2 * HOUR)]


def test_a_pace_counts_over_all_sequences(make: Make) -> None:
    """A letter of another sequence is a letter."""
    other = sequence("  - {id: hello, email: hello.j2}", topic="events", when="{did: asked}")
    world = make(files("  - {id: news, email: news.j2}") | program({"program.yaml": PROGRAM + TOPICS}, ask=other))
    world.lead("ana")
    wish(world, "ana", every_days=30)
    world.event("ana", "asked")
    world.tick().at(DAY)
    world.event("ana", "signed_up")
    world.run(40 * DAY)

    assert sent(world, "ana") == [("hello", MONDAY), ("news", MONDAY + 30 * DAY)]


def test_another_choice_lets_go_what_waited_for_the_first(make: Make) -> None:
    """A pause is lifted, a pace loosened: the letter goes now and is not late, though a week has passed."""
    world = make(files("  - {id: news, email: news.j2}\n  - {id: more, email: more.j2}"))
    for name in ("paused", "paced", "longer"):
        world.lead(name)
    wish(world, "paused", paused_until=100 * DAY)
    wish(world, "longer", paused_until=8 * DAY)
    wish(world, "paced", every_days=30)
    for name in world.ids:
        world.event(name, "signed_up")
    world.run(7 * DAY)
    assert (world.touch("paused", "news").reason, world.touch("paced", "more").reason) == ("pause", "pace")

    wish(world, "paused", paused_until=timedelta())  # long ago: there is no pause
    wish(world, "paced", every_days=0)
    wish(world, "longer", paused_until=9 * DAY)
    world.run(10 * DAY)

    week = MONDAY + 7 * DAY
    assert sent(world, "paused") == [("news", week), ("more", week)]
    assert sent(world, "paced") == [("news", MONDAY), ("more", week)]
    assert sent(world, "longer")[0] == ("news", MONDAY + 9 * DAY)


def test_choices_are_rows_only_while_they_stand(make: Make) -> None:
    """What is unsaid stays; each change is an event that says what changed, and saving the same again is none."""
    world = make(files())
    world.lead("ana", language="en")

    wish(world, "ana", topics={"events": False}, every_days=7, language="ar")
    wish(world, "ana", paused_until=DAY)
    wish(world, "ana", topics={"events": False}, every_days=7, language="ar")
    (row,) = world.rows(Preference)
    assert (row.every_days, row.paused_until) == (7, MONDAY + DAY)
    assert [row.topic for row in world.rows(RefusedTopic)] == ["events"]
    assert (world.who("ana").language, world.who("ana").folded["language"]) == ("ar", "ar")

    stands = wish(world, "ana", topics={"events": True}, every_days=0, paused_until=timedelta())
    assert stands == preferences.Chosen()
    assert (world.rows(Preference), world.rows(RefusedTopic)) == ([], [])
    assert [row.data for row in world.rows(Event, col(Event.name) == "preferences_changed")] == [
        {"refused": ["events"], "every_days": 7, "language": "ar"},
        {"paused_until": (MONDAY + DAY).isoformat()},
        {"refused": [], "every_days": None, "paused_until": None},
    ]


def test_explain_says_what_was_chosen_and_what_waits_for_it(make: Make) -> None:
    """In sentences, and only from when it was chosen."""
    world = make(files("  - {id: news, email: news.j2}"))
    world.lead("ana")
    world.at(HOUR)
    wish(world, "ana", topics={"events": False}, every_days=7, paused_until=3 * DAY, language="ar")
    world.event("ana", "signed_up")
    world.tick().at(2 * HOUR)

    told = explain(world.machine, "ana@lead.example")
    before = explain(world.machine, "ana@lead.example", MONDAY)

    assert told.preferences == [
        "Prefers at most one message every 7 days, since 2026-03-02 09:00Z",
        "Prefers no messages before 2026-03-05 10:00 (Europe/Bucharest), since 2026-03-02 09:00Z",
        "Prefers Arabic (ar), since 2026-03-02 09:00Z",
        "Does not want to hear of 'events' (Events), since 2026-03-02 09:00Z",
    ]
    assert "the lead asked in the preference centre for no messages until then" in told.text()
    assert before.preferences == []


def test_the_page_and_a_send_exclude_each_other(make: Make) -> None:
    """The choice is a row under the lead's lock before the answer: what is permitted afterwards obeys it."""
    world = make(files("  - {id: news, email: news.j2}"))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.at(MONDAY.replace(hour=3)).tick()  # planned for nine o'clock, before the choice
    wish(world, "ana", topics={"product": False})
    world.run(datetime(2026, 3, 4, tzinfo=UTC))

    assert world.touches() == {"ana": [("news", "suppressed", "topic")]}

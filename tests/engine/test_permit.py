"""The permit: each reason not to send, what it does to the touch, and when it is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import control
from nurture.records import Touch
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.test_enrolment import suppress
from tests.engine.world import DAY, HOUR, MONDAY, PROGRAM, World, program, sequence

MINUTE = timedelta(minutes=1)
#: Enrolled, then an hour later due on a message.
LATER = "  - {id: rest, wait: 60 minutes}\n  - {id: hello, email: hello.j2}\n  - {id: over, exit: done}"
ANYBODY = "{not: {stage: customer}}"
DEMO = {"lifecycle.yaml": "milestones: {demo: {when: {did: demo}}}"}


def enrolled(world: World, *names: str, event: str = "signed_up", **values: Any) -> World:
    for name in names:
        world.lead(name, **values)
        world.event(name, event)
    return world


def consent(world: World, name: str, change: str) -> None:
    world.sql(f"UPDATE consent SET {change} WHERE purpose = 'mail' AND lead_id = :lead", lead=world.ids[name])


def test_each_refusal_by_its_name(make: Make) -> None:
    """Whatever came up between planning and sending is seen by the permit, for that lead alone."""
    world = make(program(DEMO, drip=sequence(LATER, segment=ANYBODY, objective="demo", leave="{tags: gone}")))
    names = (
        "fine",
        "address",
        "domain",
        "lead",
        "withdrawn",
        "expired",
        "expires-now",
        "objective",
        "left",
        "held",
        "ended",
    )
    enrolled(world, *names)
    enrolled(world, "other-domain", email="x@sub.blocked.example")
    world.lead("blocked", email="x@blocked.example")
    world.event("blocked", "signed_up")
    enrolled(world, "no-consent", "operational", consent=None)
    world.lead("no-address", email=None)
    world.event("no-address", "signed_up")
    world.tick().at(HOUR)

    suppress(world, "address", "address@lead.example")
    suppress(world, "domain", "blocked.example")
    suppress(world, "lead", str(world.ids["lead"]))
    consent(world, "withdrawn", f"withdrawn_at = {(world.now - MINUTE).timestamp() * 1e6:.0f}")
    consent(world, "expired", f"expires_at = {(world.now - MINUTE).timestamp() * 1e6:.0f}")
    consent(world, "expires-now", f"expires_at = {world.now.timestamp() * 1e6:.0f}")
    world.event("objective", "demo")
    world.sql("INSERT INTO lead_tag (lead_id, tag) VALUES (:lead, 'gone')", lead=world.ids["left"])
    world.sql("DELETE FROM work")  # nobody settles what has just happened before the permit
    world.do(lambda link: control.pause(link, f"lead:{world.ids['held']}", "operator", world.now))
    world.tick()

    found = {name: touches[-1][1:] for name, touches in world.touches().items()}
    assert found == {
        "fine": ("sent", None),
        "domain": ("sent", None),
        "other-domain": ("sent", None),
        "ended": ("sent", None),
        "address": ("suppressed", "suppressed"),
        "blocked": ("suppressed", "suppressed"),
        "lead": ("suppressed", "suppressed"),
        "no-address": ("suppressed", "no_address"),
        "no-consent": ("suppressed", "no_consent"),
        "operational": ("suppressed", "no_consent"),
        "withdrawn": ("suppressed", "no_consent"),
        "expired": ("suppressed", "no_consent"),
        "expires-now": ("suppressed", "no_consent"),
        "objective": ("cancelled", "objective"),
        "left": ("cancelled", "left"),
        "held": ("planned", "paused"),
    }
    stands = world.stands()
    assert (stands["held"], stands["objective"], stands["left"], stands["fine"], stands["no-consent"]) == (
        "hello",
        "objective",
        "left",
        "done",
        "done",
    )
    assert len(world.sent) == 4


def test_operational_mail_needs_no_consent_but_obeys_suppression(make: Make) -> None:
    """What was asked for is sent at once, outside of windows and caps, and never to whoever is suppressed."""
    steps = LATER.replace("hello.j2}", "hello.j2, kind: operational}")
    world = make(
        program(
            {"program.yaml": PROGRAM + "caps: {per_day: 1}\n"},
            drip=sequence(steps, send='{hours: "20:00-21:00"}'),
            also=sequence(steps, send='{hours: "20:00-21:00"}'),
        )
    )
    enrolled(world, "ana", "bob", consent=None)
    world.tick().at(HOUR)
    suppress(world, "address", "bob@lead.example")
    world.sql("DELETE FROM work")
    world.tick()

    sent, barred = [("hello", "sent", None)] * 2, [("hello", "suppressed", "suppressed")] * 2
    assert world.touches() == {"ana": sent, "bob": barred}


def test_nobody_gets_the_same_twice(make: Make) -> None:
    """The same letter or offer again is passed over, in whatever sequence, unless the step says repeat."""
    offers = {"offers.yaml": "offers: [{key: a, title: A, stage: decision, url: 'https://acme.example/a'}]"}
    steps = """
  - {id: one, email: hello.j2}
  - {id: two, email: hello.j2}
  - {id: three, email: hello.j2, repeat: true}
  - {id: over, exit: done}"""
    world = make(program(offers, drip=sequence(steps)))
    enrolled(world, "ana").tick()

    assert world.touches()["ana"] == [
        ("one", "sent", None),
        ("two", "suppressed", "already_received"),
        ("three", "sent", None),
    ]
    assert world.stands() == {"ana": "done"}


def test_an_unsubscribed_lead_is_left_alone_from_then_on(make: Make) -> None:
    """A message that waits for its window is called off, and the lead is out, in the transaction of the request."""
    world = make(program(drip=sequence("  - {id: hello, email: hello.j2}", send='{hours: "20:00-21:00"}')))
    enrolled(world, "ana").tick()
    world.event("ana", "unsubscribed", settle=True)
    world.run(2 * DAY)

    assert (world.touches()["ana"], world.stands()) == ([("hello", "cancelled", "suppressed")], {"ana": "suppressed"})


LATE = {
    # (the sequence's send rule and max_late), hours after the due instant at which somebody ticks: sent or expired
    "an hour": ("", 1, "sent"),
    "a day to the instant": ("", 24, "sent"),
    "a day and a minute": ("", 24 + 1 / 60, "expired"),
    "ten days": ("", 240, "expired"),
    "two days of three": ("max_late: 72 hours", 48, "sent"),
    "four days of three": ("max_late: 72 hours", 96, "expired"),
    "ten days of three": ("max_late: 72 hours", 240, "expired"),
    # due on Monday 11:00 local
    "closed all the while": ("send: {days: [thu, fri]}", 80, "sent"),
    "a day after it opened": ("send: {days: [thu, fri]}", 80 + 13, "expired"),
}


@pytest.mark.parametrize("name", LATE)
def test_late_is_counted_from_the_first_instant_at_which_it_was_allowed(make: Make, name: str) -> None:
    """When nobody ticked for too long, a message is expired rather than burst out, and the lead goes on."""
    more, hours, state = LATE[name]
    world = make(program(drip=sequence(LATER, **dict([more.split(": ", 1)] if more else []))))
    enrolled(world, "ana").tick().at(HOUR + hours * HOUR).tick()

    assert world.touches()["ana"] == [("hello", state, "late" if state == "expired" else None)]
    assert world.stands() == {"ana": "done"}


PAUSES = {"all": "all", "segment": "segment:drip", "lead": "lead"}


@pytest.mark.parametrize("name", PAUSES)
def test_pause_holds_messages_back_and_resume_lets_them_go(make: Make, name: str) -> None:
    """A week's hold is not late; a message that waits for another try is held like one that never was tried."""
    world = make(program(drip=sequence(LATER), other=sequence(LATER, when="{did: came}")))
    enrolled(world, "ana", "retry")
    enrolled(world, "eve", event="came")
    world.machine.email = Scripted({"retry@lead.example": ["try_later"]})
    world.tick().at(HOUR)
    scopes = [f"lead:{world.ids[who]}" for who in ("ana", "retry")] if name == "lead" else [PAUSES[name]]
    if name != "all":
        world.tick("other")
    enrolled(world, "second")
    for scope in scopes:
        world.do(partial(control.pause, scope=scope, by="operator", now=world.now))
    world.tick().run(7 * DAY)
    during = {who: touches[-1][1:] for who, touches in world.touches("drip").items() if who in ("ana", "retry")}
    for scope in scopes:
        assert world.do(partial(control.resume, scope=scope, by="operator", now=world.now))
    world.tick().run(7 * DAY + HOUR)

    assert during == {"ana": ("planned", "paused"), "retry": ("planned", "paused")}
    assert {who: touches[-1][1] for who, touches in world.touches("drip").items()} == dict.fromkeys(
        ("ana", "retry", "second"), "sent"
    )
    assert not world.do(lambda link: control.resume(link, scopes[0], "operator", world.now))


def test_a_try_that_waits_is_held_too(make: Make) -> None:
    """While its segment is on hold, a message that is to be tried again is not due, and afterwards it goes."""
    world = make(program(drip=sequence(LATER)))
    world.machine.email = Scripted({"ana@lead.example": ["try_later"]})
    enrolled(world, "ana").tick().at(HOUR).tick()
    waiting = world.touches()["ana"][-1][1]
    world.do(lambda link: control.pause(link, "segment:drip", "operator", world.now))
    world.run(2 * DAY)
    held = world.touches()["ana"][-1][1:], world.machine.waiting("drip", world.now)
    world.do(lambda link: control.resume(link, "segment:drip", "operator", world.now))
    world.tick()

    assert (waiting, held, world.touches()["ana"][-1][1]) == ("retry_wait", (("planned", "paused"), {}), "sent")


CAPS = "caps: {per_day: 2, per_7_days: 3}\n"


def test_caps_defer_to_the_exact_instant(make: Make) -> None:
    """The lead's calendar day and the rolling week, then the window; each lead by its own history and zone."""
    # Monday 2 March 12:00Z; the window is 09:00 to 17:00 on workdays, on the lead's clock
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    sends = {
        # hours ago of earlier marketing messages: when the next may go (UTC)
        "nothing": ((), None),
        "one today": ((1,), None),
        "two today": ((1, 2), "2026-03-03T07:00"),
        "one today, one in the night before": ((1, 15), None),
        "three this week": ((100, 120, 140), "2026-03-04T07:00"),
        "three this week, the third 167 hours ago": ((1, 2 + 24, 167), "2026-03-02T13:00"),
        "three this week, the third 168 hours ago": ((1, 2 + 24, 168), None),
        "four this week": ((30, 40, 100, 160), "2026-03-05T08:00"),
        "two today and three this week": ((1, 2, 166), "2026-03-03T07:00"),
        "operational ones do not count": ((), None),
        "in New York it is still morning": ((8, 9), None),
        "in New York, two since midnight": ((1, 2), "2026-03-03T14:00"),
    }
    zones = {name: "America/New_York" for name in sends if "New York" in name}
    world = make(
        program(
            {"program.yaml": PROGRAM + CAPS},
            drip=sequence(LATER, send='{days: workdays, hours: "09:00-17:00"}'),
            past=sequence("  - {id: old, wait: 90 days}", when="{did: was}"),
        ),
        now - HOUR,
    )
    for name in sends:
        world.lead(name.replace(" ", "-").replace(",", ""), **({"timezone": zones[name]} if name in zones else {}))
    world.ids = dict(zip(sends, world.ids.values(), strict=True))
    for name in sends:
        world.event(name, "was")
        world.event(name, "signed_up")
    world.tick()
    for name, (hours, _) in sends.items():
        for number, ago in enumerate(hours):
            earlier_send(world, name, f"past-{number}", now - ago * HOUR)
        if name.startswith("operational"):
            for number in range(4):
                earlier_send(world, name, f"past-{number}", now - HOUR, purpose="operational")
    world.at(now)
    # in New York it is 07:00: its window is closed until 14:00Z, so those two are looked at then
    world.tick().run(now + 2 * HOUR)
    rows = {world.names()[row.lead_id]: row for row in world.rows(Touch, col(Touch.step) == "hello")}

    found = {name: None if row.state == "sent" else f"{row.next_at:%Y-%m-%dT%H:%M}" for name, row in rows.items()}
    expected = {name: until for name, (_, until) in sends.items()}
    expected["three this week, the third 167 hours ago"] = None  # an hour later it went
    assert found == expected
    assert {row.reason for row in rows.values() if row.state == "planned"} == {"cap"}


def earlier_send(world: World, name: str, step: str, at: datetime, purpose: str = "marketing") -> None:
    """A message that this lead got at `at`."""
    micros = int(at.timestamp()) * 1_000_000
    values = {"step": step, "at": micros, "lead": world.ids[name]}
    world.sql(
        "INSERT INTO touch (lead_id, enrolment_id, sequence, version_id, step, occurrence, kind, purpose, state,"
        " due_at, allowed_at, attempt, tracked, planned_at)"
        " SELECT lead_id, id, sequence, version_id, :step, 1, 'email', :purpose, 'planned', :at, :at, 0, false, :at"
        " FROM enrolment WHERE lead_id = :lead AND sequence = 'past'",
        purpose=purpose,
        **values,
    )
    for state in ("claimed", "sending", "sent"):
        change = f"SET state = '{state}', sending_at = :at, ended_at = :at"
        world.sql(f"UPDATE touch {change} WHERE lead_id = :lead AND step = :step", **values)


def test_a_cap_holds_over_everything_that_is_sent(make: Make) -> None:
    """Three sequences that all want their leads for two weeks: nobody ever gets more than the caps allow."""
    letters = "\n".join(f"  - {{id: l{n}, email: l{n}.j2}}" for n in range(4)) + "\n  - {id: over, exit: done}"
    world = make(
        program(
            {"program.yaml": PROGRAM + "caps: {per_day: 1, per_7_days: 3}\n"},
            one=sequence(letters),
            two=sequence(letters),
            three=sequence(letters),
        )
    )
    enrolled(world, "ana", "bob", "eve", timezone="Asia/Kolkata").run(40 * DAY)

    for name in world.ids:
        times = sorted(
            row.sending_at
            for row in world.rows(Touch, col(Touch.lead_id) == world.ids[name], col(Touch.state) == "sent")
        )
        days = [(at + 5.5 * HOUR).date() for at in times]
        assert len(times) == 12
        assert len(set(days)) == len(days)
        assert all(later - earlier >= 7 * DAY for earlier, later in zip(times, times[3:], strict=False))


@pytest.mark.parametrize("order", [("high", "low"), ("low", "high")], ids=["the higher first", "the lower first"])
def test_the_higher_priority_sends_whoever_ticks_first(make: Make, order: tuple[str, str]) -> None:
    """Two sequences want one lead in the same minute and one message a day may go: it is the higher one's."""
    steps = "  - {id: hello, email: hello.j2}\n  - {id: over, exit: done}"
    world = make(
        program(
            {"program.yaml": PROGRAM + "caps: {per_day: 1}\n"},
            high=sequence(steps, priority="80"),
            low=sequence(steps, priority="20"),
        )
    )
    enrolled(world, "ana", "bob")
    world.tick(*order)
    first = {slug: [row.state for row in world.rows(Touch, col(Touch.sequence) == slug)] for slug in order}
    said = {(row.reason, row.next_at) for row in world.rows(Touch, col(Touch.sequence) == "low")}
    world.run(DAY)

    # the lower one waits for the cap; if it came first, until the higher one has ended, and then for the cap
    reason, until = ("cap", world.start + 14 * HOUR) if order[0] == "high" else ("priority", world.start + HOUR / 12)
    assert first == {"high": ["sent", "sent"], "low": ["planned", "planned"]}
    assert said == {(reason, until)}
    assert {row.state for row in world.rows(Touch)} == {"sent"}


def test_on_resume_a_lead_gets_one_late_message(make: Make) -> None:
    """Two sequences waited behind a week's hold: on resume each lead hears from one of them, the other goes later."""
    steps = "  - {id: hello, email: hello.j2}\n  - {id: over, exit: done}"
    world = make(program(one=sequence(steps), two=sequence(steps)))
    world.do(lambda link: control.pause(link, "all", "operator", world.now))
    enrolled(world, "ana", "bob").tick().run(7 * DAY)
    world.do(lambda link: control.resume(link, "all", "operator", world.now))
    world.tick()
    at_once = sorted(to for to, _ in world.sent)
    world.run(9 * DAY)

    assert at_once == ["ana@lead.example", "bob@lead.example"]
    assert len(world.sent) == 4


def test_a_lead_that_moves_is_written_to_in_its_new_window(make: Make) -> None:
    """A message that waits for Monday in Bucharest does not go out at night in the zone the lead has moved to."""
    friday = datetime(2026, 3, 6, 18, 0, tzinfo=UTC)
    world = make(
        program(drip=sequence("  - {id: hello, email: hello.j2}", send='{days: workdays, hours: "09:00-17:00"}')),
        friday,
    )
    enrolled(world, "ana", "bob").tick()
    world.lead("ana", timezone="America/Los_Angeles", country="US")
    world.run(friday + 3 * DAY + 12 * HOUR)

    sent = {world.names()[row.lead_id]: row.sending_at for row in world.rows(Touch)}
    assert sent == {"ana": datetime(2026, 3, 9, 16, 0, tzinfo=UTC), "bob": datetime(2026, 3, 9, 7, 0, tzinfo=UTC)}


def test_a_hold_of_months_ends_in_the_window(make: Make) -> None:
    """However long the hold, the message that resumes in the night waits for the morning."""
    world = make(program(drip=sequence("  - {id: hello, email: hello.j2}", send='{hours: "09:00-17:00"}')))
    world.do(lambda link: control.pause(link, "segment:drip", "operator", world.now))
    enrolled(world, "ana").tick()
    night = datetime(2026, 8, 12, 23, 0, tzinfo=UTC)
    world.at(night)
    world.do(lambda link: control.resume(link, "segment:drip", "operator", world.now))
    world.tick().run(night + DAY)

    assert [row.sending_at for row in world.rows(Touch)] == [datetime(2026, 8, 13, 6, 0, tzinfo=UTC)]


def test_a_message_waits_however_long_nothing_opens(make: Make) -> None:
    """Eighty closed days in a row are farther than openings are known: nobody is written to before the first open one."""
    closed = [f"{MONDAY.date() + timedelta(days=n)}" for n in range(80)]
    files = program(drip=sequence("  - {id: hello, email: hello.j2}", send='{hours: "09:00-17:00"}\nmax_late: 90 days'))
    files["program.yaml"] += f"\nclosed_days: [{', '.join(closed)}]\n"
    world = make(files)
    enrolled(world, "ana").tick()
    world.run(100 * DAY)

    (sent,) = [row.sending_at for row in world.rows(Touch)]
    assert sent.date() >= MONDAY.date() + timedelta(days=80)

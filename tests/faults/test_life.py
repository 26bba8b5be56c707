"""The whole life of a touch, as a machine of rules: whatever happens in whatever order, the promises hold after each step."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlmodel import col

from nurture.engine import control, doors, doubt
from nurture.engine.machine import Machine
from nurture.errors import NotFound
from nurture.records import Touch
from nurture.rehearse.stage import Stage, Theatre
from tests.engine.channels import Killed
from tests.engine.world import MONDAY, PROGRAM, World, program, sequence
from tests.faults.fickle import Fickle
from tests.faults.warm import arm

CAP_DAY, CAP_WEEK = 1, 3
ZONE = ZoneInfo("Europe/Bucharest")
ANSWERS = ("accepted", "accepted", "accepted", "refused", "try_later", "lost", "vanished", "down")
POINTS = (
    "planned", "claimed", "rendered", "permitted", "journaled", "dotted", "answered", "noted", "recording", "recorded",
)  # fmt: skip
STATES = {"planned", "held", "claimed", "sending", "retry_wait", "uncertain", "sent", "failed", "suppressed",
          "cancelled", "expired"}  # fmt: skip
COUNTED = ("sending", "sent", "uncertain")
said = st.lists(st.sampled_from(ANSWERS), max_size=4)
hours = st.sampled_from([0.1, 1, 25, 60])
some = st.integers(min_value=0, max_value=99)


def files(edits: int) -> dict[str, str]:
    """The program after so many edits: the pause of `drip` changes."""
    drip = f"""  - {{id: hello, email: hello.j2}}
  - {{id: pause, wait: {1 + edits % 3} days}}
  - {{id: nudge, email: nudge.j2}}
  - {{id: over, exit: done}}"""
    caps = f"caps: {{per_day: {CAP_DAY}, per_7_days: {CAP_WEEK}}}\n"
    news = "  - {id: news, email: news.j2}\n  - {id: over, exit: done}"
    return program(
        {"program.yaml": PROGRAM + caps}, drip=sequence(drip, max_late="9 days"), news=sequence(news, max_late="9 days")
    )


class Life(RuleBasedStateMachine):
    """One installation; `stages` gives a new one for each example."""

    stages: Callable[[], Stage]

    @initialize()
    def begin(self) -> None:
        arm(None)
        self.world = object.__new__(World)
        self.world.stage = self.stages()
        self.world.machine, self.world.clock = self.world.stage.machine, self.world.stage.clock
        self.world.start, self.world.ids = MONDAY, {}
        self.relay = Fickle()
        self.folder = tempfile.TemporaryDirectory()
        self._employ(self.world.machine)
        self.edits = 0
        self.world.publish(files(0))
        self.crashed = False
        #: Lead's address to what it had got when it said goodbye.
        self.gone: dict[str, int] = {}
        self.resent: Counter[str] = Counter()
        self.believed: set[str] = set()
        for _ in range(3):
            self.comes()

    def _employ(self, machine: Machine) -> None:
        machine.email = self.relay
        machine.journal_folder = Path(self.folder.name)
        machine.__post_init__()

    def teardown(self) -> None:
        arm(None)
        if hasattr(self, "world"):
            self.world.machine.heart.stop()
            self.world.stage.close()
            self.folder.cleanup()

    # what happens

    @precondition(lambda self: len(self.world.ids) < 6)
    @rule()
    def comes(self) -> None:
        name = f"lead{len(self.world.ids)}"
        self.world.crowd([name])
        self.world.event_of([name], "signed_up")

    @rule(said=said, hours=hours)
    def tick(self, said: list[str], hours: float) -> None:
        """Time passes, and the engine runs once."""
        self.world.clock.advance(timedelta(hours=hours))
        self.relay.answers = said
        before, stopped = len(self.relay.kept), "all" in self._controls()
        self.world.tick()
        self.crashed = False
        assert not stopped or len(self.relay.kept) == before

    @rule(said=said, hours=hours, point=st.sampled_from(POINTS), turn=st.integers(1, 2))
    def crashes(self, said: list[str], hours: float, point: str, turn: int) -> None:
        """The same, and the process dies at a named place; another one starts."""
        self.world.clock.advance(timedelta(hours=hours))
        self.relay.answers = said
        arm(f"{point}:raise:{turn}", Killed)
        with suppress(Killed):
            self.world.tick()
        arm(None)
        old = self.world.machine
        old.heart.stop()
        old.journal.close()  # type: ignore[attr-defined]
        machine = Machine(old.db, old.clock, old.keys, self.relay, old.audience, old.public_url, library=old.library)
        self._employ(machine)
        self.world.machine = self.world.stage.machine = machine
        self.crashed = True

    @rule()
    def edits_and_publishes(self) -> None:
        self.edits += 1
        self.world.publish(files(self.edits))

    @precondition(lambda self: self.world.ids)
    @rule(who=some)
    def says_goodbye(self, who: int) -> None:
        name = self._pick(who)
        live = self.world.machine.live()
        self.world.do(
            lambda link: doors.unsubscribe_lead(link, live, self.world.ids[name], self.world.now, source="test")
        )
        address = f"{name}@lead.example"
        self.gone.setdefault(address, self._got(address))

    @rule(scope=st.sampled_from(["all", "segment:drip"]), act=st.sampled_from(["pause", "stop"]))
    def holds_or_lets_go(self, scope: str, act: str) -> None:
        held = self._controls()
        if not held:
            self.world.do(lambda link: getattr(control, act)(link, scope, "ana", self.world.now))
        for scope in held:
            for end in (control.resume, control.start):
                self.world.do(partial(end, scope=scope, by="ana", now=self.world.now))

    @precondition(lambda self: self.world.ids)
    @rule(who=some)
    def clicks(self, who: int) -> None:
        """Only what arrived can be clicked; it proves that it did."""
        arrived = {key for key, _ in self.relay.kept}
        touches = [row for row in self._touches() if row.message_id in arrived]
        if touches:
            row = touches[who % len(touches)]
            rest = self.world.machine.click_rest
            self.world.do(lambda link: doors.click(link, row.id, 0, self.world.now, machine=None, rest=rest))

    @rule(who=some, again=st.booleans())
    def decides(self, who: int, again: bool) -> None:
        """A person looks at one that is uncertain."""
        certain = [row.id for row in self._touches() if row.state != "uncertain"]
        if certain:
            with pytest.raises(NotFound):
                self.world.do(lambda link: doubt.mark_sent(link, certain[:1], "ana", self.world.now))
        rows = [row for row in self._touches() if row.state == "uncertain"]
        if not rows:
            return
        row, journals = rows[who % len(rows)], self.world.machine.journals
        if again:
            self.world.do(lambda link: doubt.resend(link, [row.id], journals, "ana", self.world.now))
            self.resent[row.message_id] += 1
        else:
            self.world.do(lambda link: doubt.mark_sent(link, [row.id], "ana", self.world.now))
            self.believed.add(row.message_id)

    # what holds

    @invariant()
    def all_holds(self) -> None:
        """After each step; the touches are read once for all that looks at them."""
        touches = self._touches()
        self.one_touch_for_each_passage_of_a_step(touches)
        self.nobody_alive_holds_nothing(touches)
        self.what_was_sent_is_documented(touches)
        self.what_arrived_is_known(touches)
        self.nothing_arrives_twice()
        self.nothing_arrives_after_the_goodbye()
        self.caps_hold(touches)

    def one_touch_for_each_passage_of_a_step(self, touches: list[Any]) -> None:
        keys = [(row.enrolment_id, row.step, row.occurrence) for row in touches]
        assert len(keys) == len(set(keys))
        assert {row.state for row in touches} <= STATES

    def nobody_alive_holds_nothing(self, touches: list[Any]) -> None:
        if not self.crashed:
            assert not {"claimed", "sending"} & {row.state for row in touches}

    def what_was_sent_is_documented(self, touches: list[Any]) -> None:
        arrived = {key for key, _ in self.relay.kept} | self.believed
        for row in touches:
            if row.state == "sent":
                assert row.message_id in arrived
                assert row.sending_at is not None
                assert row.payload_sha256

    def what_arrived_is_known(self, touches: list[Any]) -> None:
        state = {row.message_id: row.state for row in touches if row.message_id}
        for key, _ in self.relay.kept:
            assert key in self.resent or state[key] in ("sent", "uncertain", *(["sending"] * self.crashed)), state[key]

    def nothing_arrives_twice(self) -> None:
        for key, copies in Counter(key for key, _ in self.relay.kept).items():
            assert copies <= 1 + self.resent[key]

    def nothing_arrives_after_the_goodbye(self) -> None:
        for address, number in self.gone.items():
            assert self._got(address) == number

    def caps_hold(self, touches: list[Any]) -> None:
        sends: dict[int, list[datetime]] = {}
        for row in touches:
            if row.state in COUNTED:
                sends.setdefault(row.lead_id, []).append(row.sending_at)
        for times in sends.values():
            days = Counter(at.astimezone(ZONE).date() for at in times)
            assert max(days.values()) <= CAP_DAY
            for at in times:
                assert sum(at <= other < at + timedelta(days=7) for other in times) <= CAP_WEEK

    # looking

    def _touches(self) -> list[Any]:
        return self.world.rows(Touch, col(Touch.kind) == "email") if hasattr(self, "world") else []

    def _controls(self) -> dict[str, str]:
        with self.world.machine.db.read() as link:
            return control.wide(link)

    def _pick(self, number: int) -> str:
        return sorted(self.world.ids)[number % len(self.world.ids)]

    def _got(self, address: str) -> int:
        return sum(to == address for _, to in self.relay.kept)


def live(stages: Callable[[], Stage], examples: int, steps: int) -> None:
    """So many lives of so many steps; as many as the profile says when it searches."""
    if os.environ.get("HYPOTHESIS_PROFILE") == "search":
        examples, steps = settings.default.max_examples, 50  # type: ignore[union-attr]
    kind = type("ALife", (Life,), {"stages": staticmethod(stages)})
    run_state_machine_as_test(kind, settings=settings(max_examples=examples, stateful_step_count=steps))


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    opened = Theatre()
    yield opened
    opened.close()


def test_a_life_on_sqlite(theatre: Theatre) -> None:
    """In memory: fifty lives."""
    live(lambda: theatre.stage(MONDAY), 50, 30)


def test_a_life_on_postgres(request: pytest.FixtureRequest) -> None:
    """A few on the other database."""
    from nurture.rehearse.stage import set_stage

    server, template = request.getfixturevalue("postgres"), request.getfixturevalue("migrated_postgres")
    names, serial = [], count(1)

    def stage() -> Stage:
        names.append(server.create(template=template, name=f"life_{next(serial)}"))
        return set_stage(MONDAY, server.url(names[-1]))

    live(stage, 6, 25)
    for name in names:
        server.drop(name)

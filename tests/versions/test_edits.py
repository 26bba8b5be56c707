"""Each kind of edit, pinned and migrated, with a lead who waits, is put off, is being sent to, has finished.

Every row of the table is one named case: what that lead gets, and when on the clock of Bucharest, if the edit is
published on Thursday at 09:00 while the letter `case` is on its way to the third of them.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col

from nurture.channels.base import Journal, Parcel, Receipt
from nurture.reading.verify import verify
from nurture.records import Enrolment, SequenceVersion, Touch
from tests.engine.conftest import Make
from tests.engine.world import HOUR, World, program, sequence

BUCHAREST = ZoneInfo("Europe/Bucharest")
#: Sunday, 1 March 2026, 09:00 in Bucharest.
SUNDAY = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)

BEFORE = """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: settle, wait: 2 days}
  - {id: case, email: case.j2}
  - {id: rest, wait: 4 days}
  - {id: bye, email: bye.j2}
"""
AFTER = {
    "insert": """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: settle, wait: 2 days}
  - {id: extra, email: extra.j2}
  - {id: pause, wait: 1 day}
  - {id: case, email: case.j2}
  - {id: rest, wait: 4 days}
  - {id: more, email: more.j2}
  - {id: bye, email: bye.j2}
""",
    "delete": """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: rest, wait: 4 days}
  - {id: bye, email: bye.j2}
""",
    "reorder": """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: settle, wait: 2 days}
  - {id: rest, wait: 4 days}
  - {id: case, email: case.j2}
  - {id: bye, email: bye.j2}
""",
    "reorder a wait": """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: case, email: case.j2}
  - {id: rest, wait: 4 days}
  - {id: settle, wait: 2 days}
  - {id: bye, email: bye.j2}
""",
    "shorten": BEFORE.replace("2 days", "12 hours").replace("4 days", "1 day"),
    "lengthen": BEFORE.replace("2 days", "3 days").replace("4 days", "6 days"),
    "rename": BEFORE.replace("id: settle", "id: pause").replace("id: case", "id: story"),
    "rewire": """
  - {id: welcome, email: welcome.j2, kind: operational}
  - {id: settle, wait: 2 days, next: bye}
  - {id: case, email: case.j2, next: bye}
  - {id: rest, wait: 4 days, next: over}
  - {id: bye, email: bye.j2}
  - {id: over, exit: done}
""",
}
#: State at the publication: hours from Sunday to the enrolment, and the zone.
STATES = {
    "waiting": (72, "Europe/Bucharest"),
    "deferred": (47, "America/New_York"),
    "being sent": (48, "Europe/Bucharest"),
    "finished": (0, "Europe/Bucharest"),
}
#: Whoever stays on the old version gets what it says, whatever the edit.
PINNED = {
    "waiting": "welcome Wed 09:00, case Fri 09:00, bye Tue 09:00",
    "deferred": "welcome Tue 08:00, case Thu 16:00, bye Mon 15:00",  # New York, whose clocks change on that Sunday
    "being sent": "welcome Tue 09:00, case Thu 09:00, bye Mon 09:00",
    "finished": "welcome Sun 09:00, case Tue 09:00, bye Sat 09:00",
}
#: (edit, state): what a lead gets that migrates.
MIGRATED = {
    ("insert", "waiting"): "welcome Wed 09:00, extra Fri 09:00, case Sat 09:00, more Wed 09:00, bye Wed 09:00",
    ("insert", "deferred"): "welcome Tue 08:00, case Thu 16:00, more Mon 15:00, bye Mon 15:00",
    ("insert", "being sent"): "welcome Tue 09:00, case Thu 09:00, more Mon 09:00, bye Mon 09:00",
    ("insert", "finished"): "welcome Sun 09:00, case Tue 09:00, more Sat 09:00, bye Sat 09:00",
    ("delete", "waiting"): "welcome Wed 09:00, bye Mon 09:00",
    ("delete", "deferred"): "welcome Tue 08:00, bye Mon 15:00",
    ("delete", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Mon 09:00",
    ("delete", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Sat 09:00",
    ("reorder", "waiting"): "welcome Wed 09:00, case Tue 09:00, bye Tue 09:00",
    ("reorder", "deferred"): "welcome Tue 08:00, case Thu 16:00, bye Thu 16:00",
    ("reorder", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Thu 09:00",
    ("reorder", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Sat 09:00",
    ("reorder a wait", "waiting"): "welcome Wed 09:00, bye Fri 09:00",
    ("reorder a wait", "deferred"): "welcome Tue 08:00, case Thu 16:00, bye Mon 15:00",
    ("reorder a wait", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Mon 09:00",
    ("reorder a wait", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Sat 09:00",
    ("shorten", "waiting"): "welcome Wed 09:00, case Thu 09:00, bye Fri 09:00",
    ("shorten", "deferred"): "welcome Tue 08:00, case Thu 16:00, bye Fri 16:00",
    ("shorten", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Fri 09:00",
    ("shorten", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Thu 09:00",
    ("lengthen", "waiting"): "welcome Wed 09:00, case Sat 09:00, bye Fri 09:00",
    ("lengthen", "deferred"): "welcome Tue 08:00, case Thu 16:00, bye Wed 15:00",
    ("lengthen", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Wed 09:00",
    ("lengthen", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Mon 09:00",
    ("rename", "waiting"): "welcome Wed 09:00, bye Mon 09:00",
    ("rename", "deferred"): "welcome Tue 08:00, bye Mon 15:00",
    ("rename", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Mon 09:00",
    ("rename", "finished"): "welcome Sun 09:00, case Tue 09:00, bye Sat 09:00",
    ("rewire", "waiting"): "welcome Wed 09:00, bye Fri 09:00",
    ("rewire", "deferred"): "welcome Tue 08:00, case Thu 16:00, bye Thu 16:00",
    ("rewire", "being sent"): "welcome Tue 09:00, case Thu 09:00, bye Thu 09:00",
    ("rewire", "finished"): "welcome Sun 09:00, case Tue 09:00",
}


class Interrupted:
    """The way out of e-mail, during which an edit is published when the letter `case` goes to the third lead."""

    kind, down, aside = "email", None, False

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.world: Any = None
        self.edits: dict[str, Any] = {}

    def deliver(self, parcels: list[Parcel], journal: Journal, stop: Any) -> list[Receipt]:
        for parcel in parcels:
            name = parcel.to.partition("@")[0]
            if name in self.edits and ("case", "sending", None) in self.world.touches()[name]:
                self.edits.pop(name)()
        found: list[Receipt] = self.inner.deliver(parcels, journal, stop)
        return found

    def close(self) -> None:
        self.inner.close()


def key(*words: str) -> str:
    return "-".join(words).replace(" ", "-")


def played(make: Make, on_edit: str) -> World:
    """Every edit as a sequence of its own, four leads in each, and two weeks."""
    more = {"send": '{hours: "09:00-17:00", days: all}'}
    before, after = {}, {}
    for edit, steps in AFTER.items():
        slug = key(edit)
        before[slug] = sequence(BEFORE, when=f"{{did: {slug}}}", **more)
        after[slug] = sequence(steps, when=f"{{did: {slug}}}", on_edit=on_edit, **more)
    world = make(program(None, **before), SUNDAY)
    way: Any = Interrupted(world.machine.email)
    world.machine.email, way.world = way, world
    files = program(None, **after)
    starts: dict[datetime, list[tuple[str, str]]] = {}
    for edit in AFTER:
        for state, (hours, zone) in STATES.items():
            name = key(edit, state)
            world.lead(name, timezone=zone)
            starts.setdefault(SUNDAY + hours * HOUR, []).append((name, key(edit)))
        way.edits[key(edit, "being sent")] = lambda edit=edit: world.publish(files, [key(edit)])

    def begin(those: list[tuple[str, str]]) -> Any:
        def go() -> None:
            for name, slug in those:
                world.event(name, slug)

        return go

    world.run(timedelta(days=21), {at: begin(those) for at, those in starts.items()})
    assert not way.edits, "published while the letter was on its way"
    return world


def got(world: World, name: str) -> str:
    """The letters of a lead, and when each left."""
    rows = world.rows(Touch, col(Touch.lead_id) == world.ids[name], col(Touch.state) == "sent")
    rows.sort(key=lambda row: (row.sending_at, row.id))
    return ", ".join(f"{row.step} {row.sending_at.astimezone(BUCHAREST):%a %H:%M}" for row in rows)


@pytest.mark.parametrize("on_edit", ["pin", "migrate"])
def test_an_edit_while_leads_are_inside(make: Make, on_edit: str) -> None:
    """Nothing is sent twice, nothing is lost, and every lead gets what its row of the table says."""
    world = played(make, on_edit)  # 32 leads, three weeks

    cases = [(edit, state) for edit in AFTER for state in STATES]
    expected = MIGRATED if on_edit == "migrate" else {case: PINNED[case[1]] for case in cases}
    assert {case: got(world, key(*case)) for case in cases} == expected
    twice = Counter((row.lead_id, row.content) for row in world.rows(Touch, col(Touch.state) == "sent"))
    assert max(twice.values()) == 1
    ends = {world.names()[row.lead_id]: row.outcome for row in world.rows(Enrolment)}
    assert ends == {
        name: "done" if on_edit == "migrate" and name.startswith("rewire") else "completed" for name in ends
    }
    number = {row.id: row.number for row in world.rows(SequenceVersion)}
    assert {number[row.version_id] for row in world.rows(Enrolment)} == {1 if on_edit == "pin" else 2}
    with world.machine.db.read() as link:
        assert verify(link, world.machine.library, world.now).broken == []

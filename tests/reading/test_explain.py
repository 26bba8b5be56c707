"""Why a lead was not enrolled, not sent to, not handed over; who has it; and all of that at any instant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from nurture.reading.explain import explain
from tests.engine.world import DAY, HOUR, PROGRAM, World, program, sequence

MIHAI = "{name: Mihai, email: mihai@acme.example, country: RO}"
FILES = program(
    {
        "program.yaml": PROGRAM.replace(
            f"[{MIHAI}]", f"[{MIHAI}, {MIHAI.replace('Mihai', 'Sarah').replace('mihai', 'sarah')}]"
        ),
        "lifecycle.yaml": """
mql: {when: {score: {at_least: 70}}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
  priced: {when: {did: page_viewed, where: {path: "/pricing*"}, at_least: 3, within: 14 days}, handoff: true}
  quoted: {when: {did: quote_requested}, handoff: true}
  read: {when: {did: paper_downloaded}}
gate: [{reason: student, refuse: {role: student}}]
sla: {accept_within: 4 business hours, reassign: 1}
recycle: {premature: 30 days}
""",
        "scoring.yaml": """
engagement:
  - {rule: downloaded a paper, when: {did: paper_downloaded}, points: 15, cap: 1 per day}
  - {rule: asked for a demo, when: {did: demo_requested}, points: 20}
fit:
  - {rule: large enough, when: {employees: {at_least: 50}}, thirds: 3, points: 5}
""",
    },
    readers=sequence("  - {id: welcome, email: welcome.j2}", when="{did: paper_downloaded}"),
)
WHO = "ana@lead.example"


def sections(world: World, at: datetime | None = None, width: int | None = None) -> dict[str, list[str]]:
    """Heading to lines; lines that were broken are put together again."""
    found: dict[str, list[str]] = {}
    for part in explain(world.machine, WHO, at).text(width).split("\n\n"):
        head, *lines = part.split("\n")
        found[head.split(" on ")[0].split(",")[0]] = [line.strip() for line in lines]
    return found


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """A student asks for a demo, then a buyer; the first owner is silent, the second says it is too early."""
    made = World(sqlite_url, FILES)
    made.lead("ana", role="student", employees=80, consent=None)
    for path in ("/pricing", "/pricing/eur", "/product"):
        made.event("ana", "page_viewed", path=path)
    for event in ("paper_downloaded", "paper_downloaded", "demo_requested"):
        made.event("ana", event)
    made.tick().run(DAY)
    made.lead("ana", role="buyer", consent=None)
    made.event("ana", "demo_requested")
    made.tick().run(DAY + 5 * HOUR)
    made.answer("ana", "rejected", "premature", note="no budget before June")
    yield made
    made.close()


def test_each_question_has_its_section(world: World) -> None:
    """Refused, unsent, silence and an answer with its note, each with its instant; what is missing where it is near."""
    then = sections(world, world.start + HOUR)
    assert then["Not handed over"] == [
        "Mon 2 Mar 10:00  demo requested: refused at the gate as student: role is student; it stays in nurture",
        "Mon 2 Mar 10:00  read: no call to sales",
        "priced is not reached: 2 of 3 (page viewed (path is /pricing*) at least 3 times within 14 days)",
        "Other milestones that it has not reached: quoted",
        "Not an MQL: score is at least 70: no",
    ]
    assert then["Not sent"] == [
        "Mon 2 Mar 10:00  email readers/welcome: suppressed (no_consent): there is no valid basis to write to this lead by this channel"
    ]
    assert "With sales" not in then
    assert any(line.startswith("Told as of 2026-") for line in then["ana@lead.example (lead 1)"])

    now = sections(world)
    (first, second) = (place for place, line in enumerate(now["With sales"]) if line.startswith("Hand-off"))
    assert [line.split("  ")[-1] for line in now["With sales"][first + 1 : second]] == [
        "handed over", "reminded", "nobody answered in time; it went to sarah@acme.example",
    ]  # fmt: skip
    assert now["With sales"][-1] == (
        "Tue 3 Mar 15:00  rejected as premature by sarah@acme.example: “no budget before June”"
    )
    assert (
        "Tue 3 Mar 15:00  stage sal to recycled: rejected: premature (by sarah@acme.example)"
        in now["Stages and statuses"]
    )
    assert now["Not enrolled"][0].startswith("readers: not enrolled: ")

    # each line of the score is a sentence, and they sum; nothing is broken but where a person reads
    lines = sections(world, world.start + HOUR)["Score 40"]

    assert lines[0] == "14.99  +15 downloaded a paper on Mon 2 Mar"
    assert lines[1] == "0.00  +15 downloaded a paper on Mon 2 Mar: over 1 per day"
    assert "5.00  +5 large enough" in lines
    *parts, whole = (float(line.split()[0]) for line in lines)
    assert round(sum(parts), 2) == whole  # to the hundredth, as they are printed
    text = explain(world.machine, WHO).text(100)
    assert max(map(len, text.splitlines())) <= 100
    assert text.split() == explain(world.machine, WHO).text().split()

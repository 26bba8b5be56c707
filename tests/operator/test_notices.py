"""What sales gets where the program's own notice cannot be made for a lead, and what the doctor says of notices."""

from __future__ import annotations

import email
from email.policy import default

import pytest

from nurture.doctor.base import Check
from nurture.doctor.house import notices
from nurture.program.check import check
from nurture.records import Outbox
from tests.engine.channels import Scripted
from tests.engine.world import NOTICE, PROGRAM, World, program, sequence

SALES = "mihai@acme.example"
#: Publishes well: nobody who is tried at that has twenty employees.
BROKEN = NOTICE.replace("</body>", "{{ 1000 / (lead.employees - 20) if lead.employees else '' }}</body>")
TASK = BROKEN.replace("{{ handoff.milestone }}", "To do").replace("{{ handoff.accept_url }}", "{{ task.text }}")
FILES = program(
    {
        "program.yaml": PROGRAM.replace(", since: date", ""),
        "lifecycle.yaml": "milestones: {asked: {when: {did: asked}, handoff: true}}",
        "_shared/notice.j2": BROKEN,
        "_shared/task.j2": TASK,
    },
    mail=sequence('  - {id: ask, task: {for: sales, text: "Call them"}}\n  - {id: rest, wait: 90 days}'),
)
#: Event and employees of a lead; what the relay answers; subject and words of what sales got; what the doctor says.
CASES: dict[str, tuple[str, int, list[str], tuple[str, str], tuple[str, str]]] = {
    "a hand-off": ("asked", 19, [], ("asked", "/h/"), ("ok", "1 sent to sales as the program writes them")),
    "a hand-off that cannot be made": (
        "asked", 20, [], ("asked: lead@lead.example", "plain notice"),
        ("wrong", "1 of 1 went out in the built-in form (_shared/notice.j2:1: division by zero)"),
    ),
    "a task that cannot be made": (
        "signed_up", 20, [], ("To do: lead@lead.example", "Call them"),
        ("wrong", "1 of 1 went out in the built-in form (_shared/task.j2:1: division by zero)"),
    ),
    "a relay that does not take it": (
        "asked", 19, ["try_later"], ("asked", "/h/"), ("wrong", "1 wait to be tried again (try_later said the relay)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("event", "employees", "answers", "got", "said"), CASES.values(), ids=CASES)
def test_notices(
    sqlite_url: str, event: str, employees: int, answers: list[str], got: tuple[str, str], said: tuple[str, str]
) -> None:
    world = World(sqlite_url, FILES)
    world.machine.email = relay = Scripted({SALES: answers})
    assert notices(world.machine.db, True)[0].verdict == "not checked"
    world.lead("lead", employees=employees)
    world.event("lead", event)
    world.tick()
    (checked,) = notices(world.machine.db, True)
    (row,) = world.rows(Outbox)
    world.close()

    (parcel,) = relay.parcels
    letter = email.message_from_bytes(parcel.payload, policy=default)
    assert parcel.to == SALES
    assert letter["Subject"] == got[0]
    assert got[1] in str(letter.get_body(("plain",)))
    assert (row.done_at is None) is bool(answers)
    assert isinstance(checked, Check)
    assert checked.verdict == said[0]
    assert said[1] in checked.said


def test_the_program_is_published_without_complaint() -> None:
    assert check(FILES) == []

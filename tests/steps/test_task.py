"""`task`: what salespeople are asked, the notice, the answer that a lead waits for."""

from __future__ import annotations

import email
from datetime import UTC, datetime, timedelta
from email.policy import default
from typing import Any

import pytest

from nurture.channels.recording import RecordingChannel
from nurture.engine import doors, tasks
from nurture.errors import NotFound, Refused
from nurture.program.load import load
from nurture.program.trial import tried
from nurture.reading.tasks import listed
from nurture.reading.verify import verify
from nurture.records import Outbox, Task
from tests.engine.conftest import Make
from tests.engine.world import PROGRAM, World, program, sequence

TEAM = PROGRAM.replace(
    "sales: [{name: Mihai, email: mihai@acme.example, country: RO}]",
    """sales:
  - {name: Mihai, email: mihai@acme.example, country: RO, countries: [RO]}
  - {name: Lena, email: lena@acme.example, country: DE, countries: [DE], zone: Europe/Berlin}
  - {name: Kim, email: kim@acme.example, countries: [RO], zone: America/New_York}""",
)
ASK = """  - {id: ask, task: {for: WHOM, text: "Call {{ lead.first_name or 'them' }}, then <tell> us"}MORE}
  - {id: called, wait_until: {did: task_done}, at_most: 5 days, then: thanks, else: over}
  - {id: thanks, email: thanks.j2, kind: operational}
  - {id: over, exit: completed}"""


def asking(make: Make, whom: str = "sales", more: str = "", **files: str) -> World:
    steps = ASK.replace("WHOM", whom).replace("MORE", more)
    return make(program({"program.yaml": TEAM, **files}, asking=sequence(steps)))


def lead(world: World, name: str, **facts: Any) -> None:
    world.lead(name, **{"first_name": name.title(), **facts})
    world.event(name, "signed_up")


def notices(world: World) -> list[email.message.EmailMessage]:
    """What went to salespeople."""
    assert isinstance(world.machine.email, RecordingChannel)
    sent = [parcel for parcel in world.machine.email.parcels if parcel.touch_id < 0]
    return [email.message_from_bytes(parcel.payload, policy=default) for parcel in sent]


def text_of(notice: email.message.EmailMessage, kind: str = "plain") -> str:
    """One part of a notice."""
    part = notice.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def done(world: World, task: int, by: str | None = None) -> str:
    live = world.machine.live()
    who: str = world.do(lambda link: doors.done(link, live, task, by, world.now))
    return who


def test_a_salesperson_is_asked_and_the_lead_goes_on(make: Make) -> None:
    """A row, a notice that says what and of whom, answers to the lead; the lead stands on the next step at once."""
    world = asking(make)
    lead(world, "ana", country="RO", phone="+40721123456", company="Büro & Söhne")
    world.tick()

    (task,) = world.rows(Task)
    assert (task.owner, task.text) == ("mihai@acme.example", "Call Ana, then <tell> us")
    (notice,) = notices(world)
    assert (notice["to"], notice["reply-to"]) == ("mihai@acme.example", "ana@lead.example")
    assert notice["subject"] == "To do: Ana, Büro & Söhne"
    text = text_of(notice)
    assert "Call Ana, then <tell> us" in text
    assert f"nurture done {task.id}" in text
    assert "&lt;tell&gt;" in text_of(notice, "html")
    assert world.stands() == {"ana": "called"}


#: `for:`, the lead's facts, and who is asked.
WHOM = {
    "sales, by country": ("sales", {"country": "DE"}, "lena@acme.example"),
    "sales, who has the lead": ("sales", {"country": "DE", "owner": "kim@acme.example"}, "kim@acme.example"),
    "sales, whom nobody here knows": ("sales", {"country": "DE", "owner": "gone@acme.example"}, "lena@acme.example"),
    "the owner, whoever that is": ("owner", {"owner": "partner@else.example"}, "partner@else.example"),
    "the owner, where there is none": ("owner", {"country": "DE"}, "lena@acme.example"),
    "one of the team": ("Kim@Acme.example", {"country": "DE"}, "kim@acme.example"),
}


@pytest.mark.parametrize("case", WHOM)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_is_asked(make: Make, case: str) -> None:
    whom, facts, asked = WHOM[case]
    world = asking(make, whom)
    lead(world, "ana", **facts)
    world.tick()

    assert [task.owner for task in world.rows(Task)] == [asked]
    assert [notice["to"] for notice in notices(world)] == [asked]
    assert world.who("ana").owner == facts.get("owner")  # a task makes nobody the owner


def test_turns_are_taken(make: Make) -> None:
    """Leads of one country go round among those who take it; the next cohort goes on where the last one stopped."""
    world = asking(make).at(timedelta(hours=6, minutes=30))  # both are at work, in Romania and in New York
    for name in ("ana", "bo", "cy"):
        lead(world, name, country="RO", email=f"{name}@{name}.example")
    world.tick()
    lead(world, "di", country="RO", email="di@di.example")
    world.tick()

    assert [task.owner.partition("@")[0] for task in world.rows(Task)] == ["mihai", "kim", "mihai", "kim"]


#: `due:` and the instant, for Kim in New York, who is asked on the Saturday before the clocks change there.
DUE = {
    "a day on the clock of who is asked": ("1 day", datetime(2026, 3, 8, 14, 0, tzinfo=UTC)),
    "hours as they pass": ("24 hours", datetime(2026, 3, 8, 15, 0, tzinfo=UTC)),
}


@pytest.mark.parametrize("case", DUE)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_until_when(make: Make, case: str) -> None:
    span, due = DUE[case]
    world = asking(make, "kim@acme.example", f", due: {span}")
    world.at(datetime(2026, 3, 7, 15, 0, tzinfo=UTC))
    lead(world, "ana")
    world.tick()

    assert [task.due_at for task in world.rows(Task)] == [due]
    (row,) = listed(world.machine, done=False)
    assert (row["overdue"], row["who"]) == ("", "Ana")
    world.at(due + timedelta(seconds=1))
    assert listed(world.machine, done=False)[0]["overdue"] == "overdue"
    assert "by Sun 8 Mar, 1" in text_of(notices(world)[0])


def test_a_lead_waits_for_what_was_asked(make: Make) -> None:
    """`did: task_done` turns true at the very moment; without an answer the wait ends when it is over."""
    world = asking(make)
    lead(world, "ana", country="DE")
    lead(world, "bo", country="DE")
    world.tick()
    first = world.rows(Task)[0]
    world.at(timedelta(minutes=1))
    who = done(world, first.id)
    world.tick()

    assert who == "lena@acme.example"
    assert world.stands() == {"ana": "completed", "bo": "called"}
    assert [row["who"] for row in listed(world.machine, done=False)] == ["Bo"]
    assert [row["done by"] for row in listed(world.machine, done=True)] == ["lena@acme.example", ""]

    world.run(timedelta(days=6))
    assert world.stands() == {"ana": "completed", "bo": "completed"}
    assert [step for step, _, _ in world.touches()["ana"]] == ["thanks"]
    assert "bo" not in world.touches()
    told = [happening.what for happening in world.story("ana").happenings if happening.kind == "task"]
    assert told == [
        f"task {first.id} for lena@acme.example: Call Ana, then <tell> us",
        f"task {first.id} done by lena@acme.example",
    ]


def test_a_task_is_done_once(make: Make) -> None:
    """The second answer changes nothing, and says who was first; an unknown number is said so."""
    world = asking(make)
    lead(world, "ana")
    world.tick()
    (task,) = world.rows(Task)
    done(world, task.id, "someone@acme.example")

    with pytest.raises(Refused, match=r"was done by someone@acme\.example"):
        done(world, task.id)
    with pytest.raises(NotFound, match="there is no task 99"):
        done(world, 99)


def test_a_text_that_cannot_be_made_stops_nobody(make: Make) -> None:
    """The salesperson is told so; the lead goes on."""
    world = asking(make)
    steps = '  - {id: ask, task: {for: sales, text: "{{ lead.nope }}"}}\n  - {id: over, exit: completed}'
    world.publish(program({"program.yaml": TEAM}, asking=sequence(steps)))
    lead(world, "ana")
    world.tick()

    (task,) = world.rows(Task)
    assert task.text.startswith("Ask (its text cannot be made for this lead: ")
    assert "'nope'" in task.text
    assert world.stands() == {"ana": "completed"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_program_may_write_its_own_notice(make: Make) -> None:
    """_shared/task.j2 goes before the one that is built in."""
    own = "{% block subject %}{{ brand }}: {{ task.text }}{% endblock %}<p>{{ owner.name }} {{ task.id }}</p>"
    world = asking(make, **{"_shared/task.j2": own})
    lead(world, "ana")
    world.tick()

    assert notices(world)[0]["subject"] == "Acme: Call Ana, then <tell> us"


def test_many_are_asked_in_parts_and_each_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one transaction takes: a task and a notice each, however often the step is carried."""
    monkeypatch.setattr(tasks, "COHORT", 20)
    world = asking(make)
    names = [f"n{number}" for number in range(43)]
    world.crowd(names, country="DE")
    world.event_of(names, "signed_up")
    world.tick().tick()

    asked = world.rows(Task)
    assert len(asked) == len({task.lead_id for task in asked}) == 43
    assert len(notices(world)) == 43
    assert {row.kind for row in world.rows(Outbox)} == {"task_notice"}
    with world.machine.db.read() as link:
        assert verify(link, world.machine.library, world.now).broken == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_name_of_any_length_has_its_notice(make: Make) -> None:
    """The subject says as much of it as a subject holds."""
    world = asking(make)
    lead(world, "ana", first_name="A" * 400, company="<C> " * 150)
    world.tick()

    (notice,) = notices(world)
    assert notice["subject"].startswith("To do: AAAA")
    assert "…, <C> <C>" in notice["subject"]


#: A task's text, and what publish says of it.
TOO_MUCH = {
    "a loop": "Call. {% for c in (lead.company or '') %}BIG{% endfor %}",
    "a loop for some leads": "Call. {% if lead.employees and lead.employees > 5000 %}{% for c in (lead.company or '') %}BIG{% endfor %}{% endif %}",
    "a loop within a macro": "{% macro m() %}{% for c in (lead.company or '') %}BIG{% endfor %}{% endmacro %}Call {{ m() | length }}",
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_text_that_grows_without_end_is_not_published(case: str) -> None:
    """Texts of tasks are tried as letters are, and what is wrong is said where the text stands."""
    text = TOO_MUCH[case].replace("BIG", "x" * 20_000)
    steps = f'  - {{id: rest, wait: 1 day}}\n  - {{id: ask, task: {{for: sales, text: "{text}"}}}}\n  - {{id: over, exit: completed}}'
    files = program({"program.yaml": TEAM}, asking=sequence(steps))
    lines = files["asking/sequence.yaml"].splitlines()

    (found,) = tried(load(files), ["asking"])
    assert (found.file, "task: {for: sales" in lines[found.line - 1]) == ("asking/sequence.yaml", True)
    assert "(template_limit)" in found.problem
    assert (
        tried(
            load(program({"program.yaml": TEAM}, asking=sequence(ASK.replace("WHOM", "sales").replace("MORE", "")))),
            ["asking"],
        )
        == []
    )

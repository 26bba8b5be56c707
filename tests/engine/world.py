"""A small program as text, the machine on a virtual clock, and the verbs that tests of the engine use.

Nobody here reaches below the doors: leads come in as an import brings them, events as the web writes them,
programs as a marketer writes them.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Executable, select, text
from sqlmodel import SQLModel, col

from nurture.channels.recording import RecordingChannel
from nurture.engine import answers, doors
from nurture.engine.answers import Outcome
from nurture.engine.machine import Machine
from nurture.engine.publishing import Published, publish
from nurture.engine.story import Story, tell
from nurture.intake import write
from nurture.intake.write import NewEvent, Person
from nurture.program.load import load
from nurture.records import Enrolment, Handoff, Lead, Milestone, Refusal, Touch
from nurture.rehearse.stage import Stage, set_stage

#: A Monday morning in Bucharest.
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

PROGRAM = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {industry: text, role: text, employees: number, paid: flag, since: date}
sales: [{name: Mihai, email: mihai@acme.example, country: RO}]
"""
LETTER = """<html><body>{% block subject %}Hello{% endblock %} {{ lead.first_name }}
<a href="https://acme.example/tour">tour</a> <a href="{{ unsubscribe_url }}">stop</a></body></html>"""
NOTICE = "<html><body>{% block subject %}{{ handoff.milestone }}{% endblock %} {{ handoff.accept_url }}</body></html>"
OFFER = """<html><body>{% block subject %}{{ offer.title }}{% endblock %}
<a href="{{ offer.url }}">read</a> <a href="{{ unsubscribe_url }}">stop</a></body></html>"""
SHARED = {"program.yaml": PROGRAM, "_shared/notice.j2": NOTICE, "_shared/offer.j2": OFFER}

_serial = itertools.count(1)


def sequence(
    steps: str, *, when: str = "{did: signed_up}", segment: str = "{email: {known: true}}", **more: str
) -> str:
    """The text of a sequence.yaml; `more`: further keys of it, as YAML; `enrol` says more of enrolment."""
    enrol = f"{{when: {when}, {more.pop('enrol')}}}" if "enrol" in more else f"{{when: {when}}}"
    keys = "".join(f"{key}: {value}\n" for key, value in more.items())
    return f"name: A sequence\nsegment: {segment}\nenrol: {enrol}\n{keys}steps:\n{steps}\n"


def program(files: Mapping[str, str] | None = None, **sequences: str) -> dict[str, str]:
    """All files of a program: `sequences` by slug, each with a letter for every one it names."""
    found = dict(SHARED)
    for slug, written in sequences.items():
        slug = slug.replace("_", "-")
        found[f"{slug}/sequence.yaml"] = written
        for word in written.replace("}", " ").replace(",", " ").split():
            if word.endswith(".j2") and not word.startswith("_shared/"):
                found[f"{slug}/{word}"] = OFFER if word.startswith("offer") else LETTER
    return found | dict(files or {})


class World:
    """One database, one machine, one clock."""

    def __init__(self, url: str, files: Mapping[str, str] | None = None, start: datetime = MONDAY) -> None:
        self.stage: Stage = set_stage(start, url)
        self.machine: Machine = self.stage.machine
        self.clock = self.stage.clock
        self.start = start
        self.ids: dict[str, int] = {}
        if files is not None:
            self.publish(files)

    # what people do

    def publish(self, files: Mapping[str, str], slugs: Iterable[str] | None = None) -> Published:
        """Make these files live; what `publish` said of it."""
        loaded = load(files).require()
        names = sorted(loaded.segments) if slugs is None else list(slugs)
        done: Published = self.do(lambda link: publish(link, self.machine.library, loaded, names, self.now))
        return done

    def lead(self, name: str, consent: str | None = "contract", **values: Any) -> int:
        """A lead that may be written to unless `consent` says otherwise; `email=None`: known by an id alone."""
        email = values.pop("email", f"{name.replace(' ', '-')}@lead.example")
        tracking = values.pop("tracking", "consent" if consent else None)
        tags, lists = values.pop("tags", ()), values.pop("lists", ())
        zone, sms = values.get("timezone"), values.pop("sms", None)
        columns = {**values, **({"zone": zone} if zone else {}), **({"email": email} if email else {})}
        number: int = self.do(
            lambda link: write.put_lead(
                link,
                columns,
                now=self.now,
                source="test",
                source_id=None if email else name,
                tags=tags,
                lists=lists,
                consent=consent,
                tracking=tracking,
                sms=sms,
            )[0]
        )
        self.ids[name] = number
        return number

    def crowd(self, names: Iterable[str], **values: Any) -> None:
        """Many leads that differ by their names alone, in one transaction, as an import brings them."""
        columns = {**values, **({"zone": values["timezone"]} if "timezone" in values else {})}
        people = {
            name: Person.of(columns | {"email": f"{name}@lead.example"}, source="test", mail="contract")
            for name in names
        }

        def put(link: Any) -> None:
            outcomes = write.put_people(link, list(people.values()), now=self.now, origin="test")
            self.ids |= {name: told.lead_id for name, told in zip(people, outcomes, strict=True) if told.lead_id}

        self.do(put)

    def event_of(self, names: Iterable[str], event: str) -> None:
        """The same event of many leads, in one transaction."""
        rows = [
            NewEvent(self.ids[name], event, self.now, self.now, self.now, {}, "test", f"event-{next(_serial)}")
            for name in names
        ]
        self.do(lambda link: write.put_events(link, rows))

    def event(
        self, who: str, name: str, *, occurred: datetime | None = None, settle: bool = False, **data: Any
    ) -> None:
        """Record an event now; `occurred`: it was earlier; `settle`: a web door looks at the lead at once."""
        at, lead = occurred or self.now, self.ids[who]
        actor, rest, key = data.pop("actor", "person"), data.pop("rest", timedelta()), data.pop("key", None)
        key = key or f"event-{next(_serial)}"

        def put(link: Any) -> None:
            write.put_event(link, lead, name, at, self.now, self.now + rest, data, "test", key, actor=actor)
            if settle:
                doors.settle_one(link, self.machine.library.live(link), lead, self.now)

        self.do(put)

    def answer(self, who: str, said: str, reason: str | None = None, **more: Any) -> Outcome:
        """What sales says of the lead's latest hand-off, by default its owner, now."""
        row, live = self.handoffs(who)[-1], self.machine.live()
        told = {"by": row.owner, "now": self.now, "source": "test", "key": f"answer-{next(_serial)}"} | more
        outcome: Outcome = self.do(lambda link: answers.answer(link, live, row.id, said, reason=reason, **told))
        return outcome

    def do(self, work: Callable[[Any], Any]) -> Any:
        """One transaction of a door."""
        return self.machine.db.transact(work, door=True)

    def click(self, who: str, step: str, *, machine: str | None = None, place: int = 0) -> None:
        """Follow a link of the letter of `step`; it rests as long as the machine says."""
        touch = self.touch(who, step).id
        rest = self.machine.click_rest
        self.do(lambda link: doors.click(link, touch, place, self.now, machine=machine, rest=rest))

    # time

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def at(self, instant: datetime | timedelta) -> World:
        """Set the clock: an instant, or so long after the start."""
        self.clock.at = self.start + instant if isinstance(instant, timedelta) else instant
        return self

    def tick(self, *segments: str) -> World:
        """One tick of each of these segments, now; unless said, of the first, which settles the leads of all, and of
        each that then has something to do, by priority."""
        known = self.machine.segments()
        for segment in segments or known:
            if segments or segment == known[0] or self.machine.waiting(segment, self.now):
                self.machine.tick(segment, self.now)
        return self

    def run(self, until: datetime | timedelta, stops: Mapping[datetime, Callable[[], None]] | None = None) -> World:
        """Carry on to `until`: a tick at every due instant and at each of `stops`, whose action comes first."""
        self.stage.run(self.start + until if isinstance(until, timedelta) else until, stops or {})
        return self

    # what can be seen

    def rows(self, table: type[SQLModel], *where: Any) -> list[Any]:
        """Rows of a table, oldest first."""
        columns = table.__table__  # type: ignore[attr-defined]
        with self.machine.db.read() as link:
            return list(link.execute(select(columns).where(*where).order_by(*columns.primary_key)).all())

    def names(self) -> dict[int, str]:
        return {number: name for name, number in self.ids.items()}

    def passages(self, slug: str | None = None) -> dict[str, Any]:
        """The latest enrolment of each lead, by the lead's name."""
        where = [] if slug is None else [col(Enrolment.sequence) == slug]
        names = self.names()
        return {names[row.lead_id]: row for row in self.rows(Enrolment, *where)}

    def stands(self, slug: str | None = None) -> dict[str, str | None]:
        """Where each lead stands: its step, or the word it left with."""
        return {name: row.step or row.outcome for name, row in self.passages(slug).items()}

    def touches(self, slug: str | None = None) -> dict[str, list[tuple[str, str, str | None]]]:
        """(step, state, reason) of each lead's touches, in order."""
        where = [] if slug is None else [col(Touch.sequence) == slug]
        found: dict[str, list[tuple[str, str, str | None]]] = {}
        names = self.names()
        for row in self.rows(Touch, *where):
            found.setdefault(names[row.lead_id], []).append((row.step, row.state, row.reason))
        return found

    def touch(self, who: str, step: str) -> Any:
        """The latest touch of a lead on a step."""
        return self.rows(Touch, col(Touch.lead_id) == self.ids[who], col(Touch.step) == step)[-1]

    def who(self, name: str) -> Any:
        """The lead's row."""
        return self.rows(Lead, col(Lead.id) == self.ids[name])[0]

    def refusals(self) -> dict[str, str]:
        names = self.names()
        return {names[row.lead_id]: row.reason for row in self.rows(Refusal)}

    def milestones(self, name: str) -> list[tuple[str, str | None, str | None]]:
        """(milestone, outcome, reason) of a lead, in order."""
        rows = self.rows(Milestone, col(Milestone.lead_id) == self.ids[name])
        return [(row.name, row.outcome, row.reason) for row in rows]

    def handoffs(self, name: str) -> list[Any]:
        return self.rows(Handoff, col(Handoff.lead_id) == self.ids[name])

    def story(self, name: str) -> Story:
        """What `explain` says of a lead now."""
        with self.machine.db.read() as link:
            return tell(link, self.machine.library.live(link), self.ids[name], self.now)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """(address, Message-ID) of every parcel that left by e-mail, in order."""
        channel = self.machine.email
        assert isinstance(channel, RecordingChannel)
        return [(parcel.to, parcel.key) for parcel in channel.parcels]

    def sql(self, statement: str | Executable, **values: Any) -> Any:
        """Change something no door changes: for what only an accident or an operator's hand does."""
        run = text(statement) if isinstance(statement, str) else statement
        return self.do(lambda link: link.execute(run, values))

    def close(self) -> None:
        self.stage.close()


@contextmanager
def world(url: str, files: Mapping[str, str] | None = None, start: datetime = MONDAY) -> Any:
    """A world that is closed at the end."""
    made = World(url, files, start)
    try:
        yield made
    finally:
        made.close()


def new_database(request: pytest.FixtureRequest) -> str:
    """The URL of a database of the kind `request.param`, for a fixture that several tests share."""
    if request.param == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("shared")
        return f"sqlite:///{shutil.copyfile(request.getfixturevalue('migrated_sqlite'), folder / 'nurture.db')}"
    server = request.getfixturevalue("postgres")
    return str(server.url(server.create(template=request.getfixturevalue("migrated_postgres"))))


def second_machine(first: World) -> World:
    """Another process on the same database and clock."""
    made = object.__new__(World)
    made.stage = set_stage(first.start, first.machine.db.url.render_as_string(hide_password=False))
    made.machine, made.clock = made.stage.machine, first.clock
    made.machine.clock = first.clock
    made.start, made.ids = first.start, first.ids
    return made


__all__ = [
    "DAY",
    "HOUR",
    "MONDAY",
    "PROGRAM",
    "World",
    "new_database",
    "program",
    "second_machine",
    "sequence",
    "world",
]

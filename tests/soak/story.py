"""The month: who comes when, and what the operator does on which day."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import cast

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture import clock as clocks
from nurture import tokens
from nurture.channels.webhook import signed_as
from nurture.clock import VirtualClock
from nurture.db import Database
from nurture.demo import books, sample
from nurture.demo.ads import AdPlatform
from nurture.demo.agenda import Agenda
from nurture.demo.browser import Browser
from nurture.demo.crm import Crm
from nurture.demo.house import DemoHouse
from nurture.demo.people import people
from nurture.demo.play import Play
from nurture.demo.sales import SalesTeam
from nurture.demo.texts import TextPlatform
from nurture.demo.website import SOURCE
from nurture.engine.machine import Machine
from nurture.intake import import_events, import_leads
from nurture.program.load import load, read_folder
from nurture.records import Suppression
from nurture.settings import Settings
from tests.soak.day import Day, look
from tests.soak.engine import Engine, SharedClock
from tests.soak.people import Crowd, Post, Site

_SEED = "a soak is the same at every run"
#: A Monday with no feast near it.
START = datetime(2026, 3, 2, tzinfo=UTC)
_DAY = timedelta(days=1)
_TEMPLATES = Path(__file__).parents[2] / "templates"
#: So short that a month has something to remove; `events` is longer than what any rule looks back on.
_RETENTION = (
    "retention: {events: 190 days, inbound: 10 days, visits: 10 days, refused_rows: 5 days, mail_copies: 5 days}"
)


@dataclass(frozen=True)
class Plan:
    """`fresh`: days on which each tick has a process of its own; `killed`: on which it is killed in between."""

    people: int
    days: int
    folder: Path
    database_url: str | None = None
    fresh: frozenset[int] = frozenset()
    killed: frozenset[int] = frozenset()
    #: Days on which the program is published anew, people are forgotten, and the engine is profiled.
    edits: frozenset[int] = frozenset()
    forgets: frozenset[int] = frozenset()
    profiles: frozenset[int] = frozenset()


class Days(Play):
    """The demo's play, with an engine that is begun anew before a tick where the plan says so."""

    engine: Engine
    plan: Plan
    wall: float = 0.0

    def tick(self, now: datetime) -> None:
        day = (now - START).days + 1
        if day in self.plan.killed:
            self.engine.kill()
            self.engine.start()
        elif day in self.plan.fresh:
            self.engine.close()
            self.engine.start()
        super().tick(now)


@dataclass
class Month:
    """The run: `days` as each ended, `broken` what `nurture verify` said, `entries` the books at the end."""

    plan: Plan
    say: Callable[[Day], None]
    days: list[Day] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    entries: list[books.Entry] = field(default_factory=list)
    objects: dict[int, Counter[str]] = field(default_factory=dict)
    #: The program's, as it is published.
    files: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """All of it."""
        if self.plan.folder.exists():
            shutil.rmtree(self.plan.folder)
        self.plan.folder.mkdir(parents=True)
        with ExitStack() as stack:
            house, engine, self.files = stack.enter_context(opened(self.plan))
            self.house, self.engine = house, engine
            crowd = self._prepare(stack)
            self._expect(crowd)
            self.play.run(START + self.plan.days * _DAY)
            self.broken += engine.ask("verify")
            with house.db.read() as link:
                self.entries = books.balance(link, self.house.mail.messages, house, crowd, self.play.sales, [])
                self.entries.append(_bounces(link, crowd))
            engine.close()

    def _prepare(self, stack: ExitStack) -> Crowd:
        house, engine, folder = self.house, self.engine, self.plan.folder
        chance, agenda, browser = clocks.seeded(_SEED), Agenda(house.clock), Browser()
        stack.callback(browser.close)
        everybody = people(self.plan.people, START.date(), chance)
        sample.write_leads(folder / "leads.csv", everybody, chance)
        sample.write_events(folder / "events.ndjson", sample.history(everybody, START, chance))
        visits = sample.visits(everybody, START, self.plan.days, chance)
        owners = {country: one.email for one in house.house.program.sales for country in one.countries}
        guests = sample.write_guests(folder / "guests.csv", everybody, owners, START.date(), chance)
        known, rest = house.house.program, timedelta(seconds=30)
        import_leads(house.db, folder / "leads.csv", known=known, now=START)
        import_events(house.db, folder / "events.ndjson", known=known, now=START, source=SOURCE, click_rest=rest)
        engine.start()
        engine.ask("publish", self.files)
        site = Site(engine, folder / "website")
        crowd = Crowd([*everybody, *(visit.person for visit in visits), *guests], agenda, browser, site, engine)
        crowd.expect(visits)
        sales = SalesTeam(house.house, agenda, browser, lambda task, by: engine.ask("finish", task, by))
        machine = cast("Machine", engine)
        self.play = Days(machine, house.clock, house.mail, agenda, crowd, sales, site, house.segments)
        self.play.engine, self.play.plan = engine, self.plan
        self.everybody = everybody
        return crowd

    def _expect(self, crowd: Crowd) -> None:
        """Put the days' deeds on the agenda."""
        put = self.play.agenda.put
        put(
            START + timedelta(days=1, hours=15),
            lambda: self.engine.ask("leads", self.plan.folder / "guests.csv", sample.FAIR),
        )
        for number in range(1, self.plan.days + 1):
            begins = START + (number - 1) * _DAY
            for hour in (6, 9, 12, 15):
                put(begins + timedelta(hours=hour), lambda: self.engine.ask("release"))
            if number in self.plan.edits:
                put(begins + timedelta(hours=11), lambda number=number: self._edit(number))  # type: ignore[misc]
            if number in self.plan.forgets:
                put(begins + timedelta(hours=13), lambda number=number: self._forget(crowd, number))  # type: ignore[misc]
            if number in self.plan.profiles:
                file = self.plan.folder / f"day-{number}.prof"
                put(begins + timedelta(minutes=1), lambda: self.engine.ask("profile", None))
                put(begins + timedelta(hours=23, minutes=50), lambda file=file: self.engine.ask("profile", file))  # type: ignore[misc]
            put(begins + timedelta(hours=23, minutes=55), lambda number=number: self._end(number))  # type: ignore[misc]
        self._since, self._cpu = monotonic(), self.engine.cpu

    def _edit(self, number: int) -> None:
        """A letter and each sequence are written anew; what they mean stays."""
        marks = {".yaml": f"\n# edition of day {number}\n", ".j2": f"{{# edition of day {number} #}}\n"}
        edited = {
            name: text + marks[Path(name).suffix] if "/" in name and Path(name).suffix in marks else text
            for name, text in self.files.items()
            if "/checks/" not in name
        }
        self.engine.ask("publish", edited)

    def _forget(self, crowd: Crowd, number: int) -> None:
        step = max(1, len(self.everybody) // 300)
        for person in self.everybody[number : number + 3 * step : step]:
            if person.email not in crowd.erased:
                crowd.erase(person.email)

    def _end(self, number: int) -> None:
        held = self.engine.ask("weigh")
        now, cpu = monotonic(), self.engine.cpu
        held |= {"wall": now - self._since, "cpu": cpu - self._cpu, "mails": len(self.house.mail.messages)}
        self._since, self._cpu = now, cpu
        day = look(self.house.db, self.plan.folder, number, held, self.house.clock.now())
        if number % 5 == 0:
            self.broken += self.engine.ask("verify")
        if number in self.plan.profiles:
            self.objects[number] = self.engine.ask("objects")
        self.days.append(day)
        self.say(day)


def _bounces(link: Connection, crowd: Crowd) -> books.Entry:
    """Address by address: nobody is written to whose mailbox is gone."""
    rows = select(col(Suppression.value)).where(
        col(Suppression.kind) == "address", col(Suppression.reason) == "bounced"
    )
    noted = set(link.execute(rows).scalars()) - crowd.erased
    outside, inside = f"{len(crowd.bounced):,} addresses", f"{len(noted):,} suppressed"
    return books.Entry("mailboxes that are gone", outside, inside, noted == crowd.bounced)


@contextmanager
def opened(plan: Plan) -> Iterator[tuple[DemoHouse, Engine, dict[str, str]]]:
    """The demo's house and its peers, with a relay that forgets, and the engine beside it."""
    clock = SharedClock.starting(START)
    with ExitStack() as stack:
        mail = stack.enter_context(Post())
        ads, texts, crm = (
            stack.enter_context(AdPlatform()),
            stack.enter_context(TextPlatform()),
            stack.enter_context(Crm()),
        )
        port = _free_port()
        settings = Settings(
            home=plan.folder, database_url=plan.database_url or f"sqlite:///{plan.folder / 'nurture.db'}",
            templates=_TEMPLATES, smtp_url=mail.url, sms_url=texts.account, public_url=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]
            smtp_connections=2, click_rest_seconds=30,
            secret_key=None, secret_key_file=None,
        )  # fmt: skip
        db = Database(settings.url())
        stack.callback(db.dispose)
        db.require_schema()
        files = read_folder(_TEMPLATES)
        program = files["program.yaml"].replace("https://ads.example", ads.url).replace("https://crm.example", crm.url)
        said = next(line for line in program.splitlines() if line.startswith("retention:"))
        files["program.yaml"] = program.replace(said, _RETENTION)
        crm.key = tokens.keys(settings.secret()).signing(signed_as("crm"))
        loaded = load(files).require()
        house = DemoHouse(
            plan.folder, settings, cast("VirtualClock", clock), db, loaded, cast("Post", mail), ads, texts, crm
        )
        yield house, Engine(settings, clock, db, port), files


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

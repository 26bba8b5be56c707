"""The demo from nothing to the end: sample, import, publish, three weeks, and what came of them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from nurture import clock as clocks
from nurture.clock import SystemClock, VirtualClock
from nurture.demo import books, sample
from nurture.demo.afterwards import keep_open
from nurture.demo.agenda import Agenda
from nurture.demo.audience import Audience
from nurture.demo.browser import Browser, NotServed
from nurture.demo.house import DemoHouse, built, finish, reply
from nurture.demo.people import Person, people
from nurture.demo.play import Play
from nurture.demo.prefect_runs import Checked, PrefectRuns
from nurture.demo.report import report
from nurture.demo.sales import SalesTeam
from nurture.demo.screen import Screen
from nurture.demo.website import SOURCE, Website
from nurture.engine.machine import Machine
from nurture.errors import FileFault, NurtureError
from nurture.intake import import_events, import_leads

#: The file of those who came to the stand.
GUESTS = "guests.csv"
_SEED = "a demo is the same at every run"
#: Hour of the day (UTC) of the rounds that Prefect carries: Europe and the Gulf are open then.
_ROUND = timedelta(hours=9, minutes=5)
#: When the file of the trade fair's guests comes: in the afternoon of the second day.
_FAIR = timedelta(days=1, hours=15)


@dataclass(frozen=True)
class Size:
    """How large a demo is. `rounds`: of real Prefect flow runs, one for each segment in each."""

    people: int = 2500
    days: int = 21
    rounds: int = 3


@dataclass(frozen=True)
class Cast:
    """Who plays: `everybody` in the base on the first day, who comes to the website later, who was at the fair."""

    everybody: list[Person]
    visits: list[sample.Visit]
    guests: list[Person]

    def crowd(self) -> list[Person]:
        """All of them."""
        return [*self.everybody, *(visit.person for visit in self.visits), *self.guests]


@dataclass
class Outcome:
    """What a demo came to: the comparisons, and how many letters there were."""

    entries: list[books.Entry] = field(default_factory=list)
    mails: int = 0

    @property
    def balances(self) -> bool:
        return bool(self.entries) and all(entry.balances for entry in self.entries)


def run(
    out: TextIO | None = None,
    *,
    size: Size | None = None,
    folder: Path | None = None,
    start: datetime | None = None,
) -> int:
    """The demo; 0 when the books balance at the end, else 1 with the reason.

    `folder`: made anew, `.nurture/demo` unless said. `start`: so many days before today unless said.
    """
    screen, size = Screen(out), size or Size()
    today = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        outcome = perform(
            screen, size, folder or Path(".nurture/demo"), start or today - timedelta(days=size.days),
            stay=screen.console.file.isatty(),
        )  # fmt: skip
    except (NurtureError, NotServed) as problem:
        screen.say(f"\n[bold red]The demo stopped:[/] {problem}")
        return 1
    except KeyboardInterrupt:
        screen.say("\nStopped. Nothing goes on in the background.")
        return 1
    return 0 if outcome.balances else 1


def perform(screen: Screen, size: Size, folder: Path, start: datetime, *, stay: bool = False) -> Outcome:
    """All of it; raises NurtureError or NotServed where something does not work at all.

    `stay`: at the end its pages are left open until Ctrl-C.
    """
    root = _repository()
    clock = VirtualClock(start)
    end = start + timedelta(days=size.days)
    with ExitStack() as stack:
        stack.enter_context(_alone(folder))
        screen.say(f"[bold]Nurture demo[/]: {size.days} days of nurture on a compressed clock, in {folder}")
        house = stack.enter_context(built(folder, root / "templates", clock))
        runs = _prefect(stack, house, size, root)
        cast = _prepare(screen, house, size, start)
        machine = stack.enter_context(house.opened())
        story = _Story(screen, house, machine, cast, stack)
        story.expect_the_fair(start + _FAIR)
        story.carry(start, end, _mornings(start, size) if runs else [], runs)
        checked = runs.checked(machine.db) if runs else []
        outcome = story.tell(start, checked)
        if stay:
            keep_open(screen, house, machine, story.play, runs.api if runs else None)
        return outcome


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One demo at a time in a folder, since each begins by emptying it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FileFault(f"another demo runs in {folder}; wait for its end") from None
        yield


def _repository() -> Path:
    """The folder with templates/ and flows/: this one, or the one that we were cloned with."""
    for folder in (Path(), Path(__file__).parents[3]):
        if (folder / "templates" / "program.yaml").is_file() and (folder / "flows" / "__main__.py").is_file():
            return folder
    raise FileFault("there is no templates/ and flows/ here; run the demo in the folder of the repository")


def _prefect(stack: ExitStack, house: DemoHouse, size: Size, root: Path) -> PrefectRuns | None:
    """Start the Prefect server early: it takes a few seconds to wake."""
    if not size.rounds:
        return None
    runs = PrefectRuns(root, house.folder / "prefect", house.settings)
    stack.enter_context(runs.server())
    return runs


def _mornings(start: datetime, size: Size) -> list[datetime]:
    """Mornings of a Tuesday, a Wednesday and a Thursday, weeks apart: every sequence may write then."""
    days = [start + timedelta(days=number) for number in range(size.days)]
    open_days = [day for day in days if day.weekday() in (1, 2, 3)]
    apart = len(open_days) // size.rounds
    places = [min(number * apart + number, len(open_days) - 1) for number in range(size.rounds)]
    return [open_days[place] + _ROUND for place in places]


def _prepare(screen: Screen, house: DemoHouse, size: Size, start: datetime) -> Cast:
    """Make the sample, import it, publish the program."""
    chance, program = clocks.seeded(_SEED), house.house.program
    leads, events = house.folder / "leads.csv", house.folder / "events.ndjson"
    screen.title("What we know on the first day")
    with screen.phase("making sample leads and events") as done:
        everybody = people(size.people, start.date(), chance)
        sample.write_leads(leads, everybody, chance)
        count = sample.write_events(events, sample.history(everybody, start, chance))
        visits = sample.visits(everybody, start, size.days, chance)
        owners = {country: person.email for person in program.sales for country in person.countries}
        guests = sample.write_guests(house.folder / GUESTS, everybody, owners, start.date(), chance)
        done(f"sample made: {leads.name}, {count:,} events in {events.name}")
    with screen.phase("importing leads") as done:
        report_ = import_leads(house.db, leads, known=program, now=start, progress=screen.part)
        done("leads imported")
    screen.show(f"[dim]{report_.text()}[/]")
    with screen.phase("importing events") as done:
        report_ = import_events(
            house.db, events, known=program, now=start, source=SOURCE, progress=screen.part,
            click_rest=timedelta(seconds=house.settings.click_rest_seconds),
        )  # fmt: skip
        done("events imported")
    screen.show(f"[dim]{report_.text()}[/]")
    with screen.phase("publishing templates/") as done:
        published = house.publish()
        done(f"program version {published.program_number} published")
    for effect in published.effects:
        screen.show(f"[dim]  {effect}[/]")
    return Cast(everybody, visits, guests)


class _Story:
    """The people on the stage, and what they do until the end."""

    def __init__(
        self,
        screen: Screen,
        house: DemoHouse,
        machine: Machine,
        cast: Cast,
        stack: ExitStack,
    ) -> None:
        self.screen, self.house, self.machine, self.guests = screen, house, machine, cast.guests
        self.agenda, browser = Agenda(house.clock), Browser()
        agenda = self.agenda
        stack.callback(browser.close)
        website = Website(machine, house.house.program, house.folder / "website")
        self.audience = Audience(
            cast.crowd(),
            agenda,
            browser,
            website,
            machine.public_url,
            lambda letter, auto: reply(machine, letter, auto),
        )
        self.audience.expect(cast.visits)
        self.sales = SalesTeam(house.house, agenda, browser, lambda task, by: finish(machine, task, by))
        self.play = Play(machine, house.clock, house.mail, agenda, self.audience, self.sales, website, house.segments)

    def expect_the_fair(self, at: datetime) -> None:
        """Plan the import of the guests, as `nurture import leads guests.csv --list fair-2026` does it."""
        self.agenda.put(at, lambda: self._fair(at))

    def _fair(self, at: datetime) -> None:
        file, program = self.house.folder / GUESTS, self.house.house.program
        import_leads(self.house.db, file, known=program, now=at, onto=sample.FAIR)
        self.machine.settle(at)
        self.screen.say(
            f"    {at:%a %d %b %H:%M}  `nurture import leads {GUESTS} --list {sample.FAIR}`: {len(self.guests)} guests"
        )

    def carry(self, start: datetime, end: datetime, mornings: Sequence[datetime], runs: PrefectRuns | None) -> None:
        """Let the days go by."""
        self.screen.title("Three weeks" if (end - start).days == 21 else f"{(end - start).days} days")
        self.screen.say(
            f"  public app {self.machine.public_url}  relay {self.house.mail.url}"
            + (f"  Prefect {runs.api}" if runs else "")
        )
        if runs is not None:
            with self.screen.phase("waiting for the Prefect server") as done:
                runs.ready()
                done("the Prefect server answers")
            self.play.rounds, self.play.prefect = list(mornings), lambda at: self._round(runs, at)
        with self.screen.days(start, end) as moved:
            self.play.seen = lambda at: moved(at, self._news())
            self.play.run(end)

    def _round(self, runs: PrefectRuns, at: datetime) -> None:
        self.screen.say(f"    {at:%a %d %b %H:%M}  `python -m flows tick …`: a Prefect flow run for each segment")
        runs.tick(self.house.segments, at)

    def _news(self) -> str:
        mails, clicks = len(self.house.mail.messages), self.audience.clicks["person"]
        return f"{mails:,} mails, {clicks:,} tracked links followed, {self.audience.deeds['forms sent']:,} forms"

    def tell(self, start: datetime, checked: Sequence[Checked]) -> Outcome:
        """Compare, and print what happened."""
        mails = list(self.house.mail.messages)
        with self.machine.db.read() as link:
            entries = books.balance(link, mails, self.house, self.audience, self.sales, checked)
            report(self.screen, self.machine, link, self.house, self.audience, checked, entries, start)
        return Outcome(entries, len(mails))

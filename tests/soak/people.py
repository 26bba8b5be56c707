"""The demo's people in a house whose engine runs elsewhere; some of their mailboxes are gone, some complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nurture.channels.mailbox import Kept, KeptMail
from nurture.demo.agenda import Agenda
from nurture.demo.audience import Audience
from nurture.demo.browser import Browser
from nurture.demo.habits import share
from nurture.demo.letters import Letter, message_id
from nurture.demo.people import Person
from nurture.demo.sample import write_events
from nurture.demo.website import SOURCE, Website
from tests.inbound.mails import dsn
from tests.soak.engine import Engine

#: The share of addresses that exist no more.
_GONE = 0.012


class Post(KeptMail):
    """The relay; of a letter that was read it keeps the Message-ID alone."""

    def new(self) -> Iterator[Kept]:
        while self._told < len(self.messages):
            place, self._told = self._told, self._told + 1
            whole = self.messages[place]
            yield whole
            kept = f"Message-ID: {message_id(whole)}\r\n\r\n".encode()
            self.messages[place] = Kept(whole.sender, whole.to, kept)


class Site(Website):
    """The website; its exports are imported by the engine's process."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._seen: list[dict[str, Any]] = []
        self._count = self.imported = 0
        folder.mkdir(parents=True, exist_ok=True)

    def export(self, now: datetime) -> None:
        if self._seen:
            file = self._folder / f"{now:%Y-%m-%dT%H%M}.ndjson"
            write_events(file, self._seen)
            self._seen = []
            self.imported += self._engine.ask("events", file, SOURCE)
            file.unlink()


class Crowd(Audience):
    """Everybody. `bounced`: the addresses that a letter came back from; `erased`: who asked to be forgotten."""

    def __init__(
        self,
        people: Sequence[Person],
        agenda: Agenda,
        browser: Browser,
        site: Site,
        engine: Engine,
    ) -> None:
        reply: Callable[[Letter, bool], bool] = lambda letter, automatic: engine.ask("reply", letter, automatic)  # noqa: E731
        super().__init__(people, agenda, browser, site, engine.public_url, reply)
        self._engine = engine
        self.bounced: set[str] = set()
        self.erased: set[str] = set()

    def read(self, letter: Letter) -> None:
        if share("mailbox", letter.to) > _GONE:
            super().read(letter)
            return
        self._gone.add(letter.to)
        self._agenda.put(letter.at + timedelta(minutes=1), lambda: self._come_back(letter))

    def _come_back(self, letter: Letter) -> None:
        self._engine.ask("take_in", dsn(letter.message_id))
        if letter.to not in self.erased:
            self.bounced.add(letter.to)

    def erase(self, address: str) -> None:
        """The person asks to be forgotten, and is."""
        self._gone.add(address)
        self.erased.add(address)
        self.bounced.discard(address)
        self._engine.ask("forget", address)
        self.deeds["forgotten"] += 1

    def _look(self, letter: Letter, path: str) -> None:
        if letter.to not in self._gone:
            super()._look(letter, path)

    def _visit(self, visit: Any) -> None:
        if visit.person.email not in self.erased:
            super()._visit(visit)

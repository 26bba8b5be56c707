"""The simulated audience: it knows what its mail says, and comes back through the same doors as anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from nurture.demo.agenda import Agenda
from nurture.demo.browser import Browser, NotServed
from nurture.demo.habits import AT_ONCE, habit, scanner, share, soon
from nurture.demo.letters import Letter, Link
from nurture.demo.people import Person
from nurture.demo.sample import Visit
from nurture.demo.website import Website

#: What people think of the form behind a sequence that has interested them.
_FORMS = {"saas-evaluators": "demo", "gulf-distributors": "quote", "win-back": "contact", "event-guests": "demo"}
_DAYS = timedelta(days=2)


class Audience:
    """Reads letters, and plans on `agenda` what its people do about them. `reply` answers a letter by mail, and
    says whether that reached us or a colleague's own mailbox.

    `deeds` counts what was done, by kind; `clicks` the tracked links followed, by `person` or `machine`, or
    by a machine that finds a `lone` link minutes after delivery: nothing tells that from a person.
    """

    def __init__(
        self,
        people: Sequence[Person],
        agenda: Agenda,
        browser: Browser,
        website: Website,
        public_url: str,
        reply: Callable[[Letter, bool], bool],
    ) -> None:
        self._people: Mapping[str, Person] = {person.email: person for person in people}
        self._agenda, self._browser, self._website = agenda, browser, website
        self._public_url, self._reply = public_url, reply
        self._letters: Counter[str] = Counter()
        self._gone: set[str] = set()
        self._asked: set[str] = set()
        self.deeds: Counter[str] = Counter()
        self.clicks: Counter[str] = Counter()

    def expect(self, visits: Sequence[Visit]) -> None:
        """Plan what happens without any letter: people come to the website by themselves."""
        for visit in visits:
            self._agenda.put(visit.at, lambda visit=visit: self._visit(visit))  # type: ignore[misc]

    def read(self, letter: Letter) -> None:
        """A letter has come: its reader, or a scanner before the reader, will do something or nothing."""
        person = self._people.get(letter.to)
        if person is None:
            raise NotServed(f"a letter came for {letter.to}, who is not in the sample")
        self._letters[letter.to] += 1
        after = scanner(letter.to)
        if after is not None:
            self._agenda.put(letter.at + after, lambda: self._scan(letter))
        mood = share(letter.to, letter.sequence, letter.subject)
        match habit(letter.to):
            case "reader":
                self._as_reader(person, letter, mood)
            case "keen":
                self._as_keen(person, letter, mood)
            case "leaver":
                self._as_leaver(person, letter, mood)
            case "writer":
                self._as_writer(person, letter, mood)
            case "absent":
                self._agenda.put(letter.at + timedelta(seconds=20), lambda: self._answer(letter, True))
            case "silent":
                pass

    def _as_reader(self, person: Person, letter: Letter, mood: float) -> None:
        if mood < 0.55:
            at = soon(letter.at, person.timezone, mood / 0.55, _DAYS)
            self._agenda.put(at, lambda: self._click(letter, mood))

    def _as_keen(self, person: Person, letter: Letter, mood: float) -> None:
        if mood > 0.88:
            return
        first = soon(letter.at, person.timezone, mood, _DAYS)
        self._agenda.put(first, lambda: self._click(letter, mood))
        for number in range(int(share(letter.to, "prices", letter.subject) * 3)):
            later = soon(first, person.timezone, share(letter.to, str(number)), _DAYS)
            self._agenda.put(later, lambda: self._look(letter, "/pricing"))
        asks = share(letter.to, "asks", letter.subject) < (0.28 if letter.doors("f") else 0.12)
        if asks and self._letters[letter.to] > (letter.sequence == "saas-evaluators"):
            at = soon(first, person.timezone, share(letter.to, "when"), _DAYS)
            self._agenda.put(at, lambda: self._ask(person, letter))

    def _as_leaver(self, person: Person, letter: Letter, mood: float) -> None:
        if mood < 0.7:
            at = soon(letter.at, person.timezone, mood, _DAYS)
            self._agenda.put(at, lambda: self._leave(letter, by_page=mood < 0.35))

    def _as_writer(self, person: Person, letter: Letter, mood: float) -> None:
        if mood < 0.5:
            at = soon(letter.at, person.timezone, mood, _DAYS)
            self._agenda.put(at, lambda: self._answer(letter, False))

    def _click(self, letter: Letter, mood: float) -> None:
        """Follow one link; where it leads is a page of the website, which notes the visit."""
        if letter.to in self._gone:
            return
        found = [link for link in letter.links if link.door in ("c", "o", "") and link.url.startswith("http")]
        if not found:
            return
        link = found[int(mood * 97) % len(found)]
        path = self._opened(link)
        self.deeds["links followed"] += 1
        self.clicks["person"] += letter.tracked and link.door != ""
        self._look(letter, path)

    def _look(self, letter: Letter, path: str) -> None:
        self._website.saw(self._now(), letter.to, "page_viewed", {"path": path})

    def _opened(self, link: Link) -> str:
        """The path of the page in the end: through a click door's redirect, or from an offer's page."""
        if link.door == "":
            return urlsplit(link.url).path
        onward = self._browser.follow(link.url)
        if link.door == "c" and onward is None:
            raise NotServed(f"{link.url} leads nowhere")
        return urlsplit(onward).path if onward else "/library"

    def _scan(self, letter: Letter) -> None:
        """A machine follows everything at once, the way out included."""
        links = letter.doors("c", "o", "f")
        for link in [*links, *letter.doors("u")]:
            self._browser.follow(link.url)
        lone = len(links) == 1 and scanner(letter.to) != AT_ONCE
        self.clicks["lone" if lone else "machine"] += len(links) if letter.tracked else 0
        self.deeds["scanners"] += 1

    def _ask(self, person: Person, letter: Letter) -> None:
        """Go to the form: by the letter's link if it has one, else by the website's."""
        if letter.to in self._gone | self._asked:
            return
        link = next(iter(letter.doors("f")), None)
        url = link.url if link else f"{self._public_url}/f/{_FORMS.get(letter.sequence, 'contact')}"
        self.clicks["person"] += bool(link and letter.tracked)
        self._asked.add(letter.to)
        self._send(person, url)

    def _send(self, person: Person, url: str) -> None:
        form = self._browser.forms(url)[0]
        answers = {name: str(value) for name, value in asdict(person).items()}
        self._browser.send(form, form.filled(answers, tick=("consent", "tracking")))
        self.deeds["forms sent"] += 1

    def _leave(self, letter: Letter, *, by_page: bool) -> None:
        """Unsubscribe: on the page behind the letter's link, or with the mail program's one click."""
        if letter.to in self._gone:
            return
        self._gone.add(letter.to)
        page = next(iter(letter.doors("u")), None)
        if by_page and page is not None:
            self._browser.send(self._browser.forms(page.url)[0], {})
        elif letter.unsubscribe:
            self._browser.post(letter.unsubscribe, {"List-Unsubscribe": "One-Click"})
        self.deeds["unsubscribed"] += 1

    def _answer(self, letter: Letter, automatic: bool) -> None:
        if letter.to not in self._gone:
            seen = self._reply(letter, automatic)
            self.deeds["absence notes" if automatic else "replies" if seen else "replies to the owner"] += 1

    def _visit(self, visit: Visit) -> None:
        if visit.form:
            self._send(visit.person, f"{self._public_url}/f/{visit.form}")
        else:
            self._website.saw(visit.at, visit.person.email, visit.event, visit.data or {})

    def _now(self) -> datetime:
        return self._agenda.clock.now()

"""The sales team of the demo: each reads the notices that come, opens the links in them, and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from nurture.demo.agenda import Agenda
from nurture.demo.browser import Browser, NotServed
from nurture.demo.habits import share
from nurture.demo.letters import Letter, Link
from nurture.engine.routing import business_deadline
from nurture.program.load import House
from nurture.program.sales import Salesperson

#: A notice that asks for an answer has a link to accept, one to everything, and one for each reason.
_ANSWERABLE = 3


class SalesTeam:
    """Reads notices, and plans answers on `agenda` within each person's working hours.

    `finish` says that a task (its number) is done, and by whom. `answers` counts the buttons pressed by their words.
    """

    def __init__(self, house: House, agenda: Agenda, browser: Browser, finish: Callable[[int, str], None]) -> None:
        self._team = {person.email: person for person in house.program.sales}
        self._house, self._agenda, self._browser = house, agenda, browser
        self._finish = finish
        self.answers: Counter[str] = Counter()
        self.tasks_done = 0
        self._read: set[str] = set()

    def is_for(self, letter: Letter) -> bool:
        """Whether this is a notice for one of them."""
        return letter.to in self._team and letter.automatic

    def read(self, letter: Letter) -> None:
        """A notice has come."""
        person, links = self._team[letter.to], letter.doors("h")
        if letter.task is not None:
            self._take(person, letter, letter.task)
            return
        if len(links) < _ANSWERABLE or links[0].url in self._read:
            return  # a reminder of what is planned already, or word that only tells
        self._read.add(links[0].url)
        lead = next((link.url.removeprefix("mailto:") for link in letter.links if link.url.startswith("mailto:")), "")
        mind = share("sales", lead)
        if mind > 0.94:
            return  # lies unanswered
        minutes = 6 + 150 * share("sales takes", lead)
        at = business_deadline(person, self._house, letter.at, minutes / 60)
        link = links[0] if mind < 0.72 else _rejecting(links, mind)
        self._agenda.put(at, lambda: self._answer(person, link))

    def _take(self, person: Salesperson, letter: Letter, task: int) -> None:
        """Of four tasks three are done, most within a day of work."""
        mind = share("task", letter.to, str(task))
        if mind < 0.75:
            hours = (20 + 600 * mind) / 60
            self._agenda.put(
                business_deadline(person, self._house, letter.at, hours), lambda: self._done(task, person.email)
            )

    def _done(self, task: int, by: str) -> None:
        self._finish(task, by)
        self.tasks_done += 1

    def _answer(self, person: Salesperson, link: Link) -> None:
        """Open the link, look at the page, press its button."""
        forms = self._browser.forms(link.url)
        if not forms:
            raise NotServed(f"the answer page for {person.name} has no button")
        self._browser.send(forms[0], {})
        self.answers[link.text] += 1


def _rejecting(links: Sequence[Link], mind: float) -> Link:
    """One of the links that say why not; they stand last in a notice."""
    whys = links[2:]
    return whys[int(mind * 1000) % len(whys)]

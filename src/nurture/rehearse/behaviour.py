"""How made-up people behave: by a number that seed, lead and occasion decide, so that a draft meets the same people."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from nurture.clock import seeded
from nurture.engine import answers, doors, holds
from nurture.folding import fold
from nurture.intake import write
from nurture.language.conditions import Did
from nurture.program.lifecycle import REJECTIONS
from nurture.records import Handoff, Lead, LeadList, Touch
from nurture.rehearse.made_up import Stranger, Vocabulary, soon
from nurture.rehearse.simulate import Rehearsal
from nurture.rehearse.wishes import data_for

#: Of a hundred letters so many are clicked in, and so on; of a hundred addresses so many return mail.
CLICKS, REPLIES, ASKS, VISITS, UNSUBSCRIBES, COMPLAINS, BOUNCES = 0.25, 0.02, 0.04, 0.10, 0.008, 0.0005, 0.01
#: Of a hundred hand-offs sales accepts so many, and rejects so many; the others it lets pass.
ACCEPTS, REJECTS = 0.60, 0.25
#: How late people do things, at most; how long a person takes to answer a hold.
_LONGEST, _ANSWER = timedelta(days=5), timedelta(hours=1)
_PLACE_OF_OFFER = 0xFFFE
_SOURCE = "made up"
#: Letters that one statement looks up.
_AT_ONCE = 500


@dataclass
class Crowd:
    """The made-up people of one rehearsal."""

    show: Rehearsal
    words: Vocabulary
    seed: int
    people: Sequence[Stranger]
    #: Address and zone of each, by the lead's number.
    known: dict[int, tuple[str, str]] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)

    def enter(self) -> None:
        """Enter everybody's coming in the agenda, and be told of every letter."""
        by_instant: dict[datetime, list[Stranger]] = {}
        for stranger in self.people:
            by_instant.setdefault(stranger.at, []).append(stranger)
        for at, some in sorted(by_instant.items()):
            self.show.agenda.enter(at, lambda now, some=some: self._come(some, now))  # type: ignore[misc]
        self.show.after.append(self._look)

    def _share(self, *words: object) -> float:
        """A number from 0 to 1 that the words decide."""
        digest = hashlib.sha256("\0".join(str(word) for word in (self.seed, *words)).encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def _come(self, some: Sequence[Stranger], now: datetime) -> None:
        default = self.words.house.program.zone

        def work(link: Connection) -> list[int]:
            ids = []
            outcomes = write.put_people(link, [stranger.person for stranger in some], now=now, origin=_SOURCE)
            for stranger, outcome in zip(some, outcomes, strict=True):
                lead = int(outcome.lead_id or 0)
                ids.append(lead)
                link.execute(update(Lead).where(col(Lead.id) == lead).values(draw=stranger.draw))
                for place, act in enumerate(stranger.acts):
                    at = now - timedelta(days=act.days)
                    key = f"{stranger.number}:came:{place}"
                    write.put_event(link, lead, act.name, at, now, now, dict(act.data), _SOURCE, key)
                rows = [{"lead_id": lead, "list": fold(name)} for name in sorted(set(stranger.lists))]
                if rows:
                    link.execute(insert(LeadList), rows)
            return ids

        for stranger, lead in zip(some, self.show.stage.machine.db.transact(work), strict=True):
            zone = stranger.person.columns.get("zone") or default
            self.known[lead] = (str(stranger.person.email), zone)
            self._browse(lead, now)

    def _browse(self, lead: int, now: datetime) -> None:
        """Some come by now and then, letter or not."""
        address, zone = self.known[lead]
        deeds, left = self.words.deeds, self.show.until - now
        for time in range(int(self._share(address, "visits") ** 3 * 4) if deeds else 0):
            at = soon(now, zone, left * self._share(address, "visit", time))
            self._do(at, lead, deeds[int(self._share(address, "visits what", time) * len(deeds))], f"visit {time}")

    def _do(self, at: datetime, lead: int, did: Did, key: str) -> None:
        """A deed of a lead's own: a visit, a download, a question."""
        data = data_for(did, seeded(f"{self.seed}/{self.known[lead][0]}/{key}"))

        def happen(link: Connection, now: datetime) -> None:
            doors.add_event(link, lead, did.name, now, source=_SOURCE, key=f"{lead}:{key}", data=data)

        self._door(at, happen)

    def _door(self, at: datetime, what: Callable[[Connection, datetime], object]) -> None:
        """Enter in the agenda that somebody comes through a door."""

        def come(now: datetime) -> None:
            self.show.stage.machine.db.transact(lambda link: what(link, now))

        if at <= self.show.until:
            self.show.agenda.enter(at, come)

    def _look(self, now: datetime) -> None:
        """Who was written to, who was handed over, what waits for a person: each is answered in its time."""
        sent, asked = self.show.witness.newly_sent(), self.show.witness.newly_opened()
        with self.show.stage.machine.db.read() as link:
            letters = [
                row for begins in range(0, len(sent), _AT_ONCE) for row in _letters(link, sent[begins:][:_AT_ONCE])
            ]
            offers = select(col(Handoff.id), col(Handoff.lead_id), col(Handoff.owner), col(Handoff.cycle))
            opened = list(link.execute(offers.where(col(Handoff.id).in_(asked)).order_by(col(Handoff.id))))
            kept = [one for one in holds.holds(link) if one.state == "asked" and one.id not in self.answered]
        for row in letters:
            if row.lead_id in self.known:
                self._read(row, now)
        for row in opened:
            if row.lead_id in self.known:
                self._sell(row, now)
        for one in kept:
            self.answered.add(one.id)
            self._door(now + _ANSWER, lambda link, at, number=one.id: self._release(link, number, at))  # type: ignore[misc]

    def _read(self, row: Any, now: datetime) -> None:
        """What a person does with one letter."""
        machine, lead, touch = self.show.stage.machine, row.lead_id, row.id
        address, zone = self.known[lead]
        occasion = (address, row.sequence, row.step, row.occurrence)
        if self._share(address, "bounces") < BOUNCES:
            data = {"severity": "hard", "status": "5.1.1"}
            key = f"{touch}:bounce"
            self._door(
                now + timedelta(minutes=15),
                lambda link, at: doors.bounced(
                    link, machine.library.live(link), touch, at, key=key, data=data, suppress=True
                ),
            )
            return
        at = soon(now, zone, self._share(*occasion, "when") ** 3 * _LONGEST)
        if self._share(*occasion, "clicks") < CLICKS:
            offer = row.kind == "offer"
            self._door(at - machine.click_rest, lambda link, at: doors.click(
                link, touch, _PLACE_OF_OFFER if offer else 0, at, machine=None, rest=machine.click_rest,
                name="offer_viewed" if offer else "email_clicked", data={"offer": row.content} if offer else None,
            ))  # fmt: skip
            at = soon(at, zone, timedelta())
        for word, rate, among in (("asks", ASKS, self.words.wishes), ("visits", VISITS, self.words.deeds)):
            if among and self._share(*occasion, word) < rate:
                did = among[int(self._share(*occasion, word, "what") * len(among))]
                self._do(at, lead, did, f"{word} {row.sequence}/{row.step}/{row.occurrence}")
        drawn = self._share(*occasion, "answers")
        if drawn < REPLIES:
            self._door(at, lambda link, at: doors.reply(link, machine.library.live(link), touch, at, automatic=False))
        elif drawn < REPLIES + UNSUBSCRIBES:
            self._door(
                at, lambda link, at: doors.unsubscribe(link, machine.library.live(link), touch, at, source=_SOURCE)
            )
        elif drawn < REPLIES + UNSUBSCRIBES + COMPLAINS:
            key = f"{touch}:complaint"
            self._door(at, lambda link, at: doors.complained(link, machine.library.live(link), touch, at, key=key))

    def _sell(self, row: Any, now: datetime) -> None:
        """What a salesperson says to one hand-off."""
        machine, (address, _) = self.show.stage.machine, self.known[row.lead_id]
        drawn = self._share(address, "sales", row.cycle)
        if drawn >= ACCEPTS + REJECTS:
            return
        accepted = drawn < ACCEPTS
        reason = None if accepted else REJECTIONS[int(self._share(address, "why", row.cycle) * len(REJECTIONS))]
        at = soon(now, self.words.house.program.zone, self._share(address, "sells", row.cycle) * timedelta(days=2))

        def answer(link: Connection, at: datetime) -> None:
            waits = select(col(Handoff.id)).where(col(Handoff.id) == row.id, col(Handoff.state) == "open")
            if link.execute(waits).first() is not None:  # else it has gone to somebody else meanwhile
                answers.answer(
                    link, machine.library.live(link), row.id, "accepted" if accepted else "rejected", reason=reason,
                    by=row.owner, now=at, source=_SOURCE, key=str(row.id),
                )  # fmt: skip

        self._door(at, answer)

    def _release(self, link: Connection, number: int, now: datetime) -> None:
        """A person looks at a hold and lets it go, so that what comes after it is seen as well."""
        one = holds.hold(link, number)
        if one.answered_at is None:
            holds.release(link, number, one.waiting, "rehearsal", now, self.words.house.program.zone)


def _letters(link: Connection, touches: Sequence[int]) -> Sequence[Any]:
    """Those of `touches` that somebody reads."""
    columns = (Touch.id, Touch.lead_id, Touch.sequence, Touch.step, Touch.occurrence, Touch.kind, Touch.content)
    query = select(*map(col, columns)).where(col(Touch.id).in_(touches), col(Touch.kind).in_(("email", "offer")))
    return link.execute(query.order_by(col(Touch.id))).all()

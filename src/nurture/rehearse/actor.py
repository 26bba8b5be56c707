"""Who a check is about, and when what happens: leads at the start, and each event at its instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, update
from sqlmodel import col

from nurture import clock
from nurture.clock import Chance
from nurture.errors import NurtureError, Refused
from nurture.folding import canonical_email
from nurture.intake import write
from nurture.intake.agreements import keep_lasting
from nurture.language.arms import HOLDOUT, PRIME, place_of
from nurture.language.source import Misread, Source
from nurture.program.check_edits import lay_over
from nurture.program.checks import Check, Cohort, Event
from nurture.program.load import House
from nurture.records import Lead
from nurture.rehearse.deeds import DEEDS, Scene, zoned
from nurture.rehearse.stage import Stage

#: What a check may say of a lead that is no field of it.
_BESIDE = ("stage", "status", "owner")


@dataclass
class Actor:
    """Plays one check on a stage; `troubles` are events that could not happen, by their place in the file."""

    check: Check
    stage: Stage
    slug: str
    #: The program as it stands now; `publish:` changes it.
    files: Mapping[str, str]
    source: Source
    leads: dict[str, int] = field(default_factory=dict)
    troubles: list[tuple[int, str]] = field(default_factory=list)

    def enter(self) -> None:
        """Import the check's leads; consent for mail and tracking unless it says otherwise."""
        complaints, people, places = [], [], []
        house, now = self.stage.machine.live().house, self.stage.clock.now()
        for index, written in self.check.everybody():
            try:
                people.append(_person(written, house))
                places.append(index)
            except (NurtureError, ValueError) as problem:
                complaints.append((("leads", index), str(problem), "mend this lead"))
        alone = [not isinstance(self.check.leads[place], Cohort) for place in places]
        for place, outcome in zip(places, self._put(people, now, alone), strict=True):
            if outcome.problem is not None:
                complaints.append((("leads", place), outcome.problem, "mend this lead"))
        if complaints:
            raise Misread(complaints)

    def _put(self, people: list[write.Person], now: datetime, alone: list[bool]) -> list[write.Outcome]:
        """Import `people`; their draws come from the check, so that it plays alike each time.

        Who is `alone`, not of a cohort, is never held out: no check fails by a chance that it does not speak of.
        """
        share = self.stage.machine.live().house.program.holdout or 0

        def key(chance: Chance, free: bool) -> int:
            found = chance.randrange(PRIME)
            while free and place_of(HOLDOUT, found) < share:
                found = chance.randrange(PRIME)
            return found

        def put(link: Connection) -> list[write.Outcome]:
            outcomes = write.put_people(link, people, now=now, origin="check")
            chance = clock.seeded(f"{self.check.check}/{len(self.leads)}")
            drawn = [
                {"the_lead": one.lead_id, "draw": key(chance, free)}
                for one, free in zip(outcomes, alone, strict=True)
                if one.lead_id
            ]
            if drawn:
                link.execute(update(Lead.__table__).where(col(Lead.id) == bindparam("the_lead")), drawn)  # type: ignore[attr-defined]
            return outcomes

        outcomes = self.stage.machine.db.transact(put)
        for outcome in outcomes:
            if outcome.lead_id is not None:
                self.leads[str(outcome.person.email or outcome.person.source_id)] = outcome.lead_id
        return outcomes

    def stops(self) -> dict[datetime, Callable[[], None]]:
        """What happens, by instant: an event that is heard of later happens when it is heard of."""
        at: dict[datetime, list[tuple[int, Event]]] = {}
        for index, event in enumerate(self.check.events):
            heard = event.at if event.recorded is None else event.recorded
            at.setdefault(self.check.when(heard), []).append((index, event))
        return {instant: self._play(events) for instant, events in at.items()}

    def _play(self, events: Iterable[tuple[int, Event]]) -> Callable[[], None]:
        def play() -> None:
            for index, event in events:
                try:
                    self._do(index, event)
                except (NurtureError, ValueError) as problem:
                    self.troubles.append((index, str(problem)))

        return play

    def _do(self, index: int, event: Event) -> None:
        machine, now = self.stage.machine, self.stage.clock.now()
        if event.publish is not None:
            self._publish(index, event)
        elif event.arrives is not None:
            (outcome,) = self._put([_person(event.arrives, machine.live().house)], now, [True])
            if outcome.problem is not None:
                raise Refused(outcome.problem)
        else:
            lead = self._lead(event.lead) if event.lead is not None else 0
            happened = self.check.when(event.at)
            when = self.check.when
            scene = Scene(self.stage, self.slug, machine.live(), now, happened, index, event, lead, self._lead, when)
            DEEDS[event.kind](scene)

    def _lead(self, who: str) -> int:
        key = canonical_email(who) if "@" in who else who
        if key not in self.leads:
            raise ValueError(f"'{who}' is not among the leads of this check by then")
        return self.leads[key]

    def _publish(self, index: int, event: Event) -> None:
        if isinstance(event.publish, str):
            path = f"{self.source.file.rpartition('/')[0]}/{event.publish}"
            if path not in self.files:
                raise ValueError(f"{path} does not exist; it lies beside the check")
            self.files = {**self.files, f"{self.slug}/sequence.yaml": self.files[path]}
        else:
            self.files = lay_over(self.files, self.source, ("events", index, "publish"), self.slug).files
        self.stage.publish(played(self.files))


def played(files: Mapping[str, str]) -> dict[str, str]:
    """The files of a program without its checks."""
    return {name: text for name, text in files.items() if "/checks/" not in name}


def _person(given: Mapping[str, Any], house: House) -> write.Person:
    """A lead of a check as an import would bring it."""
    written = dict(given)
    email = canonical_email(str(written.pop("email"))) if written.get("email") else None
    key = str(written.pop("id", "")) if email is None else ""
    if not email and not key:
        raise ValueError("a lead needs an email, or an id")
    consent, tracking = written.pop("consent", "contract"), written.pop("tracking", True)
    sms = written.pop("sms", None)
    tags, lists = (_words(written.pop(name, [])) for name in ("tags", "lists"))
    unknown = [name for name in written if name not in house.fields and name not in _BESIDE]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is not a field; declare it in program.yaml")
    values = {name: value for name, value in written.items() if value is not None}
    values |= zoned(values)
    if email:
        values["email"] = email
    allowed = consent not in ("none", None)
    person = write.Person.of(
        values,
        source="check",
        source_id=key or None,
        tags=tags,
        lists=lists,
        mail=str(consent) if allowed else None,
        tracking="consent" if tracking and allowed else None,
        sms=None if sms in ("none", None) else str(sms),
    )
    keep_lasting(person, house.program.consents)
    return person


def _words(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given)

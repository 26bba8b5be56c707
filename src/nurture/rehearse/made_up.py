"""Made-up leads, drawn from what a program itself speaks of, so that its ways are walked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import get_global

from nurture.clock import Chance, seeded
from nurture.intake import write
from nurture.language import conditions as c
from nurture.language.conditions import Condition, walk
from nurture.program.load import House, Segment
from nurture.records.types import EPOCH
from nurture.rehearse.wishes import OTHER, Act, Wish, pick, wish
from nurture.zones import valid_zone

#: Of a hundred leads, so many are made to match the segment, and so many of these its trigger.
_MATCH, _TRIGGER = 0.85, 0.9
_CONSENT = (("consent", 0.82), ("legitimate_interest", 0.90), ("contract", 0.95), (None, 1.0))
_TRACKED = 0.85
#: Of a hundred leads, so many may have what the gate refuses.
_REFUSED = 0.1
#: People do things in these hours of their day, and at every other full hour: so a rehearsal has few instants.
AWAKE, GRID = (7, 22), timedelta(hours=2)


@dataclass(frozen=True)
class Stranger:
    """Somebody who comes: when, as whom, having done what."""

    number: int
    at: datetime
    person: write.Person
    acts: list[Act]
    lists: list[str]
    draw: int


@dataclass
class Vocabulary:
    """What a program speaks of, as far as it concerns one segment."""

    house: House
    segment: Segment
    conditions: list[Condition] = field(init=False)
    _known: dict[tuple[str, bool], list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec, life, scoring = self.segment.spec, self.house.lifecycle, self.house.scoring
        own = [spec.segment, spec.enrol.when, *([spec.leave] if spec.leave is not None else [])]
        own += [condition for step in spec.steps for _, condition in step.conditions()]
        own += [rule.when for rule in life.milestones.values()] + [rule.refuse for rule in life.gate]
        own += [rule.when for rule in scoring.engagement] + [rule.when for rule in scoring.fit]
        self.conditions = own

    @cached_property
    def countries(self) -> list[str]:
        """Those that conditions and the sales team name, and the program's."""
        program = self.house.program
        said = [str(value).upper() for value in self.values("country") if len(str(value)) == 2]
        team = [country for person in program.sales for country in person.countries]
        return list(dict.fromkeys([*said, *team, *([program.country] if program.country else [])]))

    @cached_property
    def languages(self) -> list[str]:
        """The program's, and those in which the segment has letters."""
        names = [name.rpartition("/")[2].split(".") for name in self.segment.files]
        return list(dict.fromkeys([self.house.program.language, *sorted(n[1] for n in names if len(n) == 3)]))

    def values(self, name: str) -> list[Any]:
        """What conditions compare a field with."""
        return self._compared(name, gate=False)

    def refused(self, name: str) -> list[Any]:
        """What the gate's rules compare it with."""
        return self._compared(name, gate=True)

    def _compared(self, name: str, gate: bool) -> list[Any]:
        if (name, gate) not in self._known:
            found: list[Any] = []
            for condition in [rule.refuse for rule in self.house.lifecycle.gate] if gate else self.conditions:
                for part in walk(condition):
                    if isinstance(part, c.Field) and part.name == name and part.operator != "known":
                        found += part.value if isinstance(part.value, tuple) else [part.value]
            self._known[name, gate] = list(dict.fromkeys(found))
        return self._known[name, gate]

    @cached_property
    def deeds(self) -> list[c.Did]:
        """What people do of their own accord: the events of conditions that are not the house's."""
        theirs = ("email_", "offer_", "handoff_", "audience_", "unsubscribed", "sms_")
        found = [
            p for one in self.conditions for p in walk(one) if isinstance(p, c.Did) and not p.name.startswith(theirs)
        ]
        return list(dict.fromkeys(c.Did(did.name, did.where) for did in found))

    @cached_property
    def wishes(self) -> list[c.Did]:
        """What people ask for: the events that the objective and the milestones for sales speak of, and the forms'."""
        rules = self.house.lifecycle.milestones
        named = [rule.when for name, rule in rules.items() if rule.handoff or name == self.segment.spec.objective]
        spoken = {part.name for when in named for part in walk(when) if isinstance(part, c.Did) and not part.negated}
        spoken |= {form.event for form in self.house.program.forms.values()}
        return [did for did in self.deeds if did.name in spoken]


def strangers(words: Vocabulary, count: int, seed: int, start: datetime, span: timedelta) -> Iterator[Stranger]:
    """`count` people, who come over the first days of the span in the waking hours of where they are."""
    days = max(1.0, min(10.0, span / timedelta(days=2)))
    for number in range(1, count + 1):
        chance = seeded(f"{seed}/{number}")
        yield _stranger(words, number, start, days, chance)


def _stranger(words: Vocabulary, number: int, start: datetime, days: float, chance: Chance) -> Stranger:
    house, spec = words.house, words.segment.spec
    kinds, today = house.fields, start.date()
    wanted = Wish()
    matches = chance.random() < _MATCH
    triggered = chance.random() < (_TRIGGER if matches else 0.3)
    for condition, holds in ((spec.segment, matches), (spec.enrol.when, triggered)):
        if holds or condition is spec.segment:
            _join(wanted, wish(condition, kinds, today, chance, holds=holds))
    if spec.leave is not None and chance.random() < 0.9:
        for name, value in wish(spec.leave, kinds, today, chance, holds=False).fields.items():
            wanted.fields.setdefault(name, value)
    wanted = wanted.settled()
    fields = {**_drawn(words, chance), **wanted.fields}
    said = wanted.fields.get("timezone") or _zone(fields.get("country"), house.program.zone, chance)
    zone = said if said is not None and valid_zone(str(said)) else None
    fields |= {"timezone": said, "zone": zone}
    drawn = chance.random()
    consent = next(basis for basis, limit in _CONSENT if drawn < limit)
    at = soon(start, zone or house.program.zone, timedelta(days=days) * chance.random())
    person = write.Person.of(
        {**fields, "email": f"lead-{number:05}@made-up.example", "first_name": f"Lead {number}"},
        tags=wanted.tags, source="made up", mail=consent,
        tracking="consent" if consent and chance.random() < _TRACKED else None,
    )  # fmt: skip
    return Stranger(number, at, person, wanted.acts, wanted.lists, int(chance.random() * (2**31 - 1)))


def _join(into: Wish, more: Wish) -> None:
    """Both; what was wished first stands."""
    into.fields = {**more.fields, **into.fields}
    into.tags += more.tags
    into.lists += more.lists
    into.acts += more.acts
    for name, days in more.rests.items():
        into.rests[name] = max(days, into.rests.get(name, 0))


def _drawn(words: Vocabulary, chance: Chance) -> dict[str, Any]:
    """A value, or none, for every field: those that conditions speak of, and others."""
    found: dict[str, Any] = {}
    for name, kind in words.house.fields.items():
        present, other = chance.random() < 0.85, chance.random() < 0.3
        values = words.values(name)
        if name in ("email", "first_name", "timezone") or not present:
            continue
        if name == "country":
            found[name] = pick(words.countries, chance) if words.countries else None
        elif name == "language":
            found[name] = pick(words.languages, chance)
        elif kind == "number":
            found[name] = max(0, int((pick(values, chance) if values else 100) * 2 * chance.random()))
        elif kind == "flag":
            found[name] = other
        elif kind == "text":
            rare = [value for value in values if value in words.refused(name)]
            among = values if chance.random() < _REFUSED else [value for value in values if value not in rare]
            found[name] = OTHER if other or not among else str(pick(among, chance))
        elif values:
            found[name] = str(pick(values, chance))
    return found


@lru_cache
def _zones(country: str) -> list[str]:
    """The zones of a country; empty: it is none that we know."""
    places: dict[str, str] = get_global("zone_territories")  # type: ignore[assignment]
    return sorted(zone for zone, territory in places.items() if territory == country and valid_zone(zone))


def _zone(country: Any, default: str, chance: Chance) -> str | None:
    """A zone of the country; of one in ten it is not known."""
    if chance.random() < 0.1:
        return None
    return str(pick(_zones(str(country)) or [default], chance))


def soon(at: datetime, zone: str, wait: timedelta) -> datetime:
    """About `wait` after `at`: at an even hour of UTC, when people in `zone` are awake."""
    there = (at + wait).astimezone(ZoneInfo(zone))
    if there.hour < AWAKE[0]:
        there += timedelta(hours=AWAKE[0] - there.hour)
    elif there.hour >= AWAKE[1]:
        there += timedelta(hours=24 + AWAKE[0] - there.hour)
    return EPOCH + ((there - EPOCH) // GRID + 1) * GRID

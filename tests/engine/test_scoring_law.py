"""Scores are a pure function of rules, events and the instant: whatever the rules, the order, the batches and the class."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from shutil import copyfile
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, bindparam, select, update
from sqlmodel import col

from nurture.engine import classing, scoring
from nurture.engine.running import Run
from nurture.engine.score_lines import score_lines
from nurture.engine.story import tell
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.language import conditions as c
from nurture.language.compiler import Scope
from nurture.language.scores import engaged, engagement
from nurture.language.turns import turns
from nurture.records import Event, Lead, ScoreEntry
from nurture.records.types import from_micros, to_micros
from nurture.worklist import put_work
from tests.engine import plain
from tests.engine.world import DAY, HOUR, MONDAY, World, program, sequence

CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", when="{tags: nobody}")
ZONES = ["Europe/Bucharest", "America/Los_Angeles", "Pacific/Apia"]
PATHS = ["/a", "/b"]
#: Engagement at an instant, unrounded and rounded.
_THEN: Any = bindparam("then", type_=BigInteger)
_ASKED = select(col(Lead.id), engagement(_THEN).label("raw"), engaged(_THEN).label("number"))
#: When "engagement is at least" so much may turn next, for one bound and for several.
_TURNS: dict[tuple[int, ...], Any] = {
    bounds: select(col(Lead.id), *turns([c.Field("engagement", "at_least", bound) for bound in bounds], Scope({}))[1])
    for bounds in ((3,), (12,), (25,), (3, 12, 25))
}
_serial = itertools.count()


@dataclass(frozen=True)
class Deed:
    """An event: when it happened, in which batch it comes in, whether it comes twice, rests, or changes its class."""

    who: int
    path: str
    ago: int
    batch: int
    machine: bool
    twice: bool
    rests: bool
    #: In which batch its class turns round; beyond the last: never.
    turns: int


Rules = dict[str, Any]
#: One group beyond its bound for long, another whose points run out: what random rules seldom have at once.
HELD: Rules = {
    "half_life": "30 days",
    "groups": {"one": {"at_most": 5}, "two": {"fades": ("expires", "30 days")}},
    "rules": [{"points": 40.0, "path": "", "group": "one"}, {"points": 10.0, "path": "", "group": "two"}],
}
_DEEDS = st.builds(
    Deed, st.integers(0, 2), st.sampled_from(PATHS), st.one_of(st.integers(0, 48), st.integers(0, 900)),
    st.integers(0, 2), st.sampled_from([False, False, False, True]), st.booleans(), st.booleans(), st.integers(1, 6),
)  # fmt: skip
_POINTS = st.sampled_from([10.0, 7.5, 0.3, -4.0, -12.0, 40.0])
_SPANS = st.sampled_from(["6 hours", "1 day", "3 days", "2 weeks", "30 days"])
_GROUPS = st.fixed_dictionaries(
    {},
    optional={
        "at_most": st.sampled_from([0, 5, 12.5, 30]), "at_least": st.sampled_from([0, -3, -20]),
        "fades": st.tuples(st.sampled_from(["half_life", "expires"]), _SPANS),
    },
)  # fmt: skip
_CAPS = st.lists(st.sampled_from(["1 per day", "2 per day", "1 in total", "3 in total"]), max_size=2).map(
    lambda said: list({each.split(" ", 1)[1]: each for each in said}.values())
)
_RULES = st.fixed_dictionaries(
    {"points": _POINTS, "path": st.sampled_from(["", *PATHS])},
    optional={"cap": _CAPS.filter(bool), "group": st.sampled_from(["one", "two"]), "half_life": _SPANS},
)
_SCORING = st.fixed_dictionaries(
    {"half_life": _SPANS, "groups": st.fixed_dictionaries({"one": _GROUPS, "two": _GROUPS}),
     "rules": st.lists(_RULES, min_size=1, max_size=4)},
    optional={"at_most": st.sampled_from([20, 60])},
)  # fmt: skip


def written(model: Rules) -> str:
    """The model as a marketer writes it: JSON is YAML."""
    groups = {
        name: {key: value for key, value in group.items() if key != "fades"}
        | dict([group["fades"]] if "fades" in group else [])
        for name, group in model["groups"].items()
    }
    rules = []
    for number, rule in enumerate(model["rules"]):
        where = {"where": {"path": rule["path"]}} if rule["path"] else {}
        more = {key: rule[key] for key in ("cap", "group") if key in rule}
        more |= {"half_life": rule["half_life"]} if "half_life" in rule and "group" not in rule else {}
        rules.append({"rule": f"rule {number}", "when": {"did": "seen", **where}, "points": rule["points"], **more})
    bound = {"at_most": model["at_most"]} if "at_most" in model else {}
    return json.dumps({"half_life": model["half_life"], "groups": groups, "engagement": rules, **bound})


def span(text: str) -> timedelta:
    number, unit = text.split()
    return int(number) * {"hour": HOUR, "day": DAY, "week": 7 * DAY}[unit.rstrip("s")]


def clamp(points: float, group: Rules) -> Any:
    return max(min(points, group.get("at_most", 1e9)), group.get("at_least", -1e9))


def pencil(model: Rules, events: list[Any], zone: str, counts: Any, at: datetime) -> Any:
    """Engagement at `at` as a person with a pencil adds it up, of the events that `counts` says are there by then."""
    sums = {"one": 0.0, "two": 0.0, "": 0.0}
    for rule in model["rules"]:
        days: dict[Any, int] = {}
        taken, caps = 0, {each.split(" ", 1)[1]: int(each.split()[0]) for each in rule.get("cap", ())}
        group = model["groups"].get(rule.get("group"), {})
        kind, length = group.get("fades", ("half_life", model["half_life"]))
        if "group" not in rule and "half_life" in rule:
            length = rule["half_life"]
        for event in sorted(events, key=lambda event: (event.occurred_at, event.id)):
            if event.actor == "machine" or not event.data["path"].startswith(rule["path"]):
                continue
            day = plain.to_local(event.occurred_at, zone).date()
            days[day] = days.get(day, 0) + 1
            taken += days[day] <= caps.get("per day", 99)
            if days[day] > caps.get("per day", 99) or taken > caps.get("in total", 99) or not counts(event):
                continue
            age = at - event.occurred_at
            left = 0.5 ** (age / span(length)) if kind == "half_life" else float(age < span(length))
            sums[rule.get("group", "")] += rule["points"] * left
    total = sum(clamp(points, model["groups"].get(name, {})) for name, points in sums.items())
    return min(total, model.get("at_most", 1e9))


def near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * (1 + abs(other))


class Played:
    """A world with these rules, three leads, and what came in until now."""

    def __init__(self, url: str, model: Rules, deeds: list[Deed]) -> None:
        self.world = World(url, program({"scoring.yaml": written(model)}, calm=CALM))
        self.model, self.deeds, self.end = model, deeds, MONDAY + 60 * DAY
        for number, zone in enumerate(ZONES):
            self.world.lead(str(number), timezone=zone)
        self.zones = list(ZONES)

    def move(self, number: int, zone: str) -> None:
        """This lead is on another clock from now on."""
        self.zones[number] = zone
        self.world.lead(str(number), timezone=zone)

    def bring(self, batch: int, hours: int) -> None:
        """What comes in with this batch, and what of earlier ones comes again or turns out to be otherwise."""
        world = self.world
        world.at(self.end + batch * 5 * DAY + hours * HOUR)
        rows = [
            NewEvent(
                world.ids[str(deed.who)], "seen", self.end - deed.ago * HOUR + deed.batch * HOUR, world.now,
                world.now + (2 * HOUR if deed.rests else timedelta()), {"path": deed.path}, "test", f"{number}",
                "machine" if deed.machine else "person",
            )
            for number, deed in enumerate(self.deeds)
            if deed.batch == batch or (deed.twice and deed.batch < batch)
        ]  # fmt: skip
        turned = {f"{n}": deed.machine for n, deed in enumerate(self.deeds) if deed.batch < deed.turns == batch}

        def put(link: Any) -> None:
            write.put_events(link, rows)
            put_work(link, world.ids.values(), world.now)
            for was_machine in (True, False):
                keys = [key for key, was in turned.items() if was is was_machine]
                those = select(col(Event.id)).where(col(Event.source) == "test", col(Event.key).in_(keys))
                if was_machine:
                    person = {"actor": "person", "settled_at": None}
                    link.execute(update(Event).where(col(Event.id).in_(those)).values(**person))
                else:
                    classing.machines(link, those, "it was a scanner")

        world.do(put)
        world.machine.settle(world.now)

    def right(self, chance: Random) -> None:
        """Every number, now and at some other instant, is what a pencil says; and the lines sum to it."""
        world, now = self.world, self.world.now
        runs_out = [row.expires_at for row in world.rows(ScoreEntry) if row.expires_at]
        others = [now + DAY, now + 40 * DAY, now - 3 * DAY, self.end + 5 * DAY, self.end - DAY, *runs_out[:3]]
        rows = [row for row in world.rows(Event) if row.settled_at is not None]
        with world.machine.db.read() as link:
            live = world.machine.library.live(link)
            for at in (now, *chance.sample(others, 2)):
                found = {row.id: row for row in link.execute(_ASKED, {"then": to_micros(at)})}
                for number, zone in enumerate(self.zones):
                    lead = world.ids[str(number)]
                    mine = [row for row in rows if row.lead_id == lead]
                    known = pencil(
                        self.model, mine, zone, lambda row, at=at: max(row.recorded_at, row.ripe_at) <= at, at
                    )
                    assert near(found[lead].raw, known), (at, found[lead].raw, known)
                    assert found[lead].number in {max(0, min(100, int((known + 0.5 + off) // 1))) for off in (0, 2e-6)}
                    lines = score_lines(link, live, lead, at, zone)
                    assert near(sum(line.points for line in lines), known), (at, known, lines)
            lead = world.ids[str(chance.randrange(len(ZONES)))]
            story = tell(link, live, lead, chance.choice([now, *others]))
            assert abs(sum(line.points for line in story.lines) - (story.score or 0)) < 0.006

    def never_late(self) -> None:
        """What time alone turns, it turns no sooner than at the instant at which the lead is looked at again."""
        world, now = self.world, self.world.now
        names: dict[Any, str] = {number: name for name, number in world.ids.items()}
        rows = [row for row in world.rows(Event) if row.settled_at is not None]
        with world.machine.db.read() as link:
            for bounds, query in _TURNS.items():
                for lead, looked in link.execute(query, {"at_now": to_micros(now)}):
                    zone = self.zones[int(names[lead])]
                    mine = [row for row in rows if row.lead_id == lead]
                    until = (from_micros(looked) if looked is not None else now + 400 * DAY) - now
                    assert until >= timedelta(microseconds=1)
                    instants = [now + until * part for part in (0, 0.1, 0.5, 0.9, 0.999)]
                    raw = [pencil(self.model, mine, zone, lambda row: True, at) + 0.500001 for at in instants]
                    for bound in bounds:
                        above = {one >= bound for one in raw if abs(one - bound) > 1e-6}
                        assert len(above) < 2, (bound, looked, raw)

    def ledger(self) -> list[tuple[Any, ...]]:
        rows = self.world.rows(ScoreEntry)
        return sorted((row.event_id, row.rule, row.counted, row.in_total is not None, row.day) for row in rows)


@given(
    model=_SCORING, deeds=st.lists(_DEEDS, max_size=16), hours=st.lists(st.integers(0, 90), min_size=4, max_size=4),
    moves=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(ZONES)), max_size=3),
    chance=st.randoms(use_true_random=False),
)  # fmt: skip
@example(
    model=HELD, deeds=[Deed(0, "/a", 0, 0, False, False, False, 1)] * 2, hours=[0, 0, 0, 0], moves=[], chance=Random(1)
)  # fmt: skip
@settings(max_examples=settings().max_examples // 8)
def test_a_score_follows_from_the_events_alone(
    migrated_sqlite: Path, tmp_path_factory: Any, model: Rules, deeds: list[Deed], hours: list[int],
    moves: list[tuple[int, int, str]], chance: Random,
) -> None:  # fmt: skip
    """Late, twice, out of order, of another class by now, on another clock; at any instant; a rebuild and a replay
    change nothing.
    """
    path = copyfile(migrated_sqlite, tmp_path_factory.getbasetemp() / f"law-{next(_serial)}.db")
    played = Played(f"sqlite:///{path}", model, deeds)
    try:
        for batch, later in enumerate(hours):
            for when, number, zone in moves:
                if when == batch:
                    played.move(number, zone)
            played.bring(batch, later)
            played.right(chance)
            played.never_late()
        kept = played.ledger()
        played.world.do(
            lambda link: scoring.rescore_everybody(Run(link, played.world.machine.live(), played.world.now))
        )
        assert played.ledger() == kept
        played.bring(4, 0)
        played.right(chance)
    finally:
        played.world.close()
        path.unlink()

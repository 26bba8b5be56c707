"""Worlds in which leads are dealt alike on every run, and what their crowds do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy import bindparam, update
from sqlmodel import col

from nurture.engine import doors
from nurture.intake import write
from nurture.intake.person import Person
from nurture.records import Lead, Touch
from tests.engine.world import OFFER, World, program, sequence

LETTER = """<html><body>{{% block subject %}}{says}{{% endblock %}}
<a href="https://acme.example/tour">tour</a> <a href="{{{{ unsubscribe_url }}}}">stop</a> {{{{ address }}}}</body></html>"""


def letter(says: str) -> str:
    """A letter whose subject is `says`."""
    return LETTER.format(says=says)


def written(
    steps: str, letters: Mapping[str, str] | None = None, house: str = "", slug: str = "tour", **keys: str
) -> dict[str, str]:
    """A program of one sequence: `letters` beside those that the steps name, `house` at the end of program.yaml."""
    files = program(None, **{slug: sequence(steps, **keys)})
    files |= {f"{slug}/{name}": text for name, text in (letters or {}).items()}
    files["program.yaml"] += house
    files["lifecycle.yaml"] = "milestones: {demo_requested: {when: {did: demo_requested}}}\n"
    return files


def crowd(world: World, count: int, name: str = "lead", *, tracked: bool = True) -> list[str]:
    """So many new leads with keys of a seed, in one transaction."""
    names = [f"{name}{number}" for number in range(count)]
    chance = Random(f"{name}/{count}")

    def put(link: Any) -> None:
        people = [
            Person.of({"email": f"{one}@lead.example"}, source="test", mail="contract", tracking=_basis(tracked))
            for one in names
        ]
        for one, outcome in zip(names, write.put_people(link, people, now=world.now, origin="test"), strict=True):
            assert outcome.lead_id is not None
            world.ids[one] = outcome.lead_id
        keys = [{"the_lead": world.ids[one], "draw": chance.randrange(2**31 - 1)} for one in names]
        link.execute(update(Lead.__table__).where(col(Lead.id) == bindparam("the_lead")), keys)  # type: ignore[attr-defined]

    world.do(put)
    return names


def _basis(tracked: bool) -> str | None:
    return "consent" if tracked else None


def key(world: World, who: str) -> int:
    """A lead's key."""
    return int(world.who(who).draw)


def arms(world: World, step: str) -> dict[str, str]:
    """The arm of each lead's latest touch of a step."""
    names = world.names()
    return {names[row.lead_id]: row.arm for row in world.rows(Touch, col(Touch.step) == step)}


def shares(world: World, step: str) -> Counter[str]:
    return Counter(arms(world, step).values())


def click(world: World, who: Iterable[str], step: str, machine: str | None = None) -> None:
    """Each of them follows the link of its latest letter of `step`, a minute from now, in one transaction."""
    world.at(world.now + timedelta(minutes=1))
    names = world.names()
    touches = {names[row.lead_id]: row.id for row in world.rows(Touch, col(Touch.step) == step)}

    def follow(link: Any) -> None:
        for one in who:
            doors.click(link, touches[one], 0, world.now, machine=machine, rest=timedelta(seconds=30))

    world.do(follow)


def some(world: World, step: str, arm: str, part: float) -> list[str]:
    """The first `part` of the leads that got this arm."""
    got = sorted(who for who, one in arms(world, step).items() if one == arm)
    return got[: round(len(got) * part)]


__all__ = ["OFFER", "arms", "click", "crowd", "key", "letter", "shares", "some", "written"]

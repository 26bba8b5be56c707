"""Conditions about one enrolment (`clicked`, `replied`, `since: step`), for a crowd, against a plain reading."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.running import Run
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.language.compiler import compile_condition
from nurture.language.conditions import parse_condition
from nurture.records import Enrolment, Lead, Touch
from tests.engine.world import DAY, HOUR, MONDAY, World, new_database, program, sequence

NOW = MONDAY + 2 * DAY
SECOND = timedelta(seconds=1)
STEPS = "  - {id: hello, email: hello.j2}\n  - {id: calm, wait: 1 day}\n  - {id: rest, wait: 90 days}"
SLUGS = ("one", "two")
NAMES = ("email_clicked", "offer_viewed", "email_replied", "seen")


@dataclass
class Answer:
    """Something a lead did; `slug`: the sequence whose letter it answered."""

    lead: str
    slug: str | None
    name: str
    recorded: datetime
    ripe: datetime
    actor: str


class Answers(list[Answer]):
    """Too many to be printed with a failure."""

    def __repr__(self) -> str:
        return f"{len(self)} answers"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest) -> Iterator[tuple[World, Answers]]:
    """Sixty leads in two sequences, standing on `rest` since a day ago, and what they did meanwhile."""
    files = {slug: sequence(STEPS, when="{email: {known: true}}") for slug in SLUGS}
    world = World(new_database(request), program(None, **files), MONDAY)
    names = [f"lead{number}" for number in range(60)]
    world.crowd(names)
    world.tick().at(DAY).tick()
    chance, answers = random.Random(4), Answers()
    rows, touches = [], world.rows(Touch)
    for number in range(150):
        name, lead = chance.choice(NAMES), chance.choice(names)
        slug = None if name == "seen" else chance.choice(SLUGS)
        recorded = chance.choice([MONDAY, MONDAY + SECOND, MONDAY + DAY, MONDAY + DAY + SECOND, NOW - HOUR])
        ripe = chance.choice([recorded, recorded, NOW, NOW + SECOND])
        answers.append(Answer(lead, slug, name, recorded, ripe, chance.choice(["person", "person", "machine"])))
        touch = next((t for t in touches if (t.lead_id, t.sequence) == (world.ids[lead], slug)), None)
        rows.append(
            NewEvent(
                world.ids[lead], name, recorded, recorded, ripe, {}, "test", f"a{number}", answers[-1].actor,
                touch.id if touch else None,
            )
        )  # fmt: skip
    world.do(lambda link: write.put_events(link, rows))
    yield world, answers
    world.close()


def holds(condition: dict[str, Any], lead: str, slug: str, answers: Answers) -> bool:
    """What a person would say of this lead's passage through `slug`, at NOW."""
    (key, value), *more = condition.items()
    if key == "not":
        return not holds(value, lead, slug, answers)
    if key in ("any", "all"):
        each = [holds(part, lead, slug, answers) for part in value]
        return any(each) if key == "any" else all(each)
    mine = [a for a in answers if a.lead == lead and a.ripe <= NOW and a.actor != "machine"]
    if key in ("clicked", "replied"):
        names = ("email_clicked", "offer_viewed") if key == "clicked" else ("email_replied",)
        return any(a.slug == slug and a.name in names for a in mine)
    rest = dict(more)
    begins = {"step": MONDAY + DAY, "enrolment": MONDAY, None: MONDAY - DAY}[rest.get("since")]
    enough = sum(a.name == value and a.recorded > begins for a in mine) >= rest.get("at_least", 1)
    return enough if key == "did" else not enough


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    more = st.fixed_dictionaries(
        {}, optional={"since": st.sampled_from(["step", "enrolment"]), "at_least": st.integers(1, 2)}
    )
    leaf = st.one_of(
        st.sampled_from([{"clicked": "hello"}, {"replied": "hello"}]),
        st.tuples(st.sampled_from(["did", "did_not"]), st.sampled_from(NAMES), more).map(
            lambda t: {t[0]: t[1], **t[2]}
        ),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(lambda part: {"not": part}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        ),
        max_leaves=4,
    )


@given(condition=conditions(), slug=st.sampled_from(SLUGS))
@settings(max_examples=40)
def test_answers_to_this_very_letter(house: tuple[World, Answers], condition: dict[str, Any], slug: str) -> None:
    """The compiled condition picks the enrolments that a person reading the YAML would pick."""
    world, answers = house
    with world.machine.db.read() as link:
        live = world.machine.library.live(link)
        scope = replace(live.scope(live.segment(slug)), enrolled=True)
        query = (
            select(col(Lead.id))
            .join(Enrolment, col(Enrolment.lead_id) == col(Lead.id))
            .where(col(Enrolment.sequence) == slug, compile_condition(parse_condition(condition), scope))
        )
        found = {world.names()[lead] for lead in Run(link, live, NOW)(query).scalars()}

    assert found == {name for name in world.ids if holds(condition, name, slug, answers)}

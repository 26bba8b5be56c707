"""The backtest adds up as the engine does: the same score after each event, MQL at the same instants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlmodel import col

from nurture.backtest.judging import CAME_SO, successes
from nurture.language.scores import score
from nurture.records import Lead, Objection, StageTransition
from nurture.records.types import to_micros
from nurture.rehearse.stage import Theatre
from tests.backtest.worlds import IDLE, Past, on_stage
from tests.engine.world import HOUR, MONDAY, World, program, world

#: What a lead does, and the half hours since the one before.
NAMES = ("read", "asked", "left", "looked")
ZONES = (None, "Europe/Bucharest", "America/Los_Angeles", "Asia/Kathmandu")


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    made = Theatre()
    yield made
    made.close()


#: What fails is shown as it was found: to make it smaller, one play after another, takes minutes.
PHASES = (Phase.explicit, Phase.generate)
POINTS = st.sampled_from((-30, -7.5, -1, 0.1, 3, 12, 20, 45))
CAPS = st.sampled_from(
    ("", ", cap: 1 per day", ", cap: 2 per day", ", cap: 2 in total", ", cap: [1 per day, 3 in total]")
)
FADES = st.sampled_from(("", ", half_life: 12 hours", ", half_life: 2 days"))
GROUPS = {
    "alone": "",
    "fading": "half_life: 1 day",
    "fading within bounds": "half_life: 36 hours, at_most: 30, at_least: -10",
    "running out": "expires: 2 days",
    "running out within bounds": "expires: 20 hours, at_most: 25, at_least: -5",
}
MQL = (
    "when: {score: {at_least: 25}}",
    "when: {score: {above: 30.5}}, rearm_below: 5",
    "when: {any: [{score: {at_least: 40}}, {did: asked, at_least: 2, within: 1 day}]}, rearm_below: 20",
    "when: {all: [{score: {at_least: 15}}, {did: read}, {did_not: left, within: 3 days}]}",
    "levels: {hot: {fit: {at_least: B}, engagement: {at_least: 10}}, warm: {engagement: {at_least: 30}}}",
)


@st.composite
def rules(draw: Any, negative: bool) -> dict[str, str]:
    """A scoring.yaml and a lifecycle.yaml."""
    kinds = [draw(st.sampled_from(sorted(GROUPS))) for _ in range(2)]
    lines = [f"half_life: {draw(st.sampled_from(('1 day', '30 days', '6 hours')))}"]
    if draw(st.booleans()):
        lines.append(f"at_most: {draw(st.sampled_from((20, 60)))}")
    lines.append("groups: {" + ", ".join(f"g{n}: {{{GROUPS[kind]}}}" for n, kind in enumerate(kinds)) + "}")
    lines.append("engagement:")
    for number in range(draw(st.integers(1, 5))):
        points = draw(POINTS)
        group = draw(st.sampled_from((None, "g0", "g1")))
        fade = f", group: {group}" if group else draw(FADES)
        lines.append(
            f"  - {{rule: r{number}, when: {{did: {draw(st.sampled_from(NAMES))}}}, "
            f"points: {points if negative else abs(points)}{draw(CAPS)}{fade}}}"
        )
    lines.append("fit: [{rule: saas, when: {industry: saas}, thirds: 5, points: 12}]")
    return {"scoring.yaml": "\n".join(lines) + "\n", "lifecycle.yaml": f"mql: {{{draw(st.sampled_from(MQL))}}}\n"}


EVENTS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(NAMES), st.integers(0, 60)), min_size=1, max_size=14)
LEADS = st.tuples(*[st.tuples(st.sampled_from(ZONES), st.booleans())] * 2)


def play(here: World, leads: Any, events: Any, *, given_back: bool) -> dict[Any, int]:
    """Let it happen; the score of each lead after each of its events. `given_back`: sales keeps no MQL."""
    for number, (zone, saas) in enumerate(leads):
        values = {"industry": "saas"} if saas else {}
        here.lead(f"lead {number}", **values, **({"timezone": zone} if zone else {}))
    scores = {}
    at = MONDAY
    stops: dict[datetime, list[tuple[int, str]]] = {}
    for who, name, later in events:
        at += timedelta(minutes=30 * later)
        stops.setdefault(at, []).append((who, name))

    def happen(deeds: list[tuple[int, str]]) -> None:
        for who, name in deeds:
            here.event(f"lead {who}", name)
        if given_back:
            here.sql(update(Lead).where(col(Lead.stage) == "mql").values(stage="lead"))

    for instant, deeds in stops.items():
        here.stage.run(instant, {instant: lambda deeds=deeds: happen(deeds)})  # type: ignore[misc]
        with here.machine.db.read() as link:
            now = {"at_now": to_micros(instant)}
            for lead, points in link.execute(select(col(Lead.id), score()), now):
                if lead in {here.ids[f"lead {who}"] for who, _ in deeds}:
                    scores[lead or 0, instant] = points
    here.stage.run(at + timedelta(days=6), {})
    return scores


def transitions(here: World) -> list[tuple[int, datetime]]:
    rows = here.rows(StageTransition, col(StageTransition.to_stage) == "mql")
    return sorted((row.lead_id, row.at) for row in rows)


@settings(max_examples=5, phases=PHASES)
@given(files=rules(negative=True), leads=LEADS, events=EVENTS)
def test_scores_and_first_namings_are_the_engines(theatre: Theatre, files: Any, leads: Any, events: Any) -> None:
    """After every event, and for every lead the first instant at which it is an MQL, within a second."""
    with on_stage(theatre, files) as here:
        scores = play(here, leads, events, given_back=False)
        past = Past(here)
        told = past.numbers("score")  # of what some rule speaks
        assert {key: told[key] for key in scores if key in told} == {key: scores[key] for key in scores if key in told}
        named = dict(transitions(here))
        mine = past.named()
        assert mine.keys() == named.keys(), (mine, named)
        assert all(abs(mine[lead] - named[lead]) <= timedelta(seconds=1) for lead in named), (mine, named)


@settings(max_examples=5, phases=PHASES)
@given(files=rules(negative=False), leads=LEADS, events=EVENTS)
def test_a_lead_is_named_anew_when_the_engine_would(theatre: Theatre, files: Any, leads: Any, events: Any) -> None:
    """Where sales gives every MQL back, it becomes one again once it has been below the lower level."""
    with on_stage(theatre, files) as here:
        play(here, leads, events, given_back=True)
        assert Past(here).named_anew() == transitions(here)


def test_both_databases_tell_the_same(database_url: str) -> None:
    """What is read, where a `where:` is matched, and a machine's clicks that count for nothing; nor who objects.

    And when leads succeeded: not who came in as a customer, though a customer of an earlier stage did.
    """
    files = {
        "scoring.yaml": "engagement: [{rule: r, when: {did: seen, where: {path: /p*}}, points: 30}]\n"
        "fit: [{rule: f, when: {industry: saas}, points: 15}]\n",
        "lifecycle.yaml": "mql: {when: {score: {at_least: 40}}}\n",
    }
    with world(database_url, program(files, idle=IDLE)) as here:
        here.lead("ana", industry="saas")
        here.lead("ben")
        here.lead("cem")
        here.at(HOUR).event("ana", "seen", path="/prices")
        here.event("ben", "seen", path="/prices", actor="machine")
        here.event("ben", "seen", path="/prices")
        here.event("ben", "seen", path="/about")
        here.at(2 * HOUR).event("ben", "seen", path="/p")
        here.event("cem", "seen", path="/prices")
        here.event("cem", "seen", path="/prices")
        here.sql(insert(Objection).values(lead_id=here.ids["cem"], kind="profiling", at=here.now, source="test"))
        went = [("ana", "visitor", "lead", 0), ("ana", "lead", "customer", 1), ("ben", "visitor", "customer", 0)]
        rows = [
            {"lead_id": here.ids[who], "from_stage": before, "to_stage": to, "at": MONDAY + hour * HOUR}
            for who, before, to, hour in went
        ]
        here.sql(insert(StageTransition).values([{**row, "cause": "told", "author": "import"} for row in rows]))
        past = Past(here)

        with here.machine.db.read() as link:
            assert list(successes(link, past.history.people, "sql")) == [to_micros(MONDAY + HOUR), CAME_SO]
        assert past.named() == {here.ids["ana"]: MONDAY + HOUR, here.ids["ben"]: MONDAY + 2 * HOUR}
        assert here.ids["cem"] not in past.ids

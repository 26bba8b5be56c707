"""Who enters a sequence, when, how often; and who is told no, with which reason."""

from __future__ import annotations

from datetime import timedelta
from math import log2

import pytest
import yaml
from sqlmodel import col

from nurture.engine import control
from nurture.records import Enrolment, SequenceVersion, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, sequence

REST = "  - {id: rest, wait: 3 days}\n  - {id: over, exit: done}"
DEMO = {"lifecycle.yaml": "milestones: {demo: {when: {did: demo}, handoff: true}}\nrecycle: {premature: 30 days}"}


def passages(world: World, name: str) -> list[tuple[int, str | None]]:
    """(days since the start, outcome) of each of a lead's passages."""
    rows = world.rows(Enrolment, col(Enrolment.lead_id) == world.ids[name])
    return [((row.started_at - world.start).days, row.outcome) for row in rows]


@pytest.mark.parametrize(("existing", "enter"), [("false", set()), ("true", {"before"})])
def test_whoever_matched_before_the_first_publish_is_asked_for(make: Make, existing: str, enter: set[str]) -> None:
    """`existing` says whether those that match already enter; who comes to match afterwards enters either way."""
    world = make()
    world.lead("before", industry="saas")
    world.lead("after")
    effect = world.publish(
        program(drip=sequence(REST, when="{industry: saas}", enrol=f"existing: {existing}"))
    ).effects[0]
    world.tick()
    world.lead("after", industry="saas")
    world.tick().at(DAY).tick()

    assert (effect.matching, effect.entering) == (1, len(enter))
    assert set(world.passages()) == enter | {"after"}


HISTORY = {
    # the trigger: who matches it by what happened before anything was published
    "score": "{score: {at_least: 30}}",
    "fit": "{fit: {at_least: C}}",
    "stage": "{stage: mql}",
    "events": "{did: paid, at_least: 2, within: 30 days}",
}


@pytest.mark.parametrize("name", HISTORY)
def test_history_is_not_a_transition(make: Make, name: str) -> None:
    """What leads had earned before the first publish makes them existing, not newcomers, whatever the rule asks."""
    scoring = """
engagement: [{rule: paid, when: {did: paid}, points: 20}]
fit: [{rule: ours, when: {industry: saas}, thirds: 3}]"""
    world = make()
    for lead in ("rich", "poor"):
        world.lead(lead, industry="saas" if lead == "rich" else "retail")
    world.event("rich", "paid")
    world.event("rich", "paid")
    world.at(HOUR)
    files = {"scoring.yaml": scoring, "lifecycle.yaml": "mql: {when: {score: {at_least: 30}}}"}
    effect = world.publish(program(files, drip=sequence(REST, when=HISTORY[name]))).effects[0]
    world.tick().at(2 * HOUR).tick()

    assert (effect.matching, world.passages()) == (1, {})


def test_a_changed_rule_makes_newly_matching_leads_existing(make: Make) -> None:
    """Publishing a wider rule enrols nobody by itself; a transition into it afterwards does."""
    world = make(program(drip=sequence(REST, when="{industry: saas}")))
    world.lead("fin", industry="fintech")
    world.lead("other", industry="retail")
    world.tick()
    effect = world.publish(program(drip=sequence(REST, when="{industry: [saas, fintech]}"))).effects[0]
    world.tick()
    before = set(world.passages())
    world.lead("other", industry="fintech")
    world.tick()

    assert (effect.number, effect.matching, before, set(world.passages())) == (2, 1, set(), {"other"})


def test_a_changed_scoring_makes_newly_matching_leads_existing(make: Make) -> None:
    """More points for the same deed are no deed: nobody enters a live sequence because the rules were edited."""

    def files(points: int) -> dict[str, str]:
        scoring = f"engagement: [{{rule: paid, when: {{did: paid}}, points: {points}}}]"
        return program({"scoring.yaml": scoring}, drip=sequence(REST, when="{score: {at_least: 30}}"))

    world = make(files(20))
    world.lead("ana")
    world.event("ana", "paid")
    world.tick().publish(files(40))
    world.tick().at(HOUR).tick()

    assert (world.story("ana").score, world.passages()) == (40, {})


AGAIN = {
    # enrol; days at which the trigger comes true (it goes false after each): (days of entry, refusals)
    "never": ("again: never", (0, 10, 20), [0], "once_only"),
    "after ten days": ("again: {after: 10 days}", (0, 5, 14), [0, 14], "too_soon_again"),
    "a day too soon": ("again: {after: 10 days}", (0, 12), [0], "too_soon_again"),
    "ten days to the instant": ("again: {after: 10 days}", (0, 13), [0, 13], None),
}


@pytest.mark.parametrize("name", AGAIN)
def test_a_lead_enters_again_only_on_a_new_transition_after_the_gap(make: Make, name: str) -> None:
    """The gap counts from the end of the last passage, here three days after it began."""
    enrol, days, entries, reason = AGAIN[name]
    world = make(program(drip=sequence(REST, when="{tags: hot}", enrol=enrol)))
    world.lead("ana")
    for day in days:
        world.run(day * DAY)
        world.lead("ana", tags=["hot"])
        world.tick().run(day * DAY + HOUR)
        world.sql("DELETE FROM lead_tag")
        world.lead("ana", title=f"on day {day}")  # so that the lead is looked at
        world.tick()

    assert [day for day, _ in passages(world, "ana")] == entries
    assert world.refusals() == ({} if reason is None else {"ana": reason})


def test_a_condition_that_stays_true_is_one_transition(make: Make) -> None:
    """However often a lead is looked at while it matches, and long after it left, it does not enter again."""
    world = make(program(drip=sequence(REST, when="{industry: saas}", enrol="again: {after: 1 days}")))
    world.lead("ana", industry="saas")
    for day in range(0, 30, 3):
        world.at(day * DAY)
        world.event("ana", "seen")
        world.tick()

    assert passages(world, "ana") == [(0, "done")]


def test_the_reasons_of_a_refusal(make: Make) -> None:
    """Each clause that says no is written down under its name, and the lead is not enrolled."""
    files = program(DEMO, drip=sequence(REST, segment="{industry: saas}", objective="demo", leave="{tags: gone}"))
    world = make(files)
    names = ("fine", "address", "domain", "lead", "demo", "old demo", "gone", "gone and address", "outside")
    for name in names:
        world.lead(
            name.replace(" ", "-"), industry="retail" if name == "outside" else "saas", tags=["gone"] * ("gone" in name)
        )
    world.ids = {name.replace("-", " "): number for name, number in world.ids.items()}
    suppress(world, "address", "address@lead.example")
    suppress(world, "address", "gone-and-address@lead.example")
    suppress(world, "lead", str(world.ids["lead"]))
    world.lead("at domain", email="x@blocked.example", industry="saas")
    world.lead("below domain", email="x@sub.blocked.example", industry="saas")
    suppress(world, "domain", "blocked.example")
    world.event("demo", "demo", occurred=world.now - 100 * DAY)
    world.event("old demo", "demo", occurred=world.now - 181 * DAY)
    world.tick()
    for name in world.ids:
        world.event(name, "signed_up")
    world.tick()

    assert world.refusals() == {
        "address": "suppressed",
        "lead": "suppressed",
        "at domain": "suppressed",
        "gone and address": "suppressed",
        "demo": "objective_reached",
        "gone": "leave_holds",
    }
    assert set(world.passages()) == {"fine", "domain", "old demo", "below domain"}


def suppress(world: World, kind: str, value: str) -> None:
    world.sql(
        "INSERT INTO suppression (kind, value, reason, source, at) VALUES (:kind, :value, 'test', 'test', 0)",
        kind=kind,
        value=value,
    )


def test_whoever_left_by_objective_may_come_again(make: Make) -> None:
    """The milestone that ended a passage does not bar the next one: objectives count since that end."""
    world = make(
        program(DEMO, drip=sequence(REST, when="{tags: hot}", objective="demo", enrol="again: {after: 10 days}"))
    )
    world.lead("door", tags=["hot"])
    world.lead("tick", tags=["hot"])
    world.tick().at(HOUR)
    world.event("door", "demo", settle=True)
    world.event("tick", "demo")
    world.at(2 * HOUR).tick()
    world.sql("DELETE FROM lead_tag")
    for name in ("door", "tick"):
        world.lead(name, title="x")
    world.tick().at(20 * DAY)
    for name in ("door", "tick"):
        world.lead(name, tags=["hot"])
    world.tick()

    assert {name: passages(world, name) for name in world.ids} == {
        "door": [(0, "objective"), (20, None)],
        "tick": [(0, "objective"), (20, None)],
    }
    assert world.refusals() == {}


def test_an_objective_reached_before_but_known_after_enrolment_counts(make: Make) -> None:
    """A request that comes in late still ends the passage that began meanwhile; one of long ago does not."""
    world = make(program(DEMO, drip=sequence(REST, objective="demo")))
    for name in ("recent", "ancient"):
        world.lead(name)
        world.event(name, "signed_up")
    world.tick().at(HOUR)
    world.event("recent", "demo", occurred=world.start - DAY)
    world.event("ancient", "demo", occurred=world.start - 200 * DAY)
    world.tick()

    assert world.stands() == {"recent": "objective", "ancient": "rest"}


def test_a_premature_lead_rests_and_then_enters(make: Make) -> None:
    """What sales called premature is left alone for the stated time; a trigger in it counts when it is over."""
    world = make(program(DEMO, drip=sequence(REST, leave="{stage: sal}")))
    world.lead("ana")
    world.event("ana", "demo", settle=True)
    world.answer("ana", "rejected", "premature")
    world.run(5 * DAY)
    world.event("ana", "signed_up")
    world.tick()
    during = (world.refusals(), world.stands())
    world.run(29 * DAY)
    still = world.stands()
    world.run(31 * DAY)

    assert during == ({"ana": "resting"}, {})
    assert (still, world.stands(), passages(world, "ana")) == (
        {},
        {"ana": "rest"},
        [(29, None)],
    )  # an hour less: clocks went forward


def test_one_lead_in_two_sequences_at_two_times(make: Make) -> None:
    """Being in one sequence neither bars nor delays the other; each passage is its own."""
    world = make(program(one=sequence(REST), two=sequence(REST, when="{did: came}")))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick().run(DAY)
    world.event("ana", "came")
    world.tick().run(3 * DAY + HOUR)

    assert (world.stands("one"), world.stands("two")) == ({"ana": "done"}, {"ana": "rest"})


def test_being_in_another_sequence_leaves_or_bars(make: Make) -> None:
    """`in_sequence` under `leave` ends the passage when the other begins, and keeps out whoever is there already."""
    world = make(program(main=sequence(REST), side=sequence(REST, when="{did: came}", leave="{in_sequence: main}")))
    for name in ("first side", "first main", "both at once"):
        world.lead(name.replace(" ", "-"))
    world.ids = {name.replace("-", " "): number for name, number in world.ids.items()}
    world.event("first side", "came")
    world.event("first main", "signed_up")
    world.tick().at(HOUR)
    for name in world.ids:
        world.event(name, "signed_up" if name == "first side" else "came")
    world.event("both at once", "signed_up")
    world.tick()

    assert world.stands("side") == {"first side": "left"}
    assert world.refusals() == {"first main": "leave_holds", "both at once": "leave_holds"}
    assert world.stands("main") == dict.fromkeys(world.ids, "rest")


def test_conditions_that_time_alone_turns_are_looked_at_when_they_turn(make: Make) -> None:
    """A lead that has been quiet for ten days enters on the tenth day to the instant, without anything happening."""
    quiet = "{all: [{did: seen}, {did_not: seen, within: 10 days}]}"
    world = make(
        program(
            drip=sequence(
                "  - {id: rest, wait: 30 days}\n  - {id: over, exit: done}",
                when=quiet,
                leave="{did_not: seen, within: 20 days}",
            )
        )
    )
    for name, hours in (("ana", 0), ("bob", 7)):
        world.at(hours * HOUR)
        world.lead(name)
        world.event(name, "seen")
        world.tick()
    world.run(12 * DAY)
    entered = {name: row.started_at - world.start for name, row in world.passages().items()}
    world.run(22 * DAY)
    left = {name: (row.outcome, row.ended_at - world.start) for name, row in world.passages().items()}

    assert entered == {"ana": 10 * DAY, "bob": 10 * DAY + 7 * HOUR}
    assert left == {"ana": ("left", 20 * DAY), "bob": ("left", 20 * DAY + 7 * HOUR)}


SCORES = """
half_life: 10 days
engagement:
  - {rule: good, when: {did: good}, points: 60}
  - {rule: bad, when: {did: bad}, points: -40, half_life: 5 days}"""
FADING: dict[str, float | None] = {
    # the condition: what is left of x when time alone has made it true (60x, x by half in ten days, less 40x²)
    "{score: {at_least: 50}}": None,
    "{score: {under: 45}}": 44.5 / 60,
    "{all: [{did: bad}, {score: {at_least: 21}}]}": (60 + (3600 - 160 * 20.5) ** 0.5) / 80,
    "{all: [{did: bad}, {score: {at_least: 22}}]}": (60 + (3600 - 160 * 21.5) ** 0.5) / 80,
}


@pytest.mark.parametrize("when", FADING)
def test_a_fading_score_enrols_in_time(make: Make, when: str) -> None:
    """Points that fade may bring a lead in, from above or from below, when they do and without anything happening."""
    world = make(program({"scoring.yaml": SCORES}, drip=sequence(REST, when=when)))
    world.lead("ana")
    world.event("ana", "good")
    if "bad" in when:
        world.event("ana", "bad")
    world.tick()
    at_once = "ana" in world.passages()
    world.run(12 * DAY)

    left = FADING[when]
    assert at_once == (left is None)
    if left is not None:
        due = -10 * log2(left) * DAY
        assert abs(world.passages()["ana"].started_at - world.start - due) <= timedelta(seconds=2)


def test_a_pinned_version_keeps_its_own_clock(make: Make) -> None:
    """Leads of an older version leave when *its* rule turns by time, whatever the newest version says."""

    def files(leave: str) -> dict[str, str]:
        return program(drip=sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", leave=leave))

    world = make(files("{did_not: signed_up, within: 10 days}"))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick().at(HOUR).publish(files("{stage: sal}"))
    world.event("ana", "seen")
    world.tick().run(12 * DAY)

    passage = world.passages()["ana"]
    assert (passage.outcome, passage.ended_at) == ("left", world.start + 10 * DAY)


def test_pinned_leads_keep_their_steps_and_newcomers_get_the_new_ones(make: Make) -> None:
    """A published version is what its leads walk to their end; both versions are carried by the same tick."""

    def files(days: int, last: str) -> dict[str, str]:
        return program(drip=sequence(f"  - {{id: rest, wait: {days} days}}\n  - {{id: over, exit: {last}}}"))

    world = make(files(3, "old"))
    world.lead("ana")
    world.event("ana", "signed_up")
    effect = world.tick().publish(files(5, "new")).effects[0]
    world.lead("bob")
    world.event("bob", "signed_up")
    world.tick().run(4 * DAY)
    halfway = world.stands()
    world.run(6 * DAY)

    assert (effect.number, effect.inside) == (2, 1)
    assert (halfway, world.stands()) == ({"ana": "old", "bob": "rest"}, {"ana": "old", "bob": "new"})


def test_publishing_the_same_again_does_nothing(make: Make) -> None:
    """Same bytes, no new version, nobody touched; whitespace is another version."""
    files = program(drip=sequence(REST))
    world = make(files)
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick()
    before = world.rows(Enrolment), world.rows(SequenceVersion)
    same = world.publish(files)
    after = world.rows(Enrolment), world.rows(SequenceVersion)
    other = world.publish(files | {"drip/sequence.yaml": files["drip/sequence.yaml"] + "\n"})

    assert (same.program_changed, [effect.changed for effect in same.effects], before == after) == (
        False,
        [False],
        True,
    )
    assert [(effect.number, effect.changed, effect.inside) for effect in other.effects] == [(2, True, 1)]


def test_new_content_wakes_those_who_had_had_everything(make: Make) -> None:
    """A lead for whom nothing is left idles on the offer, and goes on when a piece is added, once."""

    def files(*keys: str) -> dict[str, str]:
        pieces = [{"key": key, "title": "T", "stage": "decision", "url": f"https://acme.example/{key}"} for key in keys]
        steps = "".join(f"  - {{id: offer{n}, offer: {{}}}}\n" for n in (1, 2, 3)) + "  - {id: over, exit: done}"
        return program({"offers.yaml": yaml.safe_dump({"offers": pieces})}, drip=sequence(steps))

    world = make(files("a", "b"))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick().run(30 * DAY)
    idle = world.stands(), world.machine.next_due()
    world.publish(files("a", "b"))
    world.tick()
    still = world.stands()
    world.publish(files("a", "c", "b"))
    world.tick()

    assert (idle, still) == (({"ana": "offer3"}, None), {"ana": "offer3"})
    assert world.stands() == {"ana": "done"}
    assert [touch.content for touch in world.rows(Touch)] == ["a", "b", "c"]


def test_many_leads_each_by_its_own_transition(make: Make) -> None:
    """Hundreds of leads in one settle: those enter that match now, did not before, and have no reason against them."""
    world = make(program(DEMO, drip=sequence(REST, when="{industry: saas}", objective="demo", leave="{tags: gone}")))
    expected: set[str] = set()
    refused: dict[str, str] = {}
    kinds = [(before, now, demo, gone) for before in (0, 1) for now in (0, 1) for demo in (0, 1) for gone in (0, 1)]
    for number in range(320):
        before, _, demo, gone = kinds[number % 16]
        world.lead(f"lead{number}", industry="saas" if before else "retail", tags=["gone"] * gone)
    world.tick()
    first = {name for name in world.passages()}
    for number in range(320):
        before, now, demo, gone = kinds[number % 16]
        name = f"lead{number}"
        if demo:
            world.event(name, "demo")
        world.lead(name, industry="saas" if now else "retail")
        if now and not before:
            reason = "objective_reached" if demo else "leave_holds" if gone else None
            expected |= {name} if reason is None else set()
            refused |= {name: reason} if reason else {}
    world.at(timedelta(minutes=5)).tick()

    assert first == {f"lead{n}" for n in range(320) if kinds[n % 16][0] and not kinds[n % 16][3]}
    assert set(world.passages()) - first == expected
    assert {name: reason for name, reason in world.refusals().items() if not kinds[int(name[4:]) % 16][0]} == refused


def test_a_held_segment_still_moves(make: Make) -> None:
    """Hold keeps messages back, not clocks: a wait ends, a lead enters, and all of it stands where it should."""
    world = make(program(drip=sequence(REST)))
    world.do(lambda link: control.pause(link, "segment:drip", "operator", world.now))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick().run(4 * DAY)

    assert world.stands() == {"ana": "done"}

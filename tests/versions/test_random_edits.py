"""A law: whatever is edited, and whenever, every lead gets what an old-fashioned reading of the two lists says."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlmodel import col

from nurture.records import Enrolment, SequenceVersion, Touch
from tests.engine.world import DAY, program, sequence, world

LETTERS, WAITS = ("anna", "bert", "carl", "dora"), ("one", "two", "three")
STEPS = (
    st.tuples(st.permutations([*LETTERS, *WAITS]), st.integers(3, 7))
    .map(lambda drawn: list(drawn[0])[: drawn[1]])
    .filter(lambda steps: any(step in LETTERS for step in steps))
)
DAYS = st.tuples(*[st.integers(1, 6)] * 3)


def text(steps: list[str], days: tuple[int, ...], **more: str) -> dict[str, str]:
    """Letters that may be repeated: nothing but the rule about finished steps keeps one from going out twice."""
    lines = [
        f"  - {{id: {step}, email: {step}.j2, repeat: true}}"
        if step in LETTERS
        else f"  - {{id: {step}, wait: {days[WAITS.index(step)]} days}}"
        for step in steps
    ]
    return program(drip=sequence("\n".join(lines), send='{hours: "09:00-17:00", days: workdays}', **more))


def ahead(old: list[str], new: list[str], path: list[str]) -> list[str]:
    """The steps that a lead still does, by its path: those after its own that it has not been on, in the new order."""
    *been, here = path
    if here in new:
        return [here, *(step for step in new[new.index(here) + 1 :] if step not in been)]
    follower = next((step for step in old[old.index(here) + 1 :] if step in new), None)
    return [] if follower is None else [step for step in new[new.index(follower) :] if step not in path]


@settings(max_examples=5)
@example(old=["anna", "one", "bert"], new=["one", "anna", "bert"], old_days=(3, 1, 1), new_days=(2, 1, 1), hours=30)
@example(old=["anna", "bert", "one"], new=["one", "two", "anna"], old_days=(3, 1, 1), new_days=(5, 1, 1), hours=60)
@given(old=STEPS, new=STEPS, old_days=DAYS, new_days=DAYS, hours=st.integers(0, 24 * 9))
def test_finished_steps_stay_finished_and_nothing_is_lost(
    old: list[str], new: list[str], old_days: tuple[int, ...], new_days: tuple[int, ...], hours: int
) -> None:
    """Three leads, a day apart; the edit comes at any hour."""
    with world("sqlite://", text(old, old_days)) as played:
        starts = {}
        for number, name in enumerate(("x", "y", "z")):
            played.lead(name)
            starts[played.start + number * DAY] = lambda name=name: played.event(name, "signed_up")
        played.run(timedelta(hours=hours), starts)
        before = {row.id: [step for step in row.path.split("/") if step] for row in played.rows(Enrolment)}
        living = {row.id for row in played.rows(Enrolment, col(Enrolment.ended_at).is_(None))}
        sent = {(row.enrolment_id, row.step) for row in played.rows(Touch, col(Touch.state) == "sent")}

        played.publish(text(new, new_days, on_edit="migrate"))
        number_of = {row.id: row.number for row in played.rows(SequenceVersion)}
        for row in played.rows(Enrolment, col(Enrolment.ended_at).is_(None)):
            assert (number_of[row.version_id], row.step in new) == (2, True)
        played.run(timedelta(days=70), {at: start for at, start in starts.items() if at > played.now})

        expected = set(sent)
        for row in played.rows(Enrolment):
            path = before.get(row.id)
            steps = new if path is None else ahead(old, new, path) if row.id in living else []
            expected |= {(row.id, step) for step in steps if step in LETTERS}
        got = [(row.enrolment_id, row.step) for row in played.rows(Touch, col(Touch.state) == "sent")]
        assert sorted(got) == sorted(expected)
        assert {row.outcome for row in played.rows(Enrolment)} <= {"completed"}
        assert all(row.ended_at for row in played.rows(Touch))

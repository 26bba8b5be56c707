"""A program in which leads move between stages by every door, and the doors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from sqlmodel import col

from nurture.engine import answers, doors, stages
from nurture.engine.running import Run
from nurture.intake import write
from nurture.records import StageTransition, StatusChange
from tests.engine.world import World, program, sequence

MANNER = sequence("  - {id: tag, label: Read twice, update: {status: connected}}\n  - {id: done, exit: completed}")
LIFECYCLE = """
statuses: [new, open, connected, open_deal, bad_timing, unqualified, Waiting for the budget]
lead: {when: {did: read_paper}}
mql: {when: {did: read_much}, rearm_below: 1}
milestones:
  asked: {when: {did: asked}, handoff: true, entrance: ready}
  read: {when: {did: read_much}, handoff: true}
  used: {when: {did: used}, handoff: true, entrance: product}
  more: {when: {did: wants_more}, handoff: true, entrance: service}
gate:
  - {reason: unreachable, refuse: {role: unreachable}, then: repair}
  - {reason: rival, refuse: {role: rival}, then: disqualified}
  - {reason: private_address, refuse: {domain_kind: free}, entrances: [marketing]}
  - {reason: existing_customer, refuse: {stage: customer}, entrances: [marketing, product]}
recycle: {premature: 30 days}
"""
LETTERS = sequence(
    "  - {id: rest, wait: 300 days}\n  - {id: done, exit: completed}",
    when="{did: subscribed}",
)
FILES = program({"lifecycle.yaml": LIFECYCLE}, drip=MANNER, letters=LETTERS)
_serial = itertools.count(1)


def run(here: World, what: Callable[[Run], Any]) -> Any:
    """What `what` does, in a transaction of its own, now."""
    return here.do(lambda link: what(Run(link, here.machine.library.live(link), here.now)))


def moves(here: World, who: str) -> list[tuple[str, ...]]:
    """(from, to, cause, author) of each stage, in order."""
    rows = here.rows(StageTransition, col(StageTransition.lead_id) == here.ids[who])
    rows.sort(key=lambda row: (row.at, row.id))
    return [(row.from_stage, row.to_stage, row.cause, row.author) for row in rows]


def changes(here: World, who: str) -> list[tuple[str, ...]]:
    """(from, to, cause, author) of each status, in order."""
    rows = here.rows(StatusChange, col(StatusChange.lead_id) == here.ids[who])
    return [(row.from_status, row.to_status, row.cause, row.author) for row in rows]


def fresh(here: World, **values: Any) -> str:
    name = f"lead-{next(_serial)}"
    here.lead(name, **values)
    return name


REASONS = {"rejected": "premature", "lost": "price"}


def by_hand(here: World, who: str, to: str) -> None:
    def move(one: Run) -> None:
        doors.lock_lead(one.link, here.ids[who], here.now)
        stages.move_lead(one, here.ids[who], to, cause="by hand", author="test")
        doors.settle_one(one.link, one.live, here.ids[who], here.now)

    run(here, move)


def file(here: World, who: str, to: str, **more: str) -> None:
    person = write.Person.of({"email": here.who(who).email, "stage": to, **more}, source="crm")
    here.do(lambda link: write.put_people(link, [person], now=here.now, origin="crm"))


def sales(here: World, who: str, word: str) -> None:
    asked = [row.id for row in here.handoffs(who)]
    if asked:
        key, reason = str(next(_serial)), REASONS.get(word)
        run(
            here,
            lambda one: answers.answer(
                one.link, one.live, asked[-1], word, by="test", now=here.now, source="test", key=key, reason=reason
            ),
        )


def did(here: World, who: str, event: str) -> None:
    here.event(who, event, settle=True)

"""Statuses: what sales is doing about a lead. Every change is dated, with cause and author; unknown words are refused.

Authors are `rule`, `form KEY`, `import`, `sequence SLUG/STEP`, or the address of a person.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.histories import Moves, status_moves
from nurture.language.source import suggest
from nurture.records import Lead


def move_status(run: Run, moves: Moves) -> int:
    """Note the changes, then make them; how many."""
    run(moves[0])
    return int(run(moves[1]).rowcount)


def known(run: Run, word: str) -> str:
    """The status that `word` means, however it is spelled. Raises Refused for one that lifecycle.yaml does not have."""
    lifecycle = run.live.house.lifecycle
    found = lifecycle.status_named(word)
    if found is None:
        ways = suggest(word, lifecycle.known_statuses)
        raise Refused(f"there is no status '{word}'; {ways}; or write it under statuses: in lifecycle.yaml")
    return found


def change(run: Run, lead: int, to: str, *, cause: str, author: str) -> str:
    """One lead's status from now on, under its lock; the status before, which may be the same.

    Raises Refused for a status that is unknown, and NotFound.
    """
    to = known(run, to)
    mine = col(Lead.id) == lead
    before = run(select(col(Lead.status)).where(mine)).scalar()
    if before is None:
        raise NotFound(f"there is no lead {lead}")
    move_status(run, status_moves(mine, to, cause=cause, author=author))
    return str(before)


__all__ = ["change", "known", "move_status", "status_moves"]

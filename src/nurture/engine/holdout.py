"""The holdout: a share of all leads that gets no marketing for as long as it lives, so that its effect can be told.

Held-out leads are enrolled, walk, are scored and handed over like others. What is not sent to them is `suppressed`, so
that both groups enter by the same rules.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, false
from sqlmodel import col

from nurture.engine.live import Live
from nurture.engine.planning import windowed
from nurture.language.arms import HOLDOUT, place
from nurture.records import Lead
from nurture.steps import Audience, Sending


def withheld(step: Sending) -> bool:
    """Whether held-out leads go without what this step sends: marketing messages, and being put into audiences."""
    if isinstance(step, Audience):
        return step.audience.verb == "add"
    return windowed(step)


def held_out(live: Live) -> ColumnElement[bool]:
    """Whether the lead is held out, by its key alone; a larger share holds out more, and lets nobody go."""
    share = live.house.program.holdout
    return place(HOLDOUT, col(Lead.draw)) < share if share else false()

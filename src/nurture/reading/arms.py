"""Which arms a lead got, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.experiments import trial_of
from nurture.engine.holdout import held_out
from nurture.engine.live import Live
from nurture.engine.story import Story
from nurture.language.arms import percent
from nurture.records import Experiment, Lead, Touch
from nurture.steps import Split

_BY_KEY = "by the lead's key"


def arms_of(link: Connection, live: Live, story: Story, now: datetime) -> list[str]:
    """A sentence for each arm that the lead of `story` is in."""
    found = [said for row in story.enrolments for said in _ways(link, live, row)]
    armed = (col(Touch.lead_id) == story.lead_id, col(Touch.arm).is_not(None), col(Touch.planned_at) <= now)
    columns = (Touch.sequence, Touch.step, Touch.version_id, Touch.arm, Touch.planned_at)
    touches = link.execute(select(*map(col, columns)).where(*armed).order_by(col(Touch.id))).all()
    found += [_letter(link, live, touch, touches) for touch in touches]
    mine = select(col(Lead.id)).where(col(Lead.id) == story.lead_id, held_out(live))
    if link.execute(mine).first() is not None:
        share = percent(live.house.program.holdout or 0)
        found.append(f"held out ({share} of all leads, {_BY_KEY}): it gets no marketing")
    return list(dict.fromkeys(found))


def _ways(link: Connection, live: Live, row: Any) -> list[str]:
    """The ways that an enrolment took at its version's splits."""
    splits = [step for step in live.library.segment(link, row.version_id).spec.steps if isinstance(step, Split)]
    return [
        f"{row.sequence}, split '{step.id}': {way} ({percent(share)}, {_BY_KEY})"
        for step in splits
        for way, share in step.split.items()
        if f"/{step.id}/{way}/" in row.path
    ]


def _letter(link: Connection, live: Live, touch: Any, touches: Any) -> str:
    segment = live.library.segment(link, touch.version_id)
    trial = trial_of(segment, segment.spec.step(touch.step))
    said = f"{touch.sequence}, '{touch.step}': arm {touch.arm}"
    if trial is None:
        return said
    found = link.execute(select(col(Experiment.winner), col(Experiment.decided_at)).where(trial.where)).one_or_none()
    won = found is not None and found.decided_at is not None and touch.planned_at >= found.decided_at
    if won and found is not None and touch.arm == found.winner:
        same = [other for other in touches if (other.sequence, other.step) == (touch.sequence, touch.step)]
        if not any(other.planned_at < found.decided_at for other in same):
            return f"{said}, the winner since {found.decided_at:%Y-%m-%d %H:%M}Z"
    return f"{said} ({percent(trial.shares[touch.arm])}, {_BY_KEY})"

"""Further workers for one segment: a tick with much to send asks for them, and each sends a part of it.

What may be helped with is decided by the engine (`nurture.engine.helping`); a run that comes too late does nothing.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from flows import machines
from flows import segment as ticks
from flows.shown import run_name, safely
from flows.tallies import in_words
from nurture.engine.helping import lend_a_hand


@flow(name="nurture-helping", flow_run_name=lambda: f"help {run_name()}", persist_result=False)
@safely
def nurture_helping(segment: str) -> State[Any]:
    """Help the run that carries a segment to send; if that has died, carry the segment on.

    Args:
        segment: the segment's folder under templates/, such as saas-evaluators
    """
    with machines.machine() as machine:
        steps = lend_a_hand(machine, segment, str(flow_run.id))
        if machine.waiting(segment, now := machine.now()):
            ended = ticks.tick(machine, segment, now)  # whom we helped is gone, or has left us the last few
            if not steps or not ended.is_cancelled():
                return ended
        if steps is None:
            return Cancelled(message="nothing is left to help with")
        counts = {"helped": sum(step.sent for step in steps)}
        return Completed(message=in_words(counts) or "nothing was left to help with", data=counts)

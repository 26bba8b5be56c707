"""What may be shown: Prefect's pages and logs hold ids and counts, never a lead's data."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run
from prefect.states import Failed

from flows import lighter  # noqa: F401 - every flow comes by here
from nurture.clock import Clock, VirtualClock
from nurture.errors import DatabaseFault, NurtureError, SchemaMismatch

P = ParamSpec("P")
local = logging.getLogger("nurture.flows")  # this process's own log, which Prefect does not store


class Shown(Exception):
    """A failure in words fit for Prefect's pages; `counts` is what was done all the same."""

    def __init__(self, message: str, counts: Any = None) -> None:
        super().__init__(message)
        self.counts = counts


class DatabaseAway(Shown):
    """The database did not answer or was locked; trying again may help."""


def safely(work: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """A failure becomes a red state in safe words: a driver's own message may quote a whole row."""

    @wraps(work)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return work(*args, **kwargs)
        except Exception as problem:
            why = in_safe_words(problem)
            return Failed(message=str(why), data=why)

    return guarded


def in_safe_words(problem: Exception) -> Shown:
    """Our own errors speak for themselves; of others only the kind and the place are told."""
    if isinstance(problem, Shown):
        return problem
    if isinstance(problem, DatabaseFault) and not isinstance(problem, SchemaMismatch):
        return DatabaseAway(str(problem))
    if isinstance(problem, NurtureError):
        return Shown(str(problem))
    frames = traceback.extract_tb(problem.__traceback__)
    lines = str(getattr(problem, "orig", None) or problem).splitlines()
    local.error("%s: %s\n%s", type(problem).__name__, "".join(lines[:1]), "".join(frames.format()))
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return Shown(f"{type(problem).__name__} at {place}; the worker's own log says more")


def database_is_away(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Which failures a task tries again."""
    return isinstance(state.result(raise_on_failure=False), DatabaseAway)


def instant(text: str | None) -> datetime | None:
    """An ISO instant as written in a parameter; None where it is empty."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Shown(f"at: '{text}' is not an instant; write it like 2026-03-02T09:05:00Z") from None
    if moment.tzinfo is None:
        raise Shown(f"at: '{text}' has no zone; write it like {text}Z")
    return moment.astimezone(UTC)


def clock(at: str | None) -> Clock | None:
    """A clock that stands at a rehearsed instant; None for the wall clock."""
    moment = instant(at)
    return VirtualClock(moment) if moment else None


def run_name() -> str:
    """`saas-evaluators 2026-03-02 09:05`, in UTC."""
    parameters = flow_run.parameters
    try:
        moment = instant(parameters.get("at"))
    except Shown:
        moment = None
    return f"{parameters.get('segment', 'routing')} {moment or flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"

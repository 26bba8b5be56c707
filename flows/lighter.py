"""Prefect's client with less to do for each run: what it waits for, or makes anew, to no end."""

from __future__ import annotations

import ssl
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

from prefect import Flow, flow_engine
from prefect.client import orchestration

in_full = Flow.serialize_parameters


def lighten() -> None:
    """Once in a process that runs flows. Names are those of Prefect 3.8; one that is gone is left alone."""
    if hasattr(flow_engine, "_send_heartbeats"):
        # the thread that says that a run lives sleeps whole seconds, and the run's end waited for it to wake up
        flow_engine._send_heartbeats = partial(flow_engine._send_heartbeats, join_on_exit=False)
    if hasattr(orchestration, "ssl"):
        # each client read the file of all authorities anew, and each thread that speaks to the server has one
        own = {"create_default_context": cache(ssl.create_default_context)}
        orchestration.ssl = SimpleNamespace(**vars(ssl) | own)
    Flow.serialize_parameters = serialized  # type: ignore[assignment]


def serialized(flow: Flow[Any, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON: Prefect imports FastAPI for that, which ours do not need."""
    plain = all(isinstance(value, str | int | float | bool | None) for value in parameters.values())
    return dict(parameters) if plain else in_full(flow, parameters)


lighten()

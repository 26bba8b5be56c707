"""Runs in the process of a command, as `nurture run` starts them; and what was taken from Prefect's own work."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from prefect import flow_engine
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows import lighter
from flows.foreground import ticks
from flows.segment import nurture_segment
from nurture import opening
from nurture.engine.machine import Machine
from nurture.errors import NotPublished
from tests.engine.world import program
from tests.flows.house import EVALUATORS, FILES, House

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_all_live_segments_run_with_one_machine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own run, under the rehearsed clock, whose database is opened once."""
    opened: list[Any] = []
    real = opening.open_machine

    def counted(*given: Any) -> Machine:
        opened.append(given)
        return real(*given)

    monkeypatch.setattr(opening, "open_machine", counted)
    house.publish(FILES | program(win_back=EVALUATORS))
    house.arrive(2)

    told = list(ticks([], house.now.isoformat()))

    stamp = f"{house.now:%Y-%m-%d %H:%M}"
    assert [run["name"] for run in told] == [f"evaluators {stamp}", f"win-back {stamp}"]
    assert {run["state"] for run in told} == {"Completed"}
    assert sum(run["counts"]["sent"] for run in told) == len(house.mail.messages) > 0
    assert len(opened) == 1


def test_a_segment_that_is_not_live_is_refused_before_anything_runs(house: House) -> None:
    house.arrive(2)

    with pytest.raises(NotPublished, match="there is no live segment 'evaluator'"):
        list(ticks(["evaluators", "evaluator"], None))
    assert house.mail.messages == []


def test_what_reaches_nobody_is_said(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `nurture tick` says it; routing sends no letters, and says nothing."""
    monkeypatch.delenv("NURTURE_SMTP_URL")

    said = {}
    for word in ("routing", "evaluators"):
        list(ticks([word], house.now.isoformat()))
        said[word] = capsys.readouterr().err.count("NURTURE_SMTP_URL is not set")

    assert said == {"routing": 0, "evaluators": 1}


def test_parameters_are_what_prefect_makes_of_them() -> None:
    """Ours without FastAPI, and any other by it."""
    cases: list[dict[str, Any]] = [
        {"segment": "evaluators", "at": None},
        {"hold": 3},
        {"at": datetime(2026, 3, 2, tzinfo=UTC)},
    ]
    for given in cases:
        assert nurture_segment.serialize_parameters(given) == lighter.in_full(nurture_segment, given)


def test_prefect_still_has_what_is_made_lighter() -> None:
    """A Prefect that calls it otherwise runs as well, only slower."""
    assert isinstance(flow_engine._send_heartbeats, partial)
    with get_client(sync_client=True) as one, get_client(sync_client=True) as other:
        assert verified(one) is verified(other)


def verified(client: SyncPrefectClient) -> Any:
    """By which authorities a client knows its server."""
    transport: Any = client._client._transport
    return transport._pool._ssl_context

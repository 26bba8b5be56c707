"""What a tick leaves in the UI besides boxes: pages, with counts and numbers and never a lead's data."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_LOGGING_LEVEL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows import progress
from nurture.records import Handoff, Touch
from tests.channels.relay import Relay
from tests.flows.house import CANARY, House, break_table, hung_up, messages, page

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_tick_leaves_the_sequence_and_its_cohorts(house: House) -> None:
    house.arrive(5)

    house.flow()

    drawn = page("sequence-evaluators")
    assert "```mermaid\nflowchart" in drawn
    assert "E-mail: Case study<br/>“Hello”<br/>5 sent" in drawn
    assert "| Decide | 5 |" in drawn
    assert '"step": "Case study"' in page("cohorts-evaluators")
    assert '"segment": "evaluators", "leads": 5' in page("funnel")
    assert "nothing to show" in page("uncertain")


def test_routing_sends_the_notice_that_is_left_and_lists_it_by_number(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay was down when the hand-off was opened; started twice, routing tells once."""
    house.lead("ana", first_name="Quillonde")
    house.event("ana", "demo_requested")
    with monkeypatch.context() as patch:
        patch.setenv("NURTURE_SMTP_URL", hung_up())
        assert house.flow("routing").message == "opened 1, waiting 1"

    later = timedelta(minutes=30)
    said = [house.flow("routing", at=later).message, house.flow("routing").message]

    assert said == ["told 1, waiting 1", "waiting 1"]
    assert house.addressed("mihai@acme.example") == 1
    assert f'"id": {house.rows(Handoff)[0].id}' in page("handoffs")
    assert "demo_requested" in page("handoffs")


def test_what_may_have_left_is_listed_by_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay hangs up after the message, before its receipt."""
    house.lead("cut-end")
    house.event("cut-end", "signed_up")
    with Relay() as relay, monkeypatch.context() as patch:
        patch.setenv("NURTURE_SMTP_URL", relay.url)
        state = house.flow()

    touch, _ = house.rows(Touch)
    assert touch.state == "uncertain"
    assert "uncertain 2" in state.message
    assert f'"touch": {touch.id}' in page("uncertain")
    assert "cut-end" not in page("uncertain")


def test_no_data_of_a_lead_reaches_prefect(house: House, prefect_home: Path) -> None:
    """All that the server has kept in its database: runs, states, logs, artifacts, events."""
    house.canary()
    break_table(house, "handoff")
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True, PREFECT_LOGGING_LEVEL: "DEBUG"}):
        state = house.flow()
        house.at(timedelta(days=1)).event("canary", "asked")
        broken = house.flow(at=timedelta(days=3))
        house.sql("DROP TRIGGER broken")
        house.flow()
        house.flow("routing")
        asyncio.run(APILogHandler.aflush())

    assert state.result()["sent"] == 2
    assert broken.is_failed()
    assert house.addressed(CANARY["email"]) == 2  # we look for somebody whose data did pass through here
    assert house.addressed("mihai@acme.example") == 1
    messages(broken, 2)
    kept = kept_by_server(prefect_home / "prefect.db", "nurture.handoff.opened")
    assert "evaluators 2026-03-05 08:00" in kept  # and the search finds what there is
    assert "IntegrityError at" in kept
    assert [word for word in [*CANARY.values(), "wexholm"] if word in kept] == []


def kept_by_server(file: Path, awaited: str) -> str:
    """The server's whole database as text, once it has written down what we wait for."""
    deadline = time.monotonic() + 15
    while True:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as link:
            kept = "\n".join(link.iterdump())
        if awaited in kept or time.monotonic() > deadline:
            return kept
        time.sleep(0.5)


def test_progress_is_shown_every_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short step shows none; a failure to show is not a failure to send."""
    clock, shown = [0.0], list[float]()

    def made(percent: float, **_words: str) -> UUID:
        shown.append(percent)
        return uuid4()

    def moved(_id: object, percent: float, **_words: str) -> None:
        shown.append(percent)
        raise OSError("no server")

    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress, "create_progress_artifact", made)
    monkeypatch.setattr(progress, "update_progress_artifact", moved)
    shows = progress.Progress("Welcome")
    for second in range(1, 11):
        clock[0] = second / 2
        shows(second * 10, 100)

    assert shown == [40, 80, 100]

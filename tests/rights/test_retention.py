"""Nothing is kept longer than said, and what is left still adds up."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlmodel import col

from nurture.engine.story import tell
from nurture.program.retention import Retention
from nurture.reading.verify import verify
from nurture.records import Confirmation, Inbound, Visit, Visitor
from nurture.rights import retention
from nurture.rights.schema import TABLES
from tests.engine.conftest import Make
from tests.engine.world import DAY, MONDAY, PROGRAM, World, program, sequence
from tests.rights.conftest import House
from tests.rights.plans import listened, scans

STEPS = "  - {id: rest, wait: 5 days}"
SCORING = (
    "engagement:\n  - {rule: read, when: {did: read_page}, points: 10, half_life: 30 days}\n"
    "  - {rule: asked, when: {did: asked}, points: 7, cap: 1 per day}\n"
)


def test_scores_stay_explained_when_events_go(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events older than the period go with their lines, in pages; the lines of the others sum to the number."""
    monkeypatch.setattr(retention, "CHUNK", 3)
    kept = {"program.yaml": PROGRAM + "retention: {events: 10 days}\n", "scoring.yaml": SCORING}
    world = make(program(kept, calm=sequence(STEPS)))
    world.lead("ana")
    world.lead("ben")
    for day in range(6):
        for who in ("ana", "ben"):
            world.event(who, "read_page", occurred=world.now - (14 - day) * DAY)
            world.event(who, "asked", occurred=world.now - (14 - day) * DAY)
    world.tick()
    before = world.do(lambda link: tell(link, world.machine.library.live(link), world.ids["ana"], world.now))

    counted = retention.retain(world.machine, None, world.now, dry_run=True)
    done = retention.retain(world.machine, None, world.now)

    assert counted == done == {"events": 16}
    story = world.do(lambda link: tell(link, world.machine.library.live(link), world.ids["ana"], world.now))
    assert before.score > story.score > 0
    assert round(sum(line.points for line in story.lines), 6) == story.score
    assert len([line for line in story.lines if line.at is not None]) == 4
    with world.machine.db.read() as link:
        found = verify(link, world.machine.library, world.now)
    assert not found.broken, found.broken
    assert retention.retain(world.machine, None, world.now) == {}


def test_no_table_is_read_from_end_to_end(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is old is found by the index of its time, page after page, and score lines by their leads: whatever stays
    costs nothing, and is not looked at while others wait to write.
    """
    monkeypatch.setattr(retention, "CHUNK", 2)
    periods = "retention: {events: 10 days, inbound: 10 days, visits: 10 days, confirmations: 10 days}\n"
    kept = {"program.yaml": PROGRAM + periods, "scoring.yaml": SCORING}
    with closing(World(sqlite_url, program(kept, calm=sequence(STEPS)), MONDAY)) as world:
        world.lead("ana")
        for day in range(5):
            world.event("ana", "read_page", occurred=world.now - (14 - day) * DAY)
        world.tick()
        world.do(lambda link: _come_and_go(link, world.now))
        asked = listened(world.machine.db)

        done = retention.retain(world.machine, None, world.now)

        assert done == {"events": 4, "inbound": 3, "visits": 3, "visitors": 3}
        assert scans(world.machine.db, asked, "event", "score_entry", "inbound", "visit", "visitor") == []
        picked = [said for said, _ in asked if said.startswith("SELECT event.occurred_at")]
        assert len(picked) == 3, "two full pages, and an empty one from where the second ended"


def _come_and_go(link: Connection, now: datetime) -> None:
    """Three old visitors with a visit each, and three old mails that answer nothing."""
    old = now - 11 * DAY
    for number in range(3):
        visitor = {"key": f"{number:032}", "first_seen_at": old, "last_seen_at": old, "opted_out": False}
        visitor_id = link.execute(insert(Visitor).values(**visitor).returning(col(Visitor.id))).scalar_one()
        visit = {
            "visitor_id": visitor_id,
            "name": "page_viewed",
            "occurred_at": old,
            "recorded_at": old,
            "actor": "person",
        }
        link.execute(insert(Visit).values(**visit, data={}, source="site", key=str(number)))
        mail = {"digest": str(number), "received_at": old, "kind": "unclear", "outcome": "parked"}
        link.execute(insert(Inbound).values(**mail))


def test_who_confirms_meanwhile_keeps_what_was_confirmed(make: Make) -> None:
    """Old rows are chosen first and removed later: what is no longer old by then stays."""
    world = make(program({}, calm=sequence(STEPS)))
    world.lead("ana")
    table, now = TABLES["confirmation"], world.now

    def ask(link: Connection) -> None:
        for number in range(2):
            asked = {"lead_id": world.ids["ana"], "address": f"a{number}@lead.example", "source": "form:demo"}
            times = {"asked_at": now - 90 * DAY, "expires_at": now - 83 * DAY}
            link.execute(insert(Confirmation).values(**asked, **times, purposes=["mail"]))

    world.do(ask)
    _, at, old = next(one for one in retention._old(Retention(), now) if one[1].table is table)
    some = next(retention._pages(world.machine.db, at, old))
    world.do(lambda link: link.execute(update(table).where(table.c.id == some[0]).values(confirmed_at=now)))
    assert world.do(lambda link: retention._remove_confirmations(link, table, old, some, now)) == 1
    assert world.do(lambda link: link.execute(select(table.c.id)).scalars().all()) == [some[0]]


def test_it_is_done_once_a_day(small: House, caplog: pytest.LogCaptureFixture) -> None:
    """Kept messages, files of refused rows and old visits; by the first tick of a local day, and by hand at any time."""
    small.leads("email,first_name,consent\nana@lead.example,Ana,yes\nnobody,Nob,yes\n")
    small.events("email,event,at\nana@lead.example,signed_up,2026-03-02T07:00:00Z\n", "--source", "site")
    small.well("tick")
    mails = list((small.home / "mail").iterdir())
    refused = small.folder / "leads-1.refused.csv"
    assert mails
    assert refused.exists()
    for file in mails:
        os.utime(file, times=(small.now.timestamp(),) * 2)
    small.now += timedelta(days=31)
    assert "files of refused rows" in small.well("retain", "--dry-run")
    assert refused.exists()
    small.well("tick")
    assert not refused.exists()
    assert _there(mails) == mails
    small.now += timedelta(days=60)
    small.well("tick")
    assert _there(mails) == []
    assert small.well("retain") == "Removed: nothing.\n"


def _there(files: list[Path]) -> list[Path]:
    return [file for file in files if file.exists()]


PERIODS = {
    "90 days": 90, "1 day": 1, "2 weeks": 14, "6 months": 180, "3 years": 1095, "for ever": None,
}  # fmt: skip


@pytest.mark.parametrize("said", PERIODS)
def test_a_period_is_whole_days(said: str) -> None:
    period = Retention.model_validate({"events": said}).events
    assert (None if period is None else period.days) == PERIODS[said]


@pytest.mark.parametrize("said", ["0 days", "soon", "90", "1.5 years", "5 hours", "101 years"])
def test_another_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="is no period; write it as 90 days"):
        Retention.model_validate({"events": said})

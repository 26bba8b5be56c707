"""Workers that sleep through their lease, and workers that meet: nothing is sent twice, whoever comes back."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from datetime import timedelta

import pytest

from nurture.records import AudienceMember, Enrolment, Lease
from tests.conftest import KINDS
from tests.faults.conftest import Lay
from tests.faults.ground import LEADS, Ground
from tests.faults.sink import AdsSink, MailSink

START = timedelta()
#: Seconds of every lease here: a worker on a busy machine must come to where it falls asleep within them.
LEASE = 1.5
#: Where the worker falls asleep, to the touches that are in doubt while it sleeps.
ASLEEP = {
    "planned:stop:1": 0,
    "claimed:stop:1": 0,
    "rendered:stop:1": 0,
    "permitted:stop:1": 0,
    "journaled:stop:3": 1,
    "dotted:stop:3": 1,
    "answered:stop:3": 1,
    "noted:stop:3": 0,
    "recording:stop:1": 0,
    "recorded:stop:1": 0,
    "settled:stop:1": 0,
}


def overtake(ground: Ground, asleep: str, segment: str) -> Counter[str]:
    """A worker falls asleep, another does the work when its lease is over, the first wakes up; the states meanwhile."""
    first = ground.warm.start(ground.words(START, segment), ground.armed(asleep), lease=LEASE, still=True)
    ground.warm.until_stopped(first)
    time.sleep(1.2 * LEASE)
    ground.until_quiet(segment)
    meanwhile = ground.states()
    os.kill(first, signal.SIGCONT)
    ground.warm.ended(first)
    return meanwhile


@pytest.mark.parametrize("asleep", ASLEEP)
@pytest.mark.parametrize("database", KINDS)
def test_a_worker_that_slept_sends_nothing_twice(lay: Lay, mail: MailSink, database: str, asleep: str) -> None:
    """What it had on the wire is uncertain until it tells, and it tells; all else has gone out by then."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url)
    meanwhile = overtake(ground, asleep, "mail")

    ids = [came.message_id for came in mail.kept()]
    doubt = ASLEEP[asleep]
    assert meanwhile == +Counter(sent=LEADS - doubt, uncertain=doubt)
    assert ground.states() == Counter(sent=LEADS)
    assert sorted(ids) == sorted(set(ids)) == sorted(ground.message_ids("sent"))
    assert {row.step for row in ground.rows(Enrolment)} == {"rest"}
    assert ground.rows(Lease) == []


@pytest.mark.parametrize("asleep", ["permitted:stop:1", "answered:stop:3"])
@pytest.mark.parametrize("database", KINDS)
def test_a_worker_that_slept_tells_platforms_the_same(lay: Lay, ads: AdsSink, database: str, asleep: str) -> None:
    """Repeated, with the same key and body."""
    ground = lay(database, "ads")
    overtake(ground, asleep, "ads")

    assert ground.states() == Counter(sent=LEADS)
    assert ads.converged()
    assert {(row.wanted, row.told) for row in ground.rows(AudienceMember)} == {(True, True)}


@pytest.mark.parametrize("database", KINDS)
def test_two_ticks_at_once(lay: Lay, mail: MailSink, database: str) -> None:
    """Two commands in the same second on one segment: one does it, or they take turns; the other says so."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url)
    started = [ground.warm.start(ground.words(START, "mail"), ground.env) for _ in range(3)]
    done = [ground.warm.ended(pid) for pid in started]
    ground.until_quiet("mail")

    ids = [came.message_id for came in mail.kept()]
    assert {one.code for one in done} <= {0, 1}
    assert all("another run" in one.out for one in done if one.code == 1), done
    assert len(ids) == len(set(ids)) == LEADS
    assert ground.states() == Counter(sent=LEADS)


@pytest.mark.parametrize("database", KINDS)
def test_workers_that_keep_no_order(lay: Lay, mail: MailSink, database: str) -> None:
    """Four processes on one segment without its lease, one of them killed: that nothing goes twice hangs on claims."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url)
    wishes = [None, None, "answered:kill:1", None]
    started = [ground.warm.start(["carry", "mail"], ground.armed(wish)) for wish in wishes]
    done = [ground.warm.ended(pid) for pid in started]
    ground.until_quiet("mail")

    ids = [came.message_id for came in mail.kept()]
    states = ground.states()
    assert {one.code for one in done} <= {0, -signal.SIGKILL}, done
    assert len(ids) == len(set(ids)) == LEADS
    assert states["uncertain"] == sum(one.killed for one in done) <= 1
    assert states["sent"] + states["uncertain"] == LEADS

"""A worker is killed at every named place, on every way out, in both databases; the next ticks must put it right.

The first tick has one connection, so what each place leaves behind is known exactly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from nurture.failpoints import POINTS
from nurture.records import AudienceMember, Enrolment, Handoff, Outbox, Touch
from tests.conftest import KINDS
from tests.engine.world import MONDAY
from tests.faults.conftest import Lay
from tests.faults.ground import LEADS, SALESPERSON, Ground
from tests.faults.sink import AdsSink, Came, MailSink
from tests.faults.warm import ROOT

START = timedelta()
#: After so long what was put off for a moment is tried again.
RETRIES = timedelta(minutes=20)
#: Places that one message passes; the third message is the one that is struck.
PER_MESSAGE = ("journaled", "half_body", "dotted", "answered", "noted")
BEFORE = ("planned", "claimed", "rendered", "permitted")
AFTER = ("recording", "recorded", "settled")
NOTICE = ("notice_claimed", "notice_sent", "notice_noted")
#: Places at which the wire leaves open whether a message left, to whether it did.
IN_DOUBT = {"journaled": False, "half_body": False, "dotted": True, "answered": True}
FOLDER = tuple(point for point in (*BEFORE, *PER_MESSAGE, *AFTER) if point not in ("half_body", "dotted"))


def struck(point: str) -> str:
    return f"{point}:kill:{3 if point in PER_MESSAGE else 1}"


def kill_and_go_on(ground: Ground, point: str, segment: str, pause: timedelta = RETRIES) -> None:
    """One tick that is killed at `point`, then ticks until nothing is open; `pause`: by the clock that they are given.

    In truth no time passes: the dead worker's leases are taken over at once.
    """
    killed = ground.tick(START, segment, failpoint=struck(point))
    assert killed.killed, killed
    ground.until_quiet(segment, begin=pause)


def settled(sink: MailSink, number: int) -> list[Came]:
    """What the sink kept, once it has read what a dead worker's socket still held."""
    for _ in range(100):
        if len(sink.kept()) >= number:
            break
        time.sleep(0.02)
    return sink.kept()


def test_every_place_is_struck_somewhere() -> None:
    """A new place needs its case here."""
    assert set(POINTS) == {*BEFORE, *PER_MESSAGE, *AFTER, *NOTICE}


@pytest.mark.parametrize("point", [*BEFORE, *PER_MESSAGE, *AFTER])
@pytest.mark.parametrize("database", KINDS)
def test_mail_through_a_relay(lay: Lay, mail: MailSink, database: str, point: str) -> None:
    """Everybody is written to once; only the message that was on the wire is uncertain, and it is said so."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url)
    kill_and_go_on(ground, point, "mail")

    doubt = int(point in IN_DOUBT)
    left = settled(mail, LEADS - doubt + int(IN_DOUBT.get(point, False)))
    ids = [came.message_id for came in left]
    assert ground.states() == +Counter(sent=LEADS - doubt, uncertain=doubt)
    assert len(ids) == len(set(ids)) == LEADS - doubt + int(IN_DOUBT.get(point, False))
    assert set(ground.message_ids("sent")) <= set(ids) <= set(ground.message_ids("sent", "uncertain"))
    assert {row.step for row in ground.rows(Enrolment)} == {"rest"}


@pytest.mark.parametrize("point", FOLDER)
@pytest.mark.parametrize("database", KINDS)
def test_mail_into_a_folder(lay: Lay, database: str, point: str) -> None:
    """The same without a relay: a file for each message."""
    ground = lay(database, "mail")
    kill_and_go_on(ground, point, "mail")

    doubt = int(point in IN_DOUBT)
    assert ground.states() == +Counter(sent=LEADS - doubt, uncertain=doubt)
    assert len(ground.letters()) == LEADS - doubt + int(IN_DOUBT.get(point, False))
    assert {row.step for row in ground.rows(Enrolment)} == {"rest"}


@pytest.mark.parametrize("point", FOLDER)
@pytest.mark.parametrize("database", KINDS)
def test_audience_over_http(lay: Lay, ads: AdsSink, database: str, point: str) -> None:
    """The platform is told again with the same key and the same body, until it and the database agree."""
    ground = lay(database, "ads")
    kill_and_go_on(ground, point, "ads")

    assert ground.states() == Counter(sent=LEADS)
    assert ads.converged()
    assert len({call.webhook_id for call in ads.calls}) == LEADS
    assert {(row.wanted, row.told) for row in ground.rows(AudienceMember)} == {(True, True)}
    assert {row.step for row in ground.rows(Enrolment)} == {"rest"}


@pytest.mark.parametrize("point", [*PER_MESSAGE, *NOTICE])
@pytest.mark.parametrize("database", KINDS)
def test_notice_to_sales(lay: Lay, mail: MailSink, database: str, point: str) -> None:
    """Each hand-off is opened once and told at least once; who is told twice sees one Message-ID."""
    ground = lay(database, "sales", NURTURE_SMTP_URL=mail.url)
    kill_and_go_on(ground, point, "mail", START)

    told_before = point in ("dotted", "answered", "noted", "notice_sent")
    told = Counter(came.message_id for came in settled(mail, LEADS + told_before))
    assert len(ground.rows(Handoff)) == LEADS
    assert set(told) == {row.message_id for row in ground.rows(Outbox) if row.done_at}
    assert len(told) == LEADS
    assert told.total() == LEADS + told_before
    assert {came.to for came in mail.kept()} == {SALESPERSON}


def nurture(ground: Ground, words: Sequence[str], failpoint: str | None) -> subprocess.CompletedProcess[str]:
    """A process of its own, as an operator starts it."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **ground.armed(failpoint)}
    command = [sys.executable, "-c", "from nurture.cli import main; raise SystemExit(main())", *words]
    return subprocess.run(command, env=env, cwd=ground.folder, capture_output=True, text=True)


@pytest.mark.parametrize("database", KINDS)
def test_the_command_itself_is_killed(lay: Lay, mail: MailSink, database: str) -> None:
    """`NURTURE_FAILPOINT` in the environment of a cold `nurture tick` with four connections: at most four in doubt."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url, NURTURE_SMTP_CONNECTIONS="4")
    killed = nurture(ground, ground.words(START, "mail"), "answered:kill:2")
    again = nurture(ground, ground.words(START, "mail"), None)
    ground.until_quiet("mail")

    states = ground.states()
    ids = [came.message_id for came in mail.kept()]
    assert killed.returncode == -9
    assert "NURTURE_FAILPOINT is set" in killed.stderr
    assert again.returncode == 0, again.stderr
    assert 1 <= states["uncertain"] <= 4
    assert states["sent"] + states["uncertain"] == LEADS == len(ground.rows(Touch))
    assert len(ids) == len(set(ids))
    assert set(ground.message_ids("sent")) <= set(ids) <= set(ground.message_ids("sent", "uncertain"))


@pytest.mark.parametrize("database", KINDS)
def test_what_is_in_doubt_is_listed_and_decided(lay: Lay, mail: MailSink, database: str) -> None:
    """`nurture uncertain`: one of two is known to have arrived, the other is sent again, under its old Message-ID."""
    ground = lay(database, "mail", NURTURE_SMTP_URL=mail.url)
    for at, place in ((START, "journaled:kill:1"), (RETRIES, "answered:kill:2")):
        assert ground.tick(at, "mail", failpoint=place).killed  # the second puts right what the first left
    ground.until_quiet("mail", begin=2 * RETRIES)
    listed = json.loads(ground.warm.run(["uncertain", "list", "--json"], ground.env).out)
    arrived = {came.message_id: came.sha256 for came in mail.kept()}
    touch = {row.message_id: str(row.id) for row in ground.rows(Touch) if row.state == "uncertain"}
    (there,) = touch.keys() & arrived.keys()
    (missing,) = touch.keys() - arrived.keys()
    decisions = (("sent", there), ("resend", missing))
    told = [ground.warm.run(["uncertain", word, touch[which]], ground.env) for word, which in decisions]
    ground.until_quiet("mail", begin=datetime.now(UTC) - MONDAY)

    assert {str(row["touch"]) for row in listed} == set(touch.values())
    assert [one.code for one in told] == [0, 0], told
    assert ground.states() == Counter(sent=LEADS)
    assert Counter(came.message_id for came in mail.kept()) == Counter([*arrived, missing])
    assert json.loads(ground.warm.run(["uncertain", "list", "--json"], ground.env).out) == []

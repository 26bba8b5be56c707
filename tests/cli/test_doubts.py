"""`nurture uncertain`: what the relay left in doubt is listed with its evidence, and a person decides."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from tests.channels.relay import Relay
from tests.cli.conftest import Desk

LEADS = "email,first_name,industry,employees,consent\ncut-end@acme.example,Ana,saas,10,yes\nben@acme.example,Ben,saas,0,yes\n"
EVENTS = (
    "email,event,occurred_at\n"
    "cut-end@acme.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
    "ben@acme.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
)


@pytest.fixture
def doubtful(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """One message arrived; of the other the line was cut after the dot."""
    assert desk.nurture("publish").code == 0
    desk.write("leads.csv", LEADS)
    desk.write("events.csv", EVENTS)
    assert desk.nurture("import", "leads", "leads.csv").code == 0
    assert desk.nurture("import", "events", "events.csv").code == 0
    with Relay() as relay:
        monkeypatch.setenv("NURTURE_SMTP_URL", relay.url)
        assert desk.nurture("tick").code == 0
    return desk


def states(desk: Desk) -> list[str]:
    with closing(sqlite3.connect(desk.folder / ".nurture/nurture.db")) as link:
        return [state for (state,) in link.execute("SELECT state FROM touch ORDER BY id")]


def rows(desk: Desk) -> list[dict[str, object]]:
    said = desk.nurture("uncertain", "list", "--json")
    found: list[dict[str, object]] = json.loads(said.out)
    return found


def test_the_list_says_what_to_ask_the_relay_for(doubtful: Desk) -> None:
    """Number, lead by id, step, instant, the phase in which it broke, and the Message-ID in the relay's log."""
    (row,) = rows(doubtful)

    assert (row["segment"], row["step"], row["since"]) == ("evaluators", "welcome", "2026-03-02T07:05:00Z")
    assert re.match(r"END ", str(row["evidence"]))
    assert re.fullmatch(r"<t\.[a-z2-7]{32}@brightdesk\.example>", str(row["message id"]))
    assert "acme.example" not in json.dumps(row)
    said = doubtful.nurture("uncertain", "list")
    assert (said.code, str(row["touch"]) in said.out) == (0, True)


def test_a_person_says_that_it_arrived(doubtful: Desk) -> None:
    """It counts as sent; the list is empty and says so."""
    said = doubtful.nurture("uncertain", "sent", str(rows(doubtful)[0]["touch"]))

    assert (said.code, said.out) == (0, "1 message counted as sent.\n")
    assert states(doubtful) == ["sent", "sent"]
    assert "Of every message it is known" in doubtful.nurture("uncertain", "list").out


@pytest.mark.parametrize("which", ["its number", "--all"])
def test_a_person_has_it_sent_again(doubtful: Desk, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves with the next tick."""
    word = str(rows(doubtful)[0]["touch"]) if which == "its number" else which
    said = doubtful.nurture("uncertain", "resend", word)
    monkeypatch.delenv("NURTURE_SMTP_URL")
    doubtful.now += timedelta(minutes=1)

    assert (said.code, said.out) == (0, "1 message will be sent again at the next tick.\n")
    assert doubtful.nurture("tick").code == 0
    assert states(doubtful) == ["sent", "sent"]


WRONG = {
    "no such touch": (["sent", "77"], 1, "touch 77 is not uncertain; 'nurture uncertain list' shows those that are"),
    "nothing said": (["resend"], 1, "say which: numbers from 'nurture uncertain list', or --all"),
    "no number": (["resend", "ana"], 2, "ana"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_decided(doubtful: Desk, name: str) -> None:
    """A wrong number changes nothing and says where the right ones are."""
    words, code, complaint = WRONG[name]
    said = doubtful.nurture("uncertain", *words)

    assert (said.code, complaint in said.err) == (code, True)
    assert sorted(states(doubtful)) == ["sent", "uncertain"]

"""Sixty-six bounces and complaints of real systems, labelled by those who collected them (libsisimai.org, BSD-2)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nurture.inbound.returned import read
from nurture.inbound.taking import take
from nurture.records import Event, Inbound, Lead, Suppression, Touch
from tests.engine.conftest import Make
from tests.engine.world import program, sequence

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "bounces" / "sisimai"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real bounces are not here")

#: Told otherwise than labelled, and why; everything else agrees.
KNOWN = {
    "lhost-apachejames-01.eml": "broken MIME, from no daemon, with In-Reply-To: like a person's",
    "lhost-fml-02.eml": "a mailing list's refusal, from no daemon, with In-Reply-To: like a person's",
    "lhost-kddi-01.eml": "from a no-reply address, in words that nobody else uses",
    "lhost-bigfoot-02.eml": "5.7.1 never gives an address up, whatever the words",
    "lhost-x5-01.eml": "the report is wrapped in a message once more: the address is spared",
    "lhost-postfix-01.eml": "5.1.1 from a broken procmail",
    "rfc3464-01.eml": "labelled as a full mailbox, and reads 5.1.1 User Unknown",
    "lhost-mailfoundry-01.eml": "a filter that answers 'unknown user'",
    "lhost-mfilter-01.eml": "a filter that answers 'unknown user'",
    "lhost-receivingses-01.eml": "a filter that answers 5.1.1",
    "lhost-surfcontrol-01.eml": "a filter that answers 'no such user'",
    "lhost-x1-01.eml": "a filter that answers 'user unknown'",
    "rhost-kddi-01.eml": "a filter that answers 'user unknown'",
    "rhost-nttdocomo-01.eml": "a filter that answers 'unknown user'",
}


def labels() -> dict[str, dict[str, object]]:
    found = json.loads((FOLDER / "expected.json").read_text()) if FOLDER.is_dir() else {}
    return {name: rows[0] for name, rows in found.items()}


def test_each_is_told_as_it_is_labelled() -> None:
    """Kind and whether the address is given up, for all but those that KNOWN explains."""
    kinds = {"feedback": "complaint", "vacation": "automatic"}
    other = set()
    for name, label in labels().items():
        told = read((FOLDER / name).read_bytes())
        kind = kinds.get(str(label["reason"]), "bounce")
        if (told.kind, told.severity == "hard") != (kind, label["hard"]):
            other.add(name)

    assert len(labels()) == 66
    assert other == set(KNOWN)


def test_blocked_senders_are_never_the_leads_fault() -> None:
    ours = ("blocked", "authfailure", "policyviolation", "spamdetected", "securityerror", "toomanyconn")
    told = {n: read((FOLDER / n).read_bytes()).severity for n, label in labels().items() if label["reason"] in ours}

    assert len(told) == 11
    assert set(told.values()) == {"sender"}


def test_what_answers_nothing_of_ours_touches_nobody(make: Make) -> None:
    """All are parked; the leads, of whom one has an address that bounced in them, stay as they are."""
    world = make(program(drip=sequence("  - {id: hello, email: hello.j2}")))
    world.lead("ana", email="kijitora@example.jp")
    world.event("ana", "signed_up")
    world.tick()
    before = {table: world.rows(table) for table in (Lead, Event, Touch, Suppression)}

    outcomes = {take(world.machine, path.read_bytes()).outcome for path in sorted(FOLDER.glob("*.eml"))}

    assert outcomes == {"parked"}
    assert len(world.rows(Inbound)) == 66
    assert {table: world.rows(table) for table in before} == before

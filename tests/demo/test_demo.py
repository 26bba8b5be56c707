"""The demo from nothing to its end, small and without Prefect: what is printed holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import Message
from io import StringIO
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from nurture import clock
from nurture.demo import run
from nurture.demo.crm import Crm
from nurture.demo.director import Size, perform
from nurture.demo.people import people
from nurture.demo.sample import history, visits, write_events, write_leads
from nurture.demo.screen import Screen

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_small_demo_from_nothing_balances(tmp_path: Path) -> None:
    """Eight days with 240 leads: what relay, platforms, CRM and people saw is what the ledger says."""
    folder, said = tmp_path / "demo", StringIO()
    folder.mkdir()
    (folder / "nurture.db").write_text("what an earlier demo left is no database")

    outcome = perform(Screen(said), Size(people=240, days=8, rounds=0), folder, MONDAY)

    assert [entry for entry in outcome.entries if not entry.balances] == []
    assert outcome.mails == len(list((folder / "mail").glob("*.eml"))) > 20
    outside = {entry.what: int(entry.outside.split()[0]) for entry in outcome.entries if entry.outside[0].isdigit()}
    assert outside["text messages, by number"] > 0
    assert outside["calls to the CRM, by id"] == len((folder / "guests.csv").read_text("utf-8").splitlines()) - 1
    assert outside["tasks of the sales team"] > 0
    assert "They do." in said.getvalue()
    assert (folder / "leads.refused.csv").exists()


SIGNED = {
    "with the key": (b"right", 204),
    "with another key": (b"wrong", 401),
}


@pytest.mark.parametrize(("key", "status"), SIGNED.values(), ids=SIGNED.keys())
def test_the_crm_believes_a_signature_alone(key: bytes, status: int) -> None:
    """Signed by the library that the engine uses, told apart by code of its own; an id that came counts once."""
    at, body = MONDAY, '{"data": {}}'
    signature = Webhook(key).sign("touch-1", at, body)
    told = {"webhook-id": "touch-1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    headers = Message()
    for name, value in told.items():
        headers[name] = value

    with Crm() as crm:
        crm.key = b"right"
        answers = [crm.take(headers, body.encode())[0] for _ in range(2)]

    assert answers == [status, status]
    assert (len(crm.told), crm.forged) == ((1, 0) if status == 204 else (0, 2))


def test_a_demo_that_cannot_work_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter in the program is broken: one sentence with its place, and exit code 1."""
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "program.yaml").write_text("name: Nobody\n")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__main__.py").touch()
    monkeypatch.chdir(tmp_path)
    said = StringIO()

    code = run(said, size=Size(people=20, days=2, rounds=0), folder=tmp_path / "demo", start=MONDAY)

    assert code == 1
    assert "program.yaml:" in said.getvalue()


def test_the_sample_is_the_same_at_every_run(tmp_path: Path) -> None:
    """The same seed gives the same bytes, and another seed does not."""

    def made(name: str, seed: str) -> list[bytes]:
        chance = clock.seeded(seed)
        everybody = people(80, MONDAY.date(), chance)
        write_leads(tmp_path / f"{name}.csv", everybody, chance)
        write_events(tmp_path / f"{name}.ndjson", history(everybody, MONDAY, chance))
        coming = repr(visits(everybody, MONDAY, 6, chance)).encode()
        return [(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("csv", "ndjson")] + [coming]

    assert made("a", "one") == made("b", "one") != made("c", "two")


def test_the_sample_lies_where_it_should() -> None:
    """Every address is of a domain that cannot exist, the past is past, and the visits are to come."""
    chance = clock.seeded("places")
    everybody = people(200, MONDAY.date(), chance)
    past = history(everybody, MONDAY, chance)
    coming = visits(everybody, MONDAY, 21, chance)

    assert all(person.email.endswith(".example") for person in everybody)
    assert max(datetime.fromisoformat(event["at"]) for event in past) < MONDAY
    assert all(MONDAY < visit.at < MONDAY + timedelta(days=21) for visit in coming)
    assert {person.language for person in everybody} == {"en", "ar"}

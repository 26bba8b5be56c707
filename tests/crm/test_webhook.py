"""Any other CRM: told by signed calls, and telling by POST /crm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from nurture.crm import hearing, sync
from nurture.crm.telling import key_of
from nurture.crm.webhook import SIGNED_AS
from nurture.engine import settle as engine
from tests.crm.conftest import House, copied, published
from tests.crm.office import Office
from tests.steps.servers import Calls, serving
from tests.web.factories import Visitor
from tests.web.sited import System, key, signed

CRM = """\
  kind: webhook
  owns: {nurture: [first_name, stage, score, fit], crm: [owner, status, employees]}
  fields: {grade: fit, seats: employees}
  answers: {On it: accepted}
"""


@pytest.fixture(scope="module")
def house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with serving(Calls) as peer:
        yield published(peer, CRM, migrated_sqlite, tmp_path_factory.mktemp("webhook"))


@pytest.fixture
def peer(house: House) -> Calls:
    """The endpoint, with nothing behind it."""
    made: Any = house.peer
    made.calls.clear()
    made.answers.clear()
    return made  # type: ignore[no-any-return]


@pytest.fixture
def office(house: House, peer: Calls, tmp_path: Path) -> Iterator[Office]:
    with copied(house, tmp_path) as made:
        made.sold("ana")
        yield made


def test_each_change_is_one_signed_call(office: Office, peer: Calls) -> None:
    """With all that the record should say, under an id that the same state has again."""
    assert office.round().told.told == 1
    peer.answers = [500]
    office.world.lead("ana", email="ana@one.example", first_name="Anna")
    assert office.round().down is not None
    office.world.at(office.state("push").next_at)
    assert office.round().told.told == 1
    sign = Webhook(office.world.machine.keys.signing(SIGNED_AS))
    bodies: list[Any] = [json.loads(body) for _, _, body in peer.calls]
    ids = [headers["webhook-id"] for _, headers, _ in peer.calls]

    _, headers, body = peer.calls[-1]
    assert headers["webhook-signature"] == sign.sign(headers["webhook-id"], office.world.now, body.decode())
    assert [body["data"]["lead"]["first_name"] for body in bodies] == ["Ana", "Anna", "Anna"]
    assert ids[0] != ids[1] == ids[2]
    lead = office.world.who("ana")
    assert bodies[0] == {
        "type": "lead.state", "timestamp": bodies[0]["timestamp"],
        "data": {"lead": {
            "id": key_of(lead.id, lead.draw), "email": "ana@one.example", "first_name": "Ana", "stage": "sal", "score": 0,
        }},
    }  # fmt: skip


def test_an_endpoint_that_is_gone_is_left_alone_for_a_day(office: Office, peer: Calls) -> None:
    """410, as for other webhooks; a refusal of one keeps no other back."""
    peer.answers = [410]
    assert office.round().down is not None
    assert office.state("push").next_at == office.world.now + timedelta(days=1)
    office.sold("ben")
    office.world.at(office.state("push").next_at)
    peer.answers = [422]
    done = office.round()
    assert (done.told.told, dict(done.told.refused)) == (1, {"422": 1})


def test_what_it_posts_is_taken_as_of_any_crm(office: Office) -> None:
    """Fields that are its own, answers, deals; by a key or signed; what is ours and what is wrong is refused by name."""
    office.round()
    machine = office.world.machine
    system = System(Visitor(machine), key(machine, "theirs", "server"))
    ours = office.link("ana").our_key
    about: dict[str, Any] = {"lead": ours}
    said = [
        about | {"status": "On it", "owner": "mihai@acme.example", "seats": 40},
        about | {"status": "On it", "seats": 40},
        about | {"deal": {"id": "d1", "won": True, "amount": 12000, "currency": "EUR"}, "at": "2026-03-02T08:00:30Z"},
        {"email": "nobody@one.example", "status": "On it"},
        about | {"first_name": "Anna"},
        about | {"deal": {"stage": "x"}},
        about | {"deal": {"id": "d1", "amount": "much"}},
        about | {"at": "soon"},
        {"status": "On it"},
        "no object",
    ]
    lines = system.tells({"changes": said}, "/crm")
    found = [line["status"] if line["status"] != "refused" else line["reason"] for line in lines.json()["changes"]]

    assert found == [
        "changed", "unchanged", "changed", "no such lead",
        "'first_name' is none of what 'owns: crm' of program.yaml gives you",
        'deal: write {"id": …, "stage": …}, or won: true or false', "deal: amount: write a number such as 12000",
        "at: 'soon' is no instant; write 2026-03-02T09:00Z", "names nobody; say lead, the id that we told, or email",
        'is not an object; write {"lead": …, "status": …}',
    ]  # fmt: skip
    lead = office.world.who("ana")
    assert (lead.fields["employees"], lead.owner, lead.stage) == (40, "mihai@acme.example", "customer")
    assert [one[:3] for one in office.answers("ana")] == [("accepted", None, None), ("won", None, 12000.0)]
    assert system.visit.post("/crm", content=json.dumps(about)).status_code == 401
    assert system.tells("not JSON", "/crm").status_code == 422
    body = json.dumps(about | {"seats": 41}).encode()
    assert (
        system.visit.post("/crm?source=theirs", headers=signed(machine, "theirs", body), content=body).status_code
        == 202
    )
    assert office.world.who("ana").fields["employees"] == 41


def test_an_endpoint_that_fails_once_a_batch_gets_further(office: Office, peer: Calls) -> None:
    """Who was told before it failed is noted, and not told again."""
    office.sold("ben", "cid")
    for told in (1, 1):
        peer.answers = [200, 503]
        done = office.round()
        assert (done.told.told, "503" in (done.down or "")) == (told, True)
        office.world.at(office.state("push").next_at)
    assert office.round().told.told == 1
    assert len({headers["webhook-id"] for _, headers, _ in peer.calls}) == 3


def test_a_turn_ends_between_two_calls(office: Office, peer: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time is over, or when another process has taken it; while it lasts nobody else has one."""
    machine, now = office.world.machine, [100.0]
    monkeypatch.setattr("nurture.crm.base.clock.monotonic", lambda: now[0])
    monkeypatch.setattr(sync, "TICK", 15.0)
    office.sold("ben", "cid")
    real = Calls.answer

    def slowly(self: Calls, *asked: Any) -> Any:
        now[0] += 8
        return real(self, *asked)

    monkeypatch.setattr(Calls, "answer", slowly)
    done = office.round()
    assert (done.told.told, done.told.left) == (2, 1)
    monkeypatch.setattr(sync, "_LEASE_SECONDS", -1.0)  # it has run out before anybody asks
    with sync.alone(machine, 3600.0) as mine:
        assert mine is not None
        with sync.alone(machine, 3600.0) as theirs:
            now[0] += 60
            assert theirs is not None
            assert (mine.goes_on(), theirs.goes_on()) == (False, True)


def test_an_older_change_comes_too_late(office: Office) -> None:
    """Each field keeps the instant of what was heard of it last."""
    office.round()
    machine = office.world.machine
    system, ours = System(Visitor(machine), key(machine, "theirs", "server")), office.link("ana").our_key
    said = [("connected", "08:00:50"), ("open", "08:00:40"), ("connected", "08:00:55"), ("open", "08:00:52")]
    changes = [{"lead": ours, "status": word, "at": f"2026-03-02T{at}Z"} for word, at in said]
    changes += [{"lead": ours, "status": "new", "at": "0001-01-01T00:00Z"}]
    lines = system.tells(changes, "/crm").json()["changes"]

    assert [line["status"] for line in lines] == ["changed", *["unchanged"] * 4]
    assert office.world.who("ana").status == "connected"


def test_five_hundred_are_taken_some_at_a_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction holds the database for all of them, and what follows is settled once."""
    office.round()
    machine = office.world.machine
    system, ours = System(Visitor(machine), key(machine, "theirs", "server")), office.link("ana").our_key
    written, settled = [], []
    take, settle = hearing.apply, engine.settle

    def counted(link: Any, *more: Any) -> Any:
        written.append(link.get_transaction())
        return take(link, *more)

    def settles(run: Any) -> Any:
        settled.append(run)
        return settle(run)

    monkeypatch.setattr("nurture.crm.posted.apply", counted)
    monkeypatch.setattr(engine, "settle", settles)
    deal = {"id": "d-9", "stage": "closed", "won": True, "amount": 12000, "currency": "EUR"}
    one = {"lead": ours, "owner": "mihai@acme.example", "status": "in progress", "deal": deal}
    strange = [{"lead": f"{number}-1803288431", "note": "x" * 100} for number in range(460)]
    answer = system.tells({"changes": [one, *strange, *[one] * 39]}, "/crm")

    assert (answer.status_code, len(answer.json()["changes"])) == (202, 500)
    assert (len(set(map(id, written))), len(settled)) == (3, 1)
    assert office.world.who("ana").stage == "customer"


def test_no_door_without_a_webhook(beside_hubspot: Office) -> None:
    """A program that names another kind, or none, takes nothing by this door."""
    machine = beside_hubspot.world.machine
    system = System(Visitor(machine), key(machine, "theirs", "server"))
    (line,) = system.tells({"email": "ana@one.example"}, "/crm").json()["changes"]
    assert line == {"status": "refused", "reason": "program.yaml names no 'crm:' of the kind webhook"}

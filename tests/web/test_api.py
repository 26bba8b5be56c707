"""POST /events and POST /leads: who may, what is understood, and what is answered to each."""

from __future__ import annotations

import json
import secrets
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nurture.cli import main
from nurture.engine import keys
from nurture.engine.machine import Machine
from nurture.engine.renaming import remember
from nurture.records import Audit, Consent, Lead, Suppression, Visit
from nurture.tokens import Keys
from nurture.web import origins
from tests.web.factories import Visitor, events, everything, handoffs, later, lead_called, make_lead, opened, put_live
from tests.web.sited import BROWSER_KEY, SITED, System, key, signed

RAE = "rae@acme.example"
PAID = {"event": "paid", "email": RAE}


@pytest.fixture(scope="module")
def keyed(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database in which Rae is known, and a server key of it."""
    path = tmp_path_factory.mktemp("api") / "keyed.db"
    shutil.copyfile(migrated_sqlite, path)
    with opened(f"sqlite:///{path}", files=SITED) as machine:
        make_lead(machine)
        return path, key(machine, "crm", "server")


@pytest.fixture
def house(keyed: Any, tmp_path: Path) -> Any:
    url = f"sqlite:///{shutil.copyfile(keyed[0], tmp_path / 'nurture.db')}"
    with opened(url, files=None, minutes=40) as made:
        yield made


@pytest.fixture
def crm(keyed: Any, house: Machine) -> System:
    return System(Visitor(house), keyed[1])


def rows(machine: Machine, table: Any) -> list[Any]:
    with machine.db.read() as link:
        return list(link.execute(select(table.__table__).order_by(*table.__table__.primary_key)))


# who may


def test_who_may(house: Machine, crm: System) -> None:
    """A valid key in the header, or a signature; never a secret in an address, never a key that was revoked."""
    secret, site = crm.headers["authorization"].split()[1], key(house, "www", "site")
    gone = key(house, "gone", "server")
    house.db.transact(lambda link: keys.revoke(link, "gone", "test", house.now()))
    token = house.keys.seal("unsubscribe", 1)
    wrong = {
        "nothing": ("/events", {}),
        "another scheme": ("/events", {"authorization": f"Basic {secret}"}),
        "no key": ("/events", {"authorization": "Bearer x"}),
        "a flipped letter": ("/events", {"authorization": f"Bearer {secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}"}),
        "another purpose": ("/events", {"authorization": f"Bearer nk_{token}"}),
        "a row that is not there": ("/events", {"authorization": f"Bearer {keys.written(house.keys, 99)}"}),
        "revoked": ("/events", {"authorization": f"Bearer {gone}"}),
        "a secret in the address": (f"/events?key={secret}", {}),
        "a page's key in the address of /leads": (f"/leads?key={site}", {}),
    }
    for name, (door, headers) in wrong.items():
        answer = crm.visit.post(door, headers=headers, content=json.dumps(PAID))
        assert (answer.status_code, "www-authenticate" in answer.headers) == (
            403 if "page" in name else 401,
            "page" not in name,
        ), name
    assert events(house, "paid") == []
    assert crm.hears(PAID) == ["accepted"]


BODY = json.dumps([PAID, {**PAID, "event": "renewed"}]).encode()


def test_a_signed_delivery(house: Machine, crm: System) -> None:
    """The same delivery again is known; another of the same words is another."""

    def deliver(number: str) -> Any:
        headers = signed(house, "crm", BODY, number=number)
        return crm.visit.post("/events?source=crm", headers=headers, content=BODY).json()["events"]

    assert deliver("msg_1") == [{"status": "accepted"}] * 2
    later(house, seconds=200)
    assert deliver("msg_1") == [{"status": "known"}] * 2
    assert deliver("msg_2") == [{"status": "accepted"}] * 2
    assert len(events(house, "paid", "renewed")) == 4


def test_a_delivery_signed_before_the_secret_changed(house: Machine, crm: System) -> None:
    """While the older secret is kept, what it signed and what it sealed is believed; afterwards neither."""
    headers, ours = signed(house, "crm", BODY), house.keys
    for kept, status in ((ours.secrets, 202), ((), 401)):
        house.keys = Keys(("a newer secret that only these tests know", *kept))
        assert crm.visit.post("/events?source=crm", headers=headers, content=BODY).status_code == status
        assert crm.visit.post("/events", headers=crm.headers, content=BODY).status_code == status
        again = signed(house, "crm", BODY, number="msg_2")
        assert crm.visit.post("/events?source=crm", headers=again, content=BODY).status_code == 202


UNSIGNED: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "other bytes": ("crm", {}, BODY + b" "),
    "an old time": ("crm", {"at": -301}, BODY),
    "a time to come": ("crm", {"at": 301}, BODY),
    "another's name": ("erp", {}, BODY),
    "nobody's name": ("", {}, BODY),
    "no name at all": ("%00", {}, BODY),
    "no id": ("crm", {"number": ""}, BODY),
}


@pytest.mark.parametrize(("name", "how", "body"), UNSIGNED.values(), ids=UNSIGNED.keys())
def test_a_delivery_that_is_not_believed(
    house: Machine, crm: System, name: str, how: dict[str, Any], body: bytes
) -> None:
    """401, before anything is read."""
    key(house, "erp", "server")
    if "at" in how:
        how = {"at": int(house.now().timestamp()) + how["at"]}
    headers = signed(house, "crm", BODY, **how)

    assert crm.visit.post(f"/events?source={name}", headers=headers, content=body).status_code == 401
    assert events(house, "paid") == []


# events


def test_bodies_of_every_shape(house: Machine, crm: System) -> None:
    """An object, an array, lines, an object with a list; one line of the answer for each event."""
    shapes = [
        json.dumps({**PAID, "id": "1"}),
        json.dumps([{**PAID, "id": "2"}, {**PAID, "id": "1"}]),
        "\ufeff" + json.dumps({**PAID, "id": "3"}) + "\n\n" + json.dumps({**PAID, "id": "4"}) + "\n",
        json.dumps({"events": [{**PAID, "id": "5"}]}),
    ]

    assert [crm.hears(shape) for shape in shapes] == [
        ["accepted"], ["accepted", "known"], ["accepted", "accepted"], ["accepted"],
    ]  # fmt: skip
    assert [event.key for event in events(house, "paid")] == ["1", "2", "3", "4", "5"]
    assert {event.source for event in events(house, "paid")} == {"crm"}


UNREAD = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": b'{"event": "paid"',
    "a broken line": b'{"event": "paid"}\n{"event"\n',
    "no events": b"[]",
    "not UTF-8": b'{"event": "\xff"}',
    "too many": json.dumps([PAID] * 501).encode(),
    "too deep": b"[" * 21 + b"]" * 21,
    "bottomless": b"[" * 60_000,
}


@pytest.mark.parametrize("body", UNREAD.values(), ids=UNREAD.keys())
def test_bodies_that_nobody_can_read(house: Machine, crm: System, body: bytes) -> None:
    """422 with what is wrong; nothing is taken in."""
    before = everything(house)

    answer = crm.tells(body)

    assert (answer.status_code, list(answer.json())) == (422, ["detail"])
    assert everything(house) == before


REFUSED: dict[str, tuple[Any, str]] = {
    "no object": (3, "is not an object"),
    "a slip": ({**PAID, "emial": "x"}, "'emial' is not known here"),
    "no name": ({"email": RAE}, "is no name of an event"),
    "nobody": ({"event": "paid"}, "names nobody"),
    "two": ({**PAID, "lead": "7"}, "names two"),
    "no address": ({**PAID, "email": "rae"}, "email: 'rae'"),
    "a stranger": ({**PAID, "email": "new@acme.example"}, "no lead that is known here"),
    "an id without number": ({"event": "paid", "lead": {"source": "x"}}, "lead: says no id"),
    "the future": ({**PAID, "at": "2026-03-02T09:46:00Z"}, "lies in the future"),
    "no instant": ({**PAID, "at": "yesterday"}, "is no instant"),
    "a list as data": ({**PAID, "data": [1]}, "data: is not an object"),
    "too much data": ({**PAID, "data": {"x": "y" * 17_000}}, "may have 16,384 bytes"),
    "NUL": ({**PAID, "data": {"x": "a\0b"}}, "NUL"),
    "half a character": ({**PAID, "id": "\ud800"}, "surrogate"),
    "a long id": ({**PAID, "id": "x" * 201}, "more than 200"),
    "no visitor": ({"event": "paid", "visitor": "me"}, "hexadecimal"),
    "an object as name": ({**PAID, "event": {"a": 1}}, "event: is not one word"),
    "a list as id": ({**PAID, "id": [1]}, "id: is not one word"),
    "an object as a lead's id": ({"event": "paid", "lead": {"id": {"a": 1}}}, "lead: says no id"),
}


def test_events_that_are_refused(house: Machine, crm: System) -> None:
    """Each with its reason, and the others of the batch are taken in."""
    lines = crm.hears([*(fact for fact, _ in REFUSED.values()), PAID])

    for (name, (_, reason)), line in zip(REFUSED.items(), lines, strict=False):
        assert line[0] == "refused", name
        assert reason in line[1], name
    assert lines[-1] == "accepted"
    assert len(events(house, "paid")) == 1


def test_when_it_happened(house: Machine, crm: System) -> None:
    """What is late falls where it belongs; what names no time happened now, once a day."""
    now = house.now()
    early = {**PAID, "at": (now - timedelta(days=40)).isoformat()}
    assert crm.hears([early, PAID, PAID]) == ["accepted", "accepted", "known"]
    assert [(event.occurred_at, event.ripe_at) for event in events(house, "paid")] == [
        (now - timedelta(days=40), now), (now, now),
    ]  # fmt: skip
    later(house, hours=1)
    assert crm.hears([early, PAID]) == ["known", "known"]
    later(house, days=1)
    assert crm.hears([early, PAID]) == ["known", "accepted"]


def test_names_as_conditions_write_them(house: Machine, crm: System) -> None:
    """As an import reads them: folded names, nested data by dotted ones, nothing empty."""
    crm.hears({**PAID, "event": "Plan Paid", "data": {"Plan": {"Name": " pro "}, "seats": 3, "note": ""}})

    (event,) = events(house, "plan_paid")
    assert event.data == {"plan_name": "pro", "seats": 3}


def test_a_goodbye_that_was_said_elsewhere(house: Machine, crm: System) -> None:
    """Suppressed, and every consent withdrawn, as an import does."""
    crm.hears({"event": "unsubscribed", "email": RAE})

    assert {(row.kind, row.value) for row in rows(house, Suppression)} >= {("address", RAE)}
    assert all(row.withdrawn_at is not None for row in rows(house, Consent))


def test_a_visit_that_a_server_tells(house: Machine, crm: System) -> None:
    """Of a browser: it stays apart until it is known whose it is."""
    assert crm.hears({"event": "page_viewed", "visitor": BROWSER_KEY, "id": "1"}) == ["accepted"]
    assert crm.hears({"event": "page_viewed", "visitor": BROWSER_KEY, "id": "1"}) == ["known"]
    assert [row.name for row in rows(house, Visit)] == ["page_viewed"]


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_one_lead_is_settled_at_once(house: Machine, crm: System, many: bool) -> None:
    """The request of a single lead is with sales before the answer; a batch is for the next tick."""
    make_lead(house, "bo@acme.example")
    batch = [{"event": "demo_requested", "email": RAE}]
    if many:
        batch.append({"event": "demo_requested", "email": "bo@acme.example"})
    assert crm.hears(batch) == ["accepted"] * len(batch)

    assert len(handoffs(house)) == (0 if many else 1)
    house.tick("readers", house.now())
    assert len(handoffs(house)) == len(batch)


def test_how_much_and_how_often(house: Machine, keyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte for who brings a key, 64 KiB for the others; so many requests a minute."""
    monkeypatch.setattr(origins, "BY_SERVER", 2)
    crm = System(Visitor(house), keyed[1])
    padded = json.dumps([{**PAID, "data": {"x": "y" * 16_000}, "id": str(n)} for n in range(60)])

    assert crm.tells(padded).status_code == 202
    assert crm.tells("x" * 1_048_577).status_code == 413
    assert crm.visit.post("/events", content="x" * 65_537).status_code == 413
    assert crm.tells(PAID).status_code == 202
    assert (refused := crm.tells(PAID)).status_code == 429
    assert int(refused.headers["retry-after"]) > 0


# leads

KIM = {
    "email": "Kim@New.example", "id": 4711, "first_name": " Kim ", "country": "Germany", "employees": "1,200",
    "properties": {"industry": "software"}, "tags": ["Fair", "b"],
    "consent": {
        "mail": {"basis": "consent", "at": "2026-03-01T10:00:00+01:00", "wording": "Yes, write to me", "source": "fair"},
        "tracking": "no",
    },
}  # fmt: skip


def test_a_lead_as_an_import_would_have_it(machine: Machine) -> None:
    """The same names and values; the same again changes nothing; more is added."""
    crm = System(Visitor(machine), key(machine, "crm", "server"))

    assert crm.hears(KIM, "/leads") == ["created"]
    assert crm.hears([KIM], "/leads") == ["unchanged"]
    assert crm.hears({"id": "4711", "company": "New Ltd"}, "/leads") == ["changed"]

    kim = lead_called(machine, "kim@new.example")
    assert (kim.source, kim.source_id, kim.first_name, kim.country) == ("crm", "4711", "Kim", "DE")
    assert (kim.fields, kim.company) == ({"employees": 1200, "industry": "software"}, "New Ltd")
    (consent,) = (row for row in rows(machine, Consent) if row.lead_id == kim.id)
    assert (consent.purpose, consent.basis, consent.source, consent.wording) == (
        "mail", "consent", "fair", "Yes, write to me",
    )  # fmt: skip
    assert consent.given_at.isoformat() == "2026-03-01T09:00:00+00:00"
    assert crm.hears({"event": "paid", "lead": "4711"}) == ["accepted"]
    assert crm.hears({"event": "renewed", "lead": {"source": "crm", "id": 4711}}) == ["accepted"]


def test_leads_that_are_refused(house: Machine, crm: System) -> None:
    """Each with its reason; the others are taken in, and what is not used is said."""
    answer = crm.tells(
        [
            3,
            {"first_name": "X"},
            {"email": "x"},
            {"email": "a@b.example", "employees": "many"},
            {"email": "a@b.example", "renewal": "03/04/2026"},
            {"email": "a@b.example", "consent": {"mail": {"basis": "hope"}}},
            {"email": "a@b.example", "consent": {"post": "consent"}},
            {"email": "a@b.example", "consent": {"mail": {"basis": "consent", "at": "2027-01-01T00:00Z"}}},
            {"email": "a@b.example", "consent": {"mail": {"basis": "consent", "proof": 1}}},
            {"email": "a@b.example", "shoe": 42},
            {"email": "b@b.example", "shoe": 42},
        ],
        "/leads",
    ).json()["leads"]

    reasons = [
        "is not an object", "names nobody", "email: 'x'", "employees: 'many'", "two ways", "write a basis",
        "'post' is none of", "no instant of the past", "'proof' is not known",
    ]  # fmt: skip
    assert [line["status"] for line in answer] == ["refused"] * len(reasons) + ["created"] * 2
    for line, reason in zip(answer, reasons, strict=False):
        assert reason in line["reason"]
    assert [line["notes"] for line in answer[-2:]] == [["shoe: not used; program.yaml declares no such field"]] * 2


def test_consent_is_asked_of_nobody_and_a_no_stands(house: Machine, crm: System) -> None:
    """A lead without a word on consent has none; who withdrew is not brought back."""
    assert crm.hears({"email": "a@b.example"}, "/leads") == ["created"]
    for said in ("consent", "no", "consent"):
        crm.tells({"email": "a@b.example", "consent": {"mail": said}}, "/leads")
    crm.tells({"email": "c@b.example", "consent": "yes", "tracking_consent": "no"}, "/leads")

    found = rows(house, Consent)
    mine = lead_called(house, "a@b.example").id
    assert [row.withdrawn_at is not None for row in found if row.lead_id == mine] == [True]
    other = lead_called(house, "c@b.example").id
    assert [(row.purpose, row.basis) for row in found if row.lead_id == other] == [("mail", "consent")]


def test_by_a_former_name(machine: Machine) -> None:
    """An old address or id still means its lead, unless somebody is called so now."""
    crm = System(Visitor(machine), key(machine, "crm", "server"))
    crm.hears([{"email": "new@b.example", "id": "1"}, {"email": "other@b.example", "id": "2"}], "/leads")
    lead = lead_called(machine, "new@b.example").id
    names = [("email", "", "old@b.example"), ("email", "", "other@b.example"), ("id", "erp", "9"), ("id", "crm", "2")]
    machine.db.transact(lambda link: remember(link, [(*name, lead) for name in names], machine.now(), "merged"))
    crm.hears(
        [
            {"event": "paid", "email": "old@b.example"},
            {"event": "paid", "email": "other@b.example"},
            {"event": "paid", "lead": {"source": "erp", "id": 9}},
            {"event": "paid", "lead": 2},
        ]
    )

    other = lead_called(machine, "other@b.example").id
    assert [event.lead_id for event in events(machine, "paid")] == [lead, other, lead, other]


def test_what_a_file_says_of_a_consent_a_system_may_say(house: Machine, crm: System) -> None:
    """The columns of an import, and the time that program.yaml gives a basis."""
    files = SITED | {"program.yaml": SITED["program.yaml"] + "consents: {expires: {consent: 2 years}}\n"}
    put_live(house, files)
    flat = {"consent": "yes", "consent_at": "2026-03-01T10:00Z", "consent_source": "fair", "consent_text": "v3"}
    given = {"mail": {"basis": "consent", "at": "2026-03-01T10:00Z", "source": "fair", "wording": "v3"}}
    crm.hears([{"email": "a@b.example", **flat}, {"email": "c@b.example", "consent": given}], "/leads")

    made = [row for row in rows(house, Consent) if row.source == "fair"]
    assert [(row.wording, f"{row.given_at:%Y-%m-%d}", f"{row.expires_at:%Y-%m-%d}") for row in made] == [
        ("v3", "2026-03-01", "2028-03-01")
    ] * 2


def test_a_basis_that_has_run_out_is_posted_again(house: Machine, crm: System) -> None:
    """The same yes of then changes nothing, as often as it comes; a later one is another, for its own purpose."""
    put_live(house, SITED | {"program.yaml": SITED["program.yaml"] + "consents: {expires: {consent: 2 years}}\n"})

    def yes(at: str) -> list[Any]:
        mail = {"basis": "consent", "at": at, "source": "fair"}
        return crm.hears({"email": "a@b.example", "consent": {"mail": mail, "tracking": "consent"}}, "/leads")

    assert [yes("2023-01-01T00:00Z") for _ in range(3)] == [["created"], ["unchanged"], ["unchanged"]]
    assert [yes("2026-01-01T00:00Z") for _ in range(2)] == [["changed"], ["unchanged"]]
    mine = lead_called(house, "a@b.example").id
    found = [(row.purpose, f"{row.given_at:%Y}", row.source) for row in rows(house, Consent) if row.lead_id == mine]
    assert sorted(found) == [("mail", "2023", "fair"), ("mail", "2026", "fair"), ("tracking", "2026", "crm")]


@pytest.mark.parametrize("what", ["source", "id", "tag"])
def test_what_no_index_can_hold_is_refused(machine: Machine, what: str) -> None:
    """With its line and reason, and the others are taken in; PostgreSQL would refuse the whole request."""
    crm = System(Visitor(machine), key(machine, "crm", "server"))

    def fact(length: int) -> dict[str, Any]:
        text = secrets.token_hex(length)[:length]
        said: dict[str, dict[str, Any]] = {
            "source": {"id": 1, "source": text},
            "id": {"id": text},
            "tag": {"tags": ["fair", text]},
        }
        return {"email": f"a{length}@b.example", **said[what]}

    reason = f"its {what} has more than 200 characters; shorten it"
    assert crm.hears([fact(8000), fact(200), fact(201)], "/leads") == [
        ("refused", reason), "created", ("refused", reason),
    ]  # fmt: skip


def test_many_leads_at_once(house: Machine, crm: System) -> None:
    """In one transaction, one person twice is one lead."""
    people = [{"email": f"p{n}@many.example", "employees": n} for n in range(200)] + [{"email": "P0@many.example"}]

    lines = crm.hears(people, "/leads")

    assert (lines.count("created"), lines[-1]) == (200, "unchanged")
    assert len([row for row in rows(house, Lead) if "many.example" in (row.email or "")]) == 200


# keys


def test_keys_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed once, listed without what is secret, revoked for good, and each is written down."""
    monkeypatch.setenv("NURTURE_HOME", str(tmp_path))

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["key", *words])
        return code, "".join(capsys.readouterr())

    code, made = run("add", "crm", "--kind", "server")
    assert code == 0
    assert "nk_" in made
    assert "whsec_" in made
    code, snippet = run("add", "www", "--kind", "site")
    assert code == 0
    assert '/nurture.js" data-key="nk_' in snippet
    assert ("data-consent" in snippet, "call nurture.consent()" in snippet) == (False, True)
    secret = next(word for word in made.split() if word.startswith("nk_"))
    code, listed = run()
    assert (code, secret in listed, "crm" in listed, "www" in listed) == (0, False, True, True)
    assert run("revoke", "crm") == (0, "The key 'crm' is revoked.\n")
    assert run("revoke", "crm") == (0, "The key 'crm' is revoked already.\n")
    for words in (
        ("add", "crm", "--kind", "server"),
        ("add", "click", "--kind", "site"),
        ("add", "x", "--kind", "all"),
    ):
        assert run(*words)[0] == 1, words
    assert run("revoke", "none")[0] == 1
    with opened(f"sqlite:///{tmp_path / 'nurture.db'}", files=None) as machine:
        assert [(row.act, row.subject) for row in rows(machine, Audit)] == [
            ("key_added", "key:crm"), ("key_added", "key:www"), ("key_revoked", "key:crm"),
        ]  # fmt: skip
        assert secret not in str(everything(machine))

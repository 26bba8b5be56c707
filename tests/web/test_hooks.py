"""/hooks: what sending services report, as it comes in over the door."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from nurture.channels.base import NoJournal, Parcel
from nurture.channels.recording import RecordingChannel
from nurture.channels.sms import TwilioChannel, read_account
from nurture.db import Database
from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault
from nurture.inbound.hooks import VENDORS, Unproven
from nurture.mail.verp import bounce_address
from nurture.reading.returns import returns
from nurture.records import Lead, Suppression, Touch
from tests.inbound.hooks import services
from tests.inbound.hooks.services import Call, call, notification
from tests.steps.servers import Twilio, serving
from tests.web.factories import Visitor, events, everything, later, make_lead, opened, send, touch_of

RAE, NOURA = "rae@acme.example", "noura@acme.example"
PAYLOADS = Path(__file__).parents[1] / "inbound" / "hooks" / "payloads"
#: How each service says that a message arrived.
DELIVERED = {
    vendor: next(
        event
        for event, report in json.loads((PAYLOADS / f"{vendor}.json").read_text("utf-8")).values()
        if report and report["kind"] == "delivered"
    )
    for vendor in VENDORS
}


class Service:
    """A service that reports to a machine's door about what it sent."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.fetched: list[str] = []
        self.offline = False
        self._visit = Visitor(machine, fetch=self._fetch)

    def _fetch(self, url: str) -> bytes:
        if self.offline:
            raise Unproven("no network")
        self.fetched.append(url)
        return services.certificate() if url.endswith(".pem") else b"<ok/>"

    def post(self, vendor: str, made: Call, **more: Any) -> httpx.Response:
        """What the door answers to a request."""
        headers = {"content-type": "application/json", **made.headers}
        return self._visit.post(f"/hooks/{vendor}{made.query}", content=made.body, headers=headers, **more)

    def tells(self, vendor: str, *told: Any, request: str = "req-1", about: Any = None) -> httpx.Response:
        """The answer to events, whose placeholders name the touch `about` (Rae's first letter)."""
        return self.post(vendor, self.made(vendor, *told, request=request, about=about))

    def made(
        self, vendor: str, *told: Any, request: str = "req-1", about: Any = None, after: timedelta = timedelta()
    ) -> Call:
        """The same, not sent yet; signed so long from now."""
        touch, keys = about or touch_of(self.machine, RAE), self.machine.keys
        names = {
            "@token": keys.seal_for_address("bounce", touch.id), "@message-id": (touch.message_id or "").strip("<>"),
            "@bounce-address": bounce_address("b@in.acorn.example", keys, touch.id),
        }  # fmt: skip
        text = json.dumps(told)
        for name, value in names.items():
            text = text.replace(name, value)
        return call(vendor, json.loads(text), self.machine.now() + after, request=request)

    def says(self, vendor: str, name: str, **more: Any) -> httpx.Response:
        """An event of the service's table, by its name there."""
        told = json.loads((PAYLOADS / f"{vendor}.json").read_text("utf-8"))[name][0]
        return self.tells(vendor, told, **more)


@contextmanager
def _opened(url: str, parcels: list[Parcel]) -> Iterator[Service]:
    mail = RecordingChannel("email")
    mail.parcels = list(parcels)
    with opened(url, files=None, mail=mail, minutes=40) as machine:
        machine.hooks = services.secrets()
        yield Service(machine)


@pytest.fixture
def service(lettered_sqlite: tuple[Path, list[Parcel]], tmp_path: Path) -> Iterator[Service]:
    """Rae and Noura have two letters each, and every service has a door."""
    path, parcels = lettered_sqlite
    with _opened(f"sqlite:///{shutil.copyfile(path, tmp_path / 'nurture.db')}", parcels) as made:
        yield made


@pytest.fixture(scope="module")
def shared(lettered_sqlite: tuple[Path, list[Parcel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same for many tests, which look at their own service's rows alone; Noura's first was a text message."""
    path, parcels = lettered_sqlite
    with _opened(f"sqlite:///{shutil.copyfile(path, tmp_path_factory.mktemp('hooks') / 'n.db')}", parcels) as made:
        touch = touch_of(made.machine, NOURA)
        set_state(made.machine, touch.id, kind="sms", address="+40721000111")
        yield made


@pytest.fixture
def either(machine: Machine) -> Service:
    """The same, on both databases."""
    machine.hooks = services.secrets()
    return Service(machine)


def listed(machine: Machine) -> list[dict[str, Any]]:
    """What `nurture inbound list` shows, oldest first."""
    return returns(machine, 100)[::-1]


def barred(machine: Machine) -> set[tuple[str, str, str]]:
    """(kind, value, reason) of all suppressions."""
    query = select(col(Suppression.kind), col(Suppression.value), col(Suppression.reason))
    with machine.db.read() as link:
        return {(row.kind, row.value, row.reason) for row in link.execute(query)}


def set_state(machine: Machine, touch: int, **values: Any) -> None:
    machine.db.transact(lambda link: link.execute(update(Touch).where(col(Touch.id) == touch).values(**values)))


@pytest.fixture
def texted(service: Service) -> Any:
    """A touch that was a text message."""
    touch = touch_of(service.machine, RAE)
    set_state(service.machine, touch.id, kind="sms", address="+40721000111")
    return touch_of(service.machine, RAE)


def spoken_of(service: Service, vendor: str) -> Any:
    """The touch of which a service speaks: Twilio of text messages alone."""
    return touch_of(service.machine, NOURA if vendor == "twilio" else RAE)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_report_is_taken_in_once(shared: Service, vendor: str) -> None:
    """Matched by what the service sends back; the same request again changes nothing."""
    touch, source = spoken_of(shared, vendor), f"hook:{vendor}"
    made = shared.made(vendor, DELIVERED[vendor], about=touch)

    first = shared.post(vendor, made)

    assert first.status_code == 200, first.text
    (row,) = [row for row in listed(shared.machine) if row["source"] == source]
    assert (row["kind"], row["outcome"], row["touch"]) == ("delivered", "recorded", touch.id)
    noted = [one for one in events(shared.machine, "email_delivered", "sms_delivered") if one.source == source]
    assert [(event.actor, event.touch_id) for event in noted] == [("system", touch.id)]
    before = everything(shared.machine)
    assert shared.post(vendor, made).status_code == 200
    assert everything(shared.machine) == before


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_not_signed_is_not_believed(shared: Service, vendor: str) -> None:
    """A flipped bit of the body or of any proof, a proof left out, an instant too far away: 401, and nothing happens."""
    made = shared.made(vendor, DELIVERED[vendor], about=spoken_of(shared, vendor), request="request-2")
    before = len(listed(shared.machine))
    flipped = bytes([*made.body[:-9], made.body[-9] ^ 1, *made.body[-8:]])
    calls = {"none": Call(made.body, {}, made.query)}
    if vendor not in ("postmark", "sparkpost", "mailjet", "brevo", "mailgun"):  # whose proof is a password
        calls["a flipped bit"] = Call(flipped, made.headers, made.query)
    for name, value in made.headers.items():
        if name not in ("content-type", "x-amz-sns-message-type", "x-postal-signature"):
            place = len(value) // 2
            other = value[:place] + ("1" if value[place] != "1" else "2") + value[place + 1 :]
            calls[name] = Call(made.body, {**made.headers, name: other}, made.query)
    if vendor == "postal":
        calls["the older signature alone"] = Call(made.body, {"x-postal-signature": made.headers["x-postal-signature"]})
    if vendor == "mailgun":
        told = json.loads(made.body)
        told["signature"]["token"] += "x"
        calls["another token"] = Call(json.dumps(told).encode(), {})

    if vendor in ("ses", "scaleway", "mailgun", "unisender"):
        del calls["none"]  # the proof stands in the body
        calls["garbage"] = Call(b"{}", {})

    assert {name: shared.post(vendor, one).status_code for name, one in calls.items()} == dict.fromkeys(calls, 401)
    assert len(listed(shared.machine)) == before


@pytest.mark.parametrize("vendor", services.STALE)
def test_what_was_signed_long_ago_is_not_believed(shared: Service, vendor: str) -> None:
    """The last second is believed, the next is not; nor is what comes from the future."""
    told, seconds = json.dumps(DELIVERED[vendor]), services.STALE[vendor]
    for ago, expected in ((seconds, 401), (-seconds, 401), (seconds - 1, 200), (1 - seconds, 200)):
        event = json.loads(told)
        made = shared.made(vendor, event, request=f"{ago}", after=timedelta(seconds=-ago))
        assert shared.post(vendor, made).status_code == expected, ago


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_service_without_a_secret_has_no_door(shared: Service, vendor: str) -> None:
    """404, as for a service that nobody knows; with one a HEAD is answered."""
    service, visit = shared, shared._visit
    made = service.made(vendor, DELIVERED[vendor])
    assert (visit("HEAD", f"/hooks/{vendor}").status_code, visit.get(f"/hooks/{vendor}").status_code) == (200, 405)

    service.machine.hooks = {name: secret for name, secret in services.secrets().items() if name != vendor}
    statuses = [service.post(vendor, made), visit("HEAD", f"/hooks/{vendor}"), visit.post("/hooks/nobody")]
    service.machine.hooks = services.secrets()

    assert [answer.status_code for answer in statuses] == [404, 404, 404]


def test_size_comes_first(shared: Service) -> None:
    """256 KiB are read and judged, a byte more is not."""
    for extra, expected in ((0, 401), (1, 413)):
        assert shared.post("postmark", Call(b" " * (262_144 + extra), {})).status_code == expected


#: JSON whose lone surrogate no encoding has.
SURROGATES: dict[str, tuple[str, Any]] = {
    "in a signature": ("mailgun", {"signature": {"timestamp": "1", "token": "x", "signature": "\ud800"}}),
    "in what is signed": ("mailgun", {"signature": {"timestamp": "1", "token": "\ud800", "signature": "x"}}),
    "in a key": ("unisender", {"auth": "\ud800" + "a" * 31, "events_by_user": []}),
    "in a message of SNS": ("ses", {"Message": "\ud800", "Signature": "AA=="}),
}


@pytest.mark.parametrize(("vendor", "told"), SURROGATES.values(), ids=SURROGATES.keys())
def test_a_proof_that_is_no_text(shared: Service, vendor: str, told: dict[str, Any]) -> None:
    """401 like any other that does not fit."""
    if vendor == "ses":
        told = json.loads(notification("ses", shared.machine.now(), "odd", Message="{}").body) | told

    assert shared.post(vendor, Call(json.dumps(told).encode(), {})).status_code == 401


GARBAGE: dict[str, tuple[str, list[Any]]] = {
    "a list of nothing much": ("sendgrid", [[["x"]]]),
    "a number": ("postmark", [7]),
    "no form field": ("twilio", [{"t": "", "x": "y"}]),
    "no event-data": ("mailgun", [None]),
}


@pytest.mark.parametrize(("vendor", "told"), GARBAGE.values(), ids=GARBAGE.keys())
def test_signed_nonsense_touches_nothing(service: Service, vendor: str, told: list[Any]) -> None:
    """A body without events is 422; an event that cannot be read is parked."""
    answer = service.tells(vendor, *told)

    assert (answer.status_code, {row["outcome"] for row in listed(service.machine)}) in (
        (422, set()),
        (200, {"parked"}),
    )
    assert events(service.machine, "email_delivered") == []


def test_words_that_are_no_json(shared: Service) -> None:
    """422, and it is said in JSON."""
    login = {"authorization": shared.made("postmark", {}).headers["authorization"]}
    for body in (b"", b"hello", b"\xff\xfe", b"[" * 5000, b"null", b'"x"'):
        answer = shared.post("postmark", Call(body, login))
        assert (answer.status_code, answer.json()) == (422, {"detail": "cannot be read"}), body


@pytest.mark.parametrize("vendor", services.BATCHES)
def test_one_bad_event_loses_no_other(service: Service, vendor: str) -> None:
    """It is parked as unclear; what says nothing of a message is passed over."""
    bad = {"event": [], "msys": {"x": {"type": []}}, "event_name": "transactional_email_status"}
    good = DELIVERED[vendor]
    second = json.loads(
        json.dumps(good).replace("rae@acme.example", "RAE@acme.example").replace("1772443267", "1772443268")
    )

    answer = service.tells(vendor, good, bad, second)

    assert answer.status_code == 200
    kinds = [(row["kind"], row["outcome"]) for row in listed(service.machine)]
    assert ("unclear", "parked") in kinds
    assert ("delivered", "recorded") in kinds


def test_odd_values_lose_no_event(either: Service) -> None:
    """What should be text and is none is left out, and what no database can hold; a complaint beside them counts."""
    odd: list[dict[str, Any]] = [
        {"event": "open", "useragent": {"a": 1}},
        {"event": "click", "url": 7},
        {"event": "click", "url": ["x"], "email": {}},
        {"event": "delivered", "smtp-id": "<a\0b>"},
        {"event": "delivered", "smtp-id": "<\ud800>", "email": "\0"},
        {"event": "delivered", "sg_event_id": "\0"},
        {"event": "bounce", "reason": "\0\ud800", "status": ["5"], "type": 1},
    ]
    told = [{**DELIVERED["sendgrid"], "sg_event_id": f"odd-{number}", **one} for number, one in enumerate(odd)]
    complaint = {**DELIVERED["sendgrid"], "event": "spamreport", "sg_event_id": "good"}

    assert either.tells("sendgrid", *told, complaint).status_code == 200

    outcomes = [row["outcome"] for row in listed(either.machine)]
    assert len(outcomes) == len(odd) + 1
    assert "parked" not in outcomes
    assert {why for *_, why in barred(either.machine)} == {"bounced", "complained"}


def test_a_request_that_stops_halfway_is_taken_up_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many reports are taken in by several transactions; what was taken in before a fault is known at the repeat."""
    told = [
        {**DELIVERED["sendgrid"], "event": event, "sg_event_id": f"{event}-{number}"}
        for number in range(45)
        for event in ("open", "delivered")
    ]
    database, left = service.machine.db, [True, True, False]

    def failing(work: Any, **how: Any) -> Any:
        if left and not left.pop(0):
            raise DatabaseFault("gone")
        return Database.transact(database, work, **how)

    monkeypatch.setattr(database, "transact", failing)

    assert service.tells("sendgrid", *told).status_code == 503
    assert Counter(row["kind"] for row in listed(service.machine)) == {"delivered": 45, "opened": 20}
    assert service.tells("sendgrid", *told).status_code == 200
    assert Counter(row["kind"] for row in listed(service.machine)) == {"delivered": 45, "opened": 45}


def test_many_events_in_one_request(either: Service) -> None:
    """Each is applied once, also where two are the same, whatever they are."""
    told = [
        {**DELIVERED["sendgrid"], "event": event, "sg_event_id": f"{event}-{number}", "timestamp": 1772443267 + number}
        for number in range(100)
        for event in (("processed", "delivered") if number % 2 else ("delivered",))
    ]
    goodbye = {**DELIVERED["sendgrid"], "event": "unsubscribe", "sg_event_id": "bye"}
    gone = {
        **DELIVERED["sendgrid"],
        "event": "bounce",
        "status": "5.1.1",
        "reason": "550 user unknown",
        "sg_event_id": "x",
    }

    assert either.tells("sendgrid", *told, goodbye, gone, *told[:50]).status_code == 200

    assert len(returns(either.machine, 1000)) == 152
    assert len(events(either.machine, "email_delivered")) == 100
    assert {why for *_, why in barred(either.machine)} == {"unsubscribed", "bounced"}


def test_what_matches_nothing_is_parked(service: Service) -> None:
    """No lead is touched for an address; neither for a token of another purpose."""
    keys, touch = service.machine.keys, touch_of(service.machine, RAE)
    told = {
        **json.loads((PAYLOADS / "sendgrid.json").read_text("utf-8"))["bounce, no such user"][0],
        "smtp-id": "<somebody@else.example>", "nurture": keys.seal_for_address("unsubscribe", touch.id),
    }  # fmt: skip

    assert service.tells("sendgrid", told).status_code == 200

    (row,) = listed(service.machine)
    assert (row["outcome"], row["touch"], row["lead"]) == ("parked", "", "")
    assert barred(service.machine) == set()
    assert events(service.machine, "email_bounced") == []


STATES = {"planned": False, "suppressed": False, "failed": False, "sent": True, "uncertain": True, "sending": True}


@pytest.mark.parametrize(("state", "believed"), STATES.items(), ids=STATES.keys())
def test_only_what_may_have_left_can_bounce(service: Service, state: str, believed: bool) -> None:
    """A forger who knew a token could else bounce what was never sent."""
    touch = touch_of(service.machine, RAE)
    raw = service.machine.db.engine.raw_connection()
    raw.execute("DROP TRIGGER touch_state")
    raw.execute("UPDATE touch SET state = ? WHERE id = ?", (state, touch.id))
    raw.commit()
    raw.close()

    service.says("postmark", "hard bounce")

    assert (barred(service.machine) != set()) is believed
    assert [row["outcome"] for row in listed(service.machine)] == ["suppressed" if believed else "parked"]


def test_a_delivery_proves_that_an_uncertain_message_left(either: Service) -> None:
    """It is sent, and says why."""
    touch = touch_of(either.machine, RAE)
    raw = either.machine.db.engine
    with raw.begin() as link:
        link.exec_driver_sql("DROP TRIGGER touch_state" + ("" if "sqlite" in str(raw.url) else " ON touch"))
        link.execute(update(Touch).where(col(Touch.id) == touch.id).values(state="uncertain", reason="no answer"))

    either.says("ses", "delivery")

    now = touch_of(either.machine, RAE)
    assert (now.state, now.reason) == ("sent", "evidence: hook:ses reports it delivered")


FAILURES = {
    "hard": ("sendgrid", "bounce, no such user", "suppressed", True),
    "soft": ("sendgrid", "bounce, full mailbox", "counted", False),
    "our own fault": ("sendgrid", "bounce, our reputation", "alarm", False),
    "dropped by the service": ("sendgrid", "dropped", "recorded", False),
    "tried again": ("postmark", "transient", "recorded", False),
}


@pytest.mark.parametrize(("vendor", "name", "outcome", "gone"), FAILURES.values(), ids=FAILURES.keys())
def test_what_follows_a_failure(service: Service, vendor: str, name: str, outcome: str, gone: bool) -> None:
    """As by mail: the address is given up for a hard one, and the lead keeps its consents."""
    assert service.says(vendor, name).status_code == 200

    assert [row["outcome"] for row in listed(service.machine)] == [outcome]
    assert barred(service.machine) == ({("address", RAE, "bounced")} if gone else set())
    noted = [event.name for event in events(service.machine, "email_bounced", "email_rejected")]
    assert noted == {"suppressed": ["email_bounced"], "counted": ["email_bounced"], "alarm": []}.get(
        outcome, ["email_rejected"] if name == "dropped" else []
    )


def test_three_days_of_soft_bounces_are_enough(service: Service) -> None:
    """By mail or by hook: they count together."""
    for day in range(3):
        service.says("brevo", "soft bounce", request=f"r{day}")
        told = json.loads((PAYLOADS / "mailersend.json").read_text("utf-8"))["soft bounced"][0]
        told["data"]["id"] = f"soft-{day}"
        service.tells("mailersend", told)
        later(service.machine, hours=24)

    assert barred(service.machine) == {("address", RAE, "bounced")}


GOODBYES = {
    "complaint": ("mailgun", "complained", "complained"),
    "unsubscribed at the service": ("mailjet", "unsub", "unsubscribed"),
}


@pytest.mark.parametrize(("vendor", "name", "reason"), GOODBYES.values(), ids=GOODBYES.keys())
def test_a_goodbye_to_the_service_counts_like_one_to_us(service: Service, vendor: str, name: str, reason: str) -> None:
    """Lead and address are suppressed, sequences end, and the event happened when the service says."""
    assert service.says(vendor, name).status_code == 200

    touch = touch_of(service.machine, RAE)
    assert {(kind, why) for kind, _, why in barred(service.machine)} == {("address", reason), ("lead", reason)}
    (event,) = events(service.machine, "unsubscribed")
    assert event.touch_id == touch.id
    assert [row["outcome"] for row in listed(service.machine)] == ["suppressed"]


def test_openings_and_links_that_the_service_counted(service: Service) -> None:
    """Of tracked letters, classed; a link of ours is counted when it is followed, and not twice."""
    service.says("postmark", "open")
    service.says("sendgrid", "open by Apple's proxy")
    service.says("mailgun", "clicked by a scanner")
    ours = {**json.loads((PAYLOADS / "mailgun.json").read_text("utf-8"))["clicked"][0], "id": "2"}
    service.tells("mailgun", {**ours, "url": f"{service.machine.public_url}/c/x"})

    assert [(event.actor, event.classed_by) for event in events(service.machine, "email_opened")] == [
        ("person", None),
        ("machine", "Apple's Mail Privacy Protection, says SendGrid"),
    ]
    (click,) = events(service.machine, "email_clicked")
    assert (click.actor, click.classed_by) == ("machine", "a bot, says Mailgun: generic")
    assert click.occurred_at.isoformat() == "2026-03-02T09:21:07.250000+00:00"


def test_without_a_tracking_consent_the_services_counting_is_not_kept(service: Service) -> None:
    """The report is listed, and no event is made of it."""
    set_state(service.machine, touch_of(service.machine, RAE).id, tracked=False)

    service.says("postmark", "open")
    service.says("postmark", "click")

    assert [row["outcome"] for row in listed(service.machine)] == ["recorded", "recorded"]
    assert events(service.machine, "email_opened", "email_clicked") == []


def test_a_text_message_that_reaches_nobody(service: Service, texted: Any) -> None:
    """The phone is given up, never the mail address."""
    assert service.says("twilio", "undelivered, no such number", about=texted).status_code == 200

    assert barred(service.machine) == {("phone", "+40721000111", "bounced")}
    assert [event.name for event in events(service.machine, "sms_bounced", "email_bounced")] == ["sms_bounced"]


def test_stop_ends_it(service: Service, texted: Any) -> None:
    """Twilio is answered with nothing to say; whoever sent STOP gets no message from us again."""
    answer = service.says("twilio", "STOP", about=texted)

    assert (answer.headers["content-type"], b"<Response/>" in answer.content) == ("application/xml", True)
    assert {(kind, why) for kind, _, why in barred(service.machine)} == {
        ("phone", "unsubscribed"), ("address", "unsubscribed"), ("lead", "unsubscribed"),
    }  # fmt: skip


def test_stop_of_a_phone_that_nobody_knows(service: Service) -> None:
    """It is kept: whose it is may be learnt later."""
    service.says("twilio", "STOP")

    assert barred(service.machine) == {("phone", "+40721000111", "unsubscribed")}


def test_a_reply_by_text_is_listed(service: Service, texted: Any) -> None:
    """Nothing follows."""
    service.says("twilio", "a reply", about=texted)

    assert [(row["kind"], row["outcome"]) for row in listed(service.machine)] == [("reply", "recorded")]
    assert barred(service.machine) == set()


@pytest.mark.parametrize("vendor", services.CERTIFICATES)
def test_a_subscription_is_confirmed(shared: Service, vendor: str) -> None:
    """Of a topic that the operator named, at an address of the shared."""
    way = {"Type": "SubscriptionConfirmation", "Token": "1", "Message": "You have chosen to subscribe"}
    made = notification(vendor, shared.machine.now(), "sub-1", SubscribeURL=services.CONFIRM[vendor], **way)

    assert shared.post(vendor, made).status_code == 200
    assert shared.fetched[-2:] == [services.CERTIFICATES[vendor], services.CONFIRM[vendor]]


SNS = {
    "another topic": {"TopicArn": f"{services.TOPIC}2"},
    "a certificate from elsewhere": {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem"},
    "a certificate in the open": {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"},
    "a certificate on another port": {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem"},
    "a certificate of a stranger's bucket": {"SigningCertURL": "https://s3.amazonaws.com/sns/SimpleNotificationService-1.pem"},
    "a certificate with a line break": {"SigningCertURL": "https://sns.eu-west-1.amazon\naws.com/SimpleNotificationService-1.pem"},
    "a certificate with a query": {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem?.pem"},
    "another version": {"SignatureVersion": "3"},
}  # fmt: skip


@pytest.mark.parametrize("told", SNS.values(), ids=SNS.keys())
def test_nothing_is_fetched_for_a_stranger(shared: Service, told: dict[str, str]) -> None:
    """The address that a request names is judged before anybody goes there."""
    made = notification("ses", shared.machine.now(), "n-1", Message="{}", **told)

    before = list(shared.fetched)
    assert shared.post("ses", made).status_code == 401
    assert shared.fetched == before


def test_a_subscription_elsewhere_is_not_confirmed(shared: Service) -> None:
    """Whoever can sign may not send us anywhere."""
    told = {
        "Type": "SubscriptionConfirmation",
        "Token": "1",
        "Message": "m",
        "SubscribeURL": "https://sns.evil.example/",
    }

    assert shared.post("ses", notification("ses", shared.machine.now(), "s", **told)).status_code == 401
    assert shared.fetched[-1] == services.CERTIFICATES["ses"]


def test_both_versions_of_signatures(shared: Service) -> None:
    """Topics sign with SHA-1 unless they are told otherwise."""
    for version in ("1", "2"):
        made = notification("ses", shared.machine.now(), f"v{version}", version=version, Message='{"eventType": "New"}')
        told = json.loads(made.body)
        assert shared.post("ses", made).status_code == 200
        told["Message"] += " "
        assert shared.post("ses", Call(json.dumps(told).encode(), {})).status_code == 401


def test_without_a_network_nothing_is_believed(service: Service) -> None:
    """503: SNS tries again."""
    service.offline = True

    assert service.says("ses", "delivery").status_code == 503
    assert listed(service.machine) == []


def test_a_delivery_unmasks_who_was_there_before(service: Service) -> None:
    """A link followed before the recipient's server had the message was followed by that server."""
    machine = service.machine
    lead = make_lead(machine, "new@acme.example")
    send(machine)
    later(machine)
    touch = touch_of(machine, "new@acme.example")
    visit = Visitor(machine)
    place = machine.keys.seal("click", touch.id, 0)
    assert visit.get(f"/c/{place}").status_code == 302
    later(machine, minutes=5)
    machine.settle(machine.now())
    assert [event.actor for event in events(machine, "email_clicked")] == ["person"]

    arrived = int((machine.now() - timedelta(minutes=1)).timestamp())
    service.tells("sendgrid", {**DELIVERED["sendgrid"], "timestamp": arrived}, about=touch)

    (click,) = events(machine, "email_clicked")
    assert (click.actor, click.lead_id) == ("machine", lead)
    assert click.classed_by == "sooner after delivery than a person reads"


def test_letters_carry_what_comes_back(service: Service) -> None:
    """Each service that has a door is given the token in its own header, above the signature."""
    machine = service.machine
    machine.hooks = {"postmark": services.PASSWORD, "ses": services.TOPIC}
    make_lead(machine, "new@acme.example")
    send(machine)

    touch = touch_of(machine, "new@acme.example")
    assert isinstance(machine.email, RecordingChannel)
    payload = next(parcel.payload for parcel in machine.email.parcels if parcel.touch_id == touch.id)
    assert payload.startswith(
        f"X-PM-Metadata-nurture: {machine.keys.seal_for_address('bounce', touch.id)}\r\n".encode()
    )
    with machine.db.read() as link:
        assert link.execute(select(col(Lead.id)).where(col(Lead.email) == "new@acme.example")).scalar() == touch.lead_id


def test_each_text_names_where_its_report_goes(service: Service, texted: Any) -> None:
    """The address that Twilio is given is the one whose token the door understands."""
    machine = service.machine
    with serving(Twilio) as server:
        told = f"{machine.public_url}/hooks/twilio?t="
        account = read_account(server.account)
        channel = TwilioChannel(account, callback=lambda touch: told + machine.keys.seal_for_address("bounce", touch))
        channel.deliver([Parcel(texted.id, "touch-1", "", "+40721000111", b"hello")], NoJournal(), lambda _: False)
        channel.close()
        address = parse_qs(server.calls[-1][2].decode())["StatusCallback"][0]

    made = service.made("twilio", DELIVERED["twilio"], about=texted)

    assert address == f"{services.URL}twilio{made.query}"

"""The commands: folders where nothing is set up, tasks and their answers, the keys of endpoints, consent of an import."""

from __future__ import annotations

import base64
import json

import pytest

from nurture.settings import Settings
from nurture.tokens import keys
from tests.cli.conftest import Desk, desk  # noqa: F401
from tests.engine.world import NOTICE
from tests.steps.servers import Calls, Twilio, serving

PROGRAM = """name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {industry: text}
sales: [{name: Mihai, email: mihai@acme.example}]
"""
SEQUENCE = """name: Ways
segment: {email: {known: true}}
enrol: {when: {did: signed_up}}
steps:
  - {id: checkin, sms: checkin.j2}
  - {id: tell, webhook: crm}
  - {id: ask, task: {for: sales, text: "Call {{ lead.first_name or 'them' }}"}}
  - {id: called, wait_until: {did: task_done}, at_most: 5 days}
  - {id: over, exit: completed}
"""
LEADS = """email,first_name,phone,consent,sms_consent
ana@acme.example,Ana,+40 721 123 456,yes,yes
bo@acme.example,Bo,0721 999 999,yes,yes
cy@acme.example,Cy,+40 721 777 777,yes,
"""
EVENTS = "email,event,occurred_at\n" + "".join(
    f"{name}@acme.example,signed_up,2026-03-02T07:00:00Z\n" for name in ("ana", "bo", "cy")
)
EMPTY = "http://127.0.0.1:1/hook"


@pytest.fixture
def room(desk: Desk) -> Desk:  # noqa: F811
    """A small program with every new way, published; three leads have signed up."""
    for old in (desk.folder / "templates").rglob("*.*"):
        old.unlink()
    for folder in (desk.folder / "templates" / "evaluators",):
        folder.rmdir()
    desk.write("templates/_shared/notice.j2", NOTICE)
    desk.write("templates/ways/sequence.yaml", SEQUENCE)
    desk.write("templates/ways/checkin.j2", "{{ brand }}: hello {{ lead.first_name or 'there' }}. Reply STOP to end.")
    return desk


def opened(room: Desk, hook: str = EMPTY) -> str:
    """What the import of the leads said."""
    room.write("templates/program.yaml", PROGRAM + f"webhooks: {{crm: {{url: '{hook}', fields: [first_name]}}}}\n")
    published = room.nurture("publish")
    assert published.code == 0, published
    room.write("leads.csv", LEADS)
    room.write("events.csv", EVENTS)
    said = room.nurture("import", "leads", "leads.csv")
    assert room.nurture("import", "events", "events.csv").code == 0
    return said.out


def test_consent_to_texts_comes_with_an_import(room: Desk) -> None:
    """A column of its own; who agreed and cannot be reached is named with the line."""
    said = opened(room)

    assert "'0721 999 999' has no country code (write +40…): they will be suppressed(no_phone)" in said
    assert room.rows("SELECT lead_id, basis FROM consent WHERE purpose = 'sms' ORDER BY 1") == [
        (1, "consent"),
        (2, "consent"),
    ]
    assert "Sms: consent, given 2026-03-02" in room.nurture("explain", "ana@acme.example").out
    assert "Sms:" not in room.nurture("explain", "cy@acme.example").out


def test_without_an_account_texts_are_files(room: Desk) -> None:
    """Each with its number, and the command that would send says so."""
    opened(room)
    told = room.nurture("tick")

    assert "NURTURE_SMS_URL is not set: text messages are written to .nurture/sms as files" in told.err
    (file,) = (room.folder / ".nurture" / "sms").iterdir()
    assert file.suffix == ".txt"
    assert file.read_text("utf-8") == "To: +40721123456\n\nAcme: hello Ana. Reply STOP to end.\n"
    ended = "SELECT lead_id, state, reason FROM touch WHERE kind = 'sms' ORDER BY 1"
    assert room.rows(ended) == [
        (1, "sent", None),
        (2, "suppressed", "no_phone"),
        (3, "suppressed", "no_consent"),
    ]


def test_everything_that_is_set_up_is_used(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account, the webhook, the tasks, the salesperson's answer; then verify."""
    with serving(Twilio) as twilio, serving(Calls) as crm:
        monkeypatch.setenv("NURTURE_SMS_URL", twilio.account)
        opened(room, f"{crm.url}/hook")
        told = room.nurture("tick")
        listed = json.loads(room.nurture("tasks", "--json").out)
        answered = room.nurture("done", str(listed[0]["id"]), "--by", "mihai@acme.example")
        again = room.nurture("done", str(listed[0]["id"]))

    assert "NURTURE_SMS_URL" not in told.err
    assert [to for to, _ in twilio.sent] == ["+40721123456"]
    assert sorted(call["data"]["lead"]["first_name"] for call in crm.said()) == ["Ana", "Bo", "Cy"]
    assert sorted(row["task"] for row in listed) == ["Call Ana", "Call Bo", "Call Cy"]
    assert answered.out == f"Task {listed[0]['id']} is done, by mihai@acme.example.\n"
    assert (again.code, "was done by mihai@acme.example" in again.err) == (1, True)
    assert len(json.loads(room.nurture("tasks", "--json").out)) == 2
    assert len(json.loads(room.nurture("tasks", "--all", "--json").out)) == 3
    assert (
        "task 1 for mihai@acme.example: Call"
        in room.nurture("explain", "ana@acme.example").out
        + room.nurture("explain", "bo@acme.example").out
        + room.nurture("explain", "cy@acme.example").out
    )
    assert "invariants hold" in room.nurture("verify").out


def test_the_receiver_gets_its_key(room: Desk) -> None:
    """As Standard Webhooks writes it; the list shows none."""
    opened(room)
    listed, secret = room.nurture("endpoints"), room.nurture("endpoints", "--secret", "crm")

    assert EMPTY in listed.out
    assert "whsec_" not in listed.out
    signing = keys((room.folder / ".nurture" / "secret_key").read_text()).signing("webhook:crm")
    assert secret.out == f"whsec_{base64.b64encode(signing).decode()}\n"
    assert "known are webhook:crm" in room.nurture("endpoints", "--secret", "other").err


#: NURTURE_SMS_URL as somebody may write it, and what is said; the token never is.
ACCOUNTS = {
    "twilio://AC1:sesame@api.twilio.com": "does not say from which number",
    "twilio://AC1@api.twilio.com?from=+1": "lacks a part",
    "https://AC1:sesame@api.twilio.com?from=+1": "lacks a part",
    "twilio+http://AC1:sesame@api.twilio.com?from=+1": "would show the token",
    "twilio://AC/1:sesame@api.twilio.com?from=+1": "NURTURE_SMS_URL",
    "twilio://AC1:sesame@api.twilio.com:port?from=+1": "cannot be read",
}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_wrong_account_is_said_without_its_token(room: Desk, monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    opened(room)
    monkeypatch.setenv("NURTURE_SMS_URL", account)
    told = room.nurture("tick")

    assert told.code == 1
    assert ACCOUNTS[account] in told.err
    assert "sesame" not in told.out + told.err


#: NURTURE_PRIVATE_HOSTS, and the hosts it names; None: it is refused.
HOSTS = {
    "": [],
    "crm.internal": ["crm.internal"],
    "CRM.internal:8443, 10.0.0.5 ,[fd00::1]:9": ["crm.internal:8443", "10.0.0.5", "[fd00::1]:9"],
    "https://crm.internal": None,
    "crm.internal/hook": None,
}


@pytest.mark.parametrize("said", HOSTS)
def test_private_hosts_are_named(said: str) -> None:
    given = Settings(private_hosts=said)
    if HOSTS[said] is None:
        with pytest.raises(Exception, match="is not a host"):
            given.inner_hosts()
    else:
        assert given.inner_hosts() == HOSTS[said]

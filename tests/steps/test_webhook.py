"""`webhook`: from YAML to receipts, against a server that takes Standard Webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from nurture.channels.webhook import WebhookChannel, signed_as
from nurture.engine import doors
from nurture.records import WebhookBody
from tests.engine.channels import Killed
from tests.engine.conftest import Make
from tests.engine.world import PROGRAM, World, program, sequence
from tests.faults.warm import arm
from tests.steps.servers import WAITS, Calls, serving

STEPS = """  - {id: tell, webhook: crm, data: {reason: engaged, weight: 3}}
  - {id: rest, wait: 40 days}
  - {id: over, exit: completed}"""


def telling(make: Make, server: Calls, fields: str = "[email, first_name, industry, score, fit]") -> World:
    hooks = f"webhooks: {{crm: {{url: '{server.url}', fields: {fields}}}}}\n"
    scoring = "half_life: 1 day\nengagement:\n  - {rule: signed up, when: {did: signed_up}, points: 20}\n"
    files = {"program.yaml": PROGRAM + hooks, "scoring.yaml": scoring}
    world = make(program(files, telling=sequence(STEPS)))
    keys = world.machine.keys
    world.machine.webhook = WebhookChannel(
        {"crm": server.url}, lambda name: keys.signing(signed_as(name)), world.clock, timeout=WAITS
    )
    return world


def lead(world: World, name: str = "ana", **facts: Any) -> None:
    world.lead(name, **{"first_name": name.title(), "company": "A secret", **facts})
    world.event(name, "signed_up")


@pytest.fixture
def server() -> Iterator[Calls]:
    with serving(Calls) as made:
        yield made


def test_a_system_is_told_what_it_may_know_and_no_more(make: Make, server: Calls) -> None:
    """One signed call with a type, the step, its data and the fields that the program lists."""
    world = telling(make, server)
    lead(world)
    world.tick()

    ((_, headers, body),) = server.calls
    signed = Webhook(world.machine.keys.signing(signed_as("crm")))
    assert headers["webhook-signature"] == signed.sign(headers["webhook-id"], world.now, body.decode())
    assert headers["webhook-timestamp"] == str(int(world.now.timestamp()))
    assert json.loads(body) == {
        "type": "lead.step",
        "timestamp": "2026-03-02T08:00:00Z",
        "data": {
            "sequence": "telling",
            "step": "tell",
            "lead": {"email": "ana@lead.example", "first_name": "Ana", "industry": None, "score": 20, "fit": None},
            "data": {"reason": "engaged", "weight": 3},
        },
    }
    assert headers["webhook-id"] == f"touch-{world.touch('ana', 'tell').id}"
    assert world.touches() == {"ana": [("tell", "sent", None)]}
    assert world.stands() == {"ana": "rest"}


#: Leads who get no letter; a system is told of them nonetheless.
SILENT: dict[str, dict[str, Any]] = {
    "no consent": {"consent": None},
    "no address": {"email": None, "consent": None},
}


@pytest.mark.parametrize("case", SILENT)
def test_it_is_no_message_to_the_lead(make: Make, server: Calls, case: str) -> None:
    """Neither consent nor address is needed, and no window is waited for."""
    written = sequence(STEPS, segment="{score: {at_least: 0}}", send='{hours: "20:00-21:00"}')
    world = telling(make, server)
    files = {"program.yaml": PROGRAM + f"webhooks: {{crm: {{url: '{server.url}', fields: [first_name]}}}}\n"}
    world.publish(program(files, telling=written))
    lead(world, **SILENT[case])
    world.tick()

    assert [call["data"]["lead"] for call in server.said()] == [{"first_name": "Ana"}]


def test_of_a_suppressed_lead_nothing_is_told(make: Make, server: Calls) -> None:
    """Who said goodbye between the plan and the call: its sequences have ended, and nothing leaves."""
    world = telling(make, server)
    server.answers = [503]
    lead(world)
    world.tick()
    live = world.machine.live()
    world.do(lambda link: doors.unsubscribe_lead(link, live, world.ids["ana"], world.now, source="page"))
    world.run(timedelta(days=2))

    assert len(server.calls) == 1
    assert world.touches()["ana"][0][1] == "cancelled"
    assert world.rows(WebhookBody) == [] or world.touch("ana", "tell").state == "cancelled"


#: What the endpoint answers first; then 200.
LATER = {
    "unavailable": [503],
    "hung up": [0],
    "too slow": [1],
    "busy, and again": [429, 429],
    "conflict": [409],
}


@pytest.mark.parametrize("case", LATER)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_is_repeated_with_the_same_key_and_body(make: Make, server: Calls, case: str) -> None:
    """Whatever is unclear is tried again; the lead may have changed meanwhile, what is said has not."""
    server.answers = list(LATER[case])
    world = telling(make, server)
    lead(world)
    world.tick()
    world.lead("ana", first_name="Changed")
    world.run(timedelta(hours=5))

    assert len(server.calls) == len(LATER[case]) + 1
    assert len({body for _, _, body in server.calls}) == 1
    assert len({headers["webhook-id"] for _, headers, _ in server.calls}) == 1
    assert len({headers["webhook-timestamp"] for _, headers, _ in server.calls}) == len(server.calls)
    assert world.touches() == {"ana": [("tell", "sent", None)]}
    assert world.rows(WebhookBody) == []


#: What is final for one call: the answer, and what is said of it.
FINAL = {
    "a bad request": (400, "400"),
    "a redirect, which is not followed": (302, "302 a redirect is not followed"),
    "no such thing": (404, "404"),
}


@pytest.mark.parametrize("case", FINAL)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_refusal_fails_that_call_and_the_lead_goes_on(make: Make, server: Calls, case: str) -> None:
    status, said = FINAL[case]
    server.answers = [status]
    world = telling(make, server)
    lead(world)
    lead(world, "bo")
    world.tick()

    assert sorted(state for [(_, state, _)] in world.touches().values()) == ["failed", "sent"]
    assert {reason for [(_, state, reason)] in world.touches().values() if state == "failed"} == {said}
    assert set(world.stands().values()) == {"rest"}


def test_it_is_given_up_when_it_is_late(make: Make, server: Calls) -> None:
    """A day of refused connections: max_late is over, and the lead goes on."""
    server.answers = [503] * 50
    world = telling(make, server)
    lead(world)
    world.run(timedelta(days=4))

    assert world.touches() == {"ana": [("tell", "expired", "late")]}
    assert world.stands() == {"ana": "rest"}
    assert world.rows(WebhookBody) == []


def test_an_endpoint_that_is_gone_is_called_no_more(make: Make, server: Calls) -> None:
    """410: the operator is told why, nobody's call is lost, and another process asks again once."""
    server.answers = [410]
    world = telling(make, server)
    for name in ("ana", "bo", "cy"):
        lead(world, name)
    report = world.machine.tick("telling", world.now)
    world.at(timedelta(hours=1)).tick()

    assert len(server.calls) == 1
    assert "'crm' wants no more calls" in str(report.steps[0].channel_down)
    assert {state for [(_, state, _)] in world.touches().values()} == {"planned"}

    world.machine.webhook.close()
    world.machine.webhook = telling_again(world, server)
    world.at(timedelta(hours=2)).tick()
    assert {state for [(_, state, _)] in world.touches().values()} == {"sent"}


def telling_again(world: World, server: Calls) -> WebhookChannel:
    keys = world.machine.keys
    return WebhookChannel({"crm": server.url}, lambda name: keys.signing(signed_as(name)), world.clock)


def test_a_dead_workers_call_is_repeated(make: Make, server: Calls) -> None:
    """Its key makes that harmless: it is never uncertain."""
    world = telling(make, server)
    lead(world)
    arm("answered:raise:1", Killed)
    with suppress(Killed):
        world.tick()
    arm(None)
    world.sql("UPDATE touch SET lease_until = 0")
    world.at(timedelta(hours=1)).tick()
    world.run(timedelta(hours=5))

    assert len(server.calls) == 2
    assert len({body for _, _, body in server.calls}) == 1
    assert world.touches() == {"ana": [("tell", "sent", None)]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_text_of_every_language_survives(make: Make, server: Calls) -> None:
    """JSON in UTF-8."""
    world = telling(make, server)
    lead(world, first_name="مريم Ștefan \u2028")
    world.tick()

    assert json.loads(server.calls[0][2])["data"]["lead"]["first_name"] == "مريم Ștefan \u2028"


def test_of_what_has_ended_nothing_is_kept(make: Make, server: Calls) -> None:
    """Also of a touch that ended by another way, and of one that is no more; of one that is tried again all is kept."""
    world = telling(make, server)
    server.answers = [503, 503]
    lead(world)
    lead(world, "bo")
    world.tick()
    ana, bo = (world.touch(name, "tell").id for name in ("ana", "bo"))
    assert {row.touch_id for row in world.rows(WebhookBody)} == {ana, bo}

    live = world.machine.live()
    world.do(lambda link: doors.unsubscribe_lead(link, live, world.ids["ana"], world.now, source="page"))
    world.sql("INSERT INTO webhook_body (touch_id, body) VALUES (987654, '{}')")
    server.answers = [503]
    world.run(timedelta(minutes=10))

    assert world.touch("bo", "tell").state == "retry_wait"
    assert {row.touch_id for row in world.rows(WebhookBody)} == {bo}

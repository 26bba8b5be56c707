"""Mail scanners open every link of a letter within seconds: nobody is unsubscribed, confirmed, answered, scored or moved."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nurture.channels.recording import RecordingChannel
from nurture.engine.machine import Machine
from tests.web.factories import (
    BROWSER,
    Visitor,
    events,
    everything,
    handed_over,
    html_of,
    later,
    letter_to,
    make_lead,
    send,
    touch_of,
)

SCANNERS = {
    "a crawler that says so": {"user-agent": "Barracuda Sentinel (EE)"},
    "a library": {"user-agent": "python-requests/2.32"},
    "no name": {"user-agent": ""},
    "a browser's name": {"user-agent": BROWSER, "accept": "text/html"},
}
#: What a person's own doing would change.
KEPT = (
    "suppression", "consent", "objection", "preference", "refused_topic", "confirmation", "handoff", "task", "score_sum",
    "score_entry", "milestone", "lead", "lead_tag", "enrolment", "touch", "visitor",
)  # fmt: skip
DEEDS = ("unsubscribed", "question_answered", "handoff_accepted", "handoff_rejected", "consent_given")


def addresses(html: str) -> list[str]:
    """Every address of our own in a letter: links, hidden ones too, and pictures."""
    found = re.findall(r'(?:href|src)="http://links\.test([^"]*)"', html)
    return [address.replace("&amp;", "&") for address in found]


def kept(machine: Machine) -> dict[str, list[Any]]:
    whole = everything(machine)
    assert set(KEPT) <= set(whole)
    return {name: whole[name] for name in KEPT}


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_scanners_open_every_link(machine: Machine) -> None:
    """HEAD and GET of all that stands in letters to a lead, in the notice to sales and in the letter of confirmation."""
    make_lead(machine, "late@acme.example")
    for _ in range(2):
        send(machine)
    visit = Visitor(machine)
    notice = handed_over(machine, visit)
    assert visit.post("/f/news", data={"email": "kim@person.example", "consent": "yes"}).status_code == 303
    assert isinstance(machine.email, RecordingChannel)
    confirmation = html_of(machine.email.parcels[-1].payload)
    letters = [letter_to(machine, "rae@acme.example", step) for step in ("hello", "piece")]
    links = [
        link
        for html in (*letters, letter_to(machine, "late@acme.example"), notice, confirmation)
        for link in addresses(html)
    ]
    links.append(f"/p/{machine.keys.seal('preferences', touch_of(machine, 'rae@acme.example').id)}")
    assert {link[:3] for link in links} >= {"/c/", "/f/", "/o/", "/p/", "/q/", "/u/", "/h/", "/y/"}
    later(machine)
    before = kept(machine)

    for who, headers in SCANNERS.items():
        answers = {visit(method, link, headers=headers).status_code for link in links for method in ("HEAD", "GET")}
        later(machine)
        machine.tick("readers", machine.now())

        assert answers <= {200, 302}, who
        assert [event.name for event in events(machine, *DEEDS)] == [], who
        assert {event.actor for event in events(machine, "email_clicked", "offer_viewed", "email_opened")} == {
            "machine"
        }
        assert kept(machine) == before, who


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_a_persons_one_click_is_seen(machine: Machine, visit: Visitor) -> None:
    """The measure itself: one link, followed by a person, changes what a scanner does not."""
    before = kept(machine)
    (first, *_) = (link for link in addresses(letter_to(machine, "rae@acme.example")) if link.startswith("/c/"))

    visit.get(first)
    later(machine)
    machine.tick("readers", machine.now())

    assert {name for name, rows in kept(machine).items() if rows != before[name]} >= {"score_sum"}

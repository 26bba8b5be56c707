"""Nobody learns at a door whether we know an address: answers are equal byte for byte, whoever it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from nurture.channels.base import Parcel
from nurture.channels.recording import RecordingChannel
from nurture.engine import doors
from nurture.engine.machine import Machine
from nurture.rights.forget import forget
from tests.web.factories import FORM, PAGE, Visitor, lead_called, make_lead, opened, put_live
from tests.web.sited import SITED, key

WHO = ("nobody", "known", "suppressed", "forgotten")
PLENTY = 10**9
JSON = {"accept": "application/json", "content-type": "application/json"}
#: A token is as long for each, and says nothing to who has it; a form's own number is drawn anew for each page.
DRAWN = re.compile(r"(?<=[?&;]s=)[\w-]{35}|(?<=name=\"s\" value=\")[\w-]{35}|(?<=name=\"once\" value=\")[0-9a-f]{32}")


@pytest.fixture(scope="module")
def house(lettered_sqlite: tuple[Path, list[Parcel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Somebody of each kind, each called after its kind."""
    home = tmp_path_factory.mktemp("home")
    path = shutil.copyfile(lettered_sqlite[0], home / "nurture.db")
    with opened(f"sqlite:///{path}", files=None, mail=RecordingChannel("email"), minutes=40) as machine:
        put_live(machine, SITED)
        for who in WHO[1:]:
            make_lead(machine, f"{who}@person.example", consent="consent")
        left, now, live = lead_called(machine, "suppressed@person.example").id, machine.now(), machine.live()
        machine.db.transact(lambda link: doors.unsubscribe_lead(link, live, left, now, source="test"))
        forget(machine, home, "forgotten@person.example", by="test", now=now)
        yield machine


def shown(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """All of an answer but what is drawn."""
    headers = [(name, DRAWN.sub("*", value)) for name, value in answer.headers.items() if name != "date"]
    return answer.status_code, headers, DRAWN.sub("*", answer.text)


def form(key: str, headers: Mapping[str, str], **said: str) -> Any:
    """Send a form, and look at the page that it leads to."""

    def ask(visit: Visitor, address: str) -> list[Any]:
        whole = {"email": address, "company": "Büro", **said}
        body = {"content": json.dumps(whole)} if headers is JSON else {"data": whole}
        answer = visit.post(f"/f/{key}", headers=dict(headers), **body)
        assert answer.status_code in (202, 303)
        page = visit.get(f"/f/{answer.headers['location']}") if answer.status_code == 303 else answer
        return [shown(answer), shown(page)]

    return ask


def told(visit: Visitor, address: str, site_key: str = "") -> list[Any]:
    """A page tells of a visit and names whose it is, which it may not."""
    one = {"event": "page_viewed", "id": f"e {address}", "email": address, "data": {"path": "/"}}
    sent = {"key": site_key, "visitor": "c0ffee00" * 4, "events": [one]}
    return [shown(visit.post("/events", headers={**PAGE, "content-type": "text/plain"}, content=json.dumps(sent)))]


FORMS = {
    "a form": form("demo", FORM),
    "a form by script": form("demo", JSON),
    "a form with ticks": form("demo", FORM, consent="yes", tracking="yes"),
    "a form for a piece": form("guide", FORM),
    "a form that goes on": form("start", FORM),
    "a form that asks the mailbox": form("news", FORM, consent="yes"),
    "a form that knows the browser": form("demo", FORM, visitor="ab" * 16),
}


@pytest.mark.parametrize("ask", FORMS.values(), ids=FORMS.keys())
def test_a_form_answers_everybody_alike(house: Machine, ask: Any) -> None:
    """Unknown, known, unsubscribed, forgotten: the same status, headers, page, and the same page after it."""
    visit = Visitor(house, forms_per_minute=PLENTY, forms_per_address=PLENTY)

    answers = {who: ask(visit, f"{who}@person.example") for who in WHO}

    assert all(answer == answers["nobody"] for answer in answers.values())


def test_the_limit_counts_everybody_alike(house: Machine) -> None:
    """How often one address may be written into forms depends on the address alone."""
    for who in WHO:
        visit = Visitor(house, forms_per_minute=PLENTY, forms_per_address=2)
        said = [visit.post("/f/demo", data={"email": f"{who}@person.example"}).status_code for _ in range(3)]
        assert said == [303, 303, 429]


def test_a_website_is_told_nothing(house: Machine) -> None:
    """With the key of a website every event is accepted, whomever it names."""
    visit, mine = Visitor(house), key(house, "www", "site")

    answers = [told(visit, f"{who}@person.example", mine) for who in WHO]

    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0][0] == 202

"""A published program, leads with letters in their hands, and ways to knock at the doors."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select
from sqlmodel import SQLModel, col

from nurture import tokens
from nurture.channels.base import Channel
from nurture.channels.recording import RecordingChannel
from nurture.clock import VirtualClock
from nurture.db import Database
from nurture.engine.machine import Machine
from nurture.engine.publishing import publish
from nurture.intake.write import put_lead
from nurture.program.lifecycle import REJECTIONS
from nurture.program.load import load, read_folder
from nurture.records import Event, Handoff, Lead, Touch
from nurture.web.public import public_app

#: A letter in two languages, an offer, forms, a sales team of one.
FILES = read_folder(Path(__file__).parent / "acorn")
#: A Monday morning.
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
PAGE = {"accept": "text/html", "user-agent": BROWSER}
FORM = {**PAGE, "content-type": "application/x-www-form-urlencoded"}
#: What Kim, whom nobody knows yet, writes into a form.
DEMO = {"email": "New@Person.example", "first_name": "Kim", "company": "Büro & Söhne", "country": "DE"}
SECRET = "a secret that only these tests know, forty long"


@contextmanager
def opened(
    url: str, *, files: Mapping[str, str] | None = FILES, mail: Channel | None = None, minutes: int = 0
) -> Iterator[Machine]:
    """A machine over `url`, `minutes` after Monday morning; `files` are published, None publishes nothing."""
    machine = Machine(
        db=Database(url),
        clock=VirtualClock(MONDAY + timedelta(minutes=minutes)),
        keys=tokens.keys(SECRET),
        email=mail or RecordingChannel("email"),
        audience=RecordingChannel("audience"),
        public_url="http://links.test",
    )
    try:
        if files is not None:
            put_live(machine, files)
        yield machine
    finally:
        machine.close()


def put_live(machine: Machine, files: Mapping[str, str]) -> None:
    """Publish `files`."""
    loaded = load(files)
    machine.db.transact(lambda link: publish(link, machine.library, loaded, sorted(loaded.segments), machine.now()))


def later(machine: Machine, **span: float) -> None:
    """Let time pass: past the seconds in which a click is a scanner's, unless `span` says how much."""
    assert isinstance(machine.clock, VirtualClock)
    machine.clock.advance(timedelta(**span) if span else timedelta(minutes=20))


def make_lead(machine: Machine, address: str = "rae@acme.example", **facts: Any) -> int:
    """A lead that may be written to and followed, and belongs to the segment."""
    said = {"email": address, "first_name": "Rae", "industry": "software"} | facts
    agreed = {"consent": said.pop("consent", "consent"), "tracking": said.pop("tracking", "consent")}
    return machine.db.transact(lambda link: put_lead(link, said, now=machine.now(), source="test", **agreed)[0])


def send(machine: Machine) -> None:
    """Have everything sent that is due, and let the letters lie for a while."""
    machine.tick("readers", machine.now())
    later(machine)


def letter_to(machine: Machine, address: str, step: str = "hello") -> str:
    """The HTML of the letter that this address got from `step`."""
    touch = touch_of(machine, address, step)
    assert isinstance(machine.email, RecordingChannel)
    payload = next(parcel.payload for parcel in machine.email.parcels if parcel.touch_id == touch.id)
    return html_of(payload)


def html_of(payload: bytes) -> str:
    """The HTML part of a message."""
    body = email.message_from_bytes(payload, policy=email.policy.default).get_body(("html",))
    assert body is not None
    return str(body.get_content())


def links_in(html: str) -> list[str]:
    """Where the links of a page or letter that a person sees lead, in order, without our own host."""
    found = re.findall(r'href="([^"]*)"(?! hidden)', html)
    return [link.replace("&amp;", "&").removeprefix("http://links.test") for link in found]


def touch_of(machine: Machine, address: str, step: str = "hello") -> Any:
    """The touch of `step` for the lead with this address."""
    query = select(Touch.__table__).join(Lead, col(Lead.id) == col(Touch.lead_id))  # type: ignore[attr-defined]
    with machine.db.read() as link:
        return link.execute(query.where(col(Lead.email) == address, col(Touch.step) == step)).one()


def events(machine: Machine, *names: str) -> list[Any]:
    """The events with these names, in order of arrival."""
    query = select(Event.__table__).where(col(Event.name).in_(names)).order_by(col(Event.id))  # type: ignore[attr-defined]
    with machine.db.read() as link:
        return list(link.execute(query))


def everything(machine: Machine) -> dict[str, list[Any]]:
    """All rows of all tables, to be compared."""
    with machine.db.read() as link:
        return {
            name: sorted(map(tuple, link.execute(select(table))), key=repr)
            for name, table in SQLModel.metadata.tables.items()
        }


class Visitor:
    """Knocks at the doors of a machine's public app."""

    def __init__(self, machine: Machine, host: str = "192.0.2.1", **limits: Any) -> None:
        self.app = public_app(machine, **limits)
        self._host = host

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **({"headers": PAGE} | more)))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self("POST", path, **more)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        door = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self._host, 5000))
        async with httpx.AsyncClient(transport=door, base_url="http://links.test") as client:
            return await client.request(method, path, **more)


def handed_over(machine: Machine, visit: Visitor, **said: str) -> str:
    """Have somebody ask for a demo; the HTML of the notice that sales got."""
    answer = visit.post("/f/demo", data={"email": "new@person.example", "first_name": "Kim", **said})
    assert answer.status_code == 303
    assert isinstance(machine.email, RecordingChannel)
    return html_of(machine.email.parcels[-1].payload)


def answers_in(notice: str) -> dict[str, str]:
    """The links of a notice by what they stand for."""
    accept, everything_, *rejections = (link for link in links_in(notice) if link.startswith("/h/"))
    return {"accept": accept, "page": everything_} | dict(zip(REJECTIONS, rejections, strict=True))


def handoffs(machine: Machine) -> list[Any]:
    """All hand-offs, oldest first."""
    with machine.db.read() as link:
        return list(link.execute(select(Handoff.__table__).order_by(col(Handoff.id))))  # type: ignore[attr-defined]


def lead_called(machine: Machine, address: str) -> Any:
    """The lead with this address, or None."""
    with machine.db.read() as link:
        return link.execute(select(Lead.__table__).where(col(Lead.email) == address)).one_or_none()  # type: ignore[attr-defined]

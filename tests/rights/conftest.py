"""An installation with a person in every place where one may be, brought there through the doors."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, text
from sqlmodel import SQLModel

from nurture.cli import main
from nurture.clock import SystemClock
from nurture.db import Database
from nurture.engine import doors
from nurture.engine.machine import Machine
from nurture.engine.renaming import readdress
from nurture.inbound.taking import take
from nurture.opening import machine as opened_machine
from nurture.records import Visit, Visitor
from nurture.web.public import public_app
from tests.engine.conftest import make
from tests.inbound.mails import dsn
from tests.steps.servers import Calls

#: What nobody else is called.
CANARY = "zqcanary"
OLD, NEW = f"{CANARY}.old@lead.example", f"{CANARY}@lead.example"
PHONE = "+40799123123"
#: What is looked for in every store.
TRACES = (CANARY, "799123123")

LETTER = """<html><body>{% block subject %}Hello{% endblock %} {{ lead.first_name or "there" }}
<a href="https://acme.example/tour">tour</a> <a href="{{ unsubscribe_url }}">stop</a> {{ address }}</body></html>"""
NOTICE = """<html><body>{% block subject %}{{ handoff.milestone }}{% endblock %}
{{ lead.first_name or "" }} {{ lead.email or "" }} {{ handoff.accept_url }}</body></html>"""
PROGRAM = """\
name: Acme
sender: {{name: Ana, address: ana@acme.example}}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {{industry: text, seats: number, note: text, trial: flag, renewal: date}}
sales: [{{name: Mihai, email: mihai@acme.example}}]
forms: {{demo: {{event: demo_requested, fields: [first_name, company], title: A demo}}}}
audiences: {{ads: {{url: "{url}/ads"}}}}
webhooks: {{crm: {{url: "{url}/crm", fields: [email, first_name]}}}}
{more}
"""
FILES = {
    "lifecycle.yaml": "milestones:\n  demo_requested: {when: {did: demo_requested}, handoff: true}\n",
    "scoring.yaml": "engagement:\n  - {rule: asked, when: {did: demo_requested}, points: 40}\n"
    "  - {rule: read, when: {did: read_page}, points: 3, cap: 2 per day}\n",
    "tour/sequence.yaml": """\
name: Tour
segment: {email: {known: true}}
enrol: {when: {did: signed_up}}
steps:
  - {id: hello, email: hello.j2}
  - {id: ads, audience: {add: ads}}
  - {id: text, sms: text.j2}
  - {id: call, task: {for: sales, text: "Call {{ lead.first_name or 'them' }}"}}
  - {id: crm, webhook: crm}
  - {id: rest, wait: 3 days}
  - {id: bye, email: bye.j2}
""",
    "tour/text.j2": "{{ brand }}: hello {{ lead.first_name or 'there' }}. Stop: {{ unsubscribe_url }}",
    "tour/hello.j2": LETTER,
    "tour/bye.j2": LETTER,
    "_shared/notice.j2": NOTICE,
}
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass
class House:
    """An installation: a home, a database, a program, a server that takes calls, and what the wall clock shows."""

    folder: Path
    url: str
    capsys: pytest.CaptureFixture[str]
    server: Calls
    now: datetime = MONDAY
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    #: What somebody else gave us, and keeps.
    given: set[Path] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def nurture(self, *words: str) -> Said:
        """A command, in this process."""
        self.capsys.readouterr()
        code = main(list(words))
        told = self.capsys.readouterr()
        return Said(code, told.out, told.err)

    def well(self, *words: str) -> str:
        """The same; it must be done."""
        said = self.nurture(*words)
        assert said.code == 0, said
        return said.out

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        self.given.add(path)
        return path

    def program(self, more: str = "") -> None:
        """Publish the small program, with `more` in its program.yaml."""
        self.write("templates/program.yaml", PROGRAM.format(url=self.server.url, more=more))
        for name, content in FILES.items():
            self.write(f"templates/{name}", content)
        self.well("publish", "--yes")

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """The engine, opened as every command opens it."""
        with opened_machine() as opened:
            yield opened

    def do(self, work: Callable[[Machine, Any], Any]) -> Any:
        """`work(machine, link)` in one transaction of a door."""
        with self.machine() as opened:
            return opened.db.transact(lambda link: work(opened, link), door=True)

    def leads(self, content: str, *words: str, name: str = "") -> Said:
        """Import a CSV of leads."""
        file = self.write(name or f"leads-{next(self.serial)}.csv", content)
        return self.nurture("import", "leads", str(file), *words)

    def events(self, content: str, *words: str) -> Said:
        """Import a CSV of events."""
        return self.nurture("import", "events", str(self.write(f"events-{next(self.serial)}.csv", content)), *words)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a table holds, past every layer of ours."""
        db = Database(self.url)
        try:
            with db.read() as link:
                return [dict(row) for row in link.execute(text(f'SELECT * FROM "{table}"')).mappings()]
        finally:
            db.dispose()

    def found(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table in which a trace of the person stands, by table."""
        names = [*SQLModel.metadata.tables, "alembic_version"]
        hits = {name: [row for row in self.rows(name) if traced(json.dumps(row, default=str))] for name in names}
        return {name: rows for name, rows in hits.items() if rows}

    def files_with_traces(self) -> list[str]:
        """Every file in whose bytes a trace stands: home, database and refused rows, but not what was imported."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and path not in self.given)
        return sorted(path.name for path in files if traced(path.read_bytes().decode("utf-8", "replace")))

    def settle_in(self) -> None:
        """Bring the person, and a neighbour, into every place that there is."""
        people = (
            "email,id,first_name,company,phone,industry,note,tags,consent,sms_consent,tracking_consent\n"
            f"{OLD},7,{CANARY} Zoe,{CANARY} SRL,{PHONE},saas,{CANARY} said,{CANARY}-tag,consent,consent,consent\n"
            "neighbour@lead.example,8,Nela,Other SRL,+40799999999,saas,said,tag,consent,consent,consent\n"
            f"not an address {CANARY}@lead.example,9,{CANARY},,,,,,,,\n"
        )
        assert self.leads(people, "--source", "crm", "--list", "guests").code == 1
        with self.machine() as opened:
            lead = opened.db.transact(lambda link: self._moves(opened, link), door=True)
        signed = "".join(f"{who},signed_up,2026-03-02T07:00:00Z,{who}\n" for who in (NEW, "neighbour@lead.example"))
        assert self.events(f"email,event,at,page\n{signed}", "--source", "site").code == 0
        self.now += timedelta(minutes=10)
        self.server.answers = [200, 200, *[503] * 50]  # both are in the audience; the CRM is down
        self.well("tick")
        with self.machine() as opened:
            asyncio.run(_demo(opened))
            opened.drain(opened.now())
            opened.db.transact(lambda link: self._comes_back(opened, link, lead), door=True)
        self.well("pause", NEW)

    def _moves(self, opened: Machine, link: Any) -> int:
        lead = link.execute(text("SELECT id FROM lead WHERE email = :it"), {"it": OLD}).scalar_one()
        readdress(link, opened.live(), lead, NEW, now=self.now, by="command line")
        visitor = {"key": "0" * 32, "lead_id": lead, "first_seen_at": self.now, "last_seen_at": self.now}
        number = link.execute(insert(Visitor).values(**visitor, opted_out=False)).inserted_primary_key[0]
        visit = {
            "visitor_id": number, "name": "page_viewed", "occurred_at": self.now, "recorded_at": self.now,
            "actor": "person", "data": {"path": f"/{CANARY}"}, "source": "site", "key": f"{CANARY}-visit",
        }  # fmt: skip
        link.execute(insert(Visit).values(**visit))
        return int(lead)

    def _comes_back(self, opened: Machine, link: Any, lead: int) -> None:
        query = text("SELECT id FROM touch WHERE lead_id = :it AND kind = 'email' AND state = 'sent' LIMIT 1")
        touch = link.execute(query, {"it": lead}).scalar_one()
        doors.complained(link, opened.live(), touch, opened.now(), key=f"{CANARY}-complaint")


async def _demo(opened: Machine) -> None:
    """The person asks for a demo in a form."""
    transport = httpx.ASGITransport(app=public_app(opened))
    async with httpx.AsyncClient(transport=transport, base_url="http://links.test") as browser:
        form = {"email": NEW, "first_name": CANARY, "company": f"{CANARY} SRL", "consent": "yes"}
        answer = await browser.post("/f/demo", json=form)
        assert answer.status_code == 202, answer.text


def traced(said: str) -> bool:
    """Whether a trace of the person stands in a text."""
    return any(trace in said.lower() for trace in TRACES)


def bounce(house: House) -> None:
    """The person's second letter comes back, and a mail that quotes the address and matches nothing."""
    with house.machine() as opened:
        with opened.db.read() as link:
            query = text("SELECT message_id FROM touch WHERE kind = 'email' AND address = :it ORDER BY id LIMIT 1")
            message = str(link.execute(query, {"it": NEW}).scalar())
        take(opened, dsn(message, said=f"smtp; 550 5.1.1 <{NEW}>: no such user"))
        take(opened, dsn(said=f"smtp; 550 5.1.1 <{NEW}>: no such user"))


@contextmanager
def installed(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[House]:
    """An installation in `folder` with the small program live."""
    with Calls() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made = House(folder, url, capsys, server)
        made.home.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(SystemClock, "now", lambda _: made.now)
        settings = {
            "HOME": str(made.home), "DATABASE_URL": url, "TEMPLATES": str(folder / "templates"),
            "PRIVATE_HOSTS": f"127.0.0.1:{server.port}", "PUBLIC_URL": "http://links.test",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(f"NURTURE_{name}", value)
        made.program()
        yield made
        server.shutdown()


@pytest.fixture
def house(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[House]:
    """An installation of either kind."""
    with installed(database_url, tmp_path, monkeypatch, capsys) as made:
        yield made


@pytest.fixture
def small(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[House]:
    """An installation on SQLite, for what no database decides."""
    with installed(sqlite_url, tmp_path, monkeypatch, capsys) as made:
        yield made


__all__ = ["make"]

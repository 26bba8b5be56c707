"""A real base to rehearse: a program with every way through it, people in three zones, some of them on their way."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlmodel import SQLModel

from nurture.cli import main
from nurture.clock import SystemClock
from nurture.db import Database
from tests.channels.relay import Relay
from tests.cli.conftest import LETTER, Desk, Said, desk

__all__ = ["desk"]
SECRET = "the secret of an installation that exists in tests alone"
#: The instant up to which the base has been ticked for real, a Thursday.
NOW = datetime(2026, 3, 5, 7, 0, tzinfo=UTC)

PROGRAM = """\
name: Brightdesk
sender: {name: Lena at Brightdesk, address: lena@brightdesk.example}
address: Brightdesk SRL, Strada Lungă 12, 500123 Brașov, Romania
zone: Europe/Bucharest
country: RO
fields: {industry: text, employees: number, role: text, use_case: text, last_purchase: date}
caps: {per_day: 1, per_7_days: 3}
audiences: {evaluators: {url: "http://127.0.0.1:PORT/audience"}}
sales:
  - {name: Mihai Ionescu, email: mihai@brightdesk.example, hours: "09:00-18:00"}
"""
LIFECYCLE = """\
mql: {when: {score: {at_least: 50}}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
  engaged: {when: by_step, handoff: true}
gate:
  - {reason: student, refuse: {company: Campus}}
"""
SCORING = """\
half_life: 30 days
engagement:
  - {rule: read the paper, when: {did: whitepaper_downloaded}, points: 20}
  - {rule: looked at prices, when: {did: page_viewed, where: {path: "/pricing*"}}, points: 10, cap: 2 per day}
fit:
  - {rule: large, when: {employees: {at_least: 50}}, thirds: 3, points: 10}
"""
OFFERS = """\
offers:
  - {key: saas-guide, title: "How teams work", stage: awareness, topics: [saas], url: "https://brightdesk.example/guide"}
"""
EVALUATORS = """\
name: Evaluators
objective: demo_requested
priority: 80
segment: {industry: [saas, fintech]}
enrol: {when: {did: whitepaper_downloaded}, existing: true}
leave: segment_left
send: {days: workdays, hours: "09:00-17:00"}
steps:
  - {id: welcome, email: welcome.j2}
  - {id: settle, wait: 2 days}
  - {id: ads, audience: {add: evaluators}}
  - {id: guide, offer: {topic: {field: industry}, stage: awareness}}
  - {id: looked, wait_until: {did: page_viewed}, at_most: 3 days, then: fork, else: nudge}
  - {id: nudge, email: nudge.j2}
  - {id: fork, branch: [{if: {employees: {at_least: 50}}, then: rep}, {if: {employees: {under: 0}}, then: lost}], else: done}
  - {id: rep, handoff: engaged, passed: done, refused: done}
  - {id: lost, email: nudge.j2}
  - {id: done, exit: completed}
"""
NEWS = """\
name: News
priority: 20
segment: {all: [{industry: {known: true}}]}
enrol: {when: {industry: {known: true}}, existing: true}
send: {days: all, hours: "08:00-20:00"}
steps:
  - {id: first, email: first.j2}
  - {id: rest, wait: 3 days}
  - {id: second, email: second.j2}
"""
ZONES = ("Europe/Bucharest", "America/New_York", "Asia/Tokyo")


class Outside:
    """A mail relay and an advertising platform on loopback; `posts`: what the platform was told."""

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.relay = Relay()

    @contextmanager
    def opened(self) -> Iterator[Outside]:
        posts = self.posts

        class Platform(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posts.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.port = server.server_address[1]
        with self.relay:
            yield self
        server.shutdown()
        thread.join()
        server.server_close()


class Base:
    """The installation: `nurture(words…)` on its database, `url`; what its relay and its platform were told."""

    def __init__(self, desk: Desk, url: str, outside: Outside) -> None:
        self.desk, self.url, self.relay, self.posts = desk, url, outside.relay, outside.posts

    def nurture(self, *words: str) -> Said:
        return self.desk.nurture(*words)

    def simulate(self, *words: str) -> Any:
        """What `simulate … --json` says."""
        said = self.nurture("simulate", *words, "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def dump(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        return dump(self.url)


def write_program(desk: Desk, port: int) -> None:
    """The program of this house, in templates/."""
    desk.program()
    desk.write("templates/program.yaml", PROGRAM.replace("PORT", str(port)))
    desk.write("templates/lifecycle.yaml", LIFECYCLE)
    desk.write("templates/scoring.yaml", SCORING)
    desk.write("templates/offers.yaml", OFFERS)
    desk.write("templates/evaluators/sequence.yaml", EVALUATORS)
    desk.write("templates/news/sequence.yaml", NEWS)
    for name in ("evaluators/nudge", "news/first", "news/second"):
        desk.write(f"templates/{name}.j2", LETTER)
    (desk.folder / "templates/evaluators/bye.j2").unlink()


def live_for_three_days(desk: Desk) -> None:
    """Published on Monday; 24 people came, and were carried to Thursday morning."""
    rows = ["email,first_name,company,industry,employees,timezone,consent"]
    for number in range(24):
        company = "Campus" if number % 9 == 4 else "Acme"
        industry = ("saas", "saas", "retail")[number % 3]
        consent = "no" if number % 8 == 5 else "yes"
        zone = ZONES[number % 3]
        rows.append(f"p{number:02}@acme.example,P{number},{company},{industry},{number * 7},{zone},{consent}")
    events = ["email,event,occurred_at"]
    events += [f"p{number:02}@acme.example,whitepaper_downloaded,2026-03-02T07:00:00Z" for number in range(0, 24, 2)]
    desk.write("leads.csv", "\n".join(rows))
    desk.write("events.csv", "\n".join(events))
    for words in (
        ["publish"],
        ["import", "leads", "leads.csv"],
        ["import", "events", "events.csv"],
        ["tick", "--now", "2026-03-02T07:05:00Z", "--until", "2026-03-05T06:59:00Z"],
    ):
        assert main(words) == 0


def dump(url: str) -> dict[str, list[Any]]:
    """Every row of every table of a database, by table."""
    db = Database(url)
    try:
        with db.read() as link:
            return {
                name: sorted(link.execute(text(f'SELECT * FROM "{name}"')).mappings().all(), key=repr)
                for name in SQLModel.metadata.tables
            }
    finally:
        db.dispose()


def copy_file(url: str, to: Path) -> str:
    """A copy of an SQLite database; its URL."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as there, closing(sqlite3.connect(to)) as here:
        there.backup(here)
    return f"sqlite:///{to}"


def fill(url: str, file: Path) -> None:
    """Bring every row of an SQLite database into an empty PostgreSQL one, with its number."""
    there, here = Database(f"sqlite:///{file}"), Database(url)
    with there.read() as source, here.engine.begin() as target:
        target.execute(text("ALTER TABLE touch DISABLE TRIGGER USER"))
        for table in SQLModel.metadata.sorted_tables:
            rows = [dict(row) for row in source.execute(select(table)).mappings()]
            if rows:
                target.execute(table.insert(), rows)
            if rows and "id" in table.columns:
                number = max(row["id"] for row in rows)
                target.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {number})"))
        target.execute(text("ALTER TABLE touch ENABLE TRIGGER USER"))
    there.dispose()
    here.dispose()


@pytest.fixture(scope="session")
def outside() -> Iterator[Outside]:
    """The relay and the platform, as long as the tests run."""
    with Outside().opened() as opened:
        yield opened


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, outside: Outside) -> Path:
    """A folder with the program and an SQLite database that has been running for three days."""
    folder = tmp_path_factory.mktemp("lived")
    shutil.copyfile(migrated_sqlite, folder / "lived.db")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        here.setenv("NURTURE_SMTP_URL", f"smtp+plain://127.0.0.1:{outside.relay.port}")
        here.setenv("NURTURE_SECRET_KEY", SECRET)
        here.setenv("NURTURE_DATABASE_URL", "sqlite:///lived.db")
        here.setattr(SystemClock, "now", lambda _: datetime(2026, 3, 2, 7, 5, tzinfo=UTC))
        desk = Desk(folder, None)  # type: ignore[arg-type]
        write_program(desk, outside.port)
        live_for_three_days(desk)
    return folder


@pytest.fixture
def make_base(
    desk: Desk, lived: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], Base]:
    """Makes the test's base, on `sqlite` or on `postgres`, as it stands on that Thursday morning."""

    def make(kind: str = "sqlite") -> Base:
        shutil.rmtree(desk.folder / "templates")
        shutil.copytree(lived / "templates", desk.folder / "templates")
        monkeypatch.setenv("NURTURE_SMTP_URL", f"smtp+plain://127.0.0.1:{outside.relay.port}")
        monkeypatch.setenv("NURTURE_SECRET_KEY", SECRET)
        if kind == "sqlite":
            url = copy_file(f"sqlite:///{lived / 'lived.db'}", desk.folder / "nurture.db")
        else:
            url = request.getfixturevalue("postgres_url")
            fill(url, lived / "lived.db")
        monkeypatch.setenv("NURTURE_DATABASE_URL", url)
        desk.now = NOW
        return Base(desk, url, outside)

    return make


@pytest.fixture
def base(make_base: Callable[[str], Base]) -> Base:
    """The base in an SQLite file."""
    return make_base("sqlite")

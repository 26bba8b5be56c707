"""`nurture serve` is killed at every place that a demo request passes; nothing may be lost, and nothing doubled.

A child serves the pages and the outbox; a form is posted; the child dies. Then it is served again, or only a tick runs
(as Prefect's sweep does), and the visitor who heard nothing sends the same page once more.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlmodel import col

from nurture import tokens
from nurture.clock import SystemClock
from nurture.engine import keys
from nurture.failpoints import DOOR
from nurture.records import Event, Handoff, Lead, Outbox
from tests.conftest import KINDS
from tests.engine.world import PROGRAM, World, program, sequence
from tests.faults.ground import SALESPERSON, SECRET, Ground, copied
from tests.faults.sink import MailSink
from tests.faults.warm import Warm

DEMO = {"email": "kim@person.example", "first_name": "Kim", "company": "Acme", "once": "0123456789abcdef" * 2}
FORM = "forms: {demo: {event: demo_requested, title: Book a demo, fields: [first_name, company]}}\n"
FILES = program(
    {
        "program.yaml": PROGRAM + FORM,
        "lifecycle.yaml": "milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}",
    },
    mail=sequence("  - {id: rest, wait: 90 days}"),
)


@dataclass(frozen=True)
class Crash:
    """`committed`: whether anything stands after it. `copies`: how often the relay takes the notice in the end."""

    point: str
    committed: bool = True
    copies: int = 1
    databases: tuple[str, ...] = ("sqlite",)

    @property
    def heard(self) -> bool:
        """Whether the visitor has had an answer by then."""
        return self.point not in DOOR


BOTH = tuple(KINDS)
CRASHES = {
    "before the commit": Crash("form_stored", committed=False, databases=BOTH),
    "committed, nobody answered": Crash("form_committed", databases=BOTH),
    "the notice is claimed": Crash("notice_claimed"),
    "the journal knows that it begins": Crash("journaled"),
    "half of it is on the wire": Crash("half_body"),
    "the relay has it, and its answer is not read": Crash("dotted", copies=2),
    "the answer is read, the journal does not know": Crash("answered", copies=2),
    "the journal knows, the outbox does not": Crash("noted", copies=2),
    "the outbox does not know": Crash("notice_sent", copies=2, databases=BOTH),
    "the outbox knows": Crash("notice_noted"),
}
STRUCK = {f"{name}, {kind}": (crash, kind) for name, crash in CRASHES.items() for kind in crash.databases}
#: These are swept up by a tick, where nobody serves any more.
SWEPT = {name: struck for name, struck in STRUCK.items() if struck[0].point in ("form_committed", "notice_sent")}


@pytest.fixture(scope="module")
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A database with the program live and a server key, to be copied: a file, or a name."""
    known: dict[str, str] = {}

    def made(kind: str) -> str:
        if kind not in known:
            if kind == "sqlite":
                known[kind] = str(tmp_path_factory.mktemp("door") / "published.db")
                url = copied(request.getfixturevalue("migrated_sqlite"), Path(known[kind]))
            else:
                server = request.getfixturevalue("postgres")
                known[kind] = server.create(template=request.getfixturevalue("migrated_postgres"), name="door")
                url = server.url(known[kind])
            world = World(url, FILES, SystemClock().now() - timedelta(days=1))
            world.do(lambda link: keys.add(link, "crm", "server", "test", world.now))
            world.close()
        return known[kind]

    return made


@pytest.fixture
def house(
    request: pytest.FixtureRequest, published: Callable[[str], str], warm: Warm, mail: MailSink, tmp_path: Path
) -> Iterator[Callable[[str], Ground]]:
    """`house(kind)`: an installation of its own whose notices go to `mail`."""
    names: list[str] = []

    def lay(kind: str) -> Ground:
        if kind == "sqlite":
            url = copied(Path(published(kind)), tmp_path / "nurture.db")
        else:
            server = request.getfixturevalue("postgres")
            names.append(server.create(template=published(kind)))
            url = server.url(names[-1])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        return Ground(warm, url, tmp_path, {"NURTURE_SMTP_URL": mail.url, "NURTURE_PUBLIC_LISTEN": listen})

    yield lay
    for name in names:
        request.getfixturevalue("postgres").drop(name)


def until(holds: Callable[[], object]) -> None:
    """Wait for it; fail when it does not come to pass."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def started(ground: Ground, failpoint: str | None = None) -> int:
    """`nurture serve`, once it listens."""
    pid = ground.warm.start(["serve", "--only", "public", "--only", "outbox"], ground.armed(failpoint))
    host, _, port = ground.env["NURTURE_PUBLIC_LISTEN"].partition(":")

    def listens() -> bool:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
            return True
        return False

    until(listens)
    return pid


@contextmanager
def served(ground: Ground) -> Iterator[None]:
    """The same, unharmed, and ended well."""
    pid = started(ground)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        ended = ground.warm.ended(pid)
    assert ended.code == 0, ended


def post(ground: Ground) -> int | None:
    """Send the page; the status, None when no answer came."""
    with suppress(httpx.TransportError):
        return httpx.post(f"http://{ground.env['NURTURE_PUBLIC_LISTEN']}/f/demo", data=DEMO).status_code
    return None


def killed(ground: Ground, point: str, ask: Callable[[Ground], int | None] = post) -> int | None:
    """What the visitor heard of a `serve` that dies at `point`."""
    pid = started(ground, f"{point}:kill")
    heard = ask(ground)
    ended = ground.warm.ended(pid)
    assert ended.killed, ended
    return heard


def standing(ground: Ground) -> list[int]:
    """How many leads, requests, hand-offs and notices there are."""
    asked = col(Event.name) == "demo_requested"
    return [len(ground.rows(*table)) for table in ((Lead,), (Event, asked), (Handoff,), (Outbox,))]


def settled(ground: Ground) -> bool:
    """Whether every notice is out."""
    return all(row.done_at is not None for row in ground.rows(Outbox))


def require_told(ground: Ground, mail: MailSink, copies: int) -> None:
    """One hand-off, one Message-ID, and so many copies at the relay."""
    (notice,) = ground.rows(Outbox)
    assert standing(ground) == [1, 1, 1, 1]
    assert Counter((came.to, came.message_id) for came in mail.kept()) == {(SALESPERSON, notice.message_id): copies}


def test_every_place_of_the_door_is_struck() -> None:
    """A new one needs its case."""
    assert {crash.point for crash in CRASHES.values()} >= set(DOOR)


@pytest.mark.parametrize(("crash", "database"), STRUCK.values(), ids=STRUCK)
def test_served_again(house: Callable[[str], Ground], mail: MailSink, crash: Crash, database: str) -> None:
    ground = house(database)
    heard = killed(ground, crash.point)
    assert heard == (303 if crash.heard else None)
    assert standing(ground) == [int(crash.committed)] * 4

    with served(ground):
        until(lambda: settled(ground))  # without anybody's doing
        if not crash.heard:
            assert post(ground) == 303
            until(lambda: settled(ground))
    require_told(ground, mail, crash.copies)


@pytest.mark.parametrize(("crash", "database"), SWEPT.values(), ids=SWEPT)
def test_swept_up_by_a_tick(house: Callable[[str], Ground], mail: MailSink, crash: Crash, database: str) -> None:
    ground = house(database)
    killed(ground, crash.point)

    ticked = ground.warm.run(["tick", "mail", "--json"], ground.env)
    assert ticked.code == 0, ticked
    assert settled(ground)
    require_told(ground, mail, crash.copies)
    checked = ground.warm.run(["verify"], ground.env)
    assert checked.code == 0, checked


@pytest.mark.parametrize("point", DOOR)
def test_a_system_that_posts_the_event(house: Callable[[str], Ground], mail: MailSink, point: str) -> None:
    """A server key at /leads and /events: what it heard no answer to it sends again, with the same id."""
    ground = house("sqlite")
    bearer = {"authorization": f"Bearer {keys.written(tokens.keys(SECRET), 1)}"}

    def tell(ground: Ground) -> int | None:
        url = f"http://{ground.env['NURTURE_PUBLIC_LISTEN']}"
        event = {"event": "demo_requested", "id": "ticket-7", "email": DEMO["email"]}
        with suppress(httpx.TransportError):
            return httpx.post(f"{url}/events", headers=bearer, json=[event]).status_code
        return None

    def create(ground: Ground) -> int:
        url = f"http://{ground.env['NURTURE_PUBLIC_LISTEN']}/leads"
        return httpx.post(url, headers=bearer, json=[{"email": DEMO["email"]}]).status_code

    with served(ground):
        assert create(ground) == 202
    assert killed(ground, point, tell) is None
    assert standing(ground) == [1] + [int(point == "form_committed")] * 3

    with served(ground):
        assert tell(ground) == 202
        until(lambda: settled(ground))
    require_told(ground, mail, 1)

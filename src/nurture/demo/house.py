"""What the demo builds: a fresh folder, database, program, public app, and the peers: relay, ads, texts, CRM."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlmodel import col

from nurture import clock as clocks
from nurture.channels.mailbox import KeptMail
from nurture.channels.webhook import signed_as
from nurture.clock import VirtualClock
from nurture.db import Database
from nurture.demo.ads import AdPlatform
from nurture.demo.crm import Crm
from nurture.demo.letters import Letter
from nurture.demo.texts import TextPlatform
from nurture.engine import doors, publishing
from nurture.engine.live import Library
from nurture.engine.machine import Machine
from nurture.engine.publishing import Published
from nurture.errors import NotFound
from nurture.opening import open_machine
from nurture.program.load import House, Loaded, load, read_folder
from nurture.records import Outbox, Touch
from nurture.settings import Settings
from nurture.web.metrics import Metrics
from nurture.web.server import PublicServer

#: The port on which `nurture serve` listens too, so that links in kept letters can be opened later.
PORT = 8321


@dataclass
class DemoHouse:
    """Everything in one folder. `settings` is what another process must be told to work in the same house."""

    folder: Path
    settings: Settings
    clock: VirtualClock
    db: Database
    loaded: Loaded
    mail: KeptMail
    ads: AdPlatform
    texts: TextPlatform
    crm: Crm
    metrics: Metrics = field(init=False)

    @property
    def house(self) -> House:
        """The program as it was read."""
        assert self.loaded.house is not None
        return self.loaded.house

    @property
    def segments(self) -> list[str]:
        return sorted(self.loaded.segments, key=lambda slug: -self.loaded.segments[slug].spec.priority)

    def publish(self) -> Published:
        """Make the program live, every segment."""
        now, library = self.clock.now(), Library()
        return self.db.transact(lambda link: publishing.publish(link, library, self.loaded, self.segments, now))

    @contextmanager
    def opened(self) -> Iterator[Machine]:
        """The machine with its public app on loopback; after publishing."""
        with ExitStack() as stack:
            machine = open_machine(self.settings, self.clock)
            stack.callback(machine.close)
            self.crm.key = machine.keys.signing(signed_as("crm"))
            self.metrics = Metrics.of(machine)
            server = _served(machine, self.metrics)
            machine.public_url = self.settings.public_url = server.url
            stack.enter_context(server)
            yield machine


def _served(machine: Machine, metrics: Metrics) -> PublicServer:
    """All of the audience comes from one address, so the limit per visitor is set aside."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
            port = PORT
        except OSError:
            port = 0
    return PublicServer(machine, port, times=metrics.times, forms_per_minute=1_000_000)


@contextmanager
def built(folder: Path, templates: Path, clock: VirtualClock) -> Iterator[DemoHouse]:
    """A house from nothing; what an earlier demo left is removed. Raises ProgramError."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        mail = stack.enter_context(KeptMail(folder / "mail"))
        ads = stack.enter_context(AdPlatform())
        texts = stack.enter_context(TextPlatform())
        crm = stack.enter_context(Crm())
        settings = Settings(
            home=folder,
            database_url=f"sqlite:///{folder / 'nurture.db'}",
            templates=templates,
            smtp_url=mail.url,  # type: ignore[arg-type]  # pydantic makes it a secret
            sms_url=texts.account,  # type: ignore[arg-type]
            public_url="http://127.0.0.1",
            secret_key=None,
            secret_key_file=None,
            smtp_connections=2,
            click_rest_seconds=30,
        )
        db = Database(settings.url())
        stack.callback(db.dispose)
        db.require_schema()
        loaded = load(_with_peers(read_folder(templates), ads.url, crm.url)).require()
        yield DemoHouse(folder, settings, clock, db, loaded, mail, ads, texts, crm)


def _with_peers(files: dict[str, str], ads: str, crm: str) -> dict[str, str]:
    """The program's audiences and its CRM have addresses that do not exist; here servers on loopback answer."""
    program = files["program.yaml"].replace("https://ads.example", ads).replace("https://crm.example", crm)
    return files | {"program.yaml": program}


def reply(machine: Machine, letter: Letter, automatic: bool) -> bool:
    """An answer to a letter by mail, recognised by the Message-ID that it answers; whether it is one that we see.

    What a person answers goes where Reply-To says, which may be a colleague's own mailbox.
    """
    live, now = machine.live(), machine.now()
    if not automatic and letter.reply_to != live.house.program.reply_to:
        return False
    with machine.db.read() as link:
        touch = link.execute(select(col(Touch.id)).where(col(Touch.message_id) == letter.message_id)).scalar()
    if touch is None:
        raise NotFound(f"no touch has the Message-ID {letter.message_id}")
    machine.db.transact(lambda link: doors.reply(link, live, touch, now, automatic=automatic), door=True)
    machine.drain(now)
    return True


def finish(machine: Machine, task: int, by: str) -> None:
    """A task is done, as `nurture done` says."""
    live, now = machine.live(), machine.now()
    machine.db.transact(lambda link: doors.done(link, live, task, by, now), door=True)
    machine.drain(now)


def told(machine: Machine, seconds: float = 5) -> None:
    """Wait until the public app has sent the notices that its last visitor caused, after its answer."""
    waiting = select(func.count()).where(col(Outbox.done_at).is_(None), col(Outbox.attempt) == 0)
    until = clocks.monotonic() + seconds
    while clocks.monotonic() < until:
        with machine.db.read() as link:
            if not link.execute(waiting).scalar_one():
                return
        clocks.pause(0.005)

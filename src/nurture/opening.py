"""From settings to a machine: what every door does first."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import urlsplit

from nurture import tokens
from nurture.channels.audience import AudienceChannel
from nurture.channels.base import Channel
from nurture.channels.chat import ChatChannel, ChatFolder, places
from nurture.channels.folder import FolderChannel, TextFolder
from nurture.channels.sms import TwilioChannel, read_account
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.throttle import Throttle, rates
from nurture.channels.webhook import WebhookChannel, signed_as
from nurture.clock import Clock, SystemClock
from nurture.db import Database
from nurture.engine.instance import Instance
from nurture.engine.live import Library
from nurture.engine.machine import Machine
from nurture.engine.press import Press
from nurture.errors import DatabaseFault, NotPublished
from nurture.mail.dkim import load_signer
from nurture.program.models import ProgramFile
from nurture.rights.chores import Chores
from nurture.settings import Settings, load_settings


def open_database(settings: Settings) -> Database:
    """The database, its tables of this program's version. Raises DatabaseFault."""
    db = Database(settings.url())
    db.require_schema()
    return db


def open_machine(settings: Settings | None = None, clock: Clock | None = None) -> Machine:
    """The machine of this installation; `clock`: the wall clock unless a rehearsal gives another."""
    settings = settings or load_settings()
    clock = clock or SystemClock()
    signer = load_signer(settings.dkim_selector, settings.dkim_key_file, settings.dkim_domain)
    db = open_database(settings)
    keys, library = tokens.keys(settings.secret()), Library()
    machine = Machine(
        db=db,
        clock=clock,
        keys=keys,
        email=mail_channel(settings),
        audience=audience_channel(db, keys, clock, settings.inner_hosts(), library),
        sms=sms_channel(settings, keys),
        chat=chat_channel(settings, clock),
        webhook=webhook_channel(db, keys, clock, settings.inner_hosts(), library),
        library=library,
        public_url=settings.public_url,
        click_rest=timedelta(seconds=settings.click_rest_seconds),
        journal_folder=settings.home / "journal",
        instance=Instance.open(db, settings.home, real_time=isinstance(clock, SystemClock)),
        signer=signer,
        bounce_address=settings.bounce_address,
        hooks=settings.hooks(),
        press=Press(settings.letter_processes),
    )
    machine.chores = chores = Chores(machine, settings.home)
    chores.catch_up()
    return machine


def mail_channel(settings: Settings) -> Channel:
    """The relay, or a folder of .eml files when none is set."""
    if settings.smtp_url is None:
        return FolderChannel(settings.home / "mail")
    relay, ours = settings.smtp_url.get_secret_value(), own_name(settings.public_url)
    throttle = Throttle(rates(settings.mail_rate))
    timeouts = Timeouts(reply=settings.smtp_reply_seconds, end=settings.smtp_end_seconds)
    return SmtpChannel(relay, connections=settings.smtp_connections, helo=ours, timeouts=timeouts, throttle=throttle)


def own_name(public_url: str) -> str:
    """What we call ourselves to a relay: the public host; `localhost` where that is no name of ours."""
    host = urlsplit(public_url).hostname or ""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return "localhost"
    with suppress(UnicodeError):
        name = host.encode("idna").decode()
        return "localhost" if name.endswith(".localhost") else name or "localhost"
    return "localhost"


def sms_channel(settings: Settings, keys: tokens.Keys) -> Channel:
    """The account that sends text messages, or a folder of .txt files when none is set. Raises SettingsError."""
    if settings.sms_url is None:
        return TextFolder(settings.home / "sms")
    told = f"{settings.public_url.rstrip('/')}/hooks/twilio?t="
    callback = (lambda touch: told + keys.seal_for_address("bounce", touch)) if settings.hook_twilio else None
    return TwilioChannel(read_account(settings.sms_url.get_secret_value()), settings.inner_hosts(), callback=callback)


def chat_channel(settings: Settings, clock: Clock) -> Channel:
    """The places in which sales is told by chat; a place without an address becomes a folder of .json files."""
    urls = places(settings.chat_urls.get_secret_value() if settings.chat_urls else "")
    return ChatChannel(urls, ChatFolder(settings.home / "chat"), clock, private=settings.inner_hosts())


def audience_channel(
    db: Database, keys: tokens.Keys, clock: Clock, private: Sequence[str] = (), library: Library | None = None
) -> Channel:  # fmt: skip
    """The endpoints of the program as it is published, also by others and later; none before the first publish."""
    known = _Published(db, library or Library(), lambda program: {n: one.url for n, one in program.audiences.items()})
    return AudienceChannel(known(), keys.signing, clock, private=private, anew=known)


def webhook_channel(
    db: Database, keys: tokens.Keys, clock: Clock, private: Sequence[str] = (), library: Library | None = None
) -> Channel:  # fmt: skip
    """The same for webhooks."""
    known = _Published(db, library or Library(), lambda program: {n: one.url for n, one in program.webhooks.items()})
    return WebhookChannel(known(), lambda name: keys.signing(signed_as(name)), clock, private=private, anew=known)


class _Published:
    """Endpoints of the published program; while the database does not answer, those that were known last."""

    def __init__(self, db: Database, library: Library, read: Callable[[ProgramFile], dict[str, str]]) -> None:
        self._db, self._library, self._read = db, library, read
        self._last: dict[str, str] = {}

    def __call__(self) -> dict[str, str]:
        with suppress(NotPublished, DatabaseFault), self._db.read() as link:
            self._last = self._read(self._library.live(link).house.program)
        return self._last


@contextmanager
def machine(settings: Settings | None = None, clock: Clock | None = None) -> Iterator[Machine]:
    """`open_machine`, closed at the end."""
    opened = open_machine(settings, clock)
    try:
        yield opened
    finally:
        opened.close()

"""From settings to a machine: what every door does first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import urlsplit

from nurture import tokens
from nurture.channels.audience import AudienceChannel
from nurture.channels.base import Channel
from nurture.channels.folder import FolderChannel
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.throttle import Throttle, rates
from nurture.clock import Clock, SystemClock
from nurture.db import Database
from nurture.engine.instance import Instance
from nurture.engine.live import Library
from nurture.engine.machine import Machine
from nurture.errors import NotPublished
from nurture.mail.dkim import load_signer
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
    keys = tokens.keys(settings.secret())
    return Machine(
        db=db,
        clock=clock,
        keys=keys,
        email=mail_channel(settings),
        audience=audience_channel(db, keys, clock),
        public_url=settings.public_url,
        click_rest=timedelta(seconds=settings.click_rest_seconds),
        journal_folder=settings.home / "journal",
        instance=Instance.open(db, settings.home, real_time=isinstance(clock, SystemClock)),
        signer=signer,
        bounce_address=settings.bounce_address,
    )


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


def audience_channel(db: Database, keys: tokens.Keys, clock: Clock) -> Channel:
    """The endpoints of the published program; none before the first publish."""
    with db.read() as link:
        try:
            audiences = Library().live(link).house.program.audiences
        except NotPublished:
            audiences = {}
    endpoints = {name: audience.url for name, audience in audiences.items()}
    return AudienceChannel(endpoints, keys.signing, clock)


@contextmanager
def machine(settings: Settings | None = None, clock: Clock | None = None) -> Iterator[Machine]:
    """`open_machine`, closed at the end."""
    opened = open_machine(settings, clock)
    try:
        yield opened
    finally:
        opened.close()

"""What stands on this machine: database, clock, notices to sales, the secret, the home folder, the public address."""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
from urllib.parse import urlsplit

import httpx
from sqlalchemy import func, select
from sqlmodel import col

from nurture.db import Database
from nurture.doctor.base import Check, ok, unchecked, wrong
from nurture.engine.instance import Instance
from nurture.engine.notices import PLAINLY, SALES
from nurture.engine.whereabouts import CLOCKS_APART, clocks_apart, spoken
from nurture.errors import DatabaseFault, SettingsError
from nurture.records import Outbox, ProgramVersion
from nurture.rights.forget import waiting
from nurture.settings import Settings

#: Bytes that should be free: a day's journal and database growth of a small installation.
_ROOM = 200_000_000
_SECONDS = 3.0


def database(db: Database) -> list[Check]:
    """Whether it answers with tables of this version, and tells our time."""
    try:
        db.require_schema()
        with db.read() as link:
            apart = clocks_apart(link)
    except DatabaseFault as fault:
        return [wrong("database", str(fault)), unchecked("clock", "the database does not answer as it should")]
    reached = ok("database", f"{db.name} answers; its tables are of this program's version")
    if db.is_sqlite:
        return [reached, ok("clock", "the database is a file of this machine and has its clock")]
    if abs(apart) > CLOCKS_APART:
        said = f"this host's clock is {spoken(apart)} the database's; set both by a time server (NTP)"
        return [reached, wrong("clock", said)]
    return [reached, ok("clock", f"{abs(apart.total_seconds()):.2f} s from the database's")]


def belongings(db: Database, settings: Settings, sound: bool) -> list[Check]:
    """Whether the database is this installation's own."""
    if not sound:
        return [unchecked("instance", "the database does not answer as it should")]
    try:
        told = Instance.open(db, settings.home).sentence()
    except (SettingsError, DatabaseFault) as fault:
        return [wrong("instance", str(fault))]
    return [ok("instance", "the database is this installation's own") if told is None else wrong("instance", told)]


def notices(db: Database, sound: bool) -> list[Check]:
    """Whether sales got its notices as the program writes them, since it was last published, and none waits."""
    if not sound:
        return [unchecked("notices", "the database does not answer as it should")]
    said, waits = col(Outbox.last_error), col(Outbox.next_at).is_not(None)
    published = select(func.max(col(ProgramVersion.published_at))).scalar_subquery()
    since = (col(Outbox.kind).in_(SALES), col(Outbox.created_at) >= published)
    with db.read() as link:
        late = link.execute(select(func.count(), func.max(said)).where(waits, said.is_not(None))).one()
        plain = link.execute(select(func.count(), func.max(said)).where(*since, said.startswith(PLAINLY))).one()
        told = link.execute(select(func.count()).where(*since, col(Outbox.done_at).is_not(None))).scalar_one()
    if late[0]:
        return [wrong("notices", f"{late[0]} wait to be tried again ({late[1]}); mend what is said there")]
    if plain[0]:
        why = str(plain[1]).removeprefix(PLAINLY)
        how = f"{plain[0]} of {told} went out in the built-in form"
        return [wrong("notices", f"{how} ({why}); mend that line and run 'nurture publish'")]
    if not told:
        return [unchecked("notices", "sales was sent none since the program was published")]
    return [ok("notices", f"{told} sent to sales as the program writes them")]


def secret(settings: Settings) -> Check:
    """Whether it is there, long enough, and nobody else's to read."""
    try:
        length = len(settings.secret())
    except SettingsError as problem:
        return wrong("secret", str(problem))
    if settings.secret_key is not None:
        return ok("secret", f"{length} characters, from NURTURE_SECRET_KEY")
    file = settings.secret_key_file or settings.home / "secret_key"
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return wrong("secret", f"{file} can be read by others (mode {mode:04o}); run: chmod 600 {file}")
    return ok("secret", f"{length} characters, in {file} for its owner alone")


def folder(settings: Settings) -> Check:
    """Whether the home folder can be written, and has room."""
    home = settings.home.resolve()
    probe = home / ".doctor"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with probe.open("w") as out:
            out.write("room")
            out.flush()
            os.fsync(out.fileno())
        probe.unlink()
    except OSError as problem:
        return wrong("home", f"{home} cannot be written ({problem.strerror}); check its rights, or set NURTURE_HOME")
    free = shutil.disk_usage(home).free
    if free < _ROOM:
        return wrong("home", f"{home}: {free / 1e6:,.0f} MB are free; make room for at least {_ROOM / 1e6:,.0f} MB")
    return ok("home", f"{home} can be written; {free / 1e9:,.1f} GB are free")


def forgetting(settings: Settings) -> list[Check]:
    """Whoever is not wholly forgotten yet, which every start and tick tries again; nothing where there is nobody."""
    files = waiting(settings.home)
    if not files:
        return []
    said = "tables or files still speak of them; run 'nurture tick', and mend what its log says of the file"
    return [wrong("forgetting", f"{len(files)} people are not wholly forgotten yet ({files[0]}): {said}")]


def public(settings: Settings) -> Check:
    """Whether the links in messages lead somewhere: https, not this machine alone, and it answers."""
    url = settings.public_url.rstrip("/")
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        said = f"{url} leads to the reader's own machine; set NURTURE_PUBLIC_URL to where 'nurture serve' is reached"
        return wrong("public address", said)
    if parts.scheme != "https":
        said = f"{url} is not https, which one-click unsubscribing asks for (RFC 8058); put a certificate before it"
        return wrong("public address", said)
    try:
        answer = httpx.get(f"{url}/health", timeout=_SECONDS, follow_redirects=False)
    except httpx.HTTPError as problem:
        return unchecked("public address", f"{url} cannot be reached from here ({type(problem).__name__}: {problem})")
    if answer.status_code != 200:
        said = f"{url}/health answers {answer.status_code}; start 'nurture serve' behind it"
        return wrong("public address", said)
    return ok("public address", f"{url} answers")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

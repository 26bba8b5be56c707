"""What runs beside us: Prefect's server, which must not be open to everybody, and the mailbox."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from nurture.crm.reports import waits
from nurture.crm.secrets import load_secrets
from nurture.db import Database
from nurture.doctor.base import Check, ok, unchecked, wrong
from nurture.doctor.house import is_loopback
from nurture.errors import MailboxFault, SettingsError
from nurture.inbound.mailbox import look_in
from nurture.program.load import House
from nurture.settings import Settings

_SECONDS = 3.0
#: An address of documentation (RFC 5737): asking the way to it sends nothing.
_ELSEWHERE = ("192.0.2.1", 9)


def prefect(environment: Mapping[str, str]) -> Check:
    """Whether strangers can reach the API without a password (it starts runs and shows what they did)."""
    url = environment.get("PREFECT_API_URL", "").rstrip("/")
    if not url:
        return unchecked("Prefect", "PREFECT_API_URL is not set")
    if not is_loopback(urlsplit(url).hostname or ""):
        return _open_at(url)
    at_home = _answer(url)
    if at_home is None:
        return unchecked("Prefect", f"no server answers at {url}")
    if at_home in (401, 403):
        return ok("Prefect", f"{url} asks for a password")
    outside = _own_address()
    if outside is None:
        return ok("Prefect", f"{url} is on loopback, and this machine has no other address")
    found = _open_at(urlsplit(url)._replace(netloc=f"{outside}:{urlsplit(url).port or 80}").geturl())
    return ok("Prefect", f"{url} answers on loopback alone") if found.verdict == "not checked" else found


def _open_at(asked: str) -> Check:
    status = _answer(asked)
    if status is None:
        return unchecked("Prefect", f"no server answers at {asked}")
    if status in (401, 403):
        return ok("Prefect", f"{asked} asks for a password")
    way_out = "bind it to 127.0.0.1 (PREFECT_SERVER_API_HOST), or set PREFECT_SERVER_API_AUTH_STRING"
    return wrong("Prefect", f"{asked} answers whoever asks; {way_out}")


def _answer(url: str) -> int | None:
    """What a stranger is answered; None: nothing. `/health` would answer everybody."""
    try:
        return httpx.get(f"{url}/admin/version", timeout=_SECONDS).status_code
    except httpx.HTTPError:
        return None


def _own_address() -> str | None:
    """This machine's address towards others; None: it has none but loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(_ELSEWHERE)
        except OSError:
            return None
        found = str(way.getsockname()[0])
    return None if is_loopback(found) else found


def mailbox(settings: Settings) -> Check:
    """Whether bounces and replies can be fetched: the login and the folder."""
    if settings.mailbox_url is None:
        return unchecked("mailbox", "NURTURE_MAILBOX_URL is not set; bounces come by pipe, or not at all")
    try:
        waiting = look_in(settings.mailbox())
    except (MailboxFault, SettingsError) as problem:
        return wrong("mailbox", str(problem))
    return ok("mailbox", f"lets us in; {waiting} unseen")


def crm(db: Database | None, house: House | None) -> list[Check]:
    """Whether the CRM could be asked last; nothing where the program names none. `nurture crm check` asks it itself."""
    if db is None or house is None or house.program.crm is None:
        return []
    try:
        load_secrets().require(house.program.crm)
    except SettingsError as problem:
        return [wrong("CRM", str(problem))]
    with db.read() as link:
        stuck = waits(link)
    if stuck is not None:
        return [wrong("CRM", f"{stuck}; mend it, and run 'nurture crm check'")]
    return [ok("CRM", f"{house.program.crm.kind} answered when it was asked last")]

"""The relay: reached, secured, entered, and left with nothing sent; and what a probe has shown of its signature."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.smtp_client import LineDown
from nurture.db import Database
from nurture.doctor.base import Check, ok, unchecked, wrong
from nurture.errors import SettingsError
from nurture.opening import own_name
from nurture.records import Meta
from nurture.settings import Settings

_QUICK = Timeouts(connect=5, reply=10, end=10)
#: 8BITMIME and SMTPUTF8 spare re-encoding, SIZE says early what is too large (RFC 6152, 6531, 1870).
_EXTENSIONS = ("size", "8bitmime", "smtputf8")


def examine(db: Database | None, settings: Settings) -> list[Check]:
    """Connection, TLS, login and extensions; then the probe, if there was one."""
    if settings.smtp_url is None:
        why = "NURTURE_SMTP_URL is not set; messages are written as files"
        return [unchecked(name, why) for name in ("relay", "relay's TLS", "relay's login", "DKIM coverage")]
    return [*_line(settings), _covered(db, settings)]


def _line(settings: Settings) -> list[Check]:
    assert settings.smtp_url is not None
    try:
        url = settings.smtp_url.get_secret_value()
        line = SmtpChannel(url, helo=own_name(settings.public_url), timeouts=_QUICK).knock()
    except (LineDown, SettingsError) as problem:
        why = "the relay could not be used"
        said = f"{relay_name(settings)}: {problem}; check NURTURE_SMTP_URL, the relay's certificate and its log"
        return [wrong("relay", said), unchecked("relay's TLS", why), unchecked("relay's login", why)]
    offered = [name.upper() for name in _EXTENSIONS if name in line.offers]
    secured, user, near = line.secured, line.door.user, line.door.loopback
    line.close(politely=True)
    missing = [name.upper() for name in _EXTENSIONS if name not in line.offers]
    lacking = f"; it lacks {', '.join(missing)}" if missing else ""
    checks = [ok("relay", f"{relay_name(settings)} answers and offers {', '.join(offered) or 'nothing more'}{lacking}")]
    if secured:
        checks.append(ok("relay's TLS", "the line is encrypted, and the certificate is the host's"))
    elif near:
        checks.append(unchecked("relay's TLS", "the relay is on this machine; the line to it leaves it nowhere"))
    else:
        said = "messages travel in the open; let the relay offer STARTTLS, or write smtps:// in NURTURE_SMTP_URL"
        checks.append(wrong("relay's TLS", said))
    login = "relay's login"
    checks.append(ok(login, f"{user} was let in") if user else unchecked(login, "NURTURE_SMTP_URL names no user"))
    return checks


def _covered(db: Database | None, settings: Settings) -> Check:
    name = "DKIM coverage"
    if db is None:
        return unchecked(name, "the database does not answer as it should")
    with db.read() as link:
        missing = probed(link, settings)
    if missing is None:
        how = "nurture doctor --probe ADDRESS, then --probe-result FILE.eml with what arrived"
        return unchecked(name, f"this relay was not probed; {how}")
    if missing:
        return wrong(name, _lacking(settings, missing))
    return ok(name, "the probe's signature covered the headers that unsubscribing by one click needs")


def relay_name(settings: Settings) -> str:
    """The relay without its password: `host:port`; `files` when there is none."""
    if settings.smtp_url is None:
        return "files"
    parts = urlsplit(settings.smtp_url.get_secret_value())
    return (parts.netloc.rpartition("@")[2] or "(unreadable)").lower()


def probe_key(settings: Settings) -> str:
    """Under which key of `meta` the verdict on this relay stands."""
    return f"dkim:{relay_name(settings)}"


def probed(link: Connection, settings: Settings) -> list[str] | None:
    """The headers that the relay's signature did not cover; None: it was never probed."""
    said = link.execute(select(col(Meta.value)).where(col(Meta.key) == probe_key(settings))).scalar()
    return None if said is None else list(json.loads(said)["missing"])


def relay_refusal(link: Connection, settings: Settings) -> str | None:
    """Why nothing may be published for this relay: it was probed, and leaves list headers unsigned. None: it may."""
    missing = probed(link, settings) if settings.smtp_url is not None else None
    return f"{_lacking(settings, missing)}; then probe again: nurture doctor --probe ADDRESS" if missing else None


def _lacking(settings: Settings, missing: list[str]) -> str:
    headers = ", ".join(missing)
    return (
        f"{relay_name(settings)}: its DKIM signature does not cover {headers} (RFC 8058 section 4); have the relay "
        "sign them, or sign here (NURTURE_DKIM_SELECTOR, NURTURE_DKIM_KEY_FILE)"
    )

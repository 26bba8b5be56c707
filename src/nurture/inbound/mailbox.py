"""The IMAP mailbox that bounces and replies arrive in: unseen messages are taken in, then marked as seen.

Nothing is ever deleted. A crash between the two repeats harmlessly: the same bytes are taken in once.
"""

from __future__ import annotations

import imaplib
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nurture.engine.machine import Machine
from nurture.errors import MailboxFault, NurtureError
from nurture.inbound.taking import LARGEST, Taken, take
from nurture.settings import ImapMailbox, Settings

log = logging.getLogger("nurture.inbound")
#: Messages that one run takes in; the next run has the rest.
MOST = 500
_SECONDS = 60.0


def fetch(machine: Machine, settings: Settings, most: int = MOST) -> list[Taken]:
    """Take in the unseen messages of the mailbox, the oldest first.

    Raises SettingsError, MailboxFault, DatabaseFault; what was taken in before that stays taken in.
    """
    mailbox = settings.mailbox()
    done: list[Taken] = []
    with _opened(mailbox) as link:
        for uid in _unseen(link)[:most]:
            data = _body(link, uid)
            try:
                done += [take(machine, data)] if data is not None else []
            except NurtureError:
                raise
            except Exception:  # one message must not keep the others from being read: it stays unseen
                log.exception("a message could not be taken in uid=%s", uid)
                continue
            link.uid("STORE", uid, "+FLAGS.SILENT", r"(\Seen)")
    return done


def look_in(mailbox: ImapMailbox) -> int:
    """How many messages are unseen; nothing is taken. Raises MailboxFault."""
    with _opened(mailbox) as link:
        return len(_unseen(link))


@contextmanager
def _opened(mailbox: ImapMailbox) -> Iterator[imaplib.IMAP4]:
    """The folder, selected; what goes wrong with it names the mailbox and never the password."""
    where = f"mailbox of {mailbox.user} at {mailbox.host}:{mailbox.port}"
    try:
        link = _connected(mailbox)
        try:
            link.authenticate("PLAIN", lambda _: f"\0{mailbox.user}\0{mailbox.password}".encode())  # RFC 4616
            folder = mailbox.folder.replace("\\", "\\\\")
            answer, told = link.select(f'"{folder}"')
            if answer != "OK":
                raise MailboxFault(f"{where}: folder {mailbox.folder} cannot be opened ({_text(told[0])})")
            yield link
        finally:
            with suppress(imaplib.IMAP4.error, OSError):  # saying goodbye to who has gone
                link.logout()
            with suppress(OSError):
                link.shutdown()
    except (imaplib.IMAP4.error, OSError) as problem:
        said = str(problem).replace(mailbox.password, "…")
        raise MailboxFault(f"{where} cannot be read ({said}); check NURTURE_MAILBOX_URL and run it again") from problem


def _connected(mailbox: ImapMailbox) -> imaplib.IMAP4:
    if not mailbox.tls:
        return imaplib.IMAP4(mailbox.host, mailbox.port, timeout=_SECONDS)
    return imaplib.IMAP4_SSL(mailbox.host, mailbox.port, ssl_context=ssl.create_default_context(), timeout=_SECONDS)


def _unseen(link: imaplib.IMAP4) -> list[str]:
    _, found = link.uid("SEARCH", "UNSEEN")
    return sorted(found[0].decode("ascii").split() if found and found[0] else [], key=int)


def _body(link: imaplib.IMAP4, uid: str) -> bytes | None:
    """The message as it came, without marking it; None when another has removed it since."""
    _, found = link.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)")
    return next((item[1] for item in found if isinstance(item, tuple)), None)


def _text(said: object) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)

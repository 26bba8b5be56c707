"""A real IMAP server (Dovecot) on a free port of this machine, from a folder of its own, without a service of the system."""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BINARY = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
USER, PASSWORD = "returns@in.acme.example", "sesame open/%"
_START_SECONDS = 20
_CONFIGURATION = """
protocols = imap
base_dir = {run}
state_dir = {run}/state
log_path = {folder}/log
mail_location = maildir:{folder}/mail
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
disable_plaintext_auth = no
auth_mechanisms = plain login
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {plain}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass
class Mailbox:
    """The running server; `put` delivers a message as its mail server would, `flags` says what became of each."""

    folder: Path
    plain: int
    tls: int

    def url(self, scheme: str = "imap", password: str = "sesame%20open%2F%25", folder: str = "INBOX") -> str:
        host = "127.0.0.1" if scheme == "imap" else "localhost"
        port = self.plain if scheme == "imap" else self.tls
        return f"{scheme}://returns%40in.acme.example:{password}@{host}:{port}/{folder}"

    @contextmanager
    def opened(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.plain) as link:
            link.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
            link.select("INBOX")
            yield link

    def put(self, message: bytes) -> None:
        with self.opened() as link:
            link.append("INBOX", "", "", message)

    def flags(self) -> list[str]:
        """The flags of each message but \\Recent, in the order of arrival."""
        with self.opened() as link:
            _, found = link.uid("FETCH", "1:*", "(FLAGS)")
            return [_flags(row) for row in found if isinstance(row, bytes)]


def _flags(row: bytes) -> str:
    words = [flag.decode() for flag in imaplib.ParseFlags(row)]
    return " ".join(word for word in words if word != r"\Recent")


@contextmanager
def running(certificate: Path, key: Path) -> Iterator[Mailbox]:
    """The server with an empty mailbox; ended and removed afterwards."""
    assert BINARY is not None
    folder = Path(tempfile.mkdtemp(prefix="nv-imap-"))  # short: sockets lie in it
    owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())  # root owns no mail
    user, group = owner.pw_name, grp.getgrgid(owner.pw_gid).gr_name
    box = Mailbox(folder, _free_port(), _free_port())
    for name in ("run", "home", "mail"):
        (folder / name).mkdir()
        os.chown(folder / name, owner.pw_uid if name != "run" else -1, -1)
    folder.chmod(0o755)
    shutil.copyfile(certificate, folder / "cert.pem")
    shutil.copyfile(key, folder / "key.pem")
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (folder / "dovecot.conf").write_text(
        _CONFIGURATION.format(folder=folder, run=folder / "run", user=user, group=group, plain=box.plain, tls=box.tls)
    )
    server = subprocess.Popen(
        [BINARY, "-F", "-c", str(folder / "dovecot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _await(server, box)
        yield box
    finally:
        server.terminate()
        server.communicate(timeout=_START_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _await(server: subprocess.Popen[bytes], box: Mailbox) -> None:
    """Until it lets us in."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with box.opened():
                return
        except (OSError, imaplib.IMAP4.error, ssl.SSLError) as problem:
            if server.poll() is not None or time.monotonic() > end:
                log = box.folder / "log"
                said = log.read_text() if log.exists() else ""
                server.terminate()
                raise RuntimeError(f"dovecot: {problem}\n{server.communicate()[1].decode()}{said}") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

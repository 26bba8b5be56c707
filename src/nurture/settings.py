"""NURTURE_* variables, read at the doors only."""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nurture import clock
from nurture.errors import SettingsError
from nurture.tokens import ADDRESS_TOKEN

#: Octets of a local part at most (RFC 5321 section 4.5.3.1.1).
_LOCAL_PART = 64
_ATOM = r"[A-Za-z0-9!#$%&'*/=?^_`{|}~+-]+"
_HOST = re.compile(r"(?:[a-z0-9_.-]+|[0-9a-f:.]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_PLAIN_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+")


@dataclass(frozen=True)
class Listen:
    """Where something listens; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where this machine itself reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{Listen(host, self.port)}"

    @property
    def private(self) -> bool:
        return _on_this_machine(self.host)


@dataclass(frozen=True)
class ImapMailbox:
    """A mailbox to be polled, and how it is entered."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    folder: str


class Settings(BaseSettings):
    """What an installation decides for itself; each has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="NURTURE_", extra="ignore")

    #: Folder for the SQLite file, the journal, kept mail and the generated secret.
    home: Path = Path(".nurture")
    #: `sqlite:///path` or `postgresql://user:password@host/name`; unset: an SQLite file in `home`.
    database_url: str | None = None
    #: The marketer's folder.
    templates: Path = Path("templates")
    #: `smtp://user:password@host:port` or `smtps://…`; unset: messages become .eml files in `home`/mail.
    smtp_url: SecretStr | None = None
    #: `twilio://SID:TOKEN@api.twilio.com?from=+15005550006`; unset: text messages become .txt files in `home`/sms.
    sms_url: SecretStr | None = None
    #: Addresses of `chat:` places, `team=https://hooks.slack.com/…`, one a line; one that is not here becomes files.
    chat_urls: SecretStr | None = None
    #: Endpoints of a program that may stand in our own network: `crm.internal:8443`, with commas between.
    private_hosts: str = ""
    #: Where the public app is reached from outside; the links in messages begin with it.
    public_url: str = "http://127.0.0.1:8321"
    #: Where bounces go, such as bounces@in.acme.example; each message's token is put behind the local part with a `+`.
    bounce_address: str | None = None
    #: The mailbox that `nurture inbound fetch` polls: `imaps://user:password@host/INBOX`.
    mailbox_url: SecretStr | None = None
    #: At least 32 characters; unset: generated once and kept in `home`/secret_key.
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None  # instead of the variable
    #: Of one worker: parallel SMTP connections, and processes beside it that make letters where thousands are due.
    smtp_connections: int = 4
    letter_processes: int | None = Field(default=None, ge=0)
    #: Seconds that a relay may take to answer, and to answer after the final dot (RFC 5321 section 4.5.3.2).
    smtp_reply_seconds: float = Field(default=300, gt=0)
    smtp_end_seconds: float = Field(default=600, gt=0)
    #: How fast one worker may send, in all and to one domain: `50/s, gmail.com=10/s, outlook.com=600/min`.
    mail_rate: str = ""
    #: Under which name in DNS our DKIM key stands; unset: the relay signs, or nobody.
    dkim_selector: str | None = None
    #: A private key in PEM form, RSA of 2048 bits at least or Ed25519.
    dkim_key_file: Path | None = None
    #: Whose signature it is; unset: the domain of each message's sender.
    dkim_domain: str | None = None
    #: Seconds that a click rests before it counts (a scanner's second click unmasks the first).
    click_rest_seconds: int = 30
    #: `address:port` of the resolver that `nurture doctor` asks; unset: the system's.
    resolver: str | None = None
    #: Addresses (or networks) of our own reverse proxies, with commas between; they say who a visitor is.
    trusted_proxies: str = ""
    #: Connections that one network may have with the public app at a time; our own proxies may have more.
    connections_per_network: int = Field(default=50, ge=1)
    #: `ADDRESS:PORT` at which `nurture serve` has the public app, the private app and Prefect's server listen.
    public_listen: str = "127.0.0.1:8321"
    private_listen: str = "127.0.0.1:8322"
    prefect_listen: str = "127.0.0.1:4200"
    #: Where the private app is reached, if not at the address at which it listens.
    private_url: str | None = None
    #: What the private app asks for, 32 characters at least; unset: nothing, and it listens on loopback alone.
    private_token: SecretStr | None = None
    #: `USER:PASSWORD` that Prefect's server asks for; unset: nothing, and it listens on loopback alone.
    prefect_auth: SecretStr | None = None
    #: What each sending service proves its delivery reports with (docs/hooks.md); unset: it has no door.
    hook_brevo: SecretStr | None = None
    hook_mailersend: SecretStr | None = None
    hook_mailgun: SecretStr | None = None
    hook_mailjet: SecretStr | None = None
    hook_mandrill: SecretStr | None = None
    hook_postal: SecretStr | None = None
    hook_postmark: SecretStr | None = None
    hook_resend: SecretStr | None = None
    hook_scaleway: SecretStr | None = None
    hook_sendgrid: SecretStr | None = None
    hook_ses: SecretStr | None = None
    hook_sparkpost: SecretStr | None = None
    hook_twilio: SecretStr | None = None
    hook_unisender: SecretStr | None = None
    #: A folder whose files are settings too: `nurture_smtp_url` holds what NURTURE_SMTP_URL would say.
    secrets: Path | None = None

    def proxies(self) -> list[str]:
        """The trusted proxies. Raises SettingsError for what is no address."""
        found = [part.strip() for part in self.trusted_proxies.split(",") if part.strip()]
        for part in found:
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise SettingsError(
                    f"NURTURE_TRUSTED_PROXIES: '{part}' is not an IP address or network; "
                    "write those of your reverse proxy, such as 127.0.0.1 or 10.0.0.0/24"
                ) from None
        return found

    def listen(self, app: Literal["public", "private", "prefect"]) -> Listen:
        """Where an app listens. Raises SettingsError for what is no address, and for a door that would stand open."""
        name, given = f"NURTURE_{app.upper()}_LISTEN", str(getattr(self, f"{app}_listen"))
        host, _, port = given.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise SettingsError(f"{name}: '{given}' is not ADDRESS:PORT; write such as 127.0.0.1:8321")
        listen = Listen(host.strip("[]"), int(port))
        key = {"private": self.private_token, "prefect": self.prefect_auth}.get(app)
        if app != "public" and not listen.private and key is None:
            key_name = "NURTURE_PRIVATE_TOKEN" if app == "private" else "NURTURE_PREFECT_AUTH"
            raise SettingsError(
                f"{name}: {given} can be reached from elsewhere, and nobody would be asked who they are; "
                f"listen at 127.0.0.1:{port}, or set {key_name}"
            )
        return listen

    def token(self) -> str | None:
        """What the private app asks for. Raises SettingsError for one that can be guessed."""
        if self.private_token is None:
            return None
        token = self.private_token.get_secret_value()
        if len(token) < 32 or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(
                "NURTURE_PRIVATE_TOKEN: give at least 32 letters and digits, such as `openssl rand -hex 32` prints"
            )
        return token

    def hooks(self) -> dict[str, str]:
        """Service to what it proves itself with. Raises SettingsError for what can be guessed."""
        given = {name[5:]: getattr(self, name) for name in type(self).model_fields if name.startswith("hook_")}
        found = {name: secret.get_secret_value().strip() for name, secret in given.items() if secret is not None}
        if short := [name for name, secret in found.items() if len(secret) < 16]:
            raise SettingsError(f"NURTURE_HOOK_{short[0].upper()} can be guessed; give at least 16 characters")
        return found

    def inner_hosts(self) -> list[str]:
        """Hosts, each perhaps with a port, that calls may reach though they are not public. Raises SettingsError."""
        found = [part.strip().casefold() for part in self.private_hosts.split(",") if part.strip()]
        for part in found:
            if not _HOST.fullmatch(part):
                raise SettingsError(
                    f"NURTURE_PRIVATE_HOSTS: '{part}' is not a host; write such as crm.internal or crm.internal:8443"
                )
        return found

    def mailbox(self) -> ImapMailbox:
        """The mailbox to poll. Raises SettingsError for none, and for a password that would travel in the open."""
        way_out = "write imaps://USER:PASSWORD@HOST/INBOX, with %40 for an @ in a name or password"
        if self.mailbox_url is None:
            raise SettingsError(f"NURTURE_MAILBOX_URL is not set; {way_out}")
        try:
            parts = urlsplit(self.mailbox_url.get_secret_value())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SettingsError(f"NURTURE_MAILBOX_URL cannot be read; {way_out}") from None
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        folder = unquote(parts.path.lstrip("/")) or "INBOX"
        if parts.scheme not in ("imaps", "imap") or not host or not user or not password:
            raise SettingsError(f"NURTURE_MAILBOX_URL lacks a part; {way_out}")
        if any(ord(sign) < 32 for sign in user + password) or not re.fullmatch(r"[ -~]+", folder) or '"' in folder:
            raise SettingsError(f"NURTURE_MAILBOX_URL holds a character that cannot be used; {way_out}")
        if parts.scheme == "imap" and not _on_this_machine(host):
            raise SettingsError(f"NURTURE_MAILBOX_URL: imap:// tells {host} the password in the open; write imaps://")
        tls = parts.scheme == "imaps"
        return ImapMailbox(host, port or (993 if tls else 143), tls, user, password, folder)

    def url(self) -> str:
        """The database's URL as SQLAlchemy takes it."""
        if self.database_url is None:
            self.home.mkdir(parents=True, exist_ok=True)
            return f"sqlite:///{self.home / 'nurture.db'}"
        scheme, separator, rest = self.database_url.partition("://")
        if not separator or scheme.split("+")[0] not in ("sqlite", "postgresql", "postgres"):
            raise SettingsError(
                f"NURTURE_DATABASE_URL begins with '{scheme}', which is not known here; "
                "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
            )
        return self.database_url if scheme.startswith("sqlite") else f"postgresql+psycopg://{rest}"

    def secret(self) -> str:
        """The installation's secret; makes and keeps one when none is given."""
        if self.secret_key is not None:
            secret, source = self.secret_key.get_secret_value(), "NURTURE_SECRET_KEY"
        else:
            file = self.secret_key_file or self.home / "secret_key"
            if self.secret_key_file is None and not file.exists():
                self.home.mkdir(parents=True, exist_ok=True)
                _keep_first(file, clock.unguessable() + clock.unguessable())
            try:
                secret, source = file.read_text().strip(), str(file)
            except OSError as problem:
                raise SettingsError(f"{file}: cannot be read ({problem.strerror}); give a readable file") from None
        if len(secret) < 32:
            raise SettingsError(f"{source}: the secret has {len(secret)} characters; give at least 32")
        return secret


def _on_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _check_bounce_address(given: str) -> None:
    """Raise SettingsError unless a token can be put into it."""
    plain = _PLAIN_ADDRESS.fullmatch(given)
    if plain is None:
        way_out = "write one such as bounces@in.acme.example"
        raise SettingsError(f"NURTURE_BOUNCE_ADDRESS: '{given}' is not an address; {way_out}")
    room = _LOCAL_PART - ADDRESS_TOKEN - 1
    if len(plain[1]) > room:
        raise SettingsError(
            f"NURTURE_BOUNCE_ADDRESS: '{plain[1]}' has {len(plain[1])} characters; "
            f"a token comes behind it and mail servers take {_LOCAL_PART}, so give at most {room} before the @"
        )


def _keep_first(file: Path, secret: str) -> None:
    """Write `file` whole, for our eyes only; of several processes at once the first one's stands."""
    made, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # of mode 0600
    try:
        with os.fdopen(made, "w") as out:
            out.write(secret)
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(name, file)
    finally:
        Path(name).unlink()


def load_settings() -> Settings:
    """The settings of this process; raises SettingsError naming the variable."""
    folder = os.environ.get("NURTURE_SECRETS")
    if folder and not Path(folder).is_dir():
        raise SettingsError(f"NURTURE_SECRETS: {folder} is not a folder; name the one in which the secrets are files")
    try:
        settings = Settings(_secrets_dir=folder or None)
    except ValidationError as problem:
        first = problem.errors()[0]
        said = f"{first['msg']}; the value given was {first.get('input')!r}"
        raise SettingsError(f"NURTURE_{str(first['loc'][0]).upper()}: {said}") from None
    public = urlsplit(settings.public_url)
    if public.scheme not in ("http", "https") or not public.hostname or public.query or public.fragment:
        raise SettingsError(f"NURTURE_PUBLIC_URL: '{settings.public_url}' is not an address; write https://HOST")
    if settings.bounce_address is not None:
        _check_bounce_address(settings.bounce_address)
    return settings

"""NURTURE_* variables, read at the doors only."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nurture import clock
from nurture.errors import SettingsError


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
    #: Where the public app is reached from outside; the links in messages begin with it.
    public_url: str = "http://127.0.0.1:8321"
    #: At least 32 characters; unset: generated once and kept in `home`/secret_key.
    secret_key: SecretStr | None = None
    #: A file that holds the secret, instead of the variable.
    secret_key_file: Path | None = None
    #: Parallel SMTP connections of one worker.
    smtp_connections: int = 4
    #: Seconds that a click rests before it counts (a scanner's second click unmasks the first).
    click_rest_seconds: int = 30
    #: Addresses (or networks) of our own reverse proxies, with commas between; they say who a visitor is.
    trusted_proxies: str = ""

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
    try:
        settings = Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = "NURTURE_" + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}: {first['msg']}; the value given was {first.get('input')!r}") from None
    public = urlsplit(settings.public_url)
    if public.scheme not in ("http", "https") or not public.hostname or public.query or public.fragment:
        raise SettingsError(f"NURTURE_PUBLIC_URL: '{settings.public_url}' is not an address; write https://HOST")
    return settings

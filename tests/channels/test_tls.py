"""TLS: verified, with the host's name, or not at all; where it fails, not a byte of the password has left."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nurture.channels.base import NoJournal, Parcel
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.errors import SettingsError
from tests.channels.relay import Relay
from tests.channels.wire import Wire

QUICK = Timeouts(connect=2, reply=1, end=1)
BATCH = [Parcel(n, f"t-{n}", "b@us.example", "ana@acme.example", b"Subject: x\r\n\r\nbody\r\n") for n in (1, 2)]
DAY = dt.timedelta(days=1)
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    """A certificate authority of our own, and what it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.file = folder / "authority.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = self._made(self.name, self.key).add_extension(constraints, critical=True).sign(self.key, hashes.SHA256())
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _made(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.timedelta = DAY
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + until)
        )

    def server(self, name: x509.GeneralName = HERE, until: dt.timedelta = DAY) -> ssl.SSLContext:
        """What a server with a certificate for `name` uses."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")]), key, until)
        made = made.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        pem, file = serialization.Encoding.PEM, self.folder / "relay.pem"
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(secret + made.sign(self.key, hashes.SHA256()).public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        """What a channel that trusts this authority uses."""
        return ssl.create_default_context(cafile=str(self.file))


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def send() -> Iterator[Callable[..., SmtpChannel]]:
    """Makes channels and closes them."""
    made: list[SmtpChannel] = []

    def make(url: str, tls: ssl.SSLContext | None = None) -> SmtpChannel:
        made.append(SmtpChannel(url, connections=1, timeouts=QUICK, tls=tls))
        return made[-1]

    yield make
    for channel in made:
        channel.close()


def never(*_: object) -> bool:
    return False


def test_starttls_then_password(authority, send):
    """With a password the line is made secure first, and the messages arrive."""
    with Relay(starttls=authority.server(), password="p@ss/word") as relay:
        channel = send(f"smtp://user:p%40ss%2Fword@127.0.0.1:{relay.port}", authority.client())
        receipts = channel.deliver(BATCH, NoJournal(), never)
        channel.close()

    assert [r.verdict for r in receipts] == ["accepted"] * 2
    assert relay.logins == 1


def test_smtps(authority, send):
    """A line that is secure from its first byte."""
    with Relay(implicit_tls=authority.server()) as relay:
        channel = send(f"smtps://127.0.0.1:{relay.port}", authority.client())
        receipts = channel.deliver(BATCH, NoJournal(), never)
        channel.close()

    assert [r.verdict for r in receipts] == ["accepted"] * 2


BAD_CERTIFICATES = {
    "nobody vouches for it": ({}, False, "CERTIFICATE_VERIFY_FAILED"),
    "expired": ({"until": -DAY}, True, "certificate has expired"),
    "of another host": ({"name": x509.DNSName("mail.example")}, True, "IP address mismatch"),
    "of another address": ({"name": x509.IPAddress(ipaddress.ip_address("127.0.0.2"))}, True, "IP address mismatch"),
    "of a name that looks like it": ({"name": x509.DNSName("127.0.0.1.example")}, True, "IP address mismatch"),
}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(("wrong", "trusted", "says"), BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
def test_a_wrong_certificate_takes_the_channel_down(authority, send, scheme, wrong, trusted, says):
    """Nothing begins, AUTH is never said, and the password is in no text of ours."""
    tls = {"starttls" if scheme == "smtp" else "implicit_tls": authority.server(**wrong)}
    with Relay(password="secret", **tls) as relay:
        channel = send(f"{scheme}://user:secret@127.0.0.1:{relay.port}", authority.client() if trusted else None)
        receipts = channel.deliver(BATCH, NoJournal(), never)

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert says in (channel.down or "")
    assert (relay.logins, relay.said, relay.taken) == (0, [], [])
    assert "secret" not in (channel.down or "") + repr(channel._door)


def test_a_wrong_password_takes_the_channel_down(authority, send):
    """5xx at AUTH is about us."""
    with Relay(starttls=authority.server(), password="right") as relay:
        channel = send(f"smtp://user:wrong@127.0.0.1:{relay.port}", authority.client())
        receipts = channel.deliver(BATCH, NoJournal(), never)
        channel.close()

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert (channel.down or "").startswith("AUTH 535")


OFFERED = b"250-wire\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
#: 127.1 reaches this host and is not spelt like it: to us it is some other host.
ELSEWHERE = "127.1"
STRIPPED = {
    "taken out of the offer": ({"EHLO": b"250-wire\r\n250 AUTH PLAIN LOGIN\r\n"}, "STARTTLS is not offered"),
    "garbled in the offer": ({"EHLO": b"250-wire\r\n250-XXXXXXXA\r\n250 AUTH PLAIN\r\n"}, "STARTTLS is not offered"),
    "no extensions at all": ({"EHLO": b"502 what\r\n"}, "STARTTLS is not offered"),
    "refused for now": ({"EHLO": OFFERED, "STARTTLS": b"454 4.7.0 not available\r\n"}, "STARTTLS 454"),
    "refused for good": ({"EHLO": OFFERED, "STARTTLS": b"502 what\r\n"}, "STARTTLS 502"),
    "cut": ({"EHLO": OFFERED, "STARTTLS": None}, "STARTTLS"),
    "words injected behind the consent": (
        {"EHLO": OFFERED, "STARTTLS": b"220 go\r\n250-wire\r\n250 AUTH PLAIN\r\n"},
        "STARTTLS: something was said before the line was secure",
    ),
    "consent, and no handshake": ({"EHLO": OFFERED, "STARTTLS": b"220 go\r\n", "\x16": None}, "STARTTLS"),
}


@pytest.mark.parametrize("login", ["", "user:secret@"], ids=["no password", "password"])
@pytest.mark.parametrize(("replies", "says"), STRIPPED.values(), ids=STRIPPED.keys())
def test_no_one_on_the_way_talks_us_out_of_tls(send, replies, says, login):
    """The channel goes down; the server has heard neither AUTH nor the password nor a message (CVE-2011-0411)."""
    with Wire(replies) as wire:
        channel = send(f"smtp://{login}{ELSEWHERE}:{wire.port}")
        receipts = channel.deliver(BATCH, NoJournal(), never)

    heard = b"".join(wire.heard).upper()
    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert (channel.down or "").startswith(says)
    assert wire.taken == []
    assert b"AUTH" not in heard
    assert b"MAIL" not in heard
    assert base64.b64encode(b"\0user\0secret").upper() not in heard


def test_the_operator_may_say_that_the_way_is_safe(send):
    """`smtp+plain://` asks for no TLS, and takes no password along."""
    with Wire() as wire:
        channel = send(f"smtp+plain://{ELSEWHERE}:{wire.port}")
        receipts = channel.deliver(BATCH, NoJournal(), never)
        channel.close()

    assert [r.verdict for r in receipts] == ["accepted"] * 2
    with pytest.raises(SettingsError, match="in the open"):
        SmtpChannel("smtp+plain://user:secret@relay.example:25")

"""`nurture inbound fetch` against a real IMAP server: unseen messages are taken in once and stay where they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nurture import opening
from nurture.errors import DatabaseGone
from nurture.inbound import mailbox, taking
from nurture.settings import load_settings
from tests.cli.conftest import Desk
from tests.inbound import dovecot
from tests.inbound.dovecot import Mailbox
from tests.inbound.mails import arf, dsn, letter

pytestmark = pytest.mark.skipif(
    dovecot.BINARY is None, reason="no dovecot here: apt-get install --no-install-recommends dovecot-imapd"
)
SEEN = r"\Seen"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by nobody but itself; its key lies beside it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem"


@pytest.fixture
def box(certificate: Path) -> Iterator[Mailbox]:
    with dovecot.running(certificate, certificate.with_name("key.pem")) as found:
        yield found


def fetched(desk: Desk) -> list[str]:
    said = desk.nurture("inbound", "fetch", "--json")
    assert said.code == 0, said.err
    return [row["kind"] for row in json.loads(said.out)]


def test_what_is_unseen_is_taken_in_once(desk: Desk, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first; nothing is deleted; the next run has only what came meanwhile."""
    monkeypatch.setenv("NURTURE_MAILBOX_URL", box.url())
    for message in (dsn(), arf(), letter(headers="X-Large: " + "x" * 900 + "\n")):
        box.put(message)

    assert fetched(desk) == ["bounce", "complaint", "unclear"]
    assert box.flags() == [SEEN] * 3
    assert fetched(desk) == []
    box.put(dsn(note="another"))
    assert fetched(desk) == ["bounce"]
    assert len(json.loads(desk.nurture("inbound", "list", "--json").out)) == 4


def test_the_same_bytes_from_pipe_and_mailbox_are_one(
    desk: Desk, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mailbox keeps a message byte by byte, with the line ends of the network."""
    message = dsn().replace(b"\n", b"\r\n")
    desk.write("one.eml", message)
    assert desk.nurture("inbound", "take", "one.eml").code == 0
    monkeypatch.setenv("NURTURE_MAILBOX_URL", box.url())
    box.put(message)

    (row,) = json.loads(desk.nurture("inbound", "fetch", "--json").out)

    assert row["new"] is False
    assert len(json.loads(desk.nurture("inbound", "list", "--json").out)) == 1


def test_a_run_takes_no_more_than_it_may(desk: Desk, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NURTURE_MAILBOX_URL", box.url())
    for number in range(5):
        box.put(dsn(note=str(number)))
    settings = load_settings()

    with opening.machine(settings) as machine:
        assert [len(mailbox.fetch(machine, settings, most=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_what_was_not_committed_is_fetched_again(desk: Desk, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away at the second message: that one stays unseen, and the next run has it."""
    monkeypatch.setenv("NURTURE_MAILBOX_URL", box.url())
    for number in range(3):
        box.put(dsn(note=str(number)))
    settings = load_settings()
    done: list[bytes] = []

    def breaks(machine: object, data: bytes) -> taking.Taken:
        if len(done) == 1:
            raise DatabaseGone("gone")
        done.append(data)
        return taking.take(machine, data)  # type: ignore[arg-type]

    with opening.machine(settings) as machine, monkeypatch.context() as patched:
        patched.setattr(mailbox, "take", breaks)
        with pytest.raises(DatabaseGone):
            mailbox.fetch(machine, settings)

    assert box.flags() == [SEEN, "", ""]
    assert fetched(desk) == ["bounce", "bounce"]


def test_tls_is_verified(desk: Desk, box: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody vouches for is refused; with its authority known the mailbox is read."""
    monkeypatch.setenv("NURTURE_MAILBOX_URL", box.url("imaps"))
    box.put(dsn())

    refused = desk.nurture("inbound", "fetch")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert refused.code == 1
    assert "certificate verify failed" in refused.err
    assert fetched(desk) == ["bounce"]


WRONG: dict[str, tuple[Callable[[Mailbox], str], str]] = {
    "the password": (lambda box: box.url(password="sesame%20shut"), "cannot be read"),
    "the folder": (lambda box: box.url(folder="Nowhere"), "folder Nowhere cannot be opened"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_without_the_password(
    desk: Desk, box: Mailbox, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, expected = WRONG[name]
    monkeypatch.setenv("NURTURE_MAILBOX_URL", url(box))

    said = desk.nurture("inbound", "fetch")

    assert said.code == 1
    assert expected in said.err
    assert "returns@in.acme.example at 127.0.0.1" in said.err
    assert "sesame" not in said.out + said.err

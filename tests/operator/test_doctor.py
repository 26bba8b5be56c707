"""The doctor's table, check by check, against real peers on loopback; never `ok` for what was not looked at."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from nurture.cli import main
from nurture.db import Database
from nurture.doctor import services
from tests.channels.relay import Relay
from tests.cli.conftest import LETTER, LIFECYCLE, PROGRAM, SEQUENCE, TEMPLATES
from tests.engine.world import World, program, sequence
from tests.operator.peers import Zone, certificate, names, web

FILES = program(a=sequence("  - {id: one, email: one.j2}\n  - {id: gone, exit: done}"))
Say = Callable[..., tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture(scope="module")
def unknown() -> Iterator[str]:
    """A resolver that knows no name."""
    with names({}) as resolver:
        yield resolver


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str, unknown: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a published program."""
    for name, value in (
        ("NURTURE_HOME", str(tmp_path / "home")),
        ("NURTURE_DATABASE_URL", sqlite_url),
        ("NURTURE_RESOLVER", unknown),
    ):
        monkeypatch.setenv(name, value)
    World(sqlite_url, FILES).close()
    return tmp_path / "home"


@pytest.fixture
def doctor(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs `nurture doctor --json` with these variables; (exit code, {check: (verdict, said)})."""

    def ask(**variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(["doctor", "--json"])
        told = json.loads(capsys.readouterr().out)
        return code, {check["name"]: (check["verdict"], check["said"]) for check in told}

    return ask


def test_a_new_installation(doctor: Say) -> None:
    """What it has is sound; its public address is nobody's; the rest was not looked at, and says why."""
    code, said = doctor(NURTURE_RESOLVER="127.0.0.1:9")

    assert code == 1
    verdicts = {name: verdict for name, (verdict, _) in said.items()}
    assert [name for name, verdict in verdicts.items() if verdict == "ok"] == [
        *("database", "clock", "instance", "secret", "home"),
    ]
    assert [name for name, verdict in verdicts.items() if verdict == "wrong"] == ["public address"]
    assert all(why for _, why in said.values())
    assert "no resolver answers for the world" in said["SPF"][1]
    assert "NURTURE_SMTP_URL is not set" in said["relay"][1]


def test_the_table_for_people(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each check."""
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "not checked" in told
    assert "set NURTURE_PUBLIC_URL" in told


def test_a_secret_that_others_can_read(home: Path, doctor: Say) -> None:
    """The file's mode, and the way out."""
    doctor()
    file = home / "secret_key"
    file.chmod(0o644)

    assert doctor()[1]["secret"] == ("wrong", f"{file} can be read by others (mode 0644); run: chmod 600 {file}")
    file.chmod(0o600)
    assert doctor()[1]["secret"][0] == "ok"
    file.write_text("short")
    assert doctor()[1]["secret"][0] == "wrong"


def test_a_home_that_cannot_be_written(home: Path, doctor: Say) -> None:
    """A file stands where the folder should be."""
    doctor()
    blocked = home / ".doctor"
    blocked.mkdir()

    verdict, said = doctor()[1]["home"]
    assert (verdict, "cannot be written" in said) == ("wrong", True)
    assert stat.S_ISDIR(blocked.stat().st_mode)


def test_a_database_that_is_away(doctor: Say) -> None:
    """The others are not called sound on its behalf."""
    code, said = doctor(NURTURE_DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")

    assert code == 1
    assert said["database"][0] == "wrong"
    assert {said[name][0] for name in ("clock", "instance", "SPF", "DMARC")} == {"not checked"}


def test_a_copied_database_is_wrong(home: Path, doctor: Say, sqlite_url: str) -> None:
    """The doctor says it too."""
    doctor()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    shutil.copy(file, home / "copy.db")
    (home / "copy.db").replace(file)

    verdict, said = doctor()[1]["instance"]
    assert (verdict, "nurture adopt" in said) == ("wrong", True)


PUBLIC = {
    "loopback": ("http://127.0.0.1:8321", "wrong", "the reader's own machine"),
    "not https": ("http://mail.acme.example", "wrong", "is not https"),
    "cannot be reached": ("https://nowhere.invalid", "not checked", "cannot be reached from here"),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_address(name: str, doctor: Say) -> None:
    """Where the links in messages lead."""
    url, verdict, said = PUBLIC[name]
    found = doctor(NURTURE_PUBLIC_URL=url)[1]["public address"]

    assert (found[0], said in found[1]) == (verdict, True)


def test_a_relay_with_everything(tmp_path: Path, doctor: Say) -> None:
    """Reached, certificate verified, password taken; nothing is sent."""
    authority, context = certificate(tmp_path)
    with Relay(starttls=context, password="open sesame") as relay:
        variables = {"SSL_CERT_FILE": str(authority)}
        said = doctor(**variables, NURTURE_SMTP_URL=f"smtp://ana:open%20sesame@localhost:{relay.port}")[1]
        assert [said[name][0] for name in ("relay", "relay's TLS", "relay's login")] == ["ok", "ok", "ok"], said
        assert "SIZE, 8BITMIME, SMTPUTF8" in said["relay"][1]
        assert (relay.taken, relay.logins) == ([], 1)

        refused = doctor(**variables, NURTURE_SMTP_URL=f"smtp://ana:wrong@localhost:{relay.port}")[1]
        assert (refused["relay"][0], "AUTH 535" in refused["relay"][1]) == ("wrong", True)
        assert "wrong@" not in json.dumps(refused)
        assert refused["relay's TLS"][0] == "not checked"


def test_a_relay_with_another_certificate(tmp_path: Path, doctor: Say) -> None:
    """A certificate of nobody known: no password is said."""
    _, context = certificate(tmp_path)
    with Relay(starttls=context, password="open sesame") as relay:
        verdict, said = doctor(NURTURE_SMTP_URL=f"smtp://ana:open@localhost:{relay.port}")[1]["relay"]

        assert (verdict, "CERTIFICATE_VERIFY_FAILED" in said, relay.logins) == ("wrong", True, 0)


def test_a_plain_relay_on_this_machine(doctor: Say) -> None:
    """It needs no certificate; that is not called ok."""
    with Relay() as relay:
        said = doctor(NURTURE_SMTP_URL=relay.url)[1]

    assert [said[name][0] for name in ("relay", "relay's TLS", "relay's login")] == ["ok", "not checked", "not checked"]


@cache
def key(bits: int) -> str:
    """A key record's p= of so many bits, in pieces of a TXT record."""
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    record = (
        "v=DKIM1; k=rsa; p="
        + base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    )
    return " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))


SPF, DMARC, KEY, MX = (
    ("acme.example", "TXT"), ("_dmarc.acme.example", "TXT"), ("s1._domainkey.acme.example", "TXT"),
    ("in.acme.example", "MX"),
)  # fmt: skip
#: What the sender's DNS holds, the check, its verdict and a part of what is said.
RECORDS: dict[str, tuple[Zone, str, str, str]] = {
    "SPF": ({("in.acme.example", "TXT"): ['"v=spf1 ip4:192.0.2.7 -all"']}, "SPF", "ok", "-all"),
    "no SPF": ({}, "SPF", "wrong", "in.acme.example has no SPF record"),
    "SPF of the other domain": ({SPF: ['"v=spf1 -all"']}, "SPF", "wrong", "has no SPF record"),
    "two SPF": (
        {("in.acme.example", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']}, "SPF", "wrong", "2 SPF records",
    ),
    "SPF for everybody": ({("in.acme.example", "TXT"): ['"v=spf1 +all"']}, "SPF", "wrong", "lets everybody send"),
    "SPF against nobody": ({("in.acme.example", "TXT"): ['"v=spf1 mx"']}, "SPF", "wrong", "forbids nobody"),
    "DKIM key": ({KEY: [key(2048)]}, "DKIM key", "ok", "RSA of 2048 bits"),
    "short DKIM key": ({KEY: [key(1024)]}, "DKIM key", "wrong", "the key has 1024 bits"),
    "no DKIM key": ({}, "DKIM key", "wrong", "has no key records"),
    "withdrawn DKIM key": ({KEY: ['"v=DKIM1; p="']}, "DKIM key", "wrong", "the key is withdrawn"),
    "broken DKIM key": ({KEY: ['"v=DKIM1; p=AAAA"']}, "DKIM key", "wrong", "cannot be read as a key"),
    "Ed25519 key": ({KEY: ['"v=DKIM1; k=ed25519; p=AAAA"']}, "DKIM key", "ok", "Ed25519"),
    "DMARC": ({DMARC: ['"v=DMARC1; p=reject"']}, "DMARC", "ok", "p=reject"),
    "no DMARC": ({}, "DMARC", "wrong", "acme.example has no DMARC record"),
    "DMARC without a policy": ({DMARC: ['"v=DMARC1; rua=mailto:d@acme.example"']}, "DMARC", "wrong", "has no policy"),
    "MX": ({MX: ["10 mx.acme.example."]}, "bounces' MX", "ok", "mx.acme.example"),
    "no MX": ({}, "bounces' MX", "wrong", "nobody takes mail for in.acme.example"),
    "null MX": ({MX: ["0 ."]}, "bounces' MX", "wrong", "nobody takes mail"),
    "PTR": ({}, "PTR", "not checked", "not known here"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_the_records_of_the_sender(name: str, doctor: Say) -> None:
    """Each record as it should be, missing, and wrong in its own way."""
    zone, check, verdict, said = RECORDS[name]
    with names(zone) as resolver:
        found = doctor(
            NURTURE_RESOLVER=resolver, NURTURE_BOUNCE_ADDRESS="b@in.acme.example", NURTURE_DKIM_SELECTOR="s1"
        )[1][check]

    assert (found[0], said in found[1]) == (verdict, True), found


def test_dmarc_of_the_domain_above(doctor: Say, sqlite_url: str) -> None:
    """A subdomain without a record of its own has its parent's (RFC 9989)."""
    files = FILES | {"program.yaml": FILES["program.yaml"].replace("ana@acme.example", "ana@news.acme.example")}
    World(sqlite_url, files).close()
    with names({DMARC: ['"v=DMARC1; p=quarantine"']}) as resolver:
        assert doctor(NURTURE_RESOLVER=resolver)[1]["DMARC"] == ("ok", "_dmarc.acme.example: p=quarantine")


def test_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open to whoever asks on another address than loopback is wrong; with a password or on loopback alone it is not."""
    found: dict[str, str] = {"unset": services.prefect({}).verdict}
    with ExitStack() as stack:
        ports = {status: stack.enter_context(web(status)) for status in (200, 401)}
        found |= {
            str(status): services.prefect({"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}).verdict
            for status, port in ports.items()
        }
    found["gone"] = services.prefect({"PREFECT_API_URL": f"http://127.0.0.1:{ports[200]}/api"}).verdict
    assert found == {"unset": "not checked", "200": "ok", "401": "ok", "gone": "not checked"}


@pytest.mark.parametrize(("status", "verdict"), [(200, "wrong"), (401, "ok")])
def test_prefect_on_every_address(status: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its URL says loopback, and yet it answers at the machine's other address (here another one of loopback)."""
    monkeypatch.setattr(services, "_own_address", lambda: "127.0.0.2")
    with web(status) as port, web(status, "127.0.0.2", port=port):
        assert services.prefect({"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}).verdict == verdict


RESOLVERS = {"that knows the world": (True, "wrong"), "that knows nothing, as offline": (False, "not checked")}


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_resolver_that_knows_no_names(name: str, doctor: Say) -> None:
    """Where even the root of DNS is unknown, a missing record says nothing of the domain."""
    root, verdict = RESOLVERS[name]
    with names({}, root=root) as resolver:
        said = doctor(NURTURE_RESOLVER=resolver)[1]

    assert {said[check][0] for check in ("SPF", "DMARC")} == {verdict}


def test_a_mailbox_that_does_not_let_us_in(doctor: Say) -> None:
    """Nobody answers there; the password is not said."""
    verdict, said = doctor(NURTURE_MAILBOX_URL="imaps://ana:sesame@127.0.0.1:9/INBOX")[1]["mailbox"]

    assert (verdict, "127.0.0.1:9" in said, "sesame" in said) == ("wrong", True, False)


WRITTEN = {
    "program.yaml": PROGRAM,
    "lifecycle.yaml": LIFECYCLE,
    "evaluators/sequence.yaml": SEQUENCE,
    "evaluators/welcome.j2": LETTER,
    "evaluators/bye.j2": LETTER,
}
SIGNED = {
    "covered": (
        "DKIM-Signature: v=1; a=rsa-sha256; d=brightdesk.example; s=x;\r\n"
        " h=From:To:Subject:Date:Message-ID:List-Unsubscribe:\r\n\tList-Unsubscribe-Post; bh=a; b=c\r\n",
        [],
    ),
    "list headers left out": (
        "DKIM-Signature: v=1; d=brightdesk.example; h=from:to:subject:date:message-id; b=c\r\n",
        ["List-Unsubscribe", "List-Unsubscribe-Post"],
    ),
    "another domain's signature": (
        "DKIM-Signature: v=1; d=relay.example; h=from:to:subject:date:message-id:list-unsubscribe:"
        "list-unsubscribe-post; b=c\r\n",
        ["From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNED)
def test_the_probe(
    name: str, doctor: Say, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Sent, read back, remembered for that relay; publishing is refused only where the probe failed."""
    signature, missing = SIGNED[name]
    folder = tmp_path / "templates"
    shutil.copytree(TEMPLATES / "_shared", folder / "_shared")
    (folder / "evaluators").mkdir()
    for file, written in WRITTEN.items():
        (folder / file).write_text(written)
    monkeypatch.setenv("NURTURE_TEMPLATES", str(folder))
    assert main(["publish"]) == 0
    with Relay() as relay:
        assert doctor(NURTURE_SMTP_URL=relay.url)[1]["DKIM coverage"][0] == "not checked"
        assert main(["doctor", "--probe", "me@acme.example"]) == 0
        (taken,) = relay.taken
        arrived = tmp_path / "arrived.eml"
        assert isinstance(taken.content, bytes)
        arrived.write_bytes(signature.encode() + taken.content)

        assert main(["doctor", "--probe-result", str(arrived)]) == bool(missing)
        verdict, said = doctor()[1]["DKIM coverage"]
        assert verdict == ("wrong" if missing else "ok")
        assert all(header in said for header in missing)
        capsys.readouterr()
        assert main(["publish"]) == bool(missing)
        assert ("Nothing was published" in capsys.readouterr().err) == bool(missing)
        monkeypatch.setenv("NURTURE_SMTP_URL", "smtp://127.0.0.1:9")  # another relay: it was never probed
        assert main(["publish"]) == 0


MISUSED = {
    "no relay": (["--probe", "me@acme.example"], "NURTURE_SMTP_URL is not set"),
    "no such file": (["--probe-result", "nothing.eml"], "nothing.eml: cannot be read"),
    "another message": (["--probe-result", "other.eml"], "other.eml: is not the probe from acme.example"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_a_probe_that_cannot_be(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing, in a sentence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.eml").write_text("From: ana@acme.example\nSubject: hello\n\nhello\n")
    words, said = MISUSED[name]

    assert main(["doctor", *words]) == 1
    assert said in capsys.readouterr().err


def test_the_clock_of_the_database(
    postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its offset is measured; more than five seconds are wrong."""
    monkeypatch.setenv("NURTURE_DATABASE_URL", postgres_url)
    verdicts = []
    for statement in (
        "SELECT 1",
        "CREATE SCHEMA wrong",
        "CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT pg_catalog.clock_timestamp() - interval '6 s' $$",
        f"ALTER DATABASE {Database(postgres_url).url.database} SET search_path = wrong, pg_catalog, public",
    ):
        db = Database(postgres_url)
        db.transact(lambda link, statement=statement: link.execute(text(statement)))  # type: ignore[misc]
        db.dispose()
        main(["doctor", "--json"])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        verdicts.append(checks["clock"]["verdict"])
    assert verdicts == ["ok", "ok", "ok", "wrong"]
    assert "6 s ahead of the database's" in checks["clock"]["said"]

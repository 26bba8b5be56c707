"""Our signatures, verified by dkimpy, which shares nothing with the signer."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.errors import SettingsError
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer, load_signer
from nurture.mail.render import Rendered
from nurture.opening import open_machine
from nurture.settings import Settings
from tests.mail import reader
from tests.mail.shipped import shipped

PEM, RAW = serialization.Encoding.PEM, serialization.Encoding.Raw
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
SIGNERS = {"rsa": Signer("s1", None, RSA), "ed25519": Signer("s1", None, ED)}
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOP = b"From: Lena <lena@us.example>\r\nTo: ana@acme.example\r\nSubject: Hello"


def pem(key: Any, *, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, lock))


def in_dns(kind: str) -> bytes:
    """The TXT record of the key: RFC 6376 section 3.6.1, RFC 8463 section 4."""
    if kind == "rsa":
        public = RSA.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        public = ED.public_key().public_bytes(RAW, serialization.PublicFormat.Raw)
    return b"v=DKIM1; k=" + kind.encode() + b"; p=" + base64.b64encode(public)


def verified(message: bytes, kind: str, domain: str = "us.example", selector: str = "s1") -> bool:
    def dns(name: bytes, timeout: float = 5) -> bytes | None:
        return in_dns(kind) if name == f"{selector}._domainkey.{domain}.".encode() else None

    try:
        return bool(dkim.verify(message, dnsfunc=dns))
    except dkim.DKIMException:  # no message at all
        return False


def signed(kind: str, top: bytes = TOP, body: bytes = b"body\r\n") -> bytes:
    return SIGNERS[kind].header(top, body, "us.example", NOW) + b"\r\n" + top + b"\r\n\r\n" + body


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("name", shipped())
def test_shipped_letters_are_verified(name, kind):
    """Every header of ours is covered, those that RFC 8058 asks for among them, and none can be added."""
    payload = shipped(SIGNERS[kind])[name].payload
    covered = re.sub(r"\s", "", message_from_bytes(payload)["DKIM-Signature"]).partition(";h=")[2].split(";")[0]
    present = [header.lower() for header, _ in reader.fields(payload) if header != "DKIM-Signature"]

    assert verified(payload, kind, "brightdesk.example")
    assert payload.startswith(b"DKIM-Signature: ")
    assert covered.split(":") == [name for header in present for name in (header, header)]
    assert max(map(len, payload.split(b"\r\n\r\n")[0].partition(b"\r\nFrom:")[0].split(b"\r\n"))) <= 78
    assert payload == shipped(SIGNERS[kind])[name].payload


SHAPES = {
    "folded and encoded": (
        b"From: =?utf-8?b?TGVuYQ==?=\r\n =?utf-8?b?TGVuYQ==?=\r\n <lena@us.example>\r\nSubject:  a \t b\r\n\tc ",
        b"x\r\n",
    ),
    "a header of 990 characters": (b"From: lena@us.example\r\nSubject: " + b"x" * 990, b"x\r\n"),
    "a name in odd case": (b"FROM: lena@us.example\r\nsUBJECT: Hi", b"x\r\n"),
    "an empty value": (b"From: lena@us.example\r\nSubject:", b"x\r\n"),
    "raw UTF-8 in an address": (TOP.replace(b"ana@", "مريم@".encode()), "بسم\r\n".encode()),
    "an empty body": (TOP, b""),
    "a body of blank lines": (TOP, b"\r\n\r\n\r\n"),
    "a body that ends in blank lines": (TOP, b"x\r\n\r\n\r\n"),
    "a body without a last line end": (TOP, b"x"),
    "blank lines and spaces": (TOP, b" x \t y \r\n \r\n\r\nz  \r\n"),
    "dots": (TOP, b".\r\n..\r\n.x\r\n"),
    "8-bit": (TOP, bytes(range(128, 256)) + b"\r\n"),
}


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize(("top", "body"), SHAPES.values(), ids=SHAPES.keys())
def test_any_shape_is_verified(top, body, kind):
    """Canonicalisation as the verifier has it."""
    assert verified(signed(kind, top, body), kind)


@given(st.lists(st.sampled_from([b"x", b" ", b"\t", b"\r\n", b".", b"\xff", b"=\r\n"]), max_size=12).map(b"".join))
def test_any_body_is_verified(body):
    """Ends and white space in any order."""
    assert verified(signed("ed25519", TOP, body), "ed25519")


MESSAGE = compose(
    Rendered("Grüße", "<p>Hi</p>\n", "Hi\n"),
    from_name="Lena",
    from_address="lena@us.example",
    to="ana@acme.example",
    message_id="<t.abc@us.example>",
    date=NOW,
    reply_to="hello@us.example",
    list_id="saas.us.example",
    unsubscribe_url="https://go.us.example/u/abc",
    unsubscribe_to="bounces+abc@in.us.example",
    signer=SIGNERS["ed25519"],
)
SIGNED = MESSAGE.index(b"\r\nFrom: ") + 2


@settings(max_examples=80)
@given(st.integers(SIGNED, len(MESSAGE) - 1), st.integers(1, 127))
def test_a_changed_byte_is_found(place, change):
    """In any signed header or in the body; white space and a name's case in headers are none (RFC 6376 3.4.2)."""
    bent = bytearray(MESSAGE)
    bent[place] ^= change
    top = MESSAGE.index(b"\r\n\r\n")
    in_name = b":" not in MESSAGE[SIGNED:place].rpartition(b"\r\n")[2]
    same = [re.sub(rb"\s+", b" ", text.lower() if in_name else text) for text in (bytes(bent), MESSAGE)]
    if place < top and same[0] == same[1]:
        return

    assert not verified(bytes(bent), "ed25519")


@pytest.mark.parametrize("header", [name for name, _ in reader.fields(MESSAGE) if name != "DKIM-Signature"])
@pytest.mark.parametrize("kind", SIGNERS)
def test_each_header_is_signed_and_none_can_be_added(header, kind):
    """Left out, changed or put there a second time, above or below: the signature is void."""
    top, body = MESSAGE[SIGNED:].split(b"\r\n\r\n", 1)
    whole = SIGNERS[kind].header(top, body, "us.example", NOW) + b"\r\n" + top + b"\r\n\r\n" + body
    line = re.search(rb"\r\n" + header.encode() + rb": [^\r]*(?:\r\n [^\r]*)*", whole)
    assert line is not None
    changed = {
        "left out": whole.replace(line[0], b""),
        "changed": whole.replace(line[0], line[0] + b"x"),
        "added above": line[0].lstrip() + b"x\r\n" + whole,
        "added below": whole.replace(b"\r\n\r\n", line[0] + b"x\r\n\r\n", 1),
    }

    assert verified(whole, kind)
    assert [what for what, message in changed.items() if verified(message, kind)] == []


def test_the_domain_is_the_sender_s_or_the_one_that_is_set():
    """d= and s= say where the key stands; a name beyond ASCII is in punycode."""
    usual: dict[str, Any] = {
        "from_name": "Lena",
        "to": "ana@acme.example",
        "message_id": "<t.abc@us.example>",
        "date": NOW,
    }
    rendered = Rendered("Hi", "<p>Hi</p>", "Hi")
    own = compose(rendered, from_address="lena@bücher.example", signer=SIGNERS["rsa"], **usual)
    other = compose(rendered, from_address="lena@mail.us.example", signer=Signer("k.2", "us.example", RSA), **usual)

    assert verified(own, "rsa", "xn--bcher-kva.example")
    assert verified(other, "rsa", "us.example", "k.2")


KEYS = {
    "rsa": pem(RSA),
    "rsa, the older form": RSA.private_bytes(
        PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ),
    "ed25519": pem(ED),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_read_from_its_file(key, tmp_path):
    """What openssl writes is taken as it is."""
    file = tmp_path / "dkim.pem"
    file.write_bytes(KEYS[key])
    signer = load_signer("s1", file)
    assert signer is not None

    kind = key.partition(",")[0]
    assert verified(signer.header(TOP, b"x\r\n", "us.example", NOW) + b"\r\n" + TOP + b"\r\n\r\nx\r\n", kind)


BAD_FILES = {
    "missing": (None, "No such file"),
    "a text": (b"hello", "no private key"),
    "a public key": (
        RSA.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "no private key",
    ),
    "locked": (pem(ED, password=b"x"), "passphrase"),
    "too short": (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
    "of another kind": (pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
    "cut short": (pem(RSA)[:400], "no private key"),
}


@pytest.mark.parametrize(("content", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_key_file_says_what_and_the_way_out(content, says, tmp_path):
    """At opening, with the variable and the file, and nothing of the key."""
    file = tmp_path / "dkim.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError, match=says) as caught:
        open_machine(Settings(home=tmp_path, dkim_selector="s1", dkim_key_file=file))
    assert "NURTURE_DKIM_KEY_FILE" in str(caught.value)
    assert "dkim.pem" in str(caught.value)
    assert "MII" not in str(caught.value)


BAD_SETTINGS = {
    "no selector": (None, "dkim.pem", None, "NURTURE_DKIM_SELECTOR is not set"),
    "no file": ("s1", None, None, "NURTURE_DKIM_KEY_FILE is not set"),
    "a domain alone": (None, None, "us.example", "NURTURE_DKIM_SELECTOR is not set"),
    "a selector with a space": ("s 1", "dkim.pem", None, "NURTURE_DKIM_SELECTOR: 's 1'"),
    "a selector that adds a tag": ("s1; d=x", "dkim.pem", None, "NURTURE_DKIM_SELECTOR"),
    "a domain with a line end": ("s1", "dkim.pem", "us.example\r\nBcc: x", "NURTURE_DKIM_DOMAIN"),
}


@pytest.mark.parametrize(("selector", "file", "domain", "says"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_settings_that_do_not_fit_together(selector, file, domain, says):
    """All that signing needs, or nothing."""
    with pytest.raises(SettingsError, match=re.escape(says)):
        load_signer(selector, file and Path(file), domain)


def test_nothing_set_signs_nothing():
    """The relay signs, or nobody."""
    assert load_signer(None, None) is None

"""What composing and signing a letter costs: goal 4, beside `openssl speed`, and microseconds of CPU for each part.

A letter has 8 KB of HTML and 2 KB of text, in English (7bit), German (quoted-printable) and Arabic (base64); each
message is another lead's. It is composed and signed, or was composed before and is signed. dkimpy verifies messages of
every kind before any are timed.
"""

from __future__ import annotations

import base64
import shutil
import statistics
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import common
import cryptography
import dkim
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.render import Rendered
from nurture.tokens import keys

ROUNDS = 5
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEYS = keys("a secret of at least thirty-two characters")
HTML, TEXT = 8192, 2048
_SENTENCES = {
    "English, 7bit": "Our paper tells how a team like yours went about it, and has the figures on one page.",
    "German, quoted-printable": "Unser Bericht erzählt, wie ein Team wie Ihres vorging, und hat die Zahlen für Bücher.",
    "Arabic, base64": "تخبر ورقتنا كيف تعامل فريق مثل فريقك مع الأمر وما هي الأرقام التي سيطلبها زميلك في المالية.",
}
_SUBJECTS = ("Ana, one thing to try this week", "Ana, etwas für Sie in dieser Woche", "عرض سعر لك هذا الأسبوع")


def letter(subject: str, sentence: str) -> Rendered:
    """Paragraphs and 16 tracked links; about `HTML` and `TEXT` characters."""
    links = [f"https://go.bench.example/c/{KEYS.seal('click', 1, place)}" for place in range(16)]
    block = "".join(f'<p>{sentence}</p>\n<p><a href="{link}">Read page 3</a></p>\n' for link in links)
    filler = f"<p>{sentence}</p>\n" * (HTML // len(sentence))
    html = f"<!doctype html><html><body>\n{block}{filler}"[:HTML].rpartition("<")[0] + "</body></html>"
    return Rendered(subject, html, "\n".join(f"{sentence}\n\n{link}\n" for link in links)[:TEXT])


LETTERS = {
    name: letter(subject, sentence)
    for (name, sentence), subject in zip(_SENTENCES.items(), _SUBJECTS, strict=True)
}  # fmt: skip
SIGNERS: dict[str, tuple[Any, bytes]] = {}


def keys_and_records() -> None:
    """A key of each kind, and its record in DNS (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
    big, small = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    der = big.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = small.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    SIGNERS["rsa"] = (big, b"v=DKIM1; k=rsa; p=" + base64.b64encode(der))
    SIGNERS["ed25519"] = (small, b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw))


def message(rendered: Rendered, signer: Signer | None, number: int) -> bytes:
    """The message of lead `number`."""
    return compose(
        rendered,
        from_name="Lena at Bench",
        from_address="lena@bench.example",
        to=f"lead{number}@lead.example",
        message_id=f"<t.abcdefghij{number:022d}@bench.example>",
        date=NOW,
        reply_to="hello@bench.example",
        list_id="saas.bench.example",
        unsubscribe_url=f"https://go.bench.example/u/{number:035d}",
        unsubscribe_to=f"bounces+{number:042d}@in.bench.example",
        signer=signer,
    )


def verify(signer: Signer, record: bytes) -> int:
    """Messages that dkimpy verified; fails if it refuses one, or takes one that was changed."""

    def dns(_name: bytes, timeout: float = 5) -> bytes:  # noqa: ARG001
        return record

    payloads = [message(rendered, signer, number) for rendered in LETTERS.values() for number in range(10)]
    for payload in payloads:
        assert dkim.verify(payload, dnsfunc=dns), payload[:2000]
        assert not dkim.verify(payload.replace(b"MIME-Version: 1.0", b"MIME-Version: 1.1"), dnsfunc=dns)
    return len(payloads)


def sign(signer: Signer, messages: list[tuple[bytes, bytes, bytes]], number: int) -> bytes:
    """The signature of one of `messages`, which are heads, empty lines and bodies."""
    top, _, body = messages[number]
    return signer.header(top, body, "bench.example", NOW)


def each(work: Callable[[int], object], count: int) -> float:
    """Microseconds of CPU for one of `count`."""
    return common.cpu(lambda: [work(number) for number in range(count)])[0] / count * 1e6


def openssl(kind: str) -> float:
    """Microseconds of CPU for one signature, by OpenSSL's own measuring, which takes two seconds."""
    program = shutil.which("openssl")
    if program is None:
        raise common.Missing("there is no openssl; apt-get install openssl")
    words = [program, "speed", "-mr", "-seconds", "1", kind]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    row = next(line for line in said.splitlines() if line.startswith(("+F2:", "+F6:")))
    return 1e6 / float(row.split(":")[4 if row.startswith("+F6") else 3])


def seals(number: int) -> None:
    """The tokens of a letter with 16 tracked links, each sealed by itself."""
    for place in range(16):
        KEYS.seal("click", number, place)


def parts(count: int) -> dict[str, Callable[[], float]]:
    """What is done for a letter, without rendering it."""
    big, small = SIGNERS["rsa"][0], SIGNERS["ed25519"][0]
    how, hashed = padding.PKCS1v15(), utils.Prehashed(SHA256())
    work: dict[str, Callable[[int], object]] = {
        **{f"compose, {name}": partial(message, rendered, None) for name, rendered in LETTERS.items()},
        "Ed25519 signature alone": lambda number: small.sign(number.to_bytes(32, "big")),
        "RSA signature alone": lambda number: big.sign(number.to_bytes(32, "big"), how, hashed),
        "16 tokens for links": seals,
        "a token for a link": lambda number: KEYS.seal("open", number),
        "a token for an address": lambda number: KEYS.seal_for_address("bounce", number),
        "a Message-ID": lambda number: KEYS.message_id(number, "bench.example"),
    }
    return {name: partial(each, one, count // 5 if "RSA" in name else count) for name, one in work.items()}


def main() -> None:
    """Verify, then measure."""
    with common.bench(__doc__) as b:
        keys_and_records()
        b.versions |= {"cryptography": cryptography.__version__, "its OpenSSL": backend.openssl_version_text()}
        count, rows = b.size(200, 2000), []
        signers = {kind: Signer("s1", None, key) for kind, (key, _) in SIGNERS.items()}
        verified = {kind: verify(signers[kind], record) for kind, (_, record) in SIGNERS.items()}
        english = LETTERS["English, 7bit"]
        heads = [message(english, None, number).partition(b"\r\n\r\n") for number in range(count)]
        for kind, bits, goal in (("rsa", "rsa2048", ">= 0.85"), ("ed25519", "ed25519", "")):
            found = common.in_turn(
                {
                    "openssl": partial(openssl, bits),
                    "whole": partial(each, partial(message, english, signers[kind]), count),
                    "header": partial(each, partial(sign, signers[kind], heads), count),
                },
                ROUNDS,
            )
            for what, side in (("signed", "header"), ("composed and signed", "whole")):
                ratios = [base / ours for base, ours in zip(found["openssl"], found[side], strict=True)]
                rows.append(
                    {
                        "signature": bits,
                        "messages": what,
                        "ours/s": 1e6 / statistics.median(found[side]),
                        "openssl/s": 1e6 / statistics.median(found["openssl"]),
                        "ratio": statistics.median(ratios),
                        "least": min(ratios),
                        "most": max(ratios),
                        "goal": goal,
                        "verified": verified[kind],
                    }
                )
        b.table("whole messages a second of one core, by CPU", rows, "verified: by dkimpy, before the timing")
        found = common.in_turn(parts(count), ROUNDS, warm=1)
        b.table("CPU", [{"part": name, "us": statistics.median(us), "least": min(us)} for name, us in found.items()])


if __name__ == "__main__":
    main()

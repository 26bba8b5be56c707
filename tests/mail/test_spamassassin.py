"""The shipped letters before a spam filter that judges form and wording; all in one start of the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nurture.mail.dkim import Signer
from tests.mail.shipped import shipped

pytestmark = pytest.mark.skipif(shutil.which("spamassassin") is None, reason="spamassassin is not installed")

#: Rules that speak of a message's form; none may hit. What every HTML message gets is not among them.
FORM = re.compile(
    r"MISSING_|INVALID_|BAD_|MIME_|HEADER|.*DATE|.*MSGID|SUBJ_|MULTIPART_|.*CHARSET|.*UTF8|FONT_INVIS|.*BAD_"
)
STATUS = re.compile(
    r"^X-Spam-Status: \w+, score=(-?[0-9.]+) required=\S+ tests=([A-Z0-9_,\s]*?)\s+(?:autolearn|version)", re.M
)
MESSAGE_ID = re.compile(r"^Message-ID: (<.*?>)", re.MULTILINE)
KEY = Ed25519PrivateKey.generate()
BROKEN = b"From: x\r\nMessage-ID: <broken@>\r\nContent-Type: text/plain\r\n\r\nBUY NOW\r\n"


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> dict[str, tuple[float, list[str]]]:
    """Score and rules by letter; a broken message stands last."""
    folder: Path = tmp_path_factory.mktemp("spam")
    messages = {name: letter.payload for name, letter in shipped(Signer("s1", None, KEY)).items()} | {"broken": BROKEN}
    box = b"".join(
        b"From x@y.example Mon Mar  2 09:00:00 2026\n"
        + payload.replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ")
        + b"\n"
        for payload in messages.values()
    )
    (folder / "box").write_bytes(box)
    ran = subprocess.run(
        ["spamassassin", "-L", "-t", "-x", "--mbox", str(folder / "box")],
        capture_output=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C"},
    )
    found = {}  # it has an order of its own
    for message in re.split(r"^From x@y\.example .*\n", ran.stdout.decode("utf-8", "replace"), flags=re.MULTILINE)[1:]:
        score, rules = STATUS.findall(message)[0]
        found[MESSAGE_ID.findall(message)[0]] = float(score), re.findall(r"[A-Z0-9_]+", rules)
    return {name: found[MESSAGE_ID.findall(payload.decode())[0]] for name, payload in messages.items()}


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_letter_is_no_spam(judged, name):
    """Far from the 5 points at which a message is filed away, and in proper form."""
    score, rules = judged[name]
    by_chance = "PDS_BTC_ID" in rules  # one token in some hundred has the form of a Bitcoin address

    assert score - by_chance < 1
    assert [rule for rule in rules if FORM.match(rule)] == []


def test_a_broken_message_is_found(judged):
    """The filter does look at the form."""
    score, rules = judged["broken"]

    assert score >= 1
    assert [rule for rule in rules if FORM.match(rule)] != []

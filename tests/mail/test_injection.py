"""What a lead says of itself cannot become a header or a recipient; read back by two readers, on the bytes."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from nurture.mail.compose import ALLOWED, compose
from nurture.mail.dkim import Signer
from nurture.mail.faults import BadHeader, MessageFault
from nurture.mail.render import Rendered
from tests.mail import reader
from tests.mail.letters import job, renderer
from tests.mail.test_compose import USUAL, made

SIGNER = Signer("s1", None, Ed25519PrivateKey.generate())
INTENDED = [
    *("DKIM-Signature", "From", "To", "Subject", "Date", "Message-ID", "Reply-To", "List-Unsubscribe"),
    *("List-Unsubscribe-Post", "List-Id", "MIME-Version", "Content-Type"),
]
RENDERER = renderer(
    greet='{% extends "_shared/letter.j2" %}{% block subject %}{{ lead.first_name }} of {{ lead.company }}{% endblock %}'
    "{% block body %}<p>Hi {{ lead.first_name }}</p>{% endblock %}"
)

#: Text as people and attackers write it; letters that mean something in mail come often.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.text(
    st.sampled_from("\r\n\0 \t:<>@,;=?_\x0b\x0c\x1c\x85\u2028\u2029aBc.éÿم\"'\\()&") | st.characters(), max_size=60
)


@given(first_name=TEXT, company=TEXT)
@example(first_name="=?utf-8?q?hi=0ABcc:_x@y.z?=", company="Acme")
@example(first_name="=", company="?utf-8?q?hi=0ABcc:_x@y.z?=")
@example(first_name="Ana\r\nBcc: evil@x.example", company="Acme")
@example(first_name="Ana", company="\r\n\r\n<html>")
@example(first_name="Ana\u2028Bcc: evil@x.example", company="Acme & Söhne <GmbH>")
@example(first_name=" Ana ", company="x" * 600)
@example(first_name="\ufeffAna\u202e", company="\ud800")
def test_a_lead_s_words_stay_in_their_place(first_name, company):
    """The touch fails, or two readers find the intended headers, each once, and the subject as it was rendered."""
    try:
        rendered = RENDERER.render(job("greet", lead={"first_name": first_name, "company": company}))
        payload = compose(rendered, signer=SIGNER, **USUAL)
    except MessageFault:
        return
    strict, lenient = reader.fields(payload), message_from_bytes(payload, policy=default)

    assert [name for name, _ in strict] == lenient.keys() == INTENDED
    assert dict(strict)["Subject"] == lenient["Subject"] == rendered.subject
    assert dict(strict)["To"] == "ana@acme.example"
    assert [address.addr_spec for address in lenient["To"].addresses] == ["ana@acme.example"]
    assert len(reader.parts(payload)) == len(list(lenient.iter_parts())) == 2


FORBIDDEN = {
    **{f"C0 {code:#04x}": chr(code) for code in range(32)},
    "DEL": "\x7f",
    **{f"C1 {code:#04x}": chr(code) for code in range(128, 160)},
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "half a character": "\ud800",
    "an encoded word (CVE-2024-6923)": "=?utf-8?q?hi=0ABcc:_x@y.z?=",
}
VALUES: dict[str, str] = {
    "subject": "Hello {} you",
    "from_name": "Lena {} Pop",
    "from_address": "le{}na@brightdesk.example",
    "to": "a{}na@acme.example",
    "reply_to": "hel{}lo@brightdesk.example",
    "message_id": "<t.ab{}c@brightdesk.example>",
    "list_id": "saas{}.brightdesk.example",
    "unsubscribe_url": "https://go.brightdesk.example/u/{}x",
    "unsubscribe_to": "bounces+{}x@in.brightdesk.example",
}


@pytest.mark.parametrize("character", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_no_value_holds_what_ends_a_line(character):
    """Each value that a header is made of, with the character inside, before and after it."""
    taken = []
    for field, usual in VALUES.items():
        for value in (usual.format(character), character + usual.format(""), usual.format("") + character):
            try:
                made(**{field: value})
            except BadHeader:
                continue
            taken.append((field, value))

    assert taken == []


RECIPIENTS = {
    "two addresses": "a@b.example, evil@x.example",
    "two addresses without a space": "a@b.example,evil@x.example",
    "two with a semicolon": "a@b.example;evil@x.example",
    "a group (RFC 6854)": "friends: a@b.example;",
    "an empty group": "undisclosed-recipients:;",
    "a name and an address": "Ana <a@b.example>",
    "an address in brackets": "<a@b.example>",
    "a comment": "a@b.example (evil@x.example)",
    "a comment inside": "a(evil)@b.example",
    "a quoted local part": '"a@x.example"@b.example',
    "a route (RFC 5321 appendix C)": "@x.example:a@b.example",
    "the envelope's end": "a@b.example>\r\nRCPT TO:<evil@x.example",
    "two at signs (CVE-2023-27043)": "a@b.example@x.example",
    "a space": "a @b.example",
    "nothing": "",
}


@pytest.mark.parametrize("field", ["to", "from_address", "reply_to", "unsubscribe_to"])
@pytest.mark.parametrize("address", RECIPIENTS.values(), ids=RECIPIENTS.keys())
def test_exactly_one_recipient(address, field):
    """In every header that holds an address."""
    with pytest.raises(BadHeader):
        made(**{field: address})


def test_the_allow_list_is_looked_at_last():
    """What was serialised is read again: a header that a signer adds is refused like any other."""

    class Forged(Signer):
        def header(self, *_: Any) -> bytes:
            return b"DKIM-Signature: v=1\r\nBcc: evil@x.example"

    class Twice(Signer):
        def header(self, *_: Any) -> bytes:
            return b"DKIM-Signature: v=1\r\nDKIM-Signature: v=1"

    for kind, name in ((Forged, "Bcc"), (Twice, "DKIM-Signature")):
        with pytest.raises(BadHeader, match=name):
            made(signer=kind("s1", None, Ed25519PrivateKey.generate()))
    assert b"Bcc" not in ALLOWED


LONG = "https://go.brightdesk.example/" + "u" * 900


def test_the_line_of_both_ways_out_is_not_folded():
    """Https first, then mail; characters that mean something in a URL are quoted (RFC 6068)."""
    payload = made(unsubscribe_to="b&c%d/e=f+token@in.brightdesk.example")

    mail = "<mailto:b%26c%25d%2Fe%3Df+token@in.brightdesk.example?subject=unsubscribe>"
    assert f"\r\nList-Unsubscribe: <{USUAL['unsubscribe_url']}>, {mail}\r\n".encode() in payload
    with pytest.raises(BadHeader, match="too long"):
        made(unsubscribe_url=LONG, unsubscribe_to="bounces+token@in.brightdesk.example")


def test_rendered_controls_are_seen():
    """A subject is checked as it was rendered, whatever made it."""
    with pytest.raises(BadHeader, match="Subject"):
        compose(Rendered("a\nb", "", ""), **USUAL)

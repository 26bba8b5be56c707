"""Who writes, who reads the answers, and what stands behind links: from sequence.yaml to the bytes and the redirect."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from urllib.parse import urlsplit

import pytest

from nurture.channels.base import Parcel
from nurture.channels.recording import RecordingChannel
from nurture.mail.utm import tag_html, tag_text, tagged
from tests.engine.world import PROGRAM, World, program, sequence
from tests.mail.test_dkim import SIGNERS, verified
from tests.web.factories import Visitor

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}"
HOUSE = PROGRAM.replace(
    "sales: [{name: Mihai, email: mihai@acme.example, country: RO}]",
    "reply_to: desk@acme.example\nsales:\n"
    "  - {name: Mihai Ionescu, email: mihai@acme.example, country: RO}\n"
    "  - {name: Sarah, email: sarah@elsewhere.example}",
)
LETTER = """<html><body>{% block subject %}Hello{% endblock %} from {{ sender.name }} ({{ sender.address }})
<a href="https://acme.example/tour?a=1#top">tour</a> <a href="https://acme.example/own?utm_source=x">own</a>
<a href="{{ form_url('demo') }}">form</a> <a href="{{ unsubscribe_url }}">stop</a></body></html>"""
FORMS = "forms: {demo: {event: demo, title: A demo}}\n"


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    made = World(sqlite_url)
    yield made
    made.close()


def sent(
    world: World, owner: str | None = None, tracking: str | None = "consent", house: str = HOUSE, **more: str
) -> EmailMessage:
    """The one letter that a sequence with these keys sends to a lead of this owner."""
    files = {"program.yaml": house + FORMS, "drip/hello.j2": LETTER}
    world.publish(program(files, drip=sequence(STEPS, **more)))
    world.lead("bo", tracking=tracking, owner=owner) if owner else world.lead("bo", tracking=tracking)
    world.event("bo", "signed_up")
    world.tick()
    return message_from_bytes(last(world).payload, policy=SMTPUTF8)


def last(world: World) -> Parcel:
    """What left by e-mail last."""
    channel = world.machine.email
    assert isinstance(channel, RecordingChannel)
    return channel.parcels[-1]


def body(letter: EmailMessage, kind: str) -> str:
    """The text or HTML of a letter."""
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content())


MIHAI, SARAH = "mihai@acme.example", "sarah@elsewhere.example"
OWN = "{name: Lena Pop, address: lena@north.example}"
VOICES: dict[str, tuple[str | None, dict[str, str], tuple[str, str, str]]] = {
    "the program's": (None, {}, ("Ana", "ana@acme.example", "desk@acme.example")),
    "the sequence's": (None, {"sender": OWN}, ("Lena Pop", "lena@north.example", "desk@acme.example")),
    "the owner": (MIHAI, {"sender": "owner"}, ("Mihai Ionescu", MIHAI, "desk@acme.example")),
    "an owner of another domain": (SARAH, {"sender": "owner"}, ("Sarah", SARAH, "desk@acme.example")),
    "an owner who has left": ("tom@acme.example", {"sender": "owner"}, ("Ana", "ana@acme.example", "desk@acme.example")),
    "no owner": (None, {"sender": "owner", "reply_to": "owner"}, ("Ana", "ana@acme.example", "desk@acme.example")),
    "answers to the owner": (MIHAI, {"reply_to": "owner"}, ("Ana", "ana@acme.example", MIHAI)),
    "answers to an address": (None, {"reply_to": "north@acme.example"}, ("Ana", "ana@acme.example", "north@acme.example")),
    "both the owner": (MIHAI, {"sender": "owner", "reply_to": "owner"}, ("Mihai Ionescu", MIHAI, MIHAI)),
}  # fmt: skip


@pytest.mark.parametrize(("owner", "more", "expected"), VOICES.values(), ids=VOICES.keys())
def test_who_writes_and_who_reads(world, owner, more, expected):
    """From, Reply-To and `sender` in the letter; the domain of From in Message-ID and signature, the list's name stays."""
    world.machine.signer = SIGNERS["ed25519"]
    letter = sent(world, owner, **more)
    name, address, reads = expected
    domain = address.rpartition("@")[2]

    assert (letter["From"].addresses[0].display_name, letter["From"].addresses[0].addr_spec) == (name, address)
    assert letter["Reply-To"] == reads
    assert f"from {name} ({address})" in body(letter, "html")
    assert letter["Message-ID"].endswith(f"@{domain}>")
    assert letter["List-Id"] == "<drip.acme.example>"
    parcel = last(world)
    assert verified(parcel.payload, "ed25519", domain)
    assert parcel.sender == ("ana@acme.example" if domain == "acme.example" else address)


TOUR = "https://acme.example/tour?a=1"
UTM = "utm_source={}&utm_medium={}&utm_campaign={}&utm_content={}"
SITE = HOUSE + "utm: {source: acme, medium: email}\n"
LINKS = {
    "nobody asks": (HOUSE, {}, None),
    "the program asks": (SITE, {}, UTM.format("acme", "email", "drip", "hello")),
    "the sequence changes one": (SITE, {"utm": "{campaign: Frühling 26}"}, UTM.format("acme", "email", "Fr%C3%BChling%2026", "hello")),
    "the sequence alone asks": (HOUSE, {"utm": "{medium: nurture}"}, UTM.format("acme", "nurture", "drip", "hello")),
    "off in the sequence": (SITE, {"utm": "off"}, None),
}  # fmt: skip


@pytest.mark.parametrize("tracked", [False, True], ids=["plain links", "tracked links"])
@pytest.mark.parametrize(("house", "more", "expected"), LINKS.values(), ids=LINKS.keys())
def test_what_stands_behind_a_link(world, tracked, house, more, expected):
    """Between query and fragment of the pages of others; a link that has its own, and ours, stay."""
    letter = sent(world, tracking="consent" if tracked else None, house=house, **more)
    html = body(letter, "html")
    links = [piece.partition('"')[0].replace("&amp;", "&") for piece in html.split('href="')[1:]]
    if tracked:
        visit = Visitor(world.machine)
        links[:2] = [visit.get(urlsplit(link).path).headers["location"] for link in links[:2]]

    assert links[0] == TOUR + (f"&{expected}#top" if expected else "#top")
    assert links[1] == "https://acme.example/own?utm_source=x"
    assert not any("utm_" in link for link in links[2:])
    if not tracked:
        assert links[0] in body(letter, "plain")


TAGS = {"source": "a b", "medium": "m"}
URLS = {
    "https://a.example": "https://a.example?utm_source=a%20b&utm_medium=m",
    "https://a.example/?": "https://a.example/?utm_source=a%20b&utm_medium=m",
    "https://a.example/x?y=1&": "https://a.example/x?y=1&utm_source=a%20b&utm_medium=m",
    "https://a.example/x?y=%20#z?q": "https://a.example/x?y=%20&utm_source=a%20b&utm_medium=m#z?q",
    "https://a.example/x?UTM_Source=1": "https://a.example/x?UTM_Source=1",
    "https://a.example/#utm_source=1": "https://a.example/#utm_source=1",
    "https://go.example": "https://go.example",
    "https://go.example/f/x?y": "https://go.example/f/x?y",
    "https://go.example.evil/": "https://go.example.evil/?utm_source=a%20b&utm_medium=m",
}


@pytest.mark.parametrize(("url", "expected"), URLS.items())
def test_an_address_with_parameters(url, expected):
    """Nothing else of it changes."""
    assert tagged(url, TAGS, "https://go.example") == expected
    assert tagged(url, {}, "") == url


def test_links_that_data_make_and_those_in_hand_written_text():
    """Any tag with an href but a style sheet's; a full stop behind an address is not of it."""
    html = '<link href="https://a.example/x.css"><a class="b" href=\'https://a.example/?a=1&amp;b=2\'>x</a> href="https://no"'
    assert tag_html(html, {"source": "s"}, "") == (
        '<link href="https://a.example/x.css">'
        '<a class="b" href="https://a.example/?a=1&amp;b=2&amp;utm_source=s">x</a> href="https://no"'
    )
    assert tag_text("See https://a.example/x. (https://b.example)", {"source": "s"}, "") == (
        "See https://a.example/x?utm_source=s. (https://b.example?utm_source=s)"
    )

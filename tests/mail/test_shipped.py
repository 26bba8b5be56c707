"""Each shipped letter, read back by two readers that know nothing of the writer."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from nurture.mail.verp import touch_of
from tests.mail import reader
from tests.mail.shipped import BOUNCES, KEYS, shipped

LIST_HEADERS = {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"}
TYPES = ["text/plain; charset=utf-8", "text/html; charset=utf-8"]


def wire(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def test_all_letters_are_here():
    """All segments, both languages, with and without data, and the notice."""
    names = set(shipped())

    assert len(names) > 40
    assert {"_shared/notice.j2 known", "_shared/offer.ar.j2 nobody", "win-back/gift.ar.j2 known"} <= names


@pytest.mark.parametrize("name", shipped())
def test_two_readers_read_what_was_meant(name):
    """From, To, Subject, the list's headers, text and HTML: the standard library's parser and a strict one agree."""
    letter = shipped()[name]
    theirs = message_from_bytes(letter.payload, policy=default)
    ours = dict(reader.fields(letter.payload))

    assert len(ours) == len(theirs.keys())
    assert theirs.defects == []
    assert ours["Subject"] == theirs["Subject"] == letter.rendered.subject
    assert [a.addr_spec for a in theirs["To"].addresses] == [ours["To"]] == [letter.to]
    assert [a.addr_spec for a in theirs["From"].addresses] == ["lena@brightdesk.example"]
    assert ours["From"].endswith("<lena@brightdesk.example>")
    for header in LIST_HEADERS & ours.keys():
        assert ours[header] == theirs[header]
    read = reader.parts(letter.payload)
    assert read == [(TYPES[0], wire(letter.rendered.text)), (TYPES[1], wire(letter.rendered.html))]
    assert [wire(part.get_content()) for part in theirs.iter_parts()] == [text for _, text in read]


@pytest.mark.parametrize("name", shipped())
def test_the_way_out_of_a_list(name):
    """Https first, then mail with a token of its own, on one line; a notice to sales has neither."""
    payload = shipped()[name].payload
    ours = dict(reader.fields(payload))
    if name.startswith("_shared/notice"):
        assert not LIST_HEADERS & ours.keys()
        assert ours["Auto-Submitted"] == "auto-generated"
        return
    url, mail = ours["List-Unsubscribe"].split(", ")

    assert f"\r\nList-Unsubscribe: {url}, {mail}\r\n".encode() in payload
    assert url.startswith("<https://go.brightdesk.example/u/")
    address = mail.removeprefix("<mailto:").removesuffix("?subject=unsubscribe>")
    assert touch_of(address, KEYS, "unsubscribe") is not None
    assert touch_of(address, KEYS, "bounce") is None
    assert address.endswith("@" + BOUNCES.partition("@")[2])
    assert ours["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


BROKEN = {
    "a bare line end in the headers": b"Subject: x\nBcc: y@z.example\r\n\r\n",
    "no empty line": b"Subject: x\r\n",
    "a line that is no header": b"Subject: x\r\nwhatever\r\n\r\n",
}


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN.keys())
def test_the_strict_reader_is_strict(payload):
    """What it accepts is worth something."""
    with pytest.raises(ValueError, match=r"no (header|empty line)"):
        reader.fields(payload)

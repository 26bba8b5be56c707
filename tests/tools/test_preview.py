"""`nurture preview`: the message that a lead would get, and nothing that happens because of it."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from sqlmodel import SQLModel

from nurture import tokens
from nurture.db import Database
from nurture.reading.picture import BROWSERS, page_picture
from tests.channels.relay import Relay
from tests.cli.conftest import Desk

_TOKEN = re.compile(r"/([uocp])/[A-Za-z0-9_-]{30,40}")
GREETING = """\
{% extends "_shared/letter.j2" %}
{% block subject %}Hello {{ lead.first_name or "there" }}{% endblock %}
{% block preheader %}In a nutshell{% endblock %}
{% block body %}<p>{{ lead.use_case or "Your work" }}</p>{{ button("Tour", "https://acme.example/tour") }}{% endblock %}
"""
OFFERS = """\
offers:
  - {key: prices, title: The prices, stage: consideration, topics: [saas], url: "https://acme.example/prices"}
  - {key: primer, title: The primer, stage: consideration, url: "https://acme.example/primer"}
  - {key: anleitung, title: Die Anleitung, stage: consideration, language: de, url: "https://acme.example/de"}
"""
SEQUENCE = """\
name: Evaluators
segment: {industry: saas}
enrol: {when: {did: whitepaper_downloaded}}
steps:
  - {id: welcome, email: welcome.j2}
  - {id: case, offer: {topic: {field: industry}, stage: consideration}}
  - {id: settle, wait: 2 days}
  - {id: more, offer: {topic: {field: industry}, stage: consideration}}
  - {id: bye, email: bye.j2}
"""


@pytest.fixture
def shop(desk: Desk) -> Desk:
    """The small program with a letter that says who reads it, offers, and a German variant."""
    desk.write("templates/offers.yaml", OFFERS)
    desk.write("templates/evaluators/sequence.yaml", SEQUENCE)
    desk.write("templates/evaluators/welcome.j2", GREETING)
    desk.write("templates/evaluators/welcome.de.j2", GREETING.replace("Hello", "Guten Tag"))
    return desk


def rows(desk: Desk) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the database."""
    db = Database(f"sqlite:///{desk.folder / '.nurture' / 'nurture.db'}")
    with db.read() as link:
        found = {
            name: sorted(map(tuple, link.execute(table.select())), key=repr)
            for name, table in SQLModel.metadata.tables.items()
        }
    db.dispose()
    return found


def heads(text: str) -> dict[str, str]:
    """The block of headers over the text."""
    lines = text.partition("\n---")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_somebody_of_whom_nothing_is_known(shop: Desk) -> None:
    """Without a database: the folder is enough."""
    said = shop.nurture("preview", "evaluators", "welcome")

    assert said.code == 0
    assert heads(said.out) == {
        "From": "Lena at Brightdesk <lena@brightdesk.example>",
        "To": "somebody@example.com",
        "Subject": "Hello there",
        "Preheader": "In a nutshell",
        "File": "evaluators/welcome.j2",
        "Missing": "first_name, use_case",
    }
    assert "Your work" in said.out
    assert "https://acme.example/tour" in said.out
    assert not (shop.folder / ".nurture").exists()


def test_somebody_made_up(shop: Desk) -> None:
    like = ["--like", "first_name=Zoë", "--like", "use_case=ticketing", "--like", "email=zoe@acme.example"]
    said = shop.nurture("preview", "evaluators", "welcome", *like, "--language", "de")

    told = heads(said.out)
    assert (told["Subject"], told["To"], told["File"]) == (
        "Guten Tag Zoë", "zoe@acme.example", "evaluators/welcome.de.j2",
    )  # fmt: skip
    assert "Missing" not in told
    assert "ticketing" in said.out


def test_a_lead_of_the_database_and_nothing_changes(shop: Desk) -> None:
    shop.open_for_business()
    before = rows(shop)

    said = shop.nurture("preview", "evaluators", "welcome", "--lead", "ana@acme.example")

    assert heads(said.out)["Subject"] == "Hello Ana"
    assert heads(said.out)["To"] == "ana@acme.example"
    assert rows(shop) == before
    assert not list((shop.folder / ".nurture").glob("mail/*"))


def test_a_lead_of_either_database(shop: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NURTURE_DATABASE_URL", database_url.replace("postgresql+psycopg://", "postgresql://"))
    shop.open_for_business()
    assert shop.nurture("tick", "--now", "2026-03-02T08:00:00Z").code == 0

    said = shop.nurture("preview", "evaluators", "more", "--lead", "ana@acme.example", "--live")

    assert heads(said.out)["Offer"] == "primer: The primer"


def test_it_is_what_the_engine_sends(shop: Desk) -> None:
    """Letter for letter; only the tokens are others."""
    shop.open_for_business()
    assert shop.nurture("preview", "evaluators", "welcome", "--lead", "ana@acme.example", "--as", "eml").code == 0
    shown = message_from_bytes((shop.folder / "evaluators.welcome.eml").read_bytes(), policy=policy.default)
    assert shop.nurture("tick", "--now", "2026-03-02T08:00:00Z").code == 0
    sent = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in shop.folder.rglob("mail/*.eml")]
    (mine,) = [one for one in sent if one["Subject"] == "Hello Ana"]

    for name in ("From", "To", "Subject", "Reply-To", "List-Id", "List-Unsubscribe-Post"):
        assert shown[name] == mine[name]
    for kind in ("plain", "html"):
        assert _TOKEN.sub(r"/\1/", _body(shown, kind)) == _TOKEN.sub(r"/\1/", _body(mine, kind))
    assert shown["Message-ID"] != mine["Message-ID"]


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_the_links_of_a_preview_open_nothing(shop: Desk) -> None:
    shop.open_for_business()
    shop.nurture("preview", "evaluators", "case", "--lead", "ana@acme.example", "--as", "html", "--to", "out.html")
    page = (shop.folder / "out.html").read_text("utf-8")
    keys = tokens.keys((shop.folder / ".nurture" / "secret_key").read_text().strip())
    found = re.findall(r"/([uo])/([A-Za-z0-9_-]{30,40})", page)

    assert {door for door, _ in found} == {"u", "o"}
    for door, token in found:
        with pytest.raises(tokens.BadToken):
            keys.open("unsubscribe" if door == "u" else "offer", token)


def test_links_lead_where_they_are_written_to(shop: Desk) -> None:
    """Also for a lead whose clicks would be followed: a marketer can try them, and nobody's click is counted."""
    shop.open_for_business()
    shop.write("more.csv", "email,first_name,industry,consent,tracking_consent\ncleo@acme.example,Cleo,saas,yes,yes\n")
    assert shop.nurture("import", "leads", "more.csv").code == 0

    said = shop.nurture("preview", "evaluators", "welcome", "--lead", "cleo@acme.example", "--as", "html")

    page = (shop.folder / said.out.strip()).read_text("utf-8")
    assert 'href="https://acme.example/tour"' in page
    assert "/c/" not in page


def test_the_folder_and_what_is_live(shop: Desk) -> None:
    shop.open_for_business()
    shop.write("templates/evaluators/welcome.j2", GREETING.replace("Hello", "Welcome back"))

    draft = shop.nurture("preview", "evaluators", "welcome", "--draft", "--lead", "ana@acme.example")
    live = shop.nurture("preview", "evaluators", "welcome", "--live", "--lead", "ana@acme.example")

    assert heads(draft.out)["Subject"] == "Welcome back Ana"
    assert heads(live.out)["Subject"] == "Hello Ana"


def test_the_engine_chooses_the_piece(shop: Desk) -> None:
    """By topic, by language, and never one that the lead has had."""
    chosen = {
        name: heads(shop.nurture("preview", "evaluators", "case", *like).out).get("Offer")
        for name, like in {
            "on its topic": ["--like", "industry=saas"],
            "on another": ["--like", "industry=retail"],
            "in German": ["--language", "de"],
        }.items()
    }
    assert chosen == {
        "on its topic": "prices: The prices", "on another": "primer: The primer", "in German": "anleitung: Die Anleitung",
    }  # fmt: skip

    shop.open_for_business()
    assert shop.nurture("tick", "--now", "2026-03-02T08:00:00Z").code == 0
    left = shop.nurture("preview", "evaluators", "more", "--lead", "ana@acme.example")
    none = shop.nurture("preview", "evaluators", "case", "--lead", "ana@acme.example", "--language", "fr")

    assert heads(left.out)["Offer"] == "primer: The primer"
    assert none.code == 1
    assert "has nothing for this lead" in none.err


def test_a_lead_that_is_never_written_to_is_said(shop: Desk) -> None:
    shop.open_for_business()
    shop.nurture("unsubscribe", "ana@acme.example")

    said = shop.nurture("preview", "evaluators", "welcome", "--lead", "ana@acme.example")

    assert said.code == 0
    assert "never written to" in heads(said.out)["Note"]


REFUSED = {
    "no segment": (["evaluatrs", "welcome"], "did you mean 'evaluators'?"),
    "no step": (["evaluators", "welcom"], "did you mean 'welcome'?"),
    "a step that sends nothing": (["evaluators", "settle"], "it sends nothing that a lead reads; known: bye, case"),
    "no field": (["evaluators", "welcome", "--like", "frist_name=Ana"], "did you mean 'first_name'?"),
    "no number": (["evaluators", "welcome", "--like", "employees=many"], "'many' is no number; write 12"),
    "no value": (["evaluators", "welcome", "--like", "first_name"], "write --like first_name=Ana"),
    "no variant": (["evaluators", "welcome", "--variant", "b"], "has no variant 'b'"),
    "two leads": (["evaluators", "welcome", "--lead", "1", "--like", "title=x"], "not both"),
}


@pytest.mark.parametrize(("name", "case"), REFUSED.items(), ids=REFUSED.keys())
def test_what_cannot_be_shown_says_the_way_out(name: str, case: tuple[list[str], str], shop: Desk) -> None:
    words, told = case
    said = shop.nurture("preview", *words)

    assert (said.code, said.out) == (1, ""), name
    assert told in said.err


def test_an_unknown_lead(shop: Desk) -> None:
    shop.open_for_business()
    said = shop.nurture("preview", "evaluators", "welcome", "--lead", "nobody@acme.example")

    assert said.code == 1
    assert "no lead is known as 'nobody@acme.example'" in said.err


def test_a_letter_that_fails_says_where(shop: Desk) -> None:
    shop.write("templates/evaluators/welcome.j2", GREETING.replace('lead.use_case or "Your work"', "1 // 0"))
    said = shop.nurture("preview", "evaluators", "welcome")

    assert said.code == 1
    assert "evaluators/welcome.j2:4" in said.err


VARIANTS = SEQUENCE.replace("email: welcome.j2", "email: welcome.j2, variants: {a: 50, b: 50}")


def test_a_variant_of_an_experiment(shop: Desk) -> None:
    shop.write("templates/evaluators/sequence.yaml", VARIANTS)
    for arm in ("a", "b"):
        shop.write(f"templates/evaluators/welcome.{arm}.j2", GREETING.replace("Hello", f"Arm {arm}"))

    shown = [heads(shop.nurture("preview", "evaluators", "welcome", "--variant", arm).out) for arm in ("a", "b")]

    assert [(one["Subject"], one["Variant"]) for one in shown] == [("Arm a there", "a"), ("Arm b there", "b")]


def test_a_text_message(shop: Desk) -> None:
    text = SEQUENCE.replace("  - {id: settle", "  - {id: ping, sms: ping.j2}\n  - {id: settle")
    shop.write("templates/evaluators/sequence.yaml", text)
    shop.write("templates/evaluators/ping.j2", "Hello {{ lead.first_name or 'there' }} {{ unsubscribe_url }}")

    said = shop.nurture("preview", "evaluators", "ping", "--like", "phone=+40 721 123 456")
    none = shop.nurture("preview", "evaluators", "ping")
    page = shop.nurture("preview", "evaluators", "ping", "--like", "phone=+40721123456", "--as", "html")

    assert heads(said.out)["To"] == "+40721123456"
    assert "Hello there" in said.out
    assert none.code == 1
    assert "no phone" in none.err
    assert page.code == 1
    assert "--as text" in page.err


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A mail server that takes everything."""
    with Relay() as opened:
        yield opened


def test_sent_to_myself(shop: Desk, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked, to me alone; the lead and the database see nothing of it."""
    shop.open_for_business()
    before = rows(shop)
    monkeypatch.setenv("NURTURE_SMTP_URL", relay.url)

    said = shop.nurture(
        "preview", "evaluators", "welcome", "--lead", "ana@acme.example", "--send-to", "me@brightdesk.example",
        "--send-to", "boss@brightdesk.example",
    )  # fmt: skip

    assert said.code == 0, said.err
    assert sorted(one for envelope in relay.taken for one in envelope.rcpt_tos) == [
        "boss@brightdesk.example", "me@brightdesk.example",
    ]  # fmt: skip
    sent = [message_from_bytes(envelope.original_content or b"", policy=policy.default) for envelope in relay.taken]
    assert {one["Subject"] for one in sent} == {"[preview] Hello Ana"}
    assert {one["List-Unsubscribe"] for one in sent} == {None}
    assert len({one["Message-ID"] for one in sent}) == 2
    assert all("ana@acme.example" not in str(one["To"]) for one in sent)
    assert rows(shop) == before


def test_without_a_relay_nothing_is_sent(shop: Desk) -> None:
    said = shop.nurture("preview", "evaluators", "welcome", "--send-to", "me@brightdesk.example")

    assert said.code == 1
    assert "NURTURE_SMTP_URL is not set, so nothing was sent; evaluators.welcome.eml was written" in said.err
    written = message_from_bytes((shop.folder / "evaluators.welcome.eml").read_bytes(), policy=policy.default)
    assert (written["To"], written["Subject"]) == ("me@brightdesk.example", "[preview] Hello there")


needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", picture[16:24])


@needs_browser
def test_pictures_for_phone_and_desktop(shop: Desk) -> None:
    said = shop.nurture("preview", "evaluators", "welcome", "--as", "png", "--to", "shots/hello.png")

    assert said.out.split() == ["shots/hello.phone.png", "shots/hello.desktop.png"]
    phone, desktop = (size((shop.folder / name).read_bytes()) for name in said.out.split())
    assert (phone[0], desktop[0]) == (780, 1600)
    assert phone[1] > 600
    assert desktop[1] > 600


@needs_browser
def test_a_picture_is_as_tall_as_the_message_and_fetches_nothing(relay: Relay) -> None:
    """The image's server is a real one, on this machine, and is never spoken to; no script of a message runs."""
    script = "<script>document.body.style.height = '4000px'</script>"
    image = f'<img src="{relay.url.replace("smtp+plain", "http").replace("smtp", "http")}/pixel.png" width="10" height="10">'
    page = f'<body style="margin:0"><div style="height:1500px">{image}</div>{script}</body>'

    assert size(page_picture(page, 390, scale=1.0)) == (390, 1500)
    assert relay.connections == 0


def test_without_a_browser_the_way_out_is_said(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(shop.folder))
    said = shop.nurture("preview", "evaluators", "welcome", "--as", "png")

    assert (said.code, said.out) == (1, "")
    assert "install Chromium, or ask for --as html" in said.err

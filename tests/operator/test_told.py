"""What sales is told of a hand-off, when, in which words, and by chat besides; nothing of a lead's is taken for ours."""

from __future__ import annotations

import email
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert, update
from sqlmodel import col

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.channels.chat import ChatChannel, ChatFolder
from nurture.channels.recording import RecordingChannel
from nurture.program.check import check
from nurture.records import Handoff, Lead, Outbox
from tests.channels.chat_servers import ChatServer, slack_faults, teams_faults
from tests.engine.world import DAY, HOUR, LETTER, PROGRAM, World, program, sequence

MIHAI, LAYLA, BOSS = "mihai@acme.example", "layla@acme.example", "boss@elsewhere.example"
TEAM = """sales:
  - {name: Mihai, email: mihai@acme.example, country: RO}
  - {name: Layla, email: layla@acme.example, country: SA, zone: Asia/Riyadh, countries: [SA], language: ar, chat: gulf}
chat: {team: {kind: slack, everybody: true}, gulf: {kind: teams}}
"""
LIFECYCLE = """
milestones:
  asked: {when: {did: asked}, handoff: true, label: {en: Asked for a demo, ar: طلب عرضًا},
    follow_up: {en: Call today., ar: اتصلوا اليوم.}}
sla: {accept_within: 4 business hours, meet_within: 16 business hours, escalate_to: boss@elsewhere.example}
"""
SCORING = """
groups: {content: {at_most: 20}}
engagement:
  - {rule: looked at prices, when: {did: page_viewed}, points: 8, group: content}
"""
SHIPPED = Path(__file__).parents[2] / "templates" / "_shared"
FILES = program(
    {
        "program.yaml": PROGRAM[: PROGRAM.index("sales:")].replace(", since: date", "") + TEAM,
        "lifecycle.yaml": LIFECYCLE,
        "scoring.yaml": SCORING,
        "_shared/notice.j2": (SHIPPED / "notice.j2").read_text("utf-8"),
        "_shared/task.j2": (SHIPPED / "task.j2").read_text("utf-8"),
        "mail/hello.j2": LETTER.replace("{{ lead.first_name }}", "{{ address }}"),
    },
    mail=sequence('  - {id: hello, email: hello.j2}\n  - {id: ask, task: {for: sales, text: "Call them"}}'),
)
HOSTILE = {
    "first_name": "<script>x()</script>", "last_name": "[Salesforce](https://evil.example)", "title": "<!channel>",
    "company": "{{ 7 * 7 }} <https://evil.example|us> & Co" + " x" * 200,
}  # fmt: skip


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    made = World(sqlite_url, FILES)
    yield made
    made.close()


@pytest.fixture
def either(database_url: str) -> Iterator[World]:
    """The same on SQLite and on PostgreSQL."""
    made = World(database_url, FILES)
    yield made
    made.close()


def mails(world: World) -> list[tuple[str, EmailMessage]]:
    """(to, letter) of all that went to sales, in order."""
    parcels = cast(RecordingChannel, world.machine.email).parcels
    read = [(one.to, email.message_from_bytes(one.payload, policy=default)) for one in parcels]
    return [(to, letter) for to, letter in read if to in (MIHAI, LAYLA, BOSS)]


def body(letter: EmailMessage, kind: str = "plain") -> str:
    part = letter.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def chats(world: World) -> list[tuple[str, Any]]:
    """(place, message) of all chats."""
    return [(one.to, json.loads(one.payload)) for one in cast(RecordingChannel, world.machine.chat).parcels]


def asked(world: World, name: str = "lead", **values: Any) -> Any:
    """The hand-off of a new lead, of which nobody was told yet."""
    if name not in world.ids:
        world.lead(name, **{"email": f"{name.lower()}@of-{name.lower()}.example", **values})
    world.event(name, "asked", settle=True)
    return world.handoffs(name)[-1]


def change(world: World, handoff: int, **values: Any) -> None:
    world.do(lambda link: link.execute(update(Handoff).where(col(Handoff.id) == handoff).values(**values)))


def test_the_program_is_published_without_complaint() -> None:
    assert check(FILES) == []


WRONG: dict[str, tuple[str, str, str]] = {
    "a channel that is none": ("chat: gulf", "chat: golf", "there is no chat place 'golf'"),
    "two for everybody": ("{kind: teams}", "{kind: teams, everybody: true}", "both for everybody"),
    "an unknown kind": ("kind: teams", "kind: irc", "one of slack, teams"),
    "an address in the program": ("{kind: teams}", "{kind: teams, url: https://x.example}", "'url'"),
}


@pytest.mark.parametrize(("was", "now", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(was: str, now: str, said: str) -> None:
    (problem,) = check(FILES | {"program.yaml": FILES["program.yaml"].replace(was, now)})
    assert said in f"{problem.problem} {problem.remedy}"


#: Country of the lead; who is told, the subject, and lines of the letter in their words and on their clock.
SAID: dict[str, tuple[str, str, str, list[str]]] = {
    "in English": (
        "RO", MIHAI, "Asked for a demo: Ana Pop, Acme",
        [
            "Ana Pop of Acme reached “Asked for a demo”.", "I take this lead (", "Mihai, this one is yours.",
            "Please answer by Tue 3 Mar, 16:00.", "Call today.", "Country  Romania", "Came by  marketing", "20 of 100", "-4   at most 20 for content",
            "+24  looked at prices, 3 times · Tue 3 Mar, 11:20", "page viewed: /pricing",
            "3 Mar 2026, Mihai: rejected: Too early\n“no budget <before> June”", "Others of Acme", "Ben: taken by Mihai",
            "letter “hello” of mail", "Too early (",
        ],
    ),
    "in Arabic": (
        "SA", LAYLA, "طلب عرضًا: \u2068Ana Pop\u2069، \u2068Acme\u2069",
        [
            "\u2068Ana Pop\u2069 من \u2068Acme\u2069: طلب عرضًا.", "أتولّى هذا العميل (", "اتصلوا اليوم.", "المملكة العربية السعودية",
            "20 من 100", "20 على الأكثر لمجموعة content", "الثلاثاء 3 مارس، 12:20", "شاهد صفحة: \u2068/pricing\u2069", "الوقت مبكر", "تولّاه \u2068Layla\u2069",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("country", "to", "subject", "lines"), SAID.values(), ids=SAID)
def test_a_notice_says_what_is_known(world: World, country: str, to: str, subject: str, lines: list[str]) -> None:
    """Also what sales said before, and who else of the company is with them."""
    for name in ("Ana", "Ben"):
        last = {"last_name": "Pop"} if name == "Ana" else {}
        world.lead(
            name, first_name=name, company="Acme", country=country, email=f"{name.lower()}@acme.lead.example", **last
        )
    world.event("Ana", "signed_up")
    world.tick().at(DAY).tick()
    change(world, asked(world, "Ben").id, state="accepted", answered_at=world.now, answered_by=to)
    before = asked(world, "Ana")
    change(
        world, before.id, state="rejected", reason="premature", note="no budget <before> June", answered_at=world.now,
        answered_by=to, next_at=None,
    )  # fmt: skip
    world.do(lambda link: link.execute(update(Lead).values(account="acme.lead.example", stage="lead")))
    for _ in range(3):
        world.event("Ana", "page_viewed", path="/pricing")
        world.at(world.now + timedelta(minutes=40))
    asked(world, "Ana")
    world.machine.drain(world.now)
    told, letter = mails(world)[-1]
    text = body(letter)

    assert (told, letter["Subject"], letter["Reply-To"]) == (to, subject, "ana@acme.lead.example")
    assert [line for line in lines if line not in text] == []
    html = body(letter, "html")
    assert "no budget &lt;before&gt; June" in html
    assert f'dir="{"rtl" if country == "SA" else "ltr"}"' in html


def test_what_a_lead_wrote_is_text_and_no_more(world: World) -> None:
    """In the letter, its subject, and both chats."""
    for country in ("RO", "SA"):
        asked(world, country, country=country, **HOSTILE)
    world.machine.drain(world.now)
    letters, (slack, teams) = mails(world), chats(world)

    for _, letter in letters:
        assert "<script>" not in body(letter, "html")
        assert "&lt;script&gt;" in body(letter, "html")
        assert 'href="https://evil.example' not in body(letter, "html")
        assert "{{ 7 * 7 }}" in body(letter)
        assert len(letter["Subject"]) < 160
    assert slack_faults(json.dumps(slack[1]).encode()) == []
    assert teams_faults(json.dumps(teams[1]).encode()) == []


#: Kind of the notice; what became of the hand-off; who is told (None: nobody), a word of the subject, a word of the text.
TIMES: dict[str, tuple[str, dict[str, Any], str | None, str, str]] = {
    "the first, answered meanwhile": (
        "handoff_notice",
        {"state": "accepted"},
        MIHAI,
        "Asked for a demo",
        "Call today.",
    ),
    "a reminder": ("handoff_reminder", {}, MIHAI, "Still waiting", "Please do so by Mon 2 Mar, 14:00"),
    "a second one": ("handoff_reminder:2026-03-03", {}, MIHAI, "Still waiting", "I take this lead"),
    "a reminder, answered": ("handoff_reminder", {"state": "accepted"}, None, "", ""),
    "a reminder, with another": ("handoff_reminder:2026-03-03", {"state": "reassigned"}, None, "", ""),
    "an escalation": ("handoff_escalation", {}, BOSS, "Nobody has answered", "Mihai was to answer this hand-off by"),
    "an escalation, answered": ("handoff_escalation", {"state": "rejected"}, None, "", ""),
    "nobody met": ("meeting_reminder", {"state": "accepted"}, MIHAI, "Not met yet", "Mihai, you took this lead on"),
    "nobody met, the boss": (
        "handoff_escalation:meeting",
        {"state": "accepted"},
        BOSS,
        "Not met yet",
        "Mihai took this",
    ),
    "somebody met": ("meeting_reminder", {"state": "accepted", "progress": "met"}, None, "", ""),
}


@pytest.mark.parametrize(("kind", "became", "to", "subject", "words"), TIMES.values(), ids=TIMES)
def test_a_notice_that_is_true_no_more_is_not_sent(
    world: World, kind: str, became: dict[str, Any], to: str | None, subject: str, words: str
) -> None:
    handoff = asked(world, first_name="Ana")
    change(world, handoff.id, next_at=None, answered_at=world.now if became else None, **became)
    if kind != "handoff_notice":
        world.do(lambda link: link.execute(update(Outbox).values(kind=kind)))
    world.machine.drain(world.now)
    told = mails(world)

    assert [address for address, _ in told] == ([to] if to else [])
    for _, letter in told:
        assert subject in letter["Subject"]
        assert words in body(letter)
        assert (letter["Reply-To"] == MIHAI) is (to == BOSS)
        assert ("I take this lead" in body(letter)) is (not became and to == MIHAI)
    assert [row for row in world.rows(Outbox) if row.done_at is None] == []


def test_each_notice_is_told_by_chat_too(either: World) -> None:
    """Where its reader says, or else where everybody is; after the letters of the round, once, in the reader's words."""
    world = either
    order: list[str] = []
    for way in (world.machine.email, world.machine.chat):
        watch(cast(RecordingChannel, way), order)
    for country in ("RO", "SA"):
        asked(world, country, country=country, first_name=country)
    world.machine.drain(world.now)
    world.machine.drain(world.now)
    rows = [(row.kind, row.row_id) for row in world.rows(Outbox)]
    (team, slack), (gulf, teams) = chats(world)

    assert order == ["email", "email", "chat", "chat"]
    assert rows == [("handoff_notice", 1), ("handoff_notice", 2), ("handoff_chat", 1), ("handoff_chat", 2)]
    assert (team, gulf) == ("team", "gulf")
    assert slack["text"] == "Asked for a demo: RO"
    assert teams["attachments"][0]["content"]["actions"][0]["title"] == "أتولّى هذا العميل"
    urls = [one["url"] for one in slack["blocks"][-2]["elements"]]
    assert all(url in body(mails(world)[0][1], "html") for url in urls)
    assert len(urls) == 6


def watch(way: RecordingChannel, order: list[str]) -> None:
    deliver = way.deliver

    def noted(*args: Any) -> list[Receipt]:
        order.append(way.name)
        return deliver(*args)

    way.deliver = noted  # type: ignore[method-assign, assignment]


def test_a_program_without_chats_has_no_rows_for_them(sqlite_url: str) -> None:
    quiet = FILES["program.yaml"].replace(", everybody: true", "")
    world = World(sqlite_url, FILES | {"program.yaml": quiet})
    asked(world)
    world.machine.drain(world.now)
    kinds = [row.kind for row in world.rows(Outbox)]
    world.close()

    assert kinds == ["handoff_notice"]


#: Path of the place; hours until its message is looked at again; state of the row, and seconds until the next try.
LATER: dict[str, tuple[str, float, str | None, float | None]] = {
    "too many": ("/slack/busy", 0, "429 rate_limited", 30),
    "gone": ("/slack/gone", 0, "404 no_service", 300),
    "gone for a day": ("/slack/gone", 25, "not wanted any more", None),
    "well": ("/slack/well", 0, None, None),
}


@pytest.mark.parametrize(("path", "hours", "error", "seconds"), LATER.values(), ids=LATER)
def test_a_chat_is_tried_again_when_it_says(
    world: World, tmp_path: Path, path: str, hours: float, error: str | None, seconds: float | None
) -> None:
    with ChatServer() as server:
        folder = ChatFolder(tmp_path / "chat")
        world.machine.chat = ChatChannel({"team": server.url(path)}, folder, world.clock)
        asked(world)
        world.machine.drain(world.now)
        if hours:
            world.at(world.now + hours * HOUR)
            world.machine.drain(world.now)
    (row,) = world.rows(Outbox, col(Outbox.kind) == "handoff_chat")

    assert len(mails(world)) >= 1
    assert error is None if row.last_error is None else str(error) in row.last_error
    assert (row.next_at - world.now if row.next_at else None) == (timedelta(seconds=seconds) if seconds else None)


class Hanging:
    """A chat that answers when it is let."""

    name, aside, down = "chat", False, None

    def __init__(self) -> None:
        self.reached, self.let = threading.Event(), threading.Event()
        self.parcels: list[Parcel] = []

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        self.reached.set()
        assert self.let.wait(20)
        self.parcels += batch
        return [receipt(one, "accepted", "200") for one in batch]

    def close(self) -> None:
        """Nothing is held open."""


def test_a_chat_that_hangs_delays_no_letter(world: World) -> None:
    """A door takes its letter and leaves the chat; while one thread waits for a chat, letters leave by another."""
    world.machine.chat = chat = Hanging()
    asked(world, "one")
    claimed = world.do(lambda link: world.machine.claim_notices(link, world.now))
    waiting = threading.Thread(target=world.machine.drain, args=(world.now, claimed))
    waiting.start()
    assert chat.reached.wait(20)
    asked(world, "two")
    sent = world.machine.drain(world.now)
    letters = len(mails(world))
    chat.let.set()
    waiting.join()

    assert [kind for _, kind, _, _ in claimed.rows] == ["handoff_notice"]
    assert (sent, letters, len(chat.parcels)) == (1, 2, 2)
    assert [row for row in world.rows(Outbox) if row.done_at is None] == []


def test_a_task_is_told_in_the_words_of_who_is_asked(world: World) -> None:
    world.lead("ana", country="SA", first_name="Ana", company="x" * 300)
    world.event("ana", "signed_up")
    world.tick().at(2 * DAY).tick()
    (to, letter), *_ = mails(world)

    assert to == LAYLA
    assert letter["Subject"].startswith("مهمة لكم: \u2068Ana\u2069")
    assert len(letter["Subject"]) < 100
    assert "nurture done 1" in body(letter)


def test_an_older_row_of_a_mail_is_told_by_chat_once(world: World) -> None:
    """A repeat of the mail makes no second message."""
    handoff = asked(world)
    world.machine.drain(world.now)
    again = update(Outbox).where(col(Outbox.kind) == "handoff_notice").values(done_at=None, next_at=world.now)
    world.do(lambda link: link.execute(again))
    row = {
        "kind": "handoff_reminder:2",
        "row_id": handoff.id,
        "created_at": world.now,
        "next_at": world.now,
        "attempt": 0,
    }
    world.do(lambda link: link.execute(insert(Outbox).values(row)))
    world.machine.drain(world.now)

    assert [message["text"].split(":")[0] for _, message in chats(world)] == [
        "Asked for a demo",
        "Still waiting for you",
    ]

"""Who opened, and who followed what no person sees."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from nurture.channels.base import Parcel
from nurture.channels.recording import RecordingChannel
from nurture.engine.classing import agent_reason
from nurture.engine.machine import Machine
from nurture.records import ScoreEntry, ScoreSum, Touch
from nurture.web.opens import IMAGE
from tests.web.factories import (
    BROWSER,
    FILES,
    PAGE,
    Visitor,
    events,
    everything,
    later,
    letter_to,
    links_in,
    make_lead,
    opened,
    put_live,
    send,
    touch_of,
)

RAE = "rae@acme.example"
CRAWLERS = Path(__file__).parents[2].parent / "shared/data/user_agents/crawler-user-agents.json"
SAMPLE = Path(__file__).parents[2].parent / "shared/data/user_agents/mail_proxies_and_scanners.csv"
PIXEL = re.compile(r'<img src="http://links\.test(/o/[\w-]+\.gif)" alt=""[^>]*>')
TRAP = re.compile(r'<a href="http://links\.test(/c/[\w-]+)" hidden aria-hidden="true" tabindex="-1"[^>]*></a>')


@pytest.fixture
def letters(lettered_sqlite: tuple[Path, list[Parcel]], tmp_path: Path) -> Iterator[Machine]:
    """Rae and Noura have two letters each, twenty minutes old."""
    path, parcels = lettered_sqlite
    mail = RecordingChannel("email")
    mail.parcels = list(parcels)
    url = f"sqlite:///{shutil.copyfile(path, tmp_path / 'nurture.db')}"
    with opened(url, files=None, mail=mail, minutes=40) as machine:
        yield machine


def pixel(machine: Machine, address: str = RAE) -> str:
    """Where the image of somebody's first letter is."""
    (found,) = PIXEL.findall(letter_to(machine, address))
    return str(found)


def trap(machine: Machine, address: str = RAE) -> str:
    """The link that no person sees."""
    (found,) = TRAP.findall(letter_to(machine, address))
    return str(found)


def classes(machine: Machine, *names: str) -> list[tuple[str, str | None]]:
    """Actor and reason of each such event."""
    return [(event.actor, event.classed_by) for event in events(machine, *names)]


def test_marks_stand_last_in_a_tracked_letter(letters: Machine) -> None:
    """Once each, before the end of the body, unseen, and not in the text."""
    html = letter_to(letters, RAE)

    assert re.search(rf"{TRAP.pattern}{PIXEL.pattern}</body>", html)
    assert html.count("/o/") == 1
    assert isinstance(letters.email, RecordingChannel)
    for parcel in letters.email.parcels:
        text = parcel.payload.partition(b"text/html")[0].decode("ascii", "replace")
        assert ".gif" not in text
        assert trap(letters) not in text


def test_without_consent_or_with_opens_off_there_is_no_image(letters: Machine) -> None:
    """Without a tracking consent there is no trap either: nothing would be made of it."""
    make_lead(letters, "quiet@acme.example", tracking="no")
    make_lead(letters, "new@acme.example")
    put_live(letters, {**FILES, "program.yaml": FILES["program.yaml"] + "tracking: {opens: off}\n"})
    send(letters)

    plain, tracked = (letter_to(letters, f"{who}@acme.example") for who in ("quiet", "new"))
    assert (PIXEL.findall(plain), TRAP.findall(plain)) == ([], [])
    assert (PIXEL.findall(tracked), len(TRAP.findall(tracked))) == ([], 1)


def test_the_image_is_the_same_for_everybody(machine: Machine, visit: Visitor) -> None:
    """43 bytes for the right token, a broken one, one of another purpose, any words; on any site, and never kept."""
    right = pixel(machine)
    token = right.removeprefix("/o/").removesuffix(".gif")
    flipped = ("A" if token[0] != "A" else "B") + token[1:]
    clicked = machine.keys.seal("click", touch_of(machine, RAE).id)
    answers = [visit.get(f"/o/{one}.gif") for one in (token, flipped, clicked, "x", "%00", "a" * 300)]

    seen = {(one.status_code, one.content, tuple(sorted(one.headers.items()))) for one in answers}
    assert len(seen) == 1
    first = answers[0]
    assert (first.status_code, first.content, len(first.content)) == (200, IMAGE, 43)
    assert first.headers["content-type"] == "image/gif"
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    assert classes(machine, "email_opened") == [("person", None)]


def test_a_head_opens_nothing(letters: Machine) -> None:
    """It is answered like the rest."""
    before = everything(letters)

    assert Visitor(letters)("HEAD", pixel(letters)).status_code == 200
    assert everything(letters) == before


def test_once_an_hour_is_enough(letters: Machine) -> None:
    """A person's and a machine's are kept apart."""
    visit, where = Visitor(letters), pixel(letters)
    for _ in range(3):
        visit.get(where)
        visit.get(where, headers={"user-agent": "Mozilla/5.0"})
    later(letters, hours=1)
    visit.get(where)

    assert [actor for actor, _ in classes(letters, "email_opened")] == ["person", "machine", "person"]
    letters.settle(letters.now())
    with letters.db.read() as link:
        assert link.execute(select(func.count()).select_from(ScoreEntry)).scalar() == 0


def test_a_letter_that_is_not_tracked_tells_nothing(letters: Machine) -> None:
    """Whatever its token opens."""
    where, touch = pixel(letters), touch_of(letters, RAE)
    letters.db.transact(lambda link: link.execute(update(Touch).where(col(Touch.id) == touch.id).values(tracked=False)))
    before = everything(letters)

    assert Visitor(letters).get(where).content == IMAGE
    assert everything(letters) == before


AGENTS: dict[str, tuple[str, str | None]] = {
    "a person": (BROWSER, None),
    "a phone": ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", None),
    "Edge today": ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36 Edg/130.0", None),
    "Firefox": ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", None),
    "Internet Explorer 10": ("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; WOW64; Trident/6.0)", None),
    "Opera of old": ("Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18", None),
    "a phone with keys": ("Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5", None),
    "Samsung's": ("Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36", None),
    "Thunderbird": ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4", None),
    "who says where to read of it": ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120 Safari/537.36 https://looks.example", "a User-Agent that presents itself as a program"),
    "who is compatible": ("Mozilla/5.0 (compatible; Looker; Gecko/20100101)", "a User-Agent that presents itself as a program"),
    "no browser": ("acme-preview 1.4", "no browser's User-Agent"),
    "Apple's proxy": ("Mozilla/5.0", "a User-Agent of one word: Apple's Mail Privacy Protection, or a scanner"),
    "Gmail's proxy": ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "an image proxy"),
    "Yahoo's proxy": ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "an image proxy"),
    "Gmail's scan": ("Mozilla/5.0 (Windows NT 10.0) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", "Gmail's scan at delivery"),
    "a gateway": ("Mimecast-URL-Scanner/1.0", "User-Agent of a security gateway"),
    "another gateway": ("Mozilla/5.0 Proofpoint URL Defense", "User-Agent of a security gateway"),
    "a library": ("curl/8.5", "User-Agent of a crawler"),
    "nobody": (" ", "no User-Agent"),
}  # fmt: skip


@pytest.mark.parametrize(("agent", "why"), AGENTS.values(), ids=AGENTS.keys())
def test_what_a_user_agent_says(agent: str, why: str | None) -> None:
    """Each for a reason that can be read."""
    assert agent_reason(agent) == why


def test_nearly_every_known_crawler_is_known() -> None:
    """Of some 2,100 agents that others collected, 98 of a hundred; the rest call themselves browsers."""
    if not CRAWLERS.exists():
        pytest.skip("the list is not here")
    agents = [agent for kind in json.loads(CRAWLERS.read_text("utf-8")) for agent in kind.get("instances", ())]

    assert sum(agent_reason(agent) is not None for agent in agents) > 0.98 * len(agents) > 2000


def test_agents_that_were_seen_in_the_wild(letters: Machine) -> None:
    """Machines and proxies are machines; what looks like a person is one, unless it is there in seconds."""
    if not SAMPLE.exists():
        pytest.skip("the sample is not here")
    with SAMPLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 8
    for row in rows:
        verdict = "machine" if row["verdict"] in ("machine", "proxy_of_human") else "person"
        assert ("person" if agent_reason(row["user_agent"]) is None else "machine") == verdict, row
    lookalikes = [row["user_agent"] for row in rows if row["verdict"] == "machine_if_seconds_after_send"]
    make_lead(letters, "new@acme.example")
    letters.tick("readers", letters.now())
    later(letters, seconds=9)
    for agent in lookalikes:
        Visitor(letters).get(pixel(letters, "new@acme.example"), headers={"user-agent": agent})
    assert classes(letters, "email_opened") == [("machine", "sooner after delivery than a person reads")]


FETCHES = {"a page": ("document", "person"), "an image": ("image", "machine"), "a script's": ("empty", "machine")}


@pytest.mark.parametrize(("wanted", "actor"), FETCHES.values(), ids=FETCHES.keys())
def test_a_browser_says_for_what_it_fetches(letters: Machine, wanted: str, actor: str) -> None:
    """A link of a letter is followed to a page, or it is not followed."""
    link = next(link for link in links_in(letter_to(letters, RAE)) if link.startswith("/c/"))

    assert Visitor(letters).get(link, headers={**PAGE, "sec-fetch-dest": wanted}).status_code == 302
    assert [one for one, _ in classes(letters, "email_clicked")] == [actor]


def scores(machine: Machine) -> tuple[list[tuple[float, float]], float]:
    """(lines of the ledger as counted and summed, sum of all sums)."""
    with machine.db.read() as link:
        lines = link.execute(select(col(ScoreEntry.counted), col(ScoreEntry.summed)).order_by(col(ScoreEntry.id)))
        total = link.execute(select(func.sum(col(ScoreSum.total)))).scalar() or 0.0
        return [(row.counted, row.summed) for row in lines], float(total)


def test_the_link_that_no_person_sees(machine: Machine, visit: Visitor) -> None:
    """Who follows it was a machine ten minutes before and after: what had been counted is taken back."""
    link = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/c/"))
    visit.get(link)
    visit.get(pixel(machine))
    later(machine, minutes=9)
    machine.settle(machine.now())
    counted, total = scores(machine)
    assert (counted, total > 9) == ([(10.0, 10.0)], True)

    answer = visit.get(trap(machine))

    assert (answer.status_code, answer.headers["location"]) == (302, "http://links.test/")
    later(machine, seconds=31)
    machine.settle(machine.now())
    assert {actor for actor, _ in classes(machine, "email_clicked", "email_opened")} == {"machine"}
    lines, total = scores(machine)
    assert (lines, abs(total) < 1e-6) == ([], True)
    visit.get(link)
    assert classes(machine, "email_clicked")[-1] == ("machine", "a link that no person sees was followed")
    later(machine, minutes=10)
    visit.get(link)
    assert classes(machine, "email_clicked")[-1] == ("person", None)


def test_a_trap_says_nothing_of_other_letters_or_of_long_ago(letters: Machine) -> None:
    """Only this letter, and only ten minutes."""
    visit = Visitor(letters)
    mine, noura = (
        next(link for link in links_in(letter_to(letters, who)) if link.startswith("/c/"))
        for who in (RAE, "noura@acme.example")
    )
    visit.get(mine)
    later(letters, minutes=11)
    visit.get(noura)
    visit.get(trap(letters))

    assert [actor for actor, _ in classes(letters, "email_clicked")] == ["person", "person", "machine"]


def test_an_opening_proves_that_an_uncertain_letter_left(letters: Machine) -> None:
    """Also a machine's: somebody has the letter."""
    touch: Any = touch_of(letters, RAE)
    with letters.db.engine.begin() as link:
        link.exec_driver_sql("DROP TRIGGER touch_state")
        link.execute(update(Touch).where(col(Touch.id) == touch.id).values(state="uncertain"))

    Visitor(letters).get(pixel(letters), headers={"user-agent": "Mozilla/5.0"})

    assert (touch_of(letters, RAE).state, touch_of(letters, RAE).reason) == ("sent", "evidence: it was opened")

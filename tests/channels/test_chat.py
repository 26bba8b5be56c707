"""Chats: what the vendors' documentation allows, what their answers mean, and whom nothing of it may reach."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.channels.base import NoJournal, Parcel
from nurture.channels.chat import ChatChannel, ChatFolder, places
from nurture.channels.chat_cards import CARDS, Message, line
from nurture.errors import SettingsError
from tests.channels.chat_servers import ChatServer, slack_faults, teams_faults, units
from tests.steps.servers import WAITS

FAULTS = {"slack": slack_faults, "teams": teams_faults}
HOSTILE = "<!channel> <@U123> <https://evil.example|Salesforce> &lt; [click](https://evil.example) <at>Ana</at>\n*Bold*\u202e\x00 "
PLAIN = Message(
    "Demo requested: Ana", "Please answer by noon.", buttons=(("I take this lead", "https://go.example/h/1"),)
)


def hostile(times: int = 1) -> Message:
    """A message of which every word is somebody else's."""
    text = HOSTILE * times
    return Message(
        text,
        text,
        ((text, text),) * 12,
        ((text, (text,) * 12),) * 6,
        ((text, "https://go.example/h/1"),) * 6,
        text,
        True,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def tell(channel: ChatChannel, *parcels: tuple[str, bytes]) -> list[tuple[str, str, float | None]]:
    batch = [Parcel(-1 - index, f"key-{index}", "", to, body) for index, (to, body) in enumerate(parcels)]
    made = channel.deliver(batch, NoJournal(), lambda *_: False)
    return [(one.verdict, one.detail, one.wait) for one in made]


def channel(tmp_path: Path, timeout: float = 5.0, **urls: str) -> ChatChannel:
    return ChatChannel(urls, ChatFolder(tmp_path / "chat"), timeout=timeout)


@pytest.mark.parametrize("kind", CARDS)
@pytest.mark.parametrize("message", [PLAIN, hostile(), hostile(100)], ids=["plain", "hostile", "hostile and long"])
def test_a_message_is_taken_as_it_is(server: ChatServer, tmp_path: Path, kind: str, message: Message) -> None:
    """Over real HTTP to servers that refuse what the vendors' pages forbid."""
    chat = channel(tmp_path, team=server.url(f"/{kind}/{message.title[:4].isalpha()}{len(message.title)}"))
    before = len(server.told)
    verdict = tell(chat, ("team", CARDS[kind](message)))[0][0]
    chat.close()

    assert (server.faults, verdict, len(server.told)) == ([], "accepted", before + 1)


@pytest.mark.parametrize("kind", CARDS)
@settings(max_examples=settings().max_examples // 5)
@given(text=st.text(max_size=400), times=st.sampled_from([1, 20]), count=st.integers(0, 30))
def test_whatever_is_said_keeps_the_limits(kind: str, text: str, times: int, count: int) -> None:
    said = (text or "–") * times
    message = Message(
        said,
        said,
        ((said, said),) * count,
        ((said, (said,) * count),) * 8,
        ((said, "https://go.example/h/1"),) * 6,
        said,
    )
    assert FAULTS[kind](CARDS[kind](message)) == []
    assert units(line(said, 20)) <= 20


def test_the_rules_of_the_servers_can_be_broken() -> None:
    """A check that never fails proves nothing."""
    body = json.loads(CARDS["slack"](PLAIN))
    changes: list[Callable[[Any], Any]] = [
        lambda it: it["blocks"][0]["text"].update(text="x" * 151),
        lambda it: it["blocks"][1]["text"].update(text="hello <!channel>"),
        lambda it: it["blocks"][1]["text"].update(text="x" * 3001),
        lambda it: it["blocks"].extend(it["blocks"][1:2] * 50),
        lambda it: it["blocks"][-1]["elements"][0].update(url="https://go.example/" + "x" * 3000),
    ]
    for change in changes:
        broken = json.loads(json.dumps(body))
        change(broken)
        assert len(slack_faults(json.dumps(broken).encode())) == 1
    card = json.loads(CARDS["teams"](PLAIN))
    card["attachments"][0]["content"]["body"].append({"type": "TextBlock", "text": "[click](https://evil.example)"})
    assert len(teams_faults(json.dumps(card).encode())) == 1
    assert teams_faults(CARDS["teams"](PLAIN) + b" " * 30_000)[0].endswith("28 KB")


def test_what_stands_there_can_be_read() -> None:
    """Nothing is lost of a common message, in either direction of writing."""
    message = Message(
        "طلب: Ana", "Q&A <b>", (("Score", "71 of 100"),), (("Why", ("+40 asked",)),), PLAIN.buttons, "foot", True
    )
    slack, teams = (json.loads(CARDS[kind](message)) for kind in ("slack", "teams"))
    card = teams["attachments"][0]["content"]

    assert [block["type"] for block in slack["blocks"]] == [
        "header",
        "section",
        "section",
        "section",
        "actions",
        "context",
    ]
    assert slack["blocks"][1]["text"]["text"] == "Q&amp;A &lt;b&gt;"
    assert slack["blocks"][4]["elements"][0]["url"] == card["actions"][0]["url"] == "https://go.example/h/1"
    assert ["".join(run["text"] for run in block["inlines"]) for block in card["body"]] == [
        "طلب: Ana", "Q&A <b>", "Score: 71 of 100", "Why", "• +40 asked", "foot",
    ]  # fmt: skip
    assert card["rtl"] is True


#: Path; verdict, words of the detail, and seconds to wait.
MEANT: dict[str, tuple[str, str, str, float | None]] = {
    "taken by Slack": ("/slack/1", "accepted", "200", None),
    "taken by Teams, later": ("/teams/1", "accepted", "202", None),
    "too many": ("/slack/busy", "try_later", "429 rate_limited", 30.0),
    "too many, said inside": ("/teams/inside", "try_later", "429", None),
    "a webhook that was removed": ("/slack/gone", "refused", "404 no_service", None),
    "a channel that is closed": ("/slack/archived", "refused", "410 channel_is_archived", None),
    "a server in trouble": ("/teams/broken", "try_later", "503", None),
}


@pytest.mark.parametrize(("path", "verdict", "detail", "wait"), MEANT.values(), ids=MEANT)
def test_the_answer_decides(
    server: ChatServer, tmp_path: Path, path: str, verdict: str, detail: str, wait: float | None
) -> None:
    chat = channel(tmp_path, team=server.url(path))
    found = tell(chat, ("team", CARDS[path.split("/")[1]](PLAIN)))[0]
    chat.close()

    assert (found[0], found[2]) == (verdict, wait)
    assert detail in found[1]
    assert server.url(path) not in found[1]
    assert path not in found[1]


def test_one_place_is_told_once_a_second_and_another_at_once(server: ChatServer, tmp_path: Path) -> None:
    chat = channel(tmp_path, one=server.url("/slack/pace-1"), two=server.url("/teams/pace-2"))
    parcels = [(name, CARDS[kind](PLAIN)) for name, kind in (("one", "slack"), ("two", "teams"), ("one", "slack"))]
    found = tell(chat, *parcels)
    chat.close()

    assert [verdict for verdict, _, _ in found] == ["accepted"] * 3


def test_a_place_that_is_silent_or_busy_is_asked_once(server: ChatServer, tmp_path: Path) -> None:
    """What is told it meanwhile is put off without a call, and other places are not."""
    chat = channel(
        tmp_path, WAITS, slow=server.url("/slack/silent"), busy=server.url("/slack/busy"), well=server.url("/slack/w")
    )
    body = CARDS["slack"](PLAIN)
    server.asked.clear()
    found = tell(chat, *((name, body) for name in ("slow", "slow", "busy", "busy", "well")))
    chat.close()

    assert [verdict for verdict, _, _ in found] == ["try_later"] * 4 + ["accepted"]
    assert server.asked == ["/slack/silent", "/slack/busy", "/slack/w"]
    assert 50 < (found[1][2] or 0) <= 60
    assert 20 < (found[3][2] or 0) <= 30


def test_a_place_without_an_address_becomes_files(tmp_path: Path) -> None:
    chat = channel(tmp_path)
    (found,) = tell(chat, ("team", CARDS["slack"](PLAIN)))
    (file,) = (tmp_path / "chat").iterdir()

    assert found[0] == "accepted"
    assert file.name.startswith("notice-000001-")
    assert json.loads(file.read_bytes())["text"] == PLAIN.title


READ: dict[str, tuple[str, dict[str, str] | str]] = {
    "none": ("", {}),
    "two": (
        "team=https://hooks.slack.com/services/T/B/x\nall=https://a.example/w?api-version=1&sig=a%3D=\n",
        {"team": "https://hooks.slack.com/services/T/B/x", "all": "https://a.example/w?api-version=1&sig=a%3D="},
    ),
    "no name": ("https://hooks.slack.com/services/SECRET", "its part 1 does not begin with a name"),
    "in the open": ("team=http://hooks.slack.com/services/SECRET", "'team' is no address of https"),
    "no address": ("team=https://[SECRET", "'team' is no address of https"),
    "twice": ("team=https://a.example/SECRET team=https://b.example/SECRET", "'team' stands there twice"),
}


@pytest.mark.parametrize(("text", "found"), READ.values(), ids=READ)
def test_addresses_are_settings_and_secret(text: str, found: dict[str, str] | str) -> None:
    if isinstance(found, dict):
        assert places(text) == found
        return
    with pytest.raises(SettingsError) as told:
        places(text)
    assert found in str(told.value)
    assert "SECRET" not in str(told.value)

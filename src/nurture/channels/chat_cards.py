"""A notice as Slack and as Microsoft Teams take it, within their limits.

Whatever a lead or a program wrote stands there in one line, makes no link and mentions nobody; of Slack's marks it may
still be bold. What is too long is cut and ends with …, so that nothing is refused for its length.

Slack, Block Kit: 50 blocks a message (https://docs.slack.dev/reference/block-kit/blocks), a header of 150 characters
(…/blocks/header-block), a section of 3,000 and 10 fields of 2,000 (…/blocks/section-block), 25 buttons in a row
(…/blocks/actions-block), on each 75 characters and an address of 3,000 (…/block-elements/button-element). `&`, `<` and
`>` are escaped (https://docs.slack.dev/messaging/formatting-message-text), and `verbatim` keeps plain addresses and
names from becoming links (https://docs.slack.dev/reference/block-kit/composition-objects/text-object).

Teams, an Adaptive Card 1.5 in the envelope that Workflows take (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using):
28 KB a message (…/how-to/add-incoming-webhook). Text of others stands in TextRuns, which know no Markdown
(https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run). The first six actions are shown, the others lie
behind a menu.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Bytes of a message to Teams at most: 28 KB, with room for what the envelope may grow by on its way.
TEAMS_LARGEST = 28_000
_HEADER, _SECTION, _FIELDS, _BUTTON, _ADDRESS = 150, 3_000, 10, 75, 3_000
#: Characters of the message's own sentences: an escape makes five of one.
_TEXT = 500
#: Characters of one line; when a card is too large, it is made anew with shorter ones.
_LINES = (300, 150, 60, 20)
#: Not printable, and needed by what is written from right to left, and by emoji.
_JOINERS = "\u200c\u200d\u2066\u2067\u2068\u2069"
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class Message:
    """What a chat is told, in plain text. `parts`: a heading and its lines. `buttons`: a text and where it leads."""

    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    buttons: tuple[tuple[str, str], ...] = ()
    foot: str = ""
    rtl: bool = False


def line(text: str, most: int) -> str:
    """`text` in one line of `most` characters, as UTF-16 counts them, without signs that no one sees; never empty."""
    kept = "".join(sign if sign.isprintable() or sign in _JOINERS else " " for sign in text)
    units = " ".join(kept.split()).encode("utf-16-le", "ignore")
    cut = units if len(units) <= 2 * most else units[: 2 * most - 2]
    shown = cut.decode("utf-16-le", "ignore")
    return (shown if cut is units else f"{shown.rstrip()}…") or "–"


def slack(message: Message) -> bytes:
    """The body of a POST to an incoming webhook of Slack."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(message.title, _HEADER)}]
    blocks += _section([_escaped(message.text, _TEXT)])
    fields = [_mrkdwn(f"*{_escaped(name, 80)}*\n{_escaped(value, _LINES[0])}") for name, value in message.facts]
    blocks += [{"type": "section", "fields": fields[:_FIELDS]}] if fields else []
    for heading, lines in message.parts:
        blocks += _section([f"*{_escaped(heading, 80)}*", *(f"• {_escaped(one, _LINES[0])}" for one in lines)])
    buttons = [
        {"type": "button", "text": _plain(text, _BUTTON), "url": url, "action_id": f"link-{index}"}
        for index, (text, url) in enumerate(message.buttons)
        if len(url) <= _ADDRESS
    ]
    if buttons:
        buttons[0]["style"] = "primary"
        blocks.append({"type": "actions", "elements": buttons[:25]})
    if message.foot:
        blocks.append({"type": "context", "elements": [_mrkdwn(_escaped(message.foot, _LINES[0]))]})
    return _json({"text": _escaped(message.title, _HEADER), "blocks": blocks})


def _section(lines: Iterable[str]) -> list[dict[str, Any]]:
    """A section of as many whole lines as it may hold."""
    kept, size = [], 0
    for one in lines:
        size += len(one.encode("utf-16-le")) // 2 + 1
        if size > _SECTION:
            break
        kept.append(one)
    return [{"type": "section", "text": _mrkdwn("\n".join(kept))}] if any(kept) else []


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": line(text, most), "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escaped(text: str, most: int) -> str:
    """One line with Slack's three control characters escaped; cut before, so that no escape is cut in two."""
    return line(text, most).translate(_ESCAPES)


def teams(message: Message) -> bytes:
    """The body of a POST to a workflow of Teams."""
    made = b""
    for most in _LINES:
        made = _json(_envelope(message, _body(message, most)))
        if len(made) <= TEAMS_LARGEST:
            return made
    body = _body(message, _LINES[-1])
    while len(made) > TEAMS_LARGEST and body:
        body = body[: len(body) * 3 // 4]
        made = _json(_envelope(message, body))
    return made


def _body(message: Message, most: int) -> list[dict[str, Any]]:
    body = [
        _runs((message.title, {"size": "Large", "weight": "Bolder"}), most=_HEADER),
        _runs((message.text, {}), most=_TEXT),
    ]
    for name, value in message.facts:
        body.append(_runs((f"{line(name, 80)}: ", {"weight": "Bolder"}), (value, {}), most=most, spacing="Small"))
    for heading, lines in message.parts:
        body.append(_runs((heading, {"weight": "Bolder"}), most=80, spacing="Medium"))
        body += [_runs((f"• {one}", {}), most=most, spacing="Small") for one in lines]
    if message.foot:
        body.append(_runs((message.foot, {"isSubtle": True, "size": "Small"}), most=most, spacing="Medium"))
    return body


def _envelope(message: Message, body: list[dict[str, Any]]) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": line(message.title, _HEADER),
        "rtl": message.rtl,
        "body": body,
        "actions": [
            {"type": "Action.OpenUrl", "title": line(text, _BUTTON), "url": url} for text, url in message.buttons
        ],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _runs(*runs: tuple[str, dict[str, Any]], most: int, spacing: str = "Default") -> dict[str, Any]:
    """A paragraph of plain text."""
    inlines = [{"type": "TextRun", "text": _kept(text, most), **look} for text, look in runs]
    return {"type": "RichTextBlock", "inlines": inlines, "spacing": spacing}


def _kept(text: str, most: int) -> str:
    """One line, with the blank at its end that keeps it from what follows."""
    return line(text, most) + (" " if text.endswith(" ") else "")


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


#: Kind of a place to how it is told.
CARDS: Mapping[str, Callable[[Message], bytes]] = {"slack": slack, "teams": teams}

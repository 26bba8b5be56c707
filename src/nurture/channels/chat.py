"""Chat: notices to sales go to incoming webhooks of Slack and to workflows of Microsoft Teams, one POST each.

The address of a webhook is a password, so it is a setting and no part of a program. Neither side takes an idempotency
key: a message whose answer is lost is sent again, and may then stand there twice.

Slack answers 200, or 4xx with a word such as `invalid_blocks`, `no_service` or `channel_is_archived`
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), and 429 with Retry-After above one message
a second (https://docs.slack.dev/apis/web-api/rate-limits). A workflow of Teams answers 202; its connector takes four a
second, and may say 200 with "Microsoft Teams endpoint returned HTTP error 429" in its body
(https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import httpx

from nurture import clock
from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.channels.calls import SignedCalls
from nurture.channels.folder import FolderChannel
from nurture.channels.outbound import Answer
from nurture.channels.places import unfit
from nurture.clock import Clock, SystemClock
from nurture.errors import SettingsError

#: Seconds that a call may take: what is slower is tried again later.
TIMEOUT = 5.0
#: Seconds between two messages to one place; both vendors take one a second.
_APART = 1.0
#: Seconds for which a place is left alone that did not say for how long.
_AWAY = 60.0
#: Of an answer of Teams that took the request and not the message.
_INNER = re.compile(rb"returned HTTP error (\d{3})")
_WAY_OUT = "write NAME=https://…, one a line, each name as in 'chat:' of program.yaml"


def places(text: str) -> dict[str, str]:
    """NURTURE_CHAT_URLS, name to address. Raises SettingsError, which shows no address."""
    found: dict[str, str] = {}
    for number, part in enumerate(text.split(), 1):
        name, equals, url = part.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
            raise SettingsError(f"NURTURE_CHAT_URLS: its part {number} does not begin with a name; {_WAY_OUT}")
        if unfit(url) is not None or not _readable(url):
            raise SettingsError(f"NURTURE_CHAT_URLS: what stands for '{name}' is no address of https; {_WAY_OUT}")
        if name in found:
            raise SettingsError(f"NURTURE_CHAT_URLS: '{name}' stands there twice; {_WAY_OUT}")
        found[name] = url
    return found


def _readable(url: str) -> bool:
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return True


class ChatChannel(SignedCalls):
    """`urls`: name of a place to its address. What goes to a place without one is kept by `otherwise`."""

    name = "chat"
    noun = "chat"

    def __init__(
        self, urls: Mapping[str, str], otherwise: FolderChannel, clock: Clock | None = None, *,
        private: Collection[str] = (), timeout: float = TIMEOUT,
    ) -> None:  # fmt: skip
        super().__init__(urls, lambda _: b"", clock or SystemClock(), private=private, timeout=timeout)
        self._otherwise = otherwise
        #: Place to when it was told last, on the monotonic clock.
        self._told: dict[str, float] = {}
        #: Place to until when it is left alone, on the monotonic clock, and why.
        self._away: dict[str, tuple[float, str]] = {}

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """One call for each parcel, in order; a place that cannot be told now is left alone as long as it asks."""
        made = []
        for parcel in batch:
            until, why = self._away.get(parcel.to, (0.0, ""))
            if (left := until - clock.monotonic()) > 0:
                made.append(receipt(parcel, "try_later", why, wait=left))
                continue
            way = super().deliver if parcel.to in self._endpoints else self._otherwise.deliver
            (one,) = way([parcel], journal, stop)
            if one.verdict == "try_later":
                self._away[parcel.to] = (clock.monotonic() + (one.wait or _AWAY), one.detail)
            made.append(one)
        return made

    def judge(self, parcel: Parcel, answer: Answer) -> Receipt:
        """What an answer means; a word that says why is kept, the address never."""
        inner = _INNER.search(answer.body) if answer.status == 200 else None
        if inner is not None:
            answer = Answer(int(inner[1]), answer.wait, answer.body)
        made = super().judge(parcel, answer)
        if made.verdict == "accepted":
            return made
        word = re.match(rb"[a-z_]{3,60}(?=\s|$)", answer.body)
        said = word[0].decode() if word else ""
        return receipt(parcel, made.verdict, f"chat '{parcel.to}'", answer.status, said, wait=made.wait)

    def _answer(self, parcel: Parcel) -> Answer:
        left = self._told.get(parcel.to, -_APART) + _APART - clock.monotonic()
        if left > 0:
            clock.pause(left)
        try:
            headers = {"content-type": "application/json; charset=utf-8"}
            return self._http.post(self._endpoints[parcel.to], parcel.payload, headers)
        finally:
            self._told[parcel.to] = clock.monotonic()


class ChatFolder(FolderChannel):
    """What a place without an address would be told, as files."""

    name = "chat"
    suffix = ".json"

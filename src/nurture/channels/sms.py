"""Text messages over Twilio's Messages API (https://www.twilio.com/docs/sms/api/message-resource).

One POST for each message, form-encoded, with HTTP basic authentication (https://www.twilio.com/docs/usage/your-request-to-twilio).
The API takes no idempotency key, so an answer that is lost leaves it unknown whether the message left. 429 and 503 say
that a request was not processed (https://www.twilio.com/docs/api/errors/20429, …/20503); any other 5xx says nothing.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.channels.outbound import NOTHING_LEFT, Answer, Outbound
from nurture.channels.places import loopback
from nurture.errors import SettingsError
from nurture.failpoints import reach

_WAY_OUT = "write twilio://ACCOUNT_SID:AUTH_TOKEN@api.twilio.com?from=+15005550006 (or from=MG… of a messaging service)"
#: "Attempt to send to unsubscribed recipient": https://www.twilio.com/docs/api/errors/21610
_UNSUBSCRIBED = 21610
_SID = re.compile(r"(?:SM|MM)[0-9a-f]{32}")


@dataclass(frozen=True)
class Account:
    """Whose account sends, from which number or messaging service, and where the API is."""

    url: str
    sid: str
    token: str = field(repr=False)
    sender: str


def read_account(url: str) -> Account:
    """NURTURE_SMS_URL; `twilio+http://` is for a server on loopback. Raises SettingsError, without the token."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError(f"NURTURE_SMS_URL cannot be read; {_WAY_OUT}") from None
    sid, token = unquote(parts.username or ""), unquote(parts.password or "")
    sender = dict(parse_qsl(parts.query.replace("+", "%2B"))).get("from", "")
    if parts.scheme not in ("twilio", "twilio+http") or not host or not sid or not token:
        raise SettingsError(f"NURTURE_SMS_URL lacks a part; {_WAY_OUT}")
    if not sender:
        raise SettingsError(f"NURTURE_SMS_URL does not say from which number; {_WAY_OUT}")
    if not re.fullmatch(r"[A-Za-z0-9]+", sid):
        raise SettingsError(f"NURTURE_SMS_URL: the account's SID has letters and digits only; {_WAY_OUT}")
    if parts.scheme == "twilio+http" and not loopback(host):
        raise SettingsError(
            f"NURTURE_SMS_URL: twilio+http:// would show the token to all of {host}'s network; {_WAY_OUT}"
        )
    inside = f"[{host}]" if ":" in host else host
    base = f"{'http' if parts.scheme == 'twilio+http' else 'https'}://{inside}{f':{port}' if port else ''}"
    return Account(f"{base}/2010-04-01/Accounts/{sid}/Messages.json", sid, token, sender)


class TwilioChannel:
    """Sends through one account. `private`: hosts inside our own network that may be called.

    `callback`: a touch to the address at which what becomes of its message is told, if it is.
    """

    name = "sms"
    aside = False

    def __init__(
        self, account: Account, private: Collection[str] = (), *, timeout: float = 20,
        callback: Callable[[int], str] | None = None,
    ) -> None:  # fmt: skip
        self.account = account
        self._callback = callback
        self.down: str | None = None
        self._http = Outbound([account.url], private, timeout=timeout)
        login = base64.b64encode(f"{account.sid}:{account.token}".encode()).decode()
        self._headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {login}"}

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """One call for each parcel; where the API cannot be used at all, the rest is `not_started`."""
        self.down = None
        receipts = []
        for parcel in batch:
            if self.down is None:
                receipts.append(self._send(parcel, journal, stop))
            else:
                receipts.append(receipt(parcel, "not_started", self.down))
        return receipts

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _send(self, parcel: Parcel, journal: Journal, stop: Stop) -> Receipt:
        try:
            journal.started(parcel.touch_id)
            if stop(parcel):  # asked after the journal's line: who slept in between finds out that another took over
                made = receipt(parcel, "not_started", "not begun")
            else:
                reach("journaled")
                made = self._asked(parcel)
                reach("answered")
        except OSError as problem:
            self.down = f"the journal cannot be written: {problem}"
            return receipt(parcel, "not_started", self.down)
        try:
            journal.replied(made)
            reach("noted")
        except OSError as problem:
            self.down = f"the journal cannot be written: {problem}"
        return made

    def _asked(self, parcel: Parcel) -> Receipt:
        by = "MessagingServiceSid" if self.account.sender.startswith("MG") else "From"
        form = {"To": parcel.to, by: self.account.sender, "Body": parcel.payload.decode()}
        if self._callback is not None:
            form["StatusCallback"] = self._callback(parcel.touch_id)
        try:
            answer = self._http.post(self.account.url, urlencode(form).encode(), self._headers)
        except NOTHING_LEFT as problem:
            self.down = f"{type(problem).__name__}: {problem}"
            return receipt(parcel, "not_started", self.down)
        except httpx.HTTPError as problem:  # no key: it may have been taken, and must not be said twice
            return receipt(parcel, "unknown", f"{type(problem).__name__}: {problem}")
        return self._judged(parcel, answer)

    def _judged(self, parcel: Parcel, answer: Answer) -> Receipt:
        status, said = answer.status, _said(answer.body)
        if 200 <= status < 300:
            sid = str(said.get("sid", ""))
            return receipt(parcel, "accepted", status, sid if _SID.fullmatch(sid) else "")
        code = said["code"] if isinstance(said.get("code"), int) else ""
        if status in (429, 503):
            self.down = f"{status} {code}: not now"
            return receipt(parcel, "try_later", status, code, wait=answer.wait)
        if status >= 500:
            return receipt(parcel, "unknown", status, code)
        if status == 400:
            silence = "unsubscribed" if code == _UNSUBSCRIBED else None
            return receipt(parcel, "refused", status, code, silence=silence)
        self.down = f"{status} {code}: the account cannot send; look at NURTURE_SMS_URL"
        return receipt(parcel, "not_started", self.down)


def _said(body: bytes) -> dict[str, object]:
    """An answer's JSON; nothing where it is none, or is nested too deeply to be read."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}

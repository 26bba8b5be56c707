"""Any other system, by signed calls (Standard Webhooks 1.0.0): each carries all that the record should say.

What such a system says of leads it posts to /crm, and answers to hand-offs to /crm or /answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from standardwebhooks import Webhook as Signer

from nurture.channels.outbound import LATER, UNANSWERED, Outbound
from nurture.crm.api import TIMEOUT
from nurture.crm.base import Entry, Page, Told, Turn, Unwell
from nurture.program.crm import Crm

#: The type of the event, as Standard Webhooks has it.
TYPE = "lead.state"
#: What the key that signs is derived from.
SIGNED_AS = "crm:webhook"
_GONE = 410


class Webhook:
    """`sign`: the key; `now`: the clock whose instant each call carries."""

    most = 100
    feeds: Sequence[str] = ()

    def __init__(
        self, crm: Crm, sign: bytes, now: Callable[[], datetime], private: Collection[str] = ()
    ) -> None:  # fmt: skip
        self._crm, self._sign, self._now = crm, sign, now
        self._out = Outbound([crm.address], private, timeout=TIMEOUT)
        self.usage: str | None = None

    def close(self) -> None:
        self._out.close()

    def tell(self, entries: Sequence[Entry], turn: Turn) -> Iterator[tuple[str, Told]]:
        """One call each; the same state has the same id, so who got it before may pass it over."""
        for entry in entries:
            if not turn.goes_on():
                return
            yield entry.key, self._call(entry)

    def _call(self, entry: Entry) -> Told:
        now, number = self._now(), f"{entry.key}:{entry.digest[:32]}"
        lead = {"id": entry.key, "email": entry.email, **{self._crm.theirs(n) or n: v for n, v in entry.values.items()}}
        said = {"type": TYPE, "timestamp": now.isoformat(), "data": {"lead": lead}}
        body = json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=str)
        headers = {
            "content-type": "application/json", "webhook-id": number, "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(self._sign).sign(number, now, body),
        }  # fmt: skip
        try:
            answer = self._out.post(self._crm.address, body.encode(), headers)
        except UNANSWERED as problem:
            raise Unwell(f"the CRM's endpoint does not answer ({type(problem).__name__})") from None
        if 200 <= answer.status < 300:
            return Told(entry.key, made=True)
        if answer.status == _GONE:
            raise Unwell("the CRM's endpoint wants no more calls (410); give 'crm:' another url", 86_400)
        if answer.status >= 500 or answer.status in LATER:
            raise Unwell(f"the CRM's endpoint wants to be left alone ({answer.status})", answer.wait)
        return Told(error=str(answer.status))

    def probe(self) -> list[str]:
        """Nothing that can be asked of an endpoint without telling it something."""
        return []

    def since(self, at: datetime) -> str:
        return at.isoformat()

    def changes(self, _feed: str, cursor: str, _now: datetime) -> Page:
        """Nothing ever: what such a CRM has to say comes by itself, at `/crm`."""
        return Page((), cursor, cursor, more=False)

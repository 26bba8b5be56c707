"""Signed calls (Standard Webhooks 1.0.0): what audiences and webhooks have in common.

Every call carries its key, the same on each attempt, so that it may be repeated: a time-out or a 5xx is *try later*,
never *unknown*. A new timestamp is signed each time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import httpx
from standardwebhooks import Webhook

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.channels.outbound import LATER, NOTHING_LEFT, Answer, Outbound, Resolve, addresses
from nurture.channels.places import unfit
from nurture.clock import Clock
from nurture.errors import SettingsError
from nurture.failpoints import reach


class SignedCalls:
    """`endpoints`: name to URL, a parcel's `to` is a name. `sign`: name to the key that signs what goes there.

    `private`: hosts inside our own network that may be called. `anew`: asked before each batch for the endpoints as
    they are then. Raises SettingsError for an endpoint that is not https.
    """

    name = "calls"
    aside = False
    #: What an endpoint is called in sentences.
    noun = "endpoint"

    def __init__(
        self, endpoints: Mapping[str, str], sign: Callable[[str], bytes], clock: Clock, *,
        private: Collection[str] = (), timeout: float = 20, resolve: Resolve = addresses,
        anew: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:  # fmt: skip
        for name, url in endpoints.items():
            if (reason := unfit(url)) is not None:
                raise SettingsError(f"{self.noun} '{name}': {reason}; write https://HOST/…")
        self._endpoints = dict(endpoints)
        self._sign, self._clock, self._anew = sign, clock, anew
        self._http = Outbound(endpoints.values(), private, timeout=timeout, resolve=resolve)
        self.down: str | None = None
        #: Endpoints that want no more calls, and what they answered; kept as long as this process lives.
        self.gone: dict[str, str] = {}

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """One call for each parcel; an endpoint that cannot be reached, or is silent, is not asked again in this batch.

        What goes to a name that is not known here waits: it was published after this batch was begun.
        """
        if self._anew is not None:
            self._follow(self._anew())
        away: dict[str, str] = {}  # name to why its endpoint cannot be reached
        receipts = []
        self.down = None
        for parcel in batch:
            if stop(parcel):
                made = receipt(parcel, "not_started", "not begun")
            elif parcel.to in self.gone:
                made = receipt(parcel, "not_started", self.gone[parcel.to])
            elif parcel.to in away:
                made = receipt(parcel, "try_later", away[parcel.to])
            elif parcel.to not in self._endpoints:
                self.down = f"{self.noun} '{parcel.to}' is not known to this process; start it anew"
                made = receipt(parcel, "not_started", self.down)
            else:
                made = self._call(parcel, journal, away)
            receipts.append(made)
        self.down = next((self.gone[parcel.to] for parcel in batch if parcel.to in self.gone), self.down)
        return receipts

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _follow(self, endpoints: Mapping[str, str]) -> None:
        """From now on these; one that has another address is asked again, whatever the old one answered."""
        fit = {name: url for name, url in endpoints.items() if unfit(url) is None}
        if fit != self._endpoints:
            self.gone = {name: why for name, why in self.gone.items() if fit.get(name) == self._endpoints.get(name)}
            self._http.allow(fit.values())
            self._endpoints = fit

    def judge(self, parcel: Parcel, answer: Answer) -> Receipt:
        """What an answer means."""
        status = answer.status
        if 200 <= status < 300:
            return receipt(parcel, "accepted", status)
        if status >= 500 or status in LATER:
            return receipt(parcel, "try_later", status, wait=answer.wait)
        return receipt(parcel, "refused", status, "a redirect is not followed" if 300 <= status < 400 else "")

    def _call(self, parcel: Parcel, journal: Journal, away: dict[str, str]) -> Receipt:
        try:
            journal.started(parcel.touch_id)
            reach("journaled")
            made = self.judge(parcel, self._answer(parcel))
            reach("answered")
        except (*NOTHING_LEFT, httpx.TimeoutException) as problem:
            away[parcel.to] = f"{type(problem).__name__}: {problem}"
            made = receipt(parcel, "try_later", away[parcel.to])
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            made = receipt(parcel, "try_later", f"{type(problem).__name__}: {problem}")
        except OSError as problem:
            away[parcel.to] = f"the journal cannot be written: {problem}"
            return receipt(parcel, "not_started", away[parcel.to])
        except ValueError as problem:
            made = receipt(parcel, "refused", f"the call cannot be made: {problem}")
        try:
            journal.replied(made)
            reach("noted")
        except OSError as problem:
            away[parcel.to] = f"the journal cannot be written: {problem}"
        return made

    def _answer(self, parcel: Parcel) -> Answer:
        now = self._clock.now()
        signature = Webhook(self._sign(parcel.to)).sign(parcel.key, now, parcel.payload.decode())
        headers = {
            "content-type": "application/json",
            "webhook-id": parcel.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        return self._http.post(self._endpoints[parcel.to], parcel.payload, headers)

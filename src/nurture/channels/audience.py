"""Retargeting audiences: who is in and who is out, told to a signed HTTP endpoint (Standard Webhooks 1.0.0).

Membership is a wanted state and every call carries its key, so a call may be repeated: a time-out or a 5xx is
*try later*, never *unknown*. Only SHA-256 of the canonical address leaves, as the ad platforms take it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.clock import Clock
from nurture.errors import SettingsError
from nurture.failpoints import reach

#: Request Timeout, Conflict ("in progress"), Too Early, Too Many Requests (RFC 9110, 8470, 6585).
_LATER = frozenset({408, 409, 425, 429})
_SMALL = 4096


def membership(audience: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> bytes:
    """The payload that wants these canonical addresses in and out; the same bytes for the same wish."""
    wish = {"audience": audience, "add": sorted(map(hashed, add)), "remove": sorted(map(hashed, remove))}
    return json.dumps(wish, separators=(",", ":"), sort_keys=True).encode()


def hashed(email: str) -> str:
    """SHA-256 of a canonical address, in hex."""
    return sha256(email.encode()).hexdigest()


def unfit(url: str) -> str | None:
    """Why `url` cannot be an endpoint; None: it can. Plain http is for loopback alone."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return f"'{url}' is not an address"
    if not host or parts.username or parts.password or parts.fragment:
        return f"'{url}' is not an address without name and password"
    if parts.scheme == "https" or (parts.scheme == "http" and _loopback(host)):
        return None
    return f"'{url}' does not begin with https://"


class AudienceChannel:
    """`endpoints`: audience name to URL. `sign`: name to the key that signs what goes there (`Keys.signing`).

    A parcel's `to` is the audience's name. Raises SettingsError for an endpoint that is not https.
    """

    name = "audience"
    batch_size = 200
    #: Never: each endpoint answers for itself, in the receipts.
    down: str | None = None

    def __init__(
        self,
        endpoints: Mapping[str, str],
        sign: Callable[[str], bytes],
        clock: Clock,
        *,
        timeout: float = 20,
    ) -> None:
        for audience, url in endpoints.items():
            if (reason := unfit(url)) is not None:
                raise SettingsError(f"audience '{audience}': {reason}; write https://HOST/…")
        self._endpoints = dict(endpoints)
        self._sign, self._clock = sign, clock
        self._http = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """One call for each parcel; an endpoint that cannot be reached is not asked again in this batch."""
        gone: dict[str, str] = {}  # audience to why its endpoint cannot be reached
        receipts = []
        for parcel in batch:
            if stop(parcel):
                made = receipt(parcel, "not_started", "not begun")
            elif parcel.to in gone:
                made = receipt(parcel, "try_later", gone[parcel.to])
            elif parcel.to not in self._endpoints:
                made = receipt(parcel, "refused", f"there is no audience '{parcel.to}'")
            else:
                made = self._call(parcel, journal, gone)
            receipts.append(made)
        return receipts

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _call(self, parcel: Parcel, journal: Journal, gone: dict[str, str]) -> Receipt:
        try:
            journal.started(parcel.touch_id)
            reach("journaled")
            made = self._answer(parcel)
            reach("answered")
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            gone[parcel.to] = f"{type(problem).__name__}: {problem}"
            made = receipt(parcel, "try_later", gone[parcel.to])
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            made = receipt(parcel, "try_later", f"{type(problem).__name__}: {problem}")
        except OSError as problem:
            gone[parcel.to] = f"the journal cannot be written: {problem}"
            return receipt(parcel, "not_started", gone[parcel.to])
        except ValueError as problem:
            made = receipt(parcel, "refused", f"the call cannot be made: {problem}")
        try:
            journal.replied(made)
            reach("noted")
        except OSError as problem:
            gone[parcel.to] = f"the journal cannot be written: {problem}"
        return made

    def _answer(self, parcel: Parcel) -> Receipt:
        now = self._clock.now()
        signature = Webhook(self._sign(parcel.to)).sign(parcel.key, now, parcel.payload.decode())
        headers = {
            "content-type": "application/json",
            "webhook-id": parcel.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        url = self._endpoints[parcel.to]
        with self._http.stream("POST", url, content=parcel.payload, headers=headers) as response:
            status = response.status_code
            length = response.headers.get("content-length", "")
            if length.isdecimal() and int(length) <= _SMALL:
                response.read()  # never shown; read so that the connection can be used again
        if 200 <= status < 300:
            return receipt(parcel, "accepted", status)
        if status >= 500 or status in _LATER:
            return receipt(parcel, "try_later", status)
        return receipt(parcel, "refused", status, "a redirect is not followed" if 300 <= status < 400 else "")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Calls to addresses that a program names: to those alone, and never into the network that we stand in.

A marketer writes the address of an endpoint, and a name can be made to mean any machine. So a call goes to an
endpoint that was named and no other, over https; the name is resolved once, every address that it gives must be a
public one, and the connection is made to that very address (TLS and Host keep the name). Redirects are not followed, no
proxy is taken from the environment, at most 1 MiB of the answer is read, and it is shown to nobody (OWASP ASVS 5.0,
1.3.6, 13.2.4 and 15.3.2). A host that is written as loopback is this machine, and meant; others that are not public
are named by the operator (NURTURE_PRIVATE_HOSTS).
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from nurture.channels.deadline import Punctual, left, within
from nurture.channels.places import loopback, public
from nurture.errors import SettingsError

log = logging.getLogger("nurture.outbound")
#: Bytes of an answer that are read; what is longer is cut off, and the connection is given up.
MOST = 1_048_576
#: Seconds that Retry-After is taken for at most: a day.
LONGEST_WAIT = 86_400.0
#: A host and a port to the addresses that the name has now. Raises OSError.
Resolve = Callable[[str, int], Sequence[str]]

_PORTS = {"https": 443, "http": 80}


class Refused(httpx.TransportError):
    """A call that is not made: its host is not one of ours, or not a public one."""


#: Errors after which it is certain that the other side saw nothing of the call.
NOTHING_LEFT = (Refused, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: Request Timeout, Conflict, Locked, Too Early, Too Many Requests (RFC 9110, 4918, 8470, 6585): later it may be taken.
LATER = frozenset({408, 409, 423, 425, 429})
#: Errors of every call to which there is no answer.
UNANSWERED = (httpx.HTTPError, httpx.InvalidURL)


@dataclass(frozen=True)
class Answer:
    """What came back. `wait`: seconds that Retry-After asks for, a day at most. `body`: for our own eyes alone."""

    status: int
    wait: float | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def addresses(host: str, port: int) -> Sequence[str]:
    """What the system says that a name means, likeliest first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class Outbound:
    """A client for `urls`. `private`: `host` or `host:port` that may be inside our own network.

    `timeout`: seconds for a whole call once its name is resolved, from the connection to the last byte. `trust`: whose
    certificates are believed; None: those of the usual authorities. Raises SettingsError for what is no address.
    """

    def __init__(
        self, urls: Iterable[str], private: Collection[str] = (), *, timeout: float = 20, resolve: Resolve = addresses,
        trust: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._private, self._resolve, self._trust = {host.casefold() for host in private}, resolve, trust
        self.allow(urls)
        self._lines: dict[tuple[str, str, int], httpx.HTTPTransport] = {}
        self._timeout = timeout

    def allow(self, urls: Iterable[str]) -> None:
        """From now on these alone. Raises SettingsError for what is no address."""
        self._allowed = set(map(_place, urls))

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to one POST. Raises httpx.HTTPError; if it is one of NOTHING_LEFT, nothing left."""
        return self._call(httpx.Request("POST", url, content=content, headers=dict(headers)))

    def get(self, url: str) -> Answer:
        """The answer to one GET. Raises httpx.HTTPError."""
        return self._call(httpx.Request("GET", url))

    def call(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to one call. Raises one of UNANSWERED."""
        return self._call(httpx.Request(method, url, content=content, headers=dict(headers)))

    def _call(self, request: httpx.Request) -> Answer:
        """A name with several addresses has a like part of the time to connect to each."""
        place = _place(str(request.url))
        if place not in self._allowed:
            raise Refused(f"{place[1]} is none of the endpoints that the program names")
        failed: httpx.TransportError = Refused(f"{place[1]} has no address")
        found = self._permitted(*place[1:])
        with within(self._timeout):
            for index, address in enumerate(found):
                try:
                    return self._asked(place, address, request, left() / (len(found) - index))
                except (httpx.ConnectError, httpx.ConnectTimeout) as problem:  # nothing left: the next one may do
                    failed = problem
        raise failed

    def close(self) -> None:
        """Hang up."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _permitted(self, host: str, port: int) -> Sequence[str]:
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError) as problem:  # a name that DNS cannot hold
            raise httpx.ConnectError(f"{host} has no address ({problem})") from None
        if loopback(host) and (elsewhere := [address for address in found if not loopback(address)]):
            raise Refused(f"{host} is written as this machine, and means {elsewhere[0]} here; mend the hosts file")
        named = f"[{host}]" if ":" in host else host
        ours = loopback(host) or not self._private.isdisjoint({named, f"{named}:{port}"})
        inside = [address for address in found if not public(address)]
        if inside and not ours:
            raise Refused(
                f"{host} is at {inside[0]}, which is not a public address; "
                f"name it in NURTURE_PRIVATE_HOSTS ({host}:{port}) if it is meant"
            )
        return found

    def _asked(
        self, place: tuple[str, str, int], address: str, request: httpx.Request, connect: float
    ) -> Answer:  # fmt: skip
        """One attempt at one address; Host is in the headers already, TLS is told the name that must be proved."""
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={"sni_hostname": place[1], "timeout": httpx.Timeout(self._timeout, connect=connect).as_dict()},
        )
        response = self._line(place).handle_request(pinned)
        try:
            return Answer(response.status_code, _wait(response.headers), _read(response), response.headers)
        finally:
            response.close()

    def _line(self, place: tuple[str, str, int]) -> httpx.HTTPTransport:
        """Connections to one endpoint; none is shared with another name at the same address."""
        if place not in self._lines:
            context = self._trust or httpx.create_ssl_context(trust_env=False)
            line = self._lines[place] = httpx.HTTPTransport(verify=context, trust_env=False)
            # httpx lets nobody choose how its transport connects; httpcore, on which it stands, does.
            line._pool = httpcore.ConnectionPool(context, keepalive_expiry=5, network_backend=Punctual())
        return self._lines[place]


def fetched(url: str) -> bytes | None:
    """What stands at this address and no other; None where it cannot be had."""
    outbound = Outbound([url], timeout=10)
    try:
        answer = outbound.get(url)
    except httpx.HTTPError as problem:
        log.warning("%s cannot be fetched: %s", _place(url)[1], type(problem).__name__)
        return None
    finally:
        outbound.close()
    return answer.body if answer.status == 200 else None


def _place(url: str) -> tuple[str, str, int]:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as problem:
        raise SettingsError(f"'{url}' is not an address ({problem}); write https://HOST/…") from None
    return parts.scheme, parts.host.casefold(), parts.port or _PORTS.get(parts.scheme, 0)


def _read(response: httpx.Response) -> bytes:
    """As much of the body as comes in time; the status is known already, so a body that breaks off harms nobody."""
    kept = b""
    try:
        for part in response.iter_raw():
            kept += part
            if len(kept) > MOST:
                break
    except httpx.TransportError as problem:
        log.info("an answer broke off: %s", type(problem).__name__)
    return kept[:MOST]


def _wait(headers: httpx.Headers) -> float | None:
    """Retry-After in seconds, a number or a date beside that of the answer (RFC 9110 section 10.2.3); None: unsaid."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return min(float(said), LONGEST_WAIT)
    try:
        later, now = parsedate_to_datetime(said), parsedate_to_datetime(headers.get("date", ""))
        return min(max(0.0, (later - now).total_seconds()), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):  # no date, or of two only one with a zone
        return None

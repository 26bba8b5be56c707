"""Connections that keep a deadline: however slowly the other side drips, a call is over when its time is.

httpx's own time-outs are for each read; a server that sends one byte of a header at a time would never meet them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore

from nurture import clock

#: When the call under way is over, by the monotonic clock.
_UNTIL: ContextVar[float] = ContextVar("nurture_call_until")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is connected, written and read in this block takes `seconds` at most, together."""
    before = _UNTIL.set(clock.monotonic() + seconds)
    try:
        yield
    finally:
        _UNTIL.reset(before)


def left() -> float:
    """Seconds until the call under way is over; not below zero."""
    return max(0.0, _UNTIL.get() - clock.monotonic())


class Punctual(httpcore.NetworkBackend):
    """TCP connections whose every part ends with the call under way."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        seconds = _some(httpcore.ConnectTimeout, timeout)
        return _Stream(httpcore.SyncBackend().connect_tcp(host, port, seconds, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _some(httpcore.ReadTimeout, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _some(httpcore.WriteTimeout, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _some(httpcore.ConnectTimeout, timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _some(over: type[Exception], timeout: float | None) -> float:
    """Seconds for the next part. Raises `over` when none are left."""
    seconds = left() if timeout is None else min(timeout, left())
    if not seconds:
        raise over("the time for the call is over")
    return seconds

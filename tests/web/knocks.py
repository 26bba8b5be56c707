"""Requests that no honest client sends, drawn from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

FORM = b"application/x-www-form-urlencoded"
METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"get", b"G\x00T", b"", b"X" * 3000]
JUNK = [
    b"\x00", b"\xff\xfe", b"%", b"%zz", b"%00", b"%C0%AF", b"\r", b"\n", b" ", b"\t", b"..", b"//", b"'", b'"', b"<",
    b"{{7*7}}", b"\xed\xa0\x80",
]  # fmt: skip
HEADERS = [
    b"Host: [::", b"Host:", b"Accept: " + b",text/html" * 900, b"Accept-Language: " + b"ar;q=,," * 900, b"Cookie: \xff=\x80",
    b"Content-Type: \xff", b"Content-Type: multipart/form-data", b"Content-Type: text/html; charset=utf-7", b": x", b"X" * 9000,
    b"X: " + b"y" * 20_000, b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer nk_" + b"A" * 35, b"Sec-GPC: \x01",
    b"webhook-signature: v1,\xff", b"User-Agent: " + b"(" * 2000, b"Referer: http://[", b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue", b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x", b"If-None-Match: \"", b"Origin: \xff",
    b"X-Forwarded-For: " + b"1," * 3000, b" folded: x", b"Content-Encoding: br", b"Access-Control-Request-Method: POST",
]  # fmt: skip
LENGTHS = [b"-1", b"1e9", b"99999999999999999999", b"+5", b" 5", b"0x5", b"5, 6", b"", b"5\r\nContent-Length: 6"]
CHUNKS = [
    b"zz\r\nabc\r\n", b"-1\r\n", b"ffffffffffffffff\r\nabc", b"5\r\nabc\r\n0\r\n\r\n",
    b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n",
]  # fmt: skip
DEEP = [
    b"[" * 60_000, b'{"a":' * 9000, b'{"events":' + b"[" * 500 + b"]" * 500 + b"}", b'"\\ud800"', b"1" * 60_000,
    b'{"email":NaN}', b'{"email":1e999}', b"\xef\xbb\xbf{}",
]  # fmt: skip


class Knocker:
    """Draws requests from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.kinds: list[Callable[[bytes], bytes]] = [
            self.line, self.headers, self.length, self.chunked, self.truncated, self.percent, self.overlong, self.types,
            self.deep, self.multipart, self.flipped, self.fields, self.pipelined,
        ]  # fmt: skip

    def request(self, method: bytes, address: bytes, *headers: bytes, body: bytes = b"", length: bool = True) -> bytes:
        more = [b"Content-Length: %d" % len(body)] if length else []
        return b"\r\n".join(
            [b"%s %s HTTP/1.1" % (method, address), b"Host: x", b"Connection: close", *headers, *more, b"", body]
        )

    def line(self, address: bytes) -> bytes:
        one = [
            self.dice.choice(METHODS),
            address,
            self.dice.choice([b"HTTP/1.1", b"HTTP/9", b"HTTP/0.9", b"", b"\xff"]),
        ]
        return self.dice.choice([b" ", b"  ", b"\t", b""]).join(one) + b"\r\nHost: x\r\n\r\n"

    def headers(self, address: bytes) -> bytes:
        chosen = self.dice.sample(HEADERS, self.dice.randint(1, 4)) * self.dice.choice([1, 1, 1, 40])
        return self.request(self.dice.choice([b"GET", b"POST"]), address, *chosen)

    def length(self, address: bytes) -> bytes:
        return self.request(
            b"POST", address, b"Content-Length: " + self.dice.choice(LENGTHS), body=b"a=b&c", length=False
        )

    def chunked(self, address: bytes) -> bytes:
        body = self.dice.choice(CHUNKS)
        return self.request(
            b"POST",
            address,
            b"Transfer-Encoding: chunked",
            b"Content-Type: " + FORM,
            body=body,
            length=self.dice.random() < 0.2,
        )

    def truncated(self, address: bytes) -> bytes:
        whole = self.request(b"POST", address, b"Content-Type: " + FORM, body=b"email=kim%40person.example&consent=yes")
        return whole[: self.dice.randrange(1, len(whole))]

    def percent(self, address: bytes) -> bytes:
        at = self.dice.randrange(len(address) + 1)
        return self.request(self.dice.choice([b"GET", b"POST"]), address[:at] + self.dice.choice(JUNK) + address[at:])

    def overlong(self, address: bytes) -> bytes:
        return self.request(b"GET", address + b"?" + b"x" * self.dice.choice([2000, 2047, 2048, 9000, 40_000]))

    def types(self, address: bytes) -> bytes:
        kinds = [
            b"text/plain",
            b"application/json; charset=\xff",
            b"application/xml",
            b"image/gif",
            FORM + b"; charset=utf-16",
            b"",
            b"*/*",
            b";;",
        ]
        return self.request(
            b"POST",
            address,
            b"Content-Type: " + self.dice.choice(kinds),
            body=self.dice.randbytes(self.dice.choice([0, 9, 900])),
        )

    def deep(self, address: bytes) -> bytes:
        return self.request(b"POST", address, b"Content-Type: application/json", body=self.dice.choice(DEEP))

    def multipart(self, address: bytes) -> bytes:
        part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        some = [
            part % (b"email", b"", b"x" * 60_000),
            part % (b"f", b'; filename="a"', b"x"),
            part % (b"\xff", b"", b"\x00"),
            b"--b\r\n\r\n",
            b"--b--",
        ]
        body = (
            b"".join(self.dice.choices(some, k=self.dice.randint(1, 4)))
            if self.dice.random() < 0.7
            else part % (b"a", b"", b"b") * 900
        )
        bound = self.dice.choice(
            [b"; boundary=b", b"; boundary=", b"", b"; boundary=" + b"b" * 300, b"; boundary=\xff"]
        )
        return self.request(b"POST", address, b"Content-Type: multipart/form-data" + bound, body=body)

    def flipped(self, address: bytes) -> bytes:
        whole = bytearray(
            self.request(
                b"POST",
                address,
                b"Content-Type: application/json",
                body=b'{"email":"kim@person.example","consent":true}',
            )
        )
        for _ in range(self.dice.randint(1, 6)):
            whole[self.dice.randrange(len(whole))] = self.dice.randrange(256)
        return bytes(whole)

    def fields(self, address: bytes) -> bytes:
        """A good form with bad answers."""
        names = [
            "email",
            "lang",
            "t",
            "s",
            "visitor",
            "once",
            "country",
            "employees",
            "renewal",
            "pause",
            "until",
            "every",
            "language",
            "shown",
        ]
        bad = [
            "\x00",
            "\ud800",
            "١٢٣",
            "9" * 400,
            "2026-99-99",
            "a@b\r\nBcc: x",
            "1e400",
            "\u202e",
            "x" * 5000,
            "ar_EG",
            "-1",
            "😀@x.example",
        ]
        said = {"email": "kim@person.example"} | {self.dice.choice(names): self.dice.choice(bad) for _ in range(3)}
        if self.dice.random() < 0.5:
            return self.request(
                b"POST",
                address,
                b"Content-Type: application/json",
                body=json.dumps(self.dice.choice([said, {"events": [said]}, [said]])).encode(),
            )
        pairs = "&".join(f"{name}={text}" for name, text in said.items())
        return self.request(b"POST", address, b"Content-Type: " + FORM, body=pairs.encode("utf-8", "surrogatepass"))

    def pipelined(self, address: bytes) -> bytes:
        good = self.request(b"GET", address).replace(b"Connection: close\r\n", b"")
        return (
            good * self.dice.randint(1, 3)
            + self.dice.choice(JUNK) * 9
            + self.request(b"POST", address, body=b"x" * 66_000)
        )

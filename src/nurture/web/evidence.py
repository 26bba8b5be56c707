"""What is kept to prove a consent, and what a browser says for its person; never an address or an agent as it came."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from nurture.web.site import Site
from nurture.web.visitors import origin

#: Characters of a page's address that are kept.
_LONGEST = 200


def evidence(site: Site, request: Request) -> dict[str, str]:
    """Where a yes or no was said, and keyed digests of who said it.

    `form`: our own address without its token; `page`: the page that it stood on, if the browser tells; `ip` and
    `agent`: HMAC-SHA256 in hexadecimal of the network address (of IPv6 the /64) and of the User-Agent. Whoever doubts
    a consent names an address, and it can be compared; nobody can read one out of the database.
    """
    found = {"form": _ours(request), "ip": _digest(site, "ip", origin(request))}
    if agent := request.headers.get("user-agent", "").strip():
        found["agent"] = _digest(site, "agent", agent)
    if page := _page(request.headers.get("referer", "")):
        found["page"] = page
    return found


def opted_out(request: Request) -> bool:
    """Whether the browser says that its person does not want to be sold or shared (Global Privacy Control)."""
    return request.headers.get("sec-gpc", "").strip() == "1"


def _ours(request: Request) -> str:
    """The address that was asked for; a token in it is nobody's business, not even the evidence's."""
    path = request.url.path
    token = request.path_params.get("token")
    return path.replace(str(token), "") if token else path


def _page(referer: str) -> str:
    try:
        parts = urlsplit(referer)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:_LONGEST]


def _digest(site: Site, kind: str, value: str) -> str:
    key = site.machine.keys.signing("evidence")
    return hmac.new(key, f"{kind} {value}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

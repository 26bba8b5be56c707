"""Where an endpoint may be: what its address says, and which IP addresses are nobody's inner ones."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

#: The last 32 bits are an IPv4 address that anybody may reach so: NAT64's well-known prefix (RFC 6052 section 2.1).
_NAT64 = IPv6Network("64:ff9b::/96")
#: Nobody's public addresses, though `ipaddress` does not know all of them: IPv4-compatible (RFC 4291 section 2.5.5.1),
#: IPv4-translated (RFC 2765), a network's own NAT64 (RFC 8215), documentation (RFC 9637), segments (RFC 9602),
#: site-local (RFC 3879).
_INNER = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10")))


def unfit(url: str) -> str | None:
    """Why `url` cannot be an endpoint; None: it can. Plain http is for loopback alone."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return f"'{url}' is not an address"
    if not host or parts.username or parts.password or parts.fragment:
        return f"'{url}' is not an address without name and password"
    if parts.scheme == "https" or (parts.scheme == "http" and loopback(host)):
        return None
    return f"'{url}' does not begin with https://"


def loopback(host: str) -> bool:
    """Whether a host, or an address, is written as this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def public(address: str) -> bool:
    """Whether an IP address is reached over the internet and is nobody's inner one, IPv4 inside IPv6 included."""
    try:
        ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if any(ip in network for network in _INNER):
            return False
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            inner.append(IPv4Address(int(ip) & 0xFFFFFFFF))
        known = [one for one in inner if one is not None]
        if known:
            return all(public(str(one)) for one in known)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified

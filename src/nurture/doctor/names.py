"""What DNS says of the sender: SPF (RFC 7208), DKIM (RFC 6376, 8301), DMARC (RFC 9989) and where bounces go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import dns.exception
import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from nurture.doctor.base import Check, ok, unchecked, wrong
from nurture.errors import SettingsError
from nurture.program.load import House
from nurture.settings import Settings

_SECONDS = 3.0
_RSA_BITS = 2048
_NAMES = ("SPF", "DKIM key", "DMARC", "bounces' MX", "PTR")


class Offline(Exception):
    """No resolver answered; nothing is known."""


class Names:
    """A resolver with three seconds that knows the world; `server`: `address:port` instead of the system's."""

    def __init__(self, server: str | None = None) -> None:
        try:
            self._ask = dns.resolver.Resolver(configure=server is None)
        except dns.resolver.NoResolverConfiguration as problem:
            raise Offline(str(problem)) from None
        if server is not None:
            address, _, port = server.rpartition(":")
            if not address or not port.isdigit():
                raise SettingsError(f"NURTURE_RESOLVER: '{server}' is not an address and a port; write 127.0.0.1:53")
            self._ask.nameservers, self._ask.port = [address.strip("[]")], int(port)
        self._ask.lifetime = _SECONDS
        if not self._rows(".", "NS"):  # every resolver that reaches the world knows who serves the root
            raise Offline("it does not know the root of DNS")

    def texts(self, name: str) -> list[str]:
        """The TXT records of `name`, each as one string; none where there is no such name. Raises Offline."""
        return [b"".join(row.strings).decode("utf-8", "replace") for row in self._rows(name, "TXT")]

    def mail_hosts(self, name: str) -> list[str]:
        """Who takes mail for `name`; `.` alone: nobody (RFC 7505). Raises Offline."""
        return [row.exchange.to_text() for row in self._rows(name, "MX")]

    def _rows(self, name: str, kind: str) -> list[dns.resolver.Answer]:
        try:
            return list(self._ask.resolve(name, kind))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as problem:
            raise Offline(f"{type(problem).__name__}: {problem}") from None


def examine(settings: Settings, house: House | None) -> list[Check]:
    """The records of the published program's sender."""
    if house is None:
        return [unchecked(name, "nothing is published yet, so the sender is not known") for name in _NAMES]
    sender = house.program.sender.address.rpartition("@")[2].lower()
    bounces = (settings.bounce_address or "").rpartition("@")[2].lower()
    try:
        names = Names(settings.resolver)
        return [
            _spf(names, bounces or sender),
            _dkim(names, (settings.dkim_domain or sender).lower(), settings.dkim_selector),
            _dmarc(names, sender),
            _mx(names, bounces),
            unchecked("PTR", "the address from which the relay sends is not known here; look it up with its operator"),
        ]
    except Offline as problem:
        return [unchecked(name, f"no resolver answers for the world ({problem})") for name in _NAMES]


def _spf(names: Names, domain: str) -> Check:
    records = [text for text in names.texts(domain) if text.lower().split(" ")[0] == "v=spf1"]
    if not records:
        return wrong("SPF", f'{domain} has no SPF record; publish TXT "v=spf1 include:YOUR-RELAY -all"')
    if len(records) > 1:
        return wrong("SPF", f"{domain} has {len(records)} SPF records, which counts as none; keep one")
    terms = records[0].lower().split()[1:]
    if {"all", "+all"} & set(terms):
        return wrong("SPF", f"{domain} lets everybody send ({records[0]}); end it with -all or ~all")
    if not any(term in ("-all", "~all") or term.startswith("redirect=") for term in terms):
        return wrong("SPF", f"{domain} forbids nobody ({records[0]}); end it with -all or ~all")
    return ok("SPF", f"{domain}: {records[0]}")


def _dkim(names: Names, domain: str, selector: str | None) -> Check:
    if selector is None:
        return unchecked("DKIM key", "NURTURE_DKIM_SELECTOR is not set, so where the relay's key stands is not known")
    place = f"{selector}._domainkey.{domain}"
    records = [tags(text) for text in names.texts(place)]
    keys = [record for record in records if "p" in record]
    if len(keys) != 1:
        return wrong("DKIM key", f"{place} has {len(keys) or 'no'} key records; publish the one of the signing key")
    key = "".join(keys[0]["p"].split())
    if not key:
        return wrong("DKIM key", f"{place}: the key is withdrawn (p= is empty); sign with another selector")
    if keys[0].get("k", "rsa") == "ed25519":
        return ok("DKIM key", f"{place}: Ed25519 (RFC 8463; some receivers know RSA alone)")
    try:
        public = load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return wrong("DKIM key", f"{place}: p= cannot be read as a key; publish it again, in one piece")
    if not isinstance(public, RSAPublicKey) or public.key_size < _RSA_BITS:
        bits = public.key_size if isinstance(public, RSAPublicKey) else 0
        return wrong("DKIM key", f"{place}: the key has {bits} bits; make one of {_RSA_BITS} (RFC 8301)")
    return ok("DKIM key", f"{place}: RSA of {public.key_size} bits")


def _dmarc(names: Names, domain: str) -> Check:
    """The record of the domain, else of the nearest one above it (RFC 9989 section 4.10)."""
    labels = domain.split(".")
    for place in range(len(labels) - 1):
        name = ".".join(("_dmarc", *labels[place:]))
        records = [tags(text) for text in names.texts(name) if text.lower().startswith("v=dmarc1")]
        if len(records) == 1:
            policy = records[0].get("p", "").lower()
            if policy not in ("none", "quarantine", "reject"):
                return wrong("DMARC", f"{name} has no policy; add p=none at least, better p=quarantine")
            return ok("DMARC", f"{name}: p={policy}")
        if records:
            return wrong("DMARC", f"{name} has {len(records)} records, which counts as none; keep one")
    return wrong(
        "DMARC", f'{domain} has no DMARC record; publish TXT at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:…"'
    )


def _mx(names: Names, domain: str) -> Check:
    name = "bounces' MX"
    if not domain:
        return unchecked(name, "NURTURE_BOUNCE_ADDRESS is not set; bounces go to the sender's own mailbox")
    hosts = names.mail_hosts(domain)
    if not hosts or hosts == ["."]:
        return wrong(name, f"nobody takes mail for {domain}; publish an MX record, or no bounce comes back")
    return ok(name, f"{domain}: {', '.join(sorted(host.rstrip('.') for host in hosts))}")


def tags(text: str) -> Mapping[str, str]:
    """`a=b; c=d` as a mapping (RFC 6376 section 3.2)."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip().lower(): value.strip() for key, sign, value in pairs if sign}

"""Addresses as they stand in a header and an envelope: exactly one, with a domain that any relay can read."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from nurture.mail.faults import BadHeader

# RFC 5322's dot-atom with RFC 6532's letters; no quoted local part, comment, group (RFC 6854) or route.
_LETTERS = r"\u00a1-\u1fff\u2030-\ud7ff\uf900-\ufdfa\ufe70-\ufefc\U00010000-\U000effff"
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_LETTERS}-]+"
_ADDRESS = re.compile(rf"({_ATEXT}(?:\.{_ATEXT})*)@([^\s@<>()\[\],;:\\\"\x00-\x1f\x7f-\x9f]+)")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def one_address(text: str, header: str = "To") -> str:
    """`text` as one addr-spec of at most 254 characters, its domain in ASCII (punycode) unless the local part
    needs SMTPUTF8 anyway (RFC 6531). Raises BadHeader naming `header`.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or len(text) > 254 or "=?" in text:
        raise BadHeader(header, "is not exactly one address")
    local, domain = found[1], found[2]
    if domain.isascii():
        if not _DOMAIN.fullmatch(domain) or len(domain) > 253:
            raise BadHeader(header, "has no proper domain")
        return text
    ascii_domain = _punycode(domain)
    if ascii_domain is None:
        raise BadHeader(header, "has no proper domain")
    return f"{local}@{ascii_domain}" if local.isascii() else text


@lru_cache(maxsize=256)
def ascii_domain(address: str, header: str = "From") -> str:
    """The domain of one address in ASCII, for a Message-ID, a List-Id and a signature. Raises BadHeader."""
    domain = one_address(address, header).rpartition("@")[2]
    return one_address(f"x@{domain}", header).rpartition("@")[2]  # a local part in ASCII brings it about


@lru_cache(maxsize=4096)
def _punycode(domain: str) -> str | None:
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).ascii_domain
    except EmailNotValidError:
        return None

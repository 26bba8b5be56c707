"""Text made comparable: the databases fold case differently, so folding happens here, once, on the way in."""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

_LETTERS = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "\u200c": None, "\u200f": None, "\u200e": None})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Digits that every number of a row has at most: databases hold 63 bits.
_DIGITS = 18


def fold(text: str) -> str:
    """NFKC, case-folded, Arabic and Persian ye and kaf made one, spaces collapsed."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)
    return " ".join(folded.split())


def has_controls(text: str) -> bool:
    """True if `text` holds a control character or a line separator (a header could be split with it)."""
    return not text.isprintable() and _CONTROLS.search(text) is not None


def one_line(text: str) -> str:
    """`text` as any database keeps it and any log shows it: `?` for controls, line ends and halves of characters."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)


def canonical_email(text: str) -> str:
    """The key of a lead: one address, local part case-folded, domain lower-case (IDN in Unicode).

    Raises ValueError with a sentence for people. Comments, groups, quoted local parts, two addresses in one
    cell and control characters are refused (RFC 5321; RFC 6854 groups are not mailboxes).
    """
    if has_controls(text):
        raise ValueError("holds a control character")
    text = text.strip()
    if not text:
        raise ValueError("is empty")
    if text.count("@") > 1 and '"' not in text:
        raise ValueError("holds more than one address")
    try:
        address = validate_email(text, check_deliverability=False, test_environment=False)
    except EmailNotValidError as problem:
        raise ValueError(f"is not an e-mail address: {problem}") from None
    canonical = address.normalized
    if len(canonical) > 254:
        raise ValueError("is longer than 254 characters")
    local, _, domain = canonical.rpartition("@")
    return f"{local.casefold()}@{domain.casefold()}"


def row_number(text: str) -> int | None:
    """The number of a row, as people write it; None for what no database holds: that names no row."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None

"""`sms`: one text message to each lead's phone."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, func, literal, select
from sqlmodel import col

from nurture.records import Lead, Suppression
from nurture.steps.base import Here
from nurture.steps.sending import Message, Refusal

#: What people put between the digits of a number.
_BETWEEN = (" ", "-", "(", ")", ".", "/", "\N{NO-BREAK SPACE}")
#: Digits of a number with its country code (ITU-T E.164: fifteen at most; shorter than seven is no subscriber's).
_FEWEST, _MOST = 7, 15


class Sms(Message):
    """`{id: checkin, sms: checkin.j2, kind: marketing}`: a text template; it needs a phone with its country code."""

    kind_word: ClassVar[str] = "sms"
    channel: ClassVar[str] = "sms"
    consent: ClassVar[str | None] = "sms"
    sms: str = Field(pattern=r"^[\w./-]+\.j2$")
    kind: Literal["marketing", "operational"] = "marketing"
    repeat: bool = False

    def purpose(self) -> Literal["marketing", "operational"]:
        return self.kind

    def content(self, here: Here) -> ColumnElement[Any]:
        return literal(f"{here.sequence}/{self.sms}")

    def repeats(self) -> bool:
        return self.repeat

    def unreachable(self) -> list[Refusal]:
        silenced = (col(Suppression.kind) == "phone") & (col(Suppression.value) == plain_phone())
        return [
            (~has_phone(), "no_phone"),
            (select(1).where(silenced).correlate(Lead).exists(), "suppressed"),
        ]


def e164(written: str | None) -> str | None:
    """A phone as `+40721123456` (ITU-T E.164), from what people write; None: no country code, or no number."""
    plain = "".join(sign for sign in written or "" if sign not in _BETWEEN)
    digits = plain[1:]
    known = plain[:1] == "+" and digits.isascii() and digits.isdigit() and digits[:1] != "0"
    return plain if known and _FEWEST <= len(digits) <= _MOST else None


def plain_phone() -> ColumnElement[str]:
    """A lead's phone without what stands between its digits; `e164` of it where `has_phone` holds."""
    plain: ColumnElement[str] = func.coalesce(col(Lead.phone), "")
    for sign in _BETWEEN:
        plain = func.replace(plain, sign, "")
    return plain


def has_phone() -> ColumnElement[bool]:
    """Whether `e164` of a lead's phone is known: the same rule as SQL."""
    plain = plain_phone()
    digits = func.substr(plain, 2)
    return and_(
        func.substr(plain, 1, 1) == "+",
        func.substr(plain, 2, 1) != "0",
        func.length(digits).between(_FEWEST, _MOST),
        func.ltrim(digits, "0123456789") == "",
    )

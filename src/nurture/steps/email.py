"""`email`: one message to each lead, or one of several arms of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import ColumnElement, literal

from nurture.language.arms import Shares
from nurture.language.conditions import Did, parse_condition
from nurture.language.source import Misread, Written
from nurture.steps.base import Here, Span
from nurture.steps.sending import Message

_ARM = re.compile(r"[a-z0-9][a-z0-9_]{0,19}")
#: As the tags of languages look, which are spelled at the same place: `nudge.ar.j2`.
_LIKE_A_LANGUAGE = re.compile(r"[a-z]{2,3}(_.*)?")
_DEEDS = ("clicked", "replied", "objective")


def _deed(value: Any) -> Any:
    """One of the words, or a `did:` that counts single events."""
    if value in _DEEDS:
        return value
    if isinstance(value, dict):
        did = parse_condition(value)
        if isinstance(did, Did) and not (did.negated or did.at_least > 1 or did.within or did.since):
            return did
    remedy = f"write one of {', '.join(_DEEDS)}, or {{did: event}} with where: at most"
    raise ValueError(f"'{value}' does not tell a better letter; {remedy}")


def _confidence(value: Any) -> float:
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        number = 0
    if isinstance(value, bool) or not 50 < number < 100:
        raise ValueError(f"'{value}' is not a confidence; write a percentage such as 95")
    return number


class Winner(Written):
    """When the arms differ for certain, newcomers get the better one."""

    #: clicked, replied, objective or {did: event}: what the better letter brings more leads to do.
    by: Annotated[
        Any,
        BeforeValidator(_deed, json_schema_input_type=Literal["clicked", "replied", "objective"] | dict[str, Any]),
    ]
    #: How long each lead has for it, from when its letter was sent; who had it for less long is not counted yet.
    after: Span
    #: Per cent: 100 less the chance that arms which do alike are ever told apart, however often one looks.
    confidence: Annotated[float, BeforeValidator(_confidence, json_schema_input_type=float | str)] = 95


class Email(Message):
    """`{id: welcome, email: welcome.j2, kind: marketing}`; `operational` mail needs no consent, counts for no cap.

    With `variants: {a: 50, b: 50}` the letters are `welcome.a.j2` and `welcome.b.j2`: arms of the same message.
    """

    kind_word: ClassVar[str] = "email"
    email: str = Field(pattern=r"^[\w./-]+\.j2$")
    kind: Literal["marketing", "operational"] = "marketing"
    repeat: bool = False
    #: Arm to its share of the leads.
    variants: Shares | None = None
    winner: Winner | None = None

    @model_validator(mode="after")
    def _arms(self) -> Email:
        wrong: list[Any] = []
        for arm in self.variants or {}:
            if not _ARM.fullmatch(arm):
                wrong.append((("variants", arm), f"'{arm}' cannot name an arm", "use small letters and digits"))
            elif _LIKE_A_LANGUAGE.fullmatch(arm):
                remedy = "write one letter, or a word of four letters or more"
                wrong.append((("variants", arm), f"the arm '{arm}' is named like a language", remedy))
        if self.winner is not None and self.variants is None:
            wrong.append((("winner",), "a winner among nothing", "add variants: {a: 50, b: 50}"))
        if wrong:
            raise Misread(wrong)
        return self

    def purpose(self) -> Literal["marketing", "operational"]:
        return self.kind

    def content(self, here: Here) -> ColumnElement[Any]:
        return literal(f"{here.sequence}/{self.email}")

    def repeats(self) -> bool:
        return self.repeat

    def letter(self, arm: str | None) -> str:
        """The letter of an arm, `nudge.a.j2`; without variants the message itself."""
        return f"{self.email.removesuffix('.j2')}.{arm}.j2" if arm else self.email

    def letters(self) -> list[str]:
        """Every letter that the step may send."""
        return [self.letter(arm) for arm in self.variants] if self.variants else [self.email]

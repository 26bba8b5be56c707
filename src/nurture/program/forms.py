"""`forms:`, `labels:` and `choices:` of program.yaml: what a form asks, in which words, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from nurture.language.source import Written
from nurture.program.wording import Wording

_ONE_WAY = ("url", "form", "offer")
_TAGS = {"type": ["string", "array"], "items": {"type": "string"}}
_CHOICES = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "object", "minProperties": 1},
    ],
    "examples": [["operations", "support"], {"support": {"en": "Support", "ar": "الدعم"}}],
}


def _tags(value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise ValueError(f"'{value}' is no tag; write a word, or a list of words")
    return words


Tags = Annotated[list[str], BeforeValidator(_tags), WithJsonSchema(_TAGS)]


def _choices(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(word, str) and word.strip() for word in value):
        return {word: word[:1].upper() + word[1:].replace("_", " ") for word in value}
    if isinstance(value, dict) and value:
        return value
    raise ValueError(f"'{value}' are no choices; write [one, other] or {{one: What people read}}")


#: Of a field: what may be answered, and how people read it.
Choices = Annotated[dict[str, Wording], BeforeValidator(_choices), WithJsonSchema(_CHOICES)]


class Next(Written):
    """What the thank-you page offers: an address, a further form as the next step, or a piece of the library."""

    label: Wording | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    form: str | None = None
    #: The key of a piece; or one for each language.
    offer: Wording | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Next:
        said = [way for way in _ONE_WAY if getattr(self, way) is not None]
        if len(said) != 1:
            raise ValueError(
                f"a next step leads one way, this has {', '.join(said) or 'none'}; write url, form or offer"
            )
        if said == ["url"] and self.label is None:
            raise ValueError("the link has no words; add 'label:'")
        return self


class Thanks(Written):
    """What is said once the form was sent."""

    text: Wording | None = None
    next: Next | None = None
    #: Put on whoever came here by the form.
    tag: Tags = []


def _thanks(value: Any) -> Any:
    """A text, plain or by language, is a page of that text alone."""
    if isinstance(value, dict) and (not value or not value.keys().isdisjoint(Thanks.model_fields)):
        return value
    return value if isinstance(value, Thanks) else {"text": value}


class Form(Written):
    """A public form, `POST /f/<key>`; what it sends becomes an event of the lead."""

    event: str
    fields: list[str] = []
    #: Asked of those who come by a letter, in place of what is known of them, and in this order.
    ask_more: list[str] = []
    #: Such a visitor is asked so many questions at a time.
    at_once: int = Field(default=2, ge=1, le=10)
    #: Of the fields, those that must be answered; the e-mail address always must.
    required: list[str] = []
    #: What a newcomer is by it: who gives no more than an address is a subscriber. `lead`: subscribers become one, too.
    stage: Literal["subscriber", "lead"] | None = None
    #: Set with each submission, whatever the visitor sends: fields, or the lead's status.
    hidden: dict[str, str | bool | int | float] = {}
    #: Parameter of the page's address to the field that it fills.
    from_query: dict[str, str] = {}
    #: Put on whoever sends the form.
    tags: Tags = []
    #: The piece of the library that the form is for, by key; or one for each language.
    offer: Wording | None = None
    title: Wording | None = None
    text: Wording | None = None
    button: Wording | None = None
    thanks: Annotated[
        Thanks,
        BeforeValidator(_thanks),
        WithJsonSchema({"type": ["string", "object"]}),
    ] = Thanks()
    language: str | None = None
    #: Whether a ticked box must be confirmed from the mailbox; as the program says unless said here.
    double_opt_in: bool | None = None

    @model_validator(mode="after")
    def _titled(self) -> Form:
        if self.title is None and self.offer is None:
            raise ValueError("the form has no title; add 'title:', or the 'offer:' that it is for")
        return self

    @property
    def next(self) -> Next | None:
        """What the thank-you page offers; of a form for a piece of the library that piece."""
        return self.thanks.next or (Next(offer=self.offer) if self.offer is not None else None)

    @property
    def marks(self) -> list[str]:
        """Every tag that a submission puts on the lead."""
        return list(dict.fromkeys([*self.tags, *self.thanks.tag]))

    @property
    def answered(self) -> list[str]:
        """Every field that a visitor may answer, the e-mail address first."""
        return list(dict.fromkeys(["email", *self.fields, *self.ask_more]))

    def questions(self, known: Mapping[str, Any] | None) -> list[str]:
        """The fields to ask for, without the address. `known`: what is known of who came by a letter; else None."""
        own = [name for name in self.answered if name != "email" and name in self.fields]
        if known is None or not self.ask_more:
            return own
        open_ = [name for name in self.answered if name != "email" and known.get(name) in (None, "")]
        return open_[: self.at_once]

"""`website:` of program.yaml: whose pages tell us of visits, and what they may tell."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema

from nurture.language.source import Written

#: What the snippet tells of every page: no list need name it.
PAGE_VIEWS = ("page_viewed", "page_left")
_HOST = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?"
_EVENT = r"^[a-z][a-z0-9_]{0,63}$"
#: A page can be read and aped by everybody, so what costs a lead its mail, or sales a call, comes from elsewhere.
_NEVER = re.compile(r"(?:email|sms|offer|webhook|handoff|task|audience)_.*|unsubscribed|complained")


def _host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(_HOST, value):
        raise ValueError(f"'{value}' is not a host; write it in small letters, such as www.acme.example")
    return value


def _event(value: Any) -> Any:
    if isinstance(value, str) and _NEVER.fullmatch(value):
        raise ValueError(
            f"'{value}' is not for a page to tell, since everybody can send what a page sends; leave it out"
        )
    return value


Host = Annotated[str, BeforeValidator(_host), WithJsonSchema({"type": "string", "pattern": f"^{_HOST}$"})]
PageEvent = Annotated[str, BeforeValidator(_event), Field(pattern=_EVENT)]


class Website(Written):
    """The pages that carry the snippet."""

    #: Where a letter's tracked link takes along who followed it; none: links are as they were written.
    hosts: list[Host] = []
    #: What pages may tell besides page views.
    events: list[PageEvent] = []
    #: Of whom visits are kept once it is known who they are: whoever agreed to tracking, or did not say no.
    consent: Literal["required", "implied"] = "required"

    def allows(self, event: str) -> bool:
        """Whether a page may tell of `event`."""
        return event in PAGE_VIEWS or event in self.events

    def has(self, url: str) -> bool:
        """Whether `url` is a page of ours."""
        return urlsplit(url).netloc.casefold() in self.hosts

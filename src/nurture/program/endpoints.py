"""Where other systems are told of leads, and what text messages may take: parts of program.yaml."""

from __future__ import annotations

from pydantic import Field

from nurture.language.source import Written


class AudienceEndpoint(Written):
    """Where changes of an audience are sent, signed."""

    url: str = Field(pattern=r"^https?://")


class WebhookEndpoint(Written):
    """A system that webhook steps tell of leads, signed; `fields`: all that it is told of one."""

    url: str = Field(pattern=r"^https?://")
    fields: list[str] = []


class Texts(Written):
    """`sms:` of the program: segments that a text message may take at most."""

    longest: int = Field(default=3, ge=1, le=10)

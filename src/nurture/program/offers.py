"""offers.yaml: the library of content."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nurture.language.source import Written


class Piece(Written):
    """A piece of the content library."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")
    title: str
    summary: str = ""
    kind: str = "guide"
    stage: Literal["awareness", "consideration", "decision"]
    topics: list[str] = []
    language: str = "en"
    url: str = Field(pattern=r"^https?://")


class Offers(Written):
    """offers.yaml: the library, best first."""

    offers: list[Piece] = []

"""`tracking:` of program.yaml: what is noted of who agreed to be followed."""

from __future__ import annotations

from typing import Literal

from nurture.language.source import Written


class Tracking(Written):
    """What the letters to leads with a tracking consent tell."""

    #: Whether they carry an image that tells when they are opened.
    opens: Literal["on", "off"] = "on"

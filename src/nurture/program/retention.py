"""`retention:` of program.yaml: how long what is no longer needed is kept."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from nurture.language.source import Written

_PERIOD = re.compile(r"^\s*(\d+)\s+(day|week|month|year)s?\s*$")
#: A month and a year as this rule counts them.
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_LONGEST = 100 * 365
_SAID = r"^(\d+ (day|week|month|year)s?|for ever)$"
FOR_EVER = "for ever"


def _period(value: Any) -> timedelta | None:
    if value is None or value == FOR_EVER:
        return None
    found = _PERIOD.match(value) if isinstance(value, str) else None
    if not found or not 0 < int(found[1]) * _DAYS[found[2]] <= _LONGEST:
        raise ValueError(f"'{value}' is no period; write it as 90 days, 6 months, 3 years or for ever")
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


#: Whole days; None: for ever.
Period = Annotated[
    timedelta | None,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "pattern": _SAID, "examples": ["90 days", "3 years", FOR_EVER]}),
]
Kind = Literal["events", "inbound", "visits", "confirmations", "mail_copies", "refused_rows"]


class Retention(Written):
    """What is older is removed once a day; None: it is kept for as long as the lead is."""

    #: By when they happened, with what they earned.
    events: Period = None
    #: What is noted of bounces, complaints and replies.
    inbound: Period = None
    #: What browsers did that never turned out to be anybody's, and those browsers.
    visits: Period = timedelta(days=90)
    #: Consents that were asked for and never confirmed, by the end of their time.
    confirmations: Period = timedelta(days=30)
    #: Messages that are kept as files, where no relay is set.
    mail_copies: Period = timedelta(days=90)
    #: The files of refused rows that imports have written.
    refused_rows: Period = timedelta(days=30)

"""What a form sent, whichever of the three usual ways it came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nurture.web.guard import body

MOST_FIELDS = 50
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Posted:
    """Text by field; of a field sent twice the last counts. `json`: the answer is to be JSON."""

    values: dict[str, str]
    json: bool


async def posted(request: Request, sent: Annotated[bytes, Depends(body)]) -> Posted:
    """The fields of a body; 415 for any other type, 400 for one that is not what it says it is."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind == "application/json":
        return Posted(_from_json(sent), json=True)
    if kind not in _FORMS:
        raise HTTPException(415)
    try:
        form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    except (ValueError, KeyError, LookupError):
        raise HTTPException(400) from None
    values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    accept = request.headers.get("accept", "")
    return Posted(values, json="application/json" in accept and "text/html" not in accept)


def _from_json(sent: bytes) -> dict[str, str]:
    try:
        read: Any = json.loads(sent)
    except (ValueError, RecursionError):
        raise HTTPException(400) from None
    if not isinstance(read, dict) or len(read) > MOST_FIELDS:
        raise HTTPException(400)
    values = {}
    for name, value in read.items():
        if isinstance(value, bool):
            values[name] = "yes" if value else ""
        elif isinstance(value, str | int | float):
            values[name] = str(value)
        elif value is not None:
            raise HTTPException(400)
    return values

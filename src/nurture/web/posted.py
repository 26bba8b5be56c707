"""What a form sent, whichever of the three usual ways it came."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nurture.web.guard import body

MOST_FIELDS = 50
#: Lists in lists, at most.
DEEPEST = 20
#: What pages are written in, as Python calls it; its other codecs are no charset, or are slow, or make no text.
CHARSETS = {
    "utf-8", "ascii", "tis-620", "koi8-r", "shift_jis", "euc_jp", "gb18030", "big5",
    *(f"iso8859-{part}" for part in (1, 2, 5, 6, 7, 8, 9, 15)), *(f"cp{page}" for page in range(1250, 1259)),
}  # fmt: skip


@dataclass(frozen=True)
class Posted:
    """Text by field; of a field sent twice the last counts. `json`: the answer is to be JSON.

    `refused`: fields of JSON that hold something else than one value.
    """

    values: dict[str, str]
    json: bool
    refused: frozenset[str] = frozenset()


async def posted(request: Request, sent: Annotated[bytes, Depends(body)]) -> Posted:
    """The fields of a body; 415 for any other type, 400 for one that is not what it says it is."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    match kind.strip().casefold():
        case "application/json":
            return _from_json(sent)
        case "application/x-www-form-urlencoded":
            values = _urlencoded(sent, _charset(parameters))
        case "multipart/form-data":
            _charset(parameters)
            values = await _multipart(request)
        case _:
            raise HTTPException(415)
    accept = request.headers.get("accept", "")
    return Posted(values, json="application/json" in accept and "text/html" not in accept)


def _charset(parameters: str) -> str | None:
    """What a body says that it is written in, one of CHARSETS; 415 for any other."""
    said = None
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().casefold() == "charset":
            try:
                said = codecs.lookup(value.strip(" \"'\t")).name
            except (LookupError, ValueError):
                raise HTTPException(415) from None
            if said not in CHARSETS:
                raise HTTPException(415)
    return said


def _urlencoded(sent: bytes, charset: str | None) -> dict[str, str]:
    """As the page's own charset has it: who says nothing writes UTF-8, or is an older page and writes Windows-1252."""
    for name in (charset,) if charset else ("utf-8", "cp1252"):
        try:
            text = sent.decode(name)
            pairs = parse_qsl(
                text, keep_blank_values=True, encoding=name, errors="strict", max_num_fields=MOST_FIELDS
            )  # fmt: skip
        except UnicodeError:
            continue
        except (ValueError, LookupError):
            break
        return dict(pairs)
    raise HTTPException(400)


async def _multipart(request: Request) -> dict[str, str]:
    """Fields alone: a part with a file name ends it."""
    try:
        form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    except (ValueError, KeyError, LookupError):
        raise HTTPException(400) from None
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _from_json(sent: bytes) -> Posted:
    try:
        read: Any = json.loads(sent)
    except (ValueError, RecursionError):
        raise HTTPException(400) from None
    if not isinstance(read, dict) or len(read) > MOST_FIELDS or _deeper(read, DEEPEST):
        raise HTTPException(400)
    values: dict[str, str] = {}
    refused = set()
    for name, value in read.items():
        if isinstance(value, bool):
            values[name] = "yes" if value else ""
        elif isinstance(value, str | int | float):
            values[name] = str(value)
        elif value is not None:
            refused.add(name)
    return Posted(values, True, frozenset(refused))


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings stand in each other more often than so."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None:
        return False
    return levels == 0 or any(_deeper(one, levels - 1) for one in inside)

"""What each address takes and answers, for the OpenAPI documents; tests hold the doors to it."""

from __future__ import annotations

from typing import Any

Content = dict[str, dict[str, Any]]
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


def _json(**properties: Any) -> Content:
    """A JSON object in which each of `properties` stands."""
    return {"application/json": {"schema": {"type": "object", "required": list(properties), "properties": properties}}}


_PAGE: Content = {"text/html": _TEXT}
_SAID = _json(detail={"type": "string"})
#: A page for who came with a browser, JSON for the rest.
_EITHER = _PAGE | _SAID
_STATUS = _json(status={"enum": ["accepted"]})
_LINE = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
_OK = _json(ok={"type": "boolean"})
_ANY_OBJECT = {"application/json": {"schema": {"type": "object"}}}
_WORDS = {
    200: "As asked", 202: "Taken in", 204: "Nothing to say", 302: "On to where it leads", 303: "On to its thanks",
    304: "Known already", 400: "Not what it says it is", 401: "No valid proof of who asks", 403: "Not for who asks",
    404: "Not here", 405: "Not in this way", 408: "The body did not come in time", 413: "The body is too large",
    414: "The address is too long", 415: "A type that is not read here", 422: "To be mended", 429: "Too often",
    431: "The headers are too large", 503: "Not now",
}  # fmt: skip
#: Every door of the public app may say these.
_PUBLIC: dict[int, Content] = dict.fromkeys((400, 404, 405, 408, 413, 503), _EITHER) | dict.fromkeys((414, 431), _SAID)
_PRIVATE: dict[int, Content] = dict.fromkeys((401, 403, 414, 431, 503), _SAID)
_SHOWN: dict[int, Content] = {200: _PAGE}
_REPORTED: dict[int, Content] = dict.fromkeys((401, 403, 422, 429), _SAID)
#: By method and address, what else is answered.
_ANSWERS: dict[str, dict[int, Content]] = {
    "get /o/{token}.gif": {200: {"image/gif": {"schema": {"type": "string", "format": "binary"}}}},
    "get /c/{token}": {302: {}},
    "get /nurture.js": {200: {"text/javascript": _TEXT}, 304: {}},
    "post /hooks/{provider}": {200: _ANY_OBJECT | {"text/plain": _TEXT, "text/xml": _TEXT}, 401: _SAID, 422: _SAID},
    "post /f/{key}": {
        202: _STATUS, 303: {}, 415: _EITHER, 422: _PAGE | _json(errors={"type": "object"}), 429: _EITHER,
    },
    "post /p/{token}": {200: _PAGE, 415: _EITHER, 422: _PAGE},
    "post /events": {202: _STATUS, **_REPORTED},
    "options /events": {204: {}},
    "post /leads": {202: _json(status={"enum": ["accepted"]}, leads={"type": "array", "items": _LINE}), **_REPORTED},
    "post /crm": {202: _json(status={"enum": ["accepted"]}, changes={"type": "array", "items": _LINE}), **_REPORTED},
    "post /answers": {
        202: _json(status={"enum": ["accepted"]}, answers={"type": "array", "items": _LINE}), **_REPORTED,
    },
    "post /h/{token}": {200: _PAGE, 415: _EITHER, 422: _PAGE},
    "get /health": {200: _OK, 503: _OK},
    "get /health/live": {200: _OK},
    "get /metrics": {200: {"text/plain": _TEXT}},
    "get /openapi.json": {200: _ANY_OBJECT},
    "get /openapi/public.json": {200: _ANY_OBJECT},
}  # fmt: skip
_FIELDS = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
_KINDS = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
_ADDRESS = {"email": {"type": "string", "format": "email"}}
_FORM: Content = {kind: {"schema": {**_FIELDS["schema"], "properties": _ADDRESS}} for kind in _KINDS}
_FACTS: Content = {"application/json": {"schema": {"type": ["object", "array"], "items": {"type": "object"}}}}
#: By method and address, what is read.
_BODIES: dict[str, Content] = {
    "post /f/{key}": _FORM,
    "post /p/{token}": dict.fromkeys(_KINDS, _FIELDS),
    "post /events": _FACTS,
    "post /leads": _FACTS,
    "post /crm": _FACTS,
    "post /answers": _FACTS,
    "post /h/{token}": dict.fromkeys(_KINDS, _FIELDS),
    "post /hooks/{provider}": _ANY_OBJECT | {"application/x-www-form-urlencoded": _FIELDS},
}


def declare(document: dict[str, Any]) -> None:
    """Put answers and bodies into an app's OpenAPI document in place of what nobody said of them."""
    usual = _PRIVATE if "/metrics" in document["paths"] else _PUBLIC
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            answers = usual | _ANSWERS.get(name, _SHOWN)
            operation["responses"] = {str(status): _answer(status, kinds) for status, kinds in sorted(answers.items())}
            if name in _BODIES:
                operation["requestBody"] = {"content": _BODIES[name]}


def _answer(status: int, kinds: Content) -> dict[str, Any]:
    return {"description": _WORDS[status], **({"content": kinds} if kinds else {})}

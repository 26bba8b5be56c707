"""Conditions, durations and hours as JSON Schema, for editors. A schema may know less than `check`, never more."""

from __future__ import annotations

from typing import Any

from nurture.language.words import BUILT_IN, DOMAIN_KINDS, GRADES, LEVELS, OPERATORS, STATE

JsonSchema = dict[str, Any]

#: Where a condition is defined in each schema that speaks of one.
CONDITION = {"$ref": "#/$defs/Condition"}
_TEST = {"$ref": "#/$defs/Test"}

DURATION: JsonSchema = {
    "type": "string",
    "pattern": r"^\s*([0-9]+(\.0*)?\s+(day|week)s?|[0-9]+(\.[0-9]+)?\s+(minute|hour)s?)\s*$",
    "patternErrorMessage": "Not a duration: write 2 days or 1 week (calendar), 48 hours or 90 minutes (elapsed).",
    "description": "`2 days` and `1 week` go by the lead's calendar; `48 hours` and `90 minutes` are elapsed time.",
    "examples": ["2 days", "48 hours", "90 minutes", "1 week"],
}
HOURS: JsonSchema = {
    "type": "string",
    "pattern": r"^\s*([01]?[0-9]|2[0-3]):[0-5][0-9]\s*-\s*(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)\s*$",
    "patternErrorMessage": 'Not hours: write "09:00-17:00", in quotes.',
    "description": "From the first to the second on the clock of whom it concerns; the end is not included.",
    "examples": ["09:00-17:00"],
}
DATE: JsonSchema = {
    "type": ["string", "number"],
    "pattern": "[0-9]",
    "patternErrorMessage": "Not a date: write 2026-03-02.",
    "examples": ["2026-03-02"],
}
ZONE: JsonSchema = {
    "type": "string",
    "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$",
    "patternErrorMessage": "Not a time zone: write a name of the tz database, such as Europe/Bucharest.",
    "examples": ["Europe/Bucharest", "Europe/London", "America/New_York", "Asia/Dubai", "UTC"],
}
COUNTRY: JsonSchema = {
    "type": "string",
    "pattern": "^[^a-z0-9 ]{2}$",
    "patternErrorMessage": "Not a country: write two capital letters, such as RO.",
}
ADDRESS: JsonSchema = {
    "type": "string",
    "pattern": "@",
    "patternErrorMessage": "Not an address: write one, such as lena@acme.example.",
}
DAYS: JsonSchema = {
    "type": ["string", "array"],
    "pattern": "^(workdays|all)$",
    "patternErrorMessage": "Not days: write workdays, all, or [mon, tue].",
    "items": {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "workdays", "all"]},
    "minItems": 1,
    "examples": ["workdays", "all", ["mon", "tue", "wed"]],
}
BUSINESS_HOURS: JsonSchema = {
    "type": ["string", "number"],
    "pattern": "(hour|hours)\\s*$",
    "patternErrorMessage": "Not business hours: write 4 business hours.",
    "examples": ["4 business hours", "1 business hour"],
}
PER_DAY: JsonSchema = {
    "type": "string",
    "pattern": r"^\s*[0-9]+\s+per\s+day\s*$",
    "patternErrorMessage": "Not a cap: write 2 per day.",
    "examples": ["1 per day", "2 per day"],
}
_CAP: JsonSchema = {
    "type": "string",
    "pattern": r"^\s*[0-9]+\s+(per\s+day|in\s+total)\s*$",
    "patternErrorMessage": "Not a cap: write 2 per day, or 5 in total.",
    "examples": ["2 per day", "5 in total"],
}
CAP: JsonSchema = {"anyOf": [_CAP, {"type": "array", "items": _CAP, "minItems": 1, "maxItems": 2}]}
SHARE: JsonSchema = {
    "type": "string",
    "pattern": r"^\s*[0-9.]+\s*%\s*$",
    "patternErrorMessage": "Not a share: write 1%.",
    "examples": ["1%"],
}
_OFFSET = r"\+[0-9]+[smhdw]\s*"
_ZONED = r"\s*[0-9]{4}.+([Zz]|[+-][0-9]{2}(:?[0-9]{2}.*)?)\s*"
INSTANT: JsonSchema = {
    "type": "string",
    "pattern": f"^{_ZONED}$",
    "patternErrorMessage": "Not an instant with its zone: write 2026-03-02T09:00:00+02:00.",
    "examples": ["2026-03-02T09:00:00+02:00"],
}
MOMENT: JsonSchema = {
    "type": "string",
    "pattern": f"^({_OFFSET}|{_ZONED})$",
    "patternErrorMessage": "Write the time since start, as +30m, +2h or +3d, or an instant with its zone.",
    "examples": ["+0m", "+30m", "+2h", "+3d"],
}
_NAME: JsonSchema = {"type": "string", "minLength": 1}
_SCALAR: JsonSchema = {"type": ["string", "number", "boolean"]}
_GRADE: JsonSchema = {
    "type": "string",
    "pattern": "^(F|[A-D][+-]?)$",
    "patternErrorMessage": f"Not a grade: write one of {', '.join(GRADES)}.",
    "examples": list(GRADES),
}
_STAGES = ("subscriber", "lead", "mql", "sal", "sql", "opportunity", "customer", "recycled", "disqualified")

_OPERANDS: dict[str, JsonSchema] = {
    "is": {"description": "Equal; capitals do not matter."},
    "not": {"description": "Not equal; an unknown value is not unequal to anything."},
    "one_of": {"description": "Equal to one of these."},
    "at_least": {"type": "number", "description": "This much, or more."},
    "at_most": {"type": "number", "description": "This much, or less."},
    "above": {"type": "number", "description": "More than this."},
    "under": {"type": "number", "description": "Less than this."},
    "contains": {"description": "This is a part of it."},
    "starts_with": {"description": "It begins with this."},
    "known": {"type": "boolean", "description": "Whether there is a value at all."},
    "before": {"description": "Before this day, such as 2026-03-02."},
    "after": {"description": "After this day, such as 2026-03-02."},
}
_LISTS: dict[str, str] = {"all": "All of these hold.", "any": "At least one of these holds."}
_WORDS: dict[str, str] = {
    "clicked": "A person clicked in the message of this step of this passage.",
    "replied": "A person answered the message of this step of this passage.",
    "received": "The lead has had this letter, or this offer, in any sequence.",
    "in_sequence": "The lead is inside this sequence now.",
}
_FIELDS: dict[str, str] = {
    "stage": "Where the lead is in its lifecycle.",
    "status": "What is being done about the lead.",
    "score": "The single score, 0 to 100.",
    "engagement": "What the lead did, in points: 0 to 100.",
    "fit": "How well the lead fits: a letter, F to A+.",
    "tags": "The lead carries this tag, or one of these.",
    "source": "Where the lead came from.",
    "owner": "The salesperson who has the lead.",
    "domain": "What stands behind the @ of its address, or above that: `acme.example`.",
    "domain_kind": "Whose domain that is: company, free, disposable or academic.",
    "account": "The company that the lead belongs to: a domain, or a folded name.",
    "account_score": "The score of its account: the best lead's, and a little for each other.",
}
_OF_LEVELS = {
    "awareness": "A level of scoring.yaml, by name.",
    "buying_stage": "A level of scoring.yaml, by name.",
    "mql_level": "A level of `mql:` in lifecycle.yaml, by name.",
}
_HISTORY: dict[str, JsonSchema] = {
    "where": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "description": 'On the event\'s data; `*` stands for anything, as in `path: "/pricing*"`.',
    },
    "at_least": {"type": "integer", "minimum": 1, "description": "So many times; once unless said."},
    "within": {**DURATION, "description": "Not longer ago than this."},
    "since": {
        **DURATION,
        "pattern": f"^(step|enrolment)$|{DURATION['pattern']}",
        "patternErrorMessage": "Write step, enrolment, or a duration such as 2 days.",
        "description": "Where counting begins: the step, the enrolment, or so long ago.",
        "examples": ["step", "enrolment", "2 days"],
    },
}


def condition() -> dict[str, JsonSchema]:
    """The definitions `Condition`, `Happened` and `Test`, which refer to each other."""
    of_a_lead = dict.fromkeys((*_FIELDS, *STATE, *BUILT_IN), "A field of the lead.") | _FIELDS
    properties: dict[str, JsonSchema] = {
        **{
            name: {"type": "array", "minItems": 1, "items": CONDITION, "description": said}
            for name, said in _LISTS.items()
        },
        "not": CONDITION,
        "did": {**_NAME, "description": "This event happened, by a person: `page_viewed`, `demo_requested`, …"},
        "did_not": {**_NAME, "description": "This event did not happen."},
        **{name: {"type": "string", "description": said} for name, said in _WORDS.items()},
        **{name: {"description": said, "allOf": [_TEST]} for name, said in of_a_lead.items()},
        "tags": {**_NAME, "type": ["string", "array"], "items": _NAME, "description": _FIELDS["tags"]},
        "stage": {**_test(), "description": _FIELDS["stage"], "examples": list(_STAGES)},
        "domain_kind": {**_test(), "description": _FIELDS["domain_kind"], "examples": list(DOMAIN_KINDS)},
        "listed": {**_NAME, "type": ["string", "array"], "items": _NAME, "description": "The lead is on this list."},
        "fit": {**_test(_GRADE), "description": _FIELDS["fit"]},
        **{name: {**_level_test(), "description": _OF_LEVELS[name]} for name in LEVELS},
    }
    return {
        "Condition": {
            "title": "condition",
            "description": "What must be true of a lead; several keys: all of them.",
            "if": {"type": "string"},
            "then": {"enum": ["segment_left", "by_step"]},
            "else": {
                "if": {"anyOf": [{"required": ["did"]}, {"required": ["did_not"]}]},
                "then": {"$ref": "#/$defs/Happened"},
                "else": _mapping(properties),
            },
        },
        "Happened": {"title": "condition", **_mapping(properties | _HISTORY)},
        "Test": {"title": "test", **_test()},
    }


def _level_test() -> JsonSchema:
    """Levels are compared by name."""
    test = _test()
    named = {name: {"type": "string"} for name in ("at_least", "at_most", "above", "under")}
    return {**test, "properties": test["properties"] | named}


def _mapping(properties: dict[str, JsonSchema]) -> JsonSchema:
    """Known words with what they take; any other word is a field of the lead."""
    return {"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": _TEST}


def _test(value: JsonSchema = _SCALAR) -> JsonSchema:
    """A value, several of which one must do, or operators with their values. One schema, so that one thing is said."""
    operands = {name: _OPERANDS.get(name, {}) for name in OPERATORS}
    if value is not _SCALAR:
        either = {**value, "type": ["string", "array"], "items": value}
        operands |= {name: either for name in OPERATORS if name not in ("known", "before", "after")}
    types = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return {
        **value,
        "type": [*types, "array", "object"],
        "items": value,
        "minProperties": 1,
        "additionalProperties": False,
        "properties": operands,
    }

"""The files of a program as JSON Schema, made from the models that read them, for an editor to complete and underline.

What the schema refuses `nurture check` refuses too; what only the whole program can tell is left to `check`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from nurture.durations import Duration, Hours
from nurture.errors import NotFound
from nurture.language.conditions import parse_condition
from nurture.language.problems import suggest
from nurture.language.schema import CONDITION, DATE, DURATION, HOURS, JsonSchema, condition
from nurture.language.source import Written, read_yaml
from nurture.language.words import BUILT_IN
from nurture.program.check_stories import is_check, is_sequence
from nurture.program.checks import Check
from nurture.program.key_words import MEANINGS
from nurture.program.lifecycle import Lifecycle
from nurture.program.load import HOUSE_FILES
from nurture.program.models import ProgramFile
from nurture.program.offers import Offers
from nurture.program.scoring import Scoring
from nurture.program.sequence import Sequence
from nurture.steps import KINDS

FILES: dict[str, type[BaseModel]] = {
    "program": ProgramFile,
    "lifecycle": Lifecycle,
    "scoring": Scoring,
    "offers": Offers,
    "sequence": Sequence,
    "checks": Check,
}
#: Types that a marketer writes as one word or number.
_WRITTEN_AS: dict[type, JsonSchema] = {Duration: DURATION, Hours: HOURS}
_COMMENT = re.compile(r"^\s+#: ?(.*)$")
_FIELD = re.compile(r"^    (\w+)\s*:")


def _any_case(*words: str) -> str:
    each = "|".join("".join(f"[{sign.upper()}{sign}]" for sign in word) for word in words)
    return f"^({each})$"


_FLAG: JsonSchema = {
    "type": ["boolean", "string", "number"],
    "pattern": _any_case("true", "false", "yes", "no", "on", "off", "y", "n", "t", "f") + "|^[01]$",
    "patternErrorMessage": "Write true or false.",
}
_NUMBER: JsonSchema = {
    "type": ["number", "string"],
    "pattern": r"^[\s_+0-9.eE-]*[0-9][\s_0-9.]*$",
    "patternErrorMessage": "Not a number.",
}


class _Maker(GenerateJsonSchema):
    """Pydantic's schema of what is written, not of what it is read into."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchema:
        """A reader of our own: by what it makes; anything, where nobody said what it takes."""
        reader = getattr(schema["function"]["function"], "__func__", schema["function"]["function"])
        if reader is parse_condition:
            return {"$comment": "condition"}
        inner = schema["schema"]
        if "json_schema_input_schema" in schema:
            return self.generate_inner(schema["json_schema_input_schema"])
        if reader.__name__ == "_known_keys" or inner["type"] in ("tagged-union", "dataclass"):
            return self.generate_inner(inner)
        if inner["type"] in ("model", "definition-ref"):
            return {"anyOf": [self.generate_inner(inner), {"type": ["string", "number", "boolean", "array"]}]}
        return {}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchema:
        """For a step the word for its kind says which keys it has; before there is one, the words themselves."""
        kinds = {str(tag): self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        if kinds.keys() != KINDS.keys():
            return {"anyOf": list(kinds.values())}
        chosen: JsonSchema = {"$comment": "no kind", "kinds": kinds}
        for word, kind in reversed(kinds.items()):
            chosen = {"if": {"required": [word]}, "then": kind, "else": chosen}
        return {"type": "object", **chosen}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchema:
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        made["title"] = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__).lower()
        made["description"] = _first_sentence(model.__doc__)
        for name, said in _meanings(model).items():
            info = model.model_fields[name]
            field = made.get("properties", {}).get(info.alias or name)
            if field is not None:
                field.setdefault("description", said)
        return made

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchema:
        known = _WRITTEN_AS.get(schema["cls"])
        return dict(known) if known is not None else super().dataclass_schema(schema)

    def date_schema(self, _schema: core_schema.DateSchema) -> JsonSchema:
        return dict(DATE)

    def datetime_schema(self, _schema: core_schema.DatetimeSchema) -> JsonSchema:
        return dict(DATE)

    def bool_schema(self, _schema: core_schema.BoolSchema) -> JsonSchema:
        return dict(_FLAG)

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchema:
        return {**super().int_schema(schema), **_NUMBER, "patternErrorMessage": "Not a whole number."}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchema:
        return {**super().float_schema(schema), **_NUMBER}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchema:
        """An editor's `\\w` knows ASCII only, ours every letter."""
        made = super().str_schema(schema)
        return {**made, "pattern": made["pattern"].replace(r"\w", r"\w\u00aa-\uffff")} if "pattern" in made else made

    def sort(self, value: JsonSchema, _parent_key: str | None = None) -> JsonSchema:
        """Keys are offered in the order of the model."""
        return value

    def get_title_from_name(self, _name: str) -> str:
        return ""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchema:
        """Without the default: most are no YAML."""
        made = self.generate_inner(schema["schema"])
        default = schema.get("default")
        return {**made, "default": default} if isinstance(default, str | int | bool) else made


def _first_sentence(docstring: str | None) -> str:
    """The first paragraph, on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


@cache
def _meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """Field to what it means: as the table says, else the `#:` comment above it."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind not in (BaseModel, Written):
            found |= _comments(kind)
            found |= MEANINGS.get(kind.__name__, {})
    return {name: said for name, said in found.items() if name in model.model_fields}


def _comments(model: type) -> dict[str, str]:
    found, said = {}, []
    for line in inspect.getsource(model).splitlines():
        if comment := _COMMENT.match(line):
            said.append(comment[1])
            continue
        if said and (field := _FIELD.match(line)):
            found[field[1]] = " ".join(said)
        said = []
    return found


@cache
def _made(kind: str) -> str:
    if kind not in FILES:
        raise NotFound(f"there is no file of the kind '{kind}'; {suggest(kind, FILES)}")
    made = FILES[kind].model_json_schema(schema_generator=_Maker)
    definitions: dict[str, Any] = {**made.pop("$defs", {}), **condition()}
    whole = _settled({**made, "$defs": definitions}, definitions)
    if kind == "checks":
        _introduce(whole)
    used = _used(whole)
    whole["$defs"] = {name: one for name, one in whole["$defs"].items() if name in used}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"{kind}.yaml"}
    return json.dumps({**whole, **head}, ensure_ascii=False, indent=1) + "\n"


def _settled(value: Any, definitions: Mapping[str, Any]) -> Any:
    """Marks replaced by what they stand for; titles that only repeat the key left out."""
    if isinstance(value, list):
        return [_settled(one, definitions) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("$comment") == "condition":
        return _beside({key: one for key, one in value.items() if key != "$comment"}, CONDITION)
    if value.get("$comment") == "no kind":
        return _settled(_undecided(value["kinds"], definitions), definitions)
    settled = {key: _settled(one, definitions) for key, one in value.items()}
    if settled.get("title") == "":
        del settled["title"]
    nullable = settled.get("anyOf", [])
    if len(nullable) == 2 and nullable[1] == {"type": "null"} and "type" in nullable[0]:
        return _or_nothing(settled, nullable[0])
    if "$ref" in settled:
        return _beside({key: one for key, one in settled.items() if key != "$ref"}, settled)
    return settled


def _beside(words: dict[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """A reference with words of its own: readers of draft 7 pass over what stands beside one."""
    return {**words, "allOf": [{"$ref": reference["$ref"]}]} if words else {"$ref": reference["$ref"]}


def _or_nothing(whole: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    """One schema for a value that may be left empty: editors then say one thing about it."""
    types = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
    one = {**inner, "type": [*types, "null"]}
    if "enum" in one:
        one["enum"] = [*one["enum"], None]
    return {**one, **{key: value for key, value in whole.items() if key != "anyOf"}}


def _undecided(kinds: Mapping[str, JsonSchema], definitions: Mapping[str, Any]) -> JsonSchema:
    """A step that does not say its kind yet: the keys of every step, and one word for each kind."""
    each = {word: definitions[kind["$ref"].rpartition("/")[2]] for word, kind in kinds.items()}
    common = {name: prop for name, prop in next(iter(each.values()))["properties"].items() if name in _STEP}
    words = {word: {**one["properties"][word], "description": one["description"]} for word, one in each.items()}
    unsaid = f"A step without a kind: give it one of {', '.join(words)}."
    return {
        "title": "step",
        "type": "object",
        "properties": {**common, **words},
        "additionalProperties": False,
        "required": ["id"],
        "if": {"propertyNames": {"enum": list(_STEP)}},
        "then": {"anyOf": [{"required": [word], "errorMessage": unsaid} for word in words]},
    }


_STEP = ("id", "label", "next")


def _introduce(whole: dict[str, Any]) -> None:
    """A check's leads: what can be said of one, so that it is offered."""
    said = {
        "id": "Its id at its source, for a lead without an address.",
        "consent": "`none`, or a basis; consent unless said.",
        "tracking": "`false`: its links are not tracked.",
        "tags": "Tags that it carries at the start.",
        "stage": "Its stage at the start.",
        "status": "Its status at the start.",
        "count": "For leads alike: how many.",
        "like": "What they have in common; `{n}` stands for the number of each.",
    }
    known = {**dict.fromkeys(BUILT_IN, "A field of the lead."), **said}
    one = {"type": "object", "properties": {name: {"description": words} for name, words in known.items()}}
    whole["properties"]["leads"] |= {**one, "type": ["array", "object"], "minItems": 1, "items": one}


def _used(whole: Mapping[str, Any]) -> set[str]:
    """The definitions that are referred to from the top, directly or not."""
    found: set[str] = set()
    waiting = [{key: value for key, value in whole.items() if key != "$defs"}]
    while waiting:
        for name in re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(whole["$defs"][name])
    return found


def named_schema(name: str, text: str) -> str | None:
    """The kind of a file of a program, `name` relative to its folder; None: it has no schema."""
    folder, _, file = name.rpartition("/")
    kind = file.removesuffix(".yaml")
    if not folder:
        return kind if name in HOUSE_FILES else None
    if is_check(name):
        return "sequence" if is_sequence(read_yaml(name, text)) else "checks"
    return "sequence" if "/" not in folder and file == "sequence.yaml" else None


def schema(kind: str) -> str:
    """The schema of one kind of file, as JSON text. Raises NotFound."""
    return _made(kind)

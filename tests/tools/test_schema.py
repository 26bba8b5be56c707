"""JSON Schema of the program's files: what is shipped passes, what is wrong does not, and `check` is never milder."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from nurture.language.conditions import parse_condition
from nurture.language.source import Misread, Source, read_yaml
from nurture.language.words import OPERATORS
from nurture.program.schema import FILES, schema
from tests.cli.conftest import Desk

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
SHIPPED = sorted([*TEMPLATES.rglob("*.yaml"), *(ROOT / "tests/web/acorn").rglob("*.yaml")])


@cache
def validator(kind: str) -> Draft7Validator:
    """The schema, which is one itself."""
    made = json.loads(schema(kind))
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


def kind_of(value: Any, name: str) -> str:
    """Which kind of file it is; an edited sequence may stand among the checks."""
    if "/checks/" in name:
        return "checks" if "check" in value else "sequence"
    return Path(name).stem


def refused(kind: str, value: Any) -> list[str]:
    """What the schema says against a value."""
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator(kind).iter_errors(value)]


def accepted(kind: str, value: Any) -> bool:
    """Whether the model that reads the file takes it."""
    return Source(f"{kind}.yaml", deepcopy(value)).read(FILES[kind]) is not None


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_is_shipped_passes(file: Path) -> None:
    value = read_yaml(file.name, file.read_text("utf-8")).value

    assert refused(kind_of(value, file.as_posix()), value) == []


def test_every_kind_is_shipped() -> None:
    """The table above looks at each schema."""
    kinds = {kind_of(read_yaml("x", file.read_text("utf-8")).value, file.as_posix()) for file in SHIPPED}

    assert kinds == FILES.keys()


def harvest() -> Iterator[tuple[str, str, Any]]:
    """Everything in this test suite that one of the models takes: where it stands, its kind, its value."""
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or "\n" not in node.value:
                continue
            source = read_yaml("x", node.value.encode("utf-8", "replace").decode())
            if source.problems or not isinstance(source.value, dict):
                continue
            for kind in FILES:
                if accepted(kind, source.value):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", kind, source.value


def test_no_schema_is_stricter_than_check() -> None:
    """Each text of this test suite that is a program's file passes: new keys are known without an edit here."""
    found = list(harvest())

    assert {kind for _, kind, _ in found} >= {"program", "lifecycle", "scoring", "sequence"}
    assert [(place, kind, refused(kind, value)) for place, kind, value in found if refused(kind, value)] == []


#: What is wrong: the file, what stands there, what is written instead.
WRONG: dict[str, tuple[str, str, str]] = {
    "an unknown key": ("saas-evaluators/sequence.yaml", "priority:", "priorty:"),
    "an unknown key of send": ("saas-evaluators/sequence.yaml", "outside:", "outsid:"),
    "an unknown word of send": ("saas-evaluators/sequence.yaml", "next_opening", "next_openin"),
    "hours that no clock shows": ("saas-evaluators/sequence.yaml", "09:00-17:00", "09:00-27:00"),
    "days that do not exist": ("saas-evaluators/sequence.yaml", "days: workdays", "days: [monday]"),
    "a priority above 100": ("saas-evaluators/sequence.yaml", "priority: 80", "priority: 180"),
    "a priority that is no number": ("saas-evaluators/sequence.yaml", "priority: 80", "priority: high"),
    "a duration of another kind": ("saas-evaluators/sequence.yaml", "wait: 2 days", "wait: 4 hrs"),
    "a part of a calendar day": ("saas-evaluators/sequence.yaml", "wait: 2 days", "wait: 1.5 days"),
    "a duration without a unit": ("saas-evaluators/sequence.yaml", "at_most: 3 days", "at_most: 3"),
    "a wait without an end": ("saas-evaluators/sequence.yaml", "at_most: 3 days, ", ""),
    "a step without an id": ("saas-evaluators/sequence.yaml", "{id: breathe, wait", "{wait"),
    "a step without a kind": ("saas-evaluators/sequence.yaml", "{id: breathe, wait: 2 days}", "{id: breathe}"),
    "a kind misspelt": ("saas-evaluators/sequence.yaml", "{id: nudge, email:", "{id: nudge, emial:"),
    "a step of two kinds": ("saas-evaluators/sequence.yaml", "wait: 2 days", "wait: 2 days, exit: completed"),
    "a key of another kind": ("saas-evaluators/sequence.yaml", "wait: 2 days", "wait: 2 days, kind: marketing"),
    "an id with a capital": ("saas-evaluators/sequence.yaml", "{id: breathe,", "{id: Breathe,"),
    "a letter that is no template": ("saas-evaluators/sequence.yaml", "email: nudge.j2", "email: nudge.html"),
    "an operator misspelt": ("saas-evaluators/sequence.yaml", "at_least: 60", "at_leats: 60"),
    "a number that is a word": ("saas-evaluators/sequence.yaml", "at_least: 60", "at_least: sixty"),
    "a grade that does not exist": ("saas-evaluators/sequence.yaml", "at_least: C", "at_least: E"),
    "an empty list of cases": ("saas-evaluators/sequence.yaml", "any: [{stage:", "any: [], all: [{stage:"),
    "no steps": ("saas-evaluators/sequence.yaml", "steps:\n", "steps: []\nx:\n"),
    "since when": ("win-back/sequence.yaml", "{did_not: page_viewed, within: 90 days}", "{did: x, since: ever}"),
    "how often": ("win-back/sequence.yaml", "- {did: page_viewed}", "- {did: page_viewed, at_least: often}"),
    "no times": ("win-back/sequence.yaml", "- {did: page_viewed}", "- {did: page_viewed, at_least: 0}"),
    "an unknown condition word": ("win-back/sequence.yaml", "leave: {any:", "leave: {anyy:"),
    "a zone that is none": ("program.yaml", "zone: Europe/Bucharest\nlang", "zone: Bucharest time\nlang"),
    "a country in letters": ("program.yaml", "country: RO\n", "country: Romania\n"),
    "an address without an at": ("program.yaml", "hello@brightdesk.example", "hello.brightdesk.example"),
    "a field of no type": ("program.yaml", "employees: number", "employees: integer"),
    "a cap of nothing": ("program.yaml", "per_day: 1,", "per_day: 0,"),
    "a day that is none": ("program.yaml", "2026-12-24", "christmas"),
    "an endpoint that is no URL": ("program.yaml", "https://ads.example/audiences/dormant", "ads.example"),
    "a sender without an address": ("program.yaml", ", address: lena@brightdesk.example}", "}"),
    "a stage of content": ("offers.yaml", "stage: awareness", "stage: aware"),
    "a key with a blank": ("offers.yaml", "{key: ", "{key: a b"),
    "a rule without points": ("scoring.yaml", "points:", "point:"),
    "a cap that is a number": ("scoring.yaml", "2 per day", "2"),
    "where a refused lead goes": ("lifecycle.yaml", "then: nurture", "then: nirvana"),
    "an answer in days": ("lifecycle.yaml", "4 business hours", "4 days"),
    "an event at no instant": ("saas-evaluators/checks/demo-request.yaml", "- {at: +1d,", "- {at: tomorrow,"),
    "a start without a zone": ("saas-evaluators/checks/demo-request.yaml", "+02:00", ""),
    "an expectation misspelt": ("saas-evaluators/checks/demo-request.yaml", "email: welcome", "emial: welcome"),
    "a check without an end": ("saas-evaluators/checks/demo-request.yaml", "until:", "till:"),
}


@pytest.mark.parametrize(("name", "case"), WRONG.items(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_by_both(name: str, case: tuple[str, str, str]) -> None:
    file, written, instead = case
    text = (TEMPLATES / file).read_text("utf-8")
    assert written in text, name
    value = read_yaml(file, text.replace(written, instead, 1)).value
    kind = kind_of(value, f"/{file}")

    assert refused(kind, value)
    assert not accepted(kind, value)


VALUES: list[tuple[str, Any]] = [
    (kind_of(value, file.as_posix()), value)
    for file in SHIPPED
    for value in [read_yaml(file.name, file.read_text("utf-8")).value]
]
ODD: list[Any] = [
    None, "", "x", "12", "2 days", "48 hours", "0 hours", "1.0 week", "workdays", "yes", "off", "never", "A+", "1%", -1, 0,
    3, 1.5, [], ["mon"], ["x", 1], {}, {"x": 1}, {"add": "x"}, {"did": "x"}, {"known": True}, "2026-03-02", "+1d",
    "Europe/Bucharest", "a@b.example", "https://acme.example", "segment_left", {"any": [{"x": {"is": "y"}}]},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@given(st.data())
def test_what_the_schema_refuses_check_refuses(data: st.DataObject) -> None:
    """Whatever happens to a file: a value of another kind, a key that is lost, doubled or misspelt."""
    kind, original = data.draw(st.sampled_from(VALUES))
    value = deepcopy(original)
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(value)) or [()]))
        holder = value
        for part in path[:-1]:
            holder = holder[part]
        act = data.draw(st.sampled_from(["replace", "lose", "misspell"]))
        if act == "replace":
            holder[path[-1]] = deepcopy(data.draw(st.sampled_from(ODD)))
        elif act == "lose" or isinstance(holder, list):
            del holder[path[-1]]
        else:
            holder[f"{path[-1]}s"] = holder.pop(path[-1])
        if not value:
            break

    if value and refused(kind, value):
        assert not accepted(kind, value), (kind, path, refused(kind, value))


KEYS = [
    "stage",
    "score",
    "fit",
    "tags",
    "listed",
    "awareness",
    "buying_stage",
    "industry",
    "email",
    "status",
    "employees",
]
OPERANDS = st.sampled_from(
    ["x", "A+", "2026-03-02", 5, 0, 1.5, True, "", None, ["A"], ["x", 3], [], {"x": 1}, "2 days"]
)
TESTS = st.one_of(OPERANDS, st.dictionaries(st.sampled_from([*OPERATORS, "oddly"]), OPERANDS, max_size=2))
HISTORY = st.fixed_dictionaries(
    {"did": st.sampled_from(["page_viewed", "", 3])},
    optional={
        "where": st.sampled_from([{}, {"path": "/p*"}, {"n": 3}, {"x": None}, "x"]),
        "at_least": st.sampled_from([1, 0, 3, "3"]),
        "within": st.sampled_from(["2 days", "4 hrs", 3]),
        "since": st.sampled_from(["step", "enrolment", "1 week", "ever"]),
    },
)
LEAVES = st.one_of(
    st.dictionaries(st.sampled_from(KEYS), TESTS, max_size=2),
    st.dictionaries(st.sampled_from(["clicked", "replied", "received", "in_sequence"]), OPERANDS, max_size=1),
    HISTORY,
    HISTORY.map(lambda did: {"did_not" if key == "did" else key: value for key, value in did.items()}),
    st.sampled_from(["segment_left", "by_step", "x", None, 3]),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"any": st.lists(inner, max_size=2), "score": TESTS}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=4,
)


@given(CONDITIONS)
def test_a_condition_that_the_schema_refuses_is_none(condition: Any) -> None:
    """The same for conditions of every shape."""
    made = json.loads(schema("sequence"))
    found = Draft7Validator({**made["$defs"]["Condition"], "$defs": made["$defs"]})
    try:
        parse_condition(condition)
    except Misread:
        return
    assert [error.message for error in found.iter_errors(condition)] == []


def told(node: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every property of a schema with the way to it."""
    if isinstance(node, dict):
        for name, inner in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            yield (*way, name), inner
        for key, inner in node.items():
            yield from told(inner, (*way, key))
    elif isinstance(node, list):
        for inner in node:
            yield from told(inner, way)


@pytest.mark.parametrize("kind", ["program", "lifecycle", "offers", "sequence"])
def test_an_editor_can_explain_the_keys(kind: str) -> None:
    """What people write into these files has a sentence of its own, in the shipped files at least."""
    made = json.loads(schema(kind))
    said = {way[-1] for way, node in told(made) if node.get("description") or "allOf" in node or "$ref" in node}
    keys = {
        str(path[-1]) for one, value in VALUES if one == kind for path in places(value) if isinstance(path[-1], str)
    }
    known = {way[-1] for way, _ in told(made)}

    assert len(keys & said) > 0.9 * len(keys & known)


def test_a_language_server_can_read_each_pattern() -> None:
    """What Python's patterns know and an editor's do not is not used."""
    patterns = [node["pattern"] for kind in FILES for _, node in told(json.loads(schema(kind))) if "pattern" in node]

    assert patterns
    assert not [pattern for pattern in patterns if "(?" in pattern or "\\Z" in pattern]


def test_the_schemas_beside_the_shipped_program_are_those_of_the_models() -> None:
    """After a change of a model: nurture schema --editor"""
    kept = {file.stem: file.read_text("utf-8") for file in (TEMPLATES / ".schema").glob("*.json")}

    assert kept.keys() == FILES.keys()
    assert [kind for kind in FILES if kept[kind] != schema(kind)] == []


def test_a_schema_is_printed(desk: Desk) -> None:
    said = desk.nurture("schema", "sequence")

    assert said.code == 0
    assert json.loads(said.out) == json.loads(schema("sequence"))


def test_a_program_is_prepared_for_editors_once(desk: Desk) -> None:
    """A second time changes nothing; what the file says stays as it is."""
    file = desk.write("templates/lifecycle.yaml", "milestones: {demo_requested: {when: {did: demo_requested}}}\r\n")

    first = desk.nurture("schema", "--editor")
    second = desk.nurture("schema", "--editor")

    assert "3 files did not name one" in first.out
    assert "0 files did not name one" in second.out
    assert (
        file.read_bytes()
        == b"# yaml-language-server: $schema=./.schema/lifecycle.json\r\nmilestones: {demo_requested: {when: {did: demo_requested}}}\r\n"
    )
    assert desk.nurture("check").code == 0


def test_which_schema_must_be_said(desk: Desk) -> None:
    said = desk.nurture("schema")

    assert (said.code, said.out) == (1, "")
    assert "program, lifecycle, scoring, offers, sequence, checks" in said.err


def test_an_unknown_schema_is_not_known(desk: Desk) -> None:
    said = desk.nurture("schema", "sequense")

    assert said.code == 1
    assert "did you mean 'sequence'?" in said.err


def test_a_new_program_tells_the_editor_where_its_schemas_are(desk: Desk) -> None:
    """The first line of each file names one that is there, and by which the file is right."""
    assert desk.nurture("init", "mine").code == 0
    files = sorted((desk.folder / "mine").rglob("*.yaml"))
    for file in files:
        first = file.read_text("utf-8").splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema="), file
        named = (file.parent / first.partition("=")[2]).resolve()
        value = read_yaml(file.name, file.read_text("utf-8")).value

        assert list(Draft7Validator(json.loads(named.read_text("utf-8"))).iter_errors(value)) == []
        assert named.stem == kind_of(value, file.as_posix())
    assert len(files) > 15

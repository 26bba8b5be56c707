"""Both apps against their own OpenAPI documents: whatever is asked, the answer is one that was declared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nurture.channels.base import Parcel
from nurture.channels.recording import RecordingChannel
from nurture.engine.machine import Machine
from nurture.tokens import Purpose
from nurture.web.private import Surroundings, described, private_app
from nurture.web.public import public_app
from tests.web.factories import Visitor, handed_over, handoffs, opened, touch_of
from tests.web.sited import key

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Of each operation, from each side; HYPOTHESIS_PROFILE=search looks further.
EXAMPLES = 15 if os.environ.get("HYPOTHESIS_PROFILE", "steady") == "steady" else 1000
PURPOSES: dict[str, Purpose] = {
    "/c": "click",
    "/o": "offer",
    "/u": "unsubscribe",
    "/q": "question",
    "/p": "preferences",
}
PUBLIC = (
    "get /o/{token}.gif", "get /c/{token}", "get /o/{token}", "get /u/{token}", "post /u/{token}",
    "post /hooks/{provider}", "get /f/{key}", "post /f/{key}", "get /f/{key}/thanks", "get /f/{key}/embed",
    "get /q/{token}", "post /q/{token}", "get /y/{token}", "post /y/{token}", "get /h/{token}", "post /h/{token}",
    "get /p/{token}", "post /p/{token}", "get /nurture.js", "post /events", "options /events", "post /leads",
    "post /crm",
    "post /answers", "get /",
    "get /health",
)  # fmt: skip
PRIVATE = ("get /", "get /health", "get /health/live", "get /metrics", "get /openapi.json", "get /openapi/public.json")


@dataclass
class Apps:
    """Both apps as their documents describe them, and what opens their doors."""

    public: Any
    private: Any
    key: str
    known: dict[str, str] = field(default_factory=dict)


def schema(app: FastAPI) -> Any:
    loaded = schemathesis.openapi.from_dict(described(app))
    loaded.app = app
    return loaded


@pytest.fixture(scope="module")
def apps(lettered_sqlite: tuple[Path, list[Parcel]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    """A house with letters out, a server key, and a service that reports."""
    path = shutil.copyfile(lettered_sqlite[0], tmp_path_factory.mktemp("schema") / "nurture.db")
    mail = RecordingChannel("email")
    with opened(f"sqlite:///{path}", files=None, mail=mail, minutes=40) as machine:
        machine.hooks = {"postmark": "user:word"}
        plenty = 10**9
        public = public_app(machine, forms_per_minute=plenty, forms_per_address=plenty, refused_per_minute=plenty)
        private = private_app(machine, Surroundings(hosts=["testserver"]))
        yield Apps(schema(public), schema(private), key(machine, "crm", "server"), tokens(machine))


def tokens(machine: Machine) -> dict[str, str]:
    """By door, a token that opens it: of Rae's letters, of a hand-off, of a second yes that is waited for."""
    visit, seal = Visitor(machine), machine.keys.seal
    handed_over(machine, visit)
    assert visit.post("/f/news", data={"email": "kim@person.example", "consent": "yes"}).status_code == 303
    letter, offer = (touch_of(machine, "rae@acme.example", step).id for step in ("hello", "piece"))
    found = {door: seal(purpose, offer if door == "/o" else letter) for door, purpose in PURPOSES.items()}
    return {**found, "/h": seal("handoff", handoffs(machine)[0].id), "/y": seal("confirm", 1)}


def test_every_operation_is_named_here(apps: Apps) -> None:
    """None is forgotten, and each says what it answers."""
    for known, names in ((apps.public, PUBLIC), (apps.private, PRIVATE)):
        paths: dict[str, Any] = known.raw_schema["paths"]
        assert sorted(names) == sorted(f"{method} {path}" for path, ways in paths.items() for method in ways)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_app_answers_as_it_says(apps: Apps, name: str) -> None:
    """Bodies that fit and bodies that do not, with a token that opens the door and with others."""
    method, path = name.split()
    right: dict[str, Any] = {}
    if "{token}" in path and path[:2] in apps.known:
        right["path_parameters"] = {"token": apps.known[path[:2]]}
    elif "{key}" in path:
        right["path_parameters"] = {"key": "demo"}
    elif "{provider}" in path:
        right = {"path_parameters": {"provider": "postmark"}, "headers": {"Authorization": "Basic dXNlcjp3b3Jk"}}
    elif name in ("post /events", "post /leads", "post /answers", "post /crm"):
        right["headers"] = {"Authorization": f"Bearer {apps.key}"}
    ask(apps.public[path][method.upper()], right)


@pytest.mark.parametrize("name", PRIVATE)
def test_the_private_app_answers_as_it_says(apps: Apps, name: str) -> None:
    """No body, no parameter: one answer."""
    method, path = name.split()
    ask(apps.private[path][method.upper()], {}, examples=2)


def ask(operation: Any, right: dict[str, Any], examples: int = EXAMPLES) -> None:
    """Ask for one operation in many ways and look at each answer."""
    ways = [operation.as_strategy()]
    if operation.body:
        ways.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        ways += [operation.as_strategy(generation_mode=mode, **right) for mode in GenerationMode if right]
    elif right:
        ways.append(operation.as_strategy(**right))

    @settings(max_examples=examples)
    @given(case=st.one_of(ways))
    def look(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    look()

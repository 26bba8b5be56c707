"""Every key that a marketer may write stands on the page and at the place where its reader looks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from nurture.language.schema import condition
from nurture.language.source import Written
from nurture.program.checks import Check
from nurture.program.lifecycle import Lifecycle
from nurture.program.models import ProgramFile
from nurture.program.offers import Offers
from nurture.program.scoring import Scoring
from nurture.program.sequence import Sequence
from nurture.steps import KINDS, Step
from tests.docs.test_examples import ROOT, told

#: Model to page, section and the beginning of the row or the item; without a third, the whole section.
PLACES: dict[str, tuple[str, ...]] = {
    "ProgramFile": ("house", "program.yaml"),
    "Sender": ("house", "program.yaml", "| `sender"),
    "Utm": ("house", "program.yaml", "| `utm"),
    "Caps": ("house", "program.yaml", "| `caps"),
    "Salesperson": ("house", "program.yaml", "| `sales"),
    "Away": ("house", "program.yaml", "| `sales"),
    "Chat": ("house", "program.yaml", "| `chat"),
    "Form": ("forms", "A form"),
    "Thanks": ("forms", "What comes next"),
    "Next": ("forms", "What comes next"),
    "Question": ("forms", "One question"),
    "Consents": ("house", "program.yaml", "| `consents"),
    "Crm": ("crm", "crm:"),
    "Owns": ("crm", "crm:", "| `owns"),
    "Reply": ("crm", "crm:", "| `answers"),
    "Deals": ("crm", "crm:", "| `deals"),
    "WebhookEndpoint": ("house", "program.yaml", "| `webhooks"),
    "AudienceEndpoint": ("house", "program.yaml", "| `audiences"),
    "Texts": ("house", "program.yaml", "| `sms"),
    "Website": ("house", "program.yaml", "| `website"),
    "Tracking": ("house", "program.yaml", "| `tracking"),
    "Retention": ("house", "program.yaml", "| `retention"),
    "Guard": ("house", "program.yaml"),
    "Canary": ("house", "program.yaml", "  canary:"),
    "Growth": ("house", "program.yaml", "  growth:"),
    "Lifecycle": ("house", "lifecycle.yaml"),
    "Agreement": ("house", "lifecycle.yaml", "| `definitions"),
    "Signature": ("house", "lifecycle.yaml", "| `agreed"),
    "Rule": ("house", "lifecycle.yaml", "| `lead"),
    "Mql": ("house", "lifecycle.yaml", "| `mql"),
    "MilestoneRule": ("house", "lifecycle.yaml", "| `milestones"),
    "GateRule": ("house", "lifecycle.yaml", "| `gate"),
    "Sla": ("house", "lifecycle.yaml", "| `sla"),
    "Scoring": ("house", "scoring.yaml"),
    "Group": ("house", "scoring.yaml", "- **`groups`"),
    "EngagementRule": ("house", "scoring.yaml", "- **`engagement`"),
    "FitRule": ("house", "scoring.yaml", "- **`fit`"),
    "AwarenessRule": ("house", "scoring.yaml", "- **`awareness`"),
    "StageRule": ("house", "scoring.yaml", "- **`awareness`"),
    "Offers": ("house", "offers.yaml"),
    "Piece": ("house", "offers.yaml"),
    "Sequence": ("language", "sequence.yaml"),
    "Enrol": ("language", "sequence.yaml", "| `enrol."),
    "Again": ("language", "sequence.yaml", "| `enrol.again"),
    "SendRule": ("language", "sequence.yaml", "| `send."),
    "Resend": ("language", "sequence.yaml", "| `on_uncertain"),
    **{kind.__name__: ("language", "Steps", f"| `{word}`") for word, kind in KINDS.items()},
    "Winner": ("language", "Steps", "| `email`"),
    "Change": ("language", "Steps", "| `audience`"),
    "Wanted": ("language", "Steps", "| `offer`"),
    "Topic": ("language", "Steps", "| `offer`"),
    "Asked": ("language", "Steps", "| `task`"),
    "Until": ("language", "Steps", "| `wait`"),
    "Case": ("language", "Steps", "| `branch`"),
    "Changes": ("language", "Steps", "| `update`"),
    "Tags": ("language", "Steps", "| `update`"),
    "Check": ("checks", ""),
    "Cohort": ("checks", ""),
    "Edit": ("checks", "", "| `program`"),
    "Event": ("checks", ""),
    "Expected": ("checks", ""),
    "Span": ("checks", "What may be expected"),
    "ChangeOf": ("checks", "What may be expected", "| `audience"),
    "Bounds": ("conditions", ""),
    "Prefers": ("preferences", "In checks"),
    "TagChange": ("checks", "What happens", "| `tags"),
    "Answered": ("checks", "What happens", "| `handoff"),
}
_OF_EVERY_STEP = set(Step.model_fields)


def models() -> dict[str, type[BaseModel]]:
    """Every model that a file of the marketer's is read into."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[Any] = [ProgramFile, Lifecycle, Scoring, Offers, Sequence, Check]
    while waiting:
        one = waiting.pop()
        if not (isinstance(one, type) and issubclass(one, Written)):
            waiting += get_args(one)
        elif one.__name__ not in found:
            found[one.__name__] = one
            waiting += [field.annotation for field in one.model_fields.values()]
            waiting += [part for field in one.model_fields.values() for part in field.metadata]
    return found | {kind.__name__: kind for kind in KINDS.values()}


MODELS = models()


def place(page: str, section: str, start: str | None = None) -> str:
    """A section of a page, or only its rows or items that begin so, with what continues them."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    parts = re.split(r"^## ", text, flags=re.M)
    whole = text if not section else next(part for part in parts if part.startswith(f"{section}\n"))
    return whole if start is None else "\n".join(_items(whole.splitlines(), start))


def _items(lines: list[str], start: str) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = line.startswith(start) or (inside and line.startswith(("| |", "  ")) and start[0] in "|-")
        if inside:
            yield line


def words(text: str) -> set[str]:
    """The words of its code, in a line or in a block."""
    fenced = re.findall(r"^```.*?^```", text, re.M | re.S)
    in_lines = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return set(re.findall(r"[a-z0-9_]+", " ".join([*fenced, *in_lines])))


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_told(name: str) -> None:
    """A new key, or a model of its own, needs its words on the page."""
    keys = {field.alias or key for key, field in MODELS[name].model_fields.items()}
    if issubclass(MODELS[name], Step):
        keys -= _OF_EVERY_STEP
    text = place(*PLACES[name])
    plain = words(f"`{text}`" if text.startswith("  ") else text)
    assert text, f"{PLACES[name]} is no place"
    assert keys - plain == set()


def test_what_every_step_has_is_told() -> None:
    assert words(place("language", "Steps")) >= _OF_EVERY_STEP


def test_every_word_of_a_condition_is_told() -> None:
    """Those that a schema knows are those that the compiler knows."""
    known = {word for one in condition().values() for word in one.get("properties", {})}
    assert len(known) > 40
    assert known - words(place("conditions", "")) == set()


def test_the_first_example_has_every_kind_of_step() -> None:
    sequence = told(ROOT / "docs" / "language.md")["evaluators/sequence.yaml"]
    assert {kind for kind in KINDS if re.search(rf"[ {{]{kind}:", sequence)} == set(KINDS)


def test_no_place_is_kept_for_a_model_that_is_gone() -> None:
    assert set(PLACES) == set(MODELS)


def test_every_page_for_marketers_is_named_on_the_first() -> None:
    """And every link of the table leads to a page."""
    named = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "language.md").read_text("utf-8")))
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    others = {"architecture", "commands", "doctor", "faults", "hooks", "importing", "inbound", "language", "operators"}
    others |= {"fast-path", "made-fast", "many-hosts", "moving-in", "performance", "serving", "web-security"}
    assert pages - others <= named <= pages

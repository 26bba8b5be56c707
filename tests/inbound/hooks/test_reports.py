"""Each service's events, as its own pages describe them, and the one shape that they are brought to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nurture.inbound.hooks import VENDORS
from nurture.inbound.hooks.shape import bounce, instant, parsed
from nurture.inbound.returned import one_line

PAYLOADS = Path(__file__).parent / "payloads"
CASES: dict[str, tuple[str, Any, dict[str, Any] | None]] = {
    f"{file.stem}, {name}": (file.stem, event, expected)
    for file in sorted(PAYLOADS.glob("*.json"))
    for name, (event, expected) in json.loads(file.read_text("utf-8")).items()
}


def test_every_service_has_its_table() -> None:
    """None is forgotten."""
    assert {vendor for vendor, *_ in CASES.values()} == set(VENDORS)


@pytest.mark.parametrize(("vendor", "event", "expected"), CASES.values(), ids=CASES.keys())
def test_an_event_in_the_one_shape(vendor: str, event: Any, expected: dict[str, Any] | None) -> None:
    """Kind, whose, when, why, and by what it is matched; what says nothing of a message is None."""
    for inner in event["msys"].values() if "msys" in event else [event]:
        report = VENDORS[vendor].report(inner)

    if expected is None:
        assert report is None
        return
    assert report is not None
    told = {name: getattr(report, name) for name in expected}
    told |= {name: list(told[name]) for name in ("tokens", "message_ids") if name in told}
    told |= {"at": report.at and report.at.astimezone(UTC).isoformat()} if "at" in expected else {}
    told |= {"detail": one_line(report.detail or "")} if "detail" in expected else {}
    assert told == expected


SEVERITIES = {
    "the service says hard, the server nothing": (("hard", None, ""), "hard"),
    "the service says hard, the number little": (("hard", "5.5.0", "mailbox unavailable"), "hard"),
    "the service says hard, the words speak of us": (("hard", "5.1.1", "rejected as spam"), "sender"),
    "the service says hard, the mailbox is full": (("hard", None, "user's mailbox is full"), "soft"),
    "the service says hard, the number later": (("hard", "4.4.1", "gave up"), "soft"),
    "the service says soft, the number hard": (("soft", "5.1.1", "user unknown"), "soft"),
    "the service says soft, the words speak of us": (("soft", None, "blocked by policy"), "sender"),
    "the service says nothing": ((None, "5.1.1", "user unknown"), "hard"),
    "nobody says anything": ((None, None, ""), "soft"),
    "the service says that it is us": (("sender", "5.1.1", "user unknown"), "sender"),
}


@pytest.mark.parametrize(("said", "expected"), SEVERITIES.values(), ids=SEVERITIES.keys())
def test_whom_a_failure_speaks_about(said: tuple[Any, Any, Any], expected: str) -> None:
    """An address is given up only when nothing speaks against it."""
    assert bounce(*said)["severity"] == expected


INSTANTS = {
    "seconds": (1772443267, "2026-03-02T09:21:07+00:00"),
    "seconds as text": ("1772443267", "2026-03-02T09:21:07+00:00"),
    "milliseconds": (1772443267000, "2026-03-02T09:21:07+00:00"),
    "with a zone": ("2026-03-02T11:21:07+02:00", "2026-03-02T09:21:07+00:00"),
    "without one": ("2026-03-02 09:21:07", "2026-03-02T09:21:07+00:00"),
    "a word": ("yesterday", None),
    "nothing": (None, None),
    "true": (True, None),
    "beyond all years": (10**40, None),
    "no number": (float("nan"), None),
    "a list": ([1], None),
}


@pytest.mark.parametrize(("said", "expected"), INSTANTS.values(), ids=INSTANTS.keys())
def test_an_instant_however_it_is_written(said: Any, expected: str | None) -> None:
    """Nothing raises; what cannot be read is not known."""
    found = instant(said)

    assert (found and found.astimezone(UTC)) == (expected and datetime.fromisoformat(expected))


def test_json_has_twenty_levels_at_most() -> None:
    """Nobody fills the stack."""
    assert parsed("[" * 20 + "]" * 20)
    for depth in (21, 100_000):
        with pytest.raises(ValueError, match="nested"):
            parsed("[" * depth + "]" * depth)

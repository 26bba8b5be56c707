"""`nurture test`: what it says of checks that speak of what is not there, and its diary."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nurture.program.load import read_folder
from nurture.rehearse.run import Outcome, run_check, run_checks

TEMPLATES = Path(__file__).parents[2] / "templates"
NAME = "gulf-distributors/checks/story.yaml"
STORY = """check: a story
start: 2026-04-06T10:00:00+03:00
leads:
  - {email: noura@tawzea.example, industry: distribution, country: SA, timezone: Asia/Riyadh}
events:
  - {at: +0m, lead: noura@tawzea.example, event: catalogue_requested}
  - {at: +1h, lead: noura@tawzea.example, clicks: method}
until: +12d
expect:
  - {at: +1d, lead: noura@tawzea.example, email: method}
"""


@cache
def shipped() -> dict[str, str]:
    return read_folder(TEMPLATES)


def played(story: str) -> Outcome:
    outcome = run_check({**shipped(), NAME: story}, NAME)
    assert outcome is not None
    return outcome


def test_never_of_a_lead_that_is_not_there() -> None:
    """A problem at its line, not a crash."""
    never = STORY + "  - {never: {lead: nobody@tawzea.example, email: method}}\n"

    (said,) = played(never).differences
    assert said.startswith(f"{NAME}:11:20: 'nobody@tawzea.example' is not among the leads of this check")


def test_the_diary_is_in_order_and_names_offers() -> None:
    """What differed is said as it was written; the day begins with coming in."""
    outcome = played(STORY)

    assert outcome.differences[0].split("; ")[0].endswith("'method' was not sent to this lead by then")
    assert "expected email method at +1d, but it happened at" in outcome.differences[1]
    assert [line.split()[3] for line in outcome.diary[1:3]] == ["event", "enrolled"]
    assert any("offer gulf-distributors/guide (" in line for line in outcome.diary)


def test_a_segment_is_named_as_in_publish() -> None:
    """Wherever the caller stands."""
    run = run_checks(TEMPLATES, [Path("win-back")])

    assert len(run.outcomes) == 7
    assert run.failed == 0

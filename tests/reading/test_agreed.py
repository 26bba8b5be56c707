"""One digest of what is agreed: another spelling is the same, another meaning is another, and is told in a sentence."""

from __future__ import annotations

import pytest

from nurture.program.agreed import Agreed, read_agreed
from nurture.reading.definitions import sections
from nurture.reading.parts import differences

LIFECYCLE = """\
mql: {levels: {hot: {fit: {at_least: B}, score: {at_least: 60}}, warm: {score: {at_least: 40}}}, rearm_below: 30}
lead: {when: {did: page_viewed}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true, follow_up: Call today.}
  used: {when: {did: seat_added, at_least: 3, within: 7 days}, handoff: true, entrance: product}
gate:
  - {reason: student, refuse: {any: [{role: [student, professor]}, {tags: studying}]}}
  - {reason: not_persona, refuse: {fit: {under: D}}, entrances: [marketing, product]}
sla: {accept_within: 4 business hours, escalate_to: head@acme.example}
recycle: {premature: 30 days}
"""
SCORING = """\
half_life: 30 days
groups: {content: {half_life: 14 days, at_most: 30}}
engagement:
  - {rule: read, when: {did: paper_downloaded, where: {topic: saas, kind: guide}}, points: 15, cap: 2 per day}
  - {rule: opened, when: {did: offer_viewed}, points: 8, group: content}
fit:
  - {rule: large, when: {employees: {at_least: 50}}, thirds: 3, points: 5}
awareness:
  - {level: knows_us, when: {did: trial_started}}
  - {level: new, when: {did: page_viewed}}
"""
#: The same agreement, written otherwise: what is replaced in the two files, and by what.
SAME = {
    "a comment": ("lead:", "# said in March\nlead:"),
    "a key elsewhere": ("half_life: 14 days, at_most: 30", "at_most: 30, half_life: 14 days"),
    "a week in days": ("within: 7 days", "within: 1 week"),
    "a number with a point": ("points: 15", "points: 15.0"),
    "one word as a list": ("tags: studying", "tags: [studying]"),
    "words in another order": ("[student, professor]", "[professor, student]"),
    "parts in another order": ("{fit: {at_least: B}, score: {at_least: 60}}", "{score: {at_least: 60}, fit: {at_least: B}}"),
    "a default written out": ("lead:", "acceptance: by_gate\nlead:"),
    "the usual words written out": ("lead:", "lost: {price: recycled, competitor: recycled, timing: recycled, "
                                    "no_decision: recycled, no_need: disqualified, unreachable: recycled}\nlead:"),
    "what to do first": ("Call today.", "Write today."),
    "a signature": ("lead:", "agreed: [{team: sales, name: Ana, date: 2026-02-16}]\nlead:"),
    "the older signature": ("lead:", "definitions: {agreed: 2026-02-16, by: [Ana]}\nlead:"),
}  # fmt: skip
_DEMO = "  demo_requested: {when: {did: demo_requested}, handoff: true, follow_up: Call today.}\n"
_USED = "  used: {when: {did: seat_added, at_least: 3, within: 7 days}, handoff: true, entrance: product}\n"
#: Another agreement: what is replaced, by what, and what is said of it.
OTHER = {
    "a threshold": ("{at_least: 60}", "{at_least: 55}", "MQL, level hot: “fit at least B, score at least 60” became"),
    "levels in another order": (
        "{hot: {fit: {at_least: B}, score: {at_least: 60}}, warm: {score: {at_least: 40}}}",
        "{warm: {score: {at_least: 40}}, hot: {fit: {at_least: B}, score: {at_least: 60}}}",
        "MQL: asked in another order now: warm, hot",
    ),
    "where it is armed again": ("rearm_below: 30", "rearm_below: 20", "MQL, again: “Once it is one no more, it can become one"),
    "what makes a lead": ("lead: {when: {did: page_viewed}}", "", "MQL, a lead: gone"),
    "a milestone": ("at_least: 3, within", "at_least: 4, within", "SAL, used: “seat added at least 3 times within 7"),
    "milestones in another order": (f"{_DEMO}{_USED}", f"{_USED}{_DEMO}", "SAL: asked in another order now: used, demo"),
    "a milestone that calls no more": ("handoff: true, entrance", "handoff: false, entrance", "SAL, used: gone"),
    "an entrance": (", entrance: product}", ", entrance: ready}", "it comes ready, without any nurture”"),
    "a gate rule": ("{role: [student, professor]}, ", "", "SAL, student: “role is student or professor or tagged"),
    "where the gate sends": ("{fit: {under: D}},", "{fit: {under: D}}, then: disqualified,", "it is disqualified (asked"),
    "whom the gate asks": ("[marketing, product]", "[marketing]", "SAL, not persona: “fit is under D"),
    "a deadline": ("4 business", "6 business", "How soon sales answers, answer: “Sales answers within 4 business"),
    "who is told": ("head@acme", "boss@acme", "How soon sales answers, expiry: “"),
    "a rest": ("premature: 30 days", "premature: 60 days", "What an answer means, premature: “it goes back"),
    "why deals are lost": ("lead: {", "lost: {price: disqualified}\nlead: {", "SQL, and what comes after, price: “"),
    "statuses": ("lead: {", "statuses: [asked]\nlead: {", "SQL, and what comes after, statuses: “"),
    "who accepts": ("lead: {", "acceptance: by_sales\nlead: {", "SAL, acceptance: “It is an SAL when the gate lets it"),
    "points": ("points: 15", "points: 12", "What earns points, read: “+15 for each paper downloaded"),
    "a pattern": ("kind: guide", "kind: film", "What earns points, read: “+15 for each paper downloaded"),
    "a cap": ("2 per day", "3 per day", "What earns points, read: “"),
    "a group": ("at_most: 30}}", "at_most: 25}}", "What earns points, content: “worth half after every 14 days, 30"),
    "a rule that is new": ("fit:\n", "fit:\n  - {rule: ours, when: {country: RO}, thirds: 1}\n", "Fit, ours: new: +1 third"),
    "a half-life": ("half_life: 30 days", "half_life: 20 days", "The score: “A number from 0 to 100"),
    "fit": ("thirds: 3", "thirds: 2", "Fit, large: “+3 thirds and +5 points: employees is at least 50” became"),
}  # fmt: skip


def agreed(old: str = "", new: str = "") -> Agreed:
    assert old in LIFECYCLE + SCORING
    found = read_agreed(LIFECYCLE.replace(old, new, 1), SCORING.replace(old, new, 1))
    assert found is not None
    return found


@pytest.mark.parametrize("case", SAME)
def test_another_spelling_is_the_same(case: str) -> None:
    """Signatures survive whatever says the same."""
    assert agreed(*SAME[case]).digest == agreed().digest


@pytest.mark.parametrize("case", OTHER)
def test_another_meaning_is_told(case: str) -> None:
    """The digest differs, and a sentence says in what."""
    old, new, sentence = OTHER[case]
    before, after = agreed(), agreed(old, new)
    told = differences(sections(before.lifecycle, before.scoring), sections(after.lifecycle, after.scoring))

    assert after.digest != before.digest
    assert any(sentence in line for line in told), told


def test_what_is_no_agreement_any_more() -> None:
    """A version that today's language no longer reads is nobody's."""
    assert read_agreed("mql: {when: {mood: good}, levls: {}}", "{}") is None

"""Checks: what may be written, what is told of mistakes, and that every expectation can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nurture.program.check import check
from nurture.program.check_edits import merged
from nurture.program.load import read_folder
from nurture.rehearse.play import Outcome, run_check

FILES = {n: text for n, text in read_folder(Path(__file__).parent / "scenarios").items() if "/checks/" not in n}
NAME = "all/checks/story.yaml"
HEAD = """\
check: a story
start: 2026-03-02T09:00:00+02:00
until: +9d
leads: [{email: ana@lead.example, first_name: Ana, industry: saas, country: RO}, {email: ion@lead.example}]
"""


def problems(*lines: str) -> list[str]:
    """What `check` says of a story with these lines, its places left in."""
    return [str(problem) for problem in check({**FILES, NAME: HEAD + "\n".join(lines) + "\n"})]


def played(text: str) -> Outcome:
    outcome = run_check({**FILES, NAME: text}, NAME)
    assert outcome is not None
    return outcome


EVENT = "events: [{{at: +0m, {}}}]"
EXPECT = "expect: [{{lead: ana@lead.example, {}}}]"
FINE = "expect: [{lead: ana@lead.example, email: first}]"
#: Lines of a check, and what is said of them: the place, the beginning of the words.
MISTAKES = {
    "two things at once": (
        [EVENT.format("lead: ana@lead.example, event: signed_up, clicks: first"), FINE],
        "5:10: an event says one thing, this says event, clicks",
    ),
    "nobody does it": ([EVENT.format("event: signed_up"), FINE], "5:10: 'lead' is missing"),
    "a stranger does it": (
        [EVENT.format("lead: eva@lead.example, event: signed_up"), FINE],
        "5:26: 'eva@lead.example' is not among the leads of this check",
    ),
    "a click is heard of later": (
        [EVENT.format("lead: ana@lead.example, clicks: first, recorded: +1d"), FINE],
        "5:10: 'recorded' with clicks",
    ),
    "an unknown segment by hand": (
        [EVENT.format("lead: ana@lead.example, enrol: everybody"), FINE],
        "5:51: there is no segment 'everybody'; known: all",
    ),
    "a stage that is none": (
        [EVENT.format("lead: ana@lead.example, stage: kustomer"), FINE],
        "5:51: there is no stage 'kustomer'; did you mean 'customer'?",
    ),
    "a field that nobody has": (
        ["events: [{at: +1d, arrives: {email: x@lead.example, industri: saas}}]", FINE],
        "5:53: no lead has a field 'industri'; did you mean 'industry'?",
    ),
    "a step that is not there": ([EXPECT.format("stands: thrid")], "5:43: there is no step 'thrid'; known: first, pause, second"),
    "a text by a letter's step": ([EXPECT.format("sms: first")], "5:40: step 'first' is no sms step"),
    "a wait sends nothing": ([EXPECT.format("expired: pause")], "5:44: step 'pause' sends nothing"),
    "two times": ([EXPECT.format("email: first, at: +1d, by: +2d")], "5:10: this says at and by"),
    "a subject of an end": ([EXPECT.format("left: completed, subject: Hi")], "5:10: 'subject' says nothing of left"),
    "a state between two instants": (
        [EXPECT.format("score: 5, within: {from: +0m, until: +1d}")],
        "5:10: score is looked at in one instant",
    ),
    "never a score": (
        ["expect: [{never: {lead: ana@lead.example, score: 5}}]"],
        "5:10: 'never' with score; expect the score at an instant instead",
    ),
    "never so many": (["expect: [{never: {count: 2, email: first}}]"], "5:10: 'never' with count; write how many"),
    "nobody in particular": (["expect: [{email: first}]"], "5:10: 'lead' is missing; say who, or 'count:' how many"),
    "a grade that is none": ([EXPECT.format("fit: G")], "5:40: there is no grade 'G'"),
    "an end that is none": ([EXPECT.format("left: finished")], "5:41: there is no end of a sequence 'finished'"),
    "a sequence that sends what is not there": (
        ["sequence:", "  steps:", "    - {id: first, email: frist.j2}", FINE],
        "7:26: there is no letter 'frist.j2' in all/; did you mean 'first.j2'?",
    ),
    "a word that the program does not know": (
        ["program:", "  capz: {per_day: 1}", FINE],
        "6:3: 'capz' is not known here; did you mean 'caps'?",
    ),
    "a letter that cannot be read": (
        ["letters:", "  first.j2: '{% if %}'", FINE],
        "6:13: line 1:",
    ),
    "a published sequence that cannot be": (
        ["events:", "  - {at: +1d, publish: {sequence: {send: {hours: 9 to 5}}}}", FINE],
        "6:50: '9 to 5' are not hours",
    ),
    "a new segment without its rule": (
        ["sequences:", "  other: {name: Other, segment: {email: {known: true}}, steps: [{id: rest, wait: 1 day}]}", FINE],
        "6:10: 'enrol' is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_at_its_place(name: str) -> None:
    """Before anything is played."""
    lines, said = MISTAKES[name]

    assert any(problem.startswith(f"{NAME}:{said}") for problem in problems(*lines)), problems(*lines)


def test_leads_alike_must_differ() -> None:
    """A cohort of one and the same address is one lead."""
    story = HEAD.replace("leads: [", 'leads: [{count: 3, like: {email: "same@lead.example"}}, ')

    (said,) = (str(problem) for problem in check({**FILES, NAME: story + FINE + "\n"}))
    assert said.startswith(f"{NAME}:4:26: these leads would all be the same one")


STORY = (
    HEAD.replace("until: +9d", "until: +6d")
    + """\
program: {caps: {per_7_days: 1}}
sequence: {objective: bought, enrol: {when: {did: signed_up}}}
events:
  - {at: +0m, lead: ana@lead.example, event: signed_up}
  - {at: +1h, lead: ana@lead.example, event: page_viewed}
  - {at: +1d, lead: ion@lead.example, suppress: address}
  - {at: +2d, lead: ion@lead.example, event: signed_up}
  - {at: +3d, lead: ana@lead.example, tags: {add: [VIP, warm]}}
  - {at: +4d, lead: ana@lead.example, event: demo_requested}
expect:
"""
)
#: What comes true in that story, and beside each something like it that does not.
ANA, ION = "lead: ana@lead.example", "lead: ion@lead.example"
EXPECTED = {
    f"{ANA}, email: first": f"{ANA}, email: second",
    f"{ANA}, email: first, at: +0m": f"{ANA}, email: first, at: +1s",
    f"{ANA}, email: first, by: +1d": f"{ION}, email: first, by: +1d",
    f"{ANA}, email: first, within: {{from: +0m, until: +1m}}": f"{ANA}, email: first, within: {{from: +1m, until: +1d}}",
    f"{ANA}, email: first, subject: The first letter for Ana": f"{ANA}, email: first, subject: The first letter",
    f"{ANA}, email: first, contains: This is the first": f"{ANA}, email: first, contains: This is the second",
    f'{ANA}, email: first, links_to: "https://acme.example/f*"': f'{ANA}, email: first, links_to: "https://acme.example/g*"',
    f"{ANA}, email: first, links_to: /u": f"{ANA}, email: first, links_to: /f/demo",
    f"{ANA}, email: first, sender: Ana at Acme": f"{ANA}, email: first, sender: hello@acme.example",
    f"{ANA}, email: first, reply_to: hello@acme.example": f"{ANA}, email: first, reply_to: ana@acme.example",
    f"{ANA}, email: first, language: en": f"{ANA}, email: first, language: de",
    f"{ANA}, email: first, count: 1": f"{ANA}, email: first, count: 2",
    "email: first, count: {at_most: 1}": "email: first, count: {at_least: 2}",
    f"{ANA}, deferred: second, reason: cap, due: +7d": f"{ANA}, deferred: second, reason: cap, due: +8d",
    f"{ANA}, deferred: second, at: +3d": f"{ANA}, deferred: second, at: +1d",
    f"{ANA}, enrolled: all, rotation: 1": f"{ANA}, enrolled: all, rotation: 2",
    f"{ION}, not_enrolled: all, reason: suppressed, at: +2d": f"{ION}, not_enrolled: all, reason: once_only",
    f"{ANA}, stands: pause, at: +1d, due: +2d": f"{ANA}, stands: pause, at: +1d, due: +3d",
    f"{ION}, stands: null, at: +3d": f"{ANA}, stands: null, at: +3d",
    f"{ANA}, score: {{at_least: 19, under: 21}}, at: +1d": f"{ANA}, score: 10, at: +1d",
    f"{ANA}, fit: C": f"{ION}, fit: C",
    f"{ANA}, tags: [vip, warm]": f"{ANA}, tags: [vip, cold]",
    f"{ION}, tags: []": f"{ANA}, tags: []",
    f"{ANA}, field: {{industry: saas, country: RO}}": f"{ANA}, field: {{industry: retail}}",
    f"{ANA}, status: new": f"{ANA}, status: open",
    f"{ANA}, stage: lead, at: +3d": f"{ANA}, stage: lead, at: +5d",
    f"{ANA}, milestone: demo, outcome: handed_off, at: +4d": f"{ANA}, milestone: demo, outcome: evidence",
    f"{ANA}, handoff: demo, owner: mihai@acme.example": f"{ANA}, handoff: demo, refused: student",
    f"never: {{{ANA}, left: objective}}": f"never: {{{ANA}, enrolled: all}}",
    f"never: {{{ANA}, stands: first, at: +1d}}": f"never: {{{ANA}, stands: pause}}",
    f"never: {{{ANA}, score: 10, at: +1d}}": f"never: {{{ANA}, tags: vip, at: +5d}}",
    f"never: {{{ION}, suppressed: first}}": f"never: {{{ANA}, deferred: second}}",
    f"never: {{{ION}, not_enrolled: all, at: +1d}}": f"never: {{{ION}, not_enrolled: all, at: +2d}}",
    f"{ANA}, stands: second": f"{ANA}, expired: second",
    f"never: {{{ANA}, failed: first}}": f"{ANA}, failed: first",
    f"never: {{{ANA}, uncertain: first}}": f"{ANA}, uncertain: first",
    f"never: {{{ANA}, cancelled: second}}": f"{ANA}, cancelled: second",
}  # fmt: skip


def test_every_expectation_comes_true_and_can_fail() -> None:
    """In one story: each on the left holds, each on the right does not, and is told at its line."""
    pairs = list(EXPECTED.items())
    lines = [line for pair in pairs for line in pair]

    outcome = played(STORY + "".join(f"  - {{{line}}}\n" for line in lines))

    first = STORY.count("\n") + 1
    failed = {int(one.split(":")[1]) - first for one in outcome.differences}
    assert {lines[index] for index in range(len(lines)) if index in failed} == {right for _, right in pairs}


def test_an_event_that_cannot_happen_is_told() -> None:
    """A click on a letter that was not sent, an answer to a hand-off that is not open."""
    story = (
        HEAD
        + """\
events:
  - {at: +1d, lead: ana@lead.example, clicks: second}
  - {at: +1d, lead: ana@lead.example, handoff: accepted}
  - {at: +1d, start: all}
  - {at: +1d, lead: ana@lead.example, unenrol: all}
expect: [{never: {lead: ana@lead.example, email: first}}]
"""
    )
    told = [one.split(":", 3)[3].strip() for one in played(story).differences]

    assert [line.partition(";")[0] for line in told[:3]] == [
        "'second' was not sent to this lead by then",
        "there is no open hand-off of this lead by then",
        "'all' was not stopped",
    ]
    assert "is not inside 'all'" in told[3]


def test_a_check_plays_alike_each_time() -> None:
    """Splits choose by keys that come from the check; another sentence deals anew."""
    story = """\
check: {name}
start: 2026-06-08T09:00:00+03:00
sequence:
  enrol: {{when: {{did: signed_up}}}}
  steps: [{{id: half, split: {{left: 50, right: 50}}}}, {{id: left, wait: 9 days, next: over}}, {{id: right, wait: 9 days}}, {{id: over, exit: completed}}]
leads: [{{count: 40, like: {{email: "lead{{n}}@lead.example"}}}}]
events: [{{at: +1h, publish: {{sequence: {{enrol: {{when: {{email: {{known: true}}}}, existing: true}}}}}}}}]
until: +1d
expect:
"""
    each = "".join(f"  - {{lead: lead{n}@lead.example, stands: left}}\n" for n in range(1, 41))
    once, again, other = (
        [one.split(":")[1] for one in played(story.format(name=name) + each).differences]
        for name in ("one deal", "one deal", "another deal")
    )

    assert once == again
    assert 8 <= len(once) <= 32
    assert once != other


def test_while_the_engine_is_down_doors_are_open() -> None:
    """What falls due waits for the end of it; who unsubscribes meanwhile is out at once."""
    story = (
        HEAD
        + """\
down: [{from: +1d, until: +3d}, {from: +4d, until: +5d}]
sequence: {max_late: 3 days}
events:
  - {at: +0m, lead: ana@lead.example, event: signed_up}
  - {at: +0m, lead: ion@lead.example, event: signed_up}
  - {at: +2d, lead: ion@lead.example, unsubscribes: true}
expect:
  - {lead: ana@lead.example, email: second, at: +3d}
  - {lead: ion@lead.example, left: unsubscribed, at: +2d}
"""
    )
    assert played(story).ok


LEAF = st.none() | st.integers()
ONE = st.dictionaries(st.sampled_from("abc"), LEAF, max_size=3)
TWO = st.dictionaries(st.sampled_from("abc"), LEAF | ONE, max_size=3)
MAPPING = st.dictionaries(st.sampled_from("abc"), LEAF | ONE | TWO, max_size=3)


@given(MAPPING, MAPPING)
def test_what_is_laid_over_twice_is_laid_over_once(before: dict[str, object], changes: dict[str, object]) -> None:
    """And what is taken away is gone."""
    once = merged(before, changes)

    assert merged(once, changes) == once
    assert not {key for key, value in changes.items() if value is None} & once.keys()
    assert {key: value for key, value in before.items() if key not in changes}.items() <= once.items()

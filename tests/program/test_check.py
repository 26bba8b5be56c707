"""`check`: a small edit of the shipped program, and the very line that a marketer reads."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from nurture.program.check import check
from nurture.program.load import read_folder

TEMPLATES = Path(__file__).parents[2] / "templates"
SAAS, GULF, WIN = (f"{slug}/sequence.yaml" for slug in ("saas-evaluators", "gulf-distributors", "win-back"))
NOTICE = "_shared/notice.j2:1:1: the file is missing; write what sales receives; 'nurture init' makes one"
#: Segments whose checks name no other.
ALONE = ("saas-evaluators", "gulf-distributors")
CASES = yaml.safe_load((Path(__file__).parent / "broken.yaml").read_text(encoding="utf-8"))


@cache
def shipped() -> dict[str, str]:
    return read_folder(TEMPLATES)


def said(files: dict[str, str]) -> list[str]:
    return [str(problem) for problem in check(files)]


@cache
def around(file: str) -> dict[str, str]:
    """What is shipped, with no other segment than that of `file` where it stands by itself: the rest takes a second."""
    folder = file.partition("/")[0] if file.partition("/")[0] in ALONE else "saas-evaluators"
    if "/" in file and folder not in file:
        return shipped()
    return {name: text for name, text in shipped().items() if name.partition("/")[0] in (name, "_shared", folder)}


def place(text: str, at: int) -> str:
    """`line:column` of a character."""
    return f"{text.count(chr(10), 0, at) + 1}:{at - text.rfind(chr(10), 0, at)}"


def test_the_shipped_program_is_clean() -> None:
    """No false alarms on what we ship, nor on the parts of it that stand by themselves."""
    assert said(shipped()) == []
    assert [said(around(f"{folder}/sequence.yaml")) for folder in ALONE] == [[], []]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_broken_program_is_told_exactly(case: dict[str, str]) -> None:
    """One edit, one line: the file, the place of the very value, the problem and the way out."""
    file, new = case["file"], case["new"]
    before, mark, after = shipped()[file].partition(case["old"])
    assert mark, f"{file} has no {case['old']!r} any more"
    files = around(file) | {file: before + new.replace("|", "", 1) + after}

    found = said(files)

    where = place(files[file], len(before) + new.index("|"))
    assert found == [f"{file}:{where}: {case['says']}"]


def edited(name: str, old: str, new: str) -> dict[str, str]:
    """The shipped program with one edit."""
    assert old in shipped()[name]
    return around(name) | {name: shipped()[name].replace(old, new, 1)}


def test_a_step_that_nothing_leads_to() -> None:
    """The lost step is pointed at, not the one that passes it over; what only follows it is not told again."""
    files = edited(SAAS, "then: case, else: nudge", "then: case, else: case")

    where = place(files[SAAS], files[SAAS].index("nudge, email"))
    assert said(files) == [f"{SAAS}:{where}: no lead ever comes to 'nudge'; name it in a step above, or remove it"]


def test_every_problem_is_told_at_once() -> None:
    """A misspelled key hides nothing that stands beside it or in it."""
    files = edited(SAAS, "priority: 80", "prioritty: 800")
    files[SAAS] = files[SAAS].replace("wait: 2 days", "wait: 2 dyas").replace("segment: {industry", "segmnt: {industri")
    files["scoring.yaml"] = files["scoring.yaml"].replace("half_life: 30 days", "half_live: soon", 1)

    problems = [str(problem.problem) for problem in check(files)]

    assert problems == [
        "'prioritty' is not known here",
        "priority: '800' is too large",
        "'segmnt' is not known here",
        "no lead has a field 'industri'",
        "'2 dyas' is not a duration",
        "'half_live' is not known here",
        "'soon' is not a duration",
    ]


def test_letters_are_empty_the_second_time() -> None:
    """`again:` over a letter without `repeat: true` would pass it over in silence."""
    files = edited(WIN, "existing: true", "existing: true\n  again: {after: 90 days}")

    assert [problem.problem.split("'")[1] for problem in check(files)] == ["hello", "news", "goodbye"]
    assert (
        said(
            files | {WIN: files[WIN].replace(".j2}", ".j2, repeat: true}").replace("gift.j2, repeat: true", "gift.j2")}
        )
        == []
    )


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        ("{{ address }}", "the message has no postal address, in each of the "),
        ("{{ unsubscribe_url }}", "there is no unsubscribe link, in each of the "),
    ],
)
def test_a_mistake_of_the_layout_is_told_once(gone: str, what: str) -> None:
    """Not once for each of the two dozen letters that have it."""
    (problem,) = check(edited("_shared/letter.j2", gone, ""))

    assert (problem.file, problem.line) == ("_shared/letter.j2", 1)
    assert problem.problem.startswith(what)
    assert gone in problem.remedy


def test_a_check_must_be_yaml_too() -> None:
    """What `nurture test` could not read is told here already."""
    name = "saas-evaluators/checks/two-sequences.yaml"

    assert [problem.file for problem in check(edited(name, "leads:", "leads"))] == [name]


def test_a_letter_in_other_languages_only() -> None:
    """A lead of another language would get nothing."""
    files = {name: text for name, text in shipped().items() if name != "win-back/hello.j2"}

    (problem,) = check(files)
    assert problem.problem == "'hello.j2' is written in ar only, and other leads get none"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("program.yaml", "program.yaml:1:1: the file is missing; write it; 'nurture init' makes one"),
        (
            "_shared/notice.j2",
            NOTICE,
        ),
        (
            "win-back/sequence.yaml",
            "win-back/sequence.yaml:1:1: the file is missing; write it, or remove the folder",
        ),
    ],
)
def test_a_file_that_is_missing(name: str, says: str) -> None:
    """Said of the file; its absence is not told again wherever it is used."""
    files = {other: text for other, text in shipped().items() if other != name}

    assert says in said(files)


def test_a_file_that_nothing_reads() -> None:
    """A misspelled name would be passed over in silence."""
    files = shipped() | {"scorng.yaml": "half_life: 30 days\n", "saas/sequnce.yaml": "name: Saas\n"}

    assert said(files) == [
        "saas/sequence.yaml:1:1: the file is missing; is 'saas/sequnce.yaml' meant?",
        "scorng.yaml:1:1: nothing reads this file; did you mean 'scoring.yaml'?",
    ]


def test_an_empty_program() -> None:
    """Nothing at all is a problem, not a crash."""
    assert said({})[0] == NOTICE


@pytest.mark.parametrize("text", ["", "[]", "name: [", "steps: 3\n", "steps: [3, {id: 4}, null]\n", "{1: 2}", "- a"])
@pytest.mark.parametrize("name", ["program.yaml", "lifecycle.yaml", "scoring.yaml", "offers.yaml", SAAS])
def test_no_shape_of_a_file_breaks_the_check(name: str, text: str) -> None:
    """Whatever stands in a file, the answer is a list of problems."""
    said({file: old for file, old in shipped().items() if file.endswith(".yaml")} | {name: text})


CHECK = "saas-evaluators/checks/demo-request.yaml"
STORY = """check: a story
start: 2026-03-02T09:00:00+02:00
leads:
  - {email: ana@acme.example, industry: saas}
until: +1d
expect:
  - {never: {lead: ana@acme.example, email: welcme}}
  - {lead: ben@acme.example, offer: no-such-piece}
  - {lead: ana@acme.example, audience: {add: linkedin-evaluaters}, left: complete}
  - {lead: ana@acme.example, left: complete}
"""


def test_a_check_is_read_before_it_is_played() -> None:
    """Names that nothing bears, inside `never` too, and a mistake of form, each at its place."""
    assert said(
        around(CHECK)
        | {CHECK: STORY.replace("  - {lead: ana@acme.example, audience", "  - {lead: ana@acme.example, audiance")}
    )[:3] == [
        f"{CHECK}:7:45: there is no step 'welcme'; did you mean 'welcome'?",
        f"{CHECK}:8:12: 'ben@acme.example' is not among the leads of this check; did you mean 'ana@acme.example'?",
        f"{CHECK}:8:37: there is no offer 'no-such-piece'; "
        + said(around(CHECK) | {CHECK: STORY})[2].partition("; ")[2],
    ]


def test_an_edited_sequence_beside_a_check_is_checked() -> None:
    """It would go live in the check."""
    name = "gulf-distributors/checks/sequence-faster.yaml"

    (problem,) = check(edited(name, "objective: quote_requested", "objective: quote_requestd"))
    assert (problem.file, problem.remedy) == (name, "did you mean 'quote_requested'?")


def test_an_operational_letter_has_the_address_too() -> None:
    """Every letter says who writes; only marketing says how to leave."""
    confirm = shipped()["gulf-distributors/confirm.j2"].replace('{% extends "_shared/letter.j2" %}', "")
    subject = "{% block subject %}x{% endblock %}"

    (problem,) = check(
        around(GULF)
        | {
            "gulf-distributors/confirm.j2": subject + "Hello",
            "gulf-distributors/confirm.ar.j2": subject + "{{ address }}",
        }
    )
    assert problem.problem == "the message has no postal address"
    assert confirm


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "win-back/hello.ger.j2",
            "x",
            "'ger' is not the tag of a language, and nobody gets this letter; did you mean 'hello.de.j2'?",
        ),
        ("win-back/spare.j2", "x", "no step sends this letter; name it in a step, or remove the file"),
    ],
)
def test_a_file_that_nobody_gets(name: str, text: str, says: str) -> None:
    """It lies there and looks as if it were sent."""
    letter = shipped()["win-back/hello.j2"]

    assert said(shipped() | {name: letter + text}) == [f"{name}:1:1: {says}"]


def test_a_letter_has_a_subject_of_its_own() -> None:
    """The layout's is the brand."""
    files = {**shipped(), "win-back/hello.j2": '{% extends "_shared/letter.j2" %}{% block body %}x{% endblock %}'}

    (problem,) = check(files)
    assert problem.problem == "'hello.j2' has no subject, and would go out under that of the layout"


def test_a_language_that_the_footer_lacks() -> None:
    """French words under a French letter; German ones are there."""
    letter = shipped()["win-back/hello.j2"]

    (problem,) = check(shipped() | {"win-back/hello.fr.j2": letter, "win-back/hello.de.j2": letter})
    assert (problem.file, problem.remedy) == ("_shared/words.j2", 'add a line "fr": {…} to words')


def test_an_event_that_is_misspelled() -> None:
    """One slip from a form's event."""
    (problem,) = check(edited(GULF, "did: catalogue_requested", "did: catalogue_requestd"))

    assert problem.remedy == "did you mean 'catalogue_requested'?"

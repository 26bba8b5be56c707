"""What `nurture check` says of text messages, webhooks and tasks: where, what, and the way out."""

from __future__ import annotations

import pytest

from nurture.program.check import check
from tests.engine.world import NOTICE, sequence

PROGRAM = """name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {industry: text, employees: number}
sales: [{name: Mihai, email: mihai@acme.example, country: RO}]
"""
TEXT = "{{ brand }}: hello {{ lead.first_name or 'there' }}. Reply STOP to end."
HOOKS = "webhooks: {crm: {url: 'https://crm.example/hook', fields: [email, industry, score, fit]}}\n"
STEPS = """  - {id: checkin, sms: checkin.j2}
  - {id: tell, webhook: crm, data: {reason: engaged}}
  - {id: ask, task: {for: sales, text: "Call {{ lead.first_name or 'them' }}"}, due: 1 day}
  - {id: over, exit: completed}"""


def written(steps: str = STEPS, more: str = HOOKS, **files: str) -> dict[str, str]:
    """A program in which nothing is wrong, but for what is given."""
    return {
        "program.yaml": PROGRAM + more,
        "_shared/notice.j2": NOTICE,
        "ways/sequence.yaml": sequence(steps),
        "ways/checkin.j2": TEXT,
        **{name.replace("__", "/").replace("_j2", ".j2"): text for name, text in files.items()},
    }


def test_what_is_right_passes() -> None:
    assert [str(problem) for problem in check(written())] == []


STEP = "ways/sequence.yaml"
LONG = TEXT + " It is a long story, and it goes on." * 10
#: A change to what is right, and what is said of it.
WRONG = {
    "no such text": (
        written(STEPS.replace("checkin.j2", "chekin.j2")),
        f"{STEP}:5:24: there is no text 'chekin.j2' in ways/; did you mean 'checkin.j2'?",
    ),
    "a field that no lead has": (
        written(ways__checkin_j2=TEXT + " {{ lead.industri }}"),
        "ways/checkin.j2:1:81: no lead has a field 'industri'; did you mean 'industry'?",
    ),
    "a field that some lead lacks": (
        written(ways__checkin_j2=TEXT + " {{ lead.industry }}"),
        "ways/checkin.j2:1:",
    ),
    "a name that is none": (
        written(ways__checkin_j2=TEXT + " {{ ofer.title }}"),
        "ways/checkin.j2:1:76: 'ofer' is undefined; mend this line",
    ),
    "broken Jinja2": (written(ways__checkin_j2=TEXT + "{% if %}"), "ways/checkin.j2:1:1: "),
    "it does not say who writes": (
        written(ways__checkin_j2="Hello! Reply STOP to end."),
        "ways/checkin.j2:1:1: 'checkin.j2' does not say who writes; print {{ brand }}",
    ),
    "it does not say how to stop": (
        written(ways__checkin_j2="{{ brand }}: hello! We never stop."),
        "ways/checkin.j2:1:1: 'checkin.j2' does not say how to stop it; "
        "end it with 'Reply STOP to end', or print {{ unsubscribe_url }}",
    ),
    "too long for a lead with every field": (
        written(ways__checkin_j2=LONG),
        "ways/checkin.j2:1:1: 'checkin.j2' takes 7 segments (UCS-2, 413 characters) for a lead with every field, "
        "and 3 are allowed; shorten it, or write sms: {longest: …} in program.yaml",
    ),
    "a variant that is too long": (
        written(**{"ways/checkin.ar.j2": "{{ brand }} STOP " + "م" * 250}),
        "ways/checkin.ar.j2:1:1: 'checkin.ar.j2' takes 4 segments (UCS-2, 260 characters)",
    ),
    "a text that no step sends": (
        written(ways__other_j2=TEXT),
        "ways/other.j2:1:1: no step sends this letter; name it in a step, or remove the file",
    ),
    "the second time nobody would get it": (
        written() | {STEP: sequence(STEPS, enrol="again: {after: 90 days}")},
        "add repeat: true, or write again: never",
    ),
    "no such webhook": (
        written(STEPS.replace("webhook: crm", "webhook: crn")),
        f"{STEP}:6:25: there is no webhook 'crn'; did you mean 'crm'?",
    ),
    "no webhooks at all": (
        written(more=""),
        f"{STEP}:6:25: there is no webhook 'crm'; declare it under webhooks: in program.yaml",
    ),
    "data that is no plain words": (
        written(STEPS.replace("{reason: engaged}", "{reason: [engaged]}")),
        f"{STEP}:6:45: '['engaged']' is no plain word; write a word, a number, true or false",
    ),
    "an endpoint without https": (
        written(more=HOOKS.replace("https://crm", "http://crm")),
        "program.yaml:7:23: 'http://crm.example/hook' does not begin with https://; write https://HOST/…",
    ),
    "a password in the address": (
        written(more=HOOKS.replace("https://crm", "https://user:pw@crm")),
        "program.yaml:7:23: 'https://user:pw@crm.example/hook' is not an address without name and password",
    ),
    "it may be told of no such field": (
        written(more=HOOKS.replace("industry", "industri")),
        "program.yaml:7:67: no lead has a field 'industri'; did you mean 'industry'?",
    ),
    "an audience without https": (
        written(more=HOOKS + "audiences: {hot: {url: 'http://ads.example'}}\n"),
        "program.yaml:8:24: 'http://ads.example' does not begin with https://; write https://HOST/…",
    ),
    "nobody of the team": (
        written(STEPS.replace("for: sales", "for: mihay@acme.example")),
        f"{STEP}:7:27: 'mihay@acme.example' is not of the sales team; did you mean 'mihai@acme.example'?",
    ),
    "nobody at all": (
        written(STEPS.replace("for: sales", "for: everybody")),
        f"{STEP}:7:27: 'everybody' is nobody; write sales, owner, or the e-mail of one of the team",
    ),
    "a task about a field that no lead has": (
        written(STEPS.replace("lead.first_name or", "lead.firstname or")),
        f"{STEP}:7:40: no lead has a field 'firstname'; did you mean 'first_name'?",
    ),
    "a task without a text": (
        written(STEPS.replace(", text: \"Call {{ lead.first_name or 'them' }}\"", "")),
        f"{STEP}:7:",
    ),
    "a notice of tasks that cannot be made": (
        written(**{"_shared/task.j2": "{% block subject %}x{% endblock %}\n{{ tusk.text }}"}),
        "_shared/task.j2:2:4: 'tusk' is undefined; mend this line",
    ),
    "more segments than anybody reads": (
        written(more=HOOKS + "sms: {longest: 11}\n"),
        "program.yaml:8:16: ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_where_it_stands(case: str) -> None:
    files, said = WRONG[case]
    found = [str(problem) for problem in check(files)]

    assert [one for one in found if said in one], found
    assert len(found) == 1, found

"""`check` of forms, labels, choices and questions: the very line that a marketer reads."""

from __future__ import annotations

import pytest

from nurture.language.source import read_yaml
from nurture.mail.called import wrong_answers
from nurture.mail.sandbox import Sandbox
from nurture.program.check import check
from nurture.program.models import ProgramFile

HOUSE = """\
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
sales: [{name: Mihai, email: mihai@acme.example}]
fields: {industry: text, employees: number, evaluated: flag}
"""
OFFERS = 'offers: [{key: guide, title: A guide, stage: awareness, url: "https://acme.example/g"}]\n'
NOTICE = "<html><body>{% block subject %}{{ handoff.milestone }}{% endblock %}</body></html>"

#: What is written, with `|` before the place that is told, and what is said of it.
CASES = {
    "a form without a title": ("forms: {a: |{event: x}}", "the form has no title; add 'title:', or the 'offer:' that it is for"),
    "a key that is no address": ("forms: {|a/b: {event: x, title: A}}", "'a/b' cannot stand in an address; use letters, digits, - and _"),
    "an unknown field": ("forms: {a: {event: x, title: A, fields: [|frist_name]}}", "no lead has a field 'frist_name'; did you mean 'first_name'?"),
    "an unknown field later": ("forms: {a: {event: x, title: A, ask_more: [|industri]}}", "no lead has a field 'industri'; did you mean 'industry'?"),
    "a field twice": (
        "forms: {a: {event: x, title: A, fields: [industry], ask_more: [|industry]}}",
        "'industry' stands in fields: as well; say it once",
    ),
    "required and not asked": (
        "forms: {a: {event: x, title: A, fields: [industry], required: [|company]}}",
        "the form does not ask for 'company'; known: industry",
    ),
    "hidden and asked": (
        "forms: {a: {event: x, title: A, fields: [industry], hidden: {|industry: saas}}}",
        "the form asks for 'industry' as well; ask for it or set it",
    ),
    "hidden of another kind": (
        "forms: {a: {event: x, title: A, hidden: {employees: |many}}}",
        "employees: 'many' is not a number; write it in digits, without quotes",
    ),
    "a hidden address": ("forms: {a: {event: x, title: A, hidden: {|email: a@b.example}}}", "every visitor has an address of their own; leave it out"),
    "a stage from a form": (
        "forms: {a: {event: x, title: A, hidden: {|stat: open}}}",
        "no lead has a field 'stat'; did you mean 'status'?",
    ),
    "a parameter into a number": (
        "forms: {a: {event: x, title: A, from_query: {n: |employees}}}",
        "'employees' is no text field of your own; known: industry; or declare it under fields: in program.yaml, as text",
    ),
    "an unknown piece": ("forms: {a: {event: x, offer: |gide}}", "there is no offer 'gide'; did you mean 'guide'?"),
    "an unknown piece in a language": (
        "forms: {a: {event: x, offer: {en: guide, ar: |giude}}}",
        "there is no offer 'giude'; did you mean 'guide'?",
    ),
    "an unknown next form": (
        "forms: {first: {event: x, title: A, thanks: {next: {form: |frist}}}}",
        "there is no form 'frist'; did you mean 'first'?",
    ),
    "its own next form": (
        "forms: {a: {event: x, title: A, thanks: {next: {form: |a}}}}",
        "a form cannot be its own next step; name another form",
    ),
    "a next step of two ways": (
        'forms: {a: {event: x, title: A, thanks: {next: |{label: L, url: "https://a.example", offer: guide}}}}',
        "a next step leads one way, this has url, offer; write url, form or offer",
    ),
    "a link without words": (
        'forms: {a: {event: x, title: A, thanks: {next: |{url: "https://a.example"}}}}',
        "the link has no words; add 'label:'",
    ),
    "a misspelt key of thanks": (
        "forms: {a: {event: x, title: A, thanks: {text: T, |tga: x}}}",
        "'tga' is not known here; did you mean 'tag'?",
    ),
    "a language that is none": (
        "forms: {a: {event: x, title: {en: A, |ger: B}}}",
        "'ger' is not a language; write a tag such as en, ar or pt-BR",
    ),
    "a text that is none": ("forms: {a: {event: x, title: {en: |[A]}}}", "'['A']' is no text; write it in words, or {en: …, ar: …}"),
    "choices of a number": ("choices: {|employees: [few]}", "the choices of 'employees' are its own; give choices to a field of text"),
    "no choices": ("choices: {industry: |[]}", "'[]' are no choices; write [one, other] or {one: What people read}"),
    "a label of no field": ("labels: {|industri: What}", "no lead has a field 'industri'; did you mean 'industry'?"),
    "one answer": ("questions: {q: |{ask: W, answers: {a: A}}}", "the question has one answer; write 2 to 20"),
    "an answer kept in a number": (
        "questions: {q: {ask: W, answers: {a: A, b: B}, field: |employees}}",
        "'employees' is no text field of your own; known: industry; or declare it under fields: in program.yaml, as text",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "told"), CASES.values(), ids=CASES.keys())
def test_what_is_wrong_is_told_at_its_place(written: str, told: str) -> None:
    """One slip, one line: its place, the problem and the way out."""
    files = {
        "program.yaml": f"{HOUSE}{written.replace('|', '', 1)}\n",
        "offers.yaml": OFFERS,
        "_shared/notice.j2": NOTICE,
    }

    found = [str(problem) for problem in check(files)]

    assert found == [f"program.yaml:7:{written.index('|') + 1}: {told}"]


def test_thanks_may_be_a_text_a_text_by_language_or_a_page() -> None:
    """Three spellings of the same page."""
    spellings = ("Thank you.", "{en: Thank you., ar: شكرًا}", "{text: Thank you.}", "{text: {en: Thank you.}}")
    for thanks in spellings:
        read = read_yaml("p", f"{HOUSE}forms: {{a: {{event: x, title: A, thanks: {thanks}}}}}").read(ProgramFile)
        assert read is not None
        text = read.forms["a"].thanks.text
        assert (text if isinstance(text, str) else text["en"]) == "Thank you."  # type: ignore[index]


LETTERS = {
    'answer_url("intnt", "buying")': "there is no question 'intnt'; did you mean 'intent'?",
    'answer_url("intent", "byuing")': "the question 'intent' has no answer 'byuing'; did you mean 'buying'?",
    'answer_url("intent")': "'answer_url' of 'intent' names no answer; known: buying, studying",
    'answer_url("intent", "studying")': None,
    "answer_url(lead.industry, lead.role)": None,
}


@pytest.mark.parametrize(("call", "told"), LETTERS.items(), ids=LETTERS.keys())
def test_a_letter_names_answers_that_there_are(call: str, told: str | None) -> None:
    """What is written in quotes is known before anyone gets the letter."""
    tree = Sandbox({"a.j2": f"\n<a href='{{{{ {call} }}}}'>x</a>"}).read("a.j2")

    found = [str(problem) for problem in wrong_answers("a.j2", tree, {"intent": ["buying", "studying"]})]

    assert found == ([f"a.j2:2:1: {told}"] if told else [])


WHERES = {
    "{question: intnt}": "there is no question 'intnt'; did you mean 'intent'?",
    "{answer: studing}": "there is no answer 'studing'; did you mean 'studying'?",
    "{question: intent, answer: study*}": None,
    "{question: intent, answer: buying}": None,
}


@pytest.mark.parametrize(("where", "told"), WHERES.items(), ids=WHERES.keys())
def test_a_condition_names_answers_that_there_are(where: str, told: str | None) -> None:
    """A question that nobody asks is never answered."""
    program = f"{HOUSE}questions: {{intent: {{ask: W, answers: {{buying: B, studying: S}}}}}}\n"
    rule = f"milestones: {{told: {{when: {{did: question_answered, where: {where}}}}}}}\n"
    files = {"program.yaml": program, "lifecycle.yaml": rule, "_shared/notice.j2": NOTICE}

    found = [str(problem).partition(": ")[2] for problem in check(files)]

    assert found == ([told] if told else [])

"""Everything wrong with a message that can be known before anyone gets it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date
from html import escape
from typing import Any, Literal

from jinja2 import TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nurture.language.problems import Problem, suggest
from nurture.mail import called, syntax
from nurture.mail.absent import absences
from nurture.mail.check_mjml import Marked, strange
from nurture.mail.faults import TemplateFault
from nurture.mail.mjml import is_mjml
from nurture.mail.render import Brand, Renderer, RenderJob
from nurture.mail.templates import MACROS, Templates
from nurture.mail.words import ENGLISH
from nurture.tokens import Keys

Kind = Literal["marketing", "operational", "offer", "notice"]

_HOUSE = frozenset({"brand", "sender", "address", "language", "dir"})
NAMES = _HOUSE | {"lead", "unsubscribe_url", "preferences_url", "offer", "form_url", "answer_url", "today"}
_OF_A_NOTICE = {
    "handoff", "notice", "who", "facts", "score", "fit", "reasons", "timeline", "sent", "suggestion", "owner", "say",
    "earlier", "account",
}  # fmt: skip
NOTICE_NAMES = _HOUSE | _OF_A_NOTICE | {"lead"}
#: What every lead has who gets a letter, and every lead of whom sales is told.
_NEVER_ABSENT = (frozenset({"email", "stage", "status"}), frozenset({"stage", "status"}))
OFFER_FIELDS = frozenset({"key", "title", "summary", "url", "kind", "stage", "language"})

_BRAND = Brand("Sample", "Sam Sample", "sam@sample.example", "Sampleaddress")
_KEYS, _URL = Keys(("sample " * 8,)), "https://sample.example"
_SAMPLES: dict[str, Any] = {
    "text": "Ștefan & <b>Ünal</b> مريم",
    "number": 1234,
    "flag": True,
    "date": date(2026, 3, 2),
    "list": ["one", "two"],
}
_OFFER = {name: f"sample {name}" for name in OFFER_FIELDS}


class _AnyRule(dict[str, Any]):
    """Knows every filter and test: which of them are allowed is said elsewhere, and all problems at once."""

    def get(self, _name: str, _otherwise: Any = None) -> Any:
        return str


class _Lenient(ImmutableSandboxedEnvironment):
    """For reading names only; what is looked at computes nothing on the way (`10 ** 1000000000` is a constant)."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)


_LENIENT = _Lenient()
_LENIENT.filters = _LENIENT.tests = _AnyRule()
#: What a template's own words could break a line of ours with.
_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ODD_REMEDY = "mend this line"


def problems(
    templates: Templates,
    message: str,
    fields: Mapping[str, str],
    *,
    kind: Kind = "marketing",
    forms: Collection[str] | None = None,
    questions: Mapping[str, Collection[str]] | None = None,
    language: str = "en",
    known: Collection[str] = (),
) -> list[Problem]:
    """What is wrong with `message` and its language variants; nothing is sent.

    `fields`: every field of a lead with its kind (text, number, flag, date, list). `forms`: the keys that
    `form_url` may name, `questions`: those of `answer_url` with their answers; None: not looked at. `language`: the
    program's. `known`: fields that each lead who gets it has, besides those that nobody lacks. Jinja2 knows lines only.
    """
    found: dict[Problem, None] = {}
    variants = templates.variants(message)
    if not variants:
        remedy = suggest(message, templates.files)
        return [Problem(message, 1, 1, "there is no such message", remedy)]
    for variant in variants:
        wrong = list(_read(templates, variant, fields, kind, forms, questions))
        wrong = wrong or _misplaced(templates, variant, fields, kind, language)
        wrong = wrong or absences(templates, variant, {*known, *_NEVER_ABSENT[kind == "notice"]})
        found |= dict.fromkeys(wrong or _tried(templates, variant, fields, kind, language))
    return sorted(replace(problem, problem=_ONE_LINE.sub("?", problem.problem)) for problem in found)


def _read(
    templates: Templates, variant: str, fields: Mapping[str, str], kind: Kind, forms: Collection[str] | None,
    questions: Mapping[str, Collection[str]] | None,
) -> Iterator[Problem]:  # fmt: skip
    """What reading the files shows."""
    trees: dict[str, nodes.Template] = {}
    try:
        for name in templates.made_of(variant):
            trees[name] = templates.sandbox.read(name)
    except TemplateSyntaxError as odd:
        yield Problem(odd.name or variant, odd.lineno, 1, odd.message or "is broken", _ODD_REMEDY)
        return
    if kind != "notice" and not _has_subject(templates, variant):
        problem = f"'{variant.rpartition('/')[2]}' has no subject, and would go out under that of the layout"
        yield Problem(variant, 1, 1, problem, "write {% block subject %}…{% endblock %}")
    names = NOTICE_NAMES if kind == "notice" else NAMES
    known = names | {name for tree in trees.values() for name in _set_by(tree)}
    for name, tree in trees.items():
        for line, problem, remedy in syntax.forbidden(tree, templates.files):
            yield Problem(name, line, 1, problem, remedy)
        if "<mj" in templates.files[name]:
            yield from strange(templates, name)
        if name == MACROS:
            continue
        unknown = _undeclared(templates, name) - known
        for node in tree.find_all(nodes.Name):
            if node.ctx == "load" and node.name in unknown:
                problem = f"there is no name '{node.name}'"
                yield Problem(name, node.lineno, 1, problem, suggest(node.name, known))
        yield from _wrong_fields(name, tree, "lead", fields)
        if kind == "offer":
            yield from _wrong_fields(name, tree, "offer", OFFER_FIELDS)
        yield from called.wrong_forms(name, tree, forms)
        yield from called.wrong_answers(name, tree, questions)


def _undeclared(templates: Templates, name: str) -> set[str]:
    tree = templates.sandbox.parsed(name)  # Jinja2 works constants out in it
    tree.set_environment(_LENIENT)
    return meta.find_undeclared_variables(tree)


def _has_subject(templates: Templates, variant: str) -> bool:
    """Whether the letter, or one that it is made after, says its subject; a layout's own is no letter's."""
    name: str | None = variant
    while name in templates.files:
        tree = templates.sandbox.read(name)
        parent = next((node.template for node in tree.find_all(nodes.Extends)), None)
        if any(block.name == "subject" for block in tree.find_all(nodes.Block)):
            return parent is not None or name == variant
        if not isinstance(parent, nodes.Const):
            return name == variant  # without a layout, rendering tells
        name = parent.value
    return True


def _set_by(tree: nodes.Template) -> Iterator[str]:
    """Names that a file gives to those around it: what it sets and imports, and its macros."""
    for node in tree.find_all((nodes.Macro, nodes.Import, nodes.FromImport, nodes.Name)):
        if isinstance(node, nodes.Macro):
            yield node.name
        elif isinstance(node, nodes.Import):
            yield node.target
        elif isinstance(node, nodes.FromImport):
            yield from (name if isinstance(name, str) else name[1] for name in node.names)
        elif isinstance(node, nodes.Name) and node.ctx == "store":
            yield node.name


def _wrong_fields(file: str, tree: nodes.Template, of: str, fields: Collection[str]) -> Iterator[Problem]:
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        base: Any = node
        if not isinstance(base.node, nodes.Name) or base.node.name != of:
            continue
        name = base.attr if isinstance(base, nodes.Getattr) else getattr(base.arg, "value", None)
        if isinstance(name, str) and name not in fields:
            odd = (f"an {of} has no '{name}'", suggest(name, fields))
            yield Problem(file, node.lineno, 1, *(syntax.no_field(name, fields) if of == "lead" else odd))


class _Source(Renderer):
    """Keeps what the templates printed before it became HTML."""

    written = ""

    def finished(self, written: str, direction: str) -> str:
        self.written = written
        return super().finished(written, direction)


def _misplaced(
    templates: Templates, variant: str, fields: Mapping[str, str], kind: Kind, language: str
) -> list[Problem]:
    """MJML that stands where it cannot: for a lead of whom nothing, or everything, is known, and in any branch."""
    if not any("<mj" in templates.files[name] for name in templates.made_of(variant)):
        return []
    found: dict[Problem, None] = {}
    for flat, lead in [*((False, lead) for lead in _leads(fields).values()), (True, _full(fields))]:
        marked = Marked(templates, flat)
        source = _Source(marked.templates, _BRAND, _KEYS, _URL)
        _fault(source, variant, templates.language(variant, language), lead, kind)
        if is_mjml(source.written):
            wrong = marked.misplaced(source.written)
            found |= dict.fromkeys(wrong if marked.whole or not flat else [])
        elif "<mj" in source.written and not flat:
            what = "MJML stands in a letter that is not MJML"
            found[Problem(variant, 1, 1, what, "extend a layout whose first tag is <mjml>")] = None
    return list(found)


def _leads(fields: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {"a lead of whom nothing is known": dict.fromkeys(fields), "a lead with every field": _full(fields)}


def _full(fields: Mapping[str, str]) -> dict[str, Any]:
    return {name: _SAMPLES.get(sort, _SAMPLES["text"]) for name, sort in fields.items()}


def _tried(
    templates: Templates, variant: str, fields: Mapping[str, str], kind: Kind, language: str
) -> Iterator[Problem]:
    """What rendering shows, for a lead of whom nothing is known and for one of whom everything is."""
    spoken = templates.language(variant, language)
    renderer = Renderer(templates, _BRAND, _KEYS, _URL)
    faults = {who: _fault(renderer, variant, spoken, lead, kind) for who, lead in _leads(fields).items()}
    whoever = len({(fault.line, fault.problem) for fault in faults.values() if fault}) == 1 and all(faults.values())
    for who, fault in faults.items():
        if fault is not None:
            yield fault if whoever else replace(fault, problem=f"for {who}: {fault.problem}")
            return


def _fault(renderer: Renderer, variant: str, spoken: str, lead: Mapping[str, Any], kind: Kind) -> Problem | None:
    """What rendering for this one lead shows."""
    try:
        if kind == "notice":
            renderer.notice(_notice(lead), spoken, variant)
            return None
        made = renderer.render(_job(variant, spoken, lead, kind))
    except TemplateFault as fault:
        return Problem(fault.file, fault.line, 1, fault.problem, _ODD_REMEDY)
    if "\n" in made.subject:
        what = "the subject has more than one line"
        return Problem(variant, 1, 1, what, "write {% block subject %}…{% endblock %} on one line")
    if escape(_BRAND.address, quote=False) not in made.html:
        problem = "the message has no postal address"
        return Problem(variant, 1, 1, problem, "print {{ address }} in the layout")
    return None


def _job(variant: str, language: str, lead: Mapping[str, Any], kind: Kind) -> RenderJob:
    return RenderJob(
        message=variant,
        language="",
        fallback=language,
        lead=lead,
        touch_id=1,
        tracked=True,
        offer=_OFFER if kind == "offer" else None,
        today=date(2026, 3, 2),
        operational=kind == "operational",
    )


def _notice(lead: Mapping[str, Any]) -> dict[str, Any]:
    url = "https://sample.example/h/1"
    lines = [{"points": 10, "rule": "sample", "when": "today", "what": "sample"}] if lead.get("email") else []
    return {
        "lead": dict(lead),
        "handoff": {
            "id": 1, "milestone": "sample", "title": "Sample", "reason": "Sample", "opened": "today", "handed": "today",
            "deadline": "today", "open": True, "entrance": "marketing", "level": None, "routed_by": None,
            "accept_url": url, "reject_urls": {"premature": url}, "page_url": url,
        },
        "notice": {"kind": "first", "title": "Sample", "text": "Sample"}, "who": "Sample", "say": ENGLISH,
        "facts": [{"name": name, "label": name, "value": str(value)} for name, value in lead.items() if value],
        "earlier": [{"when": "today", "by": "Sam", "what": "sample", "note": None}] if lines else [],
        "account": {"title": "sample", "people": [{"who": "Sam", "title": None, "what": "sample"}]} if lines else None,
        "score": 50, "fit": "B" if lines else None, "reasons": lines, "timeline": lines, "sent": lines,
        "suggestion": "Call", "owner": {"name": "Sam", "email": "sam@sample.example"},
    }  # fmt: skip


def parts_of(templates: Templates, variant: str) -> list[str]:
    """The letter and all files that it is made of; none where one of them cannot be read."""
    try:
        return templates.made_of(variant)
    except TemplateSyntaxError:
        return []


def words_of(templates: Templates, variant: str) -> Iterator[tuple[str, int, list[str]]]:
    """File, line and languages of every table `{% set words = {…} %}` that a layout of this letter keeps."""
    for name in parts_of(templates, variant):
        for node in templates.sandbox.read(name).find_all(nodes.Assign):
            named = isinstance(node.target, nodes.Name) and node.target.name == "words"
            if named and isinstance(node.node, nodes.Dict):
                keys = [pair.key for pair in node.node.items]
                yield name, node.lineno, [str(key.value) for key in keys if isinstance(key, nodes.Const)]

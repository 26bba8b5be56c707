"""What the calls of a letter name: forms, and answers to questions; nothing here looks at what a call is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jinja2 import nodes

from nurture.language.problems import Problem, suggest


def wrong_forms(file: str, tree: nodes.Template, forms: Collection[str] | None) -> Iterator[Problem]:
    """Forms of `form_url` that the program does not have; None: not looked at."""
    for line, (key, *_) in _calls(tree, "form_url"):
        if forms is not None and key is not None and key not in forms:
            yield Problem(file, line, 1, f"there is no form '{key}'", suggest(str(key), forms))


def wrong_answers(
    file: str, tree: nodes.Template, questions: Mapping[str, Collection[str]] | None
) -> Iterator[Problem]:
    """Questions and answers of `answer_url` that the program does not have; None: not looked at."""
    for line, (question, *more) in _calls(tree, "answer_url"):
        if questions is None or question is None:
            continue
        if question not in questions:
            remedy = suggest(str(question), questions) if questions else "write it under questions: in program.yaml"
            yield Problem(file, line, 1, f"there is no question '{question}'", remedy)
            continue
        known = questions[str(question)]
        if not more:
            what = f"'answer_url' of '{question}' names no answer"
            yield Problem(file, line, 1, what, f"known: {', '.join(known)}")
        elif more[0] is not None and more[0] not in known:
            what = f"the question '{question}' has no answer '{more[0]}'"
            yield Problem(file, line, 1, what, suggest(str(more[0]), known))


def _calls(tree: nodes.Template, name: str) -> Iterator[tuple[int, list[Any]]]:
    """Line and arguments of every call; None stands for what is not written in quotes."""
    for node in tree.find_all(nodes.Call):
        if isinstance(node.node, nodes.Name) and node.node.name == name:
            said = [argument.value if isinstance(argument, nodes.Const) else None for argument in node.args]
            yield node.lineno, said or [None]

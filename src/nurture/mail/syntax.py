"""A template's syntax tree: what is forbidden in it, what it refers to, and how it is made ready.

Making ready: a static link (`href="https://…"` in the text, or a quoted `"https://…"` handed to a macro)
becomes a filter that a rendering replaces by the link that knows touch and place; loops, macros, blocks and `~` are
charged for what they do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from html import unescape
from typing import TypeVar, cast

from jinja2 import Environment, nodes
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.visitor import NodeTransformer

from nurture.language.problems import suggest
from nurture.language.words import LEVELS, SCORES
from nurture.mail import filters

#: Characters of one template file.
LARGEST = 262_144
#: What the house thinks of a lead: conditions ask for it, and no message tells the lead.
_KEPT = frozenset({*SCORES, *LEVELS, "fit", "account_score"})
LINK, COUNTED, JOINED, SEARCHED, COST = "_link", "_counted", "_joined", "_searched", "_cost"
Body = TypeVar("Body", nodes.Macro, nodes.Block, nodes.Template)
TESTS = frozenset({
    "==", "!=", ">", ">=", "<", "<=", "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false",
    "float", "ge", "gt", "greaterthan", "in", "integer", "iterable", "le", "lessthan", "lower", "lt",
    "mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "true", "undefined", "upper",
})  # fmt: skip

_HREF = re.compile(r"""(?i)(?<![\w-])href\s*=\s*(["'])(https?://[^"'<>{}\s]+)\1""")
_URL = re.compile(r"(?i)https?://[^\s\"'<>]+")
_NOT_A_LINK = re.compile(r"(?i)<(?:link|base|mj-font)\b[^<]*$")
_NAMES_TEMPLATES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def references(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """(line, file) of each template that this one extends, includes or imports, in order."""
    for node in tree.find_all(_NAMES_TEMPLATES):
        for named in _named(node):
            if isinstance(named, str):
                yield node.lineno, named


def links(tree: nodes.Template) -> Iterator[str]:
    """The static links of a template made ready, in order."""
    for node in tree.find_all(nodes.Filter):
        if node.name == LINK and isinstance(node.node, nodes.Const):
            yield node.node.value


def said(tree: nodes.Template) -> set[str]:
    """The names that a template says, whether it was given them or made them itself, and those of its filters."""
    names = {name.name for name in tree.find_all(nodes.Name)}
    return names | {used.name for used in tree.find_all(nodes.Filter)}


def no_field(name: str, fields: Collection[str]) -> tuple[str, str]:
    """That a message says `lead.name` and has no such field: (what is wrong, the way out)."""
    if name in _KEPT:
        return f"no message may say the lead's '{name}'", "conditions may ask for it; take it out of the text"
    return f"no lead has a field '{name}'", suggest(name, fields)


def forbidden(tree: nodes.Template, files: Collection[str]) -> Iterator[tuple[int, str, str]]:
    """(line, problem, remedy) of each construct that a template may not hold."""
    modules = {"self", "loop"} | {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.Node):
        for problem, remedy in _wrong(node, modules, files):
            yield getattr(node, "lineno", 1) or 1, problem, remedy


def _wrong(node: nodes.Node, modules: Collection[str], files: Collection[str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, _NAMES_TEMPLATES):
        for named in _named(node):
            if not isinstance(named, str):
                yield "another template is named by an expression", "name it in quotes"
            elif named not in files:
                yield f"there is no template '{named}'", suggest(named, files)
    elif isinstance(node, nodes.Call):
        yield from _wrong_call(node, modules)
    elif isinstance(node, nodes.Filter) and node.name not in filters.NAMES:
        if node.name in DEFAULT_FILTERS:
            allowed = ", ".join(sorted(filters.NAMES))
            yield f"the filter '{node.name}' is not allowed", f"allowed are {allowed}"
        else:
            yield f"there is no filter '{node.name}'", suggest(node.name, filters.NAMES)
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        yield f"there is no test '{node.name}'", suggest(node.name, TESTS)
    elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        yield f"'.{node.attr}' is not for templates", "use a field's name"
    elif isinstance(node, nodes.For) and node.recursive:
        yield "a loop is recursive", "write one loop in another"
    elif isinstance(node, (nodes.EvalContextModifier, nodes.ScopedEvalContextModifier)):
        yield "escaping is switched off", "leave autoescape alone"
    elif isinstance(node, nodes.NSRef):
        yield "a name with a dot is set", "set a plain name"


def _wrong_call(node: nodes.Call, modules: Collection[str]) -> Iterator[tuple[str, str]]:
    target = node.node
    base = target.node if isinstance(target, nodes.Getattr) else target
    if isinstance(target, nodes.Getattr) and not (isinstance(base, nodes.Name) and base.name in modules):
        yield f"'.{target.attr}()' calls a method", "use a filter"
    elif not isinstance(base, nodes.Name):
        yield "something else than a macro, a block or form_url is called", "call it by its name"
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        yield "a call has '*' or '**'", "write its arguments out"


def _named(node: nodes.Node) -> Iterator[object]:
    template = getattr(node, "template", None)
    if isinstance(template, (nodes.List, nodes.Tuple)):
        yield from (item.value if isinstance(item, nodes.Const) else None for item in template.items)
    elif isinstance(template, nodes.Const) and isinstance(template.value, (list, tuple)):
        yield from template.value
    else:
        yield template.value if isinstance(template, nodes.Const) else None


def prepared(tree: nodes.Template, environment: Environment) -> nodes.Template:
    """The same tree with its static links, loops and `~` replaced."""
    _Preparing().visit(tree)
    tree.set_environment(environment)
    return tree


class _Preparing(NodeTransformer):
    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        self.generic_visit(node)
        node.nodes = [part for child in node.nodes for part in _split(child)]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:
        self.generic_visit(node)
        node.args = [_linked(argument) for argument in node.args]
        for keyword in node.kwargs:
            keyword.value = _linked(keyword.value)
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:
        weight = _weight(node)
        self.generic_visit(node)
        node.iter = _filter(node.iter, COUNTED)
        node.iter.args = [nodes.Const(weight)]
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:
        return self._paid(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Block:
        return self._paid(node)

    def visit_Template(self, node: nodes.Template) -> nodes.Template:
        return self._paid(node)

    def _paid(self, node: Body) -> Body:
        """Whoever enters the body pays for its size first: it may be large and print nothing."""
        cost = _filter(nodes.Const(_weight(node), lineno=node.lineno), COST)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(cost, lineno=node.lineno))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        for operand in node.ops:
            if operand.op in ("in", "notin"):
                operand.expr = _filter(operand.expr, SEARCHED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), JOINED)


def _split(node: nodes.Expr) -> Iterator[nodes.Expr]:
    """The text of a template cut at its links."""
    if not isinstance(node, nodes.TemplateData):
        yield node
        return
    text, line, start = node.data, node.lineno, 0
    for found in _HREF.finditer(text):
        if _NOT_A_LINK.search(text, 0, found.start()):
            continue
        before = text[start : found.start(2)]
        yield nodes.TemplateData(before, lineno=line)
        line += before.count("\n")
        yield _filter(nodes.Const(unescape(found[2]), lineno=line), LINK)
        start = found.end(2)
    yield nodes.TemplateData(text[start:], lineno=line)


def _linked(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and _URL.fullmatch(node.value):
        return _filter(node, LINK)
    return node


def _weight(node: nodes.Node) -> int:
    """Units of work of all that stands in `node`: one for sixteen nodes of the tree, or 256 characters of text."""
    text = sum(len(part.data) for part in node.find_all(nodes.TemplateData))
    return 1 + sum(1 for _ in node.find_all(nodes.Node)) // 16 + (text >> 8)


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, [], [], None, None, lineno=node.lineno)

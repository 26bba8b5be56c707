"""What the expressions of a letter may come to, and which of them use an absent field carelessly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from nurture.language.problems import Problem
from nurture.mail.guards import NONE, SOMETHING, Scope, Value, field_of, present, proved

#: Nodes that are visited for one letter; macros that call each other would multiply them without end.
_MOST_VISITS = 30_000
#: Tests that may be put to None.
_OF_ANYTHING = frozenset({
    "boolean", "defined", "eq", "equalto", "false", "float", "in", "integer", "iterable", "mapping", "ne", "none",
    "number", "sameas", "sequence", "string", "true", "undefined",
})  # fmt: skip
_ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow)
#: In the place of a field: what `{{ "x" if lead.company }}` is for other leads.
_NO_ELSE = "?"


@dataclass(frozen=True)
class Macro:
    """A macro, the scope that it was written in, and the macros that it knows."""

    node: nodes.Macro
    home: Scope
    macros: Mapping[str, Macro]


class TooEntangled(Exception):
    """The macros of this letter call each other too often."""


class Values(ABC):
    """Expressions read, their careless uses `found` by file, line and field; statements are the heir's."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int, str], Problem] = {}
        self.macros: dict[str, Macro] = {}
        self._visits = 0

    @abstractmethod
    def block(self, name: str, above: int, scope: Scope) -> None:
        """Go through the block `name`, or the one that stands so many times above it."""

    @abstractmethod
    def body(self, body: Sequence[nodes.Node], scope: Scope) -> None:
        """Go through statements."""

    @abstractmethod
    def has_block(self, name: str) -> bool:
        """Whether the letter has such a block."""

    def visited(self) -> None:
        """One node more. Raises TooEntangled."""
        self._visits += 1
        if self._visits > _MOST_VISITS:
            raise TooEntangled

    def needs(self, node: nodes.Node, scope: Scope, what: str, items: bool = False) -> None:
        """`node` is used in a way that does not suit None."""
        value = self.value(node, scope)
        for name in sorted(value.absent | (value.items if items else NONE)):
            file, line = scope.blamed or (scope.file, node.lineno)
            self.found.setdefault((file, line, name), Problem(file, line, 1, *_said(name, what)))

    def value(self, node: nodes.Node, scope: Scope) -> Value:
        """What `node` may come to; what it uses carelessly is noted."""
        self.visited()
        match node:
            case nodes.Name():
                value = scope.names.get(node.name, SOMETHING)
                sure = f"${node.name}" in scope.facts
                return Value(NONE if sure else value.absent - scope.facts, value.items, value.truth, value.lead)
            case nodes.Getattr() | nodes.Getitem():
                return self._part(node, scope)
            case nodes.And() | nodes.Or():
                first = self.value(node.left, scope)
                both = isinstance(node, nodes.And)
                second = self.value(node.right, scope.knowing(proved(node.left, scope.names, held=both)))
                truth = proved(node, scope.names)
                return Value(first.absent | second.absent if both else second.absent, second.items, truth)
            case nodes.CondExpr():
                self.value(node.test, scope)
                one = self.value(node.expr1, scope.knowing(proved(node.test, scope.names)))
                if node.expr2 is None:
                    return either([one, Value(absent=frozenset({_NO_ELSE}))])
                return either([one, self.value(node.expr2, scope.knowing(proved(node.test, scope.names, held=False)))])
            case nodes.List() | nodes.Tuple():
                return Value(items=frozenset().union(*(self.value(item, scope).absent for item in node.items)))
            case nodes.Dict():
                return Value(items=frozenset().union(*(self.value(pair.value, scope).absent for pair in node.items)))
            case nodes.Not():
                self.value(node.node, scope)
                return Value(truth=proved(node, scope.names))
            case nodes.Test() | nodes.Compare():
                self._question(node, scope)
                return Value(truth=proved(node, scope.names))
            case nodes.Filter():
                return self._filter(node, scope)
            case nodes.Call():
                return self._call(node, scope)
            case nodes.Concat():
                for part in node.nodes:
                    self.needs(part, scope, "leaves a gap in the text that '~' joins")
            case nodes.BinExpr() if isinstance(node, _ARITHMETIC):
                for part in (node.left, node.right):
                    self.needs(part, scope, f"cannot be reckoned with by '{node.operator}'")
            case nodes.UnaryExpr():
                self.needs(node.node, scope, f"cannot be reckoned with by '{node.operator}'")
        return SOMETHING

    def _part(self, node: nodes.Getattr | nodes.Getitem, scope: Scope) -> Value:
        if isinstance(node, nodes.Getitem):
            self.value(node.arg, scope)
        named = field_of(node, scope.names)
        if named is None:
            whole = self.value(node.node, scope)
            if not whole.items and whole.absent:
                self.needs(node.node, scope, "has no parts then")
            return Value(absent=whole.items)
        return SOMETHING if named in scope.facts else Value(absent=frozenset({named}), truth=present(node, scope.names))

    def _question(self, node: nodes.Test | nodes.Compare, scope: Scope) -> None:
        if isinstance(node, nodes.Test):
            careless = node.name not in _OF_ANYTHING
            self.needs(node.node, scope, "cannot be compared") if careless else self.value(node.node, scope)
            for argument in node.args:
                self.value(argument, scope)
            return
        signs = [operand.op for operand in node.ops]
        sized = any(sign in ("gt", "gteq", "lt", "lteq") for sign in signs)
        self.needs(node.expr, scope, "cannot be compared") if sized else self.value(node.expr, scope)
        for operand in node.ops:
            if sized or operand.op in ("in", "notin"):
                self.needs(operand.expr, scope, "cannot be compared" if sized else "cannot be searched")
            else:
                self.value(operand.expr, scope)

    def _filter(self, node: nodes.Filter, scope: Scope) -> Value:
        given = [*node.args, *(pair.value for pair in node.kwargs)]
        if node.name in ("default", "d"):
            boolean = [*node.args[1:2], *(pair.value for pair in node.kwargs if pair.key == "boolean")]
            otherwise = self.value(given[0], scope) if given else SOMETHING
            if node.node is not None and not any(getattr(flag, "value", False) for flag in boolean):
                self.needs(node.node, scope, f"'{node.name}' helps only if it is told so: '{node.name}(\"…\", true)'")
            return Value(absent=otherwise.absent)
        for argument in given:
            self.needs(argument, scope, f"'{node.name}' needs it")
        if node.node is None:
            return SOMETHING
        if node.name in ("first", "last"):
            return Value(absent=self.value(node.node, scope).items)
        self.needs(node.node, scope, f"'{node.name}' would make nothing of it", items=node.name == "join")
        return SOMETHING

    def _call(self, node: nodes.Call, scope: Scope) -> Value:
        arguments = [self.value(argument, scope) for argument in node.args]
        named = {pair.key: self.value(pair.value, scope) for pair in node.kwargs}
        match node.node:
            case nodes.Name(name="super") if scope.block is not None:
                self.block(scope.block[0], scope.block[1] + 1, scope)
            case nodes.Name(name="form_url" | "answer_url" as name):
                for argument in node.args:
                    self.needs(argument, scope, f"'{name}' needs it")
            case nodes.Name(name=name) if name in self.macros:
                self._macro(self.macros[name], arguments, named, node.lineno, scope)
            case nodes.Getattr(node=nodes.Name(name="self"), attr=name) if self.has_block(name):
                self.block(name, 0, scope)
            case nodes.Getattr(node=nodes.Name(name=module), attr=name) if f"{module}.{name}" in self.macros:
                self._macro(self.macros[f"{module}.{name}"], arguments, named, node.lineno, scope)
        return SOMETHING

    def _macro(self, macro: Macro, arguments: list[Value], named: dict[str, Value], line: int, scope: Scope) -> None:
        if macro.node in scope.around:
            return
        home, own = macro.home, frozenset(fact for fact in scope.facts if fact[0] not in "$[")
        inner = Scope(home.file, dict(home.names), own, around=(*scope.around, macro.node))
        inner.blamed = scope.blamed or (scope.file, line)
        names = [argument.name for argument in macro.node.args]
        defaults = dict(zip(reversed(names), reversed(macro.node.defaults), strict=False))
        for name, value in [*zip(names, arguments, strict=False), *named.items()]:
            inner.name(name, value)
        for name in names[len(arguments) :]:
            if name not in named and name in defaults:
                inner.name(name, self.value(defaults[name], inner))
        outer, self.macros = self.macros, dict(macro.macros)
        try:
            self.body(macro.node.body, inner)
        finally:
            self.macros = outer


def _said(name: str, what: str) -> tuple[str, str]:
    """The problem and its remedy."""
    if name == _NO_ELSE:
        return f"an 'if' without 'else' comes to nothing for some lead, and {what}", 'write else "…"'
    said, own = ("a field", "it") if name.startswith("[") else (f"'lead.{name}'", f"lead.{name}")
    remedy = f'write {own} or "…" (or 0, where it is a number), or put it between {{% if {own} %}} and {{% endif %}}'
    return f"{said} may be absent for some lead, and {what}", remedy


def either(values: Sequence[Value]) -> Value:
    """What may be any of these."""
    return Value(
        frozenset().union(*(value.absent for value in values)),
        frozenset().union(*(value.items for value in values)),
        frozenset.intersection(*(value.truth for value in values)),
        any(value.lead for value in values),
    )

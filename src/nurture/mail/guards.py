"""What a condition in a template proves: which fields of the lead have a value where it is true, or false.

A fact is the name of a field (`company`), a name that the template set (`$who`), or an entry whose name only a
rendering knows (`[…]`). `lead.company and lead.role` proves both where it is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

#: Facts that hold.
Facts = frozenset[str]
NONE: Facts = frozenset()
#: Tests that are true of something only.
_OF_SOMETHING = frozenset({
    "boolean", "float", "integer", "iterable", "lower", "mapping", "number", "sequence", "string", "true", "upper",
})  # fmt: skip
_EQUAL = frozenset({"eq", "==", "equalto", "sameas"})


@dataclass(frozen=True)
class Value:
    """What an expression may come to."""

    #: Fields whose absence makes it None.
    absent: Facts = NONE
    #: The same of what a list or a table holds.
    items: Facts = NONE
    #: What is proved where it is true.
    truth: Facts = NONE
    #: Whether it is the lead itself.
    lead: bool = False


SOMETHING = Value()
Names = Mapping[str, Value]


@dataclass
class Scope:
    """Where a walk through the templates stands."""

    file: str
    names: dict[str, Value]
    facts: Facts = NONE
    #: The line that is blamed instead: of the call, inside a macro.
    blamed: tuple[str, int] | None = None
    #: Above the blocks of a template that extends another: nothing is printed there.
    silent: bool = False
    #: The block that is open, and how many of its name stand over it.
    block: tuple[str, int] | None = None
    around: tuple[object, ...] = field(default=())

    def knowing(self, facts: Facts) -> Scope:
        """A scope within this one in which `facts` hold as well."""
        return Scope(self.file, dict(self.names), self.facts | facts, self.blamed, self.silent, self.block, self.around)

    def name(self, name: str, value: Value) -> None:
        """`name` means something else from here on."""
        self.names[name] = value
        self.facts = frozenset(fact for fact in self.facts if fact != f"${name}" and f"'{name}'" not in fact)


def field_of(node: nodes.Node, names: Names) -> str | None:
    """The lead's field that an expression names, `[…]` for one whose name only a rendering knows; None for others."""
    if not isinstance(node, (nodes.Getattr, nodes.Getitem)) or not isinstance(node.node, nodes.Name):
        return None
    if not names.get(node.node.name, SOMETHING).lead:
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node.arg, nodes.Const):
        return str(node.arg.value)
    return f"[{node.arg!r}]"


def proved(node: nodes.Node | None, names: Names, held: bool = True) -> Facts:
    """What is known where `node` is true; with `held` False, where it is false."""
    match node:
        case nodes.Not():
            return proved(node.node, names, not held)
        case nodes.And() | nodes.Or():
            left, right = proved(node.left, names, held), proved(node.right, names, held)
            return left | right if isinstance(node, nodes.And) is held else left & right
        case nodes.Test():
            return _tested(node, names, held)
        case nodes.Compare() if len(node.ops) == 1:
            return _compared(node.expr, node.ops[0].op, node.ops[0].expr, names, held)
        case nodes.Name() if held:
            return present(node, names) | names.get(node.name, SOMETHING).truth
        case nodes.Getattr() | nodes.Getitem() if held:
            return present(node, names)
    return NONE


def present(node: nodes.Node | None, names: Names) -> Facts:
    """The fact that this expression has a value, if it is one that can be named."""
    if isinstance(node, nodes.Name):
        return frozenset({f"${node.name}"})
    named = None if node is None else field_of(node, names)
    return NONE if named is None else frozenset({named})


def _tested(node: nodes.Test, names: Names, held: bool) -> Facts:
    if node.name == "none":
        return NONE if held else present(node.node, names)
    if node.name in _EQUAL and node.args:
        return _compared(node.node, "eq", node.args[0], names, held)
    return present(node.node, names) if held and node.name in _OF_SOMETHING else NONE


def _compared(left: nodes.Expr, sign: str, right: nodes.Expr, names: Names, held: bool) -> Facts:
    both = present(left, names) | present(right, names)
    if sign in ("eq", "ne"):
        nothing = [side for side in (left, right) if isinstance(side, nodes.Const) and side.value is None]
        if nothing:
            return both if (sign == "ne") is held else NONE
        written = any(isinstance(side, nodes.Const) for side in (left, right))
        return both if (sign == "eq") is held and written else NONE
    if sign in ("in", "notin"):
        listed = isinstance(right, (nodes.List, nodes.Tuple)) and all(
            isinstance(item, nodes.Const) and item.value is not None for item in right.items
        )
        return both if (sign == "in") is held and listed else NONE
    return both  # what is absent cannot be compared by size at all

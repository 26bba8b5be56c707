"""Whether a template reads back what was printed: compares, cuts or tests the text of a macro or of a captured block.

While a rendering is watched such text holds marks instead of values, so its answers would be wrong without anybody's
noticing; such a letter is not watched. Files are looked at together and names taken by their spelling: more is called
clouded than is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

#: Tests that ask whether something is there, which the text of a macro answers rightly.
_OF_PRESENCE = frozenset({"defined", "undefined", "none"})


def clouded(trees: Iterable[nodes.Template]) -> bool:
    """Whether any of `trees`, the files of one letter, asks something of text that was printed."""
    trees = list(trees)
    names: set[str] = set()
    while (more := names | set(_clouds(trees, names))) != names:
        names = more
    return any(_printed(operand, names) for tree in trees for operand in _asked(tree))


def _printed(node: nodes.Node, names: set[str]) -> bool:
    """Whether a value may be printed text."""
    inner = [node, *node.find_all((nodes.Call, nodes.Name))]
    return any(isinstance(one, nodes.Call) or (isinstance(one, nodes.Name) and one.name in names) for one in inner)


def _clouds(trees: list[nodes.Template], names: set[str]) -> Iterator[str]:
    """Names that may stand for printed text, if those of `names` do."""
    macros = [macro for tree in trees for macro in tree.find_all(nodes.Macro)]
    for tree in trees:
        for block in tree.find_all(nodes.AssignBlock):
            yield from _targets(block.target)
        for put in tree.find_all(nodes.Assign):
            if _printed(put.node, names):
                yield from _targets(put.target)
        for loop in tree.find_all(nodes.For):
            if _printed(loop.iter, names):
                yield from _targets(loop.target)
        for group in tree.find_all(nodes.With):
            for target, value in zip(group.targets, group.values, strict=True):
                if _printed(value, names):
                    yield from _targets(target)
        for call in tree.find_all(nodes.Call):
            named = call.node
            called = named.name if isinstance(named, nodes.Name) else getattr(named, "attr", "")
            for macro in macros:
                if macro.name == called:
                    yield from _arguments(macro, call, names)


def _arguments(macro: nodes.Macro, call: nodes.Call, names: set[str]) -> Iterator[str]:
    given = [argument.name for argument in macro.args]
    for name, value in zip(given, call.args, strict=False):
        if _printed(value, names):
            yield name
    for pair in call.kwargs:
        if _printed(pair.value, names):
            yield pair.key


def _targets(node: nodes.Node) -> Iterator[str]:
    for name in (node, *node.find_all(nodes.Name)):
        if isinstance(name, nodes.Name):
            yield name.name


def _asked(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Every expression of which more than whether it is there decides something (`skeletons.cut` sees to that)."""
    for comparison in tree.find_all(nodes.Compare):
        yield comparison.expr
        yield from (operand.expr for operand in comparison.ops)
    for test in tree.find_all(nodes.Test):
        if test.name not in _OF_PRESENCE:
            yield test.node
            yield from test.args
    for part in tree.find_all(nodes.Getitem):
        yield part.node
    for loop in tree.find_all(nodes.For):
        yield loop.iter
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr == "changed":
            yield from call.args

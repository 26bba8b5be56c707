"""Fields that may be absent for some lead and are used as if they never were, in every branch of a letter.

A letter is walked as it would be rendered: through its layout, blocks, includes and macros, taking both ways of
every `if`, with what each condition proves (`guards`). A use inside a macro is told at the line that calls it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jinja2 import nodes

from nurture.language.problems import Problem
from nurture.mail.guards import NONE, SOMETHING, Facts, Scope, Value, proved
from nurture.mail.templates import MACROS, Templates
from nurture.mail.values import Macro, TooEntangled, Values, either

#: Rendered by themselves, not where the layout has them.
_ALONE = ("subject", "text")


def absences(templates: Templates, variant: str, known: Collection[str]) -> list[Problem]:
    """Each use of a lead's field that is not in `known` and may be absent there, by file and line."""
    walk = _Walk(templates, frozenset(known))
    try:
        walk.letter(variant)
    except (TooEntangled, RecursionError):
        return [Problem(variant, 1, 1, "its macros and blocks are too entangled to be read", "make them simpler")]
    return list(walk.found.values())


class _Walk(Values):
    def __init__(self, templates: Templates, known: Facts) -> None:
        super().__init__()
        self.templates, self.known = templates, known
        self.modules: dict[str, dict[str, Macro]] = {}
        self.blocks: dict[str, list[tuple[str, nodes.Block]]] = {}

    # Files

    def letter(self, variant: str) -> None:
        scope = Scope(variant, {"lead": Value(lead=True)}, self.known)
        if MACROS in self.templates.files:
            self.macros |= self._module(MACROS)
        chain: list[tuple[str, nodes.Template]] = []
        name: str | None = variant
        while name is not None:
            tree = self.templates.sandbox.read(name)
            chain.append((name, tree))
            for block in tree.find_all(nodes.Block):
                self.blocks.setdefault(block.name, []).append((name, block))
            parent = next((node.template for node in tree.find_all(nodes.Extends)), None)
            name = parent.value if isinstance(parent, nodes.Const) else None
        for number, (name, tree) in enumerate(chain):
            scope.file, scope.silent = name, number < len(chain) - 1
            self.body(tree.body, scope)
        for name in _ALONE:
            if name in self.blocks:
                self.block(name, 0, scope)

    def _module(self, name: str) -> dict[str, Macro]:
        """The macros of a file that is imported: it does not know the letter's names."""
        if name not in self.modules:
            outer, self.macros = self.macros, {}
            try:
                self.body(self.templates.sandbox.read(name).body, Scope(name, {}, silent=True))
            finally:
                self.modules[name], self.macros = self.macros, outer
        return self.modules[name]

    # Statements

    def body(self, body: Sequence[nodes.Node], scope: Scope) -> None:
        for node in body:
            self.visited()
            self._statement(node, scope)

    def _statement(self, node: nodes.Node, scope: Scope) -> None:
        match node:
            case nodes.Output() if not scope.silent:
                for part in node.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        self.needs(part, scope, "would print nothing")
            case nodes.If():
                self._if(node, scope)
            case nodes.For():
                self._for(node, scope)
            case nodes.Block() if not scope.silent:
                self.block(node.name, 0, scope)
            case nodes.Assign():
                self._assign(node.target, self.value(node.node, scope), scope)
            case nodes.AssignBlock():
                self.body(node.body, scope.knowing(NONE))
                self._assign(node.target, SOMETHING, scope)
            case nodes.Macro():
                self.macros[node.name] = Macro(node, scope, self.macros)
            case nodes.CallBlock():
                self.value(node.call, scope)
                inner = scope.knowing(NONE)
                for argument in node.args:
                    inner.name(argument.name, SOMETHING)
                self.body(node.body, inner)
            case nodes.With():
                inner = scope.knowing(NONE)
                for target, value in zip(node.targets, node.values, strict=True):
                    self._assign(target, self.value(value, scope), inner)
                self.body(node.body, inner)
            case nodes.Include() | nodes.Import() | nodes.FromImport():
                self._other(node, scope)
            case nodes.FilterBlock() | nodes.Scope():
                self.body(node.body, scope.knowing(NONE))
            case nodes.ExprStmt():
                self.value(node.node, scope)

    def _if(self, node: nodes.If, scope: Scope) -> None:
        """All ways; afterwards a name may be what any of them made it."""
        ways, rest = [], scope.knowing(NONE)
        for case in (node, *node.elif_):
            self.value(case.test, rest)
            way = rest.knowing(proved(case.test, rest.names))
            self.body(case.body, way)
            ways.append(way)
            rest = rest.knowing(proved(case.test, rest.names, held=False))
        self.body(node.else_, rest)
        for name in {name for way in (*ways, rest) for name in way.names}:
            made = [way.names[name] for way in (*ways, rest) if name in way.names]
            if any(value is not scope.names.get(name) for value in made):
                scope.name(name, either(made))

    def _for(self, node: nodes.For, scope: Scope) -> None:
        whole = self.value(node.iter, scope)
        inner = scope.knowing(NONE)
        inner.name("loop", SOMETHING)
        self._assign(node.target, Value(absent=whole.items), inner)
        if node.test is not None:
            self.value(node.test, inner)
            inner = inner.knowing(proved(node.test, inner.names))
        self.body(node.body, inner)
        self.body(node.else_, scope.knowing(NONE))

    def _assign(self, target: nodes.Node, value: Value, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope.name(target.name, value)
        elif isinstance(target, nodes.Tuple):
            for part in target.items:
                self._assign(part, Value(absent=value.items), scope)

    def block(self, name: str, above: int, scope: Scope) -> None:
        place = (name, above)
        if place in scope.around or above >= len(self.blocks[name]):
            return
        file, block = self.blocks[name][above]
        inner = scope.knowing(NONE)
        inner.file, inner.silent, inner.block, inner.around = file, False, place, (*scope.around, place)
        self.body(block.body, inner)

    def _other(self, node: nodes.Include | nodes.Import | nodes.FromImport, scope: Scope) -> None:
        if not isinstance(node.template, nodes.Const) or node.template.value not in self.templates.files:
            return
        named = str(node.template.value)
        if isinstance(node, nodes.Include):
            if not scope.silent:
                inner = scope.knowing(NONE)
                inner.file = named
                self.body(self.templates.sandbox.read(named).body, inner)
        elif isinstance(node, nodes.Import):
            self.macros |= {f"{node.target}.{name}": macro for name, macro in self._module(named).items()}
        else:
            given = self._module(named)
            for name in node.names:
                own, called = (name, name) if isinstance(name, str) else name
                if own in given:
                    self.macros[called] = given[own]

    def has_block(self, name: str) -> bool:
        return name in self.blocks

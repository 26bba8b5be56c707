"""The only Jinja2 environment: templates compute with plain data, and with little of it.

A template may read names, test, loop over data, call macros and use the filters listed in `filters`. It
cannot call a method, reach an attribute of Python's, name another template at run time, or make work without
end: each rendering has a budget (`FUEL`), charged by loops, calls, joins and what is printed. `*`, `**`, `%`
and `+` are looked at before they are computed (`'x' * 1000000000` is computed by Jinja2's own sandbox).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from babel import Locale
from jinja2 import DictLoader, StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nurture.mail import filters, syntax
from nurture.mail.direction import isolated
from nurture.mail.faults import TooMuch
from nurture.mail.fresh import FreshTemplate
from nurture.mail.watching import Hole, Watch, WatchedLead, computed, unprinted

#: Units of work of one rendering: sixteen nodes or 256 characters of a loop's or a macro's body each time, a call, or
#: 256 characters that are printed or joined. The dearest letter that it allows takes well under a second.
FUEL = 20_000
_BIGGEST_BITS = 256

_ATTRIBUTES: dict[type, frozenset[str]] = {
    date: frozenset({"year", "month", "day"}),
    datetime: frozenset({"year", "month", "day", "hour", "minute"}),
}
_TOO_DEEP = "is nested too deeply"
_OF_A_LOOP = ("cycle", "changed")
_HOUSE = (TemplateModule, TemplateReference, LoopContext, BlockReference)


@dataclass
class Moment:
    """What one rendering knows beside its names; filters and tracked links find it here."""

    locale: Locale
    #: A static URL of the template to what stands in the message.
    link: Callable[[str], str]
    fuel: int = FUEL
    #: While a subject is made: its direction, for names that run the other way.
    isolate: str = ""
    #: Set while the rendering is watched.
    watch: Watch | None = None

    def burn(self, units: int) -> None:
        self.fuel -= units
        if self.fuel < 0:
            raise TooMuch("the template does too much work (a loop in a loop, or a text that doubles itself)")


MOMENT: ContextVar[Moment] = ContextVar("nurture_mail_moment")


def burn(units: int) -> None:
    """Charge the rendering that is under way, if one is (constants are folded without one)."""
    moment = MOMENT.get(None)
    if moment is not None:
        moment.burn(units)


def watched() -> bool:
    """Whether the rendering under way is watched."""
    return (moment := MOMENT.get(None)) is not None and moment.watch is not None


def printed(value: Any) -> Any:
    """What `{{ value }}` prints: nothing for None, which is what a lead's empty field is."""
    if value is None:
        return ""
    moment = MOMENT.get(None)
    if moment is not None:
        moment.burn(1 + (len(value) >> 8) if isinstance(value, str) else 1)
        if moment.isolate and isinstance(value, str):
            unprinted(value)  # what stands at a mark has a direction of its own
            return isolated(value, moment.isolate)
        if moment.isolate and isinstance(value, Hole):
            direction = moment.isolate
            return value.then(lambda real: isolated(real, direction) if isinstance(real, str) else real)
    return value


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles the files it was given and no others."""

    template_class = FreshTemplate

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(files),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=printed,
            cache_size=-1,
            auto_reload=False,
        )
        self.files = files
        self._trees: dict[str, nodes.Template] = {}
        self.globals.clear()
        self.filters = {name: _charged(rule) for name, rule in filters.allowed(self.filters, MOMENT).items()}
        self.filters |= {
            syntax.LINK: _link,
            syntax.COUNTED: _counted,
            syntax.JOINED: _joined,
            syntax.SEARCHED: _searched,
            syntax.COST: _cost,
        }
        self.tests = {name: _asked(self.tests[name]) for name in syntax.TESTS}

    def read(self, name: str) -> nodes.Template:
        """The template as it is written, to be looked at and not changed; raises TemplateSyntaxError."""
        if name not in self._trees:
            self._trees[name] = self.parsed(name)
        return self._trees[name]

    def ready(self, name: str) -> nodes.Template:
        """The template as it is compiled: nothing forbidden in it, links and loops made ready."""
        return self._parse(self.files[name], name, None)

    def parsed(self, name: str) -> nodes.Template:
        """The template as it is written, for who changes it; raises TemplateSyntaxError."""
        if len(self.files[name]) > syntax.LARGEST:
            raise TemplateSyntaxError(f"is longer than {syntax.LARGEST} characters", 1, name)
        try:
            return super()._parse(self.files[name], name, None)
        except RecursionError:
            raise TemplateSyntaxError(_TOO_DEEP, 1, name) from None

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for line, problem, remedy in syntax.forbidden(tree, self.files):
            raise TemplateSyntaxError(f"{problem}; {remedy}", line, name)
        return syntax.prepared(tree, self)

    def load(self, name: str) -> Template:
        """The template, compiled once; raises TemplateSyntaxError, also for what Python cannot compile."""
        try:
            return self.get_template(name)
        except (SyntaxError, RecursionError, MemoryError, OverflowError, ValueError):
            raise TemplateSyntaxError(_TOO_DEEP, 1, name) from None

    # What a template may touch

    def getattr(self, obj: Any, attribute: str) -> Any:
        kind = type(obj)
        if kind is dict:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(f"nothing here is called '{attribute}'", obj=obj, name=attribute)
        if attribute in _ATTRIBUTES.get(kind, ()):
            return getattr(obj, attribute)
        if isinstance(obj, (*_HOUSE, Undefined)):
            return super().getattr(obj, attribute)
        if kind is WatchedLead:
            try:
                return obj.field(attribute)
            except KeyError:
                return self.undefined(f"nothing here is called '{attribute}'", obj=obj, name=attribute)
        if kind is Hole:
            return obj.then(lambda real: self.getattr(real, attribute))
        return self.undefined(f"a {kind.__name__} has no '{attribute}'", obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return super().getitem(obj, argument)
        if isinstance(obj, WatchedLead):
            return self.getattr(obj, argument)
        if isinstance(obj, Hole):
            return obj.then(lambda real: self.getitem(real, argument))
        if isinstance(obj, (dict, list, tuple, str)):
            unprinted(obj)
            try:
                return obj[argument]
            except (TypeError, LookupError, ValueError):
                pass
        elif isinstance(obj, (TemplateReference, TemplateModule)) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return self.undefined(f"nothing here is called '{argument}'", obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, (Macro, BlockReference)) or getattr(obj, "for_templates", False) is True:
            return True
        return isinstance(getattr(obj, "__self__", None), LoopContext) and obj.__name__ in _OF_A_LOOP

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        burn(1)
        if isinstance(__obj, Undefined):
            __obj()  # raises UndefinedError with the name
        if not __self.is_safe_callable(__obj):
            raise SecurityError("only macros, blocks and form_url can be called")
        return __context.call(__obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if watched() and (hole := computed(self.call_binop, (context, operator, left, right), {})) is not None:
            return hole
        if operator == "+":
            size = sum(len(side) for side in (left, right) if isinstance(side, (str, list, tuple)))
            burn(size >> 8)
            if size > filters.LONGEST:
                raise TooMuch(f"'+' would make more than {filters.LONGEST} characters or items")
        elif not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            raise SecurityError(f"'{operator}' is for numbers")
        elif operator == "**" and abs(right) * int(abs(left) + 1).bit_length() > _BIGGEST_BITS:
            raise TooMuch("'**' would make too large a number")
        elif operator == "*" and int(abs(left)).bit_length() + int(abs(right)).bit_length() > _BIGGEST_BITS:
            raise TooMuch("'*' would make too large a number")
        return super().call_binop(context, operator, left, right)


def for_templates(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function that templates may call."""
    function.for_templates = True  # type: ignore[attr-defined]
    return function


def _charged(rule: Callable[..., Any]) -> Callable[..., Any]:
    """`rule`, paying for the text that it is given; Jinja2's mark for its first argument is kept."""

    def charged(*args: Any, **kwargs: Any) -> Any:
        if watched() and (hole := computed(charged, args, kwargs)) is not None:
            return hole
        burn(1 + sum(len(argument) >> 8 for argument in args if isinstance(argument, str)))
        made = rule(*args, **kwargs)
        if isinstance(made, str) and len(made) > filters.LONGEST:
            raise TooMuch(f"a filter made more than {filters.LONGEST} characters")
        return made

    charged.__dict__.update(getattr(rule, "__dict__", {}))
    return charged


def _asked(test: Any) -> Callable[..., Any]:
    """`test`, which may be put to a lead's value that is watched; Jinja2's mark for its first argument is kept."""

    def asked(*args: Any, **kwargs: Any) -> Any:
        hole = computed(test, args, kwargs) if watched() else None
        return test(*args, **kwargs) if hole is None else bool(hole)

    asked.__dict__.update(getattr(test, "__dict__", {}))
    return asked


@filters.at_run_time
def _link(_context: Context, url: str) -> str:
    moment = MOMENT.get(None)
    return url if moment is None else moment.link(url)


@filters.at_run_time
def _cost(_context: Context, weight: int) -> None:
    burn(weight)


@filters.at_run_time
def _counted(_context: Context, items: Any, weight: int) -> Any:
    """`items` of a loop, paid for before it starts; `weight` is that of its body."""
    if items is None:
        return ()
    unprinted(items)
    if not isinstance(items, (list, tuple, str, dict)):
        if isinstance(items, Undefined):
            len(items)  # raises UndefinedError with the name
        raise SecurityError("a loop goes over a list")
    burn(len(items) * weight)
    return items


@filters.at_run_time
def _searched(_context: Context, place: Any) -> Any:
    """What `in` looks through."""
    unprinted(place)
    if isinstance(place, (str, list, tuple, dict)):
        burn(1 + (len(place) >> (8 if isinstance(place, str) else 4)))
    return place


@filters.at_run_time
def _joined(_context: Context | None, parts: list[Any]) -> Any:
    """`a ~ b`, with None as nothing and a limit."""
    if watched() and (hole := computed(lambda *all_: _joined(None, list(all_)), tuple(parts), {})) is not None:
        return hole
    size = sum(len(part) for part in parts if isinstance(part, str))
    burn(1 + (size >> 8))
    if size > filters.LONGEST:
        raise TooMuch(f"'~' would make more than {filters.LONGEST} characters")
    return markup_join("" if part is None else part for part in parts)

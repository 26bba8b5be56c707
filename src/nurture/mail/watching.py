"""Watching one rendering: what it asks of the lead, and where it prints what.

The lead's values are handed to the template as holes. Printing a hole leaves a mark in the text; asking something of
it (is it there, is it more than 50) is answered for the lead at hand and noted as a question that can be put to
another lead. Who gives the same answers to the same questions gets the same letter but for what stands at the marks.
What a template does with a hole beyond that raises Unwatched, and such a letter is rendered in full for everybody.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from jinja2.runtime import Context
from markupsafe import escape

from nurture.mail.seals import Seal
from nurture.tokens import Purpose

#: A mark: a word with its number. Letters and digits alone, so that nothing treats it otherwise than a name.
WORD = "zqNurtureMark"
MARK = re.compile(WORD + r"(\d{4})")
_SIGN = r"(?:[^\s&\x00-\x1f\x7f-\x9f\ud800-\udfff]|&(?= ))"
#: Text that stands in a letter as it is: words with one space between them, of 255 characters at most, no entity.
PLAIN = re.compile(rf"(?=.{{1,255}}\Z){_SIGN}+(?: {_SIGN}+)*")
#: Computed values of which one is made at most.
MOST_WEIGHT = 50
Lead = Mapping[str, Any]


class Unwatched(Exception):
    """A rendering did something with a lead's value that cannot be watched."""


def is_plain(text: str) -> bool:
    """Whether `text` stands in a letter as it is."""
    return (text.isalnum() and len(text) < 256) or PLAIN.fullmatch(text) is not None


def kind_of(value: Any) -> str:
    """What a value is, as far as a letter may depend on it without asking more; `odd` is rendered in full."""
    if value is None:
        return "none"
    kind = type(value)
    if kind is str:
        plain = is_plain(value) and "://" not in value and WORD not in value
        return "text" if plain else "odd" if value else "empty"
    if kind is bool:
        return "yes" if value else "no"
    if kind is date:
        return "date"
    return "number" if kind in (int, float) and value == value else "odd"


@dataclass
class Watch(Seal):
    """One rendering for `lead`, watched."""

    lead: Lead
    #: Questions in order, with the answers for this lead.
    path: list[tuple[Callable[[Lead], Hashable], Hashable]] = field(default_factory=list)
    #: What stands at each mark, by its number: a hole, or (purpose, item) of a token.
    marks: list[Hole | tuple[Purpose, int]] = field(default_factory=list)
    #: Something is computed of the lead, and may ask what moment it is (`sandbox.MOMENT`).
    computes: bool = False
    #: Nothing is asked of it any more.
    over: bool = False
    _fields: dict[str, Any] = field(default_factory=dict)
    _tokens: dict[tuple[Purpose, int], str] = field(default_factory=dict)

    def ask(self, question: Callable[[Lead], Hashable]) -> Any:
        """The answer for this lead; noted."""
        if self.over:
            raise Unwatched("a value of the lead that was watched is asked for another")
        answer = question(self.lead)
        self.path.append((question, answer))
        return answer

    def field(self, name: str) -> Any:
        """The lead's `name`: a hole, or the value itself where there are few (None, no text, yes, no). KeyError."""
        if name not in self._fields:
            value = self.lead[name]
            kind = self.ask(lambda lead: kind_of(lead[name]))
            if kind == "odd":
                raise Unwatched(name)
            whole = kind in ("none", "empty", "yes", "no")
            self._fields[name] = (
                value if whole else Hole(self, operator.itemgetter(name), kind != "number" or None, plain=True)
            )
        return self._fields[name]

    def end(self) -> None:
        """Forget the lead: what was found is kept, whom it was found for is not."""
        self.over, self.lead = True, {}
        self._fields.clear()

    def mark(self, what: Hole | tuple[Purpose, int]) -> str:
        """A new mark for `what`."""
        if len(self.marks) > 9_999:
            raise Unwatched("more marks than can be numbered")
        self.marks.append(what)
        return f"{WORD}{len(self.marks) - 1:04d}"

    def __call__(self, purpose: Purpose, item: int = 0) -> str:
        """The mark of a token of the letter's own: a watch stands in for what seals them."""
        if (purpose, item) not in self._tokens:
            self._tokens[purpose, item] = self.mark((purpose, item))
        return self._tokens[purpose, item]


class WatchedLead:
    """The lead as a watched template sees it."""

    def __init__(self, watch: Watch) -> None:
        self.field = watch.field

    def __str__(self) -> str:
        raise Unwatched("the whole lead is printed")


class Hole:
    """A value that differs from lead to lead: `of` says which it is for one."""

    __slots__ = ("_mark", "_truth", "_watch", "of", "plain", "weight")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        watch: Watch,
        of: Callable[[Lead], Any],
        truth: bool | None = None,
        *,
        plain: bool = False,
        weight: int = 1,
    ) -> None:
        """`truth`: what it is as a condition, where that is the same for all. `plain`: it is known to print so.

        `weight`: of how many computed values it is made, each of them computed again for each letter.
        """
        if weight > MOST_WEIGHT:
            raise Unwatched("a value is computed from too many others")
        self._watch, self.of, self._truth, self.plain, self.weight, self._mark = watch, of, truth, plain, weight, ""

    def then(self, rule: Callable[[Any], Any]) -> Hole:
        """What `rule` makes of the value."""
        of = self.of
        return Hole(self._watch, lambda lead: rule(of(lead)), weight=self.weight + 1)

    def ask(self, question: Callable[[Any], bool]) -> bool:
        """The answer to a question about the value, for the lead at hand."""
        of = self.of
        return bool(self._watch.ask(lambda lead: bool(question(of(lead)))))

    def __html__(self) -> str:
        self._mark = self._mark or self._watch.mark(self)
        return self._mark

    def __str__(self) -> str:
        raise Unwatched("a value is used as text")

    __format__ = __repr__ = __str__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        if self._truth is None:
            self._truth = self.ask(bool)
        return self._truth

    def _compared(self, other: Any, sign: Callable[[Any, Any], bool]) -> bool:
        of, theirs = self.of, other.of if isinstance(other, Hole) else (lambda _: other)
        return bool(self._watch.ask(lambda lead: bool(sign(of(lead), theirs(lead)))))

    def __eq__(self, other: object) -> bool:
        return self._compared(other, operator.eq)

    def __ne__(self, other: object) -> bool:
        return self._compared(other, operator.ne)

    def __lt__(self, other: Any) -> bool:
        return self._compared(other, operator.lt)

    def __le__(self, other: Any) -> bool:
        return self._compared(other, operator.le)

    def __gt__(self, other: Any) -> bool:
        return self._compared(other, operator.gt)

    def __ge__(self, other: Any) -> bool:
        return self._compared(other, operator.ge)


def computed(rule: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hole | None:
    """What a filter or an operator makes of `args` if there is a hole among them; None: there is none.

    Raises Unwatched where they hold printed marks: the text at a mark is not known yet.
    """
    holes = list(_holes((*args, *kwargs.values())))
    if not holes:
        return None
    # A context knows the lead that was watched; the filters that are handed it do not look at it.
    args = tuple(None if isinstance(one, Context) else one for one in args)

    def of(lead: Lead) -> Any:
        return rule(*_now(args, lead), **_now(kwargs, lead))

    watch = holes[0]._watch
    watch.computes = True
    return Hole(watch, of, weight=1 + sum(hole.weight for hole in holes))


def _holes(value: Any) -> Iterator[Hole]:
    """The holes in a value, also in lists and tables. Raises Unwatched for printed marks."""
    unprinted(value)
    if isinstance(value, Hole):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _holes(one)
    elif isinstance(value, dict):
        yield from _holes(tuple(value.values()))


def _now(value: Any, lead: Lead) -> Any:
    """An argument for `lead`."""
    if isinstance(value, Hole):
        return value.of(lead)
    if isinstance(value, (list, tuple)):
        return type(value)([_now(one, lead) for one in value])
    if isinstance(value, dict):
        return {name: _now(one, lead) for name, one in value.items()}
    return value


def unprinted(value: Any) -> None:
    """Raise Unwatched if `value` is text that holds marks: what stands there is not known yet."""
    if isinstance(value, str) and WORD in value:
        raise Unwatched("what was printed is used again")


def shown(value: Any) -> str:
    """A value as HTML, as `{{ value }}` prints it."""
    return "" if value is None else str(escape(value))

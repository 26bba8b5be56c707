"""What is wrong with a condition that only the rest of the program can tell: names, types, its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nurture.language.source import Path, Source, nearest, suggest
from nurture.language.words import BUILT_IN, LEVELS, SCORES, STATE
from nurture.program.check_values import FAULTS, check_status, declare

_EXACT = ("is", "not", "one_of")
_TEXT = (*_EXACT, "contains", "starts_with", "known")
_NUMBER = (*_EXACT, "at_least", "at_most", "above", "under", "known")
#: What may be asked of each kind of value, and what the kind is called.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("text", _TEXT),
    "number": ("a number", _NUMBER),
    "flag": ("true or false", ("is", "not", "known")),
    "date": ("a date", (*_EXACT, "before", "after", "known")),
    "stage": ("a stage", (*_EXACT, "known")),
    "status": ("a status", (*_EXACT, "known")),
    "domain": ("the domain of an address", (*_EXACT, "known")),
    "domain_kind": ("a kind of domain", (*_EXACT, "known")),
    "fit": ("a grade", _NUMBER),
    "score": ("always a number", _NUMBER[:-1]),
    "level": ("a level", _NUMBER),
}
#: Known of every lead without being declared.
OF_THE_HOUSE = {
    **dict.fromkeys((*BUILT_IN, *STATE), "text"),
    "stage": "stage",
    "status": "status",
    "domain": "domain",
    "domain_kind": "domain_kind",
    "account": "text",
    "account_score": "number",
    "fit": "fit",
    **dict.fromkeys(SCORES, "score"),
    **dict.fromkeys(LEVELS, "level"),
}
_WORDS = ("all", "any", "not", "did", "did_not", "clicked", "replied", "tags", "listed", "received", "in_sequence")
_OF_DID = ("where", "at_least", "within", "since")
#: Names that conditions give another meaning: no field may bear them.
RESERVED = (*_WORDS, *_OF_DID, "segment_left", "by_step")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ANSWERS = {"clicked": "email_clicked", "replied": "email_replied"}

Stands = Literal["house", "milestone", "fit", "level", "mql", "segment", "enrol", "leave", "step"]
#: What the rules that stand somewhere make, so that they cannot ask for it, and what to write instead.
_MAKE: dict[str, tuple[tuple[str, ...], str]] = {
    "fit": (("fit", *SCORES, "account_score", *LEVELS), "name a field"),
    "level": (LEVELS, "name what the lead did, or a field"),
    "mql": (("mql_level",), "name what the levels are made of: fit, engagement, awareness, buying_stage, score"),
}
#: Where the levels of a dimension are written.
_WRITTEN = dict.fromkeys(LEVELS, "{}: in scoring.yaml") | {"mql_level": "mql: levels: in lifecycle.yaml"}


@dataclass(frozen=True)
class Known:
    """The names that a program gives; None: its file cannot be read, so nothing is said about them."""

    files: Mapping[str, str]
    fields: Mapping[str, str] | None
    #: Name to whether only a step reaches it.
    milestones: Mapping[str, bool] | None
    offers: Sequence[Mapping[str, Any]] | None
    audiences: Sequence[str] | None
    forms: Sequence[str] | None
    language: str
    #: Question to its answers.
    questions: Mapping[str, Sequence[str]] | None = None
    #: Segment to the letters that its steps name.
    letters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: The levels of awareness, the buying stages and the MQL levels, best first.
    levels: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    #: What `statuses:` of lifecycle.yaml says, or the usual words; None: it cannot be read.
    statuses: Sequence[str] | None = None

    @property
    def typed(self) -> bool:
        """Whether every field is of a known type, so that letters can be tried."""
        return self.fields is not None and all(kind in KINDS for kind in self.fields.values())


@dataclass(frozen=True)
class Around:
    """Where a condition stands: its file, its sequence, and the steps of that with their kinds, in order."""

    source: Source
    known: Known
    stands: Stands
    slug: str = ""
    #: Id to kind, of all steps of the sequence.
    steps: Mapping[str, str] = field(default_factory=dict)
    #: The step that the condition belongs to.
    here: int = 0

    def look(self, path: Path) -> None:
        """Note every problem of the condition at `path`; what is none at all was noted when it was read."""
        raw = self.source.at(path)
        if raw == "segment_left" and self.stands != "leave":
            self.source.complain(path, "'segment_left' stands outside of leave", "move it there")
        if raw == "by_step" and self.stands != "milestone":
            self.source.complain(path, "'by_step' stands outside of a milestone", "write a condition")
        if not isinstance(raw, dict):
            return
        if "did" in raw or "did_not" in raw:
            self._event(raw, path)
        for key, value in raw.items():
            inner = (*path, key)
            if key in ("all", "any") and isinstance(value, list):
                for index in range(len(value)):
                    self._part((*inner, index))
            elif key == "not":
                self._part(inner)
            elif key in _ANSWERS:
                self._answered(key, value, inner)
            elif key == "received":
                self._received(value, inner)
            elif key == "in_sequence":
                self._in_sequence(value, inner)
            elif key not in _WORDS and not (key in _OF_DID and ("did" in raw or "did_not" in raw)):
                self._field(key, value, inner)

    def _part(self, path: Path) -> None:
        stands: Stands = "house" if self.stands == "milestone" else self.stands
        Around(self.source, self.known, stands, self.slug, self.steps, self.here).look(path)

    def _event(self, raw: dict[str, Any], path: Path) -> None:
        for key in ("did", "did_not"):
            name = raw.get(key)
            if isinstance(name, str) and not _EVENT.fullmatch(name):
                plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
                remedy = f"did you mean '{plain}'?" if _EVENT.fullmatch(plain) else "write did: page_viewed"
                self.source.complain((*path, key), f"no event is called '{name}'", remedy)
        if "question_answered" in (raw.get("did"), raw.get("did_not")) and self.known.questions is not None:
            self._question((*path, "where"), self.known.questions)
        if raw.get("since") in ("step", "enrolment") and self.stands != "step":
            what = f"'since: {raw['since']}' stands outside of a step"
            self.source.complain((*path, "since"), what, "write within: with a duration")

    def _question(self, path: Path, questions: Mapping[str, Sequence[str]]) -> None:
        """A question, or an answer, that program.yaml does not have; patterns are left alone."""
        asked = self.source.at((*path, "question"))
        answers = [answer for name, those in questions.items() for answer in those if asked in (None, name)]
        for word, known in (("question", list(questions)), ("answer", answers)):
            value = self.source.at((*path, word))
            if isinstance(value, str) and value not in known and not set(value) & set("*?["):
                remedy = declare(value, known, "questions: in program.yaml")
                what = f"there is no {word} '{value}'"
                self.source.complain((*path, word), what, remedy)
                return

    def _answered(self, key: str, value: Any, path: Path) -> None:
        if not isinstance(value, str):
            return
        if self.stands != "step":
            what = f"'{key}' speaks of a letter of this enrolment, which only wait_until and branch know"
            self.source.complain(path, what, f"write {{did: {_ANSWERS[key]}}}", at_key=True)
            return
        earlier = list(self.steps)[: self.here]
        letters = [step for step in earlier if self.steps[step] in ("email", "offer")]
        if value not in self.steps:
            self.source.complain(path, f"there is no step '{value}'", suggest(value, letters))
        elif value not in earlier:
            self.source.complain(path, f"step '{value}' does not come before this one", suggest(value, letters))
        elif value not in letters:
            what = f"step '{value}' sends no letter that could be {key}"
            self.source.complain(path, what, suggest(value, letters))

    def _received(self, value: Any, path: Path) -> None:
        if not isinstance(value, str) or self.known.offers is None:
            return
        letters = [f"{slug}/{name}" for slug, names in self.known.letters.items() for name in names]
        known = [
            *letters,
            *self.known.letters.get(self.slug, ()),
            *(str(p.get("key")) for p in self.known.offers),
        ]
        if value not in known:
            self.source.complain(path, f"there is no letter or offer '{value}'", suggest(value, known))

    def _in_sequence(self, value: Any, path: Path) -> None:
        if isinstance(value, str) and value not in self.known.letters:
            self.source.complain(path, f"there is no segment '{value}'", suggest(value, self.known.letters))
        elif value == self.slug and self.stands == "leave":
            self.source.complain(path, "every lead in this sequence would leave at once", "name another segment")

    def _field(self, name: str, value: Any, path: Path) -> None:
        if self.known.fields is None:
            return
        types = {**OF_THE_HOUSE, **self.known.fields}
        if name not in types:
            what = f"no lead has a field '{name}'"
            near = nearest(name, [*types, *_WORDS])
            remedy = f"did you mean '{near}'?" if near else "declare it under fields: in program.yaml"
            self.source.complain(path, what, remedy, at_key=True)
            return
        made, remedy = _MAKE.get(self.stands, ((), ""))
        if name in made:
            self.source.complain(path, f"'{name}' is made of these very rules", remedy, at_key=True)
            return
        kind = types[name]
        if kind not in KINDS:  # its declaration is a problem of its own
            return
        called, operators = KINDS[kind]
        tests = value if isinstance(value, dict) else {"one_of" if isinstance(value, list) else "is": value}
        for operator, operand in tests.items():
            at = (*path, operator) if isinstance(value, dict) else path
            if operator not in operators:
                if any(operator in others for _, others in KINDS.values()):
                    what = f"'{name}' is {called}, and '{operator}' cannot be asked of it"
                    self.source.complain(at, what, f"known: {', '.join(operators)}", at_key=isinstance(value, dict))
                continue
            if kind == "level" and operator != "known":
                self._levels(name, operand, at)
            elif kind == "status" and operator in _EXACT:
                check_status(self.source, at, operand, self.known.statuses)
            elif operator in _EXACT:
                self._values("country" if name == "country" else kind, operand, at)

    def _levels(self, name: str, operand: Any, path: Path) -> None:
        known = self.known.levels.get(name)
        for index, value in enumerate(operand if isinstance(operand, list) else [operand]):
            if known is None or value in known or not isinstance(value, str):
                continue
            place = (*path, index) if isinstance(operand, list) else path
            what = f"no rule under {_WRITTEN[name].format(name)} makes '{value}'"
            self.source.complain(place, what, suggest(value, known) if known else "write the rule there")

    def _values(self, kind: str, operand: Any, path: Path) -> None:
        several = operand if isinstance(operand, list) else [operand]
        for index, value in enumerate(several):
            fault = FAULTS[kind](value) if kind in FAULTS and value is not None else None
            if fault is not None:
                place = (*path, index) if isinstance(operand, list) else path
                self.source.complain(place, *fault)

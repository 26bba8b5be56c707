"""What is wrong with forms and questions that only the rest of the program can tell: fields, pieces, languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nurture.language.source import Path, Source, suggest
from nurture.language.words import BUILT_IN
from nurture.program.check_conditions import Known
from nurture.program.check_letters import spoken
from nurture.program.check_values import check_status, declare, value_fault
from nurture.program.forms import Thanks
from nurture.program.wording import languages_of

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_FIELDS = "fields: in program.yaml"
_TEXTS = ("title", "text", "button", "offer")


def check_forms(source: Source, known: Known) -> None:
    """Note everything in program.yaml that forms, labels, choices and questions get wrong."""
    forms = _mapping(source, ("forms",))
    for key, form in forms.items():
        if not _KEY.fullmatch(str(key)):
            what = f"'{key}' cannot stand in an address"
            source.complain(("forms", key), what, "use letters, digits, - and _", at_key=True)
        if isinstance(form, dict):
            _Form(source, known, ("forms", key), form, list(forms)).run(str(key))
    for name, choices in _mapping(source, ("choices",)).items():
        at: Path = ("choices", name)
        kind = _field(source, known, at, name, at_key=True)
        if kind is not None and (kind != "text" or name in ("email", "country", "language", "timezone")):
            what = f"the choices of '{name}' are its own"
            source.complain(at, what, "give choices to a field of text", at_key=True)
        for choice in choices if isinstance(choices, dict) else ():
            _wording(source, (*at, choice))
    for name in _mapping(source, ("labels",)):
        _field(source, known, ("labels", name), name, at_key=True)
        _wording(source, ("labels", name))
    _questions(source, known)


def _questions(source: Source, known: Known) -> None:
    for name, question in _mapping(source, ("questions",)).items():
        at: Path = ("questions", name)
        if not isinstance(question, dict):
            continue
        for path in ((*at, "ask"), (*at, "thanks")):
            _wording(source, path)
        for answer in _mapping(source, (*at, "answers")):
            _wording(source, (*at, "answers", answer))
        field = question.get("field")
        if not isinstance(field, str) or known.fields is None:
            continue
        own = [name for name, kind in known.fields.items() if kind == "text" and name not in BUILT_IN]
        if field not in own:
            what = (
                f"'{field}' is no text field of your own" if field in known.fields else f"no lead has a field '{field}'"
            )
            source.complain((*at, "field"), what, declare(field, own, f"{_FIELDS}, as text"))


class _Form:
    """One form as it is written; notes problems in its source."""

    def __init__(self, source: Source, known: Known, at: Path, form: Mapping[str, Any], forms: list[str]) -> None:
        self.source, self.known, self.at, self.form, self.forms = source, known, at, form, forms

    def run(self, key: str) -> None:
        """Note everything."""
        asked = [name for part in ("fields", "ask_more") for _, name in self._names(part)]
        for part in ("fields", "ask_more", "required"):
            for path, name in self._names(part):
                if _field(self.source, self.known, path, name) is not None and part == "required" and name not in asked:
                    remedy = suggest(name, asked) if asked else "ask for it under fields:"
                    self.source.complain(path, f"the form does not ask for '{name}'", remedy)
        for path, name in self._names("ask_more"):
            if name in self.form.get("fields", []):
                self.source.complain(path, f"'{name}' stands in fields: as well", "say it once")
        self._hidden(asked)
        for parameter, name in _mapping(self.source, (*self.at, "from_query")).items():
            path = (*self.at, "from_query", parameter)
            kind = _field(self.source, self.known, path, str(name))
            if kind is not None and (kind != "text" or name in BUILT_IN):
                own = [one for one, kind in (self.known.fields or {}).items() if kind == "text" and one not in BUILT_IN]
                what = f"'{name}' is no text field of your own"
                self.source.complain(path, what, declare(str(name), own, f"{_FIELDS}, as text"))
        for word in _TEXTS:
            _wording(self.source, (*self.at, word))
        self._pieces((*self.at, "offer"))
        self._thanks(key)

    def _names(self, part: str) -> Iterator[tuple[Path, str]]:
        written = self.form.get(part)
        for index, name in enumerate(written if isinstance(written, list) else []):
            if isinstance(name, str):
                yield (*self.at, part, index), name

    def _hidden(self, asked: list[str]) -> None:
        fields = self.known.fields
        for name, value in _mapping(self.source, (*self.at, "hidden")).items():
            path = (*self.at, "hidden", name)
            if name == "email":
                what = "every visitor has an address of their own"
                self.source.complain(path, what, "leave it out", at_key=True)
            elif name in asked:
                what = f"the form asks for '{name}' as well"
                self.source.complain(path, what, "ask for it or set it", at_key=True)
            elif name != "status":
                kind = _field(self.source, self.known, path, name, at_key=True, more=("status",))
                fault = value_fault(kind, value) if kind is not None else None
                if fault is not None:
                    self.source.complain(path, f"{name}: {fault[0]}", fault[1])
            elif fields is not None and not isinstance(value, str):
                self.source.complain(path, f"'{value}' is not text", f'write "{value}"')
            else:
                check_status(self.source, path, value, self.known.statuses)

    def _thanks(self, key: str) -> None:
        written, at = self.form.get("thanks"), (*self.at, "thanks")
        if not isinstance(written, dict) or written.keys().isdisjoint(Thanks.model_fields):
            _wording(self.source, at)
            return
        for path in ((*at, "text"), (*at, "next", "label"), (*at, "next", "offer")):
            _wording(self.source, path)
        self._pieces((*at, "next", "offer"))
        further = self.source.at((*at, "next", "form"))
        if isinstance(further, str) and further not in self.forms:
            self.source.complain((*at, "next", "form"), f"there is no form '{further}'", suggest(further, self.forms))
        elif further == key:
            self.source.complain((*at, "next", "form"), "a form cannot be its own next step", "name another form")

    def _pieces(self, at: Path) -> None:
        """Pieces that the library does not have."""
        named, offers = self.source.at(at), self.known.offers
        if named is None or offers is None:
            return
        pieces = [str(piece.get("key")) for piece in offers]
        for path, piece in (
            [((*at, tag), key) for tag, key in named.items()] if isinstance(named, dict) else [(at, named)]
        ):
            if isinstance(piece, str) and piece not in pieces:
                remedy = declare(piece, pieces, "offers: in offers.yaml")
                self.source.complain(path, f"there is no offer '{piece}'", remedy)


def _field(
    source: Source, known: Known, path: Path, name: str, *, at_key: bool = False, more: tuple[str, ...] = ()
) -> str | None:
    """The kind of a field of the program; None, and it is noted, for one that no lead has."""
    if known.fields is None:
        return None
    if name not in known.fields:
        source.complain(path, f"no lead has a field '{name}'", suggest(name, [*known.fields, *more]), at_key=at_key)
        return None
    return known.fields[name]


def _wording(source: Source, path: Path) -> None:
    """A text by language: each must be one."""
    for tag in languages_of(source.at(path)):
        if not spoken(tag):
            what = f"'{tag}' is not a language"
            source.complain((*path, tag), what, "write a tag such as en, ar or pt-BR", at_key=True)


def _mapping(source: Source, path: Path) -> dict[str, Any]:
    value = source.at(path)
    return value if isinstance(value, dict) else {}

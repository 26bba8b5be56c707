"""What is wrong with a sequence that no single key can tell: its graph, its letters, its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nurture.folding import fold
from nurture.language.source import Path, Source, suggest
from nurture.language.words import BUILT_IN, STATE
from nurture.mail import check as mail
from nurture.mail.check import Kind
from nurture.mail.templates import Templates
from nurture.program.check_conditions import KINDS as KINDS_OF_FIELDS
from nurture.program.check_conditions import Around, Known, Stands
from nurture.program.check_letters import surely_known
from nurture.program.check_loops import check_gotos, check_loops
from nurture.program.check_values import check_status, declare, value_fault
from nurture.steps import KINDS, AnyStep, Step

_ONE_STEP: TypeAdapter[Step] = TypeAdapter(AnyStep)
_MILESTONES = "milestones: in lifecycle.yaml"
_WAYS = ("next", "then", "else", "passed", "refused", "past")


class SequenceCheck:
    """One sequence.yaml, as far as it can be read; notes problems in its source."""

    def __init__(self, slug: str, source: Source, known: Known) -> None:
        self.slug, self.source, self.known = slug, source, known
        written = source.at(("steps",))
        self.raw: list[dict[str, Any]] = [
            step if isinstance(step, dict) else {} for step in (written if isinstance(written, list) else [])
        ]
        self.ids = [str(step.get("id", "")) for step in self.raw]
        self.kinds = [next((word for word in KINDS if word in step), "") for step in self.raw]

    def run(self) -> None:
        """Note everything."""
        self._objective()
        self._conditions()
        self._ids_and_ways()
        self._unreachable()
        self._again()
        equal_hours(self.source, ("send", "hours"))
        for index, step in enumerate(self.raw):
            self._names(("steps", index), step)

    def letters(self) -> Iterator[tuple[Path, str, Kind]]:
        """The place, the name and the kind of every letter that a step names."""
        for index, step in enumerate(self.raw):
            at: Path = ("steps", index)
            if isinstance(step.get("email"), str):
                operational = step.get("kind") == "operational"
                yield (*at, "email"), step["email"], "operational" if operational else "marketing"
            elif "offer" in step:
                named = step.get("message", "_shared/offer.j2")
                if isinstance(named, str):
                    yield (*at, "message" if "message" in step else "offer"), named, "offer"

    def written(self) -> Iterator[tuple[Path, str, Kind]]:
        """As `letters`, with the letter of each arm where a message has arms."""
        for path, named, kind in self.letters():
            arms = self.source.at((*path[:-1], "variants")) if path[-1] == "email" else None
            if not isinstance(arms, dict) or not arms:
                yield path, named, kind
                continue
            yield from (((*path[:-1], "variants", arm), f"{named.removesuffix('.j2')}.{arm}.j2", kind) for arm in arms)

    def file_of(self, named: str, kind: Kind) -> str:
        """The file of a letter that a step names."""
        return named if kind == "offer" and named.startswith("_shared/") else f"{self.slug}/{named}"

    def _objective(self) -> None:
        name = self.source.at(("objective",))
        milestones = self.known.milestones
        if isinstance(name, str) and milestones is not None and name not in milestones:
            self.source.complain(
                ("objective",),
                f"there is no milestone '{name}'",
                declare(name, milestones, _MILESTONES),
            )

    def _conditions(self) -> None:
        steps = dict(zip(self.ids, self.kinds, strict=True))
        rules: list[tuple[Path, Stands]] = [
            (("segment",), "segment"),
            (("enrol", "when"), "enrol"),
            (("leave",), "leave"),
        ]
        for path, stands in rules:
            Around(self.source, self.known, stands, self.slug, steps).look(path)
        for index, step in enumerate(self.raw):
            around = Around(self.source, self.known, "step", self.slug, steps, self.ids.index(self.ids[index]))
            around.look(("steps", index, "wait_until"))
            around.look(("steps", index, "winner", "by"))
            cases = step.get("branch")
            for case in range(len(cases) if isinstance(cases, list) else 0):
                around.look(("steps", index, "branch", case, "if"))

    def _ids_and_ways(self) -> None:
        for index, step_id in enumerate(self.ids):
            if step_id and self.ids.index(step_id) < index:
                line = self.source.places[("steps", self.ids.index(step_id), "id")][0]
                what = f"'{step_id}' is already the id of the step on line {line}"
                self.source.complain(("steps", index, "id"), what, "give each step its own id")
        check_gotos(self.source, self.raw, self.ids)
        for index, path in self._ways():
            target = self.source.at(path)
            if isinstance(target, str):
                self._way(index, path, target)
        for index, step in enumerate(self.raw):
            shares = step.get("split")
            for target in shares if isinstance(shares, dict) else ():
                self._way(index, ("steps", index, "split", target), target, at_key=True)

    def _way(self, index: int, path: Path, target: str, *, at_key: bool = False) -> None:
        if target not in self.ids:
            remedy = suggest(target, self.ids[index + 1 :]) if self.ids[index + 1 :] else "leave it away"
            self.source.complain(path, f"there is no step '{target}'", remedy, at_key=at_key)
        elif self.ids.index(target) <= index:
            what = "names its own step" if target == self.ids[index] else "leads back"
            self.source.complain(path, f"'{target}' {what}", "name a step further down", at_key=at_key)

    def _ways(self) -> Iterator[tuple[int, Path]]:
        for index, step in enumerate(self.raw):
            yield from ((index, ("steps", index, word)) for word in _WAYS if word in step)
            cases = step.get("branch")
            for case in range(len(cases) if isinstance(cases, list) else 0):
                yield index, ("steps", index, "branch", case, "then")

    def _graph(self) -> dict[str, list[str]] | None:
        """Each step and where leads go from it; None while steps cannot be read, or name what is not there."""
        steps = [_read(step) for step in self.raw]
        whole = [step for step in steps if step is not None]
        if len(whole) < len(steps) or len(set(self.ids)) < len(self.ids):
            return None
        ways = {
            step.id: [*step.targets().values(), *(self.ids[index + 1 : index + 2] if step.goes_on() else [])]
            for index, step in enumerate(whole)
        }
        return None if any(target not in ways for targets in ways.values() for target in targets) else ways

    def _unreachable(self) -> None:
        """Steps that no lead ever comes to; of a row of them the first."""
        ways = self._graph()
        if ways is None:
            return
        check_loops(self.source, self.raw, self.ids, ways)
        reached: set[str] = set()
        ahead = self.ids[:1]
        while ahead:
            step_id = ahead.pop()
            if step_id not in reached:
                reached.add(step_id)
                ahead += ways[step_id]
        lost = [step_id for step_id in self.ids if step_id not in reached]
        entries = {target for step_id in lost for target in ways[step_id]}
        for step_id in lost:
            if step_id not in entries:
                index = self.ids.index(step_id)
                over = self.kinds[index - 1] == "exit"
                why = f": it stands after the exit '{self.ids[index - 1]}'" if over else ""
                what, remedy = (
                    f"no lead ever comes to '{step_id}'{why}",
                    "name it in a step above, or remove it",
                )
                self.source.complain(("steps", index, "id"), what, remedy)

    def _again(self) -> None:
        if not isinstance(self.source.at(("enrol", "again")), dict):
            return
        for index, step in enumerate(self.raw):
            word = next((word for word in ("email", "sms") if word in step), None)
            if word is not None and step.get("repeat") is not True:
                what = f"the second time '{self.ids[index]}' would be passed over: nobody gets a letter twice"
                self.source.complain(("steps", index, word), what, "add repeat: true, or write again: never")

    def _names(self, at: Path, step: dict[str, Any]) -> None:
        known, source = self.known, self.source
        audience = step.get("audience")
        for verb, name in (audience if isinstance(audience, dict) else {}).items():
            if known.audiences is not None and isinstance(name, str) and name not in known.audiences:
                remedy = declare(name, known.audiences, "audiences: in program.yaml")
                source.complain((*at, "audience", verb), f"there is no audience '{name}'", remedy)
        wait = step.get("wait")
        if isinstance(wait, dict) and isinstance(wait.get("until"), str) and known.fields is not None:
            name, days = wait["until"], [name for name, kind in known.fields.items() if kind == "date"]
            if name not in days:
                what = f"'{name}' is no date" if name in known.fields else f"no lead has a field '{name}'"
                source.complain((*at, "wait", "until"), what, declare(name, days, "fields: in program.yaml, as date"))
        milestone = step.get("handoff")
        if isinstance(milestone, str) and known.milestones is not None:
            by_step = [name for name, steps in known.milestones.items() if steps]
            if milestone not in known.milestones:
                what = f"there is no milestone '{milestone}'"
                source.complain((*at, "handoff"), what, declare(milestone, by_step, _MILESTONES))
            elif milestone not in by_step:
                what = f"'{milestone}' is reached by a condition, not by a step"
                source.complain((*at, "handoff"), what, f"known by_step: {', '.join(by_step) or 'none'}")
        if isinstance(step.get("offer"), dict):
            self._offer((*at, "offer"), step["offer"])
        by = self.source.at((*at, "winner", "by"))
        if by == "objective" and self.source.at(("objective",)) is None:
            what = "the sequence has no objective"
            self.source.complain((*at, "winner", "by"), what, "name one under objective:, or write by: clicked")
        changes = step.get("update")
        check_status(self.source, (*at, "update", "status"), self.source.at((*at, "update", "status")), known.statuses)
        fields = changes.get("fields") if isinstance(changes, dict) else None
        for name, value in (fields if isinstance(fields, dict) else {}).items():
            self._written((*at, "update", "fields", name), name, value)

    def _offer(self, at: Path, wanted: dict[str, Any]) -> None:
        topic, stage, offers = wanted.get("topic"), wanted.get("stage"), self.known.offers
        if isinstance(topic, dict) and isinstance(topic.get("field"), str) and self.known.fields is not None:
            name, texts = topic["field"], [name for name, kind in self.known.fields.items() if kind == "text"]
            if name not in self.known.fields:
                self.source.complain((*at, "topic", "field"), f"no lead has a field '{name}'", suggest(name, texts))
            elif name not in texts and self.known.fields[name] in KINDS_OF_FIELDS:
                what = f"'{name}' is {KINDS_OF_FIELDS[self.known.fields[name]][0]}, and topics are text"
                self.source.complain((*at, "topic", "field"), what, suggest(name, texts))
        if offers is None:
            return
        pieces = [piece for piece in offers if stage in (None, piece.get("stage"))]
        if isinstance(stage, str) and not pieces and stage in ("awareness", "consideration", "decision"):
            what = f"the library has no piece of the stage '{stage}'"
            self.source.complain((*at, "stage"), what, "add one to offers.yaml, or name another stage")
        elif isinstance(topic, str) and not any(_about(piece, topic) for piece in pieces):
            topics = {str(word) for piece in pieces for word in piece.get("topics", [])}
            self.source.complain((*at, "topic"), f"no piece of the library is about '{topic}'", suggest(topic, topics))

    def _written(self, at: Path, name: str, value: Any) -> None:
        if self.known.fields is None:
            return
        own = {field: kind for field, kind in self.known.fields.items() if field not in mail_fields({})}
        if name not in own:
            what = f"program.yaml declares no field '{name}'"
            self.source.complain(at, what, suggest(name, own), at_key=True)
        elif value is not None and (fault := value_fault(own[name], value)):
            self.source.complain(at, f"{name}: {fault[0]}", fault[1])

    def check_letters(self, templates: Templates) -> None:
        """Note letters that are missing, and the problems of those that are there."""
        own = [name.removeprefix(f"{self.slug}/") for name in templates.files if name.startswith(f"{self.slug}/")]
        sure = surely_known(self.source.at(("segment",)))
        for path, named, kind in self.written():
            file = self.file_of(named, kind)
            variants = templates.variants(file)
            if not variants:
                what = f"there is no letter '{named}' in {file.rpartition('/')[0]}/"
                near = own and "variants" not in path  # the letters of other arms are always near
                self.source.complain(path, what, suggest(named, own) if near else "write it")
                continue
            language = self.known.language
            if file not in templates.files and not any(templates.language(v, "") == language for v in variants):
                spoken = ", ".join(templates.language(variant, "") for variant in variants)
                what = f"'{named}' is written in {spoken} only, and other leads get none"
                self.source.complain(path, what, f"write {named} in the program's language, {language}")
            if self.known.fields is not None and self.known.typed:
                fields = mail_fields(self.known.fields)
                found = mail.problems(
                    templates, file, fields, kind=kind, forms=self.known.forms, questions=self.known.questions,
                    language=language, known=sure,
                )  # fmt: skip
                self.source.problems += found


def mail_fields(declared: Mapping[str, str]) -> dict[str, str]:
    """What a letter may say of a lead."""
    return {**dict.fromkeys((*BUILT_IN, *STATE), "text"), **declared}


def equal_hours(source: Source, path: Path, remedy: str = "leave hours away for the whole day") -> None:
    """Note hours that end when they begin; `remedy`: how the whole day is written there."""
    hours = source.at(path)
    begins, dash, ends = str(hours).partition("-")
    if dash and begins.strip() == ends.strip():
        what = f"'{hours}' never opens: it ends when it begins"
        source.complain(path, what, f"write another end, or {remedy}")


def _about(piece: Any, topic: str) -> bool:
    topics = piece.get("topics") or []
    return not topics or fold(topic) in [fold(str(word)) for word in topics]


def _read(step: dict[str, Any]) -> Step | None:
    try:
        return _ONE_STEP.validate_python(step)
    except ValidationError:
        return None

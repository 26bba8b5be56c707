"""What is wrong with a check before it is played: the leads, letters and names that it speaks of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nurture.folding import canonical_email
from nurture.language.conditions import BUILT_IN
from nurture.language.source import Path, Source, nearest, read_yaml, suggest
from nurture.program.check_conditions import declare
from nurture.program.checks import Check
from nurture.program.models import STAGES
from nurture.steps import KINDS

#: What a check's lead may say beside its fields.
_OF_A_LEAD = ("id", "consent", "tracking", "tags", "stage", "status")
_LETTERS = ("email", "offer")
_OUTCOMES = ("objective", "left", "completed", "unsubscribed")
_REASONS = {
    "deferred": ("window", "cap", "priority", "paused"),
    "suppressed": ("suppressed", "no_address", "no_consent", "already_received"),
}
Steps = Mapping[str, str]


def is_check(name: str) -> bool:
    """Whether a file lies where checks do."""
    parts = name.split("/")
    return len(parts) == 3 and parts[1] == "checks" and name.endswith(".yaml")


def is_sequence(source: Source) -> bool:
    """Whether a file among checks is an edited sequence, for `publish:`."""
    return isinstance(source.value, dict) and "check" not in source.value and "steps" in source.value


def steps_of(source: Source) -> dict[str, str]:
    """Id to kind of every step of a sequence, as far as it can be read."""
    written = source.at(("steps",))
    steps = [step for step in (written if isinstance(written, list) else []) if isinstance(step, dict)]
    return {str(step.get("id", "")): next((word for word in KINDS if word in step), "") for step in steps}


@dataclass(frozen=True)
class Names:
    """What the checks of a program may speak of; None: its file cannot be read, so nothing is said about it."""

    steps: Mapping[str, Steps]
    fields: Collection[str] | None
    sales: Collection[str] | None
    audiences: Collection[str] | None
    milestones: Collection[str] | None
    reasons: Collection[str] | None
    offers: Collection[str] | None

    @classmethod
    def of(cls, sources: Mapping[str, Source]) -> Names:
        """The names in the files of a program."""
        program, lifecycle, offers = (
            sources.get(name, Source(name)) for name in ("program.yaml", "lifecycle.yaml", "offers.yaml")
        )
        fields = _names(program, "fields")
        return cls(
            steps={name.split("/")[0]: steps_of(it) for name, it in sources.items() if name.endswith("/sequence.yaml")},
            fields=None if fields is None else [*BUILT_IN, *fields],
            sales=_names(program, "sales", "email"),
            audiences=_names(program, "audiences"),
            milestones=_names(lifecycle, "milestones"),
            reasons=_names(lifecycle, "gate", "reason"),
            offers=_names(offers, "offers", "key"),
        )


def _names(source: Source, part: str, key: str = "") -> list[str] | None:
    value = source.at((part,))
    if value is None and source.value is not None:
        return []
    if isinstance(value, dict) and not key:
        return list(value)
    if isinstance(value, list) and key:
        return [str(one.get(key)) for one in value if isinstance(one, dict)]
    return None


def read_story(name: str, files: Mapping[str, str], names: Names) -> tuple[Source, Check | None]:
    """A check and its source, which holds every problem of it; no check where there are any."""
    source = read_yaml(name, files[name])
    if is_sequence(source):
        return source, None
    check = source.read(Check)
    if isinstance(source.value, dict):
        _Story(source, files, names).run()
    return source, None if source.problems else check


@dataclass(frozen=True)
class _Story:
    """One check as it is written; notes problems in its source."""

    source: Source
    files: Mapping[str, str]
    names: Names

    def run(self) -> None:
        for index, lead in self._listed("leads"):
            self._introduced(("leads", index), lead)
        for index, event in self._listed("events"):
            self._event(("events", index), event)
        for index, expected in self._listed("expect"):
            inner = expected.get("never")
            path: Path = ("expect", index)
            self._who(path, expected)
            self._expected(path, expected)
            if isinstance(inner, dict):
                self._who((*path, "never"), inner)
                self._expected((*path, "never"), inner)

    def _listed(self, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
        written = self.source.at((part,))
        for index, entry in enumerate(written if isinstance(written, list) else []):
            if isinstance(entry, dict):
                yield index, entry

    @cached_property
    def _slug(self) -> str:
        return self.source.file.split("/")[0]

    @cached_property
    def _folder(self) -> str:
        return self.source.file.rpartition("/")[0]

    @cached_property
    def _leads(self) -> list[str]:
        return [_key(str(lead.get("email") or lead.get("id") or "")) for _, lead in self._listed("leads")]

    @cached_property
    def _steps(self) -> Mapping[str, Steps]:
        """The steps of each segment, those of sequences that the check publishes among them."""
        published = [f"{self._folder}/{event['publish']}" for _, event in self._listed("events") if "publish" in event]
        own = dict(self.names.steps.get(self._slug, {}))
        for name in published:
            if name in self.files:
                own |= steps_of(read_yaml(name, self.files[name]))
        return {**self.names.steps, self._slug: own}

    def _introduced(self, at: Path, lead: dict[str, Any]) -> None:
        if not lead.get("email") and not lead.get("id"):
            self.source.complain(at, "a lead needs an email, or an id", "add 'email:'")
        for name in lead:
            if self.names.fields is not None and name not in (*self.names.fields, *_OF_A_LEAD):
                known = [*self.names.fields, *_OF_A_LEAD]
                what = f"no lead has a field '{name}'"
                self._say((*at, name), what, name, known, "fields: in program.yaml", key=True)

    def _who(self, at: Path, entry: dict[str, Any]) -> None:
        lead = entry.get("lead")
        if isinstance(lead, str) and self._leads and _key(lead) not in self._leads:
            self._say((*at, "lead"), f"'{lead}' is not among the leads of this check", lead, self._leads)

    def _event(self, at: Path, event: dict[str, Any]) -> None:
        self._who(at, event)
        for word in ("clicks", "replies"):
            self._step((*at, word), event.get(word), _LETTERS)
        for word in ("pause", "resume"):
            who = event.get(word)
            if not isinstance(who, str) or who == "all":
                continue
            if "@" in who:
                self._who(at, {"lead": who})
            else:
                self._one_of((*at, word), "segment", who, self.names.steps)
        changes = event.get("set")
        for name in changes if isinstance(changes, dict) else {}:
            if self.names.fields is not None and name not in self.names.fields:
                place = (*at, "set", name)
                what = f"no lead has a field '{name}'"
                self._say(place, what, name, self.names.fields, "fields: in program.yaml", key=True)
        file = event.get("publish")
        if isinstance(file, str) and f"{self._folder}/{file}" not in self.files:
            beside = [name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == self._folder]
            near = nearest(file, beside)
            remedy = f"did you mean '{near}'?" if near else "write the edited sequence beside the check"
            self.source.complain((*at, "publish"), f"there is no {self._folder}/{file}", remedy)

    def _expected(self, at: Path, expected: dict[str, Any]) -> None:
        names = self.names
        self._step((*at, "email"), expected.get("email"), _LETTERS)
        for word, reasons in _REASONS.items():
            self._step((*at, word), expected.get(word), (*_LETTERS, "audience"))
            if word in expected:
                self._one_of((*at, "reason"), "reason", expected.get("reason"), reasons)
        change = expected.get("audience")
        for verb, name in (change if isinstance(change, dict) else {}).items():
            self._one_of((*at, "audience", verb), "audience", name, names.audiences, "audiences: in program.yaml")
        self._one_of((*at, "offer"), "offer", expected.get("offer"), names.offers, "offers: in offers.yaml")
        where = "milestones: in lifecycle.yaml"
        self._one_of((*at, "handoff"), "milestone", expected.get("handoff"), names.milestones, where)
        self._one_of((*at, "refused"), "reason", expected.get("refused"), names.reasons, "gate: in lifecycle.yaml")
        self._one_of((*at, "owner"), "salesperson", expected.get("owner"), names.sales, "sales: in program.yaml")
        self._one_of((*at, "stage"), "stage", expected.get("stage"), STAGES)
        self._one_of((*at, "left"), "end of a sequence", expected.get("left"), _OUTCOMES)

    def _step(self, at: Path, written: Any, kinds: tuple[str, ...]) -> None:
        if not isinstance(written, str):
            return
        slug, _, name = written.rpartition("/")
        if slug and slug not in self._steps:
            self._one_of(at, "segment", slug, self.names.steps)
            return
        steps = self._steps.get(slug or self._slug, {})
        before = f"{slug}/" if slug else ""
        known = [f"{before}{step}" for step, kind in steps.items() if kind in kinds]
        if name not in steps and steps:
            self._say(at, f"there is no step '{written}'", written, known)
        elif steps and steps[name] not in (*kinds, ""):
            self._say(at, f"step '{written}' sends nothing", written, known)

    def _one_of(self, at: Path, what: str, name: Any, known: Collection[str] | None, where: str = "") -> None:
        if isinstance(name, str) and known is not None and name not in known:
            self._say(at, f"there is no {what} '{name}'", name, known, where)

    def _say(self, at: Path, what: str, name: str, known: Collection[str], where: str = "", key: bool = False) -> None:
        remedy = declare(name, known, where) if where else suggest(name, known)
        self.source.complain(at, what, remedy, at_key=key)


def _key(who: str) -> str:
    try:
        return canonical_email(who) if "@" in who else who
    except ValueError:
        return who

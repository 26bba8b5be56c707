"""What is wrong with a check before it is played: the leads, letters and names that it speaks of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from nurture.folding import canonical_email
from nurture.language.source import Path, Source, nearest, read_yaml, suggest
from nurture.language.words import GRADES
from nurture.program.check_edits import lay_over
from nurture.program.check_expected import read_moment
from nurture.program.check_names import Names
from nurture.program.check_values import declare
from nurture.program.checks import Check, Cohort
from nurture.program.lifecycle import STAGES

#: What a check's lead may say beside its fields.
_OF_A_LEAD = ("id", "consent", "tracking", "sms", "tags", "lists", "stage", "status", "owner")
_STATUSES = "statuses: in lifecycle.yaml"
_LETTERS = ("email", "offer")
_ANSWERABLE = ("email", "offer", "sms")
_SENDING = ("email", "offer", "sms", "audience", "webhook")
_OUTCOMES = (
    "objective", "left", "completed", "unsubscribed", "suppressed", "disqualified", "discarded", "unenrolled",
    "objected",
)  # fmt: skip
_REASONS = {
    "deferred": (
        "window", "pause", "pace", "cap", "priority", "confirmation", "paused", "stopped", "canary", "growth",
        "most_per_day",
    ),
    "suppressed": (
        "suppressed",
        "no_address",
        "no_consent",
        "topic",
        "already_received",
        "holdout",
        "no_phone",
        "cap",
        "customer",
        "objected",
    ),
}  # fmt: skip
#: Expectations of a step, and the kinds of steps that they may name; none: any.
_STEPS: dict[str, tuple[str, ...]] = {
    "email": _LETTERS, "sms": ("sms",), "webhook": ("webhook",), "task": ("task",), "stands": (),
    **dict.fromkeys(("deferred", "suppressed", "expired", "failed", "uncertain", "cancelled"), _SENDING),
}  # fmt: skip
#: Events that name a message the lead has had.
_ANSWERS = {
    **dict.fromkeys(("opens", "clicks", "replies", "answers", "bounces", "complains"), _ANSWERABLE),
    "done": ("task",),
}


def is_check(name: str) -> bool:
    """Whether a file lies where checks do."""
    parts = name.split("/")
    return len(parts) == 3 and parts[1] == "checks" and name.endswith(".yaml")


def is_sequence(source: Source) -> bool:
    """Whether a file among checks is an edited sequence, for `publish:`."""
    return isinstance(source.value, dict) and "check" not in source.value and "steps" in source.value


def read_story(name: str, files: Mapping[str, str], names: Names) -> tuple[Source, Check | None]:
    """A check and its source, which holds every problem of it; no check where there are any."""
    source = read_yaml(name, files[name])
    if is_sequence(source):
        return source, None
    check = source.read(Check)
    if isinstance(source.value, dict):
        _Story(source, *_edited(source, files, names)).run()
    return source, None if source.problems else check


def _edited(source: Source, files: Mapping[str, str], names: Names) -> tuple[Mapping[str, str], Names]:
    """The files and names that a check speaks of: with what it changes, at the start and by `publish:`."""
    slug, folder = source.file.split("/")[0], source.file.rpartition("/")[0]
    events = source.at(("events",))
    places: list[Path] = [
        (),
        *(("events", i, "publish") for i in range(len(events) if isinstance(events, list) else 0)),
    ]
    for at in places:
        written = source.at(at)
        if isinstance(written, str) and f"{folder}/{written}" in files:
            edited = read_yaml(f"{slug}/sequence.yaml", files[f"{folder}/{written}"])
            names = names.edited({edited.file: edited})
        elif isinstance(written, dict):
            laid = lay_over(files, source, at, slug)
            if laid.places:
                files, names = laid.files, names.edited(laid.sources)
                laid.complain()
    return files, names


def _read(value: Any) -> datetime | timedelta | None:
    """A moment, if it is one: what it is not is told when the check is read."""
    try:
        return None if value is None else read_moment(value)
    except ValueError:
        return None


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
            self._in_time(("events", index, "at"), "nothing happens after until")
        for index, expected in self._listed("expect"):
            self._in_time(("expect", index, "at"), "nobody looks after until")
            self._in_time(("expect", index, "never", "at"), "nobody looks after until")
            inner = expected.get("never")
            path: Path = ("expect", index)
            self._who(path, expected)
            self._expected(path, expected)
            if isinstance(inner, dict):
                self._who((*path, "never"), inner)
                self._expected((*path, "never"), inner)

    def _in_time(self, at: Path, what: str) -> None:
        """Note a moment after the end of the story."""
        start, until, moment = (_read(self.source.at(path)) for path in (("start",), ("until",), at))
        if start is None or until is None or moment is None or isinstance(start, timedelta):
            return
        end, then = (start + it if isinstance(it, timedelta) else it for it in (until, moment))
        if then > end:
            self.source.complain(at, f"'{self.source.at(at)}' is later than until: {what}", "let until: be later")

    def _listed(self, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
        written = self.source.at((part,))
        for index, entry in enumerate(written if isinstance(written, list) else [written]):
            if isinstance(entry, dict):
                yield index, entry

    @cached_property
    def _slug(self) -> str:
        return self.source.file.split("/")[0]

    @cached_property
    def _folder(self) -> str:
        return self.source.file.rpartition("/")[0]

    @cached_property
    def _leads(self) -> set[str]:
        written = [lead for _, lead in self._listed("leads")]
        written += [event["arrives"] for _, event in self._listed("events") if isinstance(event.get("arrives"), dict)]
        return {_key(str(lead.get("email") or lead.get("id") or "")) for one in written for lead in _alike(one)}

    def _introduced(self, at: Path, lead: dict[str, Any]) -> None:
        if isinstance(lead.get("like"), dict):
            at, lead = (*at, "like"), lead["like"]
            if "{n}" not in str(lead.get("email") or lead.get("id")):
                self.source.complain(at, "these leads would all be the same one", 'write email: "lead{n}@acme.example"')
        if not lead.get("email") and not lead.get("id"):
            self.source.complain(at, "a lead needs an email, or an id", "add 'email:'")
        self._fields(at, lead, _OF_A_LEAD)
        self._one_of((*at, "status"), "status", lead.get("status"), self.names.statuses, _STATUSES)

    def _fields(self, at: Path, given: Any, more: tuple[str, ...] = ()) -> None:
        for name in given if isinstance(given, dict) and self.names.fields is not None else ():
            known = [*(self.names.fields or ()), *more]
            if name not in known:
                what = f"no lead has a field '{name}'"
                self._say((*at, name), what, name, known, "fields: in program.yaml", key=True)

    def _who(self, at: Path, entry: dict[str, Any]) -> None:
        lead = entry.get("lead")
        if isinstance(lead, str) and self._leads and _key(lead) not in self._leads:
            self._say((*at, "lead"), f"'{lead}' is not among the leads of this check", lead, self._leads)

    def _event(self, at: Path, event: dict[str, Any]) -> None:
        self._who(at, event)
        for word, kinds in _ANSWERS.items():
            self._step((*at, word), event.get(word), kinds)
        for word in ("pause", "resume", "stop", "start"):
            who = event.get(word)
            if not isinstance(who, str) or who == "all":
                continue
            if "@" in who:
                self._who(at, {"lead": who})
            else:
                self._one_of((*at, word), "segment", who, self.names.steps)
        for word in ("enrol", "unenrol"):
            self._one_of((*at, word), "segment", event.get(word), self.names.steps)
        self._one_of((*at, "stage"), "stage", event.get("stage"), STAGES)
        self._one_of((*at, "status"), "status", event.get("status"), self.names.statuses, _STATUSES)
        answer = event.get("handoff")
        lost = answer.get("lost") if isinstance(answer, dict) else None
        self._one_of((*at, "handoff", "lost"), "reason", lost, self.names.losses, "lost: in lifecycle.yaml")
        data = event.get("data")
        if "answers" in event and isinstance(data, dict):
            said = f"{data.get('question')}: {data.get('answer')}"
            self._one_of((*at, "data"), "answer", said, self.names.answers, "questions: in program.yaml")
        if isinstance(event.get("arrives"), dict):
            self._introduced((*at, "arrives"), event["arrives"])
        self._fields((*at, "set"), event.get("set"))
        said, topics = self.source.at((*at, "prefers", "topics")), self.names.topics
        if isinstance(said, dict) and topics is not None:
            for topic in [topic for topic in said if topic not in topics]:
                place: Path = (*at, "prefers", "topics", topic)
                what, where = f"there is no topic '{topic}'", "topics: in program.yaml"
                self._say(place, what, str(topic), topics, where, key=True)
        file = event.get("publish")
        if isinstance(file, str) and f"{self._folder}/{file}" not in self.files:
            beside = [name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == self._folder]
            near = nearest(file, beside)
            remedy = f"did you mean '{near}'?" if near else "write the edited sequence beside the check"
            self.source.complain((*at, "publish"), f"there is no {self._folder}/{file}", remedy)

    def _expected(self, at: Path, expected: dict[str, Any]) -> None:
        names = self.names
        for word, kinds in _STEPS.items():
            self._step((*at, word), expected.get(word), kinds)
        for word, reasons in _REASONS.items():
            if word in expected:
                self._one_of((*at, "reason"), "reason", expected.get("reason"), reasons)
        for word in ("enrolled", "not_enrolled"):
            self._one_of((*at, word), "segment", expected.get(word), names.steps)
        change = expected.get("audience")
        for verb, name in (change if isinstance(change, dict) else {}).items():
            self._one_of((*at, "audience", verb), "audience", name, names.audiences, "audiences: in program.yaml")
        self._one_of((*at, "offer"), "offer", expected.get("offer"), names.offers, "offers: in offers.yaml")
        where = "milestones: in lifecycle.yaml"
        for word in ("handoff", "milestone"):
            self._one_of((*at, word), "milestone", expected.get(word), names.milestones, where)
        self._one_of((*at, "refused"), "reason", expected.get("refused"), names.reasons, "gate: in lifecycle.yaml")
        self._one_of((*at, "owner"), "salesperson", expected.get("owner"), names.sales, "sales: in program.yaml")
        self._one_of((*at, "stage"), "stage", expected.get("stage"), STAGES)
        self._one_of((*at, "status"), "status", expected.get("status"), names.statuses, _STATUSES)
        self._one_of((*at, "fit"), "grade", expected.get("fit"), GRADES)
        self._fields((*at, "field"), expected.get("field"), ("owner",))
        slug, _, outcome = str(expected.get("left") or "").rpartition("/")
        self._one_of((*at, "left"), "segment", slug or None, names.steps)
        self._one_of((*at, "left"), "end of a sequence", outcome or None, _OUTCOMES)

    def _step(self, at: Path, written: Any, kinds: tuple[str, ...]) -> None:
        if not isinstance(written, str):
            return
        slug, _, name = written.rpartition("/")
        if slug and slug not in self.names.steps:
            self._one_of(at, "segment", slug, self.names.steps)
            return
        steps = self.names.steps.get(slug or self._slug, {})
        before = f"{slug}/" if slug else ""
        known = [f"{before}{step}" for step, kind in steps.items() if not kinds or kind in kinds]
        if name not in steps and steps:
            self._say(at, f"there is no step '{written}'", written, known)
        elif steps and kinds and steps[name] not in (*kinds, ""):
            sent = kinds in (_LETTERS, _ANSWERABLE, _SENDING)
            what = "sends nothing" if sent else f"is no {' or '.join(kinds)} step"
            self._say(at, f"step '{written}' {what}", written, known)

    def _one_of(self, at: Path, what: str, name: Any, known: Collection[str] | None, where: str = "") -> None:
        if isinstance(name, str) and known is not None and name not in known:
            self._say(at, f"there is no {what} '{name}'", name, known, where)

    def _say(self, at: Path, what: str, name: str, known: Collection[str], where: str = "", key: bool = False) -> None:
        remedy = declare(name, known, where) if where else suggest(name, known)
        self.source.complain(at, what, remedy, at_key=key)


def _alike(lead: dict[str, Any]) -> list[dict[str, Any]]:
    """The leads that an entry of `leads:` stands for, as far as it can be read."""
    like, count = lead.get("like"), lead.get("count")
    if not isinstance(like, dict):
        return [lead]
    return Cohort(count=count, like=like).leads() if isinstance(count, int) and 0 < count <= 100_000 else []


def _key(who: str) -> str:
    try:
        return canonical_email(who) if "@" in who else who
    except ValueError:
        return who

"""What the checks of a program may speak of: the names that its files give to steps, fields, people and pieces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace

from nurture.language.source import Source
from nurture.language.words import BUILT_IN
from nurture.program.check_values import statuses_of
from nurture.program.lifecycle import LOST
from nurture.program.questions import answers_of
from nurture.steps import KINDS

#: Id to kind.
Steps = Mapping[str, str]


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
    #: `question: answer`.
    answers: Collection[str] | None
    topics: Collection[str] | None
    statuses: Collection[str] | None
    #: Why deals are lost.
    losses: Collection[str] | None

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
            answers=_answers(program),
            topics=_names(program, "topics"),
            statuses=statuses_of(lifecycle),
            losses=_names(lifecycle, "lost") or LOST,
        )

    def edited(self, sources: Mapping[str, Source]) -> Names:
        """These and the names in `sources`, files that a check has changed."""
        new = Names.of(sources)
        both = {
            one.name: [*getattr(self, one.name), *(getattr(new, one.name) or ())]
            for one in fields(Names)
            if one.name != "steps" and getattr(self, one.name) is not None
        }
        steps = {slug: {**self.steps.get(slug, {}), **theirs} for slug, theirs in new.steps.items()}
        return replace(self, steps={**self.steps, **steps}, **both)


def _answers(program: Source) -> list[str] | None:
    asked = program.at(("questions",))
    if asked is not None and not isinstance(asked, dict):
        return None
    known = answers_of(asked or {})
    return [f"{name}: {answer}" for name, answers in known.items() for answer in answers]


def _names(source: Source, part: str, key: str = "") -> list[str] | None:
    value = source.at((part,))
    if value is None and source.value is not None:
        return []
    if isinstance(value, dict) and not key:
        return list(value)
    if isinstance(value, list) and key:
        return [str(one.get(key)) for one in value if isinstance(one, dict)]
    return None

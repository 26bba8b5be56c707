"""`questions:` of program.yaml: one question, answered by one link of a letter each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from nurture.language.source import Written
from nurture.program.wording import Wording

#: Of one question, and of one program: the place of an answer goes into a link as 16 bits.
MOST_ANSWERS, MOST_QUESTIONS = 20, 1000


class Question(Written):
    """A question and its answers; each answer has an address, `{{ answer_url("intent", "buying") }}` in letters."""

    ask: Wording
    #: What is kept to how people read it.
    answers: dict[str, Wording]
    #: The lead's field that keeps the latest answer.
    field: str | None = None
    thanks: Wording | None = None

    @model_validator(mode="after")
    def _a_choice(self) -> Question:
        if not 2 <= len(self.answers) <= MOST_ANSWERS:
            said = "one answer" if len(self.answers) == 1 else f"{len(self.answers)} answers"
            raise ValueError(f"the question has {said}; write 2 to {MOST_ANSWERS}")
        return self


Questions = Annotated[dict[str, Question], Field(max_length=MOST_QUESTIONS)]


@dataclass(frozen=True)
class Answer:
    """One answer to one question, by their names."""

    question: str
    answer: str


def listed(questions: Mapping[str, Question]) -> list[Answer]:
    """Every answer to every question, in the order of the file: links carry the place in it."""
    return [Answer(name, answer) for name, question in questions.items() for answer in question.answers]


def places(questions: Mapping[str, Question]) -> dict[tuple[str, str], int]:
    """(question, answer) to its place."""
    return {(one.question, one.answer): place for place, one in enumerate(listed(questions))}


def answers_of(questions: Mapping[str, Any]) -> dict[str, list[str]]:
    """Question to its answers, as far as `questions:` as it is written can be read."""
    written = {name: it.get("answers") if isinstance(it, dict) else None for name, it in questions.items()}
    return {name: list(answers) if isinstance(answers, dict) else [] for name, answers in written.items()}

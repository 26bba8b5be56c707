"""What is wrong with the topics that sequences and their messages name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nurture.language.source import Path, Source
from nurture.program.check_letters import spoken
from nurture.program.check_values import declare
from nurture.program.wording import languages_of

_WHERE = "topics: in program.yaml"
_MESSAGES = ("email", "offer", "sms")


def check_topics(program: Source, sequences: Iterable[Source]) -> None:
    """Note titles in unknown languages, topics that nobody declared, and messages that nobody could refuse."""
    topics = program.at(("topics",))
    if topics is not None and not isinstance(topics, dict):
        return
    for key, title in (topics or {}).items():
        for tag in languages_of(title):
            if not spoken(tag):
                place, remedy = ("topics", key, tag), "write a tag such as en, ar or pt-BR"
                program.complain(place, f"'{tag}' is not a language", remedy, at_key=True)
    for source in sequences:
        _sequence(source, topics or {}, known=program.value is not None)


def _sequence(source: Source, topics: dict[str, Any], *, known: bool) -> None:
    steps = source.at(("steps",))
    listed = [step if isinstance(step, dict) else {} for step in (steps if isinstance(steps, list) else [])]
    places: list[Path] = [("topic",), *(("steps", index, "topic") for index in range(len(listed)))]
    for place in places:
        named = source.at(place)
        if known and isinstance(named, str) and named not in topics:
            source.complain(place, f"there is no topic '{named}'", declare(named, topics, _WHERE))
    if not topics or source.at(("topic",)) is not None:
        return
    for index, step in enumerate(listed):
        word = next((word for word in _MESSAGES if word in step), None)
        if word is not None and step.get("topic") is None and step.get("kind") != "operational":
            what = "a message without a topic: who does not want it could only unsubscribe from everything"
            remedy = f"write topic: under name:, or at this step; known: {', '.join(topics)}"
            source.complain(("steps", index, word), what, remedy)
            return

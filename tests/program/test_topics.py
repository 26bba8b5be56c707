"""Topics: every marketing message has one where the program has any, and what is awaited needs none."""

from __future__ import annotations

from nurture.program.check import check
from nurture.program.topics import titles
from tests.engine.world import PROGRAM, program, sequence

TOPICS = PROGRAM + "topics: {product: News, events: {en: Events, ar: الفعاليات}}\n"
REMEDY = "write topic: under name:, or at this step; known: product, events"
LETTERS = """\
  - {id: receipt, email: receipt.j2, kind: operational}
  - {id: fair, email: fair.j2, topic: events}
  - {id: news, email: news.j2}
  - {id: more, email: more.j2}"""


def said(house: str, **keys: str) -> list[str]:
    """The problems of a sequence of letters under a program; those of the letters themselves apart."""
    found = check(program({"program.yaml": house}, drip=sequence(LETTERS, **keys)))
    return [str(problem) for problem in found if problem.file == "drip/sequence.yaml"]


def test_nobody_need_leave_altogether_for_one_topic() -> None:
    """The first message without a topic is named, once; none where the program has no topics, or the sequence one."""
    what = "a message without a topic: who does not want it could only unsubscribe from everything"

    assert said(TOPICS) == [f"drip/sequence.yaml:7:23: {what}; {REMEDY}"]
    assert said(TOPICS, topic="product") == []
    assert [line.partition("; ")[0] for line in said(PROGRAM)] == [
        "drip/sequence.yaml:6:39: there is no topic 'events'"
    ]


def test_a_title_is_told_in_the_readers_language() -> None:
    """In its own, else in the program's, else as it was written first."""
    topics: dict[str, str | dict[str, str]] = {"a": "News", "b": {"en": "Events", "ar": "الفعاليات"}}

    assert titles(topics, "ar", "en") == {"a": "News", "b": "الفعاليات"}
    assert titles(topics, "de", "en") == {"a": "News", "b": "Events"}

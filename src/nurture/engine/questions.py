"""The answer to a one-question letter: an event and a field, and all that follows, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import merged
from nurture.engine import doors, doubt
from nurture.engine.live import Live
from nurture.folding import fold
from nurture.program.questions import Answer
from nurture.records import Event, Lead, Touch

#: What conditions ask for: `{did: question_answered, where: {question: intent, answer: buying}}`.
ANSWERED = "question_answered"


def given(link: Connection, live: Live, touch: int, said: Answer, now: datetime) -> bool:
    """A person answered the question of a message; False when this is its answer already, or the lead was forgotten.

    Another answer than before is another event, and takes the place of the former in the question's field. The field is
    that of the program as it stands; a question that it has no more leaves the event alone. The touch is known.
    """
    lead = link.execute(select(col(Touch.lead_id)).where(col(Touch.id) == touch)).scalar_one()
    doors.lock_lead(link, lead, now)
    if doors.forgotten(link, lead) or answer_to(link, touch, said.question) == said.answer:
        return False
    data = {"question": said.question, "answer": said.answer}
    key = f"{touch}:{clock.unguessable()}"
    doors.add_event(link, lead, ANSWERED, now, source="question", key=key, data=data, touch=touch)
    question = live.house.program.questions.get(said.question)
    if question is not None and question.field in live.house.program.fields:
        mine = col(Lead.id) == lead
        values = {
            "fields": merged(col(Lead.fields), {question.field: said.answer}),
            "folded": merged(col(Lead.folded), {question.field: fold(said.answer)}),
        }
        link.execute(update(Lead).where(mine).values(**values, changed_at=now))
    doubt.evidence(link, touch, "its question was answered", now)
    doors.settle_one(link, live, lead, now)
    return True


def answer_to(link: Connection, touch: int, question: str) -> str | None:
    """What was answered last to this question of this message."""
    for data in link.execute(_mine(touch).order_by(col(Event.id).desc())).scalars():
        if data.get("question") == question:
            return str(data.get("answer"))
    return None


def _mine(touch: int) -> Any:
    return select(col(Event.data)).where(col(Event.touch_id) == touch, col(Event.name) == ANSWERED)

"""The kinds of steps: a closed union, so that an unknown kind fails when the file is read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from nurture.language.source import Misread, nearest, suggest
from nurture.steps.audience import Audience
from nurture.steps.base import Exit, Here, Step
from nurture.steps.branch import Branch
from nurture.steps.email import Email
from nurture.steps.exit import Leave
from nurture.steps.goto import GoTo
from nurture.steps.handoff import HandOff
from nurture.steps.offer import Offer
from nurture.steps.sending import Message, Sending
from nurture.steps.sms import Sms
from nurture.steps.split import Split
from nurture.steps.task import Task
from nurture.steps.update import Update
from nurture.steps.wait import Wait
from nurture.steps.wait_until import WaitUntil
from nurture.steps.webhook import Webhook

_ALL: tuple[type[Step], ...] = (
    Email, Offer, Sms, Audience, Webhook, Task, Wait, WaitUntil, Branch, Split, Update, HandOff,
    GoTo, Leave,
)  # fmt: skip
KINDS = {kind.kind_word: kind for kind in _ALL}
#: Kinds of touches that a lead reads: what is capped, windowed and never sent twice.
MESSAGES = tuple(word for word, kind in KINDS.items() if issubclass(kind, Sending) and kind.is_message)
#: Kinds of touches whose deliveries carry a key, so that they may be repeated.
KEYED = tuple(word for word, kind in KINDS.items() if issubclass(kind, Sending) and kind.keyed)


def _one_kind(value: Any) -> Any:
    """A step as written, if it says of which kind it is; raises Misread when it says none or more than one."""
    if isinstance(value, Step):
        return value
    if not isinstance(value, dict):
        raise Misread([((), f"'{value}' is not a step", "write {id: name, email: message.j2}")])
    words = [word for word in KINDS if word in value]
    if len(words) == 1:
        return value
    if words:
        raise Misread([((words[1],), f"a step that is both {words[0]} and {words[1]}", "make two steps of it")])
    strange = [key for key in value if key not in ("id", "label", "next", "kind")]
    if strange:
        odd = next((key for key in strange if nearest(str(key), KINDS)), strange[0])
        raise Misread([((odd,), f"'{odd}' is not known here", suggest(str(odd), KINDS))])
    raise Misread([((), "a step without a kind", f"give it one of {', '.join(KINDS)}")])


def _kind(value: Any) -> str | None:
    """The word that says which kind a step is."""
    if isinstance(value, Step):
        return value.kind_word
    return next((word for word in KINDS if word in value), None)


AnyStep = Annotated[
    Annotated[Email, Tag("email")]
    | Annotated[Offer, Tag("offer")]
    | Annotated[Sms, Tag("sms")]
    | Annotated[Audience, Tag("audience")]
    | Annotated[Webhook, Tag("webhook")]
    | Annotated[Task, Tag("task")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[WaitUntil, Tag("wait_until")]
    | Annotated[Branch, Tag("branch")]
    | Annotated[Split, Tag("split")]
    | Annotated[Update, Tag("update")]
    | Annotated[HandOff, Tag("handoff")]
    | Annotated[GoTo, Tag("goto")]
    | Annotated[Leave, Tag("exit")],
    Discriminator(_kind),
    BeforeValidator(_one_kind),  # a discriminator itself may not raise
]

__all__ = [
    "KEYED",
    "KINDS",
    "MESSAGES",
    "AnyStep",
    "Audience",
    "Branch",
    "Email",
    "Exit",
    "GoTo",
    "HandOff",
    "Here",
    "Leave",
    "Message",
    "Offer",
    "Sending",
    "Sms",
    "Split",
    "Step",
    "Task",
    "Update",
    "Wait",
    "WaitUntil",
    "Webhook",
]

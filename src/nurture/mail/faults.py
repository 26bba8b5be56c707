"""What makes one message impossible; that touch fails with the sentence, the others go on."""

from __future__ import annotations

from nurture.errors import NurtureError


class MessageFault(NurtureError):
    """This one message cannot be made."""


class TooMuch(Exception):
    """A rendering used up its budget or made a value out of all proportion."""


class TemplateFault(MessageFault):
    """A template cannot be compiled or rendered; `file` is relative to the templates, `line` is from 1.

    `limit`: it needs more work, memory or room than one message may have.
    """

    def __init__(self, file: str, line: int, problem: str, limit: bool = False) -> None:
        self.file, self.line, self.problem, self.limit = file, line, problem, limit
        super().__init__(f"{file}:{line}: {problem}")


class BadHeader(MessageFault):
    """A value cannot stand in a message's header: it could add one, or name another recipient."""

    def __init__(self, header: str, reason: str) -> None:
        self.header, self.reason = header, reason
        super().__init__(f"{header}: {reason}")

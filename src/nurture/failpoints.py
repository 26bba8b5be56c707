"""Named places at which a test may kill this process: `NURTURE_FAILPOINT=permitted:kill:3` (the third time there).

Nothing happens unless the variable is set; then a line on the standard error says so at start.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from itertools import count

#: In the order in which a message passes them.
POINTS = (
    "planned",  # touches are planned and committed
    "claimed",  # a batch is claimed and committed
    "rendered",  # its bytes are made
    "permitted",  # `sending` is committed; nothing is on the wire
    "journaled",  # the journal says that a body begins; no byte of it is on the wire
    "half_body",  # half of a body is on the wire (SMTP)
    "dotted",  # all of it is on the wire; no reply was read
    "answered",  # the reply was read, and the journal does not know it
    "noted",  # the journal knows the reply
    "recording",  # the batch is over; nothing of it is recorded
    "recorded",  # it is recorded and committed
    "settled",  # leads are rescored after the sends
    "notice_claimed",  # a notice to sales is claimed
    "notice_sent",  # it was accepted; the outbox does not know
    "notice_noted",  # the outbox knows
)
#: Those that what a web door takes passes first: a form, or one lead's facts at /events and /leads.
DOOR = (
    "form_stored",  # it is written and settled, hand-off and notice with it; nothing is committed
    "form_committed",  # it is committed; nobody was answered
)
#: Those that somebody who is forgotten passes.
RIGHTS = (
    "forgetting",  # it is written down beside the database that this person is to be forgotten
    "forgotten",  # the database has forgotten; files have not
)
#: Those that a round with the CRM passes.
CRM = (
    "crm_heard",  # a page was read; nothing of it is written
    "crm_told",  # a batch was told; nobody noted it
)
#: kill: SIGKILL. stop: SIGSTOP, until somebody says SIGCONT. raise: an error nobody expects.
ACTIONS = ("kill", "stop", "raise")


class Failpoint(RuntimeError):
    """What `raise` raises."""


def _armed() -> tuple[str, str, int] | None:
    asked = os.environ.get("NURTURE_FAILPOINT")
    if not asked:
        return None
    name, _, rest = asked.partition(":")
    action, _, turn = rest.partition(":")
    if name not in DOOR + POINTS + RIGHTS + CRM or action not in ACTIONS or not (turn or "1").isdigit():
        raise SystemExit(f"NURTURE_FAILPOINT: write POINT:ACTION:TURN; POINT is one of {', '.join(DOOR + POINTS)}")
    sys.stderr.write(f"NURTURE_FAILPOINT is set: this process fails at '{name}'\n")
    return name, action, int(turn or 1)


_ARMED = _armed()
_turns = count(1)


def armed(point: str) -> bool:
    """Whether a test asked for a failure at `point`."""
    return _ARMED is not None and _ARMED[0] == point


def reach(point: str) -> None:
    """Fail here if a test asked for it."""
    if _ARMED is None or not armed(point) or next(_turns) != _ARMED[2]:
        return
    if _ARMED[1] == "raise":
        raise Failpoint(point)
    # To this very thread: another one might be told first, and this one go on for a moment.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL if _ARMED[1] == "kill" else signal.SIGSTOP)

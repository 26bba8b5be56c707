"""What an operator decides of messages that may or may not have left."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nurture.cli.speech import Json, counted, machine, say, tell_json, tell_table
from nurture.errors import NotFound

if TYPE_CHECKING:
    from nurture.engine.machine import Machine

Numbers = Annotated[int, Parameter(name="TOUCH", help="Numbers from 'nurture uncertain list'.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Every one that is uncertain.")]


def uncertain(*, json: Json = False) -> int:
    """List messages that may or may not have arrived, with what is known of each."""
    from nurture.reading import counts

    with machine() as opened:
        rows = counts.uncertain(opened)
    if json:
        tell_json(rows)
        return 0
    tell_table(rows, keep=("touch", "message id"), empty="Of every message it is known what became of it.")
    if rows:
        say("Ask the relay's log for the message id; then: nurture uncertain sent TOUCH, or resend TOUCH.")
    return 0


def sent(*touches: Numbers, everything: All = False) -> int:
    """Say that these arrived: they count as sent."""
    from nurture.engine import doubt

    with machine() as opened:
        chosen, by, now = _chosen(opened, touches, everything), getpass.getuser(), opened.now()
        done = opened.db.transact(lambda link: doubt.mark_sent(link, chosen, by, now), door=True)
    say(f"{counted(done, 'message')} counted as sent.")
    return 0


def resend(
    *touches: Numbers,
    everything: All = False,
    count: Annotated[int | None, Parameter(help="How many; asked for when they are more than 50.")] = None,
) -> int:
    """Have these sent again at the next tick, if every rule still allows it; the Message-ID stays the same."""
    from nurture.engine import doubt

    with machine() as opened:
        chosen, by, now = _chosen(opened, touches, everything), getpass.getuser(), opened.now()
        done = opened.db.transact(
            lambda link: doubt.resend(link, chosen, opened.journals, by, now, count=count), door=True
        )
    say(f"{counted(done, 'message')} will be sent again at the next tick.")
    return 0


def _chosen(opened: Machine, touches: tuple[int, ...], everything: bool) -> list[int]:
    from nurture.reading import counts

    known = [int(row["touch"]) for row in counts.uncertain(opened)]
    if everything:
        return known
    if not touches:
        raise NotFound("say which: numbers from 'nurture uncertain list', or --all")
    return sorted(set(touches))

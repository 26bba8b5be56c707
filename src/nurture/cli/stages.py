"""A lead's stage and status by hand, and the account that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.byhand import Who
from nurture.cli.holding import who as someone
from nurture.cli.speech import Json, machine, say, tell_json, tell_table
from nurture.errors import Refused

if TYPE_CHECKING:
    from nurture.engine.running import Run

Because = Annotated[str, Parameter(help="Why, in a few words; explain shows it.")]
By = Annotated[str | None, Parameter(help="Who does it, for the lead's history; else who is logged in.")]


def stage(
    who: Who,
    to: Annotated[str, Parameter(name="STAGE", help="subscriber, lead, mql, sal, sql, opportunity, customer …")],
    /,
    *,
    because: Because = "by hand",
    by: By = None,
) -> int:
    """Bring a lead to a stage, where the ways between stages allow it; its history says who did it and why."""
    from nurture.engine.stages import move_lead

    def move(run: Run, lead: int) -> str:
        return move_lead(run, lead, to, cause=because, author=by or someone())

    before = _by_hand(who, move)
    say(f"{who} is {to} already; nothing was changed." if before == to else f"{who} was {before} and is {to} now.")
    return 0


def status(
    who: Who,
    to: Annotated[str, Parameter(name="STATUS", help="A status of lifecycle.yaml: open, connected, bad_timing …")],
    /,
    *,
    because: Because = "by hand",
    by: By = None,
) -> int:
    """Say what sales is doing about a lead; its history says who did it and why."""
    from nurture.engine import statuses

    def change(run: Run, lead: int) -> tuple[str, str]:
        before = statuses.change(run, lead, to, cause=because, author=by or someone())
        return before, statuses.known(run, to)

    before, after = _by_hand(who, change)
    if before == after:
        say(f"The status of {who} is {after} already; nothing was changed.")
    else:
        say(f"The status of {who} was {before} and is {after} now.")
    return 0


def _by_hand(who: str, act: Callable[[Run, int], Any]) -> Any:
    """What `act` does to a lead, and all that follows from it, in one transaction."""
    from nurture.engine import doors
    from nurture.engine.running import Run
    from nurture.engine.story import find_lead

    with machine() as opened:
        now = opened.now()

        def whole(link: Any) -> Any:
            lead, live = find_lead(link, who), opened.library.live(link)
            doors.lock_lead(link, lead, now)
            if doors.forgotten(link, lead):
                raise Refused(f"{who} was forgotten; nothing was changed")
            done = act(Run(link, live, now), lead)
            doors.settle_one(link, live, lead, now)
            return done

        return opened.db.transact(whole, door=True)


def account(
    key: Annotated[str, Parameter(name="KEY", help="A company's domain or name, or a lead of it.")],
    /,
    *,
    owner: Annotated[str | None, Parameter(help="Give the account to this salesperson.")] = None,
    by: By = None,
    json: Json = False,
) -> int:
    """Show the leads of one company, its score and its owner; --owner gives it to somebody."""
    from nurture.reading.accounts import account as read
    from nurture.reading.accounts import give

    with machine() as opened:
        now = opened.now()
        if owner is not None:
            opened.db.transact(lambda link: give(link, opened.library.live(link), key, owner, by or someone(), now))
        found = read(opened, key, now)
    if json:
        tell_json(found)
        return 0
    since = f", since {_day(found['since'])}" if found["since"] else ""
    whose = f"{found['owner']}{since}: {found['cause']}" if found["owner"] else "nobody yet"
    score = "unknown: all its leads object to profiling" if found["score"] is None else found["score"]
    say(f"{found['key']}\nOwner: {whose}\nScore: {score}")
    for line in found["sum"]:
        say(f"  {line['counts']:+4d}  {line['who']}, whose own score is {line['score']}")
    tell_table(found["leads"], spare=("title", "status"), empty="No lead belongs to it any more.")
    for handoff in found["handoffs"]:
        say(f"Hand-off {handoff['id']} of {handoff['who']}: {handoff['milestone']}, with {handoff['owner']}.")
    return 0


def _day(instant: str) -> str:
    return f"{datetime.fromisoformat(instant):%d %b %Y}"

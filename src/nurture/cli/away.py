"""Who of the sales team is away, and hand-offs that go to somebody else."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import CycloptsError, Parameter

from nurture.cli.holding import who as me
from nurture.cli.sales import Number
from nurture.cli.speech import Json, WrongUse, counted, day, machine, say, tell_json, tell_table
from nurture.errors import NotFound

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.program.sales import Salesperson

By = Annotated[str | None, Parameter(name="--by", help="Who says so; else the user of this system.")]


Person = Annotated[str | None, Parameter(name="PERSON", help="The e-mail address or the name of a salesperson.")]
First = Annotated[str | None, Parameter(name="--from", help="The first day away, 2026-12-21; today unless said.")]
Until = Annotated[str | None, Parameter(name="--until", help="The last day away.")]
Back = Annotated[bool, Parameter(name="--back", negative="", help="End what was noted: they are there again.")]
Over = Annotated[bool, Parameter(name="--hand-over", negative="", help="Give what they have open to others now.")]


def away(
    who: Person = None,
    /,
    *,
    first: First = None,
    until: Until = None,
    back: Back = False,
    hand_over: Over = False,
    by: By = None,
    json: Json = False,
) -> int:
    """List the sales team with who is away and what each has open; or note that somebody goes away, or is back."""
    if who is None:
        if first or until or back or hand_over:
            raise CycloptsError(msg="PERSON is missing: nurture away ana@acme.example --until 2027-01-03")
        return _list(json)
    if back and (first or until or hand_over):
        raise CycloptsError(msg="--back goes with nothing else: they are there again")
    if not back and until is None and not hand_over:
        raise CycloptsError(msg="--until says the last day away: --until 2027-01-03; or --back, or --hand-over")
    if first is not None and until is None:
        raise CycloptsError(msg="--from without --until; say the last day away as well")
    begins, ends = day(first, "--from"), day(until, "--until")
    with machine() as opened:
        person, today = _person(opened, who)
        if back:
            return _back(opened, person, today, by or me())
        if ends is not None:
            _note(opened, person, begins or today, ends, today, by or me())
        return _open_ones(opened, person, by or me(), hand_over=hand_over)


def _list(json: bool) -> int:
    from nurture.reading.team import team

    with machine() as opened:
        rows = team(opened)
    if json:
        tell_json(rows)
    else:
        tell_table([{name: row[name] for name in row if name != "away now"} for row in rows], keep=("open",))
    return 0


def _person(opened: Machine, who: str) -> tuple[Salesperson, date]:
    """The salesperson of this address or name, and what day it is there."""
    from nurture.engine.routing import day_of

    house = opened.live().house
    named = [one for one in house.program.sales if who.strip().casefold() in (one.email, one.name.casefold())]
    if len(named) != 1:
        team = ", ".join(one.email for one in house.program.sales)
        raise NotFound(f"'{who}' is nobody of the sales team of program.yaml; there are {team}")
    return named[0], day_of(named[0], house, opened.now())


def _note(opened: Machine, person: Salesperson, first: date, last: date, today: date, by: str) -> None:
    from nurture.engine.absences import go_away

    if last < today:
        raise WrongUse(f"--until {last} is over already")
    if last < first:
        raise WrongUse(f"--until {last} is before --from {first}")
    now = opened.now()
    opened.db.transact(lambda link: go_away(link, person.email, first, last, by=by, now=now), door=True)
    say(f"{person.name} is away from {first} to {last}; new leads go to others.")


def _back(opened: Machine, person: Salesperson, today: date, by: str) -> int:
    from nurture.engine.absences import come_back

    now = opened.now()
    ended = opened.db.transact(lambda link: come_back(link, person.email, today, by=by, now=now), door=True)
    said = next((one for one in person.away if one.last >= today), None)
    if said is not None:
        say(f"program.yaml says that {person.name} is away from {said.first} to {said.last}; change it there.")
    elif ended:
        say(f"{person.name} is there again.")
    else:
        say(f"{person.name} was not away; nothing was changed.")
    return 0 if ended and said is None else 1


def _open_ones(opened: Machine, person: Salesperson, by: str, *, hand_over: bool) -> int:
    """What they have open: listed, or given to others."""
    from nurture.engine import passing
    from nurture.reading import counts

    now = opened.now()
    passed: dict[int, int] = {}
    left: list[int] = []
    if hand_over:
        passed, left = opened.db.transact(
            lambda link: passing.hand_over(link, opened.library.live(link), person.email, by, now), door=True
        )
    rows = {row["id"]: row for row in counts.handoffs(opened, open_only=True, people=True)}
    mine = [row for row in rows.values() if row["owner"] == person.email]
    for old, new in passed.items():
        say(f"Hand-off {old} ({rows[new]['who']}) went to {rows[new]['owner']}, as hand-off {new}.")
    if left:
        say(f"For {counted(len(left), 'hand-off')} nobody else fits and is there; 'nurture reassign ID --to' gives it.")
    if mine:
        tell_table([_row(row) for row in mine], title=f"{person.name} has open")
        if not hand_over:
            say(f"They stay with {person.name} until their deadlines; --hand-over gives them to others now.")
    elif not passed:
        say(f"{person.name} has no open hand-off.")
    return 0


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "who": row["who"], "milestone": row["milestone"], "deadline": row["deadline"]}


def reassign(
    number: Number,
    /,
    *,
    to: Annotated[str | None, Parameter(help="Whom, by e-mail address or name; else the next in turn.")] = None,
    by: By = None,
) -> int:
    """Give a hand-off to somebody else, with a new deadline."""
    from nurture.engine import passing

    with machine() as opened:
        now, whom = opened.now(), _person(opened, to)[0].email if to is not None else None
        new, routed = opened.db.transact(
            lambda link: passing.reassign(link, opened.library.live(link), number, whom, by or me(), now), door=True
        )
    say(f"Hand-off {number} went to {routed.person.email}, as hand-off {new}: {routed.why}.")
    return 0

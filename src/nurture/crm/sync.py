"""One round with the CRM: hear, then tell, by one process at a time, within its time, and never in anybody's way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import StatementError
from sqlmodel import col

from nurture import clock
from nurture.crm import state
from nurture.crm.base import Turn, Unwell, Vendor, readable
from nurture.crm.hearing import Heard, pull
from nurture.crm.hubspot import HubSpot
from nurture.crm.salesforce import Salesforce
from nurture.crm.secrets import CrmSecrets
from nurture.crm.telling import Report, push
from nurture.crm.webhook import SIGNED_AS, Webhook
from nurture.db import keep_lease, take_lease
from nurture.engine import control
from nurture.engine.machine import Machine
from nurture.errors import CrmFault, NotPublished, Refused, SettingsError
from nurture.program.crm import Crm
from nurture.records import Lease

log = logging.getLogger("nurture.crm")
#: Seconds that a tick has for both, and that a command has.
TICK, COMMAND = 15.0, 3600.0
#: What is read is read again after so long at the earliest: ticks of several segments follow one another.
APART = timedelta(seconds=50)
_LEASE, _LEASE_SECONDS = "crm", 120.0


@dataclass
class Round:
    """What one round did; `down`: why the CRM could not be asked."""

    heard: Heard = field(default_factory=Heard)
    told: Report = field(default_factory=Report)
    down: str | None = None


def the_crm(machine: Machine) -> Crm | None:
    """What the published program says of a CRM; None: nothing."""
    try:
        return machine.live().house.program.crm
    except NotPublished:
        return None


def vendor(machine: Machine, crm: Crm, secrets: CrmSecrets, private: Collection[str] = ()) -> Vendor:
    """The CRM of this program. `private`: hosts inside our own network. Raises SettingsError."""
    secrets.require(crm)
    if crm.kind == "webhook":
        return Webhook(crm, machine.keys.signing(SIGNED_AS), machine.now, private)
    return HubSpot(crm, secrets, private) if crm.kind == "hubspot" else Salesforce(crm, secrets, private)


@contextmanager
def alone(machine: Machine, seconds: float) -> Iterator[Turn | None]:
    """Our turn to speak with the CRM, for so long, and kept meanwhile; None: somebody else does."""
    owner = f"{machine.worker}/{clock.unguessable()[:8]}"
    taken = machine.db.transact(lambda link: take_lease(link, _LEASE, owner, _LEASE_SECONDS), door=True)
    try:
        yield None if taken is None else Turn(clock.monotonic() + seconds, lambda: _kept(machine, owner))
    finally:
        mine = (col(Lease.name) == _LEASE) & (col(Lease.owner) == owner)
        machine.db.transact(lambda link: link.execute(delete(Lease).where(mine)), door=True)


def _kept(machine: Machine, owner: str) -> bool:
    return machine.db.transact(lambda link: keep_lease(link, _LEASE, owner, _LEASE_SECONDS), door=True)


def barred(machine: Machine) -> str | None:
    """Why nothing may leave: a stop of everything, or a database that is a copy; None: it may."""
    if machine.instance is not None and not machine.instance.may_send():
        return machine.instance.sentence() or "the database is a copy"
    with machine.db.read() as link:
        stopped = control.state_of(control.wide(link), None) == control.STOPPED
    return "everything is stopped; 'nurture start all' lets it go on" if stopped else None


def tick(machine: Machine, secrets: Callable[[], CrmSecrets], private: Collection[str] = ()) -> Round | None:
    """One round at the end of a tick; None: there is no CRM, or somebody else asks it. What fails is noted."""
    crm = the_crm(machine)
    if crm is None or barred(machine) is not None:
        return None
    with alone(machine, TICK) as turn:
        if turn is None:
            return None
        done, now = Round(), machine.now()
        try:
            way = vendor(machine, crm, secrets(), private)
        except SettingsError as problem:
            done.down = _noted(machine, [state.PUSH], Unwell(str(problem), APART.total_seconds()), now)
        else:
            with closing(way):
                _round(machine, way, now, turn, done)
        if done.down is not None:
            log.warning("the CRM waits: %s", done.down)
        return done


def _round(machine: Machine, way: Vendor, now: datetime, turn: Turn, done: Round) -> None:
    """Hear, then tell, whatever is due."""
    db, library = machine.db, machine.library
    if _due(machine, way, now):
        names = [state.of_feed(feed) for feed in way.feeds]
        done.down = guarded(machine, names, now, lambda: pull(db, library, way, now, turn, done.heard))
    if done.down is None and _asked_again(machine, state.PUSH, now):
        done.down = guarded(machine, [state.PUSH], now, lambda: push(db, library, way, now, turn, done.told))


def command(machine: Machine, names: Collection[str], work: Callable[[datetime, Turn], Any]) -> None:
    """The same for a command, which waits for nothing. Raises Refused, and CrmFault after it is noted."""
    if (why := barred(machine)) is not None:
        raise Refused(why)
    with alone(machine, COMMAND) as turn:
        if turn is None:
            raise Refused("another process speaks with the CRM; try again when it is over, in two minutes at most")
        now = machine.now()
        if (down := guarded(machine, names, now, lambda: work(now, turn))) is not None:
            raise CrmFault(down)


def guarded(machine: Machine, names: Collection[str], now: datetime, work: Callable[[], Any]) -> str | None:
    """Do `work`; if the CRM cannot be asked, note from when on it is asked again, and why. The reason, or None.

    What it says and no database takes is the same to us: nothing of a tick fails for it.
    """
    try:
        with readable("the CRM"):
            work()
    except Unwell as problem:
        return _noted(machine, names, problem, now)
    except StatementError as problem:
        said = Unwell(f"the CRM says something that the database does not take ({type(problem.orig).__name__})")
        return _noted(machine, names, said, now)
    return None


def _noted(machine: Machine, names: Collection[str], problem: Unwell, now: datetime) -> str:
    """The reason."""
    for name in names:
        machine.db.transact(lambda link, name=name: state.left_alone(link, name, problem, now))  # type: ignore[misc]
    return str(problem)


def _due(machine: Machine, way: Vendor, now: datetime) -> bool:
    """Whether there is anything to be read, and it was not read a moment ago."""
    names = [state.of_feed(feed) for feed in way.feeds]
    with machine.db.read() as link:
        known = [state.state(link, name) for name in names]
    lately = any(one is not None and one.done_at is not None and now - APART < one.done_at <= now for one in known)
    return bool(names) and not lately and all(_asked_again(machine, name, now) for name in names)


def _asked_again(machine: Machine, name: str, now: datetime) -> bool:
    with machine.db.read() as link:
        was = state.state(link, name)
    return was is None or was.next_at is None or was.next_at <= now

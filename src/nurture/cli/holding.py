"""Pause and resume, stop and start, and the answers to what waits for a person."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, counted, machine, say, tell_json, tell_table
from nurture.errors import NotFound

if TYPE_CHECKING:
    from nurture.engine.control import Said
    from nurture.engine.holds import Waiting
    from nurture.engine.machine import Machine

Scope = Annotated[str, Parameter(name="SCOPE", help="A segment, a lead's e-mail, or all.")]
Number = Annotated[int, Parameter(name="NUMBER", help="As 'nurture holds' lists it.")]


def pause(scope: Scope, /) -> int:
    """Keep back what would be sent to a segment, a lead or everybody: places are kept, waits go on."""
    said = _say("pause", scope)
    say(f"{scope} is paused; 'nurture resume {scope}' ends it." if said else _already(scope))
    return 0


def resume(scope: Scope, /) -> int:
    """End a pause; every rule is applied afresh, and at most one late message per lead goes out."""
    return _end("resume", scope, "was not paused", "is stopped; 'nurture start {scope}' starts it again")


def stop(scope: Scope, /) -> int:
    """Let nothing leave any more in a segment, for a lead or at all, from the moment this command returns."""
    said = _say("stop", scope)
    say(f"{scope} is stopped; 'nurture start {scope}' starts it again." if said else _already(scope))
    return 0


def start(scope: Scope, /) -> int:
    """End a stop; what has waited longer than its max_late expires and is not sent."""
    return _end("start", scope, "was not stopped", "is paused; 'nurture resume {scope}' ends it")


def _say(verb: str, scope: str) -> bool:
    from nurture.engine import control

    with machine() as opened:
        key, now = scope_of(opened, scope), opened.now()
        return bool(opened.db.transact(lambda link: getattr(control, verb)(link, key, who(), now), door=True))


def _already(scope: str) -> str:
    from nurture.reading.holds import said_sentence

    with machine() as opened:
        key = scope_of(opened, scope)
        return f"Nothing changed. {said_sentence(key, _controls(opened)[key], scope)}"


def _end(verb: str, scope: str, nothing: str, other: str) -> int:
    from nurture.engine import control

    with machine() as opened:
        key, now = scope_of(opened, scope), opened.now()
        ended = opened.db.transact(lambda link: getattr(control, verb)(link, key, who(), now), door=True)
        others = _controls(opened)
    if ended:
        say(f"{scope} goes on.")
    else:
        say(f"{scope} {other.format(scope=scope) if key in others else nothing}.")
    for name, said in sorted(others.items()):
        if name != key:
            say(f"Still {said.state}: {name.replace(':', ' ')} since {said.since:%Y-%m-%d %H:%M}Z.")
    return 0 if ended else 1


def _controls(opened: Machine) -> dict[str, Said]:
    from nurture.engine.control import controls

    with opened.db.read() as link:
        return controls(link)


def holds(
    *,
    all: Annotated[bool, Parameter(negative="", help="Also those that are answered.")] = False,
    json: Json = False,
) -> int:
    """List what is paused or stopped, and the sends that wait for a person, by number."""
    from nurture.engine import holds as engine
    from nurture.reading.holds import everything_said

    with machine() as opened:
        said, sentences = _controls(opened), everything_said(opened)
        with opened.db.read() as link:
            rows = [_row(one) for one in engine.holds(link, open_only=not all)]
    if json:
        controls = [{"scope": scope, "state": o.state, "since": o.since, "by": o.by} for scope, o in said.items()]
        tell_json({"said": controls, "holds": rows})
        return 0
    for sentence in sentences:
        say(sentence)
    tell_table(rows, keep=("hold", "waiting"), empty="No send waits for a person.")
    asked = [row for row in rows if row["state"] == "asked"]
    if asked:
        say(f"Look at them, then: nurture holds release {asked[0]['hold']} --count NUMBER")
        say(f"or call them off:    nurture holds discard {asked[0]['hold']}")
    return 0


def _row(one: Waiting) -> dict[str, Any]:
    from nurture.reading.counts import written
    from nurture.reading.holds import figures

    return {
        "hold": one.id, "kind": one.kind, "segment": one.sequence, "version": one.version, "state": one.state,
        "waiting": one.waiting, "since": written(one.asked_at), "watched until": written(one.until),
        "figures": figures(one), "answered": written(one.answered_at), "by": one.answered_by or "",
    }  # fmt: skip


def release(
    number: Number,
    /,
    *,
    count: Annotated[int, Parameter(help="How many wait, exactly: whoever releases them has read the number.")],
) -> int:
    """Let the sends of a hold go out; repeat how many they are."""
    from nurture.engine import holds as engine

    with machine() as opened:
        now, zone = opened.now(), opened.live().house.program.zone
        done = opened.db.transact(lambda link: engine.release(link, number, count, who(), now, zone), door=True)
    say(f"{counted(done, 'touch goes', 'touches go')} out with the next tick.")
    return 0


def discard(
    number: Number,
    /,
    *,
    leave: Annotated[
        bool, Parameter(negative="", help="Their leads matched by mistake: they leave the sequence.")
    ] = False,
) -> int:
    """Call the sends of a hold off; their leads go on to the next step, or leave."""
    from nurture.engine import holds as engine
    from nurture.engine.running import Run

    with machine() as opened:
        now, library = opened.now(), opened.library
        if leave:
            done = opened.db.transact(lambda link: engine.send_away(Run(link, library.live(link), now), number, who()))
        else:
            done = opened.db.transact(lambda link: engine.discard(link, number, who(), now), door=True)
    then = "the leads have left the sequence" if leave else "the leads go on with the next tick"
    say(f"{counted(done, 'touch is', 'touches are')} called off; {then}.")
    return 0


def who() -> str:
    """Whoever gives the command, for the records."""
    return getpass.getuser()


def scope_of(opened: Machine, scope: str) -> str:
    """The row of `control` that is meant. Raises NotFound."""
    from nurture.engine.story import find_lead
    from nurture.language.source import suggest

    if scope == "all":
        return "all"
    if "@" in scope:
        with opened.db.read() as link:
            return f"lead:{find_lead(link, scope)}"
    live = opened.live().segments
    if scope not in live:
        raise NotFound(f"there is no live segment '{scope}'; {suggest(scope, [*live, 'all'])}")
    return f"segment:{scope}"

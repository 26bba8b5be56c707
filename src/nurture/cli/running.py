"""The operator's commands: tables, ticks, Prefect, the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import Parameter

from nurture.cli import prefecting
from nurture.cli.operator import say_if_cloned
from nurture.cli.speech import (
    Json,
    complain,
    instant,
    machine,
    say,
    say_where_mail_goes,
    say_where_texts_go,
    settings,
    tell_json,
)
from nurture.errors import NotPublished

if TYPE_CHECKING:
    from nurture.engine.machine import Machine

Segments = Annotated[str, Parameter(name="SEGMENT", help="Which; else all that are live.")]


def migrate() -> int:
    """Bring the tables of the database to this program's version."""
    from nurture import db

    opened = db.Database(settings().url())
    try:
        db.migrate(opened)
        opened.require_schema()
    finally:
        opened.dispose()
    say(f"{opened.name}: the tables are of this program's version.")
    return 0


def tick(
    *segments: Segments,
    now: Annotated[
        str | None, Parameter(help="Act as if it were this instant: all of it is really done, sent and written down.")
    ] = None,
    until: Annotated[str | None, Parameter(help="Go on from due instant to due instant, up to this one.")] = None,
    json: Json = False,
) -> int:
    """Run the engine once without Prefect: settle, carry each step's due leads on, send, hand over."""
    from nurture.cli.crm import after_tick
    from nurture.cli.ticking import Ticking
    from nurture.clock import SystemClock, VirtualClock

    begins, ends = (instant(text, option) if text else None for text, option in ((now, "--now"), (until, "--until")))
    given = settings()
    clock = VirtualClock(begins) if begins else SystemClock()
    if begins and begins > SystemClock().now():
        complain(
            "--now is yet to come: what is due until then is really sent, and written down as of then; "
            "'nurture simulate SEGMENT' only looks."
        )
    with machine(clock, given) as opened:
        slugs = chosen(opened, segments)
        say_where_mail_goes(given)
        say_where_texts_go(opened, given)
        cloned = say_if_cloned(opened)
        ticking = Ticking(opened, slugs, quiet=json, after=after_tick)
        ticking.run(ends)
        if json:
            tell_json(ticking.as_dict())
        else:
            ticking.tell()
    return 0 if ticking.well and not cloned else 1


def chosen(opened: Machine, segments: tuple[str, ...]) -> list[str]:
    """The live segments of these names, or all. Raises NotPublished."""
    from nurture.language.source import suggest

    live = opened.live()
    for slug in segments:
        if slug not in live.segments:
            raise NotPublished(f"there is no live segment '{slug}'; {suggest(slug, live.segments)}")
    if not live.segments:
        raise NotPublished("no segment is published yet; run 'nurture publish'")
    return list(segments) or opened.segments()


def run(*segments: Segments) -> NoReturn:
    """Run the same tick as Prefect flow runs, one for each segment."""
    prefecting.become(settings(), "tick", *segments)


def deploy() -> int:
    """Make or mend a Prefect deployment for each live segment."""
    return prefecting.flows(settings(), "deploy")


def demo() -> int:
    """Watch three weeks of a made-up company in a few minutes."""
    from nurture.demo import run as play

    return play()

"""The operator's commands: tables, ticks, Prefect, the public web."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

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
from nurture.errors import FileFault, NotPublished, NurtureError

if TYPE_CHECKING:
    from nurture.engine.machine import Machine

Segments = Annotated[str, Parameter(name="SEGMENT", help="Which; else all that are live.")]
_DRAIN_SECONDS = 3.0
log = logging.getLogger("nurture.cli")


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
        str | None, Parameter(help="Pretend it is this instant; a clock that only this command sees.")
    ] = None,
    until: Annotated[str | None, Parameter(help="Go on from due instant to due instant, up to this one.")] = None,
    json: Json = False,
) -> int:
    """Run the engine once without Prefect: settle, carry each step's due leads on, send, hand over."""
    from nurture.cli.ticking import Ticking
    from nurture.clock import SystemClock, VirtualClock

    begins, ends = (instant(text, option) if text else None for text, option in ((now, "--now"), (until, "--until")))
    given = settings()
    clock = VirtualClock(begins) if begins else SystemClock()
    with machine(clock, given) as opened:
        slugs = chosen(opened, segments)
        say_where_mail_goes(given)
        say_where_texts_go(opened, given)
        cloned = say_if_cloned(opened)
        ticking = Ticking(opened, slugs, quiet=json)
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


def run(*segments: Segments) -> int:
    """Run the same tick as Prefect flow runs, one for each segment."""
    with machine() as opened:
        slugs = chosen(opened, segments)
        say_if_cloned(opened)
        say_where_texts_go(opened, settings())
    say_where_mail_goes(settings())
    return _flows("tick", *slugs)


def deploy() -> int:
    """Make or mend a Prefect deployment for each live segment."""
    return _flows("deploy")


def _flows(*words: str) -> int:
    """`python -m flows` of the repository that this program was cloned with; its output is passed through."""
    places = (Path.cwd(), Path(__file__).parents[3])
    room = next((place for place in places if (place / "flows" / "__main__.py").is_file()), None)
    if room is None:
        raise FileFault("there is no flows/ here; run this in the folder of the repository")
    path = os.pathsep.join(filter(None, (str(room), os.environ.get("PYTHONPATH"))))
    done = subprocess.run([sys.executable, "-m", "flows", *words], env=os.environ | {"PYTHONPATH": path})
    return done.returncode


def serve(
    *,
    host: Annotated[str, Parameter(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port to listen at.")] = 8321,
) -> int:
    """Serve the links in messages, forms and answers, and send sales its notices."""
    from nurture.web.server import serve_public

    given = settings()
    proxies = given.proxies()
    with machine(given=given) as opened:
        opened.live()
        say_where_mail_goes(given)
        say_if_cloned(opened)
        say(f"Serving links, forms and answers on http://{host}:{port}; stop with Ctrl-C.")
        say(f"Links in messages lead to {given.public_url} (NURTURE_PUBLIC_URL).")
        over = threading.Event()
        notices = threading.Thread(target=_send_notices, args=(opened, over), name="notices", daemon=True)
        notices.start()
        try:
            serve_public(opened, host, port, proxies)
        finally:
            over.set()
            notices.join(30)
    return 0


def _send_notices(opened: Machine, over: threading.Event) -> None:
    """Drain the outbox every few seconds; a fault is said once, and tried again, whatever it is."""
    said = ""
    while not over.wait(_DRAIN_SECONDS):
        try:
            opened.drain(opened.now())
            said = ""
        except NurtureError as problem:
            if str(problem) != said:
                said = str(problem)
                complain(f"notices: {said}")
        except Exception as problem:
            if repr(problem) != said:
                said = repr(problem)
                log.exception("notices could not be sent; trying again")


def demo() -> int:
    """Watch three weeks of a made-up company in two minutes."""
    from nurture.demo import run as play

    return play()

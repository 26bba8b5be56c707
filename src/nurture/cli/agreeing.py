"""What marketing and sales have agreed: the page for a meeting, and what a publication does to the signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from nurture.cli.speech import Json, page_width, say, settings, tell_json
from nurture.errors import NotPublished

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nurture.engine.live import Library
    from nurture.program.load import House, Loaded
    from nurture.reading.definition_page import Page
    from nurture.settings import Settings


def definitions(
    *,
    live: Annotated[bool, Parameter(negative="", help="What is published, instead of the folder's draft.")] = False,
    form: Annotated[
        Literal["text", "html"], Parameter(name="--as", help="For a terminal, or a page to print.")
    ] = "text",
    json: Json = False,
) -> int:
    """Print MQL, SAL, SQL, the gate, the terms and the scores in plain sentences, and whose signature stands."""
    from nurture.reading.definition_page import WIDTH

    told = _page(settings(), live)
    if json:
        tell_json(told.as_dict())
    else:
        say(told.html() if form == "html" else told.text(page_width() or WIDTH))
    return 0


def _page(given: Settings, live: bool) -> Page:
    from nurture import clock, opening
    from nurture.engine.live import Library
    from nurture.reading.definition_page import page
    from nurture.reading.signatures import editions, latest

    draft = None if live else _draft(given)
    if draft is not None and given.database_url is None and not (given.home / "nurture.db").exists():
        return page(draft, [], live=None, number=None, since=None, draft_at=clock.SystemClock().now())
    db = opening.open_database(given)
    try:
        with db.read() as link:
            published, newest = editions(link), latest(link)
            house = None if newest is None else Library().house(link, newest.id)
    finally:
        db.dispose()
    number, since = (None, None) if newest is None else (newest.number, newest.published_at)
    if draft is not None:
        return page(draft, published, live=house, number=number, since=since, draft_at=clock.SystemClock().now())
    if house is None:
        raise NotPublished("nothing is published yet; run 'nurture publish', or leave --live out for the draft")
    return page(house, published, live=house, number=number, since=since)


def _draft(given: Settings) -> House:
    from nurture.program.load import load, read_folder

    house = load(read_folder(given.templates)).require().house
    assert house is not None
    return house


def made_void(link: Connection, library: Library, loaded: Loaded) -> list[str]:
    """A line for each signature that stands now and that publishing `loaded` makes void."""
    from nurture import clock
    from nurture.reading.definition_page import person
    from nurture.reading.signatures import editions
    from nurture.reading.signatures import made_void as found

    try:
        old = library.live(link).house
    except NotPublished:
        return []
    house = loaded.require().house
    assert house is not None
    return [
        f"VOID: what {person(signed)} signed on {signed.date} has changed; 'nurture definitions' says how"
        for signed in found(old, house, editions(link), clock.SystemClock().now())
    ]

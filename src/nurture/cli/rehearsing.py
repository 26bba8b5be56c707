"""`nurture simulate`: what would happen from now on, on a copy that nobody but this command sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, WrongUse, bar, complain, counted, instant, settings, tell_json
from nurture.errors import NotFound, NotPublished

if TYPE_CHECKING:
    from nurture.db import Database
    from nurture.program.load import Loaded
    from nurture.rehearse.diary import Diary
    from nurture.rehearse.figures import Figures
    from nurture.rehearse.simulate import House, Rehearsal
    from nurture.settings import Settings

#: When made-up leads come unless --now says otherwise: a Monday, the same for everybody.
MADE_UP_START = datetime(2026, 3, 2, tzinfo=UTC)
_MOST_DAYS, _MOST_LEADS = 366, 1_000_000


@dataclass
class Shown:
    """One rehearsal as it is told. `effects`: what publishing the draft meant."""

    figures: Figures
    surprises: list[str]
    diaries: list[Diary] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        diaries = [diary.as_dict() for diary in self.diaries]
        return {**self.figures.as_dict(), "surprises": self.surprises, "diaries": diaries}


@dataclass(frozen=True)
class _Wanted:
    """What was asked for."""

    segment: str
    days: int
    leads: int | None
    seed: int
    start: datetime
    events: Path | None
    who: list[str]
    diaries: bool


def simulate(
    segment: Annotated[str, Parameter(name="SEGMENT", help="The segment to look at; all run beside each other.")],
    /,
    *,
    days: Annotated[int, Parameter(help="How many days ahead.")] = 30,
    leads: Annotated[int | None, Parameter(help="So many made-up leads instead of the real ones.")] = None,
    seed: Annotated[int | None, Parameter(help="Which made-up leads; the same number, the same leads.")] = None,
    draft: Annotated[bool, Parameter(negative="", help="The folder's program, beside the live one.")] = False,
    live: Annotated[bool, Parameter(negative="", help="What is published; so it is unless you say --draft.")] = False,
    events: Annotated[Path | None, Parameter(help="Events that are to come, as 'import events' reads them.")] = None,
    diary: Annotated[
        list[str] | None, Parameter(negative="", help="Tell of these leads: e-mail, source:id, number.")
    ] = None,
    diaries: Annotated[bool, Parameter(help="Tell of one lead for each way out.")] = True,
    now: Annotated[str | None, Parameter(help="Begin at this instant instead of now.")] = None,
    keep: Annotated[Path | None, Parameter(help="Keep the rehearsed database as this new SQLite file.")] = None,
    json: Json = False,
) -> int:
    """Run the next weeks on a copy of the base, or on made-up leads: who gets what and when. Nothing is sent."""
    from nurture.clock import SystemClock

    if draft and live:
        raise WrongUse("--draft shows the live program beside it; leave --live out")
    if seed is not None and leads is None:
        raise WrongUse("--seed chooses made-up leads; say how many with --leads N")
    if leads is not None and events is not None:
        raise WrongUse("--events speaks of real leads; made-up leads have a life of their own, so leave one out")
    for option, number, most in (("--days", days, _MOST_DAYS), ("--leads", leads, _MOST_LEADS)):
        if number is not None and not 1 <= number <= most:
            raise WrongUse(f"{option}: {number} is not a number from 1 to {most:,}")
    if keep is not None and keep.exists():
        raise WrongUse(f"--keep: {keep} is there already; name a new file")
    given = settings()
    begins = instant(now, "--now") if now else MADE_UP_START if leads is not None else SystemClock().now()
    wanted = _Wanted(segment, days, leads, 1 if seed is None else seed, begins, events, diary or [], diaries)
    loaded = _draft(given) if draft else None
    if draft and loaded is None:
        return 1
    shown = _rehearse(given, wanted, loaded, keep)
    if json:
        tell_json(_as_dict(wanted, shown, draft))
    else:
        from nurture.cli.rehearsal_screen import tell

        tell(shown, "made-up" if leads is not None else "real", draft)
    return 0


def _draft(given: Settings) -> Loaded | None:
    """The folder's program; None, with every problem said, if it has any."""
    from nurture.program.check import check as find
    from nurture.program.load import load, read_folder

    files = read_folder(given.templates)
    problems = find(files)
    for problem in problems:
        complain(f"{given.templates}/{problem}")
    if problems:
        complain(f"Nothing was rehearsed: the draft has {counted(len(problems), 'problem')}.")
        return None
    return load(files)


def _rehearse(given: Settings, wanted: _Wanted, draft: Loaded | None, keep: Path | None) -> dict[str, Shown]:
    """By program, `live` and `draft`; with a draft that was never published the live one is not there."""
    from nurture.rehearse import copying
    from nurture.rehearse.simulate import rehearsal

    house, span = _house(given), timedelta(days=wanted.days)
    copy = copying.copied(given.url(), None if wanted.leads is None else copying.PROGRAM)
    on_the_way = copying.take_over(copy, wanted.start)
    if on_the_way:
        complain(f"{counted(on_the_way, 'message')} were on their way when the copy was taken; here they have arrived.")
    twin = copying.duplicate(copy) if draft is not None else None
    shown: dict[str, Shown] = {}
    published = _published(copy)
    _require(wanted.segment, published, draft)
    if wanted.segment in published:
        shown["live"] = _play(rehearsal(copy, wanted.start, span, house), wanted, draft, None if draft else keep)
    if twin is not None:
        shown["draft"] = _play(rehearsal(twin, wanted.start, span, house, draft), wanted, draft, keep)
    return shown


def _published(copy: Database) -> list[str]:
    from nurture.engine.live import Library

    with copy.read() as link:
        try:
            return sorted(Library().live(link).segments)
        except NotPublished:
            return []


def _require(segment: str, published: list[str], draft: Loaded | None) -> None:
    """Raise NotPublished or NotFound unless there is such a segment to rehearse."""
    from nurture.language.source import suggest

    known = [*published, *(draft.segments if draft is not None else ())]
    if segment in known:
        return
    if not known:
        raise NotPublished("nothing is published yet; 'nurture simulate --draft' rehearses the folder's program")
    raise NotFound(f"there is no segment '{segment}'; {suggest(segment, known)}")


def _house(given: Settings) -> House:
    """Links and message ids as the installation makes them; a secret that is not there yet is not made."""
    from nurture import tokens
    from nurture.rehearse.simulate import House

    own = given.secret_key or given.secret_key_file or (given.home / "secret_key").exists()
    secret = given.secret() if own else "a rehearsal needs no secret, only a long enough one"
    rest = timedelta(seconds=given.click_rest_seconds)
    return House(tokens.keys(secret), given.public_url, given.bounce_address, rest)


def _play(show: Rehearsal, wanted: _Wanted, draft: Loaded | None, keep: Path | None) -> Shown:
    from nurture.engine.story import find_lead
    from nurture.rehearse import copying
    from nurture.rehearse.behaviour import Crowd
    from nurture.rehearse.coming import foresee
    from nurture.rehearse.diary import diaries, telling
    from nurture.rehearse.figures import figures
    from nurture.rehearse.made_up import Vocabulary, strangers
    from nurture.rehearse.surprises import surprises

    try:
        machine = show.stage.machine
        if wanted.leads is None:
            with machine.db.read() as link:
                for who in wanted.who:
                    find_lead(link, who)
        else:
            ours = machine.live()
            house, segment = ours.house, ours.segments.get(wanted.segment)
            if draft is not None and draft.house is not None:
                house, segment = draft.house, draft.segments.get(wanted.segment, segment)
            assert segment is not None
            words = Vocabulary(house, segment)
            people = list(strangers(words, wanted.leads, wanted.seed, show.start, show.until - show.start))
            Crowd(show, words, wanted.seed, people).enter()
        if wanted.events is not None:
            foresee(show, wanted.events)
        with bar(f"{wanted.days} days of {wanted.segment}") as progress:
            whole = round((show.until - show.start).total_seconds())
            show.run(lambda at: progress(round((at - show.start).total_seconds()), whole) if progress else None)
        found = figures(show, wanted.segment)
        with machine.db.read() as link:
            chosen = [find_lead(link, who) for who in wanted.who]
        if not chosen and wanted.diaries:
            chosen = telling(show.witness, wanted.segment)
        told = diaries(show, wanted.segment, chosen)
        if keep is not None:
            copying.keep(machine.db, keep)
        return Shown(found, surprises(found), told, _effects(show))
    finally:
        show.close()


def _effects(show: Rehearsal) -> list[str]:
    """What `nurture publish` would say."""
    made = show.published
    if made is None:
        return []
    again = f"; {counted(made.rescored, 'lead')} rescored" if made.rescored else ""
    house = [f"program: version {made.program_number} is live{again}"] if made.program_changed else []
    return [*house, *(str(effect) for effect in made.effects if effect.changed)]


def _as_dict(wanted: _Wanted, shown: dict[str, Shown], draft: bool) -> dict[str, Any]:
    leads = {"leads": "real"} if wanted.leads is None else {"leads": wanted.leads, "seed": wanted.seed}
    if not draft:
        return {**leads, "program": "live", **shown["live"].as_dict()}
    both = {name: one.as_dict() for name, one in shown.items()}
    return {**leads, "program": "draft", "effects": shown["draft"].effects, "live": None, **both}

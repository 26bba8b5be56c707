"""What the page of the preference centre says, in the lead's language and direction."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.lists import format_list
from sqlalchemy import Connection
from starlette.responses import Response

from nurture.engine import preferences
from nurture.engine.live import Live
from nurture.engine.preferences import PACES, Chosen, Standing
from nurture.engine.running import Run
from nurture.mail.templates import locale
from nurture.program.check_letters import spoken as is_language
from nurture.program.topics import titles
from nurture.web.pages import Sign, page
from nurture.web.site import masked
from nurture.web.words import WORDS, spoken

#: Breaks that the page offers, in days and months from today.
BREAKS = {"2w": (14, 0), "1m": (0, 1), "3m": (0, 3)}
#: Before a topic's name in the form.
TOPIC = "topic."


@dataclass(frozen=True)
class Reader:
    """Who came: the letter, its lead, and what is published."""

    live: Live
    touch: Any
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.touch.zone or self.live.house.program.zone)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def language(self) -> str:
        """In which the page speaks."""
        return spoken(self.touch.language, self.live.house.program.language)

    @property
    def address(self) -> str:
        """What the letter was sent to; of a text message the lead's own address."""
        at = self.touch.email if self.touch.kind == "sms" else self.touch.address or self.touch.email
        return str(at or "")

    def instant(self, day: date) -> datetime:
        """When `day` begins for the lead."""
        return datetime.combine(day, time(0), self.zone).astimezone(self.now.tzinfo)


def show(link: Connection, reader: Reader, done: str = "", mend: Mapping[str, str] | None = None) -> Response:
    """The page as things stand; `done`: what was just asked for; `mend`: what was sent, and could not be read."""
    program, touch, language = reader.live.house.program, reader.touch, reader.language
    stands = preferences.standing(Run(link, reader.live, reader.now), touch.lead_id, reader.address)
    if not stands.subscribed:
        again = not stands.barred and may_return(reader)
        return page(
            "unsubscribed", language, Sign.of(program), address=masked(reader.address), barred=stands.barred,
            again=again, said=done == "stop",
        )  # fmt: skip
    choices = preferences.chosen(link, touch.lead_id, reader.now)
    topics = titles(program.topics, language, program.language)
    names = languages_of(reader)
    return page(
        "preferences",
        language,
        Sign.of(program),
        status=422 if mend is not None else 200,
        address=masked(reader.address),
        done=done,
        holds=_holds(reader, choices, stands, topics, language) if done else [],
        mend=mend,
        topics=topics,
        wanted=_wanted(topics, choices, mend),
        paces=_paces(choices, language),
        every=(mend or {}).get("every", str(choices.every_days or 0)),
        breaks=_breaks(reader, choices, language),
        broken=(mend or {}).get("pause", ""),
        first=reader.today + timedelta(days=1),
        last=months_later(reader.today, 12),
        languages=names,
        own=(mend or {}).get("language", own_language(reader)),
        tracked=bool(mend.get("tracking")) if mend is not None else stands.tracking_since is not None,
        tracking=_tracking(reader, stands, language),
    )


def may_return(reader: Reader) -> bool:
    """Whether the letter went to the mailbox that would be written to: nobody speaks for another one."""
    return reader.touch.kind != "sms" and bool(reader.address) and reader.address == reader.touch.email


def own_language(reader: Reader) -> str:
    """The tag of `languages_of` that is the lead's own."""
    tag = reader.touch.language or reader.live.house.program.language
    known = languages_of(reader)
    return tag if tag in known else tag.replace("_", "-").split("-")[0]


def languages_of(reader: Reader) -> dict[str, str]:
    """Tag to its own name: those that the pages speak, those of letters, and the lead's."""
    program, segments = reader.live.house.program, reader.live.segments.values()
    tags = {*WORDS, program.language, *(tag for segment in segments for tag in _written_in(segment.files))}
    if reader.touch.language and reader.touch.language.replace("_", "-").split("-")[0] not in tags:
        tags.add(reader.touch.language)
    names = {tag: str(locale(tag).get_display_name(tag) or tag) for tag in tags}
    return {tag: name[:1].upper() + name[1:] for tag, name in sorted(names.items(), key=lambda pair: pair[1])}


def _written_in(files: Mapping[str, str]) -> set[str]:
    """The languages that have a variant of some letter."""
    tags = {name.removesuffix(".j2").rpartition(".")[::2] for name in files if name.endswith(".j2")}
    return {tag.replace("_", "-") for stem, tag in tags if f"{stem}.j2" in files and is_language(tag)}


def _wanted(topics: Mapping[str, str], choices: Chosen, mend: Mapping[str, str] | None) -> set[str]:
    """The topics whose boxes are ticked."""
    if mend is not None:
        return {topic for topic in topics if mend.get(TOPIC + topic)}
    return set(topics) - choices.refused


def _paces(choices: Chosen, language: str) -> dict[str, str]:
    """Days to the words for them; a pace of another length keeps its place."""
    say = WORDS[language]
    found = {"0": say["prefs_pace_any"], **{str(days): say[f"prefs_pace_{days}"] for days in PACES}}
    if choices.every_days is not None:
        found.setdefault(str(choices.every_days), say["prefs_pace_days"].format(days=choices.every_days))
    return found


def _breaks(reader: Reader, choices: Chosen, language: str) -> dict[str, str]:
    """The choices of a break, that which stands first."""
    say = WORDS[language]
    if choices.paused_until is None:
        first = {"": say["prefs_pause_none"]}
    else:
        day = _day(choices.paused_until, reader, language)
        first = {"": say["prefs_pause_keep"].format(day=day), "none": say["prefs_pause_lift"]}
    return {**first, **{word: say[f"prefs_pause_{word}"] for word in BREAKS}}


def _holds(reader: Reader, choices: Chosen, stands: Standing, topics: Mapping[str, str], language: str) -> list[str]:
    """Sentences on what holds now."""
    say, own = WORDS[language], languages_of(reader).get(own_language(reader), "")
    kept = [title for topic, title in topics.items() if topic not in choices.refused]
    lines = []
    if topics:
        every = say["prefs_says_all"] if len(kept) == len(topics) > 1 else say["prefs_says_topics"]
        listed = format_list(kept, locale=Locale.parse(language)) if kept else ""
        lines.append(every.format(topics=listed) if kept else say["prefs_says_no_topics"])
    lines.append(_paces(choices, language)[str(choices.every_days or 0)] + ".")
    if choices.paused_until is not None:
        lines.append(say["prefs_says_paused"].format(day=_day(choices.paused_until, reader, language)))
    tracked = say["prefs_says_untracked" if stands.tracking_since is None else "prefs_says_tracked"]
    return [*lines, say["prefs_says_language"].format(language=own), tracked]


def _tracking(reader: Reader, stands: Standing, language: str) -> str:
    """The state of the consent to tracking, in a sentence."""
    say = WORDS[language]
    if stands.tracking_since is None:
        return say["prefs_tracking_off"]
    return say["prefs_tracking_on"].format(day=_day(stands.tracking_since, reader, language))


def _day(at: datetime, reader: Reader, language: str) -> str:
    return str(format_date(at.astimezone(reader.zone).date(), "d MMMM y", locale=language))


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last: 31 January and a month is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))

"""What a notice to sales says of a hand-off, in its reader's language and zone; read only, told by mail and by chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal
from sqlalchemy import Connection

from nurture.engine.known_to_sales import Before, known_already
from nurture.engine.reader import Reader, member, name_of
from nurture.engine.score_lines import ScoreLine
from nurture.engine.story import ADJUSTED, Story, letter
from nurture.mail.templates import locale
from nurture.mail.words import deed, field_words, words
from nurture.program.lifecycle import REJECTIONS
from nurture.program.load import House
from nurture.program.sales import Salesperson
from nurture.program.wording import choice_words, in_language
from nurture.tokens import Keys

#: Answers as they stand in a link's token: 0 accepts, 1 is the page, then the reasons.
ACCEPT, PAGE = 0, 1
ANSWERS = {2 + index: reason for index, reason in enumerate(REJECTIONS)}
FIRST = "handoff_notice"
#: Kind of a row of the outbox to what a template knows it as. What follows a ':' in a kind only counts repeats.
KINDS = {
    FIRST: "first", "handoff_reminder": "reminder", "handoff_escalation": "escalation",
    "meeting_reminder": "meeting", "meeting_escalation": "meeting", "handoff_evidence": "evidence",
}  # fmt: skip
#: Facts of a lead that stand in a notice, in this order; the program's own fields follow.
_FACTS = ("email", "phone", "country", "timezone", "language")
#: After these a sentence has its end.
_ENDS = ("?", "!", "؟", "…", ".")
_WRITTEN = ("email", "offer", "sms")


def base_kind(kind: str) -> str:
    """`handoff_escalation` of `handoff_escalation:2`, and `meeting_escalation` of `handoff_escalation:meeting`."""
    base, _, repeat = kind.partition(":")
    return base.replace("handoff_", "meeting_", 1) if repeat == "meeting" else base


def wanted(kind: str, row: Any) -> bool:
    """Whether what a row of the outbox says is still so: the first notice always is."""
    if base_kind(kind) == FIRST:
        return True
    if KINDS[base_kind(kind)] == "meeting":
        return row.state == "accepted" and row.progress is None
    if KINDS[base_kind(kind)] == "evidence":
        return bool(row.state == "accepted")
    if base_kind(kind) == "handoff_escalation" and row.state == "reassigned":  # a deadline was missed all the same
        return True
    return bool(row.state == "open")


def recipient(house: House, kind: str, row: Any) -> str | None:
    """Whose matter it is: the owner's, or that of who is told of missed deadlines, if anybody is.

    That one is told as well what was for an owner who has left the team; who has left is told nothing of leads.
    """
    base = base_kind(kind)
    if base.endswith("_escalation"):
        return house.lifecycle.sla.escalate_to
    if member(house, row.owner) is not None:
        return str(row.owner)
    return house.lifecycle.sla.escalate_to if base != "handoff_reminder" else None  # an escalation says that already


def notice_names(
    house: House, story: Story, row: Any, person: Salesperson | None, keys: Keys, public_url: str
) -> dict[str, Any]:  # fmt: skip
    """What the letter and the answer page print of the hand-off `row`, for `person`; None: for nobody of the team."""
    reader, rule = Reader.of(house, person), house.lifecycle.milestones.get(row.milestone)
    tags = (reader.language, house.program.language)
    when, say = reader.when, reader.say
    title = in_language(rule.label, *tags) if rule and rule.label else row.milestone.replace("_", " ").capitalize()
    deeds = [one for one in story.happenings if one.by_person][-12:]
    written = [one for one in story.happenings if (one.kind, one.state) == ("touch", "sent") and _reads(one.what)]

    def link_to(answer: int) -> str:
        return f"{public_url}/h/{keys.seal('handoff', row.id, answer)}"

    return {
        "handoff": {
            "id": row.id,
            "milestone": row.milestone,
            "title": title,
            "reason": reason_sentence(reader, row.milestone, title, story),
            "opened": when(row.opened_at),
            "deadline": when(row.deadline_at),
            "handed": reader.filled("handed", when=when(row.opened_at), brand=house.program.name),
            "open": row.state == "open",
            "entrance": say.get(row.entrance, row.entrance),
            "level": row.level,
            "routed_by": row.routed_by,
            "accept_url": link_to(ACCEPT),
            "page_url": link_to(PAGE),
            "reject_urls": {reason: link_to(number) for number, reason in ANSWERS.items()},
        },
        "lead": story.lead | choice_words(house.program.choices, story.lead, *tags),
        "score": row.score,
        "fit": letter(row.fit),
        "reasons": _reasons(story.lines, reader),
        "timeline": [{"when": when(one.at), "what": deed(one.what, reader.language)} for one in deeds],
        "sent": [{"when": when(one.at), "what": _sent(one.what, reader)} for one in written[-12:]],
        "suggestion": in_language(rule.follow_up, *tags) if rule and rule.follow_up else say["follow_up"],
        "owner": {"name": name_of(house, row.owner), "email": row.owner},
    }


def letter_names(
    link: Connection, house: House, story: Story, row: Any, person: Salesperson | None, keys: Keys, public_url: str,
    now: datetime, kind: str = FIRST,
) -> dict[str, Any]:  # fmt: skip
    """All that a notice of this kind may print, by mail and by chat."""
    reader = Reader.of(house, person)
    names = notice_names(house, story, row, person, keys, public_url)
    before = known_already(link, house, row, story.lead.get("company"), reader, now)
    return {
        **names,
        "notice": _notice(reader, kind, row, name_of(house, row.owner), now, before),
        "who": full_name(story) or story.lead["email"] or reader.say["a_lead"],
        "facts": _facts(house, names["lead"], reader),
        "earlier": before.earlier,
        "account": before.account,
        "say": reader.say,
    }


def _notice(
    reader: Reader, kind: str, row: Any, owner: str, now: datetime, before: Before
) -> dict[str, str]:  # fmt: skip
    """What kind of notice it is, and what it asks of its reader."""
    name, base = base_kind(kind), KINDS[base_kind(kind)]
    key = "first" if name == FIRST else name
    overdue = name == "handoff_reminder" and now > row.deadline_at
    passed = name == "handoff_escalation" and row.state == "reassigned"
    text = reader.filled(
        "handoff_overdue_text" if overdue else "handoff_passed_text" if passed else f"{key}_text",
        owner=owner, deadline=reader.when(row.deadline_at),
        answered=reader.when(row.answered_at) if row.answered_at else "",
    )  # fmt: skip
    if before.instead and name == FIRST:
        text = f"{reader.filled('instead' if before.late else 'given', owner=before.instead)} {text}"
    return {"kind": base, "title": reader.say[key], "text": text}


def reason_sentence(reader: Reader, milestone: str, title: str, story: Story) -> str:
    """Why now: the milestone by its title, and what was done last unless that is the same."""
    company, who = story.lead.get("company"), full_name(story) or story.lead.get("email") or reader.say["a_lead"]
    reached = reader.filled("reached_at" if company else "reached", who=who, company=company, milestone=title)
    last = next((one for one in reversed(story.happenings) if one.by_person), None)
    if last is None or last.what == milestone.replace("_", " "):
        return reached
    what = deed(last.what, reader.language)
    seen = reader.filled("last_seen", what=what)
    return f"{reached} {seen.removesuffix('.') if what.endswith(_ENDS) else seen}"


def full_name(story: Story) -> str:
    """First and last name, as far as they are known."""
    return " ".join(filter(None, (story.lead.get("first_name"), story.lead.get("last_name"))))


def _facts(house: House, lead: Mapping[str, Any], reader: Reader) -> list[dict[str, str]]:
    """What is known of the lead besides name, title and company, each with what it is called."""
    names = (*_FACTS, *house.program.fields)
    return [
        {"name": name, "label": _label(house, name, reader), "value": _value(name, lead[name], reader)}
        for name in names
        if lead.get(name) not in (None, "", False)
    ]


def _label(house: House, name: str, reader: Reader) -> str:
    said = field_words(name, reader.language)
    asked = house.program.labels.get(name)
    strange = said == field_words(name, "en") and words(reader.language) is not words("en")
    return in_language(asked, reader.language) if asked is not None and strange else said


def _value(name: str, value: Any, reader: Reader) -> str:
    """A value as people of the reader's language write it."""
    spoken_here: Locale = locale(reader.language)
    match value:
        case bool():
            return "✓"
        case int() | float():
            return str(format_decimal(value, locale=spoken_here))
        case date():
            return str(format_date(value, "d MMM y", locale=spoken_here))
    if name == "country":
        return str(spoken_here.territories.get(str(value), value))
    if name == "language":
        return str(spoken_here.languages.get(str(value).replace("_", "-").split("-")[0], value))
    return str(value)


def _reasons(lines: Iterable[ScoreLine], reader: Reader) -> list[dict[str, Any]]:
    """The rules that made the score, the largest first; what one rule earned more than once is one reason."""
    found: dict[str, list[ScoreLine]] = {}
    for line in lines:
        found.setdefault(line.rule, []).append(line)
    reasons: list[dict[str, Any]] = []
    for rule, earned in found.items():
        points, at = sum(line.points for line in earned), max((line.at for line in earned if line.at), default=None)
        if abs(points) >= 0.5:
            said = reader.say.get(rule, rule) if rule in ADJUSTED else _bound(rule, reader) if earned[0].bound else rule
            key = "counted" if len(earned) > 1 else "counted_once"
            told = reader.filled(key, rule=said, count=len(earned))
            when = reader.when(at) if at else None
            reasons.append({"points": round(points), "rule": told, "when": when, "by": abs(points)})
    return sorted(reasons, key=lambda reason: -float(reason["by"]))[:6]


def _bound(rule: str, reader: Reader) -> str:
    """`at most 30 for content` in the reader's words."""
    found = re.fullmatch(r"at (most|least) (\S+) for (.+)", rule)
    if found is None:
        return rule
    return reader.filled(f"at_{found[1]}", bound=found[2], of=reader.say.get(found[3].replace(" ", "_"), found[3]))


def _reads(what: str) -> bool:
    """Whether the lead itself gets what such a step sends."""
    return what.split(" ")[0] in _WRITTEN


def _sent(what: str, reader: Reader) -> str:
    """`letter “welcome” of readers`, of `email readers/welcome: sent`."""
    kind, _, rest = what.partition(" ")
    sequence, _, step = rest.partition(":")[0].partition(",")[0].partition("/")
    key = f"sent_{kind}" if f"sent_{kind}" in reader.say else "sent_other"
    return reader.filled(key, kind=kind, step=step, sequence=sequence)

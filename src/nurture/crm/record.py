"""One record of theirs and what has changed in it: fields, answers to hand-offs, status. What is ours stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from nurture.crm.base import Change
from nurture.crm.memory import Memory
from nurture.crm.replies import BY, Reply, asked, give, meaning, of_deal, of_status
from nurture.crm.telling import entry_of
from nurture.engine import statuses
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.errors import Refused
from nurture.folding import fold
from nurture.intake.posted import Sender
from nurture.intake.posted_leads import take_leads
from nurture.program.crm import Crm


@dataclass
class Taken:
    """What became of a change. `notes`: what was not believed; `follows`: the deal that its hand-off follows now."""

    changed: bool = False
    answers: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    follows: str | None = None


def take(link: Connection, live: Live, crm: Crm, change: Change, row: Any, memory: Memory, now: datetime) -> Taken:
    """Take in one change of a lead's record; `row`: the lead with its link. The same again changes nothing."""
    done, at = Taken(), min(change.at, now)
    team = {person.email for person in live.house.program.sales}
    theirs = {name: change.values[name].strip() for name in crm.owns.crm if change.values.get(name, "").strip()}
    owner, status = theirs.pop("owner", "").casefold(), theirs.pop("status", None)
    if owner in team:
        theirs["owner"] = owner
    elif owner:
        done.notes.append("its owner is none of sales; add them to program.yaml")
    by = owner if owner in team else None

    news = {name: value for name, value in theirs.items() if memory.news(name, value, at)}
    done.changed = _fields(link, live, row, news, now, done.notes)
    if status is not None and (reply := _by_status(crm, memory, status, at)) is not None:
        _answer(link, live, row, reply, by, at, now, done)
    _by_deal(link, live, crm, change, row, memory, by, now, done)
    # the status comes last: an answer may have moved it
    if status is not None:
        done.changed = _status(link, live, crm, row, memory, status, by, at, now, done.notes) or done.changed
    if odd := _odd(crm, change, row):
        done.notes.append(f"changed over there, though it is ours: {', '.join(odd)}")
    return done


def _fields(link: Connection, live: Live, row: Any, news: dict[str, str], now: datetime, notes: list[str]) -> bool:
    """Owner and fields that are theirs, as a lead that is posted; whether anything is new."""
    fact = {name: value for name, value in news.items() if value != str(row["fields"].get(name, row.get(name)) or "")}
    if not fact:
        return False
    whose = {"email": row["email"]} if row["email"] else {"id": row["source_id"], "source": row["source"]}
    report = take_leads(link, live, [fact | whose], Sender(row["source"] or BY, live.house.program.zone), now)
    (line,) = report.lines
    if line.status == "refused":
        notes.append(f"a value was refused: {', '.join(sorted(fact))}")
    return line.status == "changed"


def _by_status(crm: Crm, memory: Memory, word: str, at: datetime) -> Reply | None:
    """What a status answers; nothing where it may have stood there for years when we first met the record."""
    stood = not memory.knows("answer") and not memory.made
    return of_status(crm, word) if memory.news("answer", word, at) and not stood else None


def _by_deal(
    link: Connection, live: Live, crm: Crm, change: Change, row: Any, memory: Memory, by: str | None, now: datetime,
    done: Taken,
) -> None:  # fmt: skip
    """What a deal answers. Of several the first is followed that was opened since the hand-off; any may be won."""
    deal, at = change.deal, min(change.at, now)
    if deal is None:
        return
    about, said = asked(link, row["id"], at), of_deal(crm, deal)
    if about is None:
        done.notes.append(f"'{said.answer}' answers no hand-off: sales had not been asked")
    elif deal.opened is not None and deal.opened < about.at:
        done.notes.append("a deal that is older than the hand-off does not answer it")
    elif memory.news(f"deal {deal.id}", deal.state, at):
        if memory.followed(about.first) not in (None, deal.id) and not deal.won:
            done.notes.append("another deal is followed, and this one is not won")
        elif _answer(link, live, row, said, by, at, now, done):
            memory.follow(about.first, deal.id)
            done.follows = deal.id


def _answer(
    link: Connection, live: Live, row: Any, said: Reply, by: str | None, at: datetime, now: datetime, done: Taken
) -> bool:  # fmt: skip
    """Answer what sales had been asked at that instant; whether the answer could be taken."""
    about = asked(link, row["id"], at)
    if about is None:
        done.notes.append(f"'{said.answer}' answers no hand-off: sales had not been asked")
        return False
    try:
        news, left_out = give(link, live, about, said, lead=row["id"], by=by, at=at, now=now)
    except Refused as refused:
        done.notes.append(f"'{said.answer}' was not taken: {refused}")
        return False
    done.answers[said.answer] += news
    done.notes += [left_out] if left_out else []
    return True


def _status(
    link: Connection, live: Live, crm: Crm, row: Any, memory: Memory, word: str, by: str | None, at: datetime,
    now: datetime, notes: list[str],
) -> bool:  # fmt: skip
    """The status that is theirs, if it is one that lifecycle.yaml has; whether it is new."""
    if live.house.lifecycle.status_named(word) is None:
        if meaning(crm, word) is None:
            notes.append(f"the status '{word}' is neither in 'statuses:' nor in 'answers:'")
        return False
    if not memory.news("status", word, at):
        return False
    run = Run(link, live, now)
    to = statuses.known(run, word)
    return statuses.change(run, row["id"], to, cause="the CRM says so", author=by or BY) != to


def _odd(crm: Crm, change: Change, row: Any) -> list[str]:
    """What is ours and was changed over there: it is neither taken nor told again."""
    entry = entry_of(crm, row)
    if row["told"] != entry.digest:
        return []  # they do not know yet how it is
    return sorted(
        name for name, ours in entry.values.items()
        if name != "stage" and name in change.values and not _alike(ours, change.values[name])
    )  # fmt: skip


def _alike(ours: Any, theirs: str) -> bool:
    """Whether a value is the same, however the CRM writes it."""
    if isinstance(ours, bool):
        return str(ours).casefold() == theirs.casefold()
    if isinstance(ours, int | float):
        try:
            return float(theirs) == float(ours)
        except ValueError:
            return False
    return fold(str(ours)) == fold(theirs)

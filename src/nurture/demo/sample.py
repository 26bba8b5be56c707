"""The sample: leads as a spreadsheet leaves them, events of the months before, and who comes by later."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nurture.clock import Chance
from nurture.demo.people import Person, drawn, strangers

#: The list of the program's event-guests, and how many of a hundred known people came to the stand.
FAIR, _AT_THE_FAIR = "fair-2026", 7
COLUMNS = [field.name for field in fields(Person) if field.name != "habit"]
_PATHS = {
    "/": 22, "/product/queues": 14, "/product/automation": 11, "/product/languages": 6, "/pricing": 8,
    "/tour": 7, "/blog/first-reply": 12, "/blog/monday-queue": 9, "/customers": 8, "/careers": 3,
}  # fmt: skip
_PAPERS = ("Queues that empty themselves", "The cost of a second question", "Help desks for small teams")


@dataclass(frozen=True)
class Visit:
    """Somebody comes to the website: `form` is what they send, else `event` what the website exports."""

    at: datetime
    person: Person
    event: str = ""
    data: dict[str, str] | None = None
    form: str = ""


def write_leads(file: Path, people: Sequence[Person], chance: Chance) -> None:
    """The people as CSV, with the flaws of such files: repeated rows, odd zones, rows that cannot be read."""
    rows: list[dict[str, Any]] = [_row(person) for person in people]
    for person in people[5 : 5 + len(people) // 200]:
        again = replace(person, email=person.email.upper(), tags="fair-2026")
        rows.insert(chance.randrange(len(rows) // 2, len(rows)), _row(again))
    for row, zone in zip(rows[20:40:7], ("Gulf Standard", "Bucharest time", "EST/EDT"), strict=False):
        row["timezone"] = zone
    for place, flaw in enumerate(_FLAWS):
        broken = _row(people[50 + place]) | {"email": f"row{place}@harbor-labs.example"} | flaw
        rows.insert(chance.randrange(len(rows)), broken)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def write_guests(
    file: Path, people: Sequence[Person], owners: Mapping[str, str], today: date, chance: Chance
) -> list[Person]:
    """Who came to the stand, written as CSV: known people and new ones, with the colleague who met them.

    `owners`: country to the address of whoever of us speaks with people from there.
    """
    known = chance.sample(people, len(people) * _AT_THE_FAIR // 100)
    guests = [*known, *strangers(max(3, len(people) // 120), today, chance)]
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, [*COLUMNS, "owner", "sms_consent"])
        writer.writeheader()
        for guest in guests:
            met = owners.get(guest.country, "") if chance.random() < 0.85 else ""
            texts = "yes" if chance.random() < 0.6 else "no"
            writer.writerow(_row(guest) | {"owner": met, "sms_consent": texts})
    return guests


_FLAWS: tuple[dict[str, str], ...] = (
    {"email": "greta.lindner.example"},
    {"email": "a.shaw@birch-labs.example; h.kaur@birch-labs.example"},
    {"employees": "about forty"},
    {"last_purchase": "2025-02-31"},
    {"email": ""},
)


def _row(person: Person) -> dict[str, Any]:
    return {name: value for name, value in asdict(person).items() if name in COLUMNS}


def write_events(file: Path, events: Iterable[dict[str, Any]]) -> int:
    """One JSON object a line, as a website exports them; how many."""
    count = 0
    with file.open("w", encoding="utf-8") as out:
        for event in events:
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
            count += 1
    return count


def exported(number: int | str, at: datetime, email: str, event: str, data: dict[str, str]) -> dict[str, Any]:
    """One line of the website's export."""
    stamp = at.astimezone(UTC).isoformat(timespec="seconds")
    return {"id": f"w-{number}", "email": email, "event": event, "at": stamp, "data": data}


def history(people: Sequence[Person], start: datetime, chance: Chance) -> list[dict[str, Any]]:
    """What the website saw of these people in the seven months before `start`, oldest first."""
    seen = sorted(
        ((at, person.email, event, data) for person in people for at, event, data in _past(person, start, chance)),
        key=lambda line: (line[0], line[1], line[2]),
    )
    return [exported(number, *line) for number, line in enumerate(seen, 1)]


def _past(person: Person, start: datetime, chance: Chance) -> Iterator[tuple[datetime, str, dict[str, str]]]:
    ages: list[float] = []
    if person.habit == "dormant":
        ages = [chance.uniform(95, 210) for _ in range(chance.randint(1, 6))]
    elif person.habit == "fading":
        last = chance.uniform(70, 89)
        ages = [last, *(chance.uniform(last, 200) for _ in range(chance.randint(1, 6)))]
    elif person.habit == "active":
        ages = [1 + 84 * chance.random() for _ in range(chance.randint(1, 16))]
    for age in ages:
        yield _by_day(start, -age, person, chance), "page_viewed", {"path": drawn(_PATHS, chance)}
    if person.habit != "active":
        return
    happens = {"whitepaper_downloaded": 0.15, "webinar_attended": 0.07, "trial_started": 0.02}
    if person.is_trader:
        happens["catalogue_requested"] = 0.15
    for event, often in happens.items():
        if chance.random() < often:
            data = {"title": chance.choice(_PAPERS)} if event == "whitepaper_downloaded" else {}
            yield _by_day(start, -chance.uniform(2, 80), person, chance), event, data


def visits(people: Sequence[Person], start: datetime, days: int, chance: Chance) -> list[Visit]:
    """Who comes by in the weeks to come, in order; known people first of all, and some that nobody knows."""
    evaluators = [person for person in people if person.is_evaluator]
    traders = [person for person in people if person.is_trader]
    misfits = [p for p in people if p.role in ("student", "analyst") or p.email.endswith("@rivaldesk.example")]
    found: list[Visit] = []
    for person in chance.sample(evaluators, len(evaluators) // 4):
        at = _by_day(start, days * chance.random() ** 1.7, person, chance)
        found += _browsing(person, at, chance)
        found.append(Visit(at, person, "whitepaper_downloaded", {"title": chance.choice(_PAPERS)}))
    for person in chance.sample(traders, len(traders) // 8):
        at = _by_day(start, days * chance.random() ** 1.7, person, chance)
        found.append(Visit(at, person, form="catalogue"))
    for person in chance.choices(people, k=len(people) * days // 100):
        found += _browsing(person, _by_day(start, days * chance.random(), person, chance), chance)
    asking = chance.sample(misfits, min(len(misfits), max(1, len(people) // 400)))
    for person in [*asking, *strangers(max(2, len(people) // 250), start.date(), chance)]:
        at = _by_day(start, days * chance.random(), person, chance)
        found.append(Visit(at, person, form=chance.choice(("demo", "demo", "contact"))))
    end = start + timedelta(days=days)
    return sorted(
        (visit for visit in found if start < visit.at < end), key=lambda visit: (visit.at, visit.person.email)
    )


def _browsing(person: Person, until: datetime, chance: Chance) -> list[Visit]:
    looks = range(1, chance.randint(1, 2) + 1)
    return [
        Visit(until - timedelta(minutes=3 * look), person, "page_viewed", {"path": drawn(_PATHS, chance)})
        for look in looks
    ]


def _by_day(start: datetime, offset: float, person: Person, chance: Chance) -> datetime:
    """An instant `offset` days from `start`, moved into the hours in which this person is awake."""
    there = (start + timedelta(days=offset)).astimezone(ZoneInfo(person.timezone or "Europe/Bucharest"))
    hour = 8 + int(12 * chance.random())
    awake = there.replace(hour=hour, minute=chance.randrange(60), second=chance.randrange(60), microsecond=0)
    return min(awake.astimezone(UTC), start - timedelta(hours=2)) if offset < 0 else awake.astimezone(UTC)

"""Everything that is held about one person, for that person: GDPR articles 15 and 20, within the month of article 12.

What belongs to it is said in `schema`; nothing is chosen here.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.story import tell
from nurture.errors import NotFound, NotPublished
from nurture.rights import copies, schema
from nurture.rights.export import Sheet, as_json, write_csv
from nurture.rights.finding import find
from nurture.rights.forget import told
from nurture.rights.schema import TABLES, Person

LAW = "GDPR articles 12(3), 15 and 20"


def dossier(machine: Machine, home: Path | None, who: str, now: datetime, received: date) -> dict[str, Any]:
    """One document. `received`: when the person asked. Raises NotFound where nothing is held."""
    with machine.db.read() as link:
        person = find(link, who)
        found = {name: _rows(link, name, rows(person)) for name, rows in schema.about().items()}
        about = _about(link, person, who, now, received)
        score = _score(link, machine, person, now)
    leads = found.pop("lead")
    if not leads and not any(found.values()):
        raise NotFound(f"nothing is held about '{who}'")
    touches, notices = ([row["id"] for row in found[name]] for name in ("touch", "outbox"))
    files = copies.kept(home, touches, notices) if home is not None else []
    return {
        "about": about,
        "lead": leads[0] if leads else None,
        "score": score,
        **{schema.called(name): rows for name, rows in found.items() if rows},
        "kept_messages": [
            {"file": path.name, "content": path.read_bytes().decode("utf-8", "replace")} for path in files
        ],
        "refused_rows": _refused(home, person) if home is not None else [],
    }


def due(received: date) -> date:
    """One month after the day on which the person asked: the same day of the next month, or its last."""
    year, month = (received.year + 1, 1) if received.month == 12 else (received.year, received.month + 1)
    return date(year, month, min(received.day, calendar.monthrange(year, month)[1]))


def write_folder(document: dict[str, Any], folder: Path) -> list[Path]:
    """One CSV for each table, the kept messages as they are, and who was told in about.json; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows in document.items():
        if name in ("about", "kept_messages", "score"):
            continue
        listed = rows if isinstance(rows, list) else [rows] if rows else []
        if listed:
            written.append(folder / f"{name}.csv")
            with written[-1].open("w", encoding="utf-8-sig", newline="") as out:
                write_csv(Sheet(list(listed[0]), listed), out)
    for message in document["kept_messages"]:
        (folder / "messages").mkdir(exist_ok=True)
        written.append(folder / "messages" / message["file"])
        written[-1].write_text(message["content"], "utf-8")
    written.append(folder / "about.json")
    written[-1].write_text(as_json({"about": document["about"], "score": document["score"]}, indent=2) + "\n", "utf-8")
    return written


def _rows(link: Connection, name: str, which: Any) -> list[dict[str, Any]]:
    table = TABLES[name]
    query = select(table).where(which).order_by(*table.primary_key.columns)
    return [dict(row) for row in link.execute(query).mappings()]


def _about(link: Connection, person: Person, who: str, now: datetime, received: date) -> dict[str, Any]:
    return {
        "asked_for": who,
        "lead": person.lead,
        "known_as": {
            "addresses": sorted(person.addresses),
            "phones": sorted(person.phones),
            "ids": [f"{source}:{number}" for source, number in sorted(person.ids)],
        },
        "told": told(link, person),
        "made_at": now,
        "received": received.isoformat(),
        "due": due(received).isoformat(),
        "law": LAW,
        "searched": [schema.called(name) for name in schema.about()],
    }


def _score(link: Connection, machine: Machine, person: Person, now: datetime) -> dict[str, Any] | None:
    """What is derived of the lead: the number, and each line that it is the sum of."""
    live = _live(link, machine)
    if live is None or person.lead is None:
        return None
    story = tell(link, live, person.lead, now)
    lines = [{"rule": line.rule, "points": round(line.points, 6), "at": line.at} for line in story.lines]
    return {"score": story.score, "fit": story.fit, "lines": lines}


def _live(link: Connection, machine: Machine) -> Live | None:
    try:
        return machine.library.live(link)
    except NotPublished:
        return None


def _refused(home: Path, person: Person) -> list[dict[str, str]]:
    """Rows of imports that were refused and name the person."""
    names = [*sorted(person.addresses), *sorted(person.phones)]
    return [{"file": str(path), "row": row} for path in copies.refused(home) for row in copies.holding(path, names)]

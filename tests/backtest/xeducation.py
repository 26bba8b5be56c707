"""6,468 leads of a school with what became of them, through the real import, under rules that a marketer might write."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import update
from sqlmodel import col

from nurture.db import Database
from nurture.intake import import_leads, read_mapping
from nurture.records import Lead, StageTransition
from nurture.rehearse.stage import Stage, set_stage
from tests.engine.world import program, sequence
from tests.intake.importing import Program

FIELDS = {
    "origin": "text", "lead_source": "text", "role": "text", "field": "text", "heard": "text", "visits": "number",
    "seconds": "number", "pages": "number",
}  # fmt: skip
MAPPING = """
source: school
id: Prospect ID
fields:
  {origin: Lead Origin, lead_source: Lead Source, role: What is your current occupation, field: Specialization,
   heard: How did you hear about X Education, visits: TotalVisits, seconds: Total Time Spent on Website,
   pages: Page Views Per Visit}
unanswered: [Select]
"""
#: Nothing of what sales wrote: no tags, quality, profile, index, or last activity.
SCORING = """
fit:
  - {rule: filled in the long form, when: {origin: Lead Add Form}, points: 30}
  - {rule: landed on a page of ours, when: {origin: Landing Page Submission}, points: -3}
  - {rule: works, when: {role: Working Professional}, points: 30}
  - {rule: has no work, when: {role: Unemployed}, points: 5}
  - {rule: studies, when: {role: Student}, points: 5}
  - {rule: says what they do, when: {role: {known: true}}, points: 10}
  - {rule: says in which field, when: {field: {known: true}}, points: 3}
  - {rule: says where they heard of us, when: {heard: {known: true}}, points: 2}
  - {rule: was on the site, when: {seconds: {above: 0}}, points: 2}
  - {rule: was on the site for five minutes, when: {seconds: {at_least: 300}}, points: 8}
  - {rule: was on the site for ten minutes, when: {seconds: {at_least: 600}}, points: 10}
  - {rule: was on the site for a quarter of an hour, when: {seconds: {at_least: 900}}, points: 12}
  - {rule: was on the site for twenty minutes, when: {seconds: {at_least: 1200}}, points: 10}
  - {rule: came more than once, when: {visits: {at_least: 2}}, points: 2}
  - {rule: came often, when: {visits: {at_least: 6}}, points: 2}
  - {rule: read a lot each time, when: {pages: {at_least: 4}}, points: -2}
"""
PROGRAM = f"""
name: School
sender: {{name: Ana, address: ana@school.example}}
address: School Ltd, 1 School Street, Schooltown
zone: Asia/Kolkata
fields: {{{", ".join(f"{name}: {kind}" for name, kind in FIELDS.items())}}}
sales: [{{name: Sam, email: sam@school.example}}]
"""


def school(path: Path, folder: Path, now: datetime, ages: Sequence[int], most: int | None = None) -> Stage:
    """A stage with the leads of the file at `path`, the older numbers first, in batches of so many days of age.

    Who converted is a customer 30 days after the import, if that is past.
    """
    stage = set_stage(now)
    files = {"program.yaml": PROGRAM, "scoring.yaml": SCORING, "lifecycle.yaml": "mql: {when: {score: {at_least: 50}}}"}
    stage.publish(program(files, idle=sequence("  - {id: done, exit: completed}", when="{did: never}")))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.DictReader(file), most))
    rows.sort(key=lambda row: int(row["Lead Number"]))
    (folder / "mapping.yaml").write_text(MAPPING)
    mapping, known = read_mapping(folder / "mapping.yaml"), Program(fields=dict(FIELDS))  # type: ignore[arg-type]
    wanted = ["Prospect ID", *(line for line in mapping.fields.values())]
    for number, age in enumerate(ages):
        batch = rows[number * len(rows) // len(ages) : (number + 1) * len(rows) // len(ages)]
        part = folder / f"{number}.csv"
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, wanted, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(batch)
        came = now - timedelta(days=age)
        import_leads(stage.machine.db, part, known=known, now=came, consent=None, mapping=mapping)
        if came + timedelta(days=30) <= now:
            bought = [row["Prospect ID"] for row in batch if row["Converted"] == "1"]
            buy(stage.machine.db, bought, came + timedelta(days=30))
    return stage


def buy(db: Database, ids: Sequence[str], at: datetime) -> None:
    """These became customers then."""

    def work(link) -> None:
        whose = col(Lead.source_id).in_(ids)
        leads = link.execute(update(Lead).where(whose).values(stage="customer").returning(col(Lead.id))).scalars().all()
        change = {"from_stage": "lead", "to_stage": "customer", "at": at, "cause": "they paid", "author": "import"}
        link.execute(StageTransition.__table__.insert(), [{"lead_id": lead, **change} for lead in leads])  # type: ignore[attr-defined]

    db.transact(work)

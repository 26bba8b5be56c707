"""Settling ten thousand touched leads: on a base of their own and on one a hundred times as large; and by history.

Each lead has a new click; what follows for it is rescored by groups that fade and expire, by caps of a day and in all.
Both sides are measured alternately in one run; figures are medians of the rounds, ratios those of the pairs.
`bench_rescore.py small` takes fifty thousand leads and a thousand touched ones.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import common
from sqlalchemy import text

from nurture.dialects import upsert
from nurture.records import Event
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage, set_stage
from nurture.worklist import put_work

ROUNDS = 3
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = 86_400_000_000
#: Over which the past of a lead is spread evenly; each lead's begins at another instant.
PAST = 730 * DAY
SPREAD = 7_918_999_967
PROGRAM = {
    "program.yaml": """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: UTC
fields: {industry: text}
sales: [{name: Sam, email: sam@bench.example}]
""",
    "scoring.yaml": """
at_most: 90
groups:
  clicks: {half_life: 14 days, at_most: 40}
  recent: {expires: 90 days, at_most: 30}
engagement:
  - {rule: clicked, when: {did: clicked}, points: 5, cap: [5 per day, 200 in total], group: clicks}
  - {rule: followed, when: {did: clicked}, points: 2, cap: 5 per day, group: recent}
  - {rule: read, when: {did: read}, points: 3, cap: 20 in total}
  - {rule: came, when: {did: came}, points: 12, cap: 5 per day, group: recent}
fit:
  - {rule: ours, when: {industry: saas}, thirds: 3, points: 10}
""",
    "lifecycle.yaml": """
mql: {when: {score: {at_least: 50}}, rearm_below: 40}
milestones:
  keen: {when: {did: clicked, at_least: 3, within: 14 days}, handoff: false}
  reader: {when: {did: read, at_least: 50}, handoff: false}
  demo: {when: {did: demo}, handoff: true}
gate:
  - {reason: not_persona, refuse: {fit: {under: D}}, then: nurture}
""",
    "bench/sequence.yaml": """
name: Bench
segment: {industry: saas}
enrol: {when: {all: [{did: demo}, {score: {at_least: 70}}]}}
leave: {stage: customer}
steps:
  - {id: rest, wait: 90 days}
  - {id: done, exit: completed}
""",
}
_serial = itertools.count()
#: What a lead did, in turn; the last earns nothing.
DEEDS = ("clicked", "read", "came", "looked")
#: rule: deed, points, group, hours in which half is left (0: expires after 90 days), how many count in all
RULES = {
    "clicked": ("clicked", 5.0, "clicks", 336.0, 200),
    "followed": ("clicked", 2.0, "recent", 0.0, None),
    "read": ("read", 3.0, "", 720.0, 20),
    "came": ("came", 12.0, "recent", 0.0, None),
}


@dataclass(frozen=True)
class Crowd:
    """So many leads, from `first` on, of so many past events each."""

    first: int
    leads: int
    past: int


def series(sqlite: bool, count: int, name: str) -> str:
    """A table of the numbers from 0 to `count` - 1."""
    if not sqlite:
        return f"(SELECT generate_series(0, CAST({count - 1} AS BIGINT)) AS {name}) AS every_{name}"
    recursive = (
        f"WITH RECURSIVE up({name}) AS (SELECT 0 UNION ALL SELECT {name} + 1 FROM up WHERE {name} < {count - 1})"
    )
    return f"({recursive} SELECT {name} FROM up) AS every_{name}"


@contextmanager
def in_bulk(stage: Stage) -> Iterator[Any]:
    """A cursor that writes rows before their indexes, each statement on its own."""
    raw = stage.machine.db.engine.raw_connection()
    link = raw.cursor()
    if stage.machine.db.is_sqlite:
        for setting in ("synchronous = OFF", "cache_size = -500000", "foreign_keys = OFF"):
            link.execute(f"PRAGMA {setting}")
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {}"
    else:
        raw.driver_connection.autocommit = True  # type: ignore[union-attr]
        link.execute("SET session_replication_role = replica")  # foreign keys are not looked up
        link.execute("SET maintenance_work_mem = '256MB'")
        query = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN {} AND indexname NOT IN"
            " (SELECT conname FROM pg_constraint)"
        )
    link.execute(query.format("('event', 'score_entry', 'work')"))
    indexes = link.fetchall()
    for name, _ in indexes:
        link.execute(f"DROP INDEX {name}")
    yield link
    for _, statement in indexes:
        link.execute(statement)
    if not stage.machine.db.is_sqlite:
        link.execute("VACUUM ANALYZE")
    raw.invalidate()  # its settings go with it


def fill(stage: Stage, crowds: Sequence[Crowd]) -> None:
    """Leads with a past: events in the order of time, the ledger as a publication leaves it, a next look in a year."""
    sqlite, house = stage.machine.db.is_sqlite, stage.machine.live().house.id
    now = to_micros(START)
    with in_bulk(stage) as link:
        events = 0
        for crowd in crowds:
            people = series(sqlite, crowd.leads, "n")
            number, gap = f"(n + {crowd.first})", PAST // crowd.past
            fields = '\'{"industry": "saas"}\''
            domain = f"'company' || ({number} / 20) || '.example'"
            for statement in (
                "INSERT INTO lead (id, draw, email, stage, status, account, fields, folded, fit, fit_points,"
                f" created_at, changed_at) SELECT {number}, {number} * 48271 % 2147483647,"
                f" 'lead' || {number} || '@' || {domain}, 'lead', 'new', {domain}, {fields}, {fields}, 3, 10.0,"
                f" {now - PAST}, {now - PAST} FROM {people}",
                f"INSERT INTO mail_domain (domain, kind) SELECT DISTINCT {domain}, 'company' FROM {people} WHERE true"
                " ON CONFLICT DO NOTHING",
                f"INSERT INTO work (lead_id, due_at) SELECT {number}, {now + 365 * DAY} FROM {people}",
            ):
                link.execute(statement)
            link.execute(
                "INSERT INTO event (id, lead_id, name, occurred_at, recorded_at, ripe_at, settled_at, actor, data,"
                f" source, key) SELECT {events} + 1 + i, i % {crowd.leads} + {crowd.first},"
                f" CASE i / {crowd.leads} % 4 WHEN 0 THEN 'clicked' WHEN 1 THEN 'read' WHEN 2 THEN 'came' ELSE 'looked'"
                f" END, at, at, at, at, 'person', '{{}}', 'past', CAST(1000000000 + {events} + i AS TEXT) FROM"
                f" (SELECT i, {now} - ({crowd.past} - i / {crowd.leads}) * {gap}"
                f" + i % {crowd.leads} * {SPREAD} % {gap} AS at"
                f" FROM {series(sqlite, crowd.leads * crowd.past, 'i')}) AS made"
            )
            for rule, (deed, points, group, hours, in_all) in RULES.items():
                kind = DEEDS.index(deed)
                turns = (crowd.past - kind + 3) // 4
                counted = points if in_all is None else f"CASE WHEN turn < {in_all} THEN {points} ELSE 0.0 END"
                link.execute(
                    "INSERT INTO score_entry (lead_id, rule, dimension, event_id, points, counted, summed, group_name,"
                    f" half_life_hours, expires_at, in_total, at, day, program_version_id) SELECT n + {crowd.first},"
                    f" '{rule}', 'engagement', {events} + 1 + n + (turn * 4 + {kind}) * {crowd.leads}, {points},"
                    f" {counted}, {counted}, '{group}', {hours}, {'NULL' if hours else f'at + {90 * DAY}'},"
                    f" {in_all or 'NULL'}, at, at / {DAY}, {house} FROM"
                    f" (SELECT n, turn, {now} - ({crowd.past} - turn * 4 - {kind}) * {gap} + n * {SPREAD} % {gap} AS at"
                    f" FROM {people} CROSS JOIN {series(sqlite, turns, 'turn')}) AS lines"
                )
            events += crowd.leads * crowd.past
        # "in all" counts no further than its number; what has expired by now is out of the sums
        halvings = f"({now} - at) / (half_life_hours * 3600000000.0)"
        fading = f"CASE WHEN half_life_hours > 0 THEN counted * power(2.0, -{halvings}) ELSE"
        link.execute(
            "INSERT INTO score_sum (lead_id, group_name, half_life_hours, total, at_most, in_all_at_most, as_of)"
            f" SELECT lead_id, group_name, half_life_hours, sum({fading} CASE WHEN expires_at > {now} THEN counted"
            f" ELSE 0.0 END END), CASE group_name WHEN 'clicks' THEN 40.0 WHEN 'recent' THEN 30.0 END, 90.0, {now}"
            " FROM score_entry GROUP BY lead_id, group_name, half_life_hours"
        )
        if not sqlite:  # PostgreSQL hands out keys of its own: after those that were given above
            link.execute("SELECT setval(pg_get_serial_sequence('event', 'id'), (SELECT max(id) FROM event))")


def touch(stage: Stage, leads: Sequence[int], day: int) -> datetime:
    """A click of each on that day, after whatever time alone has turned has been looked at; the instant."""
    now = stage.clock.at = START + timedelta(days=day)
    stage.machine.settle(now)
    clicks = [
        {
            "lead_id": lead, "name": "clicked", "occurred_at": now, "recorded_at": now, "ripe_at": now,
            "actor": "person", "data": {}, "source": "bench", "key": f"click {next(_serial)}",
        }
        for lead in leads
    ]  # fmt: skip

    def put(link: Any) -> None:
        link.execute(upsert(link)(Event), clicks)
        put_work(link, leads, now)

    stage.machine.db.transact(put)
    return now


def settle(stage: Stage, leads: Sequence[int], day: int) -> float:
    """Seconds for settling these leads, each with a click that is new."""
    now = touch(stage, leads, day)
    took, report = common.timed(lambda: stage.machine.settle(now))
    assert report.looked_at == len(leads), report
    line = (
        "FROM score_entry WHERE lead_id = :lead AND rule = 'followed' AND at = :now AND counted = 2.0 AND summed = 2.0"
    )
    with stage.machine.db.read() as link:
        for lead in (leads[0], leads[-1]):
            assert link.execute(text(f"SELECT 1 {line}"), {"lead": lead, "now": to_micros(now)}).scalar() == 1
    return took


def set_up(url: str, crowds: Sequence[Crowd]) -> Stage:
    """A stage with a program and a past."""
    stage = set_stage(START, url)
    stage.publish(PROGRAM)
    stage.machine.settle(START)
    fill(stage, crowds)
    return stage


def in_turn(sides: dict[str, tuple[Stage, Sequence[int]]], first_day: int) -> dict[str, dict[str, float]]:
    """Each side in turn, a day a round; medians, and the median of the ratios to the first side."""
    rounds = []
    for number in range(ROUNDS + 1):  # the first warms up
        rounds.append({name: settle(*side, first_day + number) for name, side in sides.items()})
    base = next(iter(sides))
    return {
        name: {
            "leads": len(sides[name][1]),
            "seconds": statistics.median(took[name] for took in rounds[1:]),
            "ratio": statistics.median(took[name] / took[base] for took in rounds[1:]),
        }
        for name in sides
    }


def by_base(urls: Sequence[str], touched: int, leads: int) -> dict[str, Any]:
    """The touched leads alone, and among `leads`: here and there, and side by side; all with ten past events."""
    few, many = (set_up(url, [Crowd(1, size, 10)]) for url, size in zip(urls, (touched, leads), strict=True))
    stride = leads // touched
    found = in_turn(
        {
            f"{touched:,} leads": (few, range(1, touched + 1)),
            f"{leads:,} leads": (many, range(1, stride * touched + 1, stride)),
            "…, neighbours": (many, range(leads - touched + 1, leads + 1)),
        },
        1,
    )
    few.close()
    many.close()
    return found


def by_history(url: str, leads: int) -> list[dict[str, Any]]:
    """Leads with ten, a thousand, and (a tenth as many) ten thousand past events, in one database."""
    fewer = leads // 10
    crowds = [Crowd(1, leads, 10), Crowd(leads + 1, leads, 1_000), Crowd(2 * leads + 1, fewer, 10_000)]
    stage = set_up(url, crowds)
    short, long, longest = (range(crowd.first, crowd.first + crowd.leads) for crowd in crowds)
    found = [
        in_turn({"10 events": (stage, short), "1,000 events": (stage, long)}, 1),
        in_turn({"10 events": (stage, short[:fewer]), "10,000 events": (stage, longest)}, ROUNDS + 2),
    ]
    stage.close()
    return found


def main() -> None:
    """Settle on both databases, print the tables, and keep them as JSON."""
    with common.bench(__doc__) as b:
        touched, leads, remembered = (1_000, 50_000, 100) if b.small else (10_000, 1_000_000, 1_000)
        settled = []
        for database, urls in b.databases("few", "many", "past"):
            for table in (by_base(urls[:2], touched, leads), *by_history(urls[2], remembered)):
                for name, row in table.items():
                    rate = {"us a lead": row["seconds"] / row["leads"] * 1e6, "ratio": row["ratio"]}
                    settled.append({"database": database, "among": name, "touched": row["leads"], **rate})
        b.table("settling touched leads", settled, f"medians of {ROUNDS} rounds in turn; ratios to the first of each")


if __name__ == "__main__":
    main()

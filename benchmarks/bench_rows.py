"""What a whole touch must leave on the disk, written bare: the limit that the database sets, beside our own touch.

The bare side has the same tables with their indexes, keys and triggers, the same commits (entering and moving by the
thousand; claim, permit and record by 200), and writes each row as often as it has to be written, but decides nothing:
no lead is looked at, no letter is made, what a row says is made up by SQL. Ours is bench_touch.py's tick with a way out
that accepts at once. `bench_rows.py small` takes 2,000 leads; a number takes so many.
"""

from __future__ import annotations

from itertools import count
from time import perf_counter, process_time
from typing import Any

import bench_touch
import common
import crowd
from letters import FILES, LEAD
from sqlalchemy import text

from nurture.channels.recording import RecordingChannel
from nurture.engine.press import Press
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage

ROUNDS = 3
_BULK, _BATCH = 1_000, 200
#: What each transaction does, for rows `:low` to `:high`. Numbers of enrolments and touches follow from the leads'.
ENTERING = (
    """
    INSERT INTO enrolment (id, lead_id, sequence, version_id, rotation, enrolled_by, step, occurrence, path, entered_at,
        due_at, listening, started_at)
    SELECT id + :base, id, 'bench', :version, :round, 'rule', 'hello', 1, '/hello/', :now, :now, false, :now
    FROM lead WHERE id BETWEEN :low AND :high
    """,
    "UPDATE event SET settled_at = :now WHERE lead_id BETWEEN :low AND :high AND settled_at IS NULL",
    """
    INSERT INTO score_entry (lead_id, rule, dimension, event_id, points, counted, summed, at, day, program_version_id,
        group_name)
    SELECT lead_id, 'went', 'engagement', id, 10, 10, 10, occurred_at, :round, :house, 'went'
    FROM event WHERE lead_id BETWEEN :low AND :high AND name = 'go' AND occurred_at = :now
    """,
    """
    INSERT INTO score_sum (lead_id, group_name, half_life_hours, total, as_of)
    SELECT id, 'went', 0, 10, :now FROM lead WHERE id BETWEEN :low AND :high
    ON CONFLICT (lead_id, group_name, half_life_hours)
    DO UPDATE SET total = score_sum.total + excluded.total, as_of = excluded.as_of
    """,
    "UPDATE work SET due_at = :later WHERE lead_id BETWEEN :low AND :high",
)
PLANNING = (
    """
    INSERT INTO touch (id, lead_id, enrolment_id, sequence, version_id, step, occurrence, kind, purpose, content, state,
        due_at, allowed_at, next_at, attempt, tracked, planned_at, run_id)
    SELECT id + :base * 2 + :letter, lead_id, id, 'bench', :version, step, 1, 'email', 'marketing', 'bench/letter.j2',
        'planned', :now, :now, :now, 0, false, :now, 'run'
    FROM enrolment WHERE id BETWEEN :low + :base AND :high + :base
    """,
    "UPDATE enrolment SET due_at = NULL WHERE id BETWEEN :low + :base AND :high + :base",
)
_MINE = "WHERE id BETWEEN :low + :base * 3 + :letter AND :high + :base * 3 + :letter"
CLAIMING = (f"UPDATE touch SET state = 'claimed', lease_owner = 'worker/batch', lease_until = :later {_MINE}",)
PERMITTING = (
    f"""
    UPDATE touch SET state = 'sending', next_at = NULL, sending_at = :now, attempt = 1, tracked = true,
        program_version_id = :house, variant = 'bench/letter.j2', address = 'lead' || lead_id || '@bench.example',
        message_id = '<0123456789.' || id || '@bench.example>',
        payload_sha256 = '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
    {_MINE}
    """,
)
RECORDING = (
    f"UPDATE touch SET state = 'sent', lease_owner = NULL, lease_until = NULL, ended_at = :now {_MINE}",
    f"""
    INSERT INTO event (lead_id, name, occurred_at, recorded_at, ripe_at, actor, touch_id, data, source, key)
    SELECT lead_id, 'email_sent', :now, :now, :now, 'nurture', id, '{{}}', 'nurture', 'sent:' || id FROM touch {_MINE}
    """,
    "UPDATE enrolment SET due_at = :now WHERE id BETWEEN :low + :base AND :high + :base",
    """
    INSERT INTO work (lead_id, due_at) SELECT id, :now FROM lead WHERE id BETWEEN :low AND :high
    ON CONFLICT (lead_id) DO UPDATE SET due_at = excluded.due_at
    """,
)
SETTLING = (
    "UPDATE event SET settled_at = :now WHERE lead_id BETWEEN :low AND :high AND settled_at IS NULL",
    "UPDATE work SET due_at = :later WHERE lead_id BETWEEN :low AND :high",
)
_HERE = "WHERE id BETWEEN :low + :base AND :high + :base"
ON = (f"UPDATE enrolment SET step = 'second', path = path || 'second/', entered_at = :now, due_at = :now {_HERE}",)
OUT = (
    f"""
    UPDATE enrolment SET step = NULL, path = path || 'done/', due_at = NULL, ended_at = :now, outcome = 'completed'
    {_HERE}
    """,
)


def bare(stage: Stage, leads: int, now: Any, number: int) -> dict[str, float]:
    """One round of rows alone: microseconds of the wall and of our CPU a touch."""
    live = stage.machine.live()
    values = {
        "now": to_micros(now), "later": to_micros(now) + 3_600_000_000, "round": number, "base": number * leads * 10,
        "version": live.segments["bench"].id, "house": live.house.id,
    }  # fmt: skip

    def write(statements: tuple[str, ...], size: int, letter: int = 0) -> None:
        for low in range(1, leads + 1, size):
            own = values | {"low": low, "high": min(low + size - 1, leads), "letter": letter}

            def one(link: Any, own: dict[str, Any] = own) -> None:
                for statement in statements:
                    link.execute(text(statement), {key: own[key] for key in own if f":{key}" in statement})

            stage.machine.db.transact(one)

    began, used = perf_counter(), process_time()
    write(ENTERING, _BULK)
    for letter, following in enumerate((ON, OUT)):
        write(PLANNING, _BULK, letter * leads)
        for statements in (CLAIMING, PERMITTING, RECORDING):
            write(statements, _BATCH, letter * leads)
        write(SETTLING + following, _BULK)
    seconds, cpu = perf_counter() - began, process_time() - used
    return {"us": 1e6 * seconds / (2 * leads), "cpu": 1e6 * cpu / (2 * leads)}


def rows_of(stage: Stage) -> dict[str, int]:
    """How many rows there are of what a touch leaves behind, and how many ended."""
    tables = ("touch", "event", "enrolment", "score_entry", "score_sum", "work")
    counted = {name: f"SELECT count(*) FROM {name}" for name in tables} | {
        "sent": "SELECT count(*) FROM touch WHERE state = 'sent' AND message_id IS NOT NULL",
        "left": "SELECT count(*) FROM enrolment WHERE ended_at IS NOT NULL",
        "settled": "SELECT count(*) FROM event WHERE settled_at IS NOT NULL",
    }  # fmt: skip
    with stage.machine.db.read() as link:
        return {name: int(link.execute(text(asked)).scalar() or 0) for name, asked in counted.items()}


def measure(kind: str, urls: tuple[str, str], b: common.Bench, leads: int) -> dict[str, Any]:
    """Both sides in turn, each on a database of its own; at the end both hold as many rows."""
    stages = []
    for name, url in zip(("ours", "bare"), urls, strict=True):
        stage, everybody = crowd.house(url, bench_touch.START, FILES), range(1, leads + 1)
        (folder := b.folder / f"{kind}-{name}").mkdir()
        crowd.at_work(stage, folder, RecordingChannel("email"))
        stage.machine.press = Press()  # all in one process: it is the rows that are weighed
        with crowd.in_bulk(stage.machine.db) as bulk:
            bulk.leads(everybody, bench_touch.START, **LEAD)
            bulk.consents(everybody, bench_touch.START)
            bulk.consents(everybody, bench_touch.START, "tracking")
        stages.append(stage)
    mine, other = stages
    numbers, took = (count(1), count(1)), list[tuple[dict[str, float], dict[str, float]]]()

    def we() -> dict[str, float]:
        mine.machine.email = RecordingChannel("email")  # it keeps what it has accepted
        done = bench_touch.tick(mine, leads, bench_touch.enter(mine, leads, next(numbers[0])))
        return {"us": 1e6 / done["touches/s"], "cpu": done["us of CPU"]}

    def they() -> dict[str, float]:
        number = next(numbers[1])
        return bare(other, leads, bench_touch.enter(other, leads, number), number)

    for _ in range(ROUNDS + 1):
        took.append((we(), they()))
    assert rows_of(mine) == rows_of(other), (rows_of(mine), rows_of(other))
    for stage in stages:
        stage.close()
    middle = {
        f"{side} {key}": common.statistics.median(pair[place][key] for pair in took[1:])
        for place, side in enumerate(("ours", "bare"))
        for key in ("us", "cpu")
    }
    ratio = common.statistics.median(theirs["us"] / ours["us"] for ours, theirs in took[1:])
    return {"database": kind, "leads": leads, **middle, "bare to ours": ratio}


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(2_000, 10_000)
        rows = [measure(kind, urls, b, leads) for kind, urls in b.databases("ours", "bare")]
        b.table(
            f"a touch without a relay, and its rows written bare, us a touch; medians of {ROUNDS} rounds in turn",
            rows,
            "us: of the wall; cpu: of our process, in which SQLite works and PostgreSQL does not.",
        )


if __name__ == "__main__":
    main()

"""A backtest over ten million events: ours, numpy written by hand for the same sums, and duckdb's window query.

Each side gets the same arrays in no order and says when each lead first came to the threshold. In turn, three rounds;
the ratio is the median of the rounds'. Reading the events out of a database is `bench_backtest_reading.py`.
`bench_backtest.py small` takes 200,000 events; a number takes so many.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

import common
import numpy as np
from common import timed

from nurture.backtest.history import Array, History, People, arrange
from nurture.backtest.model import Model, model_of
from nurture.backtest.replay import climbed, house_with
from nurture.backtest.rules import searches
from nurture.program.load import House, Loaded, load_house
from nurture.records.types import to_micros

EVENTS, ROUNDS, FURTHER, THRESHOLD = 10_000_000, 3, 4, 50
END = datetime(2026, 3, 2, 8, tzinfo=UTC)
SPAN = timedelta(days=730)
DAY = 86_400_000_000
POINTS = {"demo_requested": 40.0, "paper": 15.0, "webinar": 12.0, "pricing": 10.0, "click": 5.0, "product": 3.0}
SHARES = (0.01, 0.07, 0.04, 0.13, 0.35, 0.40)
PROGRAM = {
    "program.yaml": """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: UTC
sales: [{name: Sam, email: sam@bench.example}]
""",
    "lifecycle.yaml": f"mql: {{when: {{score: {{at_least: {THRESHOLD}}}}}}}\n",
}


def scoring(points: dict[str, float]) -> str:
    """A scoring.yaml of these points, all fading by half in 30 days."""
    rules = [f"  - {{rule: {name}, when: {{did: {name}}}, points: {worth:g}}}" for name, worth in points.items()]
    return "\n".join(["half_life: 30 days", "engagement:", *rules, ""])


def house_of(points: dict[str, float]) -> House:
    """A house with this scoring."""
    loaded = Loaded()
    load_house({**PROGRAM, "scoring.yaml": scoring(points)}, loaded)
    house = loaded.require().house
    assert house is not None
    return house


def leads_of(events: int) -> int:
    """How many leads so many events are made of."""
    return max(100, int(events / 14.5))


def made_up(events: int) -> tuple[int, Array, Array, Array]:
    """(leads, lead, instant, kind) of each event, in no order: most leads do little, some do a lot."""
    chance = np.random.default_rng(20260302)
    leads = leads_of(events)
    lead = (leads * chance.random(events) ** 1.5).astype(np.int32)
    begins = to_micros(END - SPAN)
    at = begins + chance.integers(0, int(SPAN / timedelta(microseconds=1)), events)
    return leads, lead, at, chance.choice(len(POINTS), events, p=SHARES).astype(np.uint8)


def by_hand(lead: Array, at: Array, kind: Array, points: Array) -> int:
    """What somebody writes who knows numpy and these rules alone: sort, add up forward decay, take the first crossing.

    One sum runs through all leads, a lead's is what has come since its first row: all share the digits of a number.
    """
    order = np.argsort((lead.astype(np.uint64) << np.uint64(44)) | ((at - at.min()).astype(np.uint64) >> np.uint64(3)))
    lead, at = lead[order], at[order]
    grown = np.exp2((at - at.min()) * (1.0 / (30 * DAY)))
    sums = np.cumsum(points[kind[order]] * grown)
    begins = np.flatnonzero(np.r_[True, lead[1:] != lead[:-1]])
    before = np.repeat(np.r_[0.0, sums[begins[1:] - 1]], np.diff(np.r_[begins, len(lead)]))
    crossed = np.flatnonzero((sums - before) / grown >= THRESHOLD - 0.500001)
    return len(np.unique(lead[crossed]))


def duck(link: Any, source: str, points: dict[str, float]) -> int:
    """The window query: a running sum of forward decay by lead, and each lead's first row at the threshold."""
    worth = " ".join(f"WHEN {number} THEN {value}" for number, value in enumerate(points.values()))
    begins = to_micros(END - SPAN)
    rows = link.execute(
        f"""
        WITH worths AS (SELECT who, moment, pow(2, (moment - {begins}) / {30.0 * DAY}) AS grown,
                               CASE kind {worth} END AS worth FROM {source}),
             sums AS (SELECT who, moment, grown, sum(worth * grown) OVER
                        (PARTITION BY who ORDER BY moment ROWS UNBOUNDED PRECEDING) AS total FROM worths)
        SELECT count(*) FROM (SELECT who, min(moment) FROM sums WHERE total / grown >= {THRESHOLD - 0.500001}
                              GROUP BY who)
        """
    ).fetchone()
    return int(rows[0])


def ours(house: House, leads: int, lead: Array, at: Array, kind: Array) -> tuple[int, History, Model]:
    """What `nurture backtest` does with what it has read: arrange, add up, and find every threshold from 10 to 90."""
    patterns: list[Any] = []
    model = model_of(house, patterns, {})
    look = searches(model, 10, 90)
    history = arrange(nobody(leads, model), patterns, lead, at, [bits_of(kind)])
    return count([model], [look], history), history, model


def count(models: list[Model], looks: list[Any], history: History) -> int:
    """How many leads came to the threshold, by the first of the models."""
    found = climbed(models, looks, history, to_micros(END))[0][0]
    return len(np.unique(found.lead[found.height >= THRESHOLD]))


def bits_of(kind: Array) -> Array:
    """The words as they are read from the database: a bit for the rule that speaks of the event."""
    return (1 << np.arange(len(POINTS), dtype=np.uint16))[kind]


def nobody(leads: int, model: Model) -> People:
    """Leads without a field that any rule asks of."""
    facts = {f"{model.prefix}fit points": np.zeros(leads), f"{model.prefix}fit": np.zeros(leads)}
    born = np.full(leads, to_micros(END - SPAN))
    return People(np.arange(leads), born, np.zeros(leads, np.int16), ("UTC",), facts)


def engine_of_columns() -> Any:
    """duckdb, if it is installed: it is no dependency of ours."""
    try:
        import duckdb  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return duckdb.connect()


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        b.versions["numpy"] = np.__version__
        measure(b, b.size(200_000, EVENTS))


def measure(b: common.Bench, events: int) -> None:
    """All sides in turn."""
    leads, lead, at, kind = made_up(events)
    points = np.array(list(POINTS.values()))
    others = [{name: worth * (0.9 - number / 10) for name, worth in POINTS.items()} for number in range(FURTHER)]
    link = engine_of_columns()
    house = house_of(POINTS)
    if link is not None:
        link.register("given", {"who": lead, "moment": at, "kind": kind})
        link.execute("CREATE TABLE rows_ AS SELECT * FROM given")
        link.execute(f"COPY rows_ TO '{b.folder}/events.parquet' (FORMAT parquet)")
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        took: dict[str, float] = {}
        history: Any
        took["ours"], (named, history, model) = timed(lambda: ours(house, leads, lead, at, kind))
        models = [model, *(model_of(house_with(house, scoring(one)), history.patterns, {}) for one in others)]
        facts = {f"{one.prefix}{name}": np.zeros(leads) for one in models for name in ("fit points", "fit")}
        history.people = replace(history.people, facts=facts)
        looks = [searches(one, 10, 90) for one in models]
        alone, _ = timed(partial(count, models[:1], looks[:1], history))
        several, _ = timed(partial(count, models, looks, history))
        took["ours, a further model"] = (several - alone) / len(others)
        history = None
        took["numpy by hand"], by = timed(lambda: by_hand(lead, at, kind, points))
        assert abs(by - named) <= 2, (by, named)  # its digits are shared by all leads
        if link is not None:
            took["duckdb, own table"], counted = timed(lambda: duck(link, "rows_", POINTS))
            took["duckdb, parquet"], _ = timed(lambda: duck(link, f"'{b.folder}/events.parquet'", POINTS))
            assert counted == named, (counted, named)
        rounds.append(took)
    show(b, f"{events:,} events of {leads:,} leads, {named:,} come to {THRESHOLD}", rounds)


def show(b: common.Bench, what: str, rounds: list[dict[str, float]]) -> None:
    """The table."""
    rivals = [side for side in rounds[0] if not side.startswith("ours")]

    def ratio(side: str) -> float:
        """To the best of the others."""
        return median(each[side] / min(each[rival] for rival in rivals) for each in rounds)

    rows = [
        {"side": side, "seconds": median(each[side] for each in rounds)}
        | ({"to the best of the others": ratio(side)} if side not in rivals else {})
        for side in rounds[0]
    ]
    notes = ["goal 1.5, and 0.2 for a further model", f"memory at most, all sides: {common.peak_mb():,.0f} MB"]
    if len(rivals) == 1:
        notes.append("duckdb is not installed: pip install duckdb")
    b.table(f"{what}; medians of {ROUNDS} rounds in turn", rows, *notes)


if __name__ == "__main__":
    main()

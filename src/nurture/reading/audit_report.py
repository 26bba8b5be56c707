"""Which criterion names leads too early, how each rule's and channel's leads fared, and what another threshold does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Subquery

from nurture.engine.machine import Machine
from nurture.engine.running import Run
from nurture.engine.statistics import Count, difference, wilson
from nurture.errors import NotFound
from nurture.language.source import suggest
from nurture.program.lifecycle import REJECTIONS
from nurture.program.load import House
from nurture.reading import audit
from nurture.reading.audit_words import (
    FEW,
    TOO_FEW,
    said_of_channels,
    said_of_criteria,
    said_of_gate,
    said_of_mqls,
    said_of_rules,
    said_of_scores,
)
from nurture.reading.counts import LADDER, Row

_DAY = 86_400_000_000
#: What may tell one channel from another, besides the text fields of program.yaml.
CHANNELS = ("source", "country", "language", "owner")
UNKNOWN = "not said"


@dataclass
class Audit:
    """What came of the definitions; `said`: the finding of each part in sentences."""

    leads: Count
    customers: int
    #: The field that tells channels apart.
    by: str
    mql: list[Row]
    milestones: list[Row]
    gate: list[Row]
    channels: list[Row]
    rules: list[Row]
    bands: list[Row]
    said: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "leads": int(self.leads.exposed), "sql": int(self.leads.converted), "customers": self.customers,
            "by": self.by, "mql": self.mql, "milestones": self.milestones, "gate": self.gate,
            "channels": self.channels, "rules": self.rules, "scores": self.bands, "said": self.said,
        }  # fmt: skip


def definition_audit(machine: Machine, *, since: datetime | None = None, by: str | None = None) -> Audit:
    """The whole audit of what happened since an instant. Raises NotPublished, and NotFound for an unknown field."""
    now, live = machine.now(), machine.live()
    by = _field(live.house, by)
    with machine.db.read() as link:
        run = Run(link, live, now)
        leads, sql, customers = run(audit.everybody(since)).one()
        every = Count(leads, sql)
        found = Audit(
            every, int(customers), by,
            _criteria(run, audit.named_mql(since), _mql_name), _criteria(run, audit.handed_over(since), _spoken),
            _criteria(run, audit.refused(since), _spoken), _channels(run, by, since, every), _rules(run, since, every),
            _bands(run(audit.by_score(since)).all()),
        )  # fmt: skip
    found.said = {
        "mql": said_of_mqls(found.mql),
        "milestones": said_of_criteria(found.milestones),
        "gate": said_of_gate(found.gate),
        "channels": said_of_channels(found.channels, int(every.exposed), found.customers),
        "rules": said_of_rules(found.rules),
        "scores": said_of_scores(found.bands),
    }
    return found


def _field(house: House, name: str | None) -> str:
    known = [*CHANNELS, *(key for key, kind in house.program.fields.items() if kind == "text")]
    if name is None:
        return "lead_source" if "lead_source" in known else "source"
    if name not in known:
        raise NotFound(f"'{name}' is no field that tells channels apart; {suggest(name, known)}")
    return name


def _mql_name(key: str) -> str:
    named = {"import": "named by a file", "hand": "named by hand"}.get(key)
    return named or f"MQL{key.removeprefix('the MQL definition holds')}".replace(":", ",")


def _spoken(key: str) -> str:
    return key.replace("_", " ")


def _criteria(run: Run, base: Subquery, name: Callable[[str], str]) -> list[Row]:
    """A row for each criterion, by how many it named."""
    days = {key: float(took) / _DAY for key, took in run(audit.median_days(base))}
    value: dict[str, dict[str, float]] = {}
    for key, currency, amount in run(audit.values(base)):
        value.setdefault(key, {})[currency or ""] = float(amount)
    rows = []
    for one in run(audit.fates(base)).mappings():
        key, counted = one["key"], Count(one["named"], one["sql"])
        low, high = wilson(counted)
        rows.append({
            "criterion": name(key), "named": one["named"], "handed over": one["handed"], "accepted": one["accepted"],
            **{word.replace("_", " "): int(one[word]) for word in REJECTIONS}, "waiting": int(one["waiting"]),
            "sql": one["sql"], "rate": round(counted.rate, 6), "low": round(low, 6), "high": round(high, 6),
            "won": one["won"], "value": value.get(key, {}),
            "median days": round(days[key], 2) if key in days else None, "few": one["named"] < FEW,
        })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["named"], row["criterion"]))


def _channels(run: Run, by: str, since: datetime | None, every: Count) -> list[Row]:
    value: dict[str, dict[str, float]] = {}
    largest: dict[str, float] = {}
    for key, currency, amount, most in run(audit.channel_values(by, since)):
        value.setdefault(key or UNKNOWN, {})[currency or ""] = float(amount)
        largest[key or UNKNOWN] = max(largest.get(key or UNKNOWN, 0.0), float(most) / float(amount) if amount else 0.0)
    found = list(run(audit.by_channel(by, since)).mappings())
    all_won = sum(int(one["customer"]) for one in found)
    rows = []
    for one in found:
        mine, key = Count(one["leads"], int(one["customer"])), one["key"] or UNKNOWN
        others = Count(every.exposed - mine.exposed, all_won - mine.converted)
        low, high = wilson(mine)
        rows.append({
            "channel": key, "leads": one["leads"], **{stage: int(one[stage]) for stage in LADDER},
            "rate": round(mine.rate, 6), "low": round(low, 6), "high": round(high, 6), "value": value.get(key, {}),
            "largest deal": round(largest.get(key, 0.0), 6), "against the others": _against(mine, others),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["leads"], row["channel"]))


def _against(mine: Count, others: Count) -> str:
    if mine.exposed < FEW:
        return TOO_FEW
    if not others.exposed:
        return ""
    low, high = difference(mine, others)
    return "better" if low > 0 else "worse" if high < 0 else "alike"


def _rules(run: Run, since: datetime | None, every: Count) -> list[Row]:
    counted = {rule: (leads, int(sql), int(won)) for rule, leads, sql, won in run(audit.by_rule(since))}
    scoring = run.live.house.scoring
    rows = [_rule(rule.rule, rule.points, counted.get(rule.rule, (0, 0, 0)), every) for rule in scoring.engagement]
    if scoring.fit:
        ends = run(audit.by_fit(run.live.house, since)).all()
        for place, fit in enumerate(scoring.fit, 2):
            leads = sum(int(end[place]) for end in ends)
            sql, won = (sum(int(end[place]) for end in ends if end[which]) for which in (0, 1))
            rows.append(_rule(fit.rule, fit.points or fit.thirds, (leads, sql, won), every))
    return rows


def _rule(name: str, points: float, theirs: tuple[int, ...], every: Count) -> Row:
    leads, sql, won = theirs
    mine, others = Count(leads, sql), Count(every.exposed - leads, every.converted - sql)
    few = min(mine.exposed, others.exposed) < FEW
    low, high = difference(mine, others) if leads and others.exposed else (-1.0, 1.0)
    against = _against(mine, others) if not few else TOO_FEW
    contradicts = (points > 0 and against == "worse") or (points < 0 and against == "better")
    return {
        "rule": name, "points": points, "leads": leads, "sql": sql, "won": won, "rate": round(mine.rate, 6),
        "rate without": round(others.rate, 6), "lift": round(mine.rate / others.rate, 4) if others.rate else None,
        "low": round(low, 6), "high": round(high, 6), "against the others": against, "contradicts": contradicts,
    }  # fmt: skip


def _bands(rows: Sequence[Any]) -> list[Row]:
    """By tens of the score at the moment of naming, with what a threshold at the lower end would have kept."""
    named, sql, _ = audit.kept(rows, 0)
    found = []
    for low in range(0, 101, 10):
        mine = [sum(int(row[place]) for row in rows if low <= row[0] <= low + 9) for place in (1, 2, 3)]
        if not mine[0]:
            continue
        above = audit.kept(rows, low)
        found.append({
            "score": f"{low} to {low + 9}" if low < 100 else "100", "from": low, "named": mine[0], "sql": mine[1],
            "won": mine[2], "rate": round(mine[1] / mine[0], 6),
            "keeps": round(above[1] / sql, 6) if sql else None, "fewer": round(1 - above[0] / named, 6),
            "few": mine[0] < FEW,
        })  # fmt: skip
    return found

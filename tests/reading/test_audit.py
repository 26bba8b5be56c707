"""The audit counts what a reader with all rows before it counts by hand, and says what is to be said of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from nurture.engine.story import tell
from nurture.errors import NotFound
from nurture.reading.audit_report import Audit, definition_audit
from nurture.reading.audit_words import said_of_channels, said_of_criteria, said_of_rules, said_of_scores
from nurture.records import Event, Handoff, Lead, Milestone, ScoreEntry, StageTransition
from tests.engine.conftest import make  # noqa: F401
from tests.engine.world import DAY, HOUR, PROGRAM, World, program, sequence

FILES = program(
    {
        "program.yaml": PROGRAM.replace("industry: text", "lead_source: text, industry: text"),
        "lifecycle.yaml": """
mql: {levels: {hot: {score: {at_least: 40}}, warm: {score: {at_least: 20}}}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
  priced: {when: {did: page_viewed, at_least: 2}, handoff: true}
gate:
  - {reason: student, refuse: {role: student}}
""",
        "scoring.yaml": """
engagement:
  - {rule: read, when: {did: paper_downloaded}, points: 15}
  - {rule: looked, when: {did: page_viewed}, points: 10}
  - {rule: asked, when: {did: demo_requested}, points: 20}
fit:
  - {rule: large, when: {employees: {at_least: 50}}, thirds: 3, points: 5}
""",
    },
    one=sequence("  - {id: done, exit: completed}"),
)
AFTER = ("sql", "opportunity", "customer")
LADDER = ("mql", "sal", *AFTER)
ENDS = [("rejected", "premature"), ("rejected", "not_persona"), ("sql", None), ("won", None), ("accepted", None)]


@pytest.fixture
def world(make: Callable[..., World]) -> World:  # noqa: F811
    """Leads of three channels that read, look and ask on three days, some answers, and leads that a file brought."""
    luck, made, turn = random.Random(7), make(FILES), itertools.count()
    kinds = itertools.product(("Paid", "social", None), ("student", "buyer"), (5, 500))
    for kind, (channel, role, size) in enumerate(kinds):
        made.crowd([f"l{kind}-{number}" for number in range(4)], role=role, employees=size,
                   **({"lead_source": channel} if channel else {}))  # fmt: skip
    for day in range(3):
        made.at(day * DAY)
        for event in ("paper_downloaded", "page_viewed", "page_viewed", "demo_requested"):
            made.event_of([name for name in made.ids if luck.random() < 0.25], event)
        made.tick().at(day * DAY + HOUR)
        waiting = [row for row in made.rows(Handoff) if row.state == "open"]
        for row in luck.sample(waiting, min(4, len(waiting))):
            given, reason = ENDS[next(turn) % len(ENDS)]
            money = {"value": luck.choice([100.0, 250.0]), "currency": "EUR"} if given == "won" else {}
            made.answer(made.names()[row.lead_id], given, reason, **money)
    for number in range(4):
        made.lead(f"file{number}", lead_source="paid", stage="mql", email=None)
    made.event("file0", "deal_won", value="1200.5", currency="EUR", occurred=made.start - 400 * DAY)
    made.event("file1", "deal_won", value="plenty")
    return made.at(4 * DAY).tick()


class Plain:
    """Everything that happened, as lists, and the questions of the audit asked lead by lead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.leads = {row.id: row for row in world.rows(Lead)}
        self.moves, self.events = world.rows(StageTransition), world.rows(Event)
        self.handoffs = [row for row in world.rows(Handoff) if row.state != "reassigned"]
        known = {row.lead_id for row in self.moves}
        self.steps = [(row.lead_id, row.to_stage, row.at, row.author) for row in self.moves if row.to_stage in LADDER]
        self.steps += [(row.id, row.stage, row.created_at, "import") for row in self.leads.values()
                       if row.id not in known and row.stage in LADDER]  # fmt: skip
        self.won = [row for row in self.events if row.name == "deal_won"]
        self.steps += [(row.lead_id, "customer", row.occurred_at, "event") for row in self.won]

    def after(self, lead: int, at: datetime | None, stages: tuple[str, ...] = AFTER) -> bool:
        return any(step[0] == lead and step[1] in stages and (at is None or step[2] >= at) for step in self.steps)

    def fate(self, named: dict[int, datetime | None]) -> dict[str, int]:
        """What became of leads since they were named; None: nobody knows when."""
        firsts = {lead: next((row for row in self.handoffs if row.lead_id == lead and (at is None or row.opened_at >= at)), None)
                  for lead, at in named.items()}  # fmt: skip
        found = {
            state: sum(row is not None and row.state == state for row in firsts.values()) for state in ("accepted",)
        }
        reasons = {
            word: sum(row is not None and row.reason == word for row in firsts.values())
            for word in ("premature", "not_persona")
        }
        return found | {
            "named": len(named), "handed over": sum(row is not None for row in firsts.values()),
            "premature": reasons["premature"], "not persona": reasons["not_persona"],
            "sql": sum(self.after(lead, at) for lead, at in named.items()),
            "won": sum(self.after(lead, at, ("customer",)) for lead, at in named.items()),
        }  # fmt: skip

    def named(self) -> dict[str, dict[int, datetime | None]]:
        found: dict[str, dict[int, datetime | None]] = {}
        for row in reversed([row for row in self.moves if row.to_stage == "mql"]):
            for rows in found.values():
                rows.pop(row.lead_id, None)
            key = (
                row.cause.replace("the MQL definition holds", "MQL").replace(":", ",")
                if row.author == "rule"
                else "named by a file"
            )
            found.setdefault(key, {})[row.lead_id] = row.at if row.author == "rule" else None
        for lead, _stage, _at, author in self.steps:
            if author == "import" and not any(row.lead_id == lead for row in self.moves):
                found.setdefault("named by a file", {})[lead] = None
        return {key: rows for key, rows in found.items() if rows}

    def counted(self) -> dict[str, tuple[int, int]]:
        """Rule to (leads for which it counted before they were named or handed over, of them SQL or beyond)."""
        first: dict[int, datetime] = {}
        instants = [(lead, at) for lead, _, at, author in self.steps if author != "import"]
        for lead, at in instants + [(row.lead_id, row.opened_at) for row in self.world.rows(Handoff)]:
            first[lead] = min(at, first.get(lead, at))
        theirs: dict[str, set[int]] = {}
        for row in self.world.rows(ScoreEntry):
            if row.counted and (row.lead_id not in first or row.at <= first[row.lead_id]):
                theirs.setdefault(row.rule, set()).add(row.lead_id)
        theirs["large"] = {row.id for row in self.leads.values() if (row.fields.get("employees") or 0) >= 50}
        return {rule: (len(leads), sum(self.after(lead, None) for lead in leads)) for rule, leads in theirs.items()}

    def scores(self) -> dict[int, list[int]]:
        """Band of the score at naming to (named, SQL)."""
        found: dict[int, list[int]] = {}
        with self.world.machine.db.read() as link:
            live = self.world.machine.library.live(link)
            for key, rows in self.named().items():
                for lead, at in rows.items() if key.startswith("MQL") else ():
                    assert at is not None
                    score = tell(link, live, lead, at).score or 0
                    band = found.setdefault(score // 10 * 10, [0, 0])
                    band[0], band[1] = band[0] + 1, band[1] + self.after(lead, at)
        return found


def shown(rows: list[dict[str, Any]], key: str, *columns: str) -> dict[str, dict[str, Any]]:
    return {row[key]: {name: row[name] for name in columns} for row in rows}


COLUMNS = ("accepted", "named", "handed over", "premature", "not persona", "sql", "won")


def test_the_audit_counts_right(world: World) -> None:
    """Levels, milestones, gate, channels with their value, rules and scores, each against a plain count."""
    audit, plain = definition_audit(world.machine), Plain(world)

    named = plain.named()
    assert len(named) >= 2
    assert shown(audit.mql, "criterion", *COLUMNS) == {key: plain.fate(rows) for key, rows in named.items()}
    firsts: dict[str, dict[int, Any]] = {}
    for row in plain.handoffs:
        firsts.setdefault(row.milestone.replace("_", " "), {}).setdefault(row.lead_id, row.opened_at)
    assert shown(audit.milestones, "criterion", *COLUMNS) == {key: plain.fate(rows) for key, rows in firsts.items()}
    refused: dict[int, Any] = {}
    for row in world.rows(Milestone):
        if row.outcome == "refused":
            refused[row.lead_id] = min(row.reached_at, refused.get(row.lead_id, row.reached_at))
    assert shown(audit.gate, "criterion", *COLUMNS) == {"student": plain.fate(refused)}

    channels: dict[str, dict[str, int]] = {}
    for row in plain.leads.values():
        mine = channels.setdefault(
            (row.fields.get("lead_source") or "not said").lower(), {"leads": 0, "sql": 0, "customer": 0}
        )
        mine["leads"] += 1
        mine["sql"] += plain.after(row.id, None)
        mine["customer"] += plain.after(row.id, None, ("customer",))
    assert shown(audit.channels, "channel", "leads", "sql", "customer") == channels
    deals = [row.value for row in plain.handoffs if row.progress == "won"]
    assert deals
    assert sum(row["value"].get("EUR", 0) for row in audit.channels) == pytest.approx(sum(deals) + 1200.5)

    counted = plain.counted()
    assert {row["rule"]: (row["leads"], row["sql"]) for row in audit.rules} == {
        rule: counted.get(rule, (0, 0)) for rule in ("read", "looked", "asked", "large")
    }
    assert {row["from"]: [row["named"], row["sql"]] for row in audit.bands} == plain.scores()
    assert audit.said["mql"][0].startswith(f"Of {sum(map(len, named.values()))} leads named MQL ")

    none = definition_audit(world.machine, since=world.start + 30 * DAY, by="industry")
    assert (none.mql, none.milestones, none.gate, none.channels) == ([], [], [], [])
    with pytest.raises(NotFound, match="did you mean 'lead_source'"):
        definition_audit(world.machine, by="lead_sourc")


def row(name: str, named: int, sql: int, accepted: int, premature: int) -> dict[str, Any]:
    return {"criterion": name, "named": named, "sql": sql, "accepted": accepted, "premature": premature,
            "not persona": 0, "inaccurate data": 0, "duplicate": 0}  # fmt: skip


def test_what_names_too_early_is_said_of_enough_leads_alone() -> None:
    """A criterion that comes back as premature more often than the others is named; of few leads nothing is said."""
    early = said_of_criteria([row("priced", 100, 5, 40, 60), row("demo", 100, 40, 95, 5), row("rare", 5, 0, 0, 5)])

    assert early[0].startswith("priced names too early: of 100 that sales answered 60 (60.0 %, ")
    assert "demo leads to SQLs more often than the others: 40 (40.0 %" in " ".join(early)
    assert early[-1] == "Too few to say anything (below 20): rare."
    assert said_of_criteria([row("a", 50, 10, 40, 10), row("b", 50, 10, 40, 10)]) == [
        "No criterion does otherwise than the others, as far as these numbers can tell."
    ]


def test_another_threshold() -> None:
    """The highest band that keeps nearly all SQLs, and the highest that keeps four of five; of few SQLs, nothing."""
    bands = [
        {"from": 50, "named": 100, "sql": 1, "keeps": 1.0, "fewer": 0.0},
        {"from": 60, "named": 60, "sql": 9, "keeps": 0.98, "fewer": 0.5},
        {"from": 70, "named": 40, "sql": 40, "keeps": 0.8, "fewer": 0.8},
    ]
    assert said_of_scores(bands) == [
        "A score of 60 would have kept 98.0 % of the SQLs with 50.0 % fewer MQLs.",
        "A score of 70 would have kept 80.0 % of the SQLs with 80.0 % fewer MQLs.",
    ]
    assert "too few to say" in said_of_scores([bands[0]])[0]


def test_a_rule_that_history_contradicts_is_named() -> None:
    """Points for what makes leads worse, the rule that tells most, and one deal that is most of a channel."""
    base = {
        "leads": 100,
        "sql": 1,
        "rate without": 0.2,
        "lift": 0.05,
        "contradicts": True,
        "against the others": "worse",
    }
    told = said_of_rules([{**base, "rule": "came by post", "points": 5, "rate": 0.01}])
    assert told == [
        "“came by post” gives points (+5), and its leads become SQLs less often: 1.0 % of 100 against 20.0 % of the others."
    ]
    channel = {
        "channel": "fair",
        "leads": 50,
        "customer": 5,
        "rate": 0.1,
        "against the others": "alike",
        "largest deal": 0.9,
    }
    assert "One deal is 90.0 % of the value of fair." in said_of_channels([channel], 50, 5)


def test_an_empty_house_has_nothing_to_say(make: Callable[..., World]) -> None:  # noqa: F811
    """No lead, no rule, no division by nothing."""
    found: Audit = definition_audit(make({**FILES, "scoring.yaml": "{}", "lifecycle.yaml": "{}"}).machine)

    assert (found.mql, found.rules, found.bands, found.channels) == ([], [], [], [])
    assert found.said["mql"] == ["Nobody was named an MQL."]

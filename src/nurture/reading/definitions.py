"""What marketing and sales have agreed, in plain sentences: MQL, SAL, SQL, the gate, the terms, the scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nurture.engine.lifecycle import rearm_levels
from nurture.language import conditions as c
from nurture.language.conditions import ByStep
from nurture.program.lifecycle import Lifecycle, MilestoneRule, Mql
from nurture.program.scoring import Scoring
from nurture.reading.definitions_of_scores import score_sections
from nurture.reading.parts import ANY, Block, Items, Section, Table, Text
from nurture.reading.sentences import sentence, several, tests

#: Where the gate sends whom it refuses.
THEN = {
    "nurture": "it stays in nurture",
    "repair": "its data is repaired first",
    "disqualified": "it is disqualified",
}
#: By which way a lead comes to sales; the usual one needs no words.
ENTRANCES = {
    "marketing": "as a marketing lead",
    "product": "by using the product (PQL)",
    "service": "as a customer who asks for more",
    "ready": "ready, without any nurture",
}
_REASONS = {
    "inaccurate_data": "its data is repaired, and it is a lead again",
    "not_persona": "it is disqualified, and its sequences end",
    "duplicate": "it is disqualified; the other record goes on",
}
#: Sales sets it; no rule does.
_SQL = (
    "A lead is an SQL when a salesperson says so: it has the budget or the means, fits the persona, acts like someone "
    "about to decide, and has met us or has booked a first meeting."
)


def sections(lifecycle: Lifecycle, scoring: Scoring) -> list[Section]:
    """The whole agreement."""
    found = [
        Section("MQL", tuple(_mql(lifecycle))),
        Section("SAL", tuple(_sal(lifecycle))),
        Section("How soon sales answers", tuple(_terms(lifecycle))),
        Section("What an answer means", tuple(_answers(lifecycle))),
        Section("SQL, and what comes after", tuple(_sql(lifecycle))),
    ]
    noted = {name: rule for name, rule in lifecycle.milestones.items() if not calls(rule)}
    if noted:
        found.append(Section("Noted, without a call to sales", (_milestones(noted),)))
    return [*found, *score_sections(scoring)]


def _mql(lifecycle: Lifecycle) -> Iterable[Block]:
    if lifecycle.lead is not None:
        yield Text("a lead", f"A subscriber becomes a lead when {sentence(lifecycle.lead.when)}.")
    rule = lifecycle.mql
    if rule is None:
        yield Text("", "Nobody has said yet what makes an MQL (mql: in lifecycle.yaml).")
        return
    if rule.when is not None:
        yield Text("", f"A lead becomes an MQL when {sentence(rule.when)}.")
        if rule.levels:
            yield Text("levels", "It is at the first of these levels that holds, if any does:")
    else:
        yield Text("", "A lead becomes an MQL when it is at one of these levels; it is at the first that holds:")
    if rule.levels:
        yield _matrix(rule)
    low = rearm_levels(rule, {"mql_level": list(rule.levels.items())})
    fell = " and ".join(f"its {name} was below {level:g}" for name, level in low.items())
    again = f"after {fell}, or after recycling" if fell else "after recycling"
    yield Text("again", f"Once it is one no more, it can become one again {again}.")


def _matrix(rule: Mql) -> Table:
    """A row for each level, a column for each dimension; what fits no cell stands in the last column."""
    rows: list[dict[str, list[str]]] = []
    for condition in rule.levels.values():
        cells: dict[str, list[str]] = {}
        for part in condition.parts if isinstance(condition, c.All) else (condition,):
            column = part.name.replace("_", " ") if isinstance(part, c.Field) else _OTHERWISE
            cells.setdefault(column, []).append(tests(part) if isinstance(part, c.Field) else sentence(part))
        rows.append(cells)
    columns = [name for name in dict.fromkeys(name for cells in rows for name in cells) if name != _OTHERWISE]
    columns += [_OTHERWISE] if any(_OTHERWISE in cells for cells in rows) else []
    return Table(
        ("level", *columns),
        tuple(
            (level.replace("_", " "), *(" and ".join(cells.get(name, [ANY])) for name in columns))
            for level, cells in zip(rule.levels, rows, strict=True)
        ),
    )


_OTHERWISE = "and what it did"


def _sal(lifecycle: Lifecycle) -> Iterable[Block]:
    calling = {name: rule for name, rule in lifecycle.milestones.items() if calls(rule)}
    if not calling:
        yield Text("", "Nobody has said yet which milestones call sales (handoff: true in lifecycle.yaml).")
        return
    yield Text(
        "",
        "A lead is handed to sales by the first of these milestones that it reaches, and of several at once by what "
        "it asks for:",
    )
    yield _milestones(calling, numbered=True)
    if lifecycle.gate:
        yield Text("gate", "The gate refuses it, by the first of these that is true:")
        yield Items(
            tuple(
                (rule.reason.replace("_", " "), f"{sentence(rule.refuse)}; {THEN[rule.then]}{_asked(rule.entrances)}")
                for rule in lifecycle.gate
            ),
            numbered=True,
        )
    else:
        yield Text("gate", "There is no gate: whoever reaches one of them is handed over.")
    when = "when the gate lets it pass" if lifecycle.acceptance == "by_gate" else "when a salesperson accepts it"
    yield Text("acceptance", f"It is an SAL {when}.")
    yield Text("evidence", "Whom sales has already is not handed over again: the milestone is added as evidence.")


def _asked(entrances: Sequence[str]) -> str:
    return f" (asked of who comes {several([ENTRANCES[way] for way in entrances])})" if entrances else ""


def _terms(lifecycle: Lifecycle) -> Iterable[Block]:
    sla = lifecycle.sla
    meet = f" The first meeting follows within {_hours(sla.meet_within)} of that." if sla.meet_within else ""
    yield Text("answer", f"Sales answers within {_hours(sla.accept_within)} of the salesperson.{meet}")
    yield Text("reminder", "Who has not answered is reminded at half time." if sla.remind else "Nobody is reminded.")
    others = "one other salesperson" if sla.reassign == 1 else f"{sla.reassign} others, one after another"
    passed = f"it goes to {others}" if sla.reassign else "it stays with who has it"
    told = f", and {sla.escalate_to} is told" if sla.escalate_to else ""
    yield Text("expiry", f"If nobody answers in time, {passed}{told}.")


def _hours(hours: float) -> str:
    return f"{hours:g} business hour{'' if hours == 1 else 's'}"


def _answers(lifecycle: Lifecycle) -> Iterable[Block]:
    yield Text("", "A salesperson accepts the lead, or rejects it for one of four reasons:")
    rest = lifecycle.recycle.get("premature")
    premature = "it goes back into nurture" + (f" after a rest of {rest}" if rest else ", without a rest")
    reasons = {**_REASONS, "premature": premature}
    yield Items(tuple((reason.replace("_", " "), reasons[reason]) for reason in sorted(reasons)))
    yield Text("customer", "A customer who asked for more stays a customer, whatever the answer is.")


def _sql(lifecycle: Lifecycle) -> Iterable[Block]:
    yield Text("", _SQL)
    yield Text("won", "A deal that is won makes a customer of it. A deal that is lost has one of these reasons:")
    rest = lifecycle.recycle.get("lost")
    again = "it is nurtured again" + (f" after a rest of {rest}" if rest else ", without a rest")
    where = {"recycled": again, "disqualified": THEN["disqualified"]}
    yield Items(tuple((reason.replace("_", " "), where[to]) for reason, to in lifecycle.lost_reasons.items()))
    known = ", ".join(status.replace("_", " ") for status in lifecycle.known_statuses)
    yield Text("statuses", f"What a salesperson may be doing about a lead: {known}.")


def calls(rule: MilestoneRule) -> bool:
    """Whether a milestone calls sales."""
    return rule.handoff or isinstance(rule.when, ByStep)


def _milestones(rules: dict[str, MilestoneRule], *, numbered: bool = False) -> Items:
    return Items(tuple((name.replace("_", " "), _milestone(name, rule)) for name, rule in rules.items()), numbered)


def _milestone(name: str, rule: MilestoneRule) -> str:
    """What reaches it, where its name does not say so already, and by which way the lead comes then."""
    said = sentence(rule.when)
    way = "" if rule.entrance == "marketing" else f"it comes {ENTRANCES[rule.entrance]}"
    return "; ".join(part for part in ("" if said == name.replace("_", " ") else said, way) if part)

"""What marketing and sales have agreed, in plain sentences: MQL, SAL, the gate, the milestones."""

from __future__ import annotations

from babel.dates import format_date

from nurture.language.conditions import ByStep
from nurture.program.lifecycle import REJECTIONS, MilestoneRule
from nurture.program.load import House
from nurture.reading.sentences import sentence

_THEN = {
    "nurture": "it stays in nurture",
    "repair": "its data is repaired first",
    "disqualified": "it is disqualified",
}


def definitions(house: House) -> str:
    """The page that both sides can put their names under."""
    lifecycle = house.lifecycle
    lines = [f"# Definitions of {house.program.name}"]
    if lifecycle.definitions is not None:
        names = ", ".join(lifecycle.definitions.by)
        lines.append(f"Agreed on {format_date(lifecycle.definitions.agreed, 'd MMMM y', locale='en')} by {names}.")
    lines += ["", "## MQL", *_mql(house), "", "## SAL", *_sal(house)]
    noted = [name for name, rule in lifecycle.milestones.items() if not _calls(rule)]
    if noted:
        lines += ["", "## Noted, without a call to sales"]
        lines += [f"- {_milestone(name, lifecycle.milestones[name])}" for name in noted]
    return "\n".join(lines)


def _mql(house: House) -> list[str]:
    rule = house.lifecycle.mql
    if rule is None:
        return ["Nobody has said yet what makes an MQL (mql: in lifecycle.yaml)."]
    again = "or after recycling"
    if rule.rearm_below is not None:
        again = f"after its score was below {rule.rearm_below}, {again}"
    return [f"A lead becomes an MQL when {sentence(rule.condition)}.", f"It can become one again {again}."]


def _sal(house: House) -> list[str]:
    lifecycle = house.lifecycle
    lines = ["A lead is handed to sales when it reaches one of these milestones:"]
    lines += [f"- {_milestone(name, rule)}" for name, rule in lifecycle.milestones.items() if _calls(rule)]
    if lifecycle.gate:
        lines += ["", "The gate refuses it, by the first of these that is true:"]
        lines += [
            f"{number}. {rule.reason.replace('_', ' ')}: {sentence(rule.refuse)}; {_THEN[rule.then]}"
            for number, rule in enumerate(lifecycle.gate, 1)
        ]
    when = "when the gate lets it pass" if lifecycle.acceptance == "by_gate" else "when a salesperson accepts it"
    hours = f"{lifecycle.sla.accept_within:g} business hours"
    reasons = ", ".join(reason.replace("_", " ") for reason in REJECTIONS)
    lines += ["", f"It is an SAL {when}. Sales answers within {hours}: accepted, or rejected as {reasons}."]
    if rest := lifecycle.recycle.get("premature"):
        lines.append(f"A lead rejected as premature rests for {rest} before it may be nurtured again.")
    return lines


def _calls(rule: MilestoneRule) -> bool:
    return rule.handoff or isinstance(rule.when, ByStep)


def _milestone(name: str, rule: MilestoneRule) -> str:
    plain, said = name.replace("_", " "), sentence(rule.when)
    return plain if plain == said else f"{plain}: {said}"

"""What the rules of a house look for in the past: who becomes an MQL, who reaches a milestone that goes to sales."""

from __future__ import annotations

from dataclasses import dataclass, field

from nurture.backtest.model import Model, expanded, only_bound, threshold_of
from nurture.backtest.scan import Climb
from nurture.engine.lifecycle import rearm_levels
from nurture.language import conditions as c


@dataclass
class Searches:
    """What to look for. `names` and `climbs` stand side by side; with `own_table` the climb of the thresholds' table
    comes after them, else it is the first.

    `level`: today's threshold, None where the definition has not just one; `number`: of what; `left_out`: what cannot
    be asked of the past, in sentences.
    """

    names: list[str] = field(default_factory=list)
    climbs: list[Climb] = field(default_factory=list)
    level: int | None = None
    number: str = "score"
    own_table: bool = True
    left_out: list[str] = field(default_factory=list)


def searches(model: Model, lowest: int, highest: int) -> Searches:
    """What the rules of `model` look for, with a table of the thresholds from `lowest` to `highest`."""
    found = Searches()
    lifecycle = model.house.lifecycle
    table = Climb("score", floor=lowest, level=highest)
    if lifecycle.mql is not None:
        condition = expanded(lifecycle.mql.condition, model.house)
        bound = only_bound(condition)
        rearm = rearm_levels(lifecycle.mql, model.house.scope.levels)
        if bound is None:
            climb = Climb(None, must=model.test(condition), rearm=rearm, again=True)
        else:
            found.level, found.number = max(1, threshold_of(bound)), bound.name
            must = None if condition == bound else model.test(condition, assume=False)
            may = None if condition == bound else model.test(condition, assume=True)
            floor = min(lowest, found.level)
            climb = Climb(bound.name, must, may, floor, found.level, rearm, again=True)
            found.own_table = False
        found.names.append("MQL")
        found.climbs.append(climb)
    for name, rule in lifecycle.milestones.items():
        if not rule.handoff:
            continue
        if isinstance(rule.when, c.ByStep):
            found.left_out.append(f"'{name}' is reached by a step of a sequence: it is no matter of scoring")
        elif any(isinstance(part, c.Field) and part.name == "stage" for part in c.walk(rule.when)):
            found.left_out.append(f"'{name}' speaks of the stage: it is counted with the MQLs")
        else:
            found.names.append(name)
            found.climbs.append(Climb(None, must=model.test(rule.when)))
    if found.own_table:
        found.climbs.append(table)
    return found

"""scoring.yaml in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from nurture.program.scoring import Cap, EngagementRule, Group, Scoring
from nurture.reading.parts import Block, Items, Section, Text
from nurture.reading.sentences import sentence


def score_sections(scoring: Scoring) -> Iterator[Section]:
    """A section for each part that the file has."""
    if scoring.engagement or scoring.fit:
        yield Section("The score", (Text("", _number(scoring)),))
    if scoring.engagement:
        points: list[Block] = [Items(tuple((rule.rule, _points(rule)) for rule in scoring.engagement))]
        if scoring.groups:
            groups = tuple((name.replace("_", " "), _group(group)) for name, group in scoring.groups.items())
            points += [Text("groups", "Rules of one group count together:"), Items(groups)]
        yield Section("What earns points", tuple(points))
    if scoring.fit:
        fit = tuple((rule.rule, f"{_worth(rule.thirds, rule.points)}: {sentence(rule.when)}") for rule in scoring.fit)
        begin = "A letter from F to A+. It starts at D, and moves by thirds of a letter where a rule holds:"
        yield Section("Fit", (Text("", begin), Items(fit)))
    levels = {
        "Awareness": [(rule.level, rule.when) for rule in scoring.awareness],
        "Buying stage": [(rule.stage, rule.when) for rule in scoring.buying_stage],
    }
    for title, rules in levels.items():
        if rules:
            said = tuple((level.replace("_", " "), sentence(when)) for level, when in rules)
            yield Section(title, (Text("", "A lead is at the first that holds:"), Items(said, numbered=True)))


def _number(scoring: Scoring) -> str:
    most = f", {scoring.at_most:g} at most from what it did" if scoring.at_most is not None else ""
    return (
        f"A number from 0 to 100: the points that a lead earned, each of which is worth half after every "
        f"{scoring.half_life} unless said otherwise, and the points of its fit{most}. Only what people do counts."
    )


def _points(rule: EngagementRule) -> str:
    said = f"{rule.points:+g} for each {sentence(rule.when)}{_cap(rule.cap)}"
    if rule.group is not None:
        return f"{said}, in the group {rule.group.replace('_', ' ')}"
    return f"{said}, half of it after every {rule.half_life}" if rule.half_life is not None else said


def _cap(cap: Cap) -> str:
    bounds = [
        f"{number} {word}" for number, word in ((cap.per_day, "a day"), (cap.in_total, "in all")) if number is not None
    ]
    return f", at most {' and '.join(bounds)}" if bounds else ""


def _group(group: Group) -> str:
    fades = f"worth half after every {group.half_life}" if group.half_life else ""
    ends = f"worth nothing after {group.expires}" if group.expires else ""
    most = f"{group.at_most:g} points at most" if group.at_most is not None else ""
    least = f"{group.at_least:g} at least" if group.at_least is not None else ""
    return ", ".join(part for part in (fades, ends, most, least) if part) or "without a bound"


def _worth(thirds: int, points: float) -> str:
    third = f"{thirds:+d} third{'' if abs(thirds) == 1 else 's'}" if thirds else ""
    return " and ".join(part for part in (third, f"{points:+g} points" if points else "") if part) or "nothing"

"""What is wrong with the groups of scoring.yaml; and the levels that the files of the house name."""

from __future__ import annotations

from nurture.language.source import Source, suggest

#: Dimension to the key that names its levels.
_LEVEL_KEYS = {"awareness": "level", "buying_stage": "stage"}


def check_groups(source: Source) -> None:
    """A group that a rule names is there, and each is some rule's."""
    groups, rules = source.at(("groups",)) or {}, source.at(("engagement",)) or []
    if not isinstance(groups, dict) or not isinstance(rules, list):
        return
    named = [rule.get("group") if isinstance(rule, dict) else None for rule in rules]
    for index, group in enumerate(named):
        if isinstance(group, str) and group not in groups:
            remedy = suggest(group, groups) if groups else "write it under groups:"
            source.complain(("engagement", index, "group"), f"there is no group '{group}'", remedy)
    for name in groups:
        if name not in named:
            remedy = "write group: at the rules that belong there, or remove it"
            source.complain(("groups", name), f"no rule is in the group '{name}'", remedy, at_key=True)


def levels_of(scoring: Source, lifecycle: Source) -> dict[str, list[str] | None]:
    """Dimension to its levels, best first; None where they cannot be read."""
    levels = {part: _names(scoring, part, key) for part, key in _LEVEL_KEYS.items()}
    matrix = lifecycle.at(("mql", "levels"))
    if matrix is None and lifecycle.value is not None:
        matrix = {}
    return {**levels, "mql_level": [str(name) for name in matrix] if isinstance(matrix, dict) else None}


def _names(source: Source, part: str, key: str) -> list[str] | None:
    """What the entries of a list are called; None where the list cannot be read."""
    entries = source.at((part,))
    if entries is None and source.value is not None:
        return []
    if not isinstance(entries, list):
        return None
    return [str(entry.get(key)) for entry in entries if isinstance(entry, dict)]

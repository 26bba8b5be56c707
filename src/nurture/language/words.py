"""The words of conditions: grades, what every lead has, operators; and what may stand beside an operator."""

from __future__ import annotations

from datetime import date
from typing import Any

GRADES = ("F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+")
#: Thirds of a letter counted from D.
GRADE_OF = {letter: index - 2 for index, letter in enumerate(GRADES)}
BUILT_IN = ("email", "first_name", "last_name", "company", "title", "phone", "country", "language", "timezone")
#: What the house knows of a lead besides its fields.
STATE = ("stage", "status", "source", "owner")
#: What follows from its address and its company.
OF_THE_ADDRESS = ("domain", "domain_kind", "account")
#: What a domain may be (`domain_kind`).
DOMAIN_KINDS = ("company", "free", "disposable", "academic")
OPERATORS = (
    "is", "not", "one_of", "at_least", "at_most", "above", "under", "contains", "starts_with",
    "known", "before", "after",
)  # fmt: skip
NUMERIC = ("at_least", "at_most", "above", "under")
#: Numbers of 0 to 100 that the house makes of what a lead did, and of what it is.
SCORES = ("score", "engagement")
#: What is in levels, best first, each a rule of scoring.yaml, or of `mql:` in lifecycle.yaml.
LEVELS = ("awareness", "buying_stage", "mql_level")


def operand_fault(name: str, operator: str, operand: Any) -> tuple[str, str] | None:
    """What is wrong with `name: {operator: operand}` and the way out; None: nothing that the words alone can tell."""
    values = operand if isinstance(operand, list) else [operand]
    if operator == "known":
        return (
            None
            if isinstance(operand, bool)
            else (f"'{operand}' is not true or false", f"write {name}: {{known: true}}")
        )
    if operator in ("before", "after"):
        try:
            date.fromisoformat(str(operand))
        except ValueError:
            return f"'{operand}' is not a date", "write 2026-03-02"
        return None
    if name == "fit":
        wrong = [value for value in values if value not in GRADES]
        return (f"'{wrong[0]}' is not a grade", f"known: {', '.join(GRADES)}") if wrong else None
    if name in LEVELS and operator in NUMERIC and not isinstance(operand, str):
        return f"'{operand}' is not a level", f"write {name}: {{{operator}: the name of a level}}"
    numeric = operator in NUMERIC and name not in LEVELS
    if numeric and (isinstance(operand, bool) or not isinstance(operand, int | float)):
        return f"'{operand}' is not a number", f"write {name}: {{{operator}: 50}}"
    if any(value is None or isinstance(value, dict | list) for value in values):
        return f"'{name}' is compared with nothing", f"write {name}: {{known: false}} for an unknown value"
    return None

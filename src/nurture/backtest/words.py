"""Small words of sentences."""

from __future__ import annotations


def count(number: float, word: str, many: str = "") -> str:
    """`1 day`, `90 days`, `0.5 days`, `2,841 leads`."""
    return f"{number:,.10g} {word if number == 1 else many or word + 's'}"


def article(success: str) -> str:
    """The stage with its article."""
    return {"sql": "an SQL", "opportunity": "an opportunity", "customer": "a customer"}[success]


def share(value: float | None) -> str:
    """`31 %`; a dash where nobody is asked of."""
    return "–" if value is None else f"{value:.0%}".replace("%", " %")

"""Shares of the leads by a hash of the lead and the experiment: the same lead gets the same arm, on every machine.

`((a·key + b) mod p) mod 10000` is linear hashing over the field of p = 2^31 - 1 (Carter and Wegman, 1979): `key` is
the lead's fixed random number, a and b come from the experiment's name. 64-bit integers suffice on both databases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator
from sqlalchemy import BigInteger, ColumnElement, SQLColumnExpression, String, case, cast, literal

from nurture.language.source import Misread, Path

PRIME = 2**31 - 1
#: Places among which the leads are dealt: a hundredth of a per cent each.
PLACES = 10_000
#: The experiment's name of the global holdout: no sequence is called so together with a step.
HOLDOUT = "holdout"


def experiment(sequence: str, step: str) -> str:
    """What an experiment is called: its arms are independent of those of any other name."""
    return f"{sequence}/{step}"


@cache
def factors(name: str) -> tuple[int, int]:
    """a (1 to p - 1) and b (0 to p - 1) of the experiment `name`, from its SHA-256."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) % (PRIME - 1) + 1, int.from_bytes(digest[8:16]) % PRIME


def place(name: str, key: SQLColumnExpression[Any]) -> ColumnElement[int]:
    """The place, 0 to 9999, of the lead with this key in the experiment `name`."""
    a, b = (literal(factor, BigInteger) for factor in factors(name))
    return (a * cast(key, BigInteger) + b) % literal(PRIME, BigInteger) % literal(PLACES, BigInteger)


def place_of(name: str, key: int) -> int:
    """The same for one key."""
    a, b = factors(name)
    return (a * key + b) % PRIME % PLACES


def drawn_arm(name: str, key: SQLColumnExpression[Any], shares: Mapping[str, int]) -> ColumnElement[str]:
    """The arm of the lead with this key; `shares`: of each arm, in places."""
    where = place(name, key)
    *cases, (last, _) = bounds(shares)
    return case(*((where < bound, literal(arm, String)) for arm, bound in cases), else_=literal(last, String))


def bounds(shares: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Each arm and the place at which the next begins. By name, so that another order in the file moves nobody."""
    bound = 0
    for arm in sorted(shares):
        bound += shares[arm]
        yield arm, bound


def percent(places: int) -> str:
    """`60 %`, `33.3 %`."""
    return f"{places / 100:g} %"


def parse_share(value: Any) -> int:
    """`60`, `33.3` or `5%` in places; above 0 and below 100. Raises ValueError."""
    try:
        exact = Decimal(str(value).strip().removesuffix("%").rstrip()) * 100
    except InvalidOperation:
        exact = Decimal("NaN")
    if isinstance(value, bool) or not exact.is_finite() or not 0 < exact < PLACES or exact != int(exact):
        raise ValueError(f"'{value}' is not a share; write a percentage such as 60 or 33.3")
    return int(exact)


def parse_shares(value: Any) -> dict[str, int]:
    """`{nudge: 60, case: 40}` in places. Raises Misread."""
    if not isinstance(value, dict) or len(value) < 2:
        raise Misread([((), "fewer than two arms", "write {a: 50, b: 50}")])
    shares: dict[str, int] = {}
    wrong: list[tuple[Path, str, str]] = []
    for arm, written in value.items():
        try:
            shares[str(arm)] = parse_share(written)
        except ValueError as problem:
            what, _, remedy = str(problem).partition("; ")
            wrong.append(((str(arm),), what, remedy))
    total = sum(shares.values())
    if not wrong and total != PLACES:
        wrong.append(((), f"the shares sum to {total / 100:g}", "let them sum to 100"))
    if wrong:
        raise Misread(wrong)
    return shares


#: Arm to its share in places, as a value of a YAML field.
Shares = Annotated[dict[str, int], BeforeValidator(parse_shares, json_schema_input_type=dict[str, float | str])]
#: A share of all leads in places.
Share = Annotated[int, BeforeValidator(parse_share, json_schema_input_type=float | str)]

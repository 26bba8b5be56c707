"""What steps ask of salespeople, and where other systems are told of leads."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, machine, say, tell_json, tell_table
from nurture.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

Number = Annotated[int, Parameter(name="ID", help="The number of the task.")]


def tasks(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="", help="Those that are done, too.")] = False,
    json: Json = False,
) -> int:
    """List what salespeople are asked to do for leads, the oldest first."""
    from nurture.reading.tasks import listed

    with machine() as opened:
        rows = listed(opened, done=all)
    if json:
        tell_json(rows)
        return 0
    shown = [{**row, "owner": row["owner"].partition("@")[0]} for row in rows]
    empty = "There are no tasks yet." if all else "Nothing is left to do."
    tell_table(shown, spare=("company", "segment", "step", "asked"), empty=empty)
    return 0


def done(
    number: Number,
    /,
    *,
    by: Annotated[str | None, Parameter(name="--by", help="Who did it; else the one who was asked.")] = None,
) -> int:
    """Say that a task is done; its lead may wait for that."""
    from nurture.engine import doors

    with machine() as opened:
        now = opened.now()

        def answer(link: Connection) -> str:
            return doors.done(link, opened.library.live(link), number, by, now)

        who = opened.db.transact(answer, door=True)
    say(f"Task {number} is done, by {who}.")
    return 0


def endpoints(
    *,
    secret: Annotated[
        str | None, Parameter(name="--secret", help="Print the key that signs what goes to this one.")
    ] = None,
    json: Json = False,
) -> int:
    """List the audiences and webhooks that the live program names, and where each leads."""
    with machine() as opened:
        rows = _named(opened.live().house.program)
        if secret is not None:
            chosen = [row for row in rows if secret in (row["name"], f"{row['kind']}:{row['name']}")]
            if len(chosen) != 1:
                known = ", ".join(f"{row['kind']}:{row['name']}" for row in rows) or "none"
                raise NotFound(f"'{secret}' names no endpoint, or two; known are {known}")
            say(_whsec(opened.keys.signing(_signed_as(chosen[0]))))
            return 0
    if json:
        tell_json(rows)
        return 0
    tell_table(rows, empty="The program names no audience and no webhook.")
    return 0


def _named(program: Any) -> list[dict[str, str]]:
    kinds = {"audience": program.audiences, "webhook": program.webhooks}
    rows = [
        {"kind": kind, "name": name, "url": one.url} for kind, named in kinds.items() for name, one in named.items()
    ]
    ours = program.crm is not None and program.crm.kind == "webhook"
    return [*rows, {"kind": "crm", "name": "webhook", "url": program.crm.address}] if ours else rows


def _signed_as(row: dict[str, str]) -> str:
    from nurture.channels.webhook import signed_as

    ways = {"webhook": signed_as(row["name"]), "crm": f"crm:{row['name']}"}
    return ways.get(row["kind"], row["name"])


def _whsec(key: bytes) -> str:
    """A symmetric secret as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(key).decode()}"

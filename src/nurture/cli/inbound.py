"""What comes back by mail: take it in from a pipe, files or a mailbox, and look at what came."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, complain, counted, machine, say, settings, tell_json, tell_table
from nurture.errors import FileFault, NurtureError

if TYPE_CHECKING:
    from nurture.inbound.taking import Taken

log = logging.getLogger("nurture.cli")
#: EX_TEMPFAIL of sysexits.h: a mail server that pipes a message to us keeps it and tries again.
KEEP_IT = os.EX_TEMPFAIL


def take(
    *files: Annotated[
        Path,
        Parameter(
            name="FILE", allow_leading_hyphen=True, help="A message as it came; none or - is the standard input."
        ),
    ],
    to: Annotated[
        tuple[str, ...], Parameter(negative="", help="The envelope's recipient, where the mail server says it.")
    ] = (),
    json: Json = False,
) -> int:
    """Take in messages that came back: one from the standard input, as a mail server pipes it, or files."""
    if files and Path("-") not in files:
        _take(files, to, json)
        return 0
    try:
        _take(files, to, json)
    except NurtureError as problem:
        complain(str(problem))
        return KEEP_IT
    except Exception:
        log.exception("a message could not be taken in; the mail server is asked to keep it")
        return KEEP_IT
    return 0


def _take(files: Sequence[Path], to: Sequence[str], json: bool) -> None:
    from nurture.inbound.taking import take as take_in

    messages = list(_messages(files))
    with machine() as opened:
        done = [take_in(opened, data, to) for data in messages]
    _tell(done, json)


def _messages(files: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of each, no more than are taken in. Raises FileFault."""
    from nurture.inbound.taking import LARGEST

    for file in files or (Path("-"),):
        if str(file) == "-":
            yield sys.stdin.buffer.read(LARGEST)
            continue
        try:
            with file.open("rb") as opened:
                yield opened.read(LARGEST)
        except OSError as problem:
            raise FileFault(
                f"{file}: cannot be read ({problem.strerror}); name files that hold one message each"
            ) from None


def fetch(*, json: Json = False) -> int:
    """Take in the unseen messages of the mailbox of NURTURE_MAILBOX_URL, and mark them as seen."""
    from nurture.inbound import mailbox

    given = settings()
    with machine(given=given) as opened:
        done = mailbox.fetch(opened, given)
    _tell(done, json)
    return 0


def _tell(done: Iterable[Taken], json: bool) -> None:
    rows = [_row(taken) for taken in done]
    if json:
        tell_json(rows)
        return
    say(f"{counted(len(rows), 'message')} taken in.")
    again = sum(not row["new"] for row in rows)
    for (kind, outcome), count in sorted(Counter((row["kind"], row["outcome"]) for row in rows).items()):
        say(f"  {kind}, {outcome}: {count:,}")
    if again:
        say(f"  of these known before, and left as they were: {again:,}")


def _row(taken: Taken) -> dict[str, Any]:
    told = taken.told
    return {
        "kind": told.kind, "severity": told.severity, "status": told.status, "outcome": taken.outcome,
        "touch": taken.touch, "lead": taken.lead, "detail": told.detail, "new": taken.new,
    }  # fmt: skip


def show(
    *,
    last: Annotated[int, Parameter(help="How many at most.")] = 100,
    json: Json = False,
) -> int:
    """List what came back, the newest first, and what was done with it."""
    from nurture.reading.returns import returns

    with machine() as opened:
        rows = returns(opened, last)
    if json:
        tell_json(rows)
    else:
        tell_table(
            rows,
            keep=("when", "kind", "outcome"),
            spare=("lead", "touch"),
            empty="Nothing has come back yet.",
        )
    return 0

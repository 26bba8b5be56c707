"""What a person may ask of us, and what the house keeps: dossier, forget, retain, export."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nurture.cli.speech import Json, WrongUse, complain, counted, machine, say, settings, tell_json, tell_table

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.rights.forget import Forgotten

Who = Annotated[str, Parameter(name="WHO", help="An e-mail address, source:id, or our own number.")]
By = Annotated[str, Parameter(help="Who decides, for the erasure's row.")]
Out = Annotated[Path | None, Parameter(name="--out", help="Write to this file instead of the standard output.")]
#: What retention removes, in words.
_KINDS = {
    "events": "events, with what they earned", "inbound": "bounces, complaints and replies", "visits": "visits",
    "visitors": "browsers", "confirmations": "consents that were never confirmed",
    "mail_copies": "kept messages", "refused_rows": "files of refused rows",
}  # fmt: skip


def dossier(
    who: Who,
    /,
    *,
    json: Json = False,
    csv: Annotated[Path | None, Parameter(help="Write a CSV for each table into this folder.")] = None,
    out: Out = None,
    received: Annotated[str | None, Parameter(help="The day on which the person asked, such as 2026-03-02.")] = None,
) -> int:
    """Print or write everything that is held about a person, for that person."""
    from nurture.rights import dossier as rights
    from nurture.rights.export import as_json

    given = settings()
    with machine(given=given) as opened:
        now = opened.now()
        asked = _day(received) if received else now.date()
        document = rights.dossier(opened, given.home, who, now, asked)
    if csv is not None:
        files = rights.write_folder(document, csv)
        say(f"{csv}: {counted(len(files), 'file')}. The person is to have it by {document['about']['due']}.")
    elif out is not None or json:
        with _writing(out) as sink:
            sink.write(as_json(document, indent=2) + "\n")
        if out is not None:
            say(f"{out}: all that is held about {who}. The person is to have it by {document['about']['due']}.")
    else:
        _tell_dossier(document, who)
    return 0


def _tell_dossier(document: dict[str, Any], who: str) -> None:
    about = document["about"]
    rows = [
        {"what": name.replace("_", " "), "held": len(value) if isinstance(value, list) else 1}
        for name, value in document.items()
        if name not in ("about", "work") and value
    ]
    say(f"Held about {who}:")
    tell_table(rows)
    for told in about["told"]:
        say(f"Told of this person: {told}")
    say(f"Asked on {about['received']}: the person is to have it by {about['due']} ({about['law']}).")
    say(f"To hand it over: nurture dossier {who} --out FILE.json, or --csv FOLDER.")


def forget(
    who: Who, /, *, yes: Annotated[bool, Parameter(negative="", help="Ask nothing.")] = False,
    by: By = "command line", json: Json = False,
) -> int:  # fmt: skip
    """Forget a person in every table and file; the counts stay, and no import brings them back."""
    from nurture.rights.forget import forget as act
    from nurture.rights.forget import look

    given = settings()
    with machine(given=given) as opened:
        found = look(opened, who)
        if not yes and not _sure(found, who):
            return 1
        done = act(opened, given.home, who, by=by, now=opened.now())
    if json:
        tell_json({"lead": done.person.lead, "rows": done.counts, "files": done.files, "told": done.told})
        return 0
    if found.before is not None and not done.counts:
        say(f"{who} was forgotten on {found.before:%Y-%m-%d} already; nothing was left to remove.")
    elif not done.counts:
        say(f"Nothing was held about {who}; they are on the list of the forgotten, so that no import brings them.")
    else:
        held = counted(sum(done.counts.values()), "row") + (f" and {counted(done.files, 'file')}" if done.files else "")
        say(f"{who} is forgotten; removed or emptied: {held}. Imports of this address are refused from now on.")
        for told in done.told:
            say(f"Told of this person before, and to be told of this (GDPR article 19): {told}")
    return 0


def _sure(found: Forgotten, who: str) -> bool:
    """Show what would go, and ask; without a terminal the answer is no."""
    from nurture.rights.schema import called

    if found.before is None:
        rows = [{"what": called(name).replace("_", " "), "held": count} for name, count in found.counts.items()]
        say(f"Held about {who}:" if rows else f"Nothing is held about {who}.")
        if rows:
            tell_table(rows)
    if not sys.stdin.isatty():
        complain("This cannot be taken back. To forget this person, say --yes.")
        return False
    return input(f"Forget {who}? This cannot be taken back. [y/N] ").strip().casefold() in ("y", "yes")


def retain(*, dry_run: Annotated[bool, Parameter(negative="", help="Only count.")] = False, json: Json = False) -> int:
    """Remove what is older than 'retention:' of program.yaml allows; every tick does so once a day."""
    from nurture.rights import retention

    given = settings()
    with machine(given=given) as opened:
        done = retention.retain(opened, given.home, opened.now(), dry_run=dry_run)
    if json:
        tell_json(dict(done))
        return 0
    title = "Older than its time" if dry_run else "Removed"
    rows = [{"what": words, "": done[kind]} for kind, words in _KINDS.items() if done[kind]]
    tell_table(rows, title=title, empty=f"{title}: nothing.")
    return 0


def export(
    table: Annotated[str | None, Parameter(name="TABLE", help="leads, events, touches …; --list names all.")] = None,
    /,
    *,
    form: Annotated[
        Literal["csv", "ndjson"], Parameter(name="--format", help="Safe in spreadsheets, or exact.")
    ] = "csv",
    out: Out = None,
    listed: Annotated[
        bool, Parameter(name="--list", negative="", help="Name the tables and count their rows.")
    ] = False,
) -> int:
    """Write any table as CSV, safe in spreadsheets, or as NDJSON, exact; leads and events can be imported again."""
    from nurture.cli.leads import program_of
    from nurture.rights import export as rights
    from nurture.rights.views import sheet

    given = settings()
    with machine(given=given) as opened:
        if listed:
            _tell_tables(opened)
            return 0
        if table is None:
            raise WrongUse("say which table, such as 'nurture export leads'; --list names them all")
        name = rights.table_of(table)
        fields = list(program_of(opened, given).fields) if name == "lead" else []
        sheet_ = sheet(opened.db, name, fields, opened.now())
        with _writing(out, bom=form == "csv") as sink:
            count = (rights.write_csv if form == "csv" else rights.write_ndjson)(sheet_, sink)
    if out is not None:
        say(f"{out}: {counted(count, 'row')}.")
    return 0


def _tell_tables(opened: Machine) -> None:
    from sqlalchemy import func, select

    from nurture.rights.export import words
    from nurture.rights.schema import NOBODY, TABLES

    with opened.db.read() as link:
        rows = [
            {
                "name": word,
                "table": name,
                "rows": int(link.execute(select(func.count()).select_from(TABLES[name])).scalar_one()),
                "about": "" if name in NOBODY else "people",
            }
            for word, name in words().items()
        ]
    tell_table(rows, keep=("rows",))


@contextmanager
def _writing(out: Path | None, *, bom: bool = False) -> Iterator[IO[str]]:
    """The standard output, or a file for its owner's eyes that is whole or not there; Excel reads UTF-8 by a `bom`."""
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        return
    draft = out.with_name(f".{out.name}.part")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8-sig" if bom else "utf-8", newline="") as sink:
            yield sink
        draft.replace(out)
    except OSError as problem:
        raise WrongUse(f"{out}: cannot be written ({problem.strerror}); name another file") from None
    finally:
        draft.unlink(missing_ok=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"--received: '{text}' is no day; write it as 2026-03-02") from None

"""How commands speak: tables for people, JSON for programs, complaints on the other stream."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.errors import NurtureError

if TYPE_CHECKING:
    from nurture.clock import Clock
    from nurture.engine.machine import Machine
    from nurture.settings import Settings

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for programs.")]
#: Columns of a page that is no terminal: nothing is cut for whoever reads it.
_WIDE = 240


class WrongUse(NurtureError):
    """What was asked cannot be read."""


def say(text: str) -> None:
    """A line on the standard output."""
    print(text)


def complain(text: str) -> None:
    """A line for a person, where it disturbs no program."""
    sys.stdout.flush()
    print(text, file=sys.stderr)


def tell_json(value: Any) -> None:
    """`value` for a program."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def tell_table(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    keep: Sequence[str] = (),
    spare: Sequence[str] = (),
    empty: str = "",
) -> None:
    """Rows as a table; a column in which nothing stands is left out unless it is in `keep`.

    Where the page is too narrow, the columns of `spare` go first, in their order.
    """
    if not rows:
        print(empty or f"{title}: nothing")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE, highlight=False)
    shown = [name for name in rows[0] if name in keep or any(row[name] for row in rows)]
    for name in spare:
        if _width(rows, shown) > console.width and name in shown:
            shown.remove(name)
    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in shown:
        number = all(isinstance(row[name], int) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in shown))
    console.print(table)


def page_width() -> int | None:
    """Columns of the page that a person reads, 100 at most; None where nobody does, so that nothing is broken."""
    if not (sys.stdout.isatty() or "COLUMNS" in os.environ):
        return None
    return min(100, shutil.get_terminal_size().columns)


def _width(rows: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> int:
    """Columns of a page on which no cell is broken; three stand between two cells."""
    widest = (max(len(name), *(len(_cell(row[name])) for row in rows)) for name in shown)
    return sum(widest) + 3 * len(shown)


def _cell(value: Any) -> str:
    if value is None:
        return "·"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value else "·"
    text = str(value)
    return f"{text[:10]} {text[11:16]}Z" if text[10:11] == "T" and text.endswith("Z") else text


def counted(number: int, word: str, several: str = "") -> str:
    """`1 lead`, `2,841 leads`."""
    return f"{number:,} {word if number == 1 else several or word + 's'}"


def instant(text: str, option: str) -> datetime:
    """An instant with its zone, in UTC. Raises WrongUse."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option}: '{text}' is not an instant; write it as 2026-03-02T09:00:00+02:00") from None
    if at.tzinfo is None:
        raise WrongUse(f"{option}: '{text}' has no zone; write it as {text}Z, or with +02:00")
    return at.astimezone(UTC)


def day(text: str | None, option: str) -> date | None:
    """A day. Raises WrongUse."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option}: '{text}' is not a day; write it as 2026-03-02") from None


def settings() -> Settings:
    """The installation's settings."""
    from nurture.settings import load_settings

    return load_settings()


@contextmanager
def machine(clock: Clock | None = None, given: Settings | None = None) -> Iterator[Machine]:
    """The engine on this installation's database, closed at the end."""
    from nurture import opening

    with opening.machine(given or settings(), clock) as opened:
        yield opened


def say_where_mail_goes(given: Settings) -> None:
    """Said by every command that would send, while there is no relay."""
    if given.smtp_url is None:
        folder = given.home / "mail"
        complain(f"NURTURE_SMTP_URL is not set: messages are written to {folder} as files, and reach nobody.")


def say_where_texts_go(opened: Machine, given: Settings) -> None:
    """The same for text messages, if a live sequence sends any, and for chat, if the program names places."""
    from nurture.channels.chat import places

    known = places(given.chat_urls.get_secret_value() if given.chat_urls else "")
    if nowhere := sorted(opened.live().house.program.chat.keys() - known.keys()):
        named, folder = ", ".join(nowhere), given.home / "chat"
        complain(f"NURTURE_CHAT_URLS has no address of {named}: what sales is told there is written to {folder}.")
    if given.sms_url is None and any(
        step.kind_word == "sms" for segment in opened.live().segments.values() for step in segment.spec.steps
    ):
        folder = given.home / "sms"
        complain(f"NURTURE_SMS_URL is not set: text messages are written to {folder} as files, and reach nobody.")


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A progress bar on a terminal, told (done, in all); None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

"""How the demo speaks: phases with their times, a bar over the virtual days, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from nurture import clock as clocks

#: Columns that are used when nobody says how wide the terminal is.
_WIDTH = 100


class Screen:
    """Prints to `out`, a terminal or a file; the standard output unless another is given."""

    def __init__(self, out: TextIO | None = None) -> None:
        console = Console(file=out, highlight=False, soft_wrap=False)
        if not console.is_terminal:
            console = Console(file=out, highlight=False, width=_WIDTH)
        self.console = console
        self._began = clocks.monotonic()

    def say(self, text: RenderableType = "") -> None:
        """A line or a paragraph."""
        self.console.print(text)

    def show(self, table: RenderableType) -> None:
        """Something set in by two columns."""
        self.console.print(Padding(table, (0, 0, 0, 2)))

    def title(self, text: str) -> None:
        """What comes next."""
        self.console.print()
        self.console.rule(f"[bold]{text}", align="left", style="dim")

    @contextmanager
    def phase(self, doing: str) -> Iterator[Callable[[str], None]]:
        """A piece of work: what is being done while it lasts, then what was done and in how many seconds.

        Yields a function that takes the second sentence.
        """
        began, said = clocks.monotonic(), [doing]
        with self._spinner() as bar:
            task = bar.add_task(doing, total=None, words="")
            self._task = (bar, task)
            yield lambda done: said.__setitem__(0, done)
        spent = clocks.monotonic() - began
        self.console.print(f"  [green]✓[/] {said[0]}  [dim]{spent:.1f} s[/]")

    def part(self, done: int, whole: int | None) -> None:
        """How far the present phase has come."""
        bar, task = self._task
        bar.update(task, completed=done, total=whole)

    @contextmanager
    def days(self, start: datetime, end: datetime) -> Iterator[Callable[[datetime, str], None]]:
        """A bar over virtual time. Yields a function that takes the instant reached and a line of news."""
        began, whole, told = clocks.monotonic(), (end - start) / timedelta(days=1), [0]
        with self._spinner() as bar:
            task = bar.add_task("", total=whole, words="")

            def moved(at: datetime, news: str) -> None:
                day = (at - start) / timedelta(days=1)
                present = min(int(day) + 1, int(whole))
                words = f"day {present:>2} of {whole:.0f}  {at:%a %d %b %H:%M}  {news}"
                bar.update(task, completed=day, words=words)
                if not self.console.is_terminal and int(day) // 3 > told[0]:
                    told[0] = int(day) // 3
                    self.console.print(f"    [dim]{clocks.monotonic() - began:5.1f} s[/]  {words}")

            yield moved
        self.console.print(f"  [green]✓[/] {whole:.0f} days went by  [dim]{clocks.monotonic() - began:.1f} s[/]")

    def spent(self) -> float:
        """Seconds since the beginning."""
        return clocks.monotonic() - self._began

    def _spinner(self) -> Progress:
        return Progress(
            TextColumn(" "),
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

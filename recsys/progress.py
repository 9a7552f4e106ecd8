"""Progress bars with the remaining time, on stderr; on anything but a terminal a line a stage instead."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column


class Advance(Protocol):
    """Tell a bar that work was done; `note` stands beside it (a loss, a metric)."""

    def __call__(self, steps: int = 1, *, note: str = "") -> None: ...


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A bar of `total` steps for the work in the block."""
    console = Console(file=sys.stderr)
    started = time.monotonic()
    if not console.is_terminal:
        last_note = ""

        def remember(steps: int = 1, *, note: str = "") -> None:
            nonlocal last_note
            last_note = note or last_note

        print(f"{label} …", file=sys.stderr, flush=True)
        yield remember
        print(f"{label}: {time.monotonic() - started:.1f} s {last_note}".rstrip(), file=sys.stderr, flush=True)
        return
    # Only the note gives way on a narrow terminal: how long it still takes is what people look for.
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10, table_column=Column(min_width=10)),
        TaskProgressColumn(table_column=Column(min_width=4, no_wrap=True)),
        TimeRemainingColumn(table_column=Column(min_width=7, no_wrap=True)),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, expand=True) as bars:
        task = bars.add_task(label, total=total, note="")

        def advance(steps: int = 1, *, note: str = "") -> None:
            bars.advance(task, steps)
            if note:
                bars.update(task, note=note)

        yield advance

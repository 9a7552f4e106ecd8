"""Progress bars with the remaining time, on stderr; on anything but a terminal a line a stage instead."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(label, total=total, note="")

        def advance(steps: int = 1, *, note: str = "") -> None:
            bars.advance(task, steps)
            if note:
                bars.update(task, note=note)

        yield advance

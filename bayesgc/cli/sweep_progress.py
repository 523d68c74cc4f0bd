"""Live progress over a sweep: how many jobs are done, which run, how many failed, the time left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from bayesgc.cli.progress import Clock
from bayesgc.experiments.running import SweepProgress
from bayesgc.experiments.sweep import Sweep

_BESIDE_RUNNING = 62
"""Columns taken by everything but the names of what runs."""


@contextlib.contextmanager
def watched(sweep: Sweep, *, show: bool, console: Console | None = None) -> Iterator[Callable[[SweepProgress], None]]:
    """A report that draws a bar on standard error, in a terminal or a notebook; elsewhere a silent one."""
    console = console or Console(stderr=True)
    if not show or not (console.is_terminal or console.is_jupyter):
        yield lambda progress: None
        return
    room = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - _BESIDE_RUNNING, 12))
    title = sweep.title if len(sweep.title) <= 24 else f"{sweep.title[:23]}…"
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", table_column=room),
        Clock(),
        console=console,
    )
    with bars:
        bar = bars.add_task(title, total=None, facts="")

        def report(progress: SweepProgress) -> None:
            ended = progress.done + progress.failed
            bars.update(bar, total=progress.total, completed=ended, facts=_facts(progress))

        yield report


def _facts(progress: SweepProgress) -> str:
    failed = f"{progress.failed} failed  " if progress.failed else ""
    shown = f"{len(progress.running)} running: {'; '.join(progress.running)}" if progress.running else ""
    return failed + shown

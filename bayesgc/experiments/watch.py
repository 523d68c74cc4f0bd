"""Live progress over a sweep: how many jobs are done, which run, how many failed, the time left."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from bayesgc.inference import Progress as Told
from bayesgc.progress import ProgressLines


@dataclass
class SweepProgress:
    """How far a sweep is; ``running`` are the labels of the jobs that run, or that a scheduler has been given."""

    total: int
    done: int = 0
    failed: int = 0
    running: list[str] = field(default_factory=list)


Report = Callable[[SweepProgress], None]

_BESIDE_RUNNING = 62
"""Columns taken by everything but the names of what runs."""


@contextlib.contextmanager
def watched(title: str, *, show: bool = True, console: Console | None = None) -> Iterator[Report]:
    """A report that draws a bar on standard error, in a terminal or a notebook with widgets; elsewhere a silent one."""
    console = console or Console(stderr=True)
    # Without ipywidgets rich would say so in a notebook at each step.
    drawn = importlib.util.find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    if not show or not drawn:
        yield lambda progress: None
        return
    room = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - _BESIDE_RUNNING, 12))
    title = title if len(title) <= 24 else f"{title[:23]}…"
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False, table_column=room),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
    )
    with bars:
        bar = bars.add_task(title, total=None, facts="")

        def report(progress: SweepProgress) -> None:
            ended = progress.done + progress.failed
            bars.update(bar, total=progress.total, completed=ended, facts=_facts(progress))

        yield report


def in_lines(say: Callable[[str], None], opening: str) -> Report:
    """A report for where no bar can move: what runs, said as the first job begins, and once a minute how far it is."""
    lines = ProgressLines(say, opening)

    def report(progress: SweepProgress) -> None:
        if not (progress.running or progress.done or progress.failed):
            return
        ended = f"{progress.done + progress.failed} of {progress.total} done"
        lines.update(Told(_STAGE, detail=", ".join(filter(None, (ended, _facts(progress).replace("  ", ", "))))))

    return report


_STAGE = "cells and descents"


def _facts(progress: SweepProgress) -> str:
    failed = f"{progress.failed} failed  " if progress.failed else ""
    shown = f"{len(progress.running)} running: {'; '.join(progress.running)}" if progress.running else ""
    return failed + shown

"""Live progress on standard error: stage, ε, acceptance, volume so far, time left."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bayesgc.inference import Progress

_BESIDE_FACTS = 42
"""Columns taken by everything but the facts: spinner, stage, bar, clock and the gaps between them."""


class Clock(ProgressColumn):
    """The time left of a stage that runs, the time taken by one that is over."""

    def render(self, task: Task) -> Text:
        """At most 11 columns, so that everything fits into 80."""
        if task.finished:
            return Text(_clock(task.finished_time), style="dim")
        return Text(f"{_clock(task.time_remaining)} left")


class LiveProgress:
    """Rich bars, one for each stage of a run."""

    def __init__(self, console: Console) -> None:
        room = max(console.width - _BESIDE_FACTS, 8)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<16}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[facts]}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=room)),
            Clock(table_column=Column(no_wrap=True, justify="right")),
            console=console,
            transient=True,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, progress: Progress) -> None:
        """Show what a run reports."""
        if progress.stage not in self._stages:
            self._end_stages()
            self._stages[progress.stage] = self._bars.add_task(progress.stage, total=progress.total, facts="")
        self._bars.update(
            self._stages[progress.stage], completed=progress.done, total=progress.total, facts=_facts(progress)
        )

    def _end_stages(self) -> None:
        """Stop the clocks of the stages so far; one that ended early is over all the same."""
        for task in self._bars.tasks:
            if not task.finished:
                self._bars.update(task.id, total=task.completed)


def _clock(seconds: float | None) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _facts(progress: Progress) -> str:
    """What is known at this point, such as ``ε 0.0123  accept 0.26  log P -7.1``."""
    facts = [
        None if progress.threshold in (None, math.inf) else f"ε {progress.threshold:.3g}",
        None if progress.acceptance is None else f"accept {progress.acceptance:.2g}",
        None if progress.log_volume is None else f"log P {progress.log_volume:.1f}",
        progress.detail or None,
    ]
    return "  ".join(fact for fact in facts if fact)

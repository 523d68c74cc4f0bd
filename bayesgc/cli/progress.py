"""Live progress on standard error: stage, ε, acceptance, volume so far, time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from bayesgc.inference import Progress


class LiveProgress:
    """Rich bars, one for each stage of a run."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._stages: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, progress: Progress) -> None:
        """Show what a run reports."""
        if progress.stage not in self._stages:
            self._stages[progress.stage] = self._bars.add_task(progress.stage, total=progress.total, facts="")
        self._bars.update(
            self._stages[progress.stage],  # type: ignore[arg-type]
            completed=progress.done,
            total=progress.total,
            facts=_facts(progress),
        )


def _facts(progress: Progress) -> str:
    """What is known at this point, such as ``ε 0.0123  accept 0.26  log volume -7.1``."""
    facts = [
        None if progress.threshold is None else f"ε {progress.threshold:.3g}",
        None if progress.acceptance is None else f"accept {progress.acceptance:.2g}",
        None if progress.log_volume is None else f"log volume {progress.log_volume:.1f}",
        progress.detail or None,
    ]
    return "  ".join(fact for fact in facts if fact)

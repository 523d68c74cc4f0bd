"""Progress on standard error or below a notebook's cell: stage, ε, acceptance, volume so far, time left.

In a terminal and a notebook bars move; a pipe or a file gets a line now and then.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bayesgc.inference import Progress

_BESIDE_FACTS = 42
"""Columns taken by everything but the facts: spinner, stage, bar, clock and the gaps between them."""
_NOTEBOOK_WIDTH = 90
_BETWEEN_FRAMES = 0.2
"""Seconds; a notebook's frames are messages, which must not become a flood."""
_BETWEEN_STAGES, _BETWEEN_LINES = 5.0, 60.0
"""Seconds from one line to the next where a stage begins, and where it goes on."""

Report = Callable[[Progress], None]


@contextlib.contextmanager
def watched(wanted: bool | None, report: Report | None = None) -> Iterator[Report]:
    """Yield what a run is to call with each `Progress`: ``report``, a display, both, or neither.

    Args:
        wanted: whether to display progress where that is possible, which is in a terminal and in a notebook; None for
            doing so in the main thread of a process that no other one started, unless ``report`` takes it.
        report: called with every progress as well.
    """
    with contextlib.ExitStack() as stack:
        reports = [] if report is None else [report]
        if (display := _display(wanted, reported=report is not None)) is not None:
            reports.append(stack.enter_context(display).update)

        def tell(progress: Progress) -> None:
            for each in reports:
                each(progress)

        yield tell


def _display(wanted: bool | None, *, reported: bool) -> LiveProgress | None:
    console = Console(stderr=True)
    alone = threading.current_thread() is threading.main_thread() and multiprocessing.parent_process() is None
    if not (alone and not reported if wanted is None else wanted):
        return None
    if not (console.is_jupyter or console.is_terminal):
        return None
    if not console.is_jupyter:
        return LiveProgress(console)
    from IPython.display import display

    return NotebookProgress(display)


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
            self._stages[progress.stage],
            completed=progress.done,
            total=progress.total,
            facts="  ".join(_facts(progress)),
        )

    def _end_stages(self) -> None:
        """Stop the clocks of the stages so far; one that ended early is over all the same."""
        for task in self._bars.tasks:
            if not task.finished:
                self._bars.update(task.id, total=task.completed)


class NotebookProgress(LiveProgress):
    """The same bars as HTML below a cell, which vanish when the run is over.

    Rich itself needs ipywidgets for that, which not every notebook has.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._console = Console(
            file=io.StringIO(), record=True, width=_NOTEBOOK_WIDTH, force_terminal=True, force_jupyter=False,
            color_system="truecolor", legacy_windows=False,
        )  # fmt: skip
        super().__init__(self._console)
        self._display, self._handle, self._drawn = display, None, -math.inf
        self._lock = threading.Lock()

    def __enter__(self) -> NotebookProgress:
        self._handle = self._display(_frame("", ""), raw=True, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._handle.update(_frame("", ""), raw=True)  # type: ignore[attr-defined]

    def update(self, progress: Progress) -> None:
        """Show what a run reports, a few times a second."""
        with self._lock:
            super().update(progress)
            if time.monotonic() - self._drawn < _BETWEEN_FRAMES:
                return
            self._drawn = time.monotonic()
            self._console.print(self._bars.get_renderable())
            text = self._console.export_text(clear=False)
            html = self._console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
            self._handle.update(_frame(html, text), raw=True)  # type: ignore[attr-defined]


class ProgressLines:
    """A line when a stage begins and one a minute while it goes on, for where nothing can move; few in any case.

    ``opening`` is said when the run first reports, so that one that is refused says why and nothing else.
    """

    def __init__(self, say: Callable[[str], None], opening: str = "") -> None:
        self._say, self._opening, self._began = say, opening, time.monotonic()
        self._told, self._stage, self._lock = self._began, "", threading.Lock()

    def update(self, progress: Progress) -> None:
        """Say what a run reports, where it is time to."""
        with self._lock:
            if self._opening:
                self._say(self._opening)
                self._opening = ""
            now, new = time.monotonic(), progress.stage != self._stage
            if now - self._told < (_BETWEEN_STAGES if new else _BETWEEN_LINES):
                return
            self._told, self._stage = now, progress.stage
            done = [f"{100 * progress.done / progress.total:.0f} % done"] if progress.total and not new else []
            self._say(f"after {_clock(now - self._began)}: {', '.join([progress.stage, *done, *_facts(progress)])}")


def _frame(html: str, text: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": text}


def _clock(seconds: float | None) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _facts(progress: Progress) -> list[str]:
    """What is known at this point, such as ``ε 0.0123``, ``accept 0.26`` and ``log P -7.1``."""
    facts = [
        None if progress.threshold in (None, math.inf) else f"ε {progress.threshold:.3g}",
        None if progress.acceptance is None else f"accept {progress.acceptance:.2g}",
        None if progress.log_volume is None else f"log P {progress.log_volume:.1f}",
        progress.detail or None,
    ]
    return [fact for fact in facts if fact]

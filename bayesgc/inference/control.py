"""Budgets, interruption, progress and worker threads of one run."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch

from bayesgc.inference.records import Outcome

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes on; None where a field means nothing to the stage."""

    stage: str
    done: float = 0.0
    total: float | None = None
    threshold: float | None = None
    acceptance: float | None = None
    log_volume: float | None = None
    detail: str = ""


class OutOfTime(Exception):  # noqa: N818 - it says what happened
    """A block was given up, since the run is to end; whoever asked for the block goes on without it."""


@dataclass
class Control:
    """The budget of a run and its line to the outside.

    Args:
        max_seconds: wall time after which no new work begins, None for no limit. It is one deadline for the whole run;
            each `part` of the run looks at it, inside of its blocks too.
        max_evaluations: evaluations of the training loss, None for no limit.
        report: called with `Progress`, from any thread.
    """

    max_seconds: float | None = None
    max_evaluations: int | None = None
    report: Callable[[Progress], None] = lambda progress: None
    started: float = field(default_factory=time.perf_counter)
    _interrupt: threading.Event = field(default_factory=threading.Event)

    @property
    def budget(self) -> dict[str, float | int | None]:
        """What the run may spend, for the record."""
        return {"max_seconds": self.max_seconds, "max_evaluations": self.max_evaluations}

    @property
    def seconds(self) -> float:
        """Wall time since the run began."""
        return time.perf_counter() - self.started

    def interrupt(self) -> None:
        """Ask the run to end with what it has."""
        self._interrupt.set()

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._interrupt.is_set()

    def out_of_time(self, share: float = 1.0) -> bool:
        """Whether a share of the wall time is spent, or the run was interrupted."""
        return self.interrupted or (self.max_seconds is not None and self.seconds >= share * self.max_seconds)

    def check(self) -> None:
        """To be called within blocks.

        Raises:
            OutOfTime: when the run is to end.
        """
        if self.out_of_time():
            raise OutOfTime

    def check_time(self) -> None:
        """The same for what completes a run that was interrupted.

        Raises:
            OutOfTime: when the wall time is spent.
        """
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            raise OutOfTime

    def affords(self, evaluations: int, share: float = 1.0) -> bool:
        """Whether a total number of evaluations is within a share of the budget."""
        return self.max_evaluations is None or evaluations <= share * self.max_evaluations

    def part(self, kept_back: float = 0.0) -> Control:
        """A part of the run, which begins now and ends with the whole, or earlier by a share of the whole."""
        most = self.max_seconds
        left = None if most is None else max(0.0, (1 - kept_back) * most - self.seconds)
        return replace(self, started=time.perf_counter(), max_seconds=left)

    def affordable(self, evaluations: int, spent: int) -> int:
        """How many of so many further evaluations are within the budget."""
        return evaluations if self.max_evaluations is None else min(evaluations, max(0, self.max_evaluations - spent))

    def after(self, evaluations: int) -> Control:
        """What is left of the same run once so many evaluations are spent."""
        left = None if self.max_evaluations is None else max(0, self.max_evaluations - evaluations)
        return replace(self, max_evaluations=left)

    def failure(self) -> Outcome:
        """The outcome of a run that ended before it converged."""
        return Outcome.INTERRUPTED if self.interrupted else Outcome.EXHAUSTED

    def advice(self, outcome: Outcome, drawn: int, block: int, *, fitted: bool = True) -> str:
        """What an outcome means and what to try, also where the budget did not even last for a block of draws.

        Of a method that waits for draws that fit, it matters whether any ``fitted``.
        """
        if drawn or outcome is not Outcome.EXHAUSTED:
            return outcome.advice_where(fitted=fitted)
        evaluations = "" if self.max_evaluations is None else f"`max_evaluations`, to {block} at least, or "
        return f"The budget ended before the first block of {block} draws: raise {evaluations}`max_seconds`."


@contextlib.contextmanager
def interruptible(control: Control) -> Iterator[None]:
    """Let the first Ctrl-C ask the run to end with what it has, and a second one end it at once.

    Outside the main thread, where Python delivers no signals, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        if control.interrupted:
            raise KeyboardInterrupt
        control.interrupt()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_allowed: ContextVar[int | None] = ContextVar("_allowed", default=None)
"""The blocks that may run at once, within `one_thread_each`."""


@contextlib.contextmanager
def one_thread_each(at_once: int | None = None) -> Iterator[int]:
    """Let every torch operation run on one thread; yields how many blocks may run at once.

    That is ``at_once``, or what was allowed around this, or as many as torch had threads. Work is spread over blocks
    instead of inside operations: faster for many small ones, the order of every sum is then fixed, whatever the number
    of threads, and a forked child never waits for OpenMP's threads, which stayed with its parent.

    It is no rule for a generator: one that waits would hold it for whoever comes next.
    """
    threads, around = torch.get_num_threads(), _allowed.get()
    allowed = at_once or around or threads
    _allowed.set(allowed)
    torch.set_num_threads(1)
    try:
        yield allowed
    finally:
        torch.set_num_threads(threads)
        _allowed.set(around)


def in_order(function: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device) -> Iterator[Result]:
    """``function`` of each job, in order, a few at once on the CPU, each on one thread."""
    workers = (_allowed.get() or torch.get_num_threads()) if device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: list[Future[Result]] = []
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > 2 * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

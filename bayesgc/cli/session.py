"""One ``bayesgc infer``: options become objects, the run is watched, the result is printed and saved."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xarray import DataTree

from bayesgc.analysis.hidden import few_cells
from bayesgc.analysis.reach import MOST_LEFT
from bayesgc.analysis.tree.outputs import check_output
from bayesgc.analysis.tree.storage import save, save_new
from bayesgc.analysis.tree.strict import to_json
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.numerals import rounded
from bayesgc.analysis.words.wording import model_line
from bayesgc.api import infer
from bayesgc.cli.destinations import OUT_SUFFIXES
from bayesgc.cli.names import default_stem
from bayesgc.cli.render import print_result
from bayesgc.cli.show import print_json
from bayesgc.cli.terminal import Terminal, kept, say
from bayesgc.inference import Outcome
from bayesgc.models import Model, describe
from bayesgc.options import Options
from bayesgc.progress import LiveProgress, ProgressLines, Report
from bayesgc.task import Task, linear_view
from bayesgc.task.array.doubts import DOUBTFUL, STAND_INS, UNLIKE
from bayesgc.task.array.feasibility import left_by_norm
from bayesgc.validate import InputError

EXIT_CODES = {Outcome.CONVERGED: 0, Outcome.INFEASIBLE: 2, Outcome.INTERRUPTED: 130}
NOT_CONVERGED = 3
_HIDDEN = "15%"
"""The share of a table's cells by which Guess & Check is compared with simple means."""


_TOO_SMALL = "it fits far less of the table than without; leave it out unless you mean it."
_SCALES = {
    False: "`standardize` gives each its own.",
    True: "a table with a column for each gives each its own.",
}


@dataclass(frozen=True)
class Session:
    """One run of ``bayesgc infer``: the options, and where its result goes."""

    options: Options
    out: Path | None
    plot: Path | None
    weights: bool
    as_json: bool
    quiet: bool
    force: bool = False
    completed: Path | None = None
    hide: str | None = None

    def run(self) -> int:
        """Infer, print, save; returns the exit code.

        Raises:
            InputError: for what cannot be used, and for a problem that is provably infeasible: it is not saved, and
                printed only as the JSON object that was asked for.
        """
        task = self.options.make_task()
        self._check_cells(task)
        self._doubt(task)
        if self.out is None:
            check_output("the default --out", next(self.names(task)), OUT_SUFFIXES)
        model = self.options.make_model(task)
        with self._watched(task, model) as report:
            hide = _HIDDEN if self.hide is None and task.noisy else self.hide
            settings = self.options.settings(task)
            result = infer(model, task, weights=self.weights, hide=hide, progress=False, report=report, **settings)
        outcome = Outcome(result.attrs["outcome"])
        if outcome is Outcome.INFEASIBLE:
            if self.as_json:
                print_json(result_object(result))
            raise InputError(result.attrs["message"])
        self._note_files(result)
        self._deliver(result, task)
        return EXIT_CODES.get(outcome, NOT_CONVERGED)

    def _note_files(self, result: DataTree) -> None:
        """Keep in the record which files were named, as they were."""
        configuration = json.loads(result.attrs["configuration"])
        files = {"data": self.options.data, "completed": self.completed}
        configuration["given"] |= {name: str(file) for name, file in files.items() if file is not None}
        result.attrs["configuration"] = to_json(configuration)

    def _doubt(self, task: Task) -> None:
        """Say at once what looks wrong with a table; the result says it again."""
        if self.quiet:
            return
        array = linear_view(task)
        table = array is not None and array.noisy and array.observed_cells
        if array is not None and table and self.options.normalize and left_by_norm(array) > MOST_LEFT:
            norm = rounded(float(np.linalg.norm(array.targets)), 2)
            say(f"`normalize` gives every matrix the norm 1, and the observed cells have {norm}: {_TOO_SMALL}")
        if table and (few := few_cells(task.facts)):
            say(f"{few}.")
        if DOUBTFUL in task.description:
            columns = task.description[DOUBTFUL]
            say(f"{columns}: taken as measured; leave out with `drop` what is not, or call a first column `index`.")
        if STAND_INS in task.description:
            number = task.description[STAND_INS]
            say(f"{number} is taken as measured; if it stands for missing cells, give it as `missing`.")
        if UNLIKE in task.description:
            say(f"{task.description[UNLIKE]}, and they share one scale; {_SCALES[array is not None]}")

    def _check_cells(self, task: Task) -> None:
        """Refuse a task without cells to complete, as labelled examples and general measurements have none."""
        if self.completed is not None and ((array := linear_view(task)) is None or not array.observed_cells):
            raise InputError(
                f"--completed is {str(self.completed)!r}, a table filled in; this task has no cells to fill in."
            )

    def names(self, task: Task) -> Iterator[Path]:
        """Where a result may go that has no ``--out``, one after the other: new files here, named after the run."""
        stem = default_stem(self.options, task)
        names = itertools.chain([f"{stem}.nc"], (f"{stem}-{i}.nc" for i in itertools.count(2)))
        return (path for path in map(Path, names) if not os.path.lexists(path))

    @contextlib.contextmanager
    def _watched(self, task: Task, model: Model) -> Iterator[Report | None]:
        """What is told of how far the run is: bars in a terminal, elsewhere a few lines."""
        console = Terminal(stderr=True)
        if self.quiet or (self.as_json and not console.is_terminal):
            yield None
        elif console.is_terminal:
            with LiveProgress(console) as progress:
                yield progress.update
        else:
            what = f"{task.in_brief}; {model_line(describe(model))}; method {self.options.method}"
            yield ProgressLines(say, f"{what}; {self._budget}").update

    @property
    def _budget(self) -> str:
        """How long the run may take, and that it may be ended before."""
        seconds, evaluations = self.options.max_seconds, self.options.max_evaluations
        limits = [] if seconds is None else [f"{seconds:g} s (`max_seconds`) beside start-up"]
        limits += [] if evaluations is None else [f"{evaluations} evaluations"]
        most = f"takes at most {' or '.join(limits)}" if limits else "has no limit of time"
        return f"{most}; Ctrl-C ends it with what was found"

    def _deliver(self, result: DataTree, task: Task) -> None:
        """Files first, so that nothing is lost if printing fails; each file and the print even if another fails."""
        saved, failures = None, list[str]()
        with _noting(failures):
            saved = save_new(result, self.names(task)) if self.out is None else self._save(result, self.out)
        with _noting(failures):
            if self.completed is not None:
                self._complete(result, self.completed)
        with _noting(failures):
            if self.plot is not None:
                from bayesgc.analysis.plots import plot_result, save_figure

                save_figure(plot_result(result), self.plot)
        failed = " ".join(failures)
        with kept(failed.rstrip(".") if failed else f"saved in {saved}"):
            self._print(result, saved)
        if failed:
            raise InputError(failed)

    def _save(self, result: DataTree, out: Path) -> Path:
        """Save where it was asked to, and say where that took the place of another result."""
        replaced = out.exists() and out.stat().st_size > 0
        saved = save(result, out)
        if replaced and not self.quiet:
            say(f"replaced {saved}")
        return saved

    def _complete(self, result: DataTree, file: Path) -> None:
        """Write the table filled in; where nothing fitted there is none."""
        from bayesgc.analysis.completed import completed_text
        from bayesgc.analysis.tree.whole import write

        if "posterior" not in result.children:
            # No wrong option: the outcome says how the run ended.
            say(f"{file} was not written: without a posterior no cell is predicted")
            return
        write(file, completed_text(result, file.suffix).encode())
        if not self.quiet:
            say(f"the table is completed in {file}")

    def _print(self, result: DataTree, saved: Path | None) -> None:
        """The result on standard output; on standard error what the output has no place for."""
        outcome = Outcome(result.attrs["outcome"])
        if self.as_json:
            print_json(result_object(result))
        elif not self.quiet:
            where = None if saved is None else f"{saved} ({_size(saved)}{_fewer(result, saved)})"
            print_result(Terminal(), result_object(result), saved=where)
        interrupted = outcome is Outcome.INTERRUPTED
        if outcome is not Outcome.CONVERGED and (self.as_json or self.quiet):
            say(f"{outcome}: {result.attrs['message']}")
        if saved and (interrupted or (self.as_json and not self.quiet)):
            say(f"{'interrupted; ' if interrupted else ''}saved in {saved}")


@contextlib.contextmanager
def _noting(failures: list[str]) -> Iterator[None]:
    """Add to ``failures`` what could not be written, and go on."""
    try:
        yield
    except InputError as error:
        failures.append(str(error))


_LARGE = 10e6
"""Bytes of a file from which on it is said how it would be smaller."""


def _fewer(result: DataTree, path: Path) -> str:
    """How a large file would be smaller: its size is that of the draws."""
    if path.stat().st_size < _LARGE or "posterior" not in result.children:
        return ""
    return f"; {result['posterior'].sizes['draw']} draws in each chain, fewer with --draws"


def _size(path: Path) -> str:
    """The size of a file, in words."""
    kilobytes = path.stat().st_size / 1e3
    return f"{kilobytes:.0f} kB" if kilobytes < 1e3 else f"{kilobytes / 1e3:.1f} MB"

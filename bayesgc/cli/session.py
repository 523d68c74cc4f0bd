"""One ``bayesgc infer``: options become objects, the run is watched, the result is printed and saved."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from xarray import DataTree

from bayesgc.analysis.plots import plot_result, save_figure
from bayesgc.analysis.storage import save
from bayesgc.analysis.summary import result_object
from bayesgc.api import infer
from bayesgc.cli.conflicts import refuse_conflicts
from bayesgc.cli.progress import LiveProgress
from bayesgc.cli.render import print_result
from bayesgc.cli.show import print_json
from bayesgc.inference import GradientDescent, Outcome
from bayesgc.models import MatrixFactorization
from bayesgc.task import Task, completion, load, sensing
from bayesgc.validate import InputError, integer_in, one_of, positive_integer, real_in

TASKS = {"sensing": sensing, "completion": completion}
EXIT_CODES = {Outcome.CONVERGED: 0, Outcome.INFEASIBLE: 2, Outcome.INTERRUPTED: 130}
NOT_CONVERGED = 3
OUT_SUFFIXES = (".nc",)
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Session:
    """The options of ``bayesgc infer``, by the names of the command's parameters.

    ``given`` are those that the command line names itself.
    """

    depth: int
    width: int | None
    activation: str
    prior: str
    scaling: str
    normalize: bool | None
    task: str
    rows: int
    cols: int
    rank: int
    measurements: int | None
    task_seed: int
    data: Path | None
    index: bool | None
    standardize: bool
    eps: str
    method: str
    chains: int | None
    draws: int | None
    precision: float | None
    max_seconds: float
    max_evaluations: int | None
    seed: int
    device: str
    dtype: str
    gd: bool
    gd_optimizer: str
    gd_lr: float
    gd_momentum: float | None
    gd_steps: int | None
    gd_init: str
    gd_init_scale: float | None
    gd_tol: float
    restarts: int
    map: bool | None
    out: Path | None
    plot: Path | None
    weights: bool
    as_json: bool
    quiet: bool
    given: frozenset[str]

    def run(self) -> int:
        """Infer, print, save; returns the exit code."""
        self.check()
        task = self.load_task()
        model, gd = self.model(task), self.descent()
        with self._watched() as progress:
            result = infer(
                model,
                task,
                eps=self.eps,
                method=self.method,
                gd=gd or False,
                map=self.map,
                seed=self.seed,
                chains=self.chains,
                draws=self.draws,
                weights=self.weights,
                precision=self.precision,
                max_seconds=self.max_seconds,
                max_evaluations=self.max_evaluations,
                device=self.device,
                dtype=self.dtype,
                report=None if progress is None else progress.update,
            )
        outcome = Outcome(result.attrs["outcome"])
        if outcome is Outcome.INFEASIBLE:
            raise InputError(result.attrs["message"])
        self._deliver(result, task)
        return EXIT_CODES.get(outcome, NOT_CONVERGED)

    def load_task(self) -> Task:
        """The synthetic task, or the one in the user's file."""
        if self.data is not None:
            table = self.data.suffix.lower() == ".csv"
            return load(self.data, standardize=self.standardize, index=self.index if table else None)
        make = TASKS[one_of("task", self.task, TASKS)]
        return make(self.rows, self.cols, self.rank, self.measurements, self.task_seed)

    def model(self, task: Task) -> MatrixFactorization:
        """The factorisation that the options describe, with defaults that fit the task."""
        return MatrixFactorization(
            depth=self.depth,
            width=max(5, min(task.shape)) if self.width is None else self.width,
            activation=self.activation,
            prior=self.prior,
            scaling=self.scaling,
            normalize=self.data is None if self.normalize is None else self.normalize,
        )

    def descent(self) -> GradientDescent | None:
        """Gradient descent with the options given, unless it is turned off."""
        if not self.gd:
            return None
        return GradientDescent(
            optimizer=self.gd_optimizer,
            lr=self.gd_lr,
            momentum=self.gd_momentum,
            steps=self.gd_steps,
            init=self.gd_init,
            init_scale=self.gd_init_scale,
            tol=self.gd_tol,
            restarts=self.restarts,
        )

    def check(self) -> None:
        """Refuse, before any work, options that contradict each other and files that could not be written."""
        refuse_conflicts(self.given, data=self.data, gd=self.gd, gd_init=self.gd_init)
        integer_in("--task-seed", self.task_seed, 0)
        real_in("--max-seconds", self.max_seconds, 0, open_low=True)
        if self.max_evaluations is not None:
            positive_integer("--max-evaluations", self.max_evaluations)
        _check_target("--out" if self.out else "the default --out", self.out or Path("result.nc"), OUT_SUFFIXES)
        if self.plot is not None:
            _check_target("--plot", self.plot, PLOT_SUFFIXES)

    def target(self, task: Task) -> Path:
        """Where to save: the file asked for, or a new one in this folder named after the run."""
        if self.out is not None:
            return self.out
        source = self.data.stem if self.data else f"{task.kind}-{'x'.join(map(str, task.shape))}"
        stem = f"{source}-depth{self.depth}-seed{self.seed}"
        names = itertools.chain([f"{stem}.nc"], (f"{stem}-{i}.nc" for i in itertools.count(2)))
        return next(path for path in map(Path, names) if not path.exists())

    @contextlib.contextmanager
    def _watched(self) -> Iterator[LiveProgress | None]:
        console = Console(stderr=True)
        if self.quiet or not console.is_terminal:
            yield None
            return
        with LiveProgress(console) as progress:
            yield progress

    def _deliver(self, result: DataTree, task: Task) -> None:
        """Save first, so that nothing is lost if printing fails; and print even if saving fails."""
        target, saved = self.target(task), None
        try:
            saved = save(result, target)
        finally:
            self._print(result, saved)
        if self.plot is not None:
            save_figure(plot_result(result), self.plot)

    def _print(self, result: DataTree, saved: Path | None) -> None:
        """The result on standard output; on standard error what the output has no place for."""
        outcome = Outcome(result.attrs["outcome"])
        if self.as_json:
            print_json(result_object(result))
        elif not self.quiet:
            print_result(Console(), result_object(result), saved=None if saved is None else str(saved))
        interrupted = outcome is Outcome.INTERRUPTED
        if outcome is not Outcome.CONVERGED and (self.as_json or self.quiet):
            typer.echo(f"bayesgc: {outcome}: {result.attrs['message']}", err=True)
        if saved and (interrupted or (self.as_json and not self.quiet)):
            typer.echo(f"bayesgc: {'interrupted; ' if interrupted else ''}saved in {saved}", err=True)


def _check_target(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    folder = path.absolute().parent
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} is {str(path)!r}; its name must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise InputError(f"{option} is {str(path)!r}, which is a folder; give the name of a file.")
    if not folder.is_dir():
        raise InputError(f"{option} is {str(path)!r}; the folder {str(folder)!r} does not exist.")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{option} is {str(path)!r}; nothing can be written in {str(folder)!r} ({error.strerror}): "
            "give a file in a writable folder."
        ) from error

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

from bayesgc.analysis.storage import save
from bayesgc.analysis.summary import result_object
from bayesgc.api import infer
from bayesgc.cli.progress import LiveProgress
from bayesgc.cli.render import print_result
from bayesgc.cli.show import print_json
from bayesgc.inference import Outcome
from bayesgc.models.plugins import split
from bayesgc.options import Options
from bayesgc.task import Task
from bayesgc.validate import InputError

EXIT_CODES = {Outcome.CONVERGED: 0, Outcome.INFEASIBLE: 2, Outcome.INTERRUPTED: 130}
NOT_CONVERGED = 3
OUT_SUFFIXES = (".nc",)
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Session:
    """One run of ``bayesgc infer``: the options, and where its result goes."""

    options: Options
    out: Path | None
    plot: Path | None
    weights: bool
    as_json: bool
    quiet: bool

    def run(self) -> int:
        """Infer, print, save; returns the exit code.

        Raises:
            InputError: for what cannot be used, and for a problem that is provably infeasible: it is not saved, and
                printed only as the JSON object that was asked for.
        """
        self.check()
        task = self.options.make_task()
        model = self.options.make_model(task)
        with self._watched() as progress:
            report = None if progress is None else progress.update
            result = infer(model, task, weights=self.weights, report=report, **self.options.settings())
        outcome = Outcome(result.attrs["outcome"])
        if outcome is Outcome.INFEASIBLE:
            if self.as_json:
                print_json(result_object(result))
            raise InputError(result.attrs["message"])
        self._deliver(result, task)
        return EXIT_CODES.get(outcome, NOT_CONVERGED)

    def check(self) -> None:
        """Refuse, before any work, files that could not be written."""
        _check_target("--out" if self.out else "the default --out", self.out or Path("result.nc"), OUT_SUFFIXES)
        if self.plot is not None:
            _check_target("--plot", self.plot, PLOT_SUFFIXES)

    def target(self, task: Task) -> Path:
        """Where to save: the file asked for, or a new one in this folder named after the run."""
        if self.out is not None:
            return self.out
        data = self.options.data
        source = data.stem if data else f"{task.kind}-{'x'.join(map(str, task.shape))}"
        program = self.options.model
        model = f"depth{self.options.depth}" if program is None else split(program)[1]
        stem = f"{source}-{model}-seed{self.options.seed}"
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
            from bayesgc.analysis.plots import plot_result, save_figure

            save_figure(plot_result(result), self.plot)

    def _print(self, result: DataTree, saved: Path | None) -> None:
        """The result on standard output; on standard error what the output has no place for."""
        outcome = Outcome(result.attrs["outcome"])
        if self.as_json:
            print_json(result_object(result))
        elif not self.quiet:
            print_result(Console(), result_object(result), saved=None if saved is None else f"{saved} ({_size(saved)})")
        interrupted = outcome is Outcome.INTERRUPTED
        if outcome is not Outcome.CONVERGED and (self.as_json or self.quiet):
            typer.echo(f"bayesgc: {outcome}: {result.attrs['message']}", err=True)
        if saved and (interrupted or (self.as_json and not self.quiet)):
            typer.echo(f"bayesgc: {'interrupted; ' if interrupted else ''}saved in {saved}", err=True)


def _size(path: Path) -> str:
    """The size of a file, in words."""
    kilobytes = path.stat().st_size / 1e3
    return f"{kilobytes:.0f} kB" if kilobytes < 1e3 else f"{kilobytes / 1e3:.1f} MB"


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

"""Where one ``bayesgc infer`` writes: refused before anything is imported that takes long."""

from __future__ import annotations

from pathlib import Path

from bayesgc.analysis.tree.outputs import check_output, same_file
from bayesgc.cli.show import PLOT_SUFFIXES
from bayesgc.options import Options
from bayesgc.validate import InputError

OUT_SUFFIXES = (".nc",)
COMPLETED_SUFFIXES = (".csv", ".tsv")


def check_destinations(
    options: Options, *, out: Path | None, plot: Path | None, completed: Path | None, force: bool
) -> None:
    """Refuse, before any work, files that could not be written or must not be.

    Raises:
        InputError: naming the option, the file and what is wrong with it.
    """
    inputs = options.files()
    if out is not None:
        check_output("--out", out, OUT_SUFFIXES, inputs=inputs, force=force)
    if completed is not None:
        _check_completed(options, completed, inputs, force=force)
    if plot is not None:
        check_output("--plot", plot, PLOT_SUFFIXES, inputs=inputs, force=force)
        if out is not None and same_file(plot, out):
            raise InputError(f"--plot is {str(plot)!r}, which is the file of --out too; give another name.")


def _check_completed(options: Options, completed: Path, inputs: list[Path], *, force: bool) -> None:
    """Refuse a file of another kind or somebody else's, and a task that by its name has no table to complete."""
    if options.data is None and options.task != "completion":
        raise InputError(
            f"--completed is {str(completed)!r}, a table filled in; there is no --data, and --task is no completion."
        )
    check_output("--completed", completed, COMPLETED_SUFFIXES, inputs=inputs, force=force)

"""Tasks from files: measurements and targets as arrays (.npz, netCDF), or a table with missing cells (.csv).

Whatever is wrong with a file is one :class:`InputError` of one line: the file, the fault, and what is allowed.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.array import ArrayTask, dimension_names
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.array.tables import read_table
from bayesgc.task.labelled.choice import Choice
from bayesgc.task.labelled.columns import read_examples
from bayesgc.task.labelled.examples import labelled_task, task_of
from bayesgc.task.task import Task
from bayesgc.validate import InputError

_NAMES = ("A", "y", "truth", "X", "X_test", "y_test")

# What numpy, xarray and zipfile raise on damaged files.
_FAULTS = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, MemoryError)
_ARCHIVE_FAULTS = (*_FAULTS, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class _Asked:
    """What is asked of the examples in a file."""

    target: str | None
    choice: Choice
    seeded: bool
    fit: str | None
    standardize: bool | None

    def refuse(self, but: str) -> None:
        """Refuse all of it, for a file that holds an array."""
        given = {"target": self.target is not None, "seed": self.seeded, "fit": self.fit is not None}
        for name in (*(name for name, there in given.items() if there), *self.choice.given):
            raise InputError(f"`{name}` is for labelled examples, and this {but}; leave it out.")


def load(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    train: int | None = None,
    test: int | float | str | None = None,
    classes: Sequence[str | int] | str | None = None,
    balanced: bool = False,
    seed: int | None = None,
    fit: str | None = None,
    standardize: bool | None = None,
    index: bool | None = None,
    header: bool | None = None,
) -> Task:
    """The task in a file; its suffix and what it holds say what kind of task it is.

    ``.npz`` and ``.nc`` (netCDF) hold ``A`` (n, *shape) with at least two axes in ``shape``, ``y`` (n) and, where the
    truth is known, ``truth`` (*shape); or labelled examples: ``X`` (n, *features), ``y`` (n) and maybe ``X_test`` and
    ``y_test``. ``.csv`` holds a table with cells to be predicted: see :func:`bayesgc.task.array.tables.read_table`; or,
    with a ``target``, labelled examples, as ``.parquet`` does:
    see :func:`bayesgc.task.labelled.columns.read_examples`.

    Args:
        path: the file.
        target: the column of a table that holds the labels.
        train: training examples to choose at random; None for all that are not tested on.
        test: test examples, or a share of them as 0.2 or ``"20%"``: of the file's own test set where it has one. None
            for all that are left, at most 800; of a table, a fifth where ``train`` is None too. Examples of an .npz or
            .nc without a test set all train, where neither is given.
        classes: names of the classes to keep, two or more; None for all.
        balanced: as many training examples of each class, which is then no independent sample.
        seed: of these choices; None for 0.
        fit: what a fit of examples is.
        standardize: centre and scale the columns of a table of cells, unless told not to; or the features of examples
            by the training inputs, where told to.
        index: whether the first column of a table of cells holds labels of rows.
        header: whether its first line holds the names of the columns.

    Raises:
        InputError: for a file that cannot be read or used, in one line with the file, the fault and what is allowed.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"load reads a file, and was given {type(path).__name__}: write a table with DataFrame.to_csv and arrays "
            "A and y with numpy.savez, and give the file's name."
        )
    file = Path(path)
    asked = _Asked(target, Choice(train, test, classes, balanced, seed or 0), seed is not None, fit, standardize)
    try:
        file.open("rb").close()  # Missing files, folders and permissions fail here, alike for every kind of file.
        return _read(file, asked, index, header)
    except InputError as fault:
        raise InputError(f"{file}: {fault}") from fault
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def holds_examples(file: Path) -> bool:
    """Whether a file of arrays holds labelled examples, by the names in it; False where it cannot be read."""
    suffix = file.suffix.lower()
    try:
        if suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                return "X.npy" in archive.namelist() and "A.npy" not in archive.namelist()
        return suffix == ".nc" and {"X", "A"} & _read_netcdf(file).keys() == {"X"}
    except (*_ARCHIVE_FAULTS, InputError):
        return False


def _read(file: Path, asked: _Asked, index: bool | None, header: bool | None) -> Task:
    suffix = file.suffix.lower()
    if suffix == ".csv" and asked.target is None:
        asked.refuse("is a table without a target, the column of labels")
        return read_table(file, standardize=asked.standardize is not False, index=index, header=header)
    if index is not None or header is not None:
        raise InputError("labels and a header can be asked for, or ruled out, in a .csv table only, without a target.")
    if suffix in (".csv", ".parquet"):
        return _table_task(file, asked)
    if suffix not in _READERS:
        raise InputError(f"the suffix is {suffix!r}; it must be one of {', '.join([*_READERS, '.csv, .parquet'])}.")
    if asked.target is not None:
        raise InputError("target is a column of a .csv or .parquet table; the labels of other files are their array y.")
    arrays = _READERS[suffix](file)
    if "X" in arrays and "A" not in arrays:
        return _examples_task(arrays, file, asked)
    asked.refuse("file holds an array")
    if asked.standardize is not None:
        raise InputError("`standardize` is for tables and labelled examples, and this file holds an array.")
    return _array_task(arrays, file.name)


def _examples_task(arrays: dict[str, Any], file: Path, asked: _Asked) -> Task:
    chosen = bool(asked.choice.given)
    if asked.seeded and not chosen:
        raise InputError("`seed` chooses examples; say with `train`, `test` or `classes` that some are taken.")
    choice, standardize = asked.choice if chosen else None, bool(asked.standardize)
    return labelled_task(arrays, {"file": file.name}, asked.fit, choice=choice, standardize=standardize)


def _table_task(file: Path, asked: _Asked) -> Task:
    if asked.target is None:
        raise InputError("is a table of labelled examples; name its column of labels with `target`.")
    examples, columns = read_examples(file, asked.target)
    facts = {"file": file.name} | columns
    return task_of(examples, None, facts, asked.fit, choice=asked.choice, standardize=bool(asked.standardize))


def _read_npz(file: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(file):
        raise InputError("is empty, truncated or not an .npz archive; write it with numpy.savez.")
    try:
        # numpy closes a file that it opened itself only if the archive turns out sound.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in _NAMES if name in archive}
    except _ARCHIVE_FAULTS as error:
        raise InputError(
            "is damaged, or holds pickled objects, such as images of unequal size; only plain arrays are allowed."
        ) from error


def _read_netcdf(file: Path) -> dict[str, Any]:
    import xarray  # Slow to import, and needed for this kind of file alone.

    with file.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    try:
        with xarray.open_dataset(file, engine="scipy" if classic else "h5netcdf", decode_times=False) as dataset:
            return {name: np.array(dataset[name]) for name in _NAMES if name in dataset.variables}
    except _FAULTS as error:
        raise InputError("is empty, truncated or not a netCDF file.") from error


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {".npz": _read_npz, ".nc": _read_netcdf}


def _array_task(arrays: dict[str, Any], name: str) -> ArrayTask:
    missing = [key for key in ("A", "y") if key not in arrays]
    if missing:
        raise InputError(
            f"has no array {' and no array '.join(missing)}; it must hold A and y, and may hold truth; or X and y, "
            "labelled examples."
        )
    numbers = {key: _finite(key, array) for key, array in arrays.items()}
    stack, targets, truth = numbers["A"], numbers["y"], numbers.get("truth")
    _check_shapes(stack, targets, truth)
    shape = stack.shape[1:]
    measurements = _measurements(stack, arrays["A"].dtype)
    return ArrayTask("data", shape, measurements, targets, truth, {"file": name}, dimension_names(len(shape)))


def _finite(name: str, array: Any) -> Float[np.ndarray, "*array"]:
    """``array`` as float64, when it holds finite real numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        kind = getattr(array, "dtype", type(array).__name__)
        raise InputError(f"{name} is of type {kind}; it must hold real numbers.")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        place = ", ".join(str(int(axis)) for axis in bad[0])
        raise InputError(f"{name}[{place}] is {array[tuple(bad[0])]}; every entry must be a finite number.")
    return numbers


def _check_shapes(
    stack: Float[np.ndarray, "*stack"],
    targets: Float[np.ndarray, "*targets"],
    truth: Float[np.ndarray, "*truth"] | None,
) -> None:
    if stack.ndim < 3 or stack.size == 0:
        allowed = "(n, rows, cols), or (n, *shape) for tensors, with every number at least 1"
        raise InputError(f"A has shape {stack.shape}; it must be {allowed}.")
    count, shape = stack.shape[0], stack.shape[1:]
    entries = stack[0].size
    if count > entries:
        raise InputError(f"A holds {count} measurements; shape {shape} allows at most {entries}, one for each entry.")
    if targets.shape != (count,):
        raise InputError(f"y has shape {targets.shape}; it must be ({count},), one value for each measurement in A.")
    if truth is not None and truth.shape != shape:
        raise InputError(f"truth has shape {truth.shape}; it must be {shape}, that of each measurement in A.")
    zero = np.flatnonzero(~stack.reshape(count, -1).any(axis=1))
    if zero.size:
        raise InputError(f"A[{zero[0]}] is zero; every measurement must have an entry other than zero.")


def _measurements(stack: Float[np.ndarray, " n *shape"], stored: np.dtype) -> Measurements:
    """The rows of A as single cells when they are one-hot and distinct, else as they stand."""
    matrix = stack.reshape(len(stack), -1)
    cells = matrix.argmax(axis=1)
    one_hot = np.count_nonzero(matrix) == len(matrix) and bool(np.all(matrix.max(axis=1) == 1.0))
    if one_hot and np.unique(cells).size == cells.size:
        return ObservedCells(stack.shape[1:], cells)
    resolution = np.finfo(stored).eps if stored.kind == "f" else 0.0
    return DenseMeasurements(stack.shape[1:], matrix, max(float(resolution), float(np.finfo(np.float64).eps)))

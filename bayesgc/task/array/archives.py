"""Files of arrays, .npz and netCDF: what is in them, and the task of measurements and targets.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.array import ArrayTask, dimension_names
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.validate import InputError

_NAMES = ("A", "y", "truth", "X", "X_test", "y_test", "values", "mask")

# What numpy, xarray and zipfile raise on damaged files.
_FAULTS = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RuntimeError, MemoryError)
ARCHIVE_FAULTS = (*_FAULTS, zipfile.BadZipFile, zlib.error)


def read_npz(file: Path) -> dict[str, Any]:
    """The arrays of an archive that have a meaning here, by name."""
    if not zipfile.is_zipfile(file):
        raise InputError("is empty, truncated or not an .npz archive; write it with numpy.savez.")
    try:
        # numpy closes a file that it opened itself only if the archive turns out sound.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in _NAMES if name in archive}
    except ARCHIVE_FAULTS as error:
        raise InputError(
            "is damaged, or holds pickled objects, such as images of unequal size; only plain arrays are allowed."
        ) from error


def read_npy(file: Path) -> dict[str, Any]:
    """The array in an .npy file, as ``values``."""
    try:
        return {"values": np.load(file, allow_pickle=False)}
    except ARCHIVE_FAULTS as error:
        raise InputError("is empty, truncated or not an .npy file of numbers; write it with numpy.save.") from error


def read_netcdf(file: Path) -> dict[str, Any]:
    """The same of netCDF, classic or not."""
    import xarray  # Slow to import, and needed for this kind of file alone.

    with file.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    try:
        with xarray.open_dataset(file, engine="scipy" if classic else "h5netcdf", decode_times=False) as dataset:
            ours = dataset.attrs.get("creation_library") == "bayesgc"
            arrays = {name: np.array(dataset[name]) for name in _NAMES if name in dataset.variables}
    except _FAULTS as error:
        raise InputError("is empty, truncated or not a netCDF file.") from error
    if ours:
        raise InputError("is a result, not data; `load_result` opens it, and `bayesgc show` in a shell.")
    return arrays


ARCHIVES: dict[str, Callable[[Path], dict[str, Any]]] = {".npz": read_npz, ".nc": read_netcdf, ".npy": read_npy}


def measurements_task(arrays: dict[str, Any], name: str) -> ArrayTask:
    """The task of ``A`` and ``y``, and maybe ``truth``, in a file of that name.

    Raises:
        InputError: where one is missing, or they do not match.
    """
    missing = [key for key in ("A", "y") if key not in arrays]
    if missing:
        raise InputError(
            f"has no array {' and no array '.join(missing)}; it must hold A and y, and may hold truth; or values, with "
            "NaN for what is missing; or X and y, labelled examples."
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

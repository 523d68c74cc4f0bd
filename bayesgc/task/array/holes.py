"""Arrays of which some cells are not known: NaN, a mask, or entries that a sparse matrix does not store.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse
from jaxtyping import Shaped

from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.standard import Description, check_size, completion_of
from bayesgc.validate import InputError

_GAPS = "the cells to predict must be NaN or masked"
_SPARSE_GAPS = "a sparse matrix must not store the entries to predict"


def holes_task(
    values: Shaped[np.ndarray, "*shape"],
    description: Description,
    *,
    mask: Shaped[np.ndarray, "*mask"] | None = None,
    truth: Shaped[np.ndarray, "*truth"] | None = None,
    standardize: bool = True,
) -> ArrayTask:
    """The task of predicting the cells of an array that are NaN, or masked.

    The columns of a matrix are quantities of their own, each with its centre and scale, as those of a table are; the
    cells of a tensor share one.

    Args:
        values: the array, of order 2 or more.
        description: where it is from.
        mask: true where a cell is missing, whatever ``values`` holds there, as in `numpy.ma`.
        truth: the whole array, where it is known.
        standardize: centre and scale.

    Raises:
        InputError: for an array that holds other than real numbers, or with too few axes.
    """
    numbers = _real("values", values)
    if numbers.ndim < 2 or not numbers.size:
        raise InputError(f"values has shape {numbers.shape}; it must have two axes or more, none of them empty.")
    if mask is not None:
        numbers = np.where(_checked(mask, numbers), np.nan, numbers)
    if (infinite := np.argwhere(np.isinf(numbers))).size:
        raise InputError(f"values{infinite[0].tolist()} is infinite; every entry must be a finite number, or NaN.")
    if truth is not None:
        truth = _real("truth", truth)
        if truth.shape != numbers.shape:
            raise InputError(f"truth has shape {truth.shape}; it must be {numbers.shape}, that of values.")
    alike = numbers.ndim > 2
    if not alike and (empty := np.flatnonzero(np.isnan(numbers).all(axis=0))).size < numbers.shape[1] and empty.size:
        raise InputError(f"column {empty[0]} (from 0) has no observed cell; every column needs at least one.")
    return completion_of(numbers, description, standardize=standardize, alike=alike, truth=truth, gaps=_GAPS)


def masked_task(array: np.ma.MaskedArray[Any, Any], description: Description, *, standardize: bool) -> ArrayTask:
    """The same of a masked array."""
    return holes_task(array.data, description, mask=np.ma.getmaskarray(array), standardize=standardize)


def sparse_task(matrix: Any, description: Description, *, standardize: bool = True) -> ArrayTask:
    """The task of predicting what a sparse matrix of SciPy's does not store; a zero that it stores is observed.

    All entries are of one kind, so that one centre and scale serves them all.

    Raises:
        InputError: for an entry that is stored twice, for numbers that are not real and finite, or a matrix that is
            too large.
    """
    entries = matrix.tocoo()
    if entries.ndim != 2:
        raise InputError(f"the sparse array has {entries.ndim} axes; it must have two.")
    check_size(*entries.shape)
    places = np.stack([entries.row, entries.col])
    different, counts = np.unique(places, axis=1, return_counts=True)
    if (twice := different[:, counts > 1]).size:
        row, col = twice[:, 0] + 1
        raise InputError(f"the entry in row {row} and column {col} (from 1) is there twice; each must be there once.")
    numbers = _real("the matrix", entries.data)
    if (infinite := np.flatnonzero(np.isinf(numbers))).size:
        row, col = places[:, infinite[0]] + 1
        raise InputError(f"the entry in row {row} and column {col} (from 1) is infinite; every one must be finite.")
    values = np.full(entries.shape, np.nan)
    values[tuple(places)] = numbers
    return completion_of(values, description, standardize=standardize, alike=True, gaps=_SPARSE_GAPS)


def read_market(file: Path, description: Description, *, standardize: bool) -> ArrayTask:
    """The task in a MatrixMarket file: of one in coordinates what is not stored, else what is NaN.

    Raises:
        InputError: for what is no such file, or a pattern without values.
    """
    try:
        kind = scipy.io.mminfo(file)
        matrix = scipy.io.mmread(file)
    except (ValueError, OverflowError, TypeError) as error:
        raise InputError(f"is no MatrixMarket file: {str(error).rstrip('.')}.") from error
    if "pattern" in kind:
        raise InputError("is a pattern, which says where entries are and not what they are; it must hold real numbers.")
    if scipy.sparse.issparse(matrix):
        return sparse_task(matrix, description, standardize=standardize)
    return holes_task(np.asarray(matrix), description, standardize=standardize)


def _real(name: str, array: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} is of type {array.dtype}; it must hold real numbers.")
    return array.astype(np.float64)


def _checked(mask: Shaped[np.ndarray, "*mask"], values: Shaped[np.ndarray, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """The mask, where it can be one, and is not one of what is there."""
    mask = np.asarray(mask)
    if mask.shape != values.shape or (mask.dtype.kind != "b" and not np.isin(mask, (0, 1)).all()):
        raise InputError(f"mask is {mask.dtype} of shape {mask.shape}; it must be true or false for each of values.")
    mask = mask.astype(bool)
    holes = np.isnan(values)
    if holes.any() and not (holes & mask).any() and bool((holes == ~mask).all()):
        raise InputError("mask is true where values are, and false where they are NaN; it must be true where missing.")
    return mask

"""Results as netCDF files: written whole or not at all, read back the same."""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.result import Result, as_result, lacking
from bayesgc.validate import InputError

CREATOR = "bayesgc"
SCHEMA = 1

OLDEST_SCHEMA = 1
_MAGIC = b"\x89HDF\r\n\x1a\n"

# A damaged file raises in whichever layer of HDF5, h5netcdf or xarray meets the damage first.
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write ``tree`` to ``path`` as netCDF, whole or not at all, and return the path.

    Raises:
        InputError: where that is impossible, with the cause; what was there before stays.
    """
    return whole.write(path, as_bytes(tree))


def save_new(tree: xr.DataTree, names: Iterable[Path]) -> Path:
    """As `save`, under the first of ``names`` that is free; of two that save at once, each gets a name of its own."""
    return whole.write_new(names, as_bytes(tree))


def as_bytes(tree: xr.DataTree) -> memoryview:
    """The netCDF file of ``tree``. It is made in memory: HDF5 on a disk that is full crashes the whole process."""
    dask = sys.modules.get("dask")
    # In a Dask worker xarray would ask the cluster for a lock on what is in this process's memory alone.
    with contextlib.nullcontext() if dask is None else dask.config.set(scheduler="threads"):
        content: memoryview = tree.to_netcdf(engine="h5netcdf", encoding=_compressed(tree))
    return content


_WORTH, _LOOKED_AT = 500_000, 65_536
"""Bytes of a variable from which on compression is worth its time, and those by which it is judged."""


def _compressed(tree: xr.DataTree) -> dict[str, Any]:
    """Compression of what repeats itself, as predicted labels do; of random numbers it costs time and gains nothing."""
    found: dict[str, Any] = {}
    for node in tree.subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            if variable.dtype.kind in "biuf" and variable.nbytes >= _WORTH:
                start = variable.values.ravel()[: _LOOKED_AT // variable.dtype.itemsize].tobytes()
                if len(zlib.compress(start, 1)) < len(start) / 2:
                    found.setdefault(node.path, {})[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True}
    return found


def is_result(path: Path) -> bool:
    """Whether a file says of itself that it is a result of this package; it may be damaged inside."""
    try:
        with h5py.File(path, "r") as file:
            made_by = file.attrs.get("creation_library")
            return made_by == CREATOR and "schema" in file.attrs and "outcome" in file.attrs
    except DAMAGE:
        return False


def check_source(source: Path) -> None:
    """Refuse, before anything is read, what is no file or of another format than results are."""
    if source.is_dir():
        raise InputError(
            f"{source} is a folder and is not a file; give a result's .nc file, or a sweep's folder to `report`."
        )
    if not source.is_file():
        raise InputError(f"{source} is not a file; give the .nc file of a bayesgc result.")
    _check_signature(source)


def load(path: str | os.PathLike[str]) -> Result:
    """The result saved in ``path``, all of it in memory and the file closed."""
    source = Path(path)
    check_source(source)
    try:
        with xr.open_datatree(source, engine="h5netcdf") as lazy:
            _check_origin(lazy.attrs, source)
            tree = as_result(lazy.load().copy())
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{source} cannot be read as a bayesgc result: it is damaged or cut short; copy it again, or run again."
        ) from error
    _check_contents(tree, source)
    _plain_attributes(tree)
    return tree


def _check_signature(source: Path) -> None:
    try:
        with source.open("rb") as stream:
            start = stream.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from error
    if start != _MAGIC:
        kind = "empty" if not start else "of another format, not netCDF-4"
        raise InputError(f"{source} cannot be read as a bayesgc result: it is {kind}; give the .nc file of a result.")


def _check_contents(tree: xr.DataTree, source: Path) -> None:
    """Refuse a file that lacks what every result has, by the name of what is missing."""
    missing = lacking(tree)
    if missing:
        raise InputError(f"{source} is not a complete bayesgc result: {missing[0]} is missing; run again.")


def _check_origin(attributes: dict[Any, Any], source: Path) -> None:
    version = attributes.get("schema")
    if attributes.get("creation_library") != CREATOR or not isinstance(version, int | np.integer):
        raise InputError(f"{source} was not written by bayesgc; give the .nc file of a bayesgc result.")
    if version < OLDEST_SCHEMA:
        raise InputError(
            f"{source} has result schema {version}; this bayesgc reads schemas from {OLDEST_SCHEMA} on: "
            "run again, or use the bayesgc that wrote it."
        )
    if version > SCHEMA:
        raise InputError(
            f"{source} has result schema {version}; this bayesgc reads schemas up to {SCHEMA}: upgrade bayesgc."
        )


def _plain_attributes(tree: xr.DataTree) -> None:
    """Turn numpy scalars and arrays in the attributes, in place, into the Python values they were saved from."""
    for node in tree.subtree:
        holders = [node, *(node[str(name)] for name in node.variables)]
        for holder in holders:
            holder.attrs = {key: _plain(value) for key, value in holder.attrs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value

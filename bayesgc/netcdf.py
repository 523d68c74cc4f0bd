"""netCDF files in memory and on disk: one library, and one thread in it at a time.

netCDF4 takes a fifth of the time of h5netcdf for files of many small variables, as results are.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import netCDF4
import xarray as xr

DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""What a damaged file raises, by whether HDF5, netCDF4 or xarray meets the damage first."""

_ONE_AT_A_TIME = threading.RLock()


def dumped(tree: xr.DataTree, encoding: Mapping[str, Any] | None = None) -> memoryview:
    """The file of ``tree``. It is made in memory: HDF5 on a disk that is full crashes the whole process."""
    dask = sys.modules.get("dask")
    # In a Dask worker xarray would ask the cluster for a lock on what is in this process's memory alone.
    with contextlib.nullcontext() if dask is None else dask.config.set(scheduler="threads"), _ONE_AT_A_TIME:
        content: memoryview = tree.to_netcdf(engine="netcdf4", encoding=encoding)
    return content[: _end(content)]


def _end(content: memoryview) -> int:
    """The length of a file that was rounded up in memory, as HDF5's superblock says it (its format, III.A)."""
    place = 28 if content[8] >= 2 else 40
    return int.from_bytes(content[place : place + 8], "little")


def load_tree(file: Path) -> xr.DataTree:
    """All groups of a file, in memory and the file closed."""
    with _ONE_AT_A_TIME, xr.open_datatree(file, engine="netcdf4") as lazy:
        return lazy.load().copy()


def load_dataset(file: Path, **decoding: bool) -> xr.Dataset:
    """The first group of a file, classic netCDF or not, in memory and the file closed."""
    with _ONE_AT_A_TIME:
        return xr.load_dataset(file, engine="netcdf4", **decoding)


def attributes(file: Path) -> dict[str, Any]:
    """The attributes of a file as a whole; nothing else of it is read."""
    with _opened(file) as dataset:
        return {name: dataset.getncattr(name) for name in dataset.ncattrs()}


def opens(file: Path, *, throughout: bool = False) -> bool:
    """Whether a file is of its full length, which takes little time to see; ``throughout`` reads all of it."""
    try:
        with _opened(file) as dataset:
            if throughout:
                _read(dataset)
    except DAMAGE:
        return False
    return True


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[netCDF4.Dataset]:
    with _ONE_AT_A_TIME, netCDF4.Dataset(file) as dataset:
        yield dataset


def _read(group: Any) -> None:
    group.set_auto_maskandscale(False)
    for variable in group.variables.values():
        variable[...]
    for each in group.groups.values():
        _read(each)

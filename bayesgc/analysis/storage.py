"""Results as netCDF files: written whole or not at all, read back the same."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.validate import InputError

CREATOR = "bayesgc"
SCHEMA = 1

# A damaged file raises in whichever layer of HDF5, h5netcdf or xarray meets the damage first.
_DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write ``tree`` to ``path`` as netCDF and return the path.

    The file appears under its name only when it is complete: it is written beside it and then renamed.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        tree.to_netcdf(part, engine="h5netcdf")
        part.replace(target)
    except OSError as error:
        raise InputError(
            f"Cannot write {target}: {error.strerror or error}; give a file in a writable folder."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """The result saved in ``path``, all of it in memory and the file closed."""
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source} is not a file; give the .nc file of a bayesgc result.")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as lazy:
            _check_origin(lazy.attrs, source)
            tree = lazy.load().copy()
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{source} cannot be read as a bayesgc result: it is damaged or of another format.") from error
    _plain_attributes(tree)
    return tree


def _check_origin(attributes: dict[Any, Any], source: Path) -> None:
    version = attributes.get("schema")
    if attributes.get("creation_library") != CREATOR or not isinstance(version, int | np.integer):
        raise InputError(f"{source} was not written by bayesgc; give the .nc file of a bayesgc result.")
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

"""Reading one variable of a result as a plain array."""

from __future__ import annotations

import numpy as np
import xarray as xr


def values(tree: xr.DataTree, group: str, name: str) -> np.ndarray:
    """The variable ``name`` of ``group``."""
    found: np.ndarray = tree[group].to_dataset()[name].values
    return found


def has(tree: xr.DataTree, group: str, name: str) -> bool:
    """Whether there is such a group with such a variable."""
    return group in tree.children and name in tree[group].data_vars


def fitted(tree: xr.DataTree, group: str) -> np.ndarray:
    """Which restarts of ``gd`` or ``map`` fitted."""
    return values(tree, group, "converged").astype(bool)

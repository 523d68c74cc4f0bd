"""A small sweep on disk, in the layout of a store, made by running inference on tiny problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import bayesgc as gc
from bayesgc.analysis.tree.summary import result_object

FLOATS = (
    "prior_gen_loss", "prior_gen_loss_mcse", "posterior_gen_loss", "posterior_gen_loss_mcse", "log_volume",
    "log_volume_mcse", "gd_at_eps_gen_loss", "gd_gen_loss", "gd_gen_loss_q25", "gd_gen_loss_q75", "seconds", "eps",
)  # fmt: skip
STRINGS = ("outcome", "method", "failure", "flag", "key")


def write_store(folder: Path, axes: dict[str, list[Any]], **attributes: Any) -> Path:
    """Infer each cell of the grid and save the table over them."""
    (folder / "cells").mkdir(parents=True)
    shape = tuple(len(values) for values in axes.values())
    floats = {name: np.full(shape, np.nan) for name in FLOATS}
    strings = {name: np.full(shape, "", dtype=object) for name in STRINGS}
    for index, chosen in cells(axes):
        tree = infer(**chosen)
        gc.save_result(tree, folder / "cells" / f"{'-'.join(map(str, index))}.nc")
        for name, value in numbers(tree).items():
            (floats if name in floats else strings)[name][index] = value
    variables = {name: (tuple(axes), values) for name, values in (floats | strings).items()}
    dataset = xr.Dataset(variables, coords=axes)
    plan = {"schema": 1, "title": "A small sweep", "axes": axes, "options": {"rows": 3, "cols": 3}} | attributes
    dataset.attrs = {"schema": 1, "title": plan["title"], "sweep": json.dumps(plan)}
    dataset.to_netcdf(folder / "sweep.nc", engine="h5netcdf")
    (folder / "sweep.json").write_text(json.dumps(plan), encoding="utf-8")
    return folder


def cells(axes: dict[str, list[Any]]) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    for index in product(*(range(len(values)) for values in axes.values())):
        yield index, {name: axes[name][place] for name, place in zip(axes, index, strict=True)}


def infer(depth: int = 2, task_seed: int = 0, activation: str = "linear") -> xr.DataTree:
    task = gc.sensing(rows=3, cols=3, rank=1, measurements=4, seed=task_seed)
    descent = gc.GradientDescent(restarts=2, steps=100, lr=0.05)
    model = gc.MatrixFactorization(depth=depth, width=3, activation=activation, normalize=True)
    return gc.infer(
        model, task, eps="60%", method="rejection", gd=descent, map=False, chains=2, draws=50, precision=0.3,
        max_evaluations=2_000_000,  # for the 200 hits that rejection asks for
    )  # fmt: skip


def numbers(tree: xr.DataTree) -> dict[str, Any]:
    result = result_object(tree)
    found: dict[str, Any] = {"outcome": result["outcome"], "method": result["method"], "eps": result["eps"]}
    for law in ("prior", "posterior"):
        if result[law] is not None:
            found |= {
                f"{law}_gen_loss{end}": result[law]["gen_loss"][key] for end, key in (("", "mean"), ("_mcse", "mcse"))
            }
    if result["log_volume"]["estimate"] is not None:
        found |= {"log_volume": result["log_volume"]["estimate"], "log_volume_mcse": result["log_volume"]["mcse"]}
    if result["gd"] is not None and result["gd"]["gen_loss"] is not None:
        found["gd_gen_loss"] = result["gd"]["gen_loss"]["median"]
    if result["gd"] is not None and result["gd"]["at_eps"] is not None:
        found["gd_at_eps_gen_loss"] = result["gd"]["at_eps"]["gen_loss"]["median"]
    return found | {"seconds": result["seconds"]["total"], "flag": "", "failure": "", "key": "k"}

"""The records of one run as one labelled ``xarray.DataTree``, built with arviz-base.

Groups: ``posterior`` (absent when nothing was accepted; then maybe ``reached``), ``prior``, ``gd``, ``gd_at_eps``,
``map``, ``sample_stats``, ``levels``, ``observed_data``, ``constant_data``, ``ground_truth``. A variable's summary
(mean, standard deviation, standard error, quantiles) is in its attributes, because it comes from every draw made and
not from the kept ones alone.
For tables with units of their own, every ``end_to_end`` is in those units; losses stay on the model's scale.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from bayesgc.analysis.storage import CREATOR, SCHEMA, load, save
from bayesgc.analysis.strict import to_json
from bayesgc.inference.records import Descent, Draws, Estimate, Levels, Passage, Reference, Run, Summary
from bayesgc.task import ObservedCells, Task

__all__ = ["assemble", "load", "save"]

MATRIX_LIMIT = 4_000_000
"""A measurement matrix of more entries than this (32 MB) is not stored."""

LONG_NAMES = {
    "train_loss": "training loss L_train",
    "gen_loss": "generalisation loss L_gen on the held-out measurements",
    "train_loss_relative": "training loss relative to the zero predictor's",
    "gen_loss_relative": "generalisation loss relative to the zero predictor's",
    "error": "squared Frobenius distance to the truth",
    "effective_rank": "exponential of the entropy of the singular values as shares; a tensor's: mean over unfoldings",
    "nuclear_norm": "sum of the singular values; a tensor's: mean over unfoldings",
    "singular_value": "singular values, largest first",
    "mode_singular_value": "singular values of the unfolding of each mode, largest first",
    "end_to_end": "end-to-end array",
    "energy": "negative log prior density of the weights, from its peak where that is known",
    "curve_train_loss": "training loss where it first was at or below the threshold",
    "curve_gen_loss": "generalisation loss where the training loss first was at or below the threshold",
    "diverged": "whether the restart ended at no finite loss, or far above its start and the zero predictor",
}


def assemble(
    task: Task,
    *,
    configuration: Mapping[str, Any],
    prior: Draws,
    run: Run,
    gd: Descent | None,
    mode: Descent | None = None,
    references: Mapping[str, Reference],
    seconds: Mapping[str, float],
    seed: int,
    reasons: Mapping[str, str],
) -> xr.DataTree:
    """Everything one call of ``infer`` found, as a DataTree whose root attributes say how it was found.

    ``reasons`` says, by name, why a part is absent (``{"map": "a uniform prior is flat"}``).
    """
    groups: dict[str, xr.Dataset] = {}
    if run.posterior is not None:
        groups["posterior"] = _draws(task, run.posterior)
        groups["posterior"].attrs |= _note(run)
    groups["prior"] = _draws(task, prior)
    groups["prior"].attrs["not_finite"] = float(prior.not_finite)
    if run.reached is not None:
        groups["reached"] = _draws(task, run.reached.posterior)
        groups["reached"].attrs |= {"eps": float(run.reached.eps)}
        groups["reached"].attrs |= _estimate_attributes("log_volume", run.reached.log_volume)
    if gd is not None:
        groups["gd"] = _descent(task, gd)
        if gd.at_eps is not None:
            groups["gd_at_eps"] = _passage(task, gd.at_eps)
    if mode is not None:
        groups["map"] = _descent(task, mode)
    if run.posterior is not None and run.posterior.sample_stats:
        groups["sample_stats"] = _dataset(_arrays(run.posterior.sample_stats), {}, ["chain", "draw"])
    if run.importance is not None:
        groups["importance"] = _dataset(run.importance, {name: ["draw"] for name in run.importance})
    if run.levels is not None:
        groups["levels"] = _levels(run.levels)
    groups["observed_data"] = _dataset({"y": task.targets}, {"y": ["measurement"]})
    groups["constant_data"] = _constants(task, run.eps, references)
    if task.truth is not None:
        groups["ground_truth"] = _truth(task, task.truth)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = _root_attributes(task, configuration, run, seconds, seed, reasons)
    return tree


_NO_CHAINS = (
    "so effective sample sizes, R-hat and Monte Carlo errors that are computed from these draws as from chains are too "
    "optimistic. The standard errors of this method are in the attribute mcse of each variable."
)


def _note(run: Run) -> dict[str, str]:
    """What readers of other tools' summaries of the posterior must know: whether its draws are those of chains."""
    if run.posterior is not None and "island" in run.posterior.sample_stats:
        return {"note": f"The draws of an island are particles that share ancestors, {_NO_CHAINS}"}
    if run.importance is not None:
        return {"note": f"These draws were resampled by their weights, {_NO_CHAINS}"}
    return {}


def _draws(task: Task, draws: Draws) -> xr.Dataset:
    variables, dims = _law(task, draws.end_to_end, draws.quantities)
    for name, weight in (draws.weights or {}).items():
        variables[name] = _array(weight)
        if weight.ndim == 4:
            dims[name] = [f"{name}_row", f"{name}_col"]
    dataset = _dataset(variables, dims, ["chain", "draw"], _labels(task))
    for name, summary in _with_relative(task, draws.summaries).items():
        if name in dataset:
            dataset[name].attrs.update(_known(vars(summary)))
    return dataset


def _descent(task: Task, gd: Descent) -> xr.Dataset:
    variables, dims = _law(task, gd.end_to_end, gd.quantities)
    variables |= {"converged": _array(gd.converged), "steps": _array(gd.steps)}
    variables |= _arrays({
        name: each for name, each in {"energy": gd.energy, "diverged": gd.diverged}.items() if each is not None
    })  # fmt: skip
    coords = _labels(task)
    if gd.curve is not None:
        variables |= {f"curve_{name}": getattr(gd.curve, name) for name in ("train_loss", "gen_loss")}
        dims |= {f"curve_{name}": ["threshold"] for name in ("train_loss", "gen_loss")}
        coords = {**coords, "threshold": gd.curve.threshold.tolist()}
    dataset = _dataset(variables, dims, ["restart"], coords)
    dataset.attrs["configuration"] = to_json(gd.configuration)
    dataset.attrs["seconds"] = float(gd.seconds)
    return dataset


def _passage(task: Task, passage: Passage) -> xr.Dataset:
    """Where each restart first fitted; it has ``converged`` where it ever did."""
    variables, dims = _law(task, passage.end_to_end, passage.quantities)
    variables |= {"converged": _array(passage.reached), "steps": _array(passage.steps)}
    return _dataset(variables, dims, ["restart"], _labels(task))


def _law(
    task: Task, end_to_end: Tensor, quantities: Mapping[str, Tensor]
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The variables of one law and the names of their dimensions after the sample dimensions."""
    variables = {"end_to_end": _in_units(task, _array(end_to_end))} | _arrays(quantities)
    for loss, zero in _zero_losses(task).items():
        if loss in variables:
            variables[f"{loss}_relative"] = variables[loss] / zero
    spectra = {"singular_value": ["component"], "mode_singular_value": ["mode", "component"]}
    return variables, {"end_to_end": list(task.dims), **spectra}


def _labels(task: Task) -> dict[str, Any]:
    """The labels of the dimensions of a law."""
    return task.coords if len(task.shape) == 2 else {**task.coords, "mode": list(task.dims)}


def _zero_losses(task: Task) -> dict[str, float]:
    """The zero predictor's losses, where they exist and can be divided by."""
    losses = {"train_loss": task.zero_train_loss, "gen_loss": task.zero_gen_loss}
    return {name: float(loss) for name, loss in losses.items() if loss}


def _with_relative(task: Task, summaries: Mapping[str, Summary]) -> dict[str, Summary]:
    relative = {
        f"{name}_relative": Summary(**{key: value / zero for key, value in vars(summaries[name]).items()})
        for name, zero in _zero_losses(task).items()
        if name in summaries
    }
    return {**summaries, **relative}


def _levels(levels: Levels) -> xr.Dataset:
    variables = {name: np.asarray(values, dtype=np.float64) for name, values in vars(levels).items()}
    return _dataset(variables, {name: ["level"] for name in variables})


def _constants(task: Task, eps: float, references: Mapping[str, Reference]) -> xr.Dataset:
    variables: dict[str, np.ndarray] = {"eps": np.asarray(float(eps))}
    dims: dict[str, list[str]] = {}
    if isinstance(task.measurements, ObservedCells):
        variables["cells"] = np.asarray(task.measurements.cells, dtype=np.int64)
        dims["cells"] = ["measurement"]
    elif task.measurements.count * math.prod(task.shape) <= MATRIX_LIMIT:
        variables["A"] = np.asarray(task.measurements.dense()).reshape(-1, *task.shape)
        dims["A"] = ["measurement", *task.dims]
    if task.units is not None:
        for name in ("center", "scale"):
            variables[name] = np.broadcast_to(
                np.asarray(getattr(task.units, name), dtype=np.float64), task.shape
            ).copy()
            dims[name] = list(task.dims)
    if references:
        variables |= {
            "reference_end_to_end": np.stack([_reference_matrix(task, point) for point in references.values()]),
            "reference_train_loss": np.array([_or_nan(point.train_loss) for point in references.values()]),
            "reference_gen_loss": np.array([_or_nan(point.gen_loss) for point in references.values()]),
        }
        dims |= {name: ["reference"] for name in ("reference_train_loss", "reference_gen_loss")}
        dims["reference_end_to_end"] = ["reference", *task.dims]
    return _dataset(variables, dims, coords={**task.coords, "reference": list(references)})


def _reference_matrix(task: Task, point: Reference) -> np.ndarray:
    if point.end_to_end is None:
        return np.full(task.shape, np.nan)
    return _in_units(task, np.asarray(point.end_to_end, dtype=np.float64))


def _truth(task: Task, truth: np.ndarray) -> xr.Dataset:
    return _dataset({"end_to_end": _in_units(task, truth)}, {"end_to_end": list(task.dims)}, coords=task.coords)


def _dataset(
    variables: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]],
    sample_dims: Sequence[str] = (),
    coords: Mapping[str, Sequence[str] | Sequence[float]] | None = None,
) -> xr.Dataset:
    from arviz_base import dict_to_dataset

    dataset: xr.Dataset = dict_to_dataset(
        dict(variables),
        dims={name: list(names) for name, names in dims.items() if name in variables},
        coords={name: np.asarray(labels) for name, labels in (coords or {}).items()},
        sample_dims=list(sample_dims),
        # It would warn of more chains than draws, which is what a user may have asked for.
        check_conventions=False,
    )
    # ArviZ 1.x lists the sample dimensions here, and netCDF has no empty lists.
    dataset.attrs = {key: value for key, value in dataset.attrs.items() if isinstance(value, str)}
    for name in set(LONG_NAMES) & set(dataset.data_vars):
        dataset[name].attrs["long_name"] = LONG_NAMES[str(name)]
    return dataset


def _root_attributes(
    task: Task,
    configuration: Mapping[str, Any],
    run: Run,
    seconds: Mapping[str, float],
    seed: int,
    reasons: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "creation_library": CREATOR,
        "schema": SCHEMA,
        "configuration": to_json(configuration),
        "method": run.method,
        "outcome": run.outcome.value,
        "message": run.message or run.outcome.advice,
        "eps": float(run.eps),
        "held_out": int(task.held_out.count),
        **_estimate_attributes("log_volume", run.log_volume),
        **_estimate_attributes("log_evidence", run.log_evidence),
        "seeds": json.dumps({"seed": seed, "task": task.description.get("seed")}),
        "evaluations": int(run.evaluations),
        "wall_time": float(seconds.get("total", run.seconds)),
        "seconds": to_json(seconds),
        "diagnostics": to_json(run.diagnostics),
        "reasons": to_json(reasons),
        "versions": to_json(versions()),
    }


def _estimate_attributes(name: str, estimate: Estimate | None) -> dict[str, float]:
    """An estimate as numbers; what is not known is left out, because netCDF has no None."""
    if estimate is None:
        return {}
    low, high = estimate.ci95
    return _known({name: estimate.value, f"{name}_mcse": estimate.mcse, f"{name}_low": low, f"{name}_high": high})


def versions() -> dict[str, str]:
    """The versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("bayesgc", "torch", "pyro-ppl", "numpy", "xarray", "arviz-base"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a checkout on the path, not installed
            found[package] = "not installed"
    return found


def _known(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items() if number is not None and not math.isnan(number)}


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else float(number)


def _in_units(task: Task, matrices: np.ndarray) -> np.ndarray:
    return matrices if task.units is None else np.asarray(task.units.to_units(matrices.astype(np.float64)))


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array

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
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from bayesgc import __version__
from bayesgc.analysis.tree.result import Result
from bayesgc.analysis.tree.storage import CREATOR, SCHEMA, load, save
from bayesgc.analysis.tree.strict import to_json
from bayesgc.correlated import ErrorRule
from bayesgc.inference.records import Curve, Descent, Draws, Estimate, Levels, Passage, Run, Summary
from bayesgc.inference.streams import Stream, generator
from bayesgc.task import Reference, Task
from bayesgc.task.task import Variables

__all__ = ["assemble", "load", "save"]

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
    "test_error": "share of test labels that are wrong",
    "train_errors": "number of training labels that are wrong",
    "train_output": "outputs at the training inputs",
    "prediction": "class of the largest output for each test example",
    "cut": "whether the end of the time stopped the restart on its way",
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
) -> Result:
    """Everything one call of ``infer`` found, as a DataTree whose root attributes say how it was found.

    ``reasons`` says, by name, why a part is absent (``{"map": "a uniform prior is flat"}``).
    """
    groups: dict[str, xr.Dataset] = {}
    if run.posterior is not None:
        groups["posterior"] = _draws(task, run.posterior)
        groups["posterior"].attrs |= _note(run)
        if replicates := _replicates(task, run.posterior, seed):
            groups["posterior_predictive"] = replicates
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
        groups["levels"] = _levels(run.levels, task.primary)
    if run.curve is not None:
        groups["curve"] = _curve(task, run.curve)
    groups["observed_data"] = _named(task.observed())
    groups["constant_data"] = _constants(task, run.eps, references)
    if truth := task.truth_known():
        groups["ground_truth"] = _named(truth, task.coords)
    tree = Result.from_dict(groups)
    tree.attrs = _root_attributes(task, configuration, run, seconds, seed, reasons)
    return tree


_NO_CHAINS = (
    "so effective sample sizes, R-hat and Monte Carlo errors that are computed from these draws as from chains are too "
    "optimistic. The standard errors of this method are in the attribute mcse of each variable."
)


def _note(run: Run) -> dict[str, str]:
    """What readers of other tools' summaries of the posterior must know: whether its draws are those of chains."""
    if run.errors is ErrorRule.ISLANDS or (run.posterior is not None and "island" in run.posterior.sample_stats):
        return {"note": f"The draws of an island are particles that share ancestors, {_NO_CHAINS}"}
    if run.importance is not None:
        return {"note": f"These draws were resampled by their weights, {_NO_CHAINS}"}
    return {}


_REPLICATED = 1_000_000
"""The most numbers kept of what the posterior's draws would have one observe (4 MB)."""


def _replicates(task: Task, posterior: Draws, seed: int) -> xr.Dataset | None:
    """What the posterior would have one observe, under the names of ``observed_data``, for draws evenly spaced."""
    observed, output = task.observed(), posterior.end_to_end
    chains, draws = output.shape[:2]
    size = sum(values.size for _, values in observed.values())
    if chains * size > _REPLICATED:
        return None
    stride = -(-draws // (_REPLICATED // max(1, chains * size)))
    vectors = output[:, ::stride].reshape(-1, math.prod(task.shape)).T.cpu()
    fit = posterior.quantities[task.fit][:, ::stride].reshape(-1).cpu()
    found = task.replicated(vectors, fit, generator(seed, Stream.REPLICATE, 0, vectors.device))
    variables = {name: _array(each).reshape(chains, -1, *each.shape[1:]) for name, each in found.items()}
    dims = {name: list(observed[name][0]) for name in variables}
    return _dataset(variables, dims, ["chain", "draw"]) if variables else None


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
    own = {"energy": gd.energy, "diverged": gd.diverged, "cut": gd.cut}
    variables |= _arrays({name: each for name, each in own.items() if each is not None})
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
    variables = {task.output: task.in_units(_array(end_to_end))} | _arrays(quantities)
    for loss, zero in task.zero.items():
        if loss in variables:
            variables[f"{loss}_relative"] = variables[loss] / zero
    return variables, {task.output: list(task.dims), **{name: list(axes) for name, axes in task.measured.items()}}


def _labels(task: Task) -> dict[str, Any]:
    """The labels of the dimensions of a law."""
    return task.coords if len(task.shape) == 2 else {**task.coords, "mode": list(task.dims)}


def _with_relative(task: Task, summaries: Mapping[str, Summary]) -> dict[str, Summary]:
    relative = {
        f"{name}_relative": Summary(**{key: value / zero for key, value in vars(summaries[name]).items()})
        for name, zero in task.zero.items()
        if name in summaries
    }
    return {**summaries, **relative}


def _curve(task: Task, curve: Curve) -> xr.Dataset:
    """Volume and generalisation for each number that the measure of fit may be, such as training errors."""
    variables: dict[str, np.ndarray] = {"threshold": curve.threshold}
    for name, estimates in (("log_volume", curve.log_volume), (task.primary, curve.primary)):
        variables[name] = np.array([_or_nan(each.value) for each in estimates])
        variables[f"{name}_mcse"] = np.array([_or_nan(each.mcse) for each in estimates])
        variables[f"{name}_low"] = np.array([_or_nan(each.ci95[0]) for each in estimates])
        variables[f"{name}_high"] = np.array([each.ci95[1] for each in estimates])
    return _dataset(variables, {name: ["reading"] for name in variables})


def _levels(levels: Levels, primary: str) -> xr.Dataset:
    variables = {
        name.replace("primary", primary): np.asarray(values, dtype=np.float64) for name, values in vars(levels).items()
    }
    return _dataset(variables, {name: ["level"] for name in variables})


def _constants(task: Task, eps: float, references: Mapping[str, Reference]) -> xr.Dataset:
    """What was fixed: ε, the task's own constants, and the reference points."""
    found = {"eps": ((), np.asarray(float(eps)))} | task.constants()
    if references:
        points = list(references.values())
        for name, numbers in ((task.fit, [p.fit for p in points]), (task.primary, [p.primary for p in points])):
            found[f"reference_{name}"] = (("reference",), np.array([_or_nan(number) for number in numbers]))
        if any(point.output is not None for point in points):
            outputs = np.stack([_reference_output(task, point) for point in points])
            found[f"reference_{task.output}"] = (("reference", *task.dims), outputs)
    return _named(found, {**task.coords, "reference": list(references)})


def _reference_output(task: Task, point: Reference) -> np.ndarray:
    if point.output is None:
        return np.full(task.shape, np.nan)
    return task.in_units(np.asarray(point.output, dtype=np.float64))


def _named(variables: Variables, coords: Mapping[str, Sequence[str]] | None = None) -> xr.Dataset:
    """A dataset of arrays that bring the names of their axes."""
    dims = {name: list(axes) for name, (axes, _) in variables.items() if axes}
    return _dataset({name: values for name, (_, values) in variables.items()}, dims, coords=coords)


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
        "measures": to_json({"fit": task.fit, "generalisation": task.primary}),
        "held_out": int(task.tested),
        **_estimate_attributes("log_volume", run.log_volume),
        **_estimate_attributes("log_evidence", run.log_evidence),
        "seeds": json.dumps({"seed": seed, "task": task.description.get("seed")}),
        "evaluations": int(run.evaluations),
        "wall_time": float(seconds.get("total", run.seconds)),
        "seconds": to_json(seconds),
        "diagnostics": to_json(run.diagnostics),
        **({"errors": run.errors.value} if run.errors else {}),
        **({"checks": json.dumps([asdict(check) for check in run.checks])} if run.checks else {}),
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
    found = {"python": platform.python_version(), "bayesgc": __version__}
    for package in ("torch", "pyro-ppl", "numpy", "xarray", "arviz-base"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # on the path, not installed
            found[package] = "unknown"
    return found


def _known(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items() if number is not None and not math.isnan(number)}


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else float(number)


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array

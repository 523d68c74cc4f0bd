"""All cells of a store as one ``xarray.Dataset``, dimensions by the names of the axes."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from bayesgc.analysis.certificate import GUESSING
from bayesgc.analysis.measures import MEASURES, OF_ARRAYS, measures_of
from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.storage import CREATOR, DAMAGE, as_bytes
from bayesgc.analysis.tree.summary import BASELINES
from bayesgc.analysis.words.numerals import decimals
from bayesgc.experiments import limits
from bayesgc.experiments.cell import Cell
from bayesgc.experiments.equal_fit import at_threshold
from bayesgc.experiments.store import CELLS, DESCENTS, FAILURES, SCHEMA, Store, describe
from bayesgc.experiments.summaries import read_summary
from bayesgc.experiments.sweep import Sweep
from bayesgc.inference.descent.gradient_descent import fitted_below
from bayesgc.validate import InputError

PRECISION = 0.1
"""The relative standard error of E[L_gen] above which a cell is flagged."""
BETWEEN_FLAGS = " | "
"""What is between the reasons why a cell is flagged; one of them may have semicolons of its own."""
TEXTS = ("outcome", "method", "failure", "flag", "key")
_LAWS = {
    "prior": [("gen_loss", name) for name in ("mean", "mcse", "q50", "q50_mcse", "believable")],
    "posterior": [("gen_loss", name) for name in ("mean", "mcse", "sd", "q05", "q50", "q95", "q50_mcse", "believable")]
    + [("train_loss", "mean"), ("effective_rank", "mean"), ("effective_rank", "mcse")],
}
NUMBERS = (
    *(
        f"{law}_{quantity}{'' if name == 'mean' else f'_{name}'}"
        for law, all_ in _LAWS.items()
        for quantity, name in all_
    ),
    "better_than_prior",
    "better_than_prior_mcse",
    "log_volume",
    "log_volume_mcse",
    "log_evidence",
    "log_evidence_mcse",
    "gd_gen_loss",
    "gd_gen_loss_q25",
    "gd_gen_loss_q75",
    "gd_train_loss",
    "gd_restarts",
    "gd_converged",
    "gd_diverged",
    *(f"gd_at_eps_{name}" for name in ("gen_loss", "gen_loss_q25", "gen_loss_q75", "train_loss", "converged")),
    *(f"{name}_gen_loss" for name in BASELINES),
    "zero_train_loss",
    *limits.NAMES,
    "eps",
    "seed_used",
    "evaluations",
    "seconds",
)
LONG_NAMES = {
    "prior_gen_loss": "E[L_gen] under the prior",
    "posterior_gen_loss": "E[L_gen] given the fit",
    "posterior_gen_loss_mcse": "Monte Carlo standard error of E[L_gen] given the fit",
    "posterior_gen_loss_believable": "1 where the mean of L_gen given the fit and its error can be believed, else 0",
    "prior_gen_loss_believable": "1 where the mean of L_gen under the prior and its error can be believed, else 0",
    "better_than_prior": "P(L_gen of a draw that fits < L_gen of a draw of the prior)",
    "gd_gen_loss": "median L_gen of gradient descent at its end, over the restarts that fitted",
    "gd_at_eps_gen_loss": "median L_gen of gradient descent where it first passed ε, over the restarts that did",
    "gd_at_eps_train_loss": "median L_train of gradient descent where it first passed ε",
    "zero_gen_loss": "L_gen of the zero matrix",
    "wide_gen_loss": "E[L_gen] given the fit as the width goes to infinity",
    "wide_prior_gen_loss": "E[L_gen] under the prior as the width goes to infinity",
    "seed_used": "the seed by which infer gives the cell again",
    "log_volume": "log P(L_train < ε) under the prior",
    "seconds": "wall time of the conditioning",
}

Row = dict[str, float | str]
Content = TypeVar("Content")


def collect(sweep: Sweep, cells: list[Cell], store: Store) -> xr.Dataset:
    """The dataset of a store: NaN and empty text where a cell is not there."""
    read = [_row(cell, store) for cell in cells]
    rows, measures = [row for row, _ in read], next((found for _, found in read if found), None)
    shape = [len(values) for values in sweep.dimensions.values()]
    dims = list(sweep.dimensions)
    wanted = NUMBERS if measures is None else _labelled_numbers(rows, measures)
    numbers = {name: np.array([row.get(name, math.nan) for row in rows], dtype=float) for name in wanted}
    texts = {name: np.array([str(row.get(name, "")) for row in rows], dtype=object) for name in TEXTS}
    # An axis may be one of the variables, such as eps: then its values are there as coordinates.
    variables = {name: values for name, values in (numbers | texts).items() if name not in dims}
    dataset = xr.Dataset(
        {name: (dims, values.reshape(shape)) for name, values in variables.items()},
        coords={name: _labels(values) for name, values in sweep.dimensions.items()},
        attrs={
            "creation_library": CREATOR,
            "schema": SCHEMA,
            "title": sweep.title,
            "question": sweep.question,
            "sweep": json.dumps(describe(sweep), ensure_ascii=False, default=str),
        },
    )
    for name, text in LONG_NAMES.items():
        if name in dataset:
            dataset[name].attrs["long_name"] = text
    if measures is not None:
        dataset.attrs["measures"] = json.dumps(measures)
    return dataset


def _labelled_numbers(rows: list[Row], measures: Mapping[str, str]) -> tuple[str, ...]:
    """The numbers of cells of labelled examples: their own measures in place of those of arrays, and what all have."""
    primary = measures["generalisation"]
    needed = [f"{law}_{primary}{end}" for law in ("prior", "posterior") for end in ("", "_mcse")]
    needed += [f"{law}_{primary}" for law in ("gd", "gd_at_eps", "majority", "mean")]
    own = [name for row in rows for name, value in row.items() if not isinstance(value, str)]
    common = [name for name in NUMBERS if not name.endswith("_loss") and "_loss_" not in name and "rank" not in name]
    return tuple(dict.fromkeys((*needed, *common, *own)))


def write_dataset(dataset: xr.Dataset, store: Store) -> Path:
    """Write ``sweep.nc``, whole or not at all."""
    return store.write("sweep.nc", as_bytes(xr.DataTree(dataset)))


def export_zarr(dataset: xr.Dataset, path: Path) -> Path:
    """Write the dataset as a Zarr store as well, whole or not at all.

    Raises:
        InputError: where zarr is not installed, or the folder cannot be written.
    """
    if importlib.util.find_spec("zarr") is None:
        raise InputError("--zarr needs the package zarr: pip install 'bayesgc[cluster]'.")
    plain = dataset.assign_coords({name: _as_text(dataset[name]) for name in dataset.coords})
    plain = plain.assign({name: _as_text(plain[name]) for name in plain.data_vars})
    part, before = whole.part_of(path), whole.part_of(path)
    with whole.told(path):
        try:
            plain.to_zarr(part, mode="w", zarr_format=2, consolidated=True)
            if path.exists():
                path.rename(before)
            part.rename(path)
        finally:
            for folder in (part, before):
                shutil.rmtree(folder, ignore_errors=True)
    return path


def _as_text(values: xr.DataArray) -> xr.DataArray:
    """Zarr has no place for Python objects; text of a fixed width it has."""
    return values.astype(str) if values.dtype == object else values


def _labels(values: list[Any]) -> np.ndarray:
    """Coordinates: numbers as numbers, everything else as its text."""
    kinds = {type(value) for value in values}
    if kinds <= {int} or kinds <= {int, float}:
        return np.array(values)
    return np.array([str(value) for value in values], dtype=object)


def _row(cell: Cell, store: Store) -> tuple[Row, Mapping[str, str] | None]:
    """What is known of one cell, and by which measures where it is of labelled examples."""
    row: Row = {"key": cell.key}
    measures = None
    result = _read(store, CELLS, cell.key, read_summary)
    if result is not None:
        measures = None if result["measures"] == OF_ARRAYS and not measures_of(result).labelled else result["measures"]
        row |= _conditioned(result)
        row |= limits.limit_of(cell, float(row["eps"]))
    elif (reason := store.failure(cell.key)) is not None:
        row |= {"outcome": "failed", "failure": reason}
    descents = None if cell.descent_key is None else _read(store, DESCENTS, cell.descent_key, _descents)
    if descents is not None:
        row |= _descended(descents, cell, row)
    if row.get("outcome"):
        row["flag"] = BETWEEN_FLAGS.join(_flags(cell, row, store.failure(str(cell.descent_key))))
    return row, measures


def _read(store: Store, kind: str, key: str, read: Callable[[Store, str], Content]) -> Content | None:
    """What is in a part, None where it is not there; a damaged one becomes a failure, which the next run makes good."""
    if not store.has(kind, key):
        return None
    try:
        return read(store, key)
    except DAMAGE as error:
        reason = f"{kind}/{key}.nc cannot be read; the same command makes it again"
        store.put(FAILURES, key, json.dumps({"reason": reason, "job": kind, "details": str(error)}).encode())
        return None


def _descents(store: Store, key: str) -> xr.Dataset:
    return _loaded(store.file(DESCENTS, key))


@functools.lru_cache(maxsize=64)
def _loaded(file: Path) -> xr.Dataset:
    """A file of gradient descents, which the cells of several tasks read."""
    return xr.load_dataset(file, engine="h5netcdf")


def _conditioned(result: Mapping[str, Any]) -> Row:
    row: Row = {
        "outcome": result["outcome"],
        "method": result["method"],
        "eps": result["eps"],
        "seed_used": result["seed"],
    }
    measures = measures_of(result)
    own = {"gen_loss": measures.generalisation.name, "train_loss": measures.fit.name}
    for law, wanted in _LAWS.items():
        for array_name, name in wanted:
            quantity = own.get(array_name, array_name)
            summary = (result[law] or {}).get(quantity)
            if summary is not None and summary[name] is not None:
                row[f"{law}_{quantity}{'' if name == 'mean' else f'_{name}'}"] = summary[name]
    for name in ("better_than_prior", "log_volume", "log_evidence"):
        estimate = result[name] or {}
        row |= {
            key: estimate[part]
            for key, part in ((name, "estimate"), (f"{name}_mcse", "mcse"))
            if estimate.get(part) is not None
        }
    for name, point in result["baselines"].items():
        losses = point or {}
        row |= {f"{name}_{loss}": losses[loss] for loss in own.values() if losses.get(loss) is not None}
    if measures.labelled:
        row |= _of_labels(result, measures.generalisation.name, own.values())
    row["evaluations"] = result["diagnostics"]["evaluations"]
    row["seconds"] = result["seconds"]["total"]
    return row


def _of_labels(result: Mapping[str, Any], primary: str, measures: Iterable[str]) -> Row:
    """What labelled examples have beside: the vote of the draws, a certificate, and descent that ran with its cell."""
    row: Row = {}
    if (vote := result["ensemble"]) is not None:
        row[f"ensemble_{primary}"] = vote[primary]
    if (bound := result["certificate"]) is not None:
        row |= {"certificate": bound["bound"], GUESSING: bound["guessing"]}
    return row | (_trained(result["gd"], measures) if result["gd"] is not None else {})


def _trained(gd: Mapping[str, Any], names: Iterable[str]) -> Row:
    """Gradient descent that ran with its cell: medians and quartiles over the restarts that fitted."""
    row: Row = {"gd_restarts": gd["restarts"], "gd_converged": gd["converged"], "gd_diverged": gd["diverged"] or 0}
    row["gd_at_eps_converged"] = (gd["at_eps"] or {"converged": 0})["converged"]
    for law, found in (("gd", gd), ("gd_at_eps", gd["at_eps"] or {})):
        for name in names:
            spread = found.get(name)
            if spread is not None:
                row |= {f"{law}_{name}": spread["median"]}
                row |= {f"{law}_{name}_{end}": spread[end] for end in ("q25", "q75")}
    return row


def _descended(runs: xr.Dataset, cell: Cell, row: Row) -> Row:
    """The restarts on this cell's task that fitted, by the rule of a single run; of a failed cell only their number."""
    own = runs.sel(task_seed=cell.options.task_seed)
    train = own["train_loss"].values
    found: Row = {"gd_restarts": train.size}
    if "diverged" in own:
        found["gd_diverged"] = int(own["diverged"].values.astype(bool).sum())
    if "eps" not in row or "zero_train_loss" not in row:
        return found
    eps = float(row["eps"])
    fitted = train < fitted_below(eps, float(row["zero_train_loss"]))
    gen = own["gen_loss"].values if "gen_loss" in own else np.full(train.shape, math.nan)
    found |= _spread("gd", train, gen, fitted)
    # Levels end where a descent was not followed any further.
    if eps > 0 and "curve_threshold" in own and eps >= own["curve_threshold"].values.min():
        levels, train, gen = (own[f"curve_{name}"].values for name in ("threshold", "train_loss", "gen_loss"))
        train, gen = at_threshold(levels, train, gen, eps)
        found |= _spread("gd_at_eps", train, gen, np.isfinite(train))
    return found


def _spread(law: str, train: np.ndarray, gen: np.ndarray, fitted: np.ndarray) -> Row:
    """How many restarts fitted, and median and quartiles of their losses."""
    found: Row = {f"{law}_converged": int(fitted.sum())}
    if not np.isfinite(gen[fitted]).any():
        return found
    low, middle, high = np.quantile(gen[fitted].astype(float), [0.25, 0.5, 0.75])
    losses: Row = {f"{law}_gen_loss{end}": each for end, each in (("", middle), ("_q25", low), ("_q75", high))}
    return found | losses | {f"{law}_train_loss": float(np.median(train[fitted]))}


def _flags(cell: Cell, row: Row, descent_failure: str | None) -> list[str]:
    """Why the numbers of a cell are to be read with care."""
    flags = []
    if row["outcome"] not in ("converged", "failed"):
        flags.append(str(row["outcome"]))
    measure = MEASURES["test_error" if "posterior_test_error" in row else "gen_loss"]
    mean, error = (float(row.get(f"posterior_{measure.name}{end}", math.nan)) for end in ("", "_mcse"))
    if error > PRECISION * mean > 0:
        flags.append(f"the standard error of {measure.average} is {decimals(100 * error / mean, 0)}% of it")
    if float(row.get("zero_train_loss", math.nan)) < float(row.get("eps", math.nan)):
        flags.append("the zero matrix fits")
    if row.get("gd_converged") == 0:
        flags.append("no restart of gradient descent fitted")
    if row.get("gd_diverged"):
        flags.append(f"{row['gd_diverged']} of {row['gd_restarts']} restarts of gradient descent diverged")
    if cell.options.gd and descent_failure is not None:
        flags.append(f"gradient descent failed: {descent_failure}")
    return flags

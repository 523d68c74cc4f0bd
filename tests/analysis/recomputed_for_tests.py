"""The numbers of a result made again from its draws, by lines of numpy and scipy that share nothing with the code."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import xarray as xr
from records_for_tests import configuration, descent, draws, mode, run, sensing_task, tree
from scipy import optimize, stats

from bayesgc.inference.records import Estimate
from bayesgc.moments import tail_shape
from bayesgc.task import ArrayTask

EFFECTIVE, DEPTH, WIDTH = 120, 8, 5
WORTH = 80
"""240 draws, resampled from weighted ones that are worth 120: 1/80 is 1/120 and 1/240."""
QUANTITIES = (
    "gen_loss", "train_loss", "gen_loss_relative", "train_loss_relative", "error", "effective_rank", "nuclear_norm"
)  # fmt: skip
LAWS = ("prior", "posterior")
MATRIX_FUNCTIONS = ("gen_loss", "effective_rank", "nuclear_norm")


def weighted(
    task: ArrayTask | None = None,
    spread: float = 0.08,
    seed: int = 1,
    volume: tuple[float, float] | None = (-8.4, 0.08),
    evidence: tuple[float, float] | None = None,
    depth: int = DEPTH,
) -> xr.DataTree:
    """A result of importance weights, with 120 effective draws of 240, and nine of twelve restarts that fitted."""
    task = sensing_task() if task is None else task
    settings = configuration(task)
    settings["model"] |= {"family": "matrix-factorization", "normalize": False, "depth": depth}
    record = dataclasses.replace(
        run(task, posterior=draws(task, spread, seed)),
        method="importance",
        diagnostics={"effective_sample_size": float(EFFECTIVE), "pareto_k": 0.2, "pareto_k_limit": 0.6},
        log_volume=None if volume is None else Estimate(*volume, (volume[0] - 0.16, volume[0] + 0.16)),
        log_evidence=None if evidence is None else Estimate(*evidence, (None, 0.0)),
        eps=0.0 if volume is None else 0.0035,
    )
    found = {"gd": descent(task, 0.01, converged=9), "mode": mode(task, converged=6)}
    return tree(task, run=record, configuration=settings, seed=seed, **found)


def flat(result: xr.DataTree, law: str, name: str) -> np.ndarray:
    return result[law][name].values.astype(float).ravel()


def good(result: xr.DataTree, law: str, name: str) -> np.ndarray:
    return flat(result, law, name)[result[law]["converged"].values.astype(bool)]


def mean_with_error(values: np.ndarray, size: float) -> dict[str, float | None]:
    return {"mean": values.mean(), "mcse": values.std() / math.sqrt(size - 1)}


def measured(result: xr.DataTree, row: str, col: str) -> tuple[float, float, float, float]:
    """Mean, 5 and 95 % and standard deviation of a cell with noise: each draw's own residuals, by their mean square."""
    values = result["posterior"]["end_to_end"].sel(row=row, col=col).values.astype(float).ravel()
    noise = np.sqrt(flat(result, "posterior", "train_loss")) * float(
        result["constant_data"]["scale"].sel(row=row, col=col)
    )
    far = values.min() - 10 * noise.max(), values.max() + 10 * noise.max()
    low, high = (
        optimize.brentq(lambda place: stats.norm.cdf(place, values, noise).mean() - share, *far)  # noqa: B023
        for share in (0.05, 0.95)
    )
    return values.mean(), low, high, math.sqrt(values.var() + (noise**2).mean())


def moments(values: np.ndarray, size: float = 240) -> dict[str, float]:
    q05, q50, q95 = np.quantile(values, [0.05, 0.5, 0.95])
    error = values.std() / math.sqrt(values.size)  # as the records for tests have it
    shape = tail_shape(values)
    return {
        "mean": values.mean(), "sd": values.std(), "mcse": error, "q05": q05, "q50": q50, "q95": q95,
        "q25": np.quantile(values, 0.25), "q75": np.quantile(values, 0.75),
        **{f"q{percent}_mcse": quantile_error(values, percent / 100, size) for percent in (25, 50, 75)},
        "tail": shape if math.isfinite(shape) else None, "believable": shape <= 0.5,
    }  # fmt: skip


def quantile_error(values: np.ndarray, share: float, size: float) -> float:
    """Half the distance between the quantiles a binomial error away on either side."""
    if np.ptp(values) == 0:
        return 0.0
    below = (values <= np.quantile(values, share)).mean()
    error = math.sqrt(below * (1 - below) / (size - 1))
    return float(np.diff(np.quantile(values, [share - error, share + error]))[0] / 2)


def chance_of_less(ours: np.ndarray, theirs: np.ndarray, sizes: tuple[float, float]) -> dict[str, float]:
    """Pair by pair."""
    wins = (ours[:, None] < theirs) + 0.5 * (ours[:, None] == theirs)
    errors = (wins.mean(axis).std() / math.sqrt(size - 1) for axis, size in zip((1, 0), sizes, strict=True))
    return {"estimate": wins.mean(), "mcse": math.hypot(*errors)}


def spread_of(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("q25", "median", "q75"), np.percentile(values, [25, 50, 75]), strict=True))


def restarts(result: xr.DataTree, law: str) -> dict[str, Any]:
    spreads = {name: spread_of(good(result, law, name)) for name in QUANTITIES}
    return spreads | {"restarts": 12, "converged": int(result[law]["converged"].sum())}


def most_probable(result: xr.DataTree) -> dict[str, Any]:
    place = int(np.argsort(good(result, "map", "energy"))[0])
    best = {name: good(result, "map", name)[place] for name in QUANTITIES}
    energy = spread_of(good(result, "map", "energy")) | {"best": good(result, "map", "energy").min()}
    return restarts(result, "map") | {"energy": energy, "best": best}


def losses_of(result: xr.DataTree, matrix: np.ndarray) -> dict[str, float]:
    """Mean squared errors on the measurements, and along an orthonormal basis of what they do not see."""
    measured, targets = result["constant_data"]["A"].values.reshape(7, -1), result["observed_data"]["y"].values
    unseen = np.linalg.svd(measured)[2][7:]
    gap = matrix.ravel() - result["ground_truth"]["end_to_end"].values.ravel()
    train = np.mean((measured @ matrix.ravel() - targets) ** 2)
    return {"gen_loss": np.mean((unseen @ gap) ** 2), "train_loss": train}


def baselines(result: xr.DataTree) -> dict[str, Any]:
    measured, targets = result["constant_data"]["A"].values.reshape(7, -1), result["observed_data"]["y"].values
    fitted = np.linalg.pinv(measured) @ targets
    matrices = {"zero": 0 * fitted, "least_squares": fitted, "nuclear_norm": 0.9 * fitted}
    return {name: losses_of(result, each) for name, each in matrices.items()} | {
        "chance": {"gen_loss": 0.08, "train_loss": None}
    }


def apart(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """W₁ from order statistics; KL from distances to nearest neighbours (Perez-Cruz 2008, equation 14)."""
    across = np.abs(first[:, None] - second).min(axis=1)
    within = np.sort(np.abs(first[:, None] - first), axis=1)[:, 1]
    kl = np.mean(np.log(across / within)) + math.log(first.size / (first.size - 1))
    return {"wasserstein": np.abs(np.sort(first) - np.sort(second)).mean(), "kl": max(kl, 0.0)}


def place(result: xr.DataTree, law: str, name: str) -> dict[str, float]:
    values, solutions = flat(result, "posterior", name), good(result, law, name)
    below = (values < np.median(solutions)).mean()
    each = [stats.percentileofscore(values, one, "mean") / 100 for one in solutions]
    error = math.sqrt(below * (1 - below) / (WORTH - 1)) if 0 < below < 1 else None
    return {"quantile": below, "mcse": error, "q25": np.quantile(each, 0.25), "q75": np.quantile(each, 0.75)}


def dependence(result: xr.DataTree) -> dict[str, float]:
    """240 draws make a table of 3 × 3 classes with 20 expected in each of 12 and more, were they that many."""
    train, gen = (flat(result, "prior", name) for name in ("train_loss", "gen_loss"))
    ranks = [stats.rankdata(each) for each in (train, gen)]
    rho = np.corrcoef(*ranks)[0, 1]
    counts = np.histogram2d(*ranks, bins=3)[0]
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    g = 2 * np.sum(counts * np.log(counts / expected))
    return {
        "draws": 240,
        "spearman": rho,
        "spearman_mcse": (1 - rho**2) * math.sqrt(1.06 / 237),
        "mutual_information_bits": (g - 4) / (2 * 240) / math.log(2),
        "p_value": stats.chi2(4).sf(g),
    }


def law_of_spectrum(matrices: np.ndarray, size: int | None) -> dict[str, Any]:
    singular = np.linalg.svd(matrices.reshape(-1, 4, 3).astype(float), compute_uv=False)
    gaps = np.log(singular[:, 0] / np.maximum(singular[:, 1], 1e-300)) / DEPTH
    return {
        "singular_value": singular.mean(0).tolist(),
        "ratio": spread_of(singular[:, 1] / singular[:, 0]),
        "gap_per_layer": None if size is None else mean_with_error(gaps, size),
    }


def mean_log_chi2(freedom: int) -> float:
    """By quadrature."""
    return float(stats.chi2(freedom).expect(np.log, epsabs=1e-11, limit=200))


def spectrum(result: xr.DataTree) -> dict[str, Any]:
    groups = {"prior": "prior", "posterior": "posterior", "gd": "gd_at_eps", "map": "map"}
    kept = {law: result[groups[law]]["converged"].values.astype(bool) for law in ("gd", "map")}
    matrices = {law: result[group]["end_to_end"].values for law, group in groups.items()}
    sizes = {"prior": 240, "posterior": WORTH, "gd": None, "map": None}
    laws = {
        law: law_of_spectrum(each[kept[law]] if law in kept else each, sizes[law]) for law, each in matrices.items()
    }
    laws["truth"] = law_of_spectrum(result["ground_truth"]["end_to_end"].values, None)
    exponents = [0.5 * mean_log_chi2(WIDTH - i) for i in range(3)]
    # Bartlett: a layer adds log χ² with (its rows − i) degrees of freedom, and its variance of 1/rows three times.
    exact = sum(mean_log_chi2(rows - i) - math.log(rows) for rows in [WIDTH] * (DEPTH - 1) + [4] for i in range(3))
    singular = np.linalg.svd(matrices["prior"].reshape(-1, 4, 3).astype(float), compute_uv=False)
    found = mean_with_error(np.log(np.prod(singular**2, axis=1)), 240)
    return laws | {
        "lyapunov": {"exponents": exponents, "gap": exponents[0] - exponents[1]},
        "log_determinant": {"prior": found, "exact": exact},
    }


def entry(result: xr.DataTree, label: str, volume: float) -> dict[str, Any]:
    zero = baselines(result)["zero"]["gen_loss"]
    below = {law: flat(result, law, "gen_loss") < zero / 10 for law in LAWS}
    sizes = {"prior": 240, "posterior": WORTH}
    shares = {law: mean_with_error(each.astype(float), sizes[law]) for law, each in below.items()}
    laws = {law: {name: moments(flat(result, law, name), sizes[law]) for name in QUANTITIES} for law in LAWS}
    losses = [flat(result, law, "gen_loss") for law in ("posterior", "prior")]
    return {
        "label": label,
        "task": {
            "rank": 1, "seed": 1, "kind": "sensing", "shape": [4, 3], "measurements": 7, "held_out": 5,
            "truth_known": True,
        },
        "model": configuration(sensing_task())["model"] | {"family": "matrix-factorization", "normalize": False},
        "method": "importance",
        "eps": 0.0035,
        "seed": json.loads(result.attrs["seeds"])["seed"],
        "dtype": "float32",
        "outcome": "converged",
        **laws,
        "not_finite": 0.0,
        "hidden": None,
        "better_than_prior": chance_of_less(*losses, (WORTH, 240)),
        "gd": restarts(result, "gd")
        | {"optimizer": "group-rmsprop", "diverged": 0, "cut": None}
        | {"at_eps": restarts(result, "gd_at_eps") | {"at_start": int((result["gd_at_eps"]["steps"] == 0).sum())}},
        "map": most_probable(result),
        "baselines": baselines(result),
        "diagnostics": {
            "evaluations": 1_234_567, "effective_sample_size": float(EFFECTIVE), "pareto_k": 0.2, "pareto_k_limit": 0.6,
        },
        "log_volume": {"estimate": volume, "mcse": 0.08, "ci95": [volume - 0.16, volume + 0.16]},
        "log_evidence": None,
        "rarity": {"bits": -math.log2(math.exp(volume)), "mcse": 0.08 * math.log2(math.e)},
        "below": {
            "delta": zero / 10,
            **{law: {"estimate": each["mean"], "mcse": each["mcse"] or None} for law, each in shares.items()},
            "gd": (good(result, "gd_at_eps", "gen_loss") < zero / 10).mean(),
        },
        "distance_from_prior": {
            name: apart(flat(result, "posterior", name), flat(result, "prior", name)) for name in MATRIX_FUNCTIONS
        },
        "standing": {
            law: {name: place(result, group, name) for name in MATRIX_FUNCTIONS}
            for law, group in (("gd", "gd_at_eps"), ("map", "map"))
        },
        "dependence": dependence(result),
        "spectrum": spectrum(result),
    }  # fmt: skip
